"""A FastAPI application whose failed charges are retried by Redrive.

redrive dev                               # in another terminal
python examples/fastapi_shop.py 8001
curl -X POST http://127.0.0.1:8001/orders/o-1
"""

import os
import sys
from decimal import Decimal

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from redrive.sdk import Redrive, current_attempt

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8001
redrive = Redrive(os.environ.get("REDRIVE_URL", "http://127.0.0.1:8600"), group="fastapi-shop")
app = FastAPI()


class BankDown(Exception):
    pass


@redrive.retryable("charge-card", name="shop.charge", local_attempts=1, business_key="{order_id}")
async def charge(order_id: str, amount: Decimal) -> str:
    if current_attempt() is None:  # the bank is down for whoever asks first
        raise BankDown("the bank does not answer")
    return f"charged {order_id}: {amount}"


@app.post("/orders/{order_id}")
async def order(order_id: str) -> JSONResponse:
    try:
        return JSONResponse({"charged": await charge(order_id, Decimal("9.90"))})
    except BankDown as error:
        return JSONResponse({"charged": None, "note": error.__notes__[-1]}, status_code=202)


if __name__ == "__main__":
    uvicorn.run(redrive.asgi(app, url=f"http://127.0.0.1:{PORT}"), port=PORT, log_level="warning")
