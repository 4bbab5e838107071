from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict
from uuid import UUID

import pytest
from pydantic import BaseModel

from redrive.sdk import Unrestorable, Unserialisable, UsageError, register_serialiser
from redrive.sdk.serialisation import Parameters, dump, load, serialiser_named


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Kind(StrEnum):
    A = "a"


class Line(BaseModel):
    sku: str
    price: Decimal


@dataclass
class Order:
    id: UUID
    lines: list[Line]
    at: datetime
    note: str | None = None


@dataclass
class Rush(Order):
    hours: int = 1


class Address(TypedDict):
    city: str
    since: date


class Point(NamedTuple):
    x: int
    y: int


Amount = NewType("Amount", Decimal)
ORDER = Order(UUID(int=7), [Line(sku="a", price=Decimal("1.10"))], datetime(2026, 1, 31, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (None, Any), (True, bool), (3, int), (2.5, float), ("x", str), (3, Any), ([1, "a", None], list[Any]),
        (Decimal("5.00"), Decimal), (Decimal("5.00"), Any), (Decimal("5.00"), Decimal | None),
        (Decimal(5), int | Decimal),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime), (date(2026, 1, 1), Any), (timedelta(seconds=1.5), timedelta),
        (UUID(int=1), UUID), (b"\x00\xff", bytes), (b"\x00", Any), (Colour.RED, Colour), (Level.LOW, Level),
        (Kind.A, Kind),
        (Colour.RED, Colour | None), (ORDER, Order), (ORDER, Order | None), ([ORDER], list[Order]),
        (ORDER, Order | Line),
        ({"a": ORDER}, dict[str, Order]), ({1: "a"}, dict[int, str]), ({UUID(int=1): 2}, dict[UUID, int]),
        ((1, Decimal(2)), tuple[int, Decimal]), ((1, 2), tuple[int, ...]), ((1, 2), Any), ({1, 2}, set[int]),
        (frozenset({date(2026, 1, 1)}), frozenset[date]), ({1, 2}, Any), ([Decimal(1)], Sequence[Decimal]),
        ({"city": "Ulm", "since": date(2020, 1, 1)}, Address), (Decimal(1), Amount),
        (Decimal(1), Annotated[Decimal, "eur"]),
        ("a", Literal["a", "b"]), ({"deep": [Decimal(1)]}, Any), ({"deep": [Decimal(1)]}, dict[str, list[Decimal]]),
    ],
    ids=repr,
)  # fmt: skip
def test_values_come_back_as_they_were(value: Any, annotation: Any) -> None:
    travelled = json.loads(json.dumps(dump(value, annotation)))
    back = load(travelled, annotation)

    assert back == value
    assert type(back) is type(value)


def test_annotated_values_travel_in_their_plain_form() -> None:
    assert dump(Decimal("5.00"), Decimal) == "5.00"
    assert dump(ORDER, Order)["lines"] == [{"sku": "a", "price": "1.10"}]


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        (object(), Any, "cannot travel as JSON"),
        (ORDER, Any, "Annotate the parameter with Order"),
        (Rush(UUID(int=1), [], datetime.now(UTC)), Order, "Annotate the parameter with Rush"),
        (Line(sku="a", price=Decimal(1)), dict[str, Any], "Annotate the parameter with Line"),
        (Colour.RED, Any, "Annotate the parameter with Colour"),
        (float("nan"), float, "JSON has no nan"),
        ({1: 2}, Any, "string keys"),
        ({"$type": 1}, Any, "rename it"),
        (lambda: 1, Any, "cannot travel"),
    ],
)
def test_values_that_would_not_come_back_are_refused(value: Any, annotation: Any, message: str) -> None:
    with pytest.raises(Unserialisable, match=message):
        dump(value, annotation)


@pytest.mark.parametrize(
    ("document", "annotation"),
    [("x", int), (1, str), ("x", Decimal), ("2026-13-01", date), ({"sku": 1}, Line), ({"no": 1}, Order),
     ("x", list[int]), ([1], tuple[int, int]), ("green", Colour), ("x", int | Decimal),
     ({"$type": "socket", "value": 1}, Any),     (True, int)],
)  # fmt: skip
def test_documents_that_do_not_fit_are_refused(document: Any, annotation: Any) -> None:
    with pytest.raises(Unrestorable):
        load(document, annotation)


def test_arguments_are_named_where_they_can_be() -> None:
    def function(a: int, /, b: Decimal, *rest: date, c: UUID, **more: Colour) -> None: ...

    parameters = Parameters(function)
    assert parameters.dump([1, Decimal(2)], {"c": UUID(int=1)}) == ([1], {"b": "2", "c": str(UUID(int=1))})
    args = [1, Decimal(2), date(2026, 1, 1)]
    kwargs = {"c": UUID(int=1), "d": Colour.RED}
    dumped = parameters.dump(args, kwargs)
    assert parameters.load(*json.loads(json.dumps(dumped))) == (args, kwargs)


def test_a_changed_signature_is_told_apart_from_a_failure() -> None:
    def function(a: int) -> None: ...

    with pytest.raises(Unrestorable, match="give the new one a version"):
        Parameters(function).load([], {"b": 1})


def test_a_serialiser_is_named_in_the_payload() -> None:
    class Words:
        name = "words"

        def dump(self, args: Any, kwargs: Any) -> Any:
            return " ".join(args)

        def load(self, document: Any) -> Any:
            return document.split(), {}

    words = Words()
    register_serialiser(words)
    register_serialiser(words)
    with pytest.raises(UsageError, match="registered already"):
        register_serialiser(Words())

    def function(*names: str) -> None: ...

    parameters = Parameters(function)
    dumped = parameters.dump(["a", "b"], {}, serialiser_named("words"))
    assert dumped == ([], {"$serialiser": "words", "$payload": "a b"})
    assert parameters.load(*dumped) == (["a", "b"], {})
    with pytest.raises(Unrestorable, match="no serialiser is named 'gone'"):
        parameters.load([], {"$serialiser": "gone", "$payload": 1})
