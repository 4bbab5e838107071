# pyright: basic, reportGeneralTypeIssues=false, reportArgumentType=false, reportAttributeAccessIssue=false
# The framework has no types of its own.
"""A Celery task whose failures go to Redrive, in place of Celery's own retries.

Celery keeps what is to be done now; Redrive keeps what failed, for as long as it takes, where people can see it.

    redrive dev                               # in another terminal
    python examples/celery_task.py
"""

import os

from celery import Celery

from redrive.sdk import Redrive, current_attempt

redrive = Redrive(os.environ.get("REDRIVE_URL", "http://127.0.0.1:8600"), group="celery-shop")
app = Celery("shop", broker="memory://", backend="cache+memory://")
app.conf.task_always_eager = True  # runs the task in this process: the example needs no broker


class BankDown(Exception):
    pass


@app.task(name="shop.charge")
@redrive.retryable("charge-card", name="shop.charge", local_attempts=1, default="later")
def charge(order_id: str) -> str:
    if current_attempt() is None:  # the bank is down for whoever asks first
        raise BankDown("the bank does not answer")
    return f"charged {order_id}"


if __name__ == "__main__":
    with redrive.serve():  # beside `celery worker`: start it in the worker_ready signal
        print(charge.delay("o-1").get(), flush=True)
        input("press Enter to stop\n")
