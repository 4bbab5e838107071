"""The books of limits: which attempts may run now, and when the others come again.

An attempt under limits needs a slot of every limit on the rate (`redrive.core.pacing`) and a permit of every limit on
attempts at a time. Each kind is asked for once: who comes too early is given the instant of its slot and keeps it, and
who finds all permits taken is given a turn, the estimated instant at which one of them is free.

A turn is an estimate and no promise. The turns go round within `LONGEST_TURN_SECONDS`, so that a backlog does not
sleep long beyond the estimate, and asks for permits at a bounded pace however large it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from redrive.core.pacing import concurrency, reserve
from redrive.core.restraints import LimitSetting, ScopeKey, described

LONGEST_TURN_SECONDS: Final = 60.0
"""The longest that an attempt waits for a permit before it asks again."""

_ASSUMED_SECONDS: Final = 1.0
"""How long an attempt takes, before one of the scope has ended."""

_HASTE: Final = 1.25
"""Turns come this much faster than permits are expected to be free: one too early costs a question, one too late
leaves a permit unused."""


@dataclass(frozen=True, slots=True)
class Book:
    """The state of one limit.

    Attributes:
        setting: What it allows.
        tat: The theoretical arrival time of the next slot; None before the first.
        turn_at: The last turn that was given; None before the first.
        average_seconds: How long attempts take, in seconds; None before the first has ended.
        running: How many permits are taken.
    """

    setting: LimitSetting
    tat: datetime | None = None
    turn_at: datetime | None = None
    average_seconds: float | None = None
    running: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """An attempt that asks to run.

    Attributes:
        keys: The scopes it is under; those without a book do not limit it.
        has_slot: Whether it was given a slot before, and that has come.
    """

    keys: tuple[ScopeKey, ...]
    has_slot: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """The attempt may run, and holds a permit of each limit on attempts at a time."""


@dataclass(frozen=True, slots=True)
class Later:
    """The attempt may not run yet.

    Attributes:
        at: When it is to ask again.
        why: The limit that says so.
    """

    at: datetime
    why: str


Answer: TypeAlias = Granted | Later


def settle(
    books: Mapping[ScopeKey, Book], wishes: Sequence[Wish], now: datetime
) -> tuple[list[Answer], dict[ScopeKey, Book]]:
    """Answer wishes in their order, and write the books on.

    Args:
        books: The limits, as they are under their locks.
        wishes: The attempts that ask.
        now: When.

    Returns:
        An answer for each wish, and the books after them. Whoever is told to come later has been given its slots: the
        wish with which it comes again says so.
    """
    open_books = {key: _Open(book) for key, book in books.items()}
    answers = [_answer([open_books[key] for key in wish.keys if key in open_books], wish, now) for wish in wishes]
    return answers, {key: book.closed() for key, book in open_books.items()}


class _Open:
    """A book while it is written."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.setting = book.setting
        self.tat = book.tat
        self.turn_at = book.turn_at
        self.running = book.running

    def slot(self, now: datetime) -> datetime:
        """Give the next slot; now where the rate is not limited."""
        if self.setting.rate is None:
            return now
        self.tat, (slot,) = reserve(self.tat, self.setting.rate, self.setting.burst, now)
        return slot

    @property
    def full(self) -> bool:
        """Whether all permits are taken."""
        return self.setting.concurrency is not None and self.running >= self.setting.concurrency

    def turn(self, now: datetime) -> datetime:
        """Give the next turn."""
        seconds = _ASSUMED_SECONDS if self._book.average_seconds is None else self._book.average_seconds
        pace = concurrency(self.setting.concurrency or 1, seconds).interval_seconds / _HASTE
        step = timedelta(seconds=min(pace, LONGEST_TURN_SECONDS))
        turn = max(now, self.turn_at or now) + step
        if turn > now + timedelta(seconds=LONGEST_TURN_SECONDS):
            turn = now + step
        self.turn_at = turn
        return turn

    def closed(self) -> Book:
        return Book(self.setting, self.tat, self.turn_at, self._book.average_seconds, self.running)


def _answer(books: Sequence[_Open], wish: Wish, now: datetime) -> Answer:
    if not wish.has_slot:
        slots = [(book.slot(now), book) for book in books]
        slot, last = max(slots, key=lambda one: one[0], default=(now, None))
        if last is not None and slot > now:
            return Later(slot, f"{described(last.setting.key)} is limited to {last.setting.rate:g} attempts per second")
    full = next((book for book in books if book.full), None)
    if full is not None:
        permits = f"{full.setting.concurrency} attempts at a time"
        return Later(full.turn(now), f"{described(full.setting.key)} is limited to {permits}, and all of them run")
    for book in books:
        book.running += book.setting.concurrency is not None
    return Granted()
