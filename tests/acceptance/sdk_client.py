"""Client processes of the SDK's acceptance tests: `python sdk_client.py ROLE [ARGUMENT…]`, told apart by their roles.

Each says on its standard output how far it is, a line at a time: that is what the tests wait for.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from redrive.sdk import Redrive, TaskEnd, Window, current_attempt

QUICK = {"backoff": {"kind": "fixed", "delay_seconds": 0.2, "jitter": {"kind": "none"}}, "max_attempts": 4}
redrive = Redrive(group="acceptance", window=Window(seconds=3600), timeout=5)
name = sys.argv[2] if len(sys.argv) > 2 else ""


class Down(Exception):
    pass


def say(*words: object) -> None:
    print(*words, flush=True)


def give_up(end: TaskEnd, order: str) -> None:
    say("told", order, end.outcome, end.dead_reason, end.attempts, end.error and end.error.message)


@redrive.retryable("hopeless", mode="only_remote", name="hopeless", policy=QUICK, on_dead=give_up)
def hopeless(order: str) -> None:
    attempt = current_attempt()
    raise Down(f"attempt {attempt.number if attempt else 0}")


@redrive.retryable("interrupted", mode="only_remote", name="interrupted", policy=QUICK)
def interrupted(order: str) -> str:
    attempt = current_attempt()
    if attempt is None:
        raise Down
    say("running", order, attempt.number)
    if name == "doomed":
        threading.Event().wait()  # until the process is killed
    return name


def fail_many(scene: str, first: int, last: int) -> None:
    """Call what fails, and say each number once its report is on a disk."""

    @redrive.retryable(
        scene, mode="only_remote", name="many", business_key="{order}", delay=3600, raise_on_exhausted=False
    )
    def fail(order: str) -> None:
        raise Down

    for number in range(first, last):
        fail(f"{scene}-{number}")
        say("failed", number)


if __name__ == "__main__":
    match sys.argv[1]:
        case "node":
            with redrive.serve():
                say("serving")
                signal.sigwait({signal.SIGINT})
        case "report":
            for call in (hopeless, interrupted):
                if call.__name__ == name:
                    try:
                        call(sys.argv[3])
                    except Down as error:
                        say(error.__notes__[-1])
        case "fail":
            fail_many(name, int(sys.argv[3]), int(sys.argv[4]))
            say("done")
            threading.Event().wait()
        case "ship":
            while redrive.spooled:
                redrive.flush()
                threading.Event().wait(0.05)
            say("shipped")
        case "background":
            for number in range(int(sys.argv[3])):
                redrive.report(name, executor="many", args=[number], delay=3600, background=True)
            say("queued", os.getpid())
            threading.Event().wait()
        case role:
            sys.exit(f"no role is called {role!r}")
