"""Policies: how long to wait, when to stop, what a failure means, and where attempts go.

A policy is a plain JSON document with every part optional. Scenes own policies; a task may override parts of one
(`merge`). `parse` checks a whole document at once and names the field at fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeAlias, cast

from redrive.core import checks
from redrive.core.breaker import BreakerRule
from redrive.core.budget import BudgetRule
from redrive.core.checks import expect, expect_seconds
from redrive.core.conditions import Body, check_pattern
from redrive.core.documents import decode, encode
from redrive.core.errors import InvalidPolicy
from redrive.core.quiet import QuietWindow
from redrive.core.ramp import RampRule

MAX_SECONDS: Final = checks.MAX_SECONDS

MAX_ATTEMPTS: Final = 1_000_000
MAX_PATTERNS: Final = 20
MAX_QUIET_WINDOWS: Final = 20

DELAY_LEVEL_TABLES: Final[Mapping[str, tuple[float, ...]]] = {
    # easy-retry 1.5.0 and SnailJob 2.0.2, `WaitStrategies`: 26 levels each, in seconds.
    "easy-retry-1.5.0": (
        5, 10, 15, 30, 40, 50, 60, 120, 180, 240, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 64800, 86400,
        108000, 122400, 144000, 165600, 180000,
    ),
    "snailjob-2.0.2": (
        10, 15, 30, 35, 40, 50, 60, 120, 240, 360, 480, 600, 1200, 2400, 3600, 7200, 10800, 14400, 18000, 21600, 25200,
        28800, 32400, 36000, 39600, 43200,
    ),
}  # fmt: skip
"""The two named delay tables, in seconds."""

_FORBID: Final = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class NoJitter:
    """The delay as computed."""

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["none"] = "none"


@dataclass(frozen=True, slots=True)
class FullJitter:
    """Uniform between 0 and the delay (AWS Architecture Blog, “Exponential Backoff And Jitter”, 2015)."""

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["full"] = "full"


@dataclass(frozen=True, slots=True)
class EqualJitter:
    """Half of the delay, plus uniform between 0 and the other half (same source)."""

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["equal"] = "equal"


@dataclass(frozen=True, slots=True)
class DecorrelatedJitter:
    """Uniform between the first delay and three times the previous one, capped (same source)."""

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["decorrelated"] = "decorrelated"


@dataclass(frozen=True, slots=True)
class ProportionalJitter:
    """Uniform within `ratio` of the delay, both ways.

    Attributes:
        ratio: Share of the delay, above 0 and up to 1.
    """

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["proportional"] = "proportional"
    ratio: float = 0.1

    def __post_init__(self) -> None:
        expect(0 < self.ratio <= 1, "ratio", "a number above 0 and up to 1", self.ratio)


Jitter: TypeAlias = NoJitter | FullJitter | EqualJitter | DecorrelatedJitter | ProportionalJitter


@dataclass(frozen=True, slots=True)
class FixedBackoff:
    """The same delay before each attempt.

    Attributes:
        delay_seconds: Seconds from the end of the failed attempt.
        jitter: Spread; 10 % by default, so that tasks that failed together do not return together.
    """

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["fixed"] = "fixed"
    delay_seconds: float = 60
    jitter: Jitter = field(default_factory=ProportionalJitter)

    def __post_init__(self) -> None:
        expect_seconds("delay_seconds", self.delay_seconds)
        _refuse_decorrelated(self.jitter)


@dataclass(frozen=True, slots=True)
class LinearBackoff:
    """`initial + increment × (n − 1)`, capped.

    Attributes:
        initial_seconds: Delay before the first attempt, in seconds.
        increment_seconds: Added for each further attempt, in seconds.
        max_seconds: Cap, in seconds.
        jitter: Spread.
    """

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["linear"] = "linear"
    initial_seconds: float = 5
    increment_seconds: float = 5
    max_seconds: float = 3600
    jitter: Jitter = field(default_factory=ProportionalJitter)

    def __post_init__(self) -> None:
        expect_seconds("initial_seconds", self.initial_seconds)
        expect_seconds("increment_seconds", self.increment_seconds)
        _expect_cap(self.initial_seconds, self.max_seconds)


@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """`initial × multiplier^(n − 1)`, capped.

    Attributes:
        initial_seconds: Delay before the first attempt, in seconds.
        multiplier: Growth per attempt, at least 1.
        max_seconds: Cap, in seconds.
        jitter: Spread; full by default.
    """

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["exponential"] = "exponential"
    initial_seconds: float = 5
    multiplier: float = 2
    max_seconds: float = 3600
    jitter: Jitter = field(default_factory=FullJitter)

    def __post_init__(self) -> None:
        expect_seconds("initial_seconds", self.initial_seconds)
        expect(1 <= self.multiplier <= 1000, "multiplier", "a number from 1 to 1000", self.multiplier)
        _expect_cap(self.initial_seconds, self.max_seconds)


@dataclass(frozen=True, slots=True)
class DelayLevelsBackoff:
    """A list of delays; the last one repeats.

    Attributes:
        levels: Seconds per attempt, or the name of a table: `easy-retry-1.5.0` or `snailjob-2.0.2`.
        jitter: Spread.
    """

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["delay_levels"] = "delay_levels"
    levels: tuple[float, ...] | Literal["easy-retry-1.5.0", "snailjob-2.0.2"] = "snailjob-2.0.2"
    jitter: Jitter = field(default_factory=ProportionalJitter)

    def __post_init__(self) -> None:
        _refuse_decorrelated(self.jitter)
        if not isinstance(self.levels, str):
            expect(1 <= len(self.levels) <= 1000, "levels", "1 to 1000 delays", len(self.levels))
            for index, level in enumerate(self.levels):
                expect_seconds(f"levels[{index}]", level)

    @property
    def seconds(self) -> tuple[float, ...]:
        """The delays, in seconds, whether given or named."""
        return DELAY_LEVEL_TABLES[self.levels] if isinstance(self.levels, str) else self.levels


@dataclass(frozen=True, slots=True)
class RandomBackoff:
    """Uniform between two bounds.

    Attributes:
        min_seconds: Shortest delay, in seconds.
        max_seconds: Longest delay, in seconds.
        jitter: Further spread; none by default, since the delay is random already.
    """

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["random"] = "random"
    min_seconds: float = 1
    max_seconds: float = 60
    jitter: Jitter = field(default_factory=NoJitter)

    def __post_init__(self) -> None:
        _refuse_decorrelated(self.jitter)
        expect_seconds("min_seconds", self.min_seconds)
        _expect_cap(self.min_seconds, self.max_seconds, low="min_seconds")


@dataclass(frozen=True, slots=True)
class CronBackoff:
    """The next time that a cron expression names, in a time zone.

    Attributes:
        expression: Five fields, or six with seconds last.
        timezone: IANA name.
        jitter: `none`, or `proportional`, which then only delays: an attempt is never before the named time.
    """

    __pydantic_config__: ClassVar = _FORBID
    kind: Literal["cron"] = "cron"
    expression: str = "0 * * * *"
    timezone: str = "UTC"
    jitter: Jitter = field(default_factory=NoJitter)

    def __post_init__(self) -> None:
        from redrive.core.cron import check_expression, check_timezone  # noqa: PLC0415 - croniter only when asked for

        check_timezone(self.timezone)
        check_expression(self.expression)
        if not isinstance(self.jitter, (NoJitter, ProportionalJitter)):
            raise InvalidPolicy(
                "jitter.kind",
                f"expected 'none' or 'proportional' with a cron backoff, got {self.jitter.kind!r}: "
                "other kinds could run before the time that the expression names",
            )


Backoff: TypeAlias = (
    FixedBackoff | LinearBackoff | ExponentialBackoff | DelayLevelsBackoff | RandomBackoff | CronBackoff
)

Action: TypeAlias = Literal["retry", "dead", "succeed", "park", "snooze"]
HttpStatus: TypeAlias = int | str

_STATUS_CLASS: Final = re.compile(r"[1-5]xx\Z")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a failure means. All conditions that are given must hold; of the rules that match, the last one wins.

    So a later rule refines an earlier one: `4xx → dead`, then `[408, 425, 429] → retry`.

    Attributes:
        action: `retry`; `dead` (the task is rejected at once); `succeed`; `park` (its target is away: wait, and spend
            no attempt); `snooze` (it is too early: come back in `seconds`, and spend no attempt).
        error: Class name of the error or of one of its bases, with or without its module, or `*` at the end for a
            prefix.
        http_status: A status, a class such as `4xx`, or a list of both.
        message: A regular expression that matches anywhere in the message, bounded as `redrive.core.conditions` says.
        body: A value in the JSON body of the answer.
        seconds: How long to snooze, or when to look again after parking, in seconds.
    """

    __pydantic_config__: ClassVar = _FORBID
    action: Action
    error: str | None = None
    http_status: int | str | tuple[int | str, ...] | None = None
    message: str | None = None
    body: Body | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.error is None and self.http_status is None and not self.looks_inside:
            conditions = "`error`, `http_status`, `message` or `body`"
            raise InvalidPolicy("", f"expected a condition, {conditions}, beside `action`")
        if self.error is not None and not self.error:
            raise InvalidPolicy("error", "expected the name of an error class, got an empty string")
        if self.message is not None:
            check_pattern(self.message)
        if self.action == "snooze" and self.seconds is None:
            raise InvalidPolicy("seconds", "is missing: a rule that snoozes says for how long")
        if self.seconds is not None:
            if self.action not in ("snooze", "park"):
                raise InvalidPolicy("seconds", f"has a meaning with 'snooze' and 'park' only, not with {self.action!r}")
            expect_seconds("seconds", self.seconds, above_zero=True)
        if self.http_status == ():
            raise InvalidPolicy("http_status", "expected at least one status, got an empty list")
        for status in self.statuses:
            valid = (100 <= status <= 599) if isinstance(status, int) else bool(_STATUS_CLASS.match(status))
            expect(valid, "http_status", "a status from 100 to 599 or a class such as '4xx'", status)

    @property
    def statuses(self) -> tuple[int | str, ...]:
        """The HTTP statuses as a tuple; empty when the rule does not look at the status."""
        if self.http_status is None:
            return ()
        return self.http_status if isinstance(self.http_status, tuple) else (self.http_status,)

    @property
    def looks_inside(self) -> bool:
        """Whether it looks at what is private, so that it can be evaluated only where the answer is."""
        return self.message is not None or self.body is not None


@dataclass(frozen=True, slots=True)
class RetryAfterRule:
    """What a target's `Retry-After` may do (RFC 9110, section 10.2.3).

    Attributes:
        honour: Whether it may lengthen a delay. It never shortens one.
        max_seconds: The longest wait that a target may ask for, in seconds.
        spends_attempt: Whether an attempt that was put off with 429 or 503 and a `Retry-After` is spent.
        max_throttles: How many of them are not, in one generation; those that follow are spent in any case.
    """

    __pydantic_config__: ClassVar = _FORBID
    honour: bool = True
    max_seconds: float = 86_400
    spends_attempt: bool = True
    max_throttles: int = 50

    def __post_init__(self) -> None:
        expect_seconds("max_seconds", self.max_seconds)
        fits = 0 <= self.max_throttles <= MAX_ATTEMPTS
        expect(fits, "max_throttles", f"a whole number from 0 to {MAX_ATTEMPTS}", self.max_throttles)


@dataclass(frozen=True, slots=True)
class PoisonRule:
    """When a task is given up because it fails in the same way each time.

    Attributes:
        same_fingerprint: How many failures in a row with the same fingerprint; at least 2.
        action: `dead`: it is rejected. `park`: it waits for a person, until its time is over.
    """

    __pydantic_config__: ClassVar = _FORBID
    same_fingerprint: int
    action: Literal["dead", "park"] = "dead"

    def __post_init__(self) -> None:
        fits = 2 <= self.same_fingerprint <= MAX_ATTEMPTS
        expect(fits, "same_fingerprint", f"a whole number from 2 to {MAX_ATTEMPTS}", self.same_fingerprint)


Block: TypeAlias = Literal["discard", "overlay", "concurrent", "enqueue"]
Route: TypeAlias = Literal["round_robin", "random", "consistent_hash", "least_recently_used", "first", "last"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How the tasks of a scene are retried.

    `breaker`, `budget`, `slow_start` and `quiet_hours` are about the target that all tasks of a scene share. They are
    taken from the scene's policy as it is now; what a task has of its own is not asked.

    Attributes:
        backoff: The delays between attempts.
        max_attempts: The most attempts of one generation.
        max_elapsed_seconds: The longest life of a generation, in seconds from its report or replay; null for no limit.
        attempt_timeout_seconds: The longest that one attempt may take, in seconds.
        classification: What failures mean; of the rules that match, the last one wins.
        retry_after: What a target's `Retry-After` may do.
        block: What becomes of a second report of a key while one lives.
        route: How a node is chosen among the live ones.
        poison: When a task is given up because it always fails in the same way; null for never.
        breaker: When its target counts as down; null for the defaults of `BreakerRule`.
        budget: How much failing its target is made to bear; null for the defaults of `BudgetRule`.
        slow_start: How fast parked work returns; null for the defaults of `RampRule`.
        quiet_hours: When no attempt runs.
    """

    __pydantic_config__: ClassVar = _FORBID
    backoff: Backoff = field(default_factory=ExponentialBackoff)
    max_attempts: int = 12
    max_elapsed_seconds: float | None = 86_400
    attempt_timeout_seconds: float = 30
    classification: tuple[Rule, ...] = ()
    retry_after: RetryAfterRule = field(default_factory=RetryAfterRule)
    block: Block = "discard"
    route: Route = "round_robin"
    poison: PoisonRule | None = None
    breaker: BreakerRule | None = None
    budget: BudgetRule | None = None
    slow_start: RampRule | None = None
    quiet_hours: tuple[QuietWindow, ...] = ()

    def __post_init__(self) -> None:
        expect(
            1 <= self.max_attempts <= MAX_ATTEMPTS,
            "max_attempts",
            f"a whole number from 1 to {MAX_ATTEMPTS}",
            self.max_attempts,
        )
        if self.max_elapsed_seconds is not None:
            expect_seconds("max_elapsed_seconds", self.max_elapsed_seconds, above_zero=True)
        expect_seconds("attempt_timeout_seconds", self.attempt_timeout_seconds, above_zero=True)
        expect(
            self.attempt_timeout_seconds <= 86_400,
            "attempt_timeout_seconds",
            "at most 86400 seconds (a day)",
            self.attempt_timeout_seconds,
        )
        patterns = sum(rule.message is not None for rule in self.classification)
        expect(patterns <= MAX_PATTERNS, "classification", f"at most {MAX_PATTERNS} rules with `message`", patterns)
        windows = len(self.quiet_hours)
        expect(windows <= MAX_QUIET_WINDOWS, "quiet_hours", f"at most {MAX_QUIET_WINDOWS} windows", windows)


def parse(document: Mapping[str, Any], path: str = "policy") -> Policy:
    """Read a policy document, with defaults for what it leaves out.

    Args:
        document: The JSON object.
        path: Its name in messages.

    Returns:
        The checked policy.

    Raises:
        InvalidDocument: A field is unknown or has the wrong type.
        InvalidPolicy: The parts cannot be applied together.
    """
    return decode(Policy, document, path)


def render(policy: Policy) -> dict[str, Any]:
    """Write a policy as a JSON object with every field, the inverse of `parse`."""
    return cast("dict[str, Any]", encode(policy))


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the parts that `override` gives over `base`.

    `backoff` (while its kind stays the same), `retry_after`, `poison`, `breaker`, `budget` and `slow_start` are merged
    field by field; everything else, also the list of classification rules, is replaced.

    Args:
        base: A policy document.
        override: The parts to change.

    Returns:
        A new document. It is not checked; `parse` does that.
    """
    merged = {**base, **override}
    for part in ("backoff", "retry_after", "poison", "breaker", "budget", "slow_start"):
        old, new = base.get(part), override.get(part)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            old, new = cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", new)
            same_kind = "kind" not in new or new["kind"] == old.get("kind")
            merged[part] = {**old, **new} if same_kind else dict(new)
    return merged


def _expect_cap(low_value: float, max_seconds: float, low: str = "initial_seconds") -> None:
    expect_seconds("max_seconds", max_seconds)
    expect(max_seconds >= low_value, "max_seconds", f"at least {low} ({low_value:g})", max_seconds)


def _refuse_decorrelated(jitter: Jitter) -> None:
    if isinstance(jitter, DecorrelatedJitter):
        raise InvalidPolicy(
            "jitter.kind",
            "'decorrelated' needs a backoff that grows to a cap: use it with 'exponential' or 'linear'",
        )
