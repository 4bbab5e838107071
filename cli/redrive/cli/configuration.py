"""Reads the server's configuration and says what is wrong with it, one line for each variable."""

from typing import TYPE_CHECKING, Any

from redrive.cli.failure import ConfigurationError

if TYPE_CHECKING:
    from redrive.store.settings import Settings


def load_settings(**overrides: Any) -> "Settings":
    """Return the settings of the environment.

    Args:
        overrides: Values from the command line that take precedence; None means not given.

    Raises:
        ConfigurationError: A value is missing or not valid.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - the command line must start without the server extra

    from redrive.store.settings import Settings  # noqa: PLC0415

    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        lines = [describe(problem["loc"], problem["msg"]) for problem in error.errors(include_input=False)]
        raise ConfigurationError("\nredrive: ".join(lines)) from error


def describe(location: tuple[int | str, ...], message: str) -> str:
    """Return the line about one bad variable.

    Args:
        location: Where the value stands in the settings; empty for a rule about several of them.
        message: What the rule says.
    """
    reason = message.removeprefix("Value error, ")
    if not location:
        return reason
    return f"REDRIVE_{str(location[0]).upper()}: {reason}"
