"""Conditions of classification rules that look into a failure: patterns on its message, values in its body.

Messages and bodies are private: they never enter a workflow. So these conditions are evaluated where the answer is, in
the dispatch activity, and what leaves it is the verdict (`redrive.core.decision.Verdict`). Where they are not known,
such a condition does not hold.

**Patterns are bounded.** Python's `re` backtracks: `(a+)+$` needs 2^n steps for n characters, and holds the whole
process meanwhile. A pattern comes from whoever may set a policy, so it is measured before it is accepted: the work it
can cause in the worst case is about `n × f × n^d` steps for n characters, where d counts its quantifiers of open length
(`*`, `+`, `{3,}`) and f multiplies its other choices (`?`, `{1,3}`, `a|b`). What is refused:

- a quantifier on a group that itself contains a quantifier or a choice, which is what makes work exponential;
- backreferences, conditional groups, and the verbose flag;
- a pattern longer than 200 characters, or one whose work exceeds 10⁸ steps (about 0.2 s) on the first 300 characters.

Of the message, the first 1,000 characters are looked at; with two open quantifiers in a row, the first 300. A pattern
may match anywhere in them; `(?i)` at its beginning ignores case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Final, TypeAlias, cast

from redrive.core.checks import expect
from redrive.core.errors import InvalidPolicy

Scalar: TypeAlias = str | bool | int | float | None

MAX_PATTERN: Final = 200
_TEXT_LENGTHS: Final = (1000, 300)
_MOST_WORK: Final = 10**8
_MAX_REPEAT: Final = 1000
_FORBID: Final = {"extra": "forbid"}

_COUNT: Final = re.compile(r"\{(?P<low>\d*)(?P<comma>,?)(?P<high>\d*)\}")
_OPENING: Final = re.compile(r"\((?:\?(?:P<\w+>|<?[=!]|[:>]|[aimsuL]*(?:-[ims]+)?:))?")
_FLAGS: Final = re.compile(r"\(\?[aimsuL]+\)")
_TOKEN: Final = re.compile(r"(?:[^~/]|~[01])*\Z")
_INDEX: Final = re.compile(r"(?:0|[1-9]\d{0,8})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Body:
    """A condition on the body of an answer.

    Attributes:
        pointer: A JSON Pointer (RFC 6901) into the body, such as `/error/code`; empty for the whole of it.
        equals: The string, number, boolean or null that must be there. 1 and 1.0 are the same number; 1 and true are
            not the same.
    """

    __pydantic_config__: ClassVar = _FORBID
    pointer: str
    equals: Scalar

    def __post_init__(self) -> None:
        tokens = self.pointer.split("/")
        fits = not tokens[0] and len(self.pointer) <= MAX_PATTERN and all(_TOKEN.match(token) for token in tokens)
        expected = f"a JSON Pointer such as '/error/code' of at most {MAX_PATTERN} characters"
        expect(fits, "pointer", expected, self.pointer[:80])

    def __str__(self) -> str:
        return f"{self.pointer or '(whole)'} = {json.dumps(self.equals)}"

    def holds(self, document: object) -> bool:
        """Tell whether the value is there."""
        for token in self.pointer.split("/")[1:]:
            name = token.replace("~1", "/").replace("~0", "~")
            if isinstance(document, dict):
                members = cast("dict[str, Any]", document)
                if name not in members:
                    return False
                document = members[name]
            elif isinstance(document, list):
                items = cast("Sequence[Any]", document)
                if not _INDEX.match(name) or int(name) >= len(items):
                    return False
                document = items[int(name)]
            else:
                return False
        return _same(document, self.equals)


@dataclass(frozen=True, slots=True)
class Details:
    """What is known of a failure where the answer is, and nowhere else.

    Attributes:
        message: What the error says.
        body: The answer's body as text. What is not JSON meets no condition.
    """

    message: str | None = None
    body: str | None = None

    def document(self) -> object:
        """Read the body.

        Returns:
            The JSON value, or a value that equals nothing when it is none.
        """
        try:
            return json.loads(self.body or "")
        except (ValueError, RecursionError):
            return _NOTHING


_NOTHING: Final = object()


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that is none, or that could take too long.

    Raises:
        InvalidPolicy: It says what is wrong with it.
    """
    expect(0 < len(pattern) <= MAX_PATTERN, "message", f"a pattern of 1 to {MAX_PATTERN} characters", pattern[:80])
    problem = _measure(pattern)[1]
    if problem is not None:
        raise InvalidPolicy("message", f"expected a pattern that is quick to match, got {pattern!r}: {problem}")


def matches(pattern: str, message: str | None) -> bool:
    """Tell whether a pattern matches anywhere in the beginning of a message."""
    if message is None:
        return False
    length, problem = _measure(pattern)
    return problem is None and _compiled(pattern).search(message[:length]) is not None


def _same(one: object, other: Scalar) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@lru_cache(maxsize=512)
def _measure(pattern: str) -> tuple[int, str | None]:
    """Tell how much of a message may be searched, or why the pattern is refused."""
    try:
        work = _Measure(pattern).whole()
        _compiled(pattern)
    except (_Refused, re.error, OverflowError, RecursionError) as error:
        return 0, str(error)
    for length in _TEXT_LENGTHS:
        if work.choices * length ** (work.degree + 1) <= _MOST_WORK:
            return length, None
    return 0, "it has too many quantifiers and alternatives; make several rules of it, or spell out what lies between"


class _Refused(Exception):
    """The pattern has a part that cannot be bounded."""


@dataclass(frozen=True, slots=True)
class _Work:
    """In how many ways a part can match from one position: `choices × n^degree`.

    Attributes:
        choices: The factor.
        degree: The exponent.
        repeats: Whether it contains a quantifier.
    """

    choices: int = 1
    degree: int = 0
    repeats: bool = False

    def then(self, other: _Work) -> _Work:
        return _Work(self.choices * other.choices, self.degree + other.degree, self.repeats or other.repeats)

    def either(self, other: _Work) -> _Work:
        return _Work(self.choices + other.choices, max(self.degree, other.degree), self.repeats or other.repeats)

    @property
    def is_one(self) -> bool:
        return self.choices == 1 and self.degree == 0 and not self.repeats


class _Measure:
    """Walks over a pattern. That it is one at all is for `re.compile` to say."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at: int = 0

    def whole(self) -> _Work:
        work = self._alternatives()
        while self._at < len(self._pattern):  # a parenthesis too many
            self._at += 1
            work = work.then(self._alternatives())
        return work

    def _alternatives(self) -> _Work:
        work = self._sequence()
        while self._next() == "|":
            self._at += 1
            work = work.either(self._sequence())
        return work

    def _sequence(self) -> _Work:
        work = _Work()
        while self._next() not in ("", "|", ")"):
            work = work.then(self._quantified(self._atom()))
        return work

    def _atom(self) -> _Work:
        match self._next():
            case "\\":
                if self._pattern[self._at + 1 : self._at + 2] in tuple("123456789"):
                    raise _Refused("backreferences cannot be bounded")
                self._at += 2
            case "[":
                self._set()
            case "(":
                return self._group()
            case _:
                self._at += 1
        return _Work()

    def _set(self) -> None:
        start = self._at
        self._at += 2 if self._pattern.startswith("[^", start) else 1
        first = self._at
        while self._next() and (self._next() != "]" or self._at == first):
            two = self._pattern[self._at : self._at + 2]
            if two[0] == "[" or two in ("--", "&&", "||", "~~"):  # their meaning is about to change in `re`
                raise _Refused(f"write a backslash before {two[0]!r} inside of [ ]")
            self._at += 2 if two[0] == "\\" else 1
        self._at += 1

    def _group(self) -> _Work:
        if self._pattern.startswith("(?#", self._at):
            raise _Refused("comments have no place in it")
        if (flags := _FLAGS.match(self._pattern, self._at)) is not None:
            self._at = flags.end()
            return _Work()
        opening = _OPENING.match(self._pattern, self._at)
        if opening is None or self._pattern.startswith("?", opening.end()):
            raise _Refused("backreferences, conditional groups and the verbose flag cannot be bounded")
        self._at = opening.end()
        work = self._alternatives()
        self._at += 1
        return work

    def _quantified(self, work: _Work) -> _Work:
        while (ways := self._quantifier()) is not None:
            low, high = ways
            if (low, high) == (0, 1):
                work = _Work(work.choices + 1, work.degree, repeats=True)
                continue
            if not work.is_one:
                raise _Refused("a group that is repeated must contain no quantifier and no alternative")
            if high is not None and high > _MAX_REPEAT:
                raise _Refused(f"expected at most {_MAX_REPEAT} repetitions, got {high}")
            open_ended = high is None or high - low > 9
            work = _Work(1, 1, repeats=True) if open_ended else _Work((high or low) - low + 1, 0, repeats=True)
        return work

    def _quantifier(self) -> tuple[int, int | None] | None:
        """Read a quantifier with its `?` or `+`, if there is one: the fewest and the most repetitions."""
        sign = self._next()
        if sign in ("*", "+", "?") and sign:
            self._at += 1
            ways: tuple[int, int | None] = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        else:
            count = _COUNT.match(self._pattern, self._at)
            if count is None or not (count["low"] or count["high"] or count["comma"]):
                return None
            self._at = count.end()
            low = int(count["low"] or 0)
            ways = (low, low) if not count["comma"] else (low, int(count["high"]) if count["high"] else None)
        if self._next() in ("?", "+"):  # lazy, or possessive
            self._at += 1
        return ways

    def _next(self) -> str:
        return self._pattern[self._at : self._at + 1]
