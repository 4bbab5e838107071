# pyright: basic, reportGeneralTypeIssues=false, reportArgumentType=false, reportAttributeAccessIssue=false
# The framework has no types of its own.
"""A Django application that reports inside its database transaction.

redrive dev                               # in another terminal
python examples/django_shop.py 8003
curl -X POST http://127.0.0.1:8003/orders/o-1
"""

import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from werkzeug.serving import make_server

from redrive.sdk import Redrive
from redrive.sdk.outbox import Relay, create_table

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8003
DATABASE = Path(tempfile.mkdtemp()) / "shop.sqlite3"
redrive = Redrive(os.environ.get("REDRIVE_URL", "http://127.0.0.1:8600"), group="django-shop")

settings.configure(
    SECRET_KEY="example",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
    USE_TZ=True,
)
django.setup()


@redrive.executor("shop.charge")
def charge(order_id: str) -> str:
    return f"charged {order_id}"


def order(request: HttpRequest, order_id: str) -> JsonResponse:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO shop_order VALUES (%s)", [order_id])
        # The order and its charge: both are there after the commit, or neither is.
        redrive.report("charge-card", executor=charge, args=[order_id], session=connection)
    return JsonResponse({"order": order_id}, status=202)


urlpatterns = [path("orders/<str:order_id>", order)]


@contextmanager
def in_transaction() -> Generator[Any]:
    with transaction.atomic():
        yield connection


if __name__ == "__main__":
    with transaction.atomic():
        create_table(connection)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE shop_order (id TEXT PRIMARY KEY)")
    wsgi = redrive.wsgi(get_wsgi_application(), url=f"http://127.0.0.1:{PORT}")
    with Relay(redrive, in_transaction, interval=0.05):
        make_server("127.0.0.1", PORT, wsgi, threaded=True).serve_forever()
