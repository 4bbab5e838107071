"""The world outside of the shop: payments, mails and parcels. All of them are real HTTP, and all have bad days.

What goes wrong is chosen by the order, as with the test cards of real payment providers, so that every order has an
end that is known in advance.
"""

import asyncio
import time
from collections import Counter
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

BUSY_SECONDS = 3.0
RETRY_AFTER_SECONDS = 2
OUTAGE_SECONDS = 5.0
LATE_SECONDS = 4.0


class Charge(BaseModel):
    """Money that was taken from a card."""

    id: str
    order: str
    amount: str


class ChargeRequest(BaseModel):
    """What the provider is asked to take."""

    id: str
    product: str
    amount: str
    card: str


class Mail(BaseModel):
    """A mail to send."""

    order: str
    to: str


class Parcel(BaseModel):
    """A parcel to send."""

    order: str
    product: str


calls: Counter[str] = Counter()  # how often each order asked for each thing
first_call: dict[str, float] = {}
not_before: dict[str, float] = {}  # what a Retry-After asked for
impatient: list[str] = []  # who came before that
charges: dict[str, list[Charge]] = {}  # by idempotency key; more than one would be a customer who paid twice
mails: list[str] = []
parcels: list[str] = []

app = FastAPI(title="Payments, mails and parcels")


@app.post("/charges")
async def charge(request: ChargeRequest, idempotency_key: Annotated[str, Header()]) -> Charge:
    """Take money from a card, once for each idempotency key."""
    call = count("charge", request.id)
    if request.product == "gift-card":
        raise HTTPException(500, "KeyError: 'weight'")  # a bug, which no retry heals
    match request.card.partition("-"):
        case "flaky", _, failures if call <= int(failures):
            raise HTTPException(502, "the connection to the bank broke")
        case "slow", _, answers if call <= int(answers):
            take(request, idempotency_key)
            await asyncio.sleep(LATE_SECONDS)  # the money is taken, but nobody waits for this answer any more
        case "busy", _, _ if seconds_since_first(f"charge {request.id}") < BUSY_SECONDS:
            raise later("charge", request.id, RETRY_AFTER_SECONDS)
        case "outage", _, _ if seconds_since_first("outage") < OUTAGE_SECONDS:
            raise HTTPException(503, "the bank is down")
        case "closed", _, calls_before if call <= int(calls_before):
            raise HTTPException(502, "the connection to the bank broke")
        case "closed", _, _:
            raise HTTPException(402, "the card was closed")
        case _:
            pass
    return take(request, idempotency_key)


@app.post("/mails")
async def mail(request: Mail) -> dict[str, str]:
    """Send a mail."""
    call = count("mail", request.order)
    if request.to.startswith("nobody@"):
        raise HTTPException(404, "no such mailbox")
    if request.to.startswith("greylisted@") and call == 1:
        raise HTTPException(503, "try again later")
    mails.append(request.order)
    return {"status": "sent"}


@app.post("/parcels")
async def parcel(request: Parcel) -> dict[str, str]:
    """Send a parcel: the webhook of the warehouse."""
    call = count("parcel", request.order)
    if request.product == "poster":
        raise HTTPException(410, "posters are sold out")
    if request.product == "lamp" and call == 1:
        raise later("parcel", request.order, 1)
    if request.order not in parcels:  # asked again after an answer was lost: still one parcel
        parcels.append(request.order)
    return {"status": "packed"}


@app.get("/books")
async def books() -> dict[str, Any]:
    """Tell what really happened."""
    return {
        "charges": [one for charged in charges.values() for one in charged],
        "calls": calls,
        "mails": mails,
        "parcels": parcels,
        "impatient": impatient,
    }


def take(request: ChargeRequest, idempotency_key: str) -> Charge:
    """Take the money, unless this key has paid already."""
    charged = charges.setdefault(idempotency_key, [])
    if not charged:
        charged.append(Charge(id=f"ch-{len(charges)}", order=request.id, amount=request.amount))
    return charged[0]


def count(what: str, order: str) -> int:
    """Count a call, and tell its number."""
    key = f"{what} {order}"
    if time.monotonic() < not_before.get(key, 0.0):
        impatient.append(key)
    calls[key] += 1
    return calls[key]


def later(what: str, order: str, seconds: int) -> HTTPException:
    """Say 503 with `Retry-After`."""
    not_before[f"{what} {order}"] = time.monotonic() + seconds
    return HTTPException(503, "too busy", headers={"Retry-After": str(seconds)})


def seconds_since_first(what: str) -> float:
    """Tell how long ago this was first asked for."""
    return time.monotonic() - first_call.setdefault(what, time.monotonic())
