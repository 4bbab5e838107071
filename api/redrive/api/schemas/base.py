"""What all models share: strict inputs, instants, names, and documents that the core checks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from redrive.api.text import is_storable
from redrive.api.validation import PATTERNS, shown
from redrive.core.callbacks import Callbacks, read_callbacks
from redrive.core.documents import decode, encode
from redrive.core.policy import Policy
from redrive.core.retention import Retention
from redrive.core.selection import Selection
from redrive.core.wire import Target

T = TypeVar("T")

_NAME: Final = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$"
_NODE_ID: Final = r"^[A-Za-z0-9_-][A-Za-z0-9._:@+~-]{0,199}$"
PATTERNS[_NAME] = "1 to 100 letters, digits, '.', '_' or '-', not beginning with '.'"
PATTERNS[_NODE_ID] = "1 to 200 letters, digits or any of ._:@+~-, beginning with a letter or a digit"


GroupWeight = Annotated[
    float,
    Field(
        ge=0.001,
        le=1000,
        allow_inf_nan=False,
        description="Its share of what runs, beside the other groups' while there is more to do than can run at once.",
    ),
]


class Input(BaseModel):
    """Base of what clients send: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Output(BaseModel):
    """Base of what clients get."""

    model_config = ConfigDict(extra="forbid")


class Listed(Output, Generic[T]):
    """A whole list, for what there is little of."""

    items: list[T]


class Page(Output, Generic[T]):
    """One page of a list. `next_cursor` leads to the next; null on the last one."""

    items: list[T]
    next_cursor: str | None = None


def storable(text: str) -> str:
    """Refuse text that PostgreSQL cannot hold."""
    if not is_storable(text):
        raise ValueError("expected valid Unicode without NUL, got text that cannot be stored")
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"expected printable characters, got {shown(text)}")
    return text


def _instant(value: object) -> object:
    expected = f"expected an ISO 8601 instant with a zone such as '2026-01-31T12:00:00Z', got {shown(value)}"
    if isinstance(value, datetime):
        instant = value
    else:
        if not isinstance(value, str) or len(value) < 11:  # a date alone is no instant
            raise ValueError(expected)
        try:
            # A `+` in a query that nobody encoded arrives as a space.
            instant = datetime.fromisoformat(value.strip().replace(" ", "+") if "T" in value else value)
        except ValueError:
            raise ValueError(expected) from None
    if instant.tzinfo is None:
        raise ValueError(expected)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(expected) from None


Name = Annotated[str, Field(pattern=_NAME, examples=["orders"])]
"""Name of a namespace, group or scene."""

NodeId = Annotated[str, Field(pattern=_NODE_ID, examples=["orders-7f9c"])]

Text = Annotated[str, AfterValidator(storable)]
"""Text that can be stored."""

Key = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(storable)]
"""An idempotency key or a business key."""

Printable = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(storable), AfterValidator(_printable)]

Note = Annotated[str, Field(max_length=1000), AfterValidator(storable)]
"""A remark by a person."""

Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-31T12:00:00Z"]}),
]
"""An instant with a zone, in UTC from here on."""


class Documented:
    """Shows the schema of one type, and accepts what a function accepts.

    The core checks policies and targets, for both sides of the wire and with better messages than a union of models
    could give; what pydantic knows of them is for OpenAPI.

    Args:
        shape: The type whose schema is shown.
        check: Reads the value; None takes any.
    """

    def __init__(self, shape: Any, check: Callable[[Any], Any] | None = None) -> None:
        self._shape = shape
        self._check = check

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Build the schema: that of the shape, behind a validator that never asks it."""
        check = self._check

        def validate(value: Any, _shape: core_schema.ValidatorFunctionWrapHandler) -> Any:
            return value if check is None else check(value)

        return core_schema.no_info_wrap_validator_function(
            validate,
            handler.generate_schema(self._shape),
            serialization=core_schema.plain_serializer_function_ser_schema(
                _as_is, return_schema=core_schema.any_schema()
            ),
        )


def _as_is(value: Any) -> Any:
    return value


def read_object(value: Any) -> dict[str, Any]:
    """Refuse what is no JSON object."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {shown(value)}")
    return cast("dict[str, Any]", value)


def _selection(value: Any) -> Selection:
    return decode(Selection, value)


def _retention(value: Any) -> dict[str, Any]:
    document: dict[str, Any] = encode(decode(Retention, value))
    return document


RetentionDocument = Annotated[dict[str, Any], Documented(Retention, _retention)]
"""How long ended tasks and redrives are kept."""

PolicyParts = Annotated[dict[str, Any], Documented(Policy, read_object)]
"""Parts of a policy. They make sense only together with the layers below them, so they are checked once merged."""

PolicyDocument = Annotated[dict[str, Any], Documented(Policy)]
"""A whole policy, as it comes from the store."""

CallbacksDocument = Annotated[dict[str, Any], Documented(Callbacks, read_callbacks)]
"""Who is told of a task's end: executors, or webhooks."""

PayloadSchema = Annotated[dict[str, Any], Field(examples=[{"properties": {"kwargs": {"required": ["amount"]}}}])]
"""A JSON Schema, which is checked once it is known where it stands."""

TargetDocument = Annotated[dict[str, Any], Documented(Target, read_object)]
"""A target. Which of its kinds fits is checked with the rest of the task."""

SelectionDocument = Annotated[Selection, Documented(Selection, _selection)]
"""Which tasks are meant, as a document."""
