"""Notices: what people are told by an alert, in words that every channel then dresses in its own markup.

A notice is made of names and numbers. It never holds a payload, nor the message of an error, which may quote one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from urllib.parse import quote, urlencode

from redrive.core.alerting import CONDITIONS, Key, Watched

_PAGES: Final[Mapping[Watched, str]] = {
    "dead_letter": "dead-letters",
    "exhausted": "dead-letters",
    "waiting": "tasks",
    "failure_rate": "tasks",
    "no_live_node": "nodes",
    "due_lag": "tasks",
    "breaker_open": "targets",
    "redrive_stopped": "redrives",
    "spool_growing": "nodes",
    "sdk_error": "nodes",
}
"""Which page of the console shows what a rule is about."""

_TERMS: Final[Mapping[Watched, str]] = {
    "exhausted": "reason:exhausted",
    "waiting": "status:pending,waiting",
    "due_lag": "status:pending,waiting",
}
"""What narrows that page to it, in the words of the console's query bar."""

_NONE: Final[Mapping[str, str]] = {}
_LONGEST: Final = 200
_UNSAFE: Final = str.maketrans({"<": "‹", ">": "›", "`": "'", "*": "∗", "[": "(", "]": ")", "|": "¦", "\\": "/"})


@dataclass(frozen=True, slots=True)
class Notice:
    """What a channel is to tell.

    Attributes:
        id: Its id; a receiver that gets it twice can tell by it.
        state: `firing`, `recovered`, or `test` for the test button.
        rule: Name of the rule.
        event: What the rule is about.
        namespace: Where.
        incident: The same for a firing and its recovery, and for nothing else.
        since: Since when it fires, or fired.
        at: When this was decided.
        value: The value that was measured.
        threshold: From which it fires.
        window_seconds: The rule's window, in seconds; None where it has no meaning.
        where: What the rule groups by, and the values.
        facts: What explains it.
        url: Where the console shows it; None when no address is known.
        last: Whether the rate limit lets no other notice pass for a while.
        again: Whether it was told before and still goes on.
    """

    id: str
    state: Literal["firing", "recovered", "test"]
    rule: str
    event: Watched
    namespace: str
    incident: str
    since: datetime
    at: datetime
    value: float = 0
    threshold: float = 1
    window_seconds: float | None = None
    where: Mapping[str, str] = field(default_factory=dict[str, str])
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    url: str | None = None
    last: bool = False
    again: bool = False

    @property
    def place(self) -> str:
        """What it is about, in one word: `orders/charge-card`, or the namespace."""
        return "/".join(self.where.values()) or self.namespace

    @property
    def title(self) -> str:
        """One line that says everything."""
        what = CONDITIONS[self.event].title
        match self.state:
            case "test":
                return f"Test of {plain(self.rule)}: alerts of Redrive arrive here"
            case "recovered":
                return f"Recovered: {what}: {plain(self.place)}"
            case "firing":
                still = "Still firing" if self.again else "Firing"
                return f"{still}: {what}: {plain(self.place)}: {self.measured}"

    @property
    def measured(self) -> str:
        """The value in words."""
        return measured(self.event, self.value)

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Everything else, as names and values."""
        said = [("Rule", self.rule), ("Namespace", self.namespace)]
        if self.state == "test":
            return [(name, plain(value)) for name, value in said]
        said += [(name.capitalize(), value) for name, value in self.where.items()]
        if self.state == "firing":
            said.append(("Measured", f"{self.measured}{self._window}, threshold {_number(self.event, self.threshold)}"))
        said.append(("Since", _instant(self.since)))
        if self.state == "recovered":
            said.append(("Ended", _instant(self.at)))
        said += list(self.facts.items())
        if self.last:
            said.append(("Note", "the rate limit of the rule holds further notices back; the console shows them"))
        return [(name, plain(value)) for name, value in said]

    @property
    def text(self) -> str:
        """All of it as plain text."""
        return "\n".join([*(f"{name}: {value}" for name, value in self.lines), *([self.url] if self.url else [])])

    @property
    def _window(self) -> str:
        return "" if self.window_seconds is None else f" in {_duration(self.window_seconds)}"


def measured(event: Watched, value: float) -> str:
    """Put a value into words, such as `12 dead letters`.

    Args:
        event: What was measured.
        value: The value.
    """
    condition = CONDITIONS[event]
    unit = condition.one if value == 1 else condition.unit
    number = _number(event, value)
    return f"{number} {unit.removeprefix('% ')}" if unit.startswith("% ") else f"{number} {unit}"


def plain(text: str) -> str:
    """Take from a name what some channel's markup could take for its own, and what is too long for a line.

    Whoever can name an executor or an error's class must not be able to call a whole chat room.
    """
    line = " ".join(text.translate(_UNSAFE).split())
    line = "".join(character for character in line if character.isprintable())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def console_link(
    console_url: str | None, namespace: str, event: Watched, key: Key, facts: Mapping[str, str] = _NONE
) -> str | None:
    """Write the address at which the console shows what a rule is about.

    Args:
        console_url: Address of the console; None when it is not known.
        namespace: Where.
        event: What the rule is about.
        key: Which group of it.
        facts: What explains it: the `Redrive` that stopped.
    """
    if console_url is None:
        return None
    return f"{console_url.rstrip('/')}{console_path(namespace, event, key, facts)}"


def console_path(namespace: str, event: Watched, key: Key, facts: Mapping[str, str] = _NONE) -> str:
    """Write where in the console that is: path and query.

    Args:
        namespace: Where.
        event: What the rule is about.
        key: Which group of it.
        facts: What explains it: the `Redrive` that stopped.
    """
    page, search = _page(event, dict(key), facts)
    return f"/{page}?{urlencode({'namespace': namespace, **search})}"


def _page(event: Watched, where: Mapping[str, str], facts: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Choose a page of the console and what its address says there."""
    page = _PAGES[event]
    if "fingerprint" in where:
        return f"{page}/{quote(where['fingerprint'], safe='')}", {}
    if page == "redrives" and "Redrive" in facts:
        return f"{page}/{quote(facts['Redrive'], safe='')}", {}
    if "target" in where:
        return page, {"key": where["target"]}
    if page == "nodes":
        # Nodes are found by any part of their names.
        terms = [where.get("node", where.get("group", ""))]
    else:
        terms = [*(_term(name, where[name]) for name in ("group", "scene") if name in where), _TERMS.get(event, "")]
    search = " ".join(filter(None, terms))
    return page, {"q": search} if search else {}


def _term(name: str, value: str) -> str:
    if value and not any(character.isspace() or character == '"' for character in value):
        return f"{name}:{value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}:"{escaped}"'


def _number(event: Watched, value: float) -> str:
    if CONDITIONS[event].unit.startswith("%"):
        return f"{value:.1%}"
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.1f}"


def _duration(seconds: float) -> str:
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:g} s"


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
