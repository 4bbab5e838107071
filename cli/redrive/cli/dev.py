"""`redrive dev`: everything on this machine, in one process tree."""

import os
import signal
import time
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from redrive.cli.failure import CommandError
from redrive.cli.stack.cancel import SignalFlag
from redrive.cli.stack.development import DevelopmentOptions, DevelopmentStack
from redrive.cli.stack.errors import StartCancelledError
from redrive.cli.stack.follow import LogFollower
from redrive.cli.stack.state import DataFolder, StackState

_DEFAULTS = DevelopmentOptions()


def dev(
    data_dir: Annotated[Path, typer.Option(help="Folder for the data, the logs and stack.json.")] = Path(".redrive"),
    port: Annotated[
        int, typer.Option(help="API and console; 0 for any free port.", min=0, max=65535, metavar="PORT")
    ] = _DEFAULTS.port,
    postgres_port: Annotated[
        int, typer.Option(help="Embedded PostgreSQL.", min=0, max=65535, metavar="PORT")
    ] = _DEFAULTS.postgres_port,
    temporal_port: Annotated[
        int, typer.Option(help="Embedded Temporal.", min=0, max=65535, metavar="PORT")
    ] = _DEFAULTS.temporal_port,
    temporal_ui_port: Annotated[
        int, typer.Option(help="Temporal's Web UI.", min=0, max=65535, metavar="PORT")
    ] = _DEFAULTS.temporal_ui_port,
    database_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Use this PostgreSQL instead of the embedded one.")
    ] = None,
    temporal_address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Use this Temporal instead of the embedded one.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of worker processes.")] = _DEFAULTS.workers,
    require_api_key: Annotated[
        bool, typer.Option("--require-api-key", help="Ask for API keys, as in production.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the logs of all parts.")] = False,
) -> None:
    """Start everything on this machine: PostgreSQL, Temporal, the API with the console, and workers.

    Data stays in the data folder, and the next start goes on where this one stops. Ctrl-C stops everything; a second
    Ctrl-C does not wait.
    """
    if os.name != "posix":
        raise CommandError("`redrive dev` needs Linux or macOS; elsewhere use docker-compose.yml, or WSL")
    options = DevelopmentOptions(
        port=port,
        postgres_port=postgres_port,
        temporal_port=temporal_port,
        temporal_ui_port=temporal_ui_port,
        database_url=database_url,
        temporal_address=temporal_address,
        workers=workers,
        require_api_key=require_api_key,
    )
    console = Console(highlight=False, soft_wrap=True)
    with DataFolder(data_dir) as folder:
        _run(DevelopmentStack(folder, options, lambda line: _say(console, line)), console, verbose=verbose)


def _run(stack: DevelopmentStack, console: Console, *, verbose: bool) -> None:
    stopping = SignalFlag()
    _handle_signals(stack, stopping)
    follower = LogFollower(lambda: stack.logs, lambda name, line: _show_line(console, name, line))
    if verbose:
        follower.start({path.stem: path for path in stack.folder.logs.glob("*.log")})
    begun = time.monotonic()
    try:
        _say(console, "starting")
        stack.start(stopping)
        console.print(_banner(stack, time.monotonic() - begun))
        stack.watch(stopping)
    except StartCancelledError:
        pass
    finally:
        _say(console, "stopping")
        stack.stop()
        if verbose:
            follower.stop()
    _say(console, f"stopped; the data is in {stack.folder.path}")


def _handle_signals(stack: DevelopmentStack, stopping: SignalFlag) -> None:
    """Stop on the first signal; a second Ctrl-C ends everything at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        if stopping.is_set() and number == signal.SIGINT:
            stack.kill()
            os._exit(130)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def _banner(stack: DevelopmentStack, seconds: float) -> Text:
    state: StackState = stack.state
    lines = [
        ("Console and API", state.api_url, "bold cyan"),
        ("API docs", state.docs_url, "cyan"),
        ("Temporal", state.temporal_address, ""),
        ("Temporal UI", state.temporal_ui_url, "cyan"),
        ("PostgreSQL", stack.shown_database_url, ""),
        ("  its password", stack.password_file, ""),
        ("Data and logs", state.data_dir, ""),
    ]
    return Text.assemble(
        "\n",
        ("Redrive", "bold green"),
        (f" is ready after {seconds:.1f} s\n", "green"),
        *(part for name, value, style in lines if value for part in (f"{name:<17}", (f"{value}", style), "\n")),
        ("Ctrl-C stops everything.\n", "dim"),
    )


def _say(console: Console, line: str) -> None:
    now = datetime.now().astimezone()
    console.print(Text.assemble((f"{now:%H:%M:%S} ", "dim"), line))


def _show_line(console: Console, name: str, line: str) -> None:
    console.print(Text.assemble((f"{name:>10} │ ", "dim"), line))
