"""Targets that suffer, met by the governed policy and by plain exponential backoff in the same run.

Both variants have the same backoff, time-out and number of attempts. The plain one has its breaker and its budget
switched off and does not honour `Retry-After`, so that nothing but each task's own backoff stands between the backlog
and the target. The plots go to `docs/images`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from bench.figure import Line, chart
from bench.stack import Stack, report_many, running, wait_until
from bench.suffering import Asked, Behaviour, Said, Suffering, serving
from bench.table import markdown

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"
GOVERNED: Final = "governed"
PLAIN: Final = "plain backoff"
HEALTHY: Final = "work"
POISONOUS: Final = "poison"


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the scenarios are.

    Attributes:
        outage_tasks: Tasks that meet the total outage.
        tasks: Tasks that meet each of the other scenarios.
        trouble_seconds: How long the target is down, or slow, at least.
        trouble_requests: How often per task plain backoff must have asked by then. On a slow machine the trouble lasts
            longer, for both variants, so that all tasks meet it.
        spread_seconds: Over how long the tasks fall due.
        capacity: Requests per second that the target can take.
        timeout_seconds: Time-out of one attempt.
        backoff: The backoff of both variants.
        max_attempts: Their most attempts.
        rules: What the governed variant has beside the defaults.
        patience_seconds: When to give up waiting for the last task.
        at_once: Whether all run side by side. Otherwise each has the servers for itself: a storm of one variant would
            hold up the other.
    """

    outage_tasks: int = 2000
    tasks: int = 400
    trouble_seconds: float = 60
    trouble_requests: float = 0
    spread_seconds: float = 20
    capacity: float = 20
    timeout_seconds: float = 3
    backoff: Mapping[str, Any] = field(
        default_factory=lambda: {"kind": "exponential", "initial_seconds": 1, "max_seconds": 60}
    )
    max_attempts: int = 10
    rules: Mapping[str, Any] = field(default_factory=dict[str, Any])
    patience_seconds: float = 900
    at_once: bool = False


SMALL: Final = Scale(
    outage_tasks=24,
    tasks=16,
    trouble_seconds=4,
    trouble_requests=3,
    spread_seconds=2,
    capacity=10,
    timeout_seconds=1,
    backoff={"kind": "exponential", "initial_seconds": 0.5, "max_seconds": 4},
    max_attempts=8,
    rules={
        "breaker": {"minimum": 5, "open_seconds": 2, "max_open_seconds": 4, "rounds": 2},
        "budget": {"capacity": 20, "floor_per_second": 5},
        "slow_start": {"first_per_second": 3, "doubling_seconds": 1},
    },
    patience_seconds=90,
    at_once=True,
)
"""For a test: small, quick, and with everything side by side."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way of suffering.

    Attributes:
        name: Its name.
        title: What happens.
        behave: Makes what the target answers.
        tasks: Tasks by scene.
        ends_after: When the trouble is over, in seconds.
        haste: How much faster than the scale says its tasks fall due.
    """

    name: str
    title: str
    behave: Behaviour
    tasks: Mapping[str, int]
    ends_after: float
    haste: float = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one variant of a scenario.

    Attributes:
        scenario: The scenario.
        variant: The variant.
        attempts: Attempts that were spent, by scene.
        dead: Dead tasks by scene.
        succeeded: Tasks that have succeeded by scene.
        open: Tasks that had not ended when the patience was over.
        target: What it has seen.
        recovered: Seconds from the end of the trouble to the last success of a healthy task; None when there was none.
    """

    scenario: Scenario
    variant: str
    attempts: Mapping[str, int]
    dead: Mapping[str, int]
    succeeded: Mapping[str, int]
    open: int
    target: Suffering
    recovered: float | None

    @property
    def wrongly_dead(self) -> int:
        """Dead tasks that would have succeeded."""
        return sum(count for scene, count in self.dead.items() if scene != POISONOUS)


def scenarios(scale: Scale) -> list[Scenario]:
    """Make the scenarios of a scale."""
    trouble, tasks = scale.trouble_seconds, scale.tasks

    def outage(asked: Asked) -> Said:
        return Said(503) if asked.in_trouble or not asked.in_capacity else Said()

    def errors(asked: Asked) -> Said:
        # Three of each ten, evenly: 0, 3 and 7 of 0 … 9.
        return Said(500) if asked.number * 3 % 10 < 3 or not asked.in_capacity else Said()

    def throttled(asked: Asked) -> Said:
        return Said() if asked.in_capacity else Said(429, retry_after=2)

    def slow(asked: Asked) -> Said:
        return Said(after=scale.timeout_seconds + 1 if asked.in_trouble else 0.05)

    def poisonous(asked: Asked) -> Said:
        return Said(500) if asked.path.endswith(POISONOUS) or not asked.in_capacity else Said()

    healthy = {f"{HEALTHY}-{index}": tasks // 4 for index in range(4)}
    return [
        Scenario("outage", f"total outage of {trouble:g} s", outage, {HEALTHY: scale.outage_tasks}, trouble),
        Scenario("errors", "30 % errors", errors, {HEALTHY: tasks}, 0),
        Scenario("throttled", "429 with Retry-After above its capacity", throttled, {HEALTHY: tasks}, 0, haste=5),
        Scenario("slow", f"answers slower than the time-out for {trouble:g} s", slow, {HEALTHY: tasks}, trouble),
        Scenario(
            "poison",
            "one poisonous scene among four healthy ones",
            poisonous,
            {**healthy, POISONOUS: tasks // 4},
            0,
        ),
    ]


def run(stack: Stack, scale: Scale, names: Sequence[str] = ()) -> list[Result]:
    """Run the scenarios, each in both variants.

    Args:
        stack: Running servers.
        scale: How large.
        names: Which ones; none for all.

    Returns:
        The results: of each scenario the governed variant, then the plain one.
    """
    work: list[tuple[Scenario, str, Suffering]] = []
    for scenario in scenarios(scale):
        if not names or scenario.name in names:
            work += _variants(scenario, scale)

    def run(one: tuple[Scenario, str, Suffering]) -> Result:
        return _run(stack, scale, *one)

    with serving(*(target for _, _, target in work)), ThreadPoolExecutor(len(work) if scale.at_once else 1) as pool:
        return list(pool.map(run, work))


def _variants(scenario: Scenario, scale: Scale) -> list[tuple[Scenario, str, Suffering]]:
    """Make the targets of a scenario's variants, whose trouble ends at the same time."""
    enough = scale.trouble_requests * sum(scenario.tasks.values())

    def in_trouble(at: float) -> bool:
        return at < scenario.ends_after or (scenario.ends_after > 0 and len(plain.seen) < enough)

    governed, plain = (Suffering(scenario.behave, scale.capacity, in_trouble) for _ in range(2))
    return [(scenario, GOVERNED, governed), (scenario, PLAIN, plain)]


def _run(stack: Stack, scale: Scale, scenario: Scenario, variant: str, target: Suffering) -> Result:
    group = f"{scenario.name}-{'governed' if variant == GOVERNED else 'plain'}"
    with httpx.Client(base_url=stack.api, timeout=60) as client:
        groups = {group: {"scenes": {scene: {"policy": _policy(scale, variant, scene)} for scene in scenario.tasks}}}
        client.put("/v1/config", json={"groups": groups}).raise_for_status()
        tasks = [
            {
                "group": group,
                "scene": scene,
                "target": {"kind": "webhook", "url": f"{target.url}/{scene}"},
                "delay_seconds": 1 + scale.spread_seconds / scenario.haste * index / count,
            }
            for scene, count in scenario.tasks.items()
            for index in range(count)
        ]
        target.begin()
        began_at = datetime.now(UTC)
        report_many(client, tasks)
    with contextlib.suppress(TimeoutError):  # the result tells how many have not ended
        wait_until(lambda: _open(stack, group) == 0, scale.patience_seconds, every=0.5)
    return _result(stack, scenario, variant, group, target, began_at)


def _policy(scale: Scale, variant: str, scene: str) -> dict[str, Any]:
    policy: dict[str, Any] = {
        "backoff": dict(scale.backoff),
        "max_attempts": scale.max_attempts,
        "attempt_timeout_seconds": scale.timeout_seconds,
    }
    if variant == PLAIN:
        off = {"enabled": False}
        return {**policy, "breaker": off, "budget": off, "retry_after": {"honour": False}}
    if scene == POISONOUS:
        policy["poison"] = {"same_fingerprint": 3, "action": "dead"}
    return {**policy, **scale.rules}


def _open(stack: Stack, group: str) -> int:
    with psycopg.connect(stack.postgres.url) as connection:
        row = connection.execute(
            """SELECT count(*) FROM tasks WHERE "group" = %s AND finished_at IS NULL""", [group]
        ).fetchone()
    return 0 if row is None else int(row[0])


def _result(
    stack: Stack, scenario: Scenario, variant: str, group: str, target: Suffering, began_at: datetime
) -> Result:
    with psycopg.connect(stack.postgres.url) as connection:
        rows = connection.execute(
            """
            SELECT scene, count(*) FILTER (WHERE status = 'dead'), count(*) FILTER (WHERE status = 'succeeded'),
                sum(attempts), max(finished_at) FILTER (WHERE status = 'succeeded')
            FROM tasks WHERE "group" = %s GROUP BY scene
            """,
            [group],
        ).fetchall()
    trouble_over = began_at + timedelta(seconds=scenario.ends_after)
    last = max((row[4] for row in rows if row[4] is not None), default=None)
    return Result(
        scenario,
        variant,
        attempts={row[0]: row[3] for row in rows},
        dead={row[0]: row[1] for row in rows},
        succeeded={row[0]: row[2] for row in rows},
        open=_open(stack, group),
        target=target,
        recovered=None if last is None else (last - trouble_over).total_seconds(),
    )


def table(results: Sequence[Result]) -> str:
    """Lay the results out as a Markdown table."""
    return markdown(
        ["scenario", "variant", "tasks", "attempts spent", "peak/s", "peak/s after", "recovered", "wrongly dead"],
        [
            [
                result.scenario.title if result.variant == GOVERNED else "",
                result.variant,
                sum(result.scenario.tasks.values()),
                sum(result.attempts.values()),
                f"{result.target.peak()} of {result.target.capacity:g}",
                result.target.peak(result.scenario.ends_after) if result.scenario.ends_after else "",
                "never" if result.recovered is None else f"{result.recovered:.0f} s",
                result.wrongly_dead + result.open,
            ]
            for result in results
        ],
    )


def draw(results: Sequence[Result], folder: Path) -> None:
    """Draw of each scenario the requests per second at the target, the variants above one another.

    Args:
        results: The results.
        folder: Where the files go.
    """
    for name in dict.fromkeys(result.scenario.name for result in results):
        of_one = [result for result in results if result.scenario.name == name]
        lines = [Line(result.variant, _per_second(result.target)) for result in of_one]
        scenario, capacity = of_one[0].scenario, of_one[0].target.capacity
        svg = chart(scenario.title, lines, limit=capacity, limit_name="capacity", shaded=scenario.ends_after)
        (folder / f"governance-{name}.svg").write_text(svg, encoding="utf-8")


def _per_second(target: Suffering) -> list[float]:
    counts = [0.0] * (int(max((at for at, _ in target.seen), default=0)) + 2)
    for at, _ in target.seen:
        counts[int(at)] += 1
    return counts


def measure(scale: Scale | None = None, names: Sequence[str] = (), clock: Callable[[], float] = time.monotonic) -> str:
    """Run the scenarios on servers of their own, draw them, and return their table.

    Args:
        scale: How large; the full size when left out.
        names: Which ones; none for all.
        clock: A monotonic clock, in seconds.
    """
    began = clock()
    with running() as stack:
        results = run(stack, scale or Scale(), names)
    draw(results, IMAGES)
    return f"{table(results)}\n\n({clock() - began:.0f} s)"
