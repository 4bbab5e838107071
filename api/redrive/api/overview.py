"""The overview: all figures of a namespace or a group, of one moment."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from redrive.api.engine import Engine, EngineUnavailable
from redrive.api.schemas.stats import (
    Backlog,
    DueNext,
    FailingScene,
    Lag,
    LagPoint,
    NodeCounts,
    Overview,
    Range,
    RisingError,
    SuccessAfter,
    Throughput,
    Vitals,
)
from redrive.core.histogram import quantile_seconds
from redrive.core.selection import Selection
from redrive.core.states import TaskStatus
from redrive.store import nodes, reconciliations, search, statistics
from redrive.store.database import Database
from redrive.store.settings import Settings
from redrive.store.statistics import Place, Span

_RANGES: Final[dict[Range, tuple[int, int, int]]] = {
    # Seconds of the range, of a bucket, and of the tallies that are read: some seventy points each.
    "1h": (3_600, 60, 60),
    "6h": (21_600, 300, 60),
    "24h": (86_400, 1_200, 600),
    "7d": (604_800, 7_200, 3_600),
}
_WORST: Final = 10
_ERRORS_LOOKED_AT: Final = 1_000
_DUE_HOURS: Final = 24
_HOUR: Final = 3_600
_PROBE_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 0.1
_LATE_ROUNDS: Final = 3


class EngineProbe:
    """Tells whether Temporal answers, without making anybody wait for it.

    Args:
        engine: Temporal.

    Attributes:
        version: Its version; None while it does not answer.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[bool] | None = None
        self._up = False
        self.version: str | None = None

    async def is_up(self) -> bool:
        """Tell what the last answer said; when it is some seconds old, ask again and wait a moment for it."""
        if self._asking is None and time.monotonic() - self._asked_at > _PROBE_SECONDS:
            self._asking = asyncio.create_task(self._ask())
        asking = self._asking
        if asking is not None:
            done, _ = await asyncio.wait([asking], timeout=_PATIENCE_SECONDS)
            if done and self._asking is asking:  # nobody else who waited for it has taken its answer
                self._up = asking.result()
                self._asking, self._asked_at = None, time.monotonic()
        return self._up

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> bool:
        try:
            await self._engine.check()
            self.version = await self._engine.server_version()
        except EngineUnavailable:
            self.version = None
            return False
        return True


class Overviews:
    """Makes overviews.

    Args:
        database: Where figures are.
        probe: Tells whether Temporal answers.
        settings: How often workflows and tasks are compared.
    """

    def __init__(self, database: Database, probe: EngineProbe, settings: Settings) -> None:
        self._database = database
        self._probe = probe
        self._late_after = timedelta(seconds=settings.reconcile_seconds * _LATE_ROUNDS)

    async def show(self, place: Place, wanted: Range) -> Overview:
        """Make an overview.

        Args:
            place: Of what.
            wanted: How far back.
        """
        engine_is_up = await self._probe.is_up()
        async with self._database.begin() as session:
            now = await statistics.begin(session)
            span = span_of(wanted, now)
            found = await statistics.count_by_status(session, place)
            counts = {status: found.get(status, 0) for status in TaskStatus}
            throughput = await _throughput(session, place, span)
            successes = await statistics.successes_by_attempts(session, place, span)
            lag = await _lag(session, place, span)
            scenes = await statistics.failing_scenes(session, place, span, _WORST)
            errors = await _rising_errors(session, place, span)
            breakers = await statistics.count_open_breakers(session, place)
            states = await nodes.count_states(session, place.namespace, place.group)
            backlog, due = await _due(session, place, now, counts[TaskStatus.PENDING])
            health = await self._health(session, now, engine_is_up)
        return Overview(
            at=now,
            since=span.since,
            until=span.until,
            bucket_seconds=span.bucket_seconds,
            counts=counts,
            throughput=throughput,
            success_after=[SuccessAfter(attempts=attempts, count=count) for attempts, count in successes.items()],
            lag=lag,
            failing_scenes=[
                FailingScene(
                    group=scene.group,
                    scene=scene.scene,
                    succeeded=scene.succeeded,
                    dead=scene.dead,
                    attempts=scene.attempts,
                    failed=scene.failed,
                )
                for scene in scenes
            ],
            rising_errors=errors,
            breakers_open=breakers,
            nodes=NodeCounts(**{state: states.get(state, 0) for state in ("live", "draining", "lost")}),
            backlog=backlog,
            due_next=due,
            health=health,
        )

    async def _health(self, session: AsyncSession, now: datetime, engine_is_up: bool) -> Vitals:
        recent = await reconciliations.list_recent(session, 1)
        last = recent[0] if recent else None
        engine: Literal["up", "down"] = "up" if engine_is_up else "down"
        if last is None:
            return Vitals(engine=engine, reconciler="never", reconciled_at=None, repaired=0)
        return Vitals(
            engine=engine,
            reconciler="late" if now - last.finished_at > self._late_after else "ok",
            reconciled_at=last.finished_at,
            repaired=last.restarted + last.cancelled + last.closed,
        )


def span_of(wanted: Range, now: datetime) -> Span:
    """Tell the span of a range that ends with the bucket of this moment.

    Args:
        wanted: The range.
        now: The moment.
    """
    seconds, bucket, resolution = _RANGES[wanted]
    until = datetime.fromtimestamp((int(now.timestamp()) // bucket + 1) * bucket, UTC)
    return Span(until - timedelta(seconds=seconds), until, bucket, resolution)


async def _throughput(session: AsyncSession, place: Place, span: Span) -> list[Throughput]:
    ends = await statistics.ends(session, place, span)
    attempts = await statistics.attempts(session, place, span)
    points: list[Throughput] = []
    for at in _buckets(span):
        ended, failed = attempts.get(at, (0, 0))
        points.append(
            Throughput(
                at=at,
                succeeded=ends.get((at, TaskStatus.SUCCEEDED), 0),
                dead=ends.get((at, TaskStatus.DEAD), 0),
                cancelled=ends.get((at, TaskStatus.CANCELLED), 0),
                attempts=ended,
                failed=failed,
            )
        )
    return points


async def _lag(session: AsyncSession, place: Place, span: Span) -> Lag:
    found = await statistics.lags(session, place, span)
    total: Counter[int] = Counter()
    for histogram in found.values():
        total.update(histogram)
    series: list[LagPoint] = []
    for at in _buckets(span):
        histogram = found.get(at, {})
        p50, p99 = (quantile_seconds(histogram, share) for share in (0.5, 0.99))
        series.append(LagPoint(at=at, p50_seconds=p50, p99_seconds=p99))
    p50, p99 = (quantile_seconds(total, share) for share in (0.5, 0.99))
    return Lag(p50_seconds=p50, p99_seconds=p99, series=series)


async def _rising_errors(session: AsyncSession, place: Place, span: Span) -> list[RisingError]:
    died = Selection(
        group=place.group, status=(TaskStatus.DEAD,), finished_after=span.since, finished_before=span.until
    )
    earlier = replace(died, finished_after=span.since - (span.until - span.since), finished_before=span.since)
    now = await search.count_by_error(session, place.namespace, died, limit=_ERRORS_LOOKED_AT)
    then = await search.count_by_error(session, place.namespace, earlier, limit=_ERRORS_LOOKED_AT)
    before = {error.fingerprint: error.count for error in then}
    rising = [
        RisingError(
            fingerprint=error.fingerprint,
            error_type=error.error_type,
            message=error.message,
            count=error.count,
            before=before.get(error.fingerprint, 0),
        )
        for error in now
        if error.count > before.get(error.fingerprint, 0)
    ]
    return sorted(rising, key=lambda error: error.before - error.count)[:_WORST]


async def _due(session: AsyncSession, place: Place, now: datetime, pending: int) -> tuple[Backlog, list[DueNext]]:
    minute = now.replace(second=0, microsecond=0)
    end = minute + timedelta(hours=_DUE_HOURS)
    found = await statistics.due(session, place, minute, end, _HOUR)
    overdue = found.get(-1, 0)
    oldest = await statistics.longest_due(session, place)
    backlog = Backlog(
        pending=pending,
        overdue=overdue,
        before=minute,
        oldest_due_at=oldest if overdue else None,
    )
    hours = [DueNext(at=minute + timedelta(hours=number), count=found.get(number, 0)) for number in range(_DUE_HOURS)]
    return backlog, hours


def _buckets(span: Span) -> list[datetime]:
    step = timedelta(seconds=span.bucket_seconds)
    return [span.since + step * number for number in range((span.until - span.since) // step)]
