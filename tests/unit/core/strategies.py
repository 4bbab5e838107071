"""Arbitrary valid values of the core's types."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from redrive.core.breaker import BreakerRule
from redrive.core.budget import BudgetRule
from redrive.core.conditions import Body
from redrive.core.decision import Outcome
from redrive.core.policy import (
    DELAY_LEVEL_TABLES,
    MAX_ATTEMPTS,
    MAX_SECONDS,
    Action,
    Backoff,
    CronBackoff,
    DecorrelatedJitter,
    DelayLevelsBackoff,
    EqualJitter,
    ExponentialBackoff,
    FixedBackoff,
    FullJitter,
    Jitter,
    LinearBackoff,
    NoJitter,
    PoisonRule,
    Policy,
    ProportionalJitter,
    RandomBackoff,
    RetryAfterRule,
    Rule,
)
from redrive.core.quiet import QuietWindow
from redrive.core.ramp import RampRule
from redrive.core.states import AttemptStatus

seconds = st.floats(0, MAX_SECONDS)
positive_seconds = st.floats(0, MAX_SECONDS, exclude_min=True)
seeds = st.integers(0, 2**32)
_CENTURY = timedelta(days=36_525) // timedelta(microseconds=1)
instants = st.integers(0, _CENTURY).map(lambda since: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=since))
numbers = st.one_of(st.integers(1, 60), st.sampled_from([10_000, MAX_ATTEMPTS]))

proportional = st.builds(ProportionalJitter, ratio=st.floats(0, 1, exclude_min=True))
jitters: st.SearchStrategy[Jitter] = st.one_of(
    st.just(NoJitter()), st.just(FullJitter()), st.just(EqualJitter()), proportional
)
growing_jitters: st.SearchStrategy[Jitter] = st.one_of(jitters, st.just(DecorrelatedJitter()))
cron_jitters: st.SearchStrategy[Jitter] = st.one_of(st.just(NoJitter()), proportional)


@st.composite
def linear_backoffs(draw: st.DrawFn) -> LinearBackoff:
    low, high = sorted([draw(seconds), draw(seconds)])
    return LinearBackoff(
        initial_seconds=low, increment_seconds=draw(seconds), max_seconds=high, jitter=draw(growing_jitters)
    )


@st.composite
def exponential_backoffs(draw: st.DrawFn) -> ExponentialBackoff:
    low, high = sorted([draw(seconds), draw(seconds)])
    multiplier = draw(st.one_of(st.floats(1, 1000), st.integers(1, 1000)))
    return ExponentialBackoff(
        initial_seconds=low, multiplier=multiplier, max_seconds=high, jitter=draw(growing_jitters)
    )


@st.composite
def random_backoffs(draw: st.DrawFn) -> RandomBackoff:
    low, high = sorted([draw(seconds), draw(seconds)])
    return RandomBackoff(min_seconds=low, max_seconds=high, jitter=draw(jitters))


fixed_backoffs = st.builds(FixedBackoff, delay_seconds=seconds, jitter=jitters)
level_backoffs = st.builds(
    DelayLevelsBackoff,
    levels=st.one_of(
        st.lists(seconds, min_size=1, max_size=20).map(tuple), st.sampled_from(sorted(DELAY_LEVEL_TABLES))
    ),
    jitter=jitters,
)
cron_backoffs = st.builds(
    CronBackoff,
    expression=st.sampled_from(["*/5 * * * *", "0 3 * * 1-5", "30 2 * * *", "15,45 * * * * 30", "0 0 29 2 *"]),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    jitter=cron_jitters,
)
backoffs: st.SearchStrategy[Backoff] = st.one_of(
    fixed_backoffs, linear_backoffs(), exponential_backoffs(), level_backoffs, random_backoffs(), cron_backoffs
)

error_names = st.from_regex(r"([a-z_]{1,8}\.){0,2}[A-Z][A-Za-z]{0,12}", fullmatch=True)
statuses = st.integers(100, 599)
status_conditions = st.one_of(statuses, st.sampled_from(["1xx", "2xx", "3xx", "4xx", "5xx"]))


bodies = st.builds(
    Body,
    pointer=st.sampled_from(["", "/error/code", "/items/0", "/a~1b/~0"]),
    equals=st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
)
patterns = st.sampled_from(["timeout", "(?i)lock(ed)?", r"^code \d{3}", "a.*b"])


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    error = draw(st.none() | error_names | error_names.map(lambda name: f"{name[:-1]}*"))
    status = st.one_of(status_conditions, st.lists(status_conditions, min_size=1, max_size=4).map(tuple))
    actions: list[Action] = ["retry", "dead", "succeed", "park", "snooze"]
    action = draw(st.sampled_from(actions))
    times: dict[Action, st.SearchStrategy[float | None]] = {
        "snooze": positive_seconds,
        "park": st.none() | positive_seconds,
    }
    return Rule(
        action=action,
        error=error,
        http_status=draw(status if error is None else st.none() | status),
        message=draw(st.none() | patterns),
        body=draw(st.none() | bodies),
        seconds=draw(times.get(action, st.none())),
    )


breaker_rules = st.builds(
    BreakerRule, enabled=st.booleans(), failure_ratio=st.floats(0.01, 1), minimum=st.integers(1, 500)
)
quiet_windows = st.builds(
    QuietWindow,
    start=st.sampled_from(["0 22 * * *", "*/5 8 * * 1-5"]),
    duration_seconds=st.floats(1, 86_400),
    timezone=st.sampled_from(["UTC", "Europe/Berlin"]),
)


policies = st.builds(
    Policy,
    backoff=backoffs,
    max_attempts=st.integers(1, MAX_ATTEMPTS),
    max_elapsed_seconds=st.none() | positive_seconds,
    attempt_timeout_seconds=st.floats(0, 86_400, exclude_min=True),
    classification=st.lists(rules(), max_size=5).map(tuple),
    retry_after=st.builds(
        RetryAfterRule,
        honour=st.booleans(),
        max_seconds=seconds,
        spends_attempt=st.booleans(),
        max_throttles=st.integers(0, 100),
    ),
    block=st.sampled_from(["discard", "overlay", "concurrent", "enqueue"]),
    route=st.sampled_from(["round_robin", "random", "consistent_hash", "least_recently_used", "first", "last"]),
    poison=st.none() | st.builds(PoisonRule, st.integers(2, 50), st.sampled_from(["dead", "park"])),
    breaker=st.none() | breaker_rules,
    budget=st.none() | st.builds(BudgetRule, ratio=st.floats(0, 1)),
    slow_start=st.none() | st.builds(RampRule, doubling_seconds=st.floats(1, 100)),
    quiet_hours=st.lists(quiet_windows, max_size=2).map(tuple),
)

outcomes = st.builds(
    Outcome,
    status=st.sampled_from([AttemptStatus.SUCCEEDED, AttemptStatus.FAILED, AttemptStatus.TIMED_OUT]),
    error_type=st.none() | error_names,
    http_status=st.none() | statuses,
    retry_after_seconds=st.none() | st.floats(),
    stop=st.booleans(),
    fingerprint=st.none() | st.sampled_from(["cafe", "beef"]),
    error_bases=st.lists(error_names, max_size=3).map(tuple),
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=5) | st.dictionaries(st.text(max_size=12), children, max_size=5),
    max_leaves=20,
)
