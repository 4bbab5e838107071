"""From a report in memory to the server's disk, or to this machine's.

One thread per client, started by the first report, takes what waits, sends it (one report alone, several as a batch)
and tells each caller what became of its own. Callers that arrive while a request is on its way share the next one, so
the more there is to report, the fewer requests it takes.

    caller ── submit ──► queue ──► sender thread ──► server          acknowledged
                 │                       │  server away
                 └── server away ──► spool ◄─┘       ──► server      when it is back, in order, by one process

Nothing acknowledged lives in memory only: a caller waits for the server's answer or for the disk. Background reports
are the exception that their caller chose; they go out within the window, at exit and on SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias, cast

from redrive.core.backoff import next_delay
from redrive.core.policy import EqualJitter, ExponentialBackoff
from redrive.core.wire import MAX_BATCH
from redrive.sdk._http import Answer, Connection, refusal
from redrive.sdk.errors import AccessDenied, Rejected, ReportError, Unavailable
from redrive.sdk.lost import LastResort
from redrive.sdk.report import Outgoing, Receipt
from redrive.sdk.spool import Spool, Spooled
from redrive.sdk.window import Window

log = logging.getLogger("redrive.sdk")

_MAX_BATCH_SIZE: Final = 4 * 1024 * 1024
_PROBE: Final = ExponentialBackoff(initial_seconds=0.5, multiplier=2, max_seconds=15, jitter=EqualJitter())
_OTHER_SHIPS_SECONDS: Final = 1.0

Outcome: TypeAlias = Receipt | ReportError


@dataclass(slots=True)
class _Pending:
    outgoing: Outgoing
    future: Future[Receipt]
    urgent: bool
    since: float = field(default_factory=time.monotonic)


class Sender:
    """Sends reports, keeps them when the server is away, and sends them again when it is back.

    Args:
        connection: The way to the server.
        spool: Where reports wait; None to refuse them when the server is away.
        window: The limits of background reports.
        lost: Takes what can be brought nowhere.
    """

    def __init__(self, connection: Connection, spool: Spool | None, window: Window, lost: LastResort) -> None:
        self._lost = lost
        self._connection = connection
        self._spool = spool
        self._window = window
        self._reset()

    def submit(self, outgoing: Outgoing, *, urgent: bool = True) -> Future[Receipt]:
        """Hand over a report.

        Args:
            outgoing: The report.
            urgent: Whether somebody waits for it; otherwise it may wait for company.

        Returns:
            What becomes of it.
        """
        pending = _Pending(outgoing, Future(), urgent)
        with self._condition:
            full = len(self._queue) >= self._window.capacity
            if not self._away and not full:
                self._queue.append(pending)
                self._start()
                self._condition.notify()
                return pending.future
        self._keep([pending], Unavailable("too many reports wait in memory" if full else self._why_away))
        return pending.future

    def withdraw(self, outgoing: Outgoing, future: Future[Receipt]) -> Receipt:
        """Stop waiting for a report: it goes to the spool, whether it is on its way or not.

        Args:
            outgoing: The report.
            future: What `submit` returned.

        Returns:
            The receipt of the spool, or of the server when it answered meanwhile.

        Raises:
            ReportError: It could not be kept.
        """
        with self._condition:
            waiting = [item for item in self._queue if item.future is future]
            for item in waiting:
                self._queue.remove(item)
        if future.done():
            return future.result()
        # On its way, it may arrive as well: the same report twice is one task, since both carry one report id.
        return self.keep(outgoing, "the server did not answer in time")

    def keep(self, outgoing: Outgoing, reason: str) -> Receipt:
        """Put a report into the spool without asking the server.

        Args:
            outgoing: The report.
            reason: Why, for the error when there is no spool.

        Returns:
            The receipt of the spool.

        Raises:
            Unavailable: There is no spool, or the disk is full.
        """
        kept = _Pending(outgoing, Future(), urgent=True)
        self._keep([kept], Unavailable(reason))
        return kept.future.result()

    def flush(self, timeout_seconds: float) -> bool:
        """Send what waits in memory now.

        Args:
            timeout_seconds: The longest to wait, in seconds; what is left then goes to the spool.

        Returns:
            Whether all of it reached the server or the spool.
        """
        with self._condition:
            self._hurry = True
            self._condition.notify()
            self._condition.wait_for(lambda: not self._queue and not self._busy, timeout_seconds)
            left = list(self._queue)
            self._queue.clear()
            self._hurry = False
        if left:
            self._keep(left, Unavailable("the time to flush was over"))
        return all(item.future.exception() is None for item in left)

    def ship(self) -> None:
        """Send what the spool holds, if it holds anything, in the background."""
        if self._spool is not None and self._spool.exists():
            with self._condition:
                self._unshipped = True
                self._start()
                self._condition.notify()

    @property
    def unshipped(self) -> bool:
        """Whether this process knows of reports in the spool."""
        return self._unshipped

    def close(self, timeout_seconds: float) -> bool:
        """Flush, and end the thread.

        Args:
            timeout_seconds: The longest to wait, in seconds.

        Returns:
            Whether all of it reached the server or the spool.
        """
        thread = self._thread
        kept = self.flush(timeout_seconds) if thread is not None else True
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_seconds)
        with self._condition:
            self._closing = False
        return kept

    def reset_after_fork(self) -> None:
        """Begin anew in a child: the thread stayed in the parent, and what waits there is the parent's to send."""
        self._reset()
        self._lost.reset_after_fork()
        self.ship()

    def _reset(self) -> None:
        self._condition = threading.Condition()
        self._queue: deque[_Pending] = deque()
        self._thread: threading.Thread | None = None
        self._busy = False
        self._hurry = False
        self._closing = False
        self._away = False
        self._why_away = ""
        self._unshipped = False
        self._probes = 0
        self._next_probe = 0.0

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="redrive-sender", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._condition:
                batch = self._take()
                while not batch and not self._ship_due():
                    if self._closing or (not self._condition.wait(self._patience()) and self._idle()):
                        self._thread = None
                        return
                    batch = self._take()
                self._busy = bool(batch)
            if batch:
                self._send(batch)
                with self._condition:
                    self._busy = False
                    self._condition.notify_all()
            else:
                self._ship_some()

    def _take(self) -> list[_Pending]:
        """Take what is to go now: everything, as soon as anything is urgent or the window is full."""
        if not self._queue:
            return []
        oldest = self._queue[0]
        ripe = len(self._queue) >= self._window.count or time.monotonic() - oldest.since >= self._window.seconds
        if not (ripe or self._hurry or self._closing or any(item.urgent for item in self._queue)):
            return []
        batch: list[_Pending] = []
        total = 0
        while self._queue and len(batch) < MAX_BATCH:
            total += self._queue[0].outgoing.size
            if batch and total > _MAX_BATCH_SIZE:
                break
            batch.append(self._queue.popleft())
        return batch

    def _patience(self) -> float:
        now = time.monotonic()
        waits = [5.0]
        if self._queue:
            waits.append(self._queue[0].since + self._window.seconds - now)
        if self._unshipped:
            waits.append(self._next_probe - now)
        return max(0.001, min(waits))

    def _idle(self) -> bool:
        return not self._queue and not self._unshipped

    def _ship_due(self) -> bool:
        return self._unshipped and not self._closing and time.monotonic() >= self._next_probe

    def _send(self, batch: list[_Pending]) -> None:
        if self._away:
            self._keep(batch, Unavailable(self._why_away))
            return
        try:
            outcomes = post(self._connection, [item.outgoing for item in batch])
        except Unavailable as error:
            self._gone(error)
            self._keep(batch, error)
            return
        except Exception as error:  # noqa: BLE001 - the thread must live, and the callers must hear of it
            self._keep(batch, Unavailable(f"{type(error).__name__}: {error}"))
            return
        later: list[_Pending] = []
        for item, outcome in zip(batch, outcomes, strict=True):
            # Nobody waits for a background report: what a caller would be told is logged, and a wrong key is no reason
            # to lose it.
            if isinstance(outcome, Unavailable) or (isinstance(outcome, AccessDenied) and not item.urgent):
                later.append(item)
                continue
            if isinstance(outcome, ReportError) and not item.urgent:
                log.error("redrive: a background report was refused: %s", outcome)
                self._lost.take([item.outgoing], outcome)
            _settle(item.future, outcome)
        if later:
            self._keep(later, Unavailable("the server could not take this report now"))

    def _keep(self, batch: Sequence[_Pending], reason: Unavailable) -> None:
        """Put reports on this machine's disk; tell their callers when even that fails."""
        if self._spool is None:
            self._lose(batch, reason)
            return
        try:
            self._spool.append([item.outgoing for item in batch])
        except (sqlite3.Error, OSError) as error:
            log.error("redrive: %d reports could not be kept in %s: %s", len(batch), self._spool.path, error)
            self._lose(batch, Unavailable(f"{reason}; and the spool {self._spool.path} failed: {error}"))
            return
        for item in batch:
            _settle(item.future, item.outgoing.receipt("spooled"))
        with self._condition:
            self._unshipped = True
            if not self._closing:
                self._start()
            self._condition.notify()

    def _lose(self, batch: Sequence[_Pending], reason: Unavailable) -> None:
        # The last resort first: who is told that a report is lost may end the process.
        self._lost.take([item.outgoing for item in batch], reason)
        for item in batch:
            _settle(item.future, reason)

    def _gone(self, error: Unavailable) -> None:
        with self._condition:
            first = not self._away
            self._away = self._spool is not None
            self._why_away = str(error)
            self._probes += 1
            wait = next_delay(_PROBE, self._probes, datetime.now(UTC), _random).seconds
            self._next_probe = time.monotonic() + max(wait, min(error.retry_after_seconds or 0.0, 60.0))
        if first:
            where = f"; reports wait in {self._spool.path}" if self._spool is not None else ""
            log.warning("redrive: the server is away (%s)%s", error, where)

    def _back(self) -> None:
        with self._condition:
            was_away = self._away
            self._away = False
            self._probes = 0
            self._next_probe = 0.0
        if was_away:
            log.warning("redrive: the server is back; the spool is being sent")

    def _ship_some(self) -> None:
        """Send the oldest part of the spool, when it is this process's turn."""
        spool = cast("Spool", self._spool)  # there is nothing unshipped without one
        try:
            with spool.shipping() as ours:
                if ours:
                    self._ship_while_ours(spool)
                else:
                    with self._condition:
                        # Another process ships. What it does not finish, because it dies, is ours to find.
                        self._unshipped = spool.count() > 0
                        self._next_probe = time.monotonic() + _OTHER_SHIPS_SECONDS * _random.uniform(0.5, 1.5)
                        if self._away and not self._unshipped:
                            self._away = False
        except Exception as error:  # noqa: BLE001 - a broken disk must not end the thread
            log.error("redrive: the spool %s cannot be sent: %s", spool.path, error)
            with self._condition:
                self._next_probe = time.monotonic() + 15.0

    def _ship_while_ours(self, spool: Spool) -> None:
        while not self._closing:
            reports = spool.first(MAX_BATCH, _MAX_BATCH_SIZE)
            if not reports:
                with self._condition:
                    self._unshipped = False
                self._back()
                return
            try:
                outcomes = post(self._connection, [item.outgoing for item in reports])
            except Unavailable as error:
                self._gone(error)
                return
            denied = next((outcome for outcome in outcomes if isinstance(outcome, AccessDenied)), None)
            _file(spool, reports, outcomes)
            if denied is not None or any(isinstance(outcome, Unavailable) for outcome in outcomes):
                if denied is not None:
                    log.error("redrive: %s; %d reports wait in %s", denied, spool.count(), spool.path)
                self._gone(Unavailable(str(denied or "the server could not take a report now")))
                return
            self._back()
            if self._queue:
                return  # callers wait; the rest of the spool comes after them


_random: Final = random.Random()  # noqa: S311 - spreads waits, hides nothing


def post(connection: Connection, reports: Sequence[Outgoing]) -> list[Outcome]:
    """Send reports, and tell what became of each.

    Args:
        connection: The way to the server.
        reports: At most 1,000 reports.

    Returns:
        A receipt or an error for each report, in their order.

    Raises:
        Unavailable: Nothing is known of any of them.
    """
    if len(reports) == 1:
        return [_outcome(connection.call("POST", "/v1/tasks", reports[0].text), reports[0])]
    body = '{"tasks":[' + ",".join(item.text for item in reports) + "]}"
    answer = connection.call("POST", "/v1/tasks/batch", body)
    if answer.status == 413:  # the limit of a proxy on the way, perhaps: smaller ones may pass
        middle = len(reports) // 2
        return post(connection, reports[:middle]) + post(connection, reports[middle:])
    error = refusal(answer.status, answer.document)
    if isinstance(error, AccessDenied):
        return [error] * len(reports)
    if error is not None:
        # The server refuses the batch as a whole: one by one shows which report is at fault.
        return [_outcome(connection.call("POST", "/v1/tasks", item.text), item) for item in reports]
    results = {item["index"]: item for item in answer.document.get("results", ())}
    return [
        _outcome_of_item(results[index], item) if index in results else Unavailable("the server left a report out")
        for index, item in enumerate(reports)
    ]


def _outcome(answer: Answer, outgoing: Outgoing) -> Outcome:
    error = refusal(answer.status, answer.document)
    if error is not None:
        return error
    status: Literal["accepted", "duplicate"] = "duplicate" if answer.document.get("duplicate") else "accepted"
    return outgoing.receipt(status, answer.document.get("id"))


def _outcome_of_item(item: dict[str, Any], outgoing: Outgoing) -> Outcome:
    status = int(item["status"])
    if status >= 500 or status == 429:
        return Unavailable(f"the server answered {status} for one report of a batch")
    return _outcome(Answer(status, {**(item.get("problem") or {}), **item}), outgoing)


def _settle(future: Future[Receipt], outcome: Outcome) -> None:
    # A caller that gave up may have cancelled it: then nobody waits for the outcome.
    with contextlib.suppress(Exception):
        if isinstance(outcome, Receipt):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)


def _file(spool: Spool, reports: Sequence[Spooled], outcomes: Sequence[Outcome]) -> None:
    """Forget what the server has, set aside what it refuses, and leave the rest."""
    done: list[int] = []
    for item, outcome in zip(reports, outcomes, strict=True):
        if isinstance(outcome, Receipt):
            done.append(item.position)
        elif isinstance(outcome, Rejected):
            log.error("redrive: a report in the spool was refused and set aside: %s", outcome)
            spool.reject(item, json.dumps(outcome.problem))
    spool.remove(done)
