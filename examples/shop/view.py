"""What the demo shows: a live board, or plain lines where there is no terminal, and a summary."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from examples.shop.board import Board, Event, Task, phrase
from examples.shop.scenario import CHARGE, SCENES, Order, Result
from examples.shop.stage import Stage
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

STATES = ("pending", "waiting", "running", "parked", "succeeded", "dead")
STYLES = {"waiting": "cyan", "running": "blue", "parked": "magenta", "succeeded": "green", "dead": "bold red"}
ENDS = (("succeeded", None), ("dead", "exhausted"), ("dead", "rejected"), ("dead", "stopped"))
EVENTS = 10
PLAIN_SECONDS = 2.0  # between two lines where there is no terminal


class View:
    """The demo's progress on a terminal, or as lines in a log.

    Args:
        console: Where to show it.
        board: The tasks.
        orders: How many orders there are to be, or None when there is no end.
    """

    def __init__(self, console: Console, board: Board, orders: int | None) -> None:
        self._console = console
        self._board = board
        self._orders = orders
        self._placed = 0
        self._begun = time.monotonic()
        self._plain_at = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, placed: int, fresh: Sequence[Event]) -> None:
        """Show where things stand.

        Args:
            placed: How many orders were placed.
            fresh: What has happened since the last time.
        """
        self._placed = placed
        if self._live is not None:
            self._live.update(self._board_panel(), refresh=True)
            return
        for event in fresh:
            if event.task.status == "dead":
                self._console.print(f"{event.at.astimezone():%H:%M:%S} {_line(event.task, event.at)}")
        if time.monotonic() >= self._plain_at and (fresh or self._orders is not None):
            self._plain_at = time.monotonic() + PLAIN_SECONDS
            states = Counter(task.status for task in self._board.tasks.values())
            counts = ", ".join(f"{states[state]} {state}" for state in STATES if states[state])
            self._console.print(f"{datetime.now().astimezone():%H:%M:%S} {self._heading()}: {counts or 'no tasks yet'}")

    def _heading(self) -> str:
        of = "" if self._orders is None else f" of {self._orders}"
        elapsed = time.monotonic() - self._begun
        return f"{self._placed}{of} orders after {elapsed:.0f} s, {self._board.attempts_per_second:.1f} attempts/s"

    def _board_panel(self) -> RenderableType:
        now = datetime.now(UTC)
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("scene", min_width=18)
        for state in STATES:
            table.add_column(state, justify="right", min_width=9)
        states = self._board.states
        for scene in SCENES:
            counts = [states[scene, state] for state in STATES]
            table.add_row(scene, *(_count(count, state) for count, state in zip(counts, STATES, strict=True)))
        due = self._board.next_due
        following = "nothing is waiting" if due is None else f"next: {due.order} {due.scene} {_until(due, now)}"
        recent = list(self._board.events)[-EVENTS:]
        return Group(
            Text.assemble("\n", (self._heading(), "bold"), (f" · {following}", "dim")),
            Text(),
            table,
            Text(),
            *(_event(event, self._console.width) for event in recent),
            *(Text() for _ in range(EVENTS - len(recent))),
        )


def banner(stage: Stage, seconds: float) -> Text:
    """Say where everything is."""
    return Text.assemble(
        (f"Redrive, the shop and its provider are ready after {seconds:.1f} s\n", "green"),
        *_addresses(stage),
    )


def summary(console: Console, orders: Sequence[Order], results: Sequence[Result], seconds: float) -> None:
    """Show how everything ended.

    Args:
        console: Where to show it.
        orders: What was bought.
        results: What became of the tasks.
        seconds: How long it took.
    """
    table = Table(
        title="How the tasks ended", title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("scene", min_width=16)
    for status, reason in ENDS:
        table.add_column(reason or status, justify="right", style=STYLES[status])
    for column in ("tasks", "attempts"):
        table.add_column(column, justify="right")
    for scene in SCENES:
        table.add_row(scene, *_row([result for result in results if result.scene == scene]))
    table.add_section()
    table.add_row("all", *_row(results), style="bold")
    console.print()
    console.print(table)

    retried_charges = sum(result.scene == CHARGE and result.status == "succeeded" for result in results)
    paid = sum(order.is_paid for order in orders)
    console.print(
        f"{len(orders)} orders in {seconds:.0f} s: {paid - retried_charges} paid at once, {retried_charges} paid "
        f"through Redrive, {len(orders) - paid} that cannot be paid."
    )
    succeeded = [len(result.attempts) for result in results if result.status == "succeeded"]
    first = sum(attempts == 1 for attempts in succeeded)
    console.print(
        f"{first} tasks succeeded at the first attempt, {len(succeeded) - first} were retried until they did."
    )
    lags = sorted(attempt.lag_seconds * 1000 for result in results for attempt in result.attempts)
    if lags:
        console.print(
            f"Attempts started after their due time by p50 {_percentile(lags, 50):.0f} ms, "
            f"p99 {_percentile(lags, 99):.0f} ms, at most {lags[-1]:.0f} ms."
        )


def closing(stage: Stage, *, going_on: bool) -> Text:
    """Say where to look, and what to try next."""
    if not going_on:
        return Text.assemble(
            ("What to try next\n", "bold"),
            "  make demo              the same without an end: look around in the console meanwhile\n",
            "  examples/shop/shop.py  the shop: what an application does to have its calls retried\n",
            "  docs/tutorial.md       from nothing to a retried call, step by step\n",
        )
    url = "" if stage.api_url.endswith(":8600") else f" --url {stage.api_url}"
    return Text.assemble(
        *_addresses(stage),
        ("\nWhat to try next\n", "bold"),
        f"  .venv/bin/redrive tasks list --status dead{url}\n",
        f"  .venv/bin/redrive tasks attempts <id>{url}\n",
        f"  kill -9 any part of it ({stage.folder.path / 'stack/stack.json'} has the ids): nothing is lost\n",
        ("A new order arrives now and then. Ctrl-C stops everything.\n", "dim"),
    )


def _addresses(stage: Stage) -> list[str | tuple[str, str]]:
    places = [
        ("Console", stage.api_url),
        ("API docs", f"{stage.api_url}/docs"),
        ("Temporal UI", stage.temporal_ui_url),
        ("The shop", f"{stage.shop_url}/docs"),
    ]
    return [part for name, url in places for part in (f"{name:<12}", (url, "cyan"), "\n")]


def _row(results: Sequence[Result]) -> list[str]:
    by_end = Counter((result.status, result.reason) for result in results)
    attempts = sum(len(result.attempts) for result in results)
    return [str(number or "–") for number in (*(by_end[end] for end in ENDS), len(results), attempts)]


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _count(count: int, state: str) -> Text:
    return Text(str(count or "·"), style=STYLES.get(state, "") if count else "dim")


def _until(task: Task, now: datetime) -> str:
    seconds = (task.next_attempt_at - now).total_seconds() if task.next_attempt_at else 0.0
    return f"in {seconds:.1f} s" if seconds > 0 else "now"


def _line(task: Task, at: datetime) -> str:
    return f"{task.order} {task.scene}: {phrase(task, at)}"


def _event(event: Event, width: int) -> Text:
    line = Text.assemble(
        (f"{event.at.astimezone():%H:%M:%S} ", "dim"),
        (_line(event.task, event.at), STYLES.get(event.task.status, "")),
    )
    line.truncate(width, overflow="ellipsis")
    return line
