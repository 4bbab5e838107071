"""`redrive api`, `redrive worker` and `redrive migrate`: the processes of a production installation."""

import asyncio
import logging
import logging.config
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from redrive.cli.configuration import load_settings
from redrive.cli.failure import CommandError, say_error
from redrive.cli.logs import logging_config
from redrive.cli.stack.cancel import SignalFlag
from redrive.cli.stack.ports import ensure_free
from redrive.cli.stack.program import Program
from redrive.cli.stack.supervisor import Supervisor

if TYPE_CHECKING:
    from redrive.store.settings import Settings


def api(
    host: Annotated[str | None, typer.Option(help="Interface to listen on.", envvar="REDRIVE_HOST")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, metavar="PORT", help="Port to listen on.", envvar="REDRIVE_PORT")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes that share the port.")] = 1,
) -> None:
    """Serve the API and the console. Any number of replicas may run; there is no leader."""
    settings = load_settings(host=host, port=port)
    ensure_free(settings.port, what="the API", option="--port or REDRIVE_PORT", host=settings.host)
    _leave(_serve_api(settings, workers))


def worker(
    processes: Annotated[int, typer.Option(min=1, help="Number of processes; one uses one core.")] = 1,
) -> None:
    """Run attempts. Any number of replicas may run; there is no leader."""
    settings = load_settings()
    if processes > 1:
        _supervise_workers(processes, settings)
        return
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    _leave(asyncio.run(_work(settings)))


def migrate(
    revision: Annotated[
        str, typer.Option(help="Where to go: head, base, a revision, or -1 for one step back.")
    ] = "head",
    sql: Annotated[bool, typer.Option("--sql", help="Write the SQL to standard output and change nothing.")] = False,
    skip_temporal: Annotated[
        bool, typer.Option("--skip-temporal", help="Leave Temporal's search attributes alone.")
    ] = False,
) -> None:
    """Bring the database schema, and Temporal's search attributes, to this version."""
    settings = load_settings()
    if sql:
        from redrive.store.migrate import render_sql  # noqa: PLC0415 - the server extra may be missing

        render_sql(settings.database_url, revision)
        return
    reached = _migrate_database(settings, revision)
    # Without an address nobody has said where Temporal is, and the worker does the same when it starts.
    address = settings.temporal_address or os.environ.get("TEMPORAL_ADDRESS")
    if revision == "head" and not skip_temporal and address is not None:
        _prepare_temporal(settings)
    Console(soft_wrap=True, highlight=False).print(f"the database is at {reached or 'base: it is empty'}")


def _serve_api(settings: "Settings", workers: int) -> int:
    import uvicorn  # noqa: PLC0415 - the command line must start without the server extra

    from redrive.api.app import create_app, prepare  # noqa: PLC0415

    # The processes that share a port read the settings from the environment, and must see what the options say.
    os.environ |= settings.environment() | {"REDRIVE_HOST": settings.host, "REDRIVE_PORT": str(settings.port)}
    # uvicorn stops gracefully and then raises the signal once more, which would end this process with an error code.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: _leave(0))
    config = uvicorn.Config(
        prepare(create_app(settings)) if workers == 1 else "redrive.api.app:app_from_environment",
        factory=workers > 1,
        host=settings.host,
        port=settings.port,
        workers=workers,
        log_config=logging_config(settings.log_level, settings.log_format),
        server_header=False,
        # Streams of events never end by themselves.
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
    )
    if workers == 1:
        server = uvicorn.Server(config)
        server.run()
        return 0 if server.started else 3
    from uvicorn.supervisors import Multiprocess  # noqa: PLC0415

    Multiprocess(config, sockets=[config.bind_socket()]).run()
    return 0


async def _work(settings: "Settings") -> int:
    from redrive.workflows.worker import run  # noqa: PLC0415 - the command line must start without the server extra

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await run(settings, stop)
    except Exception:
        logging.getLogger("redrive.worker").exception("the worker ended with an error")
        return 1
    return 0


def _supervise_workers(processes: int, settings: "Settings") -> None:
    """Run several worker processes, restart those that end, and stop them together."""
    stopping = SignalFlag()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    supervisor = Supervisor(report=say_error)
    # A process may finish what it has begun; it is ended by force only when it takes longer than it was told to.
    grace = settings.shutdown_seconds + 5.0
    names = (f"worker-{number}" for number in range(1, processes + 1))
    try:
        supervisor.start([Program(name, ["worker"], log=None, grace_seconds=grace) for name in names], stopping)
        supervisor.watch(stopping)
    finally:
        supervisor.stop()


def _migrate_database(settings: "Settings", revision: str) -> str | None:
    from alembic.util import CommandError as RevisionError  # noqa: PLC0415 - the server extra may be missing
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415

    from redrive.store.migrate import current, downgrade, upgrade  # noqa: PLC0415

    # A step back has to be asked for in a form that cannot be meant as a step forward.
    move = downgrade if revision == "base" or revision.startswith("-") else upgrade
    try:
        move(settings.database_url, revision)
        return current(settings.database_url)
    except OperationalError as error:
        raise CommandError(f"the database cannot be reached: {first_line(error.orig or error)}") from error
    except RevisionError as error:
        raise CommandError(f"the database cannot be moved to {revision!r}: {first_line(error)}") from error


def _prepare_temporal(settings: "Settings") -> None:
    from redrive.workflows.engine import prepare  # noqa: PLC0415 - the command line must start without the server extra

    try:
        asyncio.run(prepare(settings))
    except (RuntimeError, OSError) as error:
        raise CommandError(
            f"Temporal at {settings.temporal_address} cannot be prepared: {first_line(error)}"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; drivers like to write several."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _leave(code: int) -> NoReturn:
    """End the process after an orderly stop without running the interpreter's own teardown.

    The threads of Temporal's core and of the database driver may still call into an interpreter that is being taken
    apart, which now and then ends in a crash and an alarming exit code.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
