"""`python -m examples.shop`, which is what `make demo` runs."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from examples.shop.board import Board, Event
from examples.shop.scenario import POLICIES, Evidence, Order, Result, check, make_orders
from examples.shop.stage import Stage, check_folder
from examples.shop.view import View, banner, closing, summary
from rich.console import Console

from redrive.cli.stack import StackError, StartCancelledError
from redrive.cli.stack.cancel import SignalFlag
from redrive.cli.stack.state import DataFolder

LOOK_SECONDS = 0.25
ORDERS_PER_SECOND = 12
LATER_ORDER_SECONDS = 3.0
LOG_WIDTH = 120  # where there is no terminal to ask
QUIET_SECONDS = 30.0  # when nothing has happened for so long, nothing more will


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return its exit code."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else LOG_WIDTH)
    stopping = SignalFlag()
    try:
        check_folder(options.data_dir)
        with DataFolder(options.data_dir) as folder:
            return _run(Stage(folder, options.port), options, console, stopping)
    except StartCancelledError:
        return 130
    except StackError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.shop",
        description="Start Redrive and a shop whose payments fail, and watch the payments being retried.",
    )
    parser.add_argument("--once", action="store_true", help="run to the end, check everything, and exit 0 or 1")
    parser.add_argument("--orders", type=_number(1, 10_000), default=40, metavar="N", help="how many (default: 40)")
    parser.add_argument(
        "--port", type=_number(0, 65_535), help="API and console; 0 for any free port (default: 8600 if it is free)"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(".redrive/demo"),
        help="emptied at the start, deleted at the end (default: .redrive/demo)",
    )
    parser.add_argument("--keep", action="store_true", help="do not delete the data at the end")
    return parser


def _number(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text!r}")
        return int(text)

    return number


def _run(stage: Stage, options: argparse.Namespace, console: Console, stopping: SignalFlag) -> int:
    _handle_signals(stage, stopping)
    delete = False
    try:
        console.print("Starting Redrive, the shop and its payment provider …")
        begun = time.monotonic()
        stage.start(stopping)
        console.print(banner(stage, time.monotonic() - begun))
        with httpx.Client(base_url=stage.api_url, trust_env=False, timeout=10.0) as api:
            set_policies(api)
            play = Play(stage, Board(api), console, stopping)
            wrong = play.run(list(islice(make_orders(), options.orders)))
            _judge(console, wrong)
            console.print(closing(stage, going_on=not options.once))
            if not options.once:
                play.go_on(options.orders + 1)
        delete = not wrong and not options.keep
        return 1 if wrong and options.once else 0
    except StartCancelledError:
        delete = not options.keep
        raise
    finally:
        console.print("Stopping …")
        stage.stop()
        if delete:
            stage.remove_data()
        else:
            console.print(f"The data and the logs are in {stage.folder.path}")


def set_policies(api: httpx.Client) -> None:
    """Tell Redrive how the shop's scenes are to be retried."""
    made = api.post("/v1/groups", json={"name": "shop", "description": "The demo's shop"})
    if made.status_code != 409:  # the shop's own registration may have made it already
        made.raise_for_status()
    for scene, policy in POLICIES.items():
        api.post("/v1/groups/shop/scenes", json={"name": scene, "policy": policy}).raise_for_status()


class Play:
    """Customers who buy things while somebody is watching.

    Args:
        stage: Where it plays.
        board: The tasks.
        console: Where to show it.
        stopping: Ends it.
    """

    def __init__(self, stage: Stage, board: Board, console: Console, stopping: SignalFlag) -> None:
        self._stage = stage
        self._board = board
        self._console = console
        self._stopping = stopping
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="customer")
        self._placed: list[Future[None]] = []

    def run(self, orders: Sequence[Order]) -> list[str]:
        """Place these orders, wait for the end of all of their tasks, and tell what went wrong.

        Raises:
            StackError: A process has ended.
            StartCancelledError: Somebody pressed Ctrl-C.
        """
        begun = news_at = time.monotonic()
        # The outage begins with the first order that meets it, so those come while it lasts.
        queue = sorted(orders, key=lambda order: order.card != "outage")
        expected = {(order.id, scene) for order in orders for scene in order.expected()}
        with View(self._console, self._board, len(orders)) as view:
            while not self._is_over(len(orders), expected) and time.monotonic() - news_at < QUIET_SECONDS:
                if self._is_stopped():
                    raise StartCancelledError("stopped before the end")
                due = int((time.monotonic() - begun) * ORDERS_PER_SECOND)
                for order in queue[len(self._placed) : due]:
                    self._place(order)
                fresh = self._look()
                if fresh or len(self._placed) < len(orders):
                    news_at = time.monotonic()
                view.show(len(self._placed), fresh)
        seconds = time.monotonic() - begun
        results = list(self._pool.map(self._board.result, list(self._board.tasks.values())))
        summary(self._console, orders, results, seconds)
        return [*self._refusals(), *check(orders, self._evidence(results))]

    def go_on(self, first: int) -> None:
        """Place an order now and then, until somebody presses Ctrl-C.

        Args:
            first: Number of the first order.

        Raises:
            StackError: A process has ended.
        """
        orders = make_orders(first)
        next_at = 0.0
        with View(self._console, self._board, None) as view:
            while not self._is_stopped():
                if time.monotonic() >= next_at:
                    next_at = time.monotonic() + LATER_ORDER_SECONDS
                    self._place(next(orders))
                view.show(len(self._placed), self._look())

    def _is_stopped(self) -> bool:
        """Wait a moment, and tell whether somebody has pressed Ctrl-C."""
        if self._stopping.wait(LOOK_SECONDS):
            self._pool.shutdown(wait=False, cancel_futures=True)
            return True
        self._stage.check()
        return False

    def _place(self, order: Order) -> None:
        self._placed.append(self._pool.submit(_buy, self._stage.shop_url, order))

    def _look(self) -> list[Event]:
        try:
            return self._board.refresh()
        except httpx.HTTPError:
            return []  # some part was killed, perhaps by the person who is watching: it will be back

    def _is_over(self, orders: int, expected: set[tuple[str, str]]) -> bool:
        placed = len(self._placed) == orders and all(future.done() for future in self._placed)
        return placed and self._board.count_ended(expected) == len(expected)

    def _refusals(self) -> list[str]:
        errors = [future.exception() for future in self._placed if future.done()]
        return [f"an order was not taken: {error}" for error in errors if error is not None]

    def _evidence(self, results: Sequence[Result]) -> Evidence:
        ledger: dict[str, str] = _get(f"{self._stage.shop_url}/ledger")
        books: dict[str, Any] = _get(f"{self._stage.provider_url}/books")
        return Evidence(
            results=results,
            ledger=ledger,
            charges=[(charge["order"], charge["id"]) for charge in books["charges"]],
            mails=books["mails"],
            parcels=books["parcels"],
            impatient=books["impatient"],
        )


def _buy(shop_url: str, order: Order) -> None:
    """Place an order as a customer does."""
    httpx.post(f"{shop_url}/orders", json=asdict(order), timeout=30.0, trust_env=False).raise_for_status()


def _get(url: str) -> Any:
    return httpx.get(url, timeout=30.0, trust_env=False).raise_for_status().json()


def _judge(console: Console, wrong: Sequence[str]) -> None:
    if not wrong:
        console.print("Everything ended as it should.\n", style="bold green")
        return
    console.print(f"{len(wrong)} thing(s) did not end as they should:", style="bold red")
    for line in wrong:
        console.print(f"  {line}")


def _handle_signals(stage: Stage, stopping: SignalFlag) -> None:
    """Stop on the first signal; a second Ctrl-C ends everything at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        if stopping.is_set() and number == signal.SIGINT:
            stage.kill()
            os._exit(130)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main())
