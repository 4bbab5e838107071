"""The `redrive` command."""

import sys


def main() -> None:
    """Run the `redrive` command.

    The base install is the SDK alone; the command is there all the same, and says what it is missing.
    """
    try:
        from redrive.cli.app import app  # noqa: PLC0415 - so that a missing extra gets one clear line
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("redrive"):
            raise
        sys.exit(f"redrive: {error.name} is not installed; the command needs the server: pip install 'redrive[server]'")
    app()


__all__ = ["main"]
