# pyright: basic, reportGeneralTypeIssues=false, reportArgumentType=false, reportAttributeAccessIssue=false
# The framework has no types of its own.
"""A Flask application whose failed charges are retried by Redrive.

redrive dev                               # in another terminal
python examples/flask_shop.py 8002
curl -X POST http://127.0.0.1:8002/orders/o-1
"""

import os
import sys
from decimal import Decimal

from flask import Flask
from werkzeug.serving import make_server

from redrive.sdk import Redrive, current_attempt

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8002
redrive = Redrive(os.environ.get("REDRIVE_URL", "http://127.0.0.1:8600"), group="flask-shop")
app = Flask(__name__)


class BankDown(Exception):
    pass


@redrive.retryable("charge-card", name="shop.charge", local_attempts=1, business_key="{order_id}")
def charge(order_id: str, amount: Decimal) -> str:
    if current_attempt() is None:  # the bank is down for whoever asks first
        raise BankDown("the bank does not answer")
    return f"charged {order_id}: {amount}"


@app.post("/orders/<order_id>")
def order(order_id: str) -> tuple[dict[str, str | None], int]:
    try:
        return {"charged": charge(order_id, Decimal("9.90"))}, 200
    except BankDown as error:
        return {"charged": None, "note": error.__notes__[-1]}, 202


if __name__ == "__main__":
    wsgi = redrive.wsgi(app.wsgi_app, url=f"http://127.0.0.1:{PORT}")
    make_server("127.0.0.1", PORT, wsgi, threaded=True).serve_forever()
