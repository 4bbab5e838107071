"""Failures that a person can understand and act on, and the one place that turns them into a line and an exit code."""

from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from redrive.cli.stack.errors import StackError


class CommandError(Exception):
    """The command cannot do what was asked; the message is one line that says what to do."""

    exit_code = 1


class ConfigurationError(CommandError):
    """The configuration is not valid; the message has one line for each bad variable."""

    exit_code = 2


def say_error(message: str) -> None:
    """Write a message to standard error, unwrapped, so that it stays one line."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"redrive: {message}")


class Commands(TyperGroup):
    """A group of commands whose expected failures end in one line on standard error instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except (CommandError, StackError) as error:
            say_error(str(error))
            raise typer.Exit(error.exit_code) from error
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("redrive"):
                raise
            say_error(f"{error.name} is not installed; this command needs the server: pip install 'redrive[server]'")
            raise typer.Exit(1) from error
