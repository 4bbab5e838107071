"""A shop that charges cards, tells a warehouse what to send, and mails receipts. All three fail now and then.

Run it by hand, beside `redrive dev`, with `uvicorn examples.shop.shop:app`.
"""

import os
from decimal import Decimal

import httpx
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from redrive.sdk import Redrive, stop

REDRIVE_URL = os.environ.get("REDRIVE_URL", "http://127.0.0.1:8600")
SHOP_URL = os.environ.get("SHOP_URL", "http://127.0.0.1:8000")
PROVIDER_URL = os.environ.get("PROVIDER_URL", "http://127.0.0.1:8001")

redrive = Redrive(REDRIVE_URL, group="shop")
provider = httpx.AsyncClient(base_url=PROVIDER_URL, timeout=1.0)
ledger: dict[str, str] = {}  # order → charge; a real shop has a database


class Order(BaseModel):
    """What a customer buys."""

    id: str
    product: str
    amount: Decimal
    card: str
    email: str


class CardDeclined(Exception):
    """The bank will not pay this, however often it is asked."""


@redrive.retryable(
    scene="charge-card",
    local_attempts=2,  # one quick retry here, then Redrive takes over
    exclude=CardDeclined,  # the customer must choose another card: nothing to retry
    idempotency_key="charge:{order.id}",
    business_key="{order.id}",
    default=None,  # what the caller gets when Redrive has taken over
)
async def pay(order: Order) -> str | None:
    """Charge the card. Redrive runs this again until it returns, so every step of it can be repeated."""
    answer = await provider.post(
        "/charges",
        json=order.model_dump(mode="json"),
        headers={"Idempotency-Key": order.id},  # the provider charges an order once, however often it is asked
    )
    if answer.status_code == 402:
        raise CardDeclined(answer.json()["detail"])
    answer.raise_for_status()
    charge: str = answer.json()["id"]
    ledger[order.id] = charge
    await fulfil(order)
    return charge


async def fulfil(order: Order) -> None:
    """Hand over what follows from a payment: both will be done, also when this process dies now."""
    await redrive.areport(
        "notify-warehouse",
        target={"kind": "webhook", "url": f"{PROVIDER_URL}/parcels"},
        kwargs={"order": order.id, "product": order.product},
        idempotency_key=f"parcel:{order.id}",
        business_key=order.id,
        delay=0,
    )
    await redrive.areport(
        "send-receipt",
        executor=send_receipt,
        args=[order.id, order.email],
        idempotency_key=f"receipt:{order.id}",
        business_key=order.id,
        delay=0,
    )


@redrive.executor("send-receipt")
async def send_receipt(order_id: str, email: str) -> None:
    """Mail a receipt."""
    answer = await provider.post("/mails", json={"order": order_id, "to": email})
    if answer.status_code == 404:
        raise stop(f"there is no mailbox {email}")
    answer.raise_for_status()


api = FastAPI(title="Shop")


@api.post("/orders")
async def place_order(order: Order) -> dict[str, str]:
    """Take an order. The customer never waits for a provider that is down."""
    try:
        charge = await pay(order)
    except CardDeclined as error:
        raise HTTPException(402, str(error)) from error
    return {"order": order.id, "status": "paid" if charge else "payment pending"}


@api.get("/ledger")
async def show_ledger() -> dict[str, str]:
    """Tell which orders are paid, and by which charge."""
    return ledger


app = redrive.asgi(api, url=SHOP_URL)  # also takes the retries that Redrive sends
