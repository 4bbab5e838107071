"""`redrive keys …`: make, list and revoke API keys.

They go to the database and not through the API, since the first key cannot come from an API that asks for one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer

from redrive.cli import display
from redrive.cli.client import JsonOption
from redrive.cli.configuration import load_settings
from redrive.cli.documents import write_json
from redrive.cli.failure import CommandError, Commands, say_error
from redrive.cli.moments import iso, parse_duration

if TYPE_CHECKING:
    from redrive.store.database import Database
    from redrive.store.tables import ApiKey

_Result = TypeVar("_Result")

keys = typer.Typer(
    cls=Commands,
    help="Make, list and revoke API keys. These commands use the database (REDRIVE_DATABASE_URL).",
    no_args_is_help=True,
)


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="The only namespace it opens.")] = "default",
    group: Annotated[str | None, typer.Option(help="The only group of it; all when omitted.")] = None,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", help="Open every namespace.")] = False,
    expires_in: Annotated[str | None, typer.Option(metavar="DURATION", help="Such as 30d; never when omitted.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and write it to standard output. It is shown this once and cannot be had again."""
    if all_namespaces and group is not None:
        raise typer.BadParameter("a group belongs to one namespace: leave out --all-namespaces")
    expires_at = datetime.now(UTC) + parse_duration(expires_in) if expires_in else None

    async def make(database: "Database") -> "tuple[ApiKey, str]":
        from redrive.store.keys import create_key  # noqa: PLC0415 - the server extra may be missing
        from redrive.store.scenes import DEFAULT_NAMESPACE, create_namespace  # noqa: PLC0415

        async with database.begin() as session:
            if namespace == DEFAULT_NAMESPACE:
                # It always exists for a person, also before anything was reported to it.
                await create_namespace(session, DEFAULT_NAMESPACE)
            return await create_key(
                session,
                name=name,
                namespace=None if all_namespaces else namespace,
                group=group,
                expires_at=expires_at,
            )

    row, key = _with_database(make)
    if as_json:
        write_json({**_document(row), "key": key})
    else:
        say_error(f"key {row.id} for {_scope(row)}; keep it, it is not shown again")
        display.console().print(key, markup=False)


@keys.command("list")
def list_keys(
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Only keys of this namespace.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the keys; the keys themselves are not stored."""

    async def read(database: "Database") -> "list[ApiKey]":
        from redrive.store import keys as queries  # noqa: PLC0415 - the server extra may be missing

        async with database.session() as session:
            return await queries.list_keys(session, namespace)

    rows = _with_database(read)
    if as_json:
        write_json([_document(row) for row in rows])
        return
    now = datetime.now(UTC)
    display.console().print(display.key_table([_line(row, now) for row in rows]) if rows else "no keys")


@keys.command("revoke")
def revoke(
    ids: Annotated[list[UUID], typer.Argument(metavar="ID...", help="Ids of keys, as `redrive keys list` shows.")],
) -> None:
    """Make keys worthless from now on."""

    async def cross_out(database: "Database") -> list[UUID]:
        from redrive.store.keys import revoke_key  # noqa: PLC0415 - the server extra may be missing

        async with database.begin() as session:
            return [key_id for key_id in ids if not await revoke_key(session, key_id)]

    unknown = _with_database(cross_out)
    for key_id in unknown:
        say_error(f"no key in use has the id {key_id}")
    if unknown:
        raise typer.Exit(1)


def _with_database(work: "Callable[[Database], Awaitable[_Result]]") -> _Result:
    """Do something with the database of the settings and say in one line what is wrong with it."""
    settings = load_settings()

    from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError  # noqa: PLC0415 - the extra may be missing

    from redrive.store.database import open_database  # noqa: PLC0415

    async def run() -> _Result:
        database = open_database(settings, "redrive keys")
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except IntegrityError as error:
        raise CommandError("there is no such namespace; make it first, or use --namespace default") from error
    except ProgrammingError as error:
        raise CommandError("the database has no Redrive tables; run `redrive migrate` first") from error
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise CommandError(f"the database cannot be used: {reason}; see REDRIVE_DATABASE_URL") from error


def _state(key: "ApiKey", now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "in use"


def _scope(key: "ApiKey") -> str:
    if key.namespace is None:
        return "all namespaces"
    return f"namespace {key.namespace}" + (f", group {key.group}" if key.group else "")


def _line(key: "ApiKey", now: datetime) -> tuple[str, ...]:
    return (
        str(key.id),
        key.name,
        key.prefix,
        key.namespace or "all",
        key.group or "all",
        display.when(iso(key.created_at), now),
        display.when(iso(key.last_used_at) if key.last_used_at else None, now),
        _state(key, now),
    )


def _document(key: "ApiKey") -> dict[str, Any]:
    moments = ("created_at", "expires_at", "revoked_at", "last_used_at")
    times = {name: getattr(key, name) for name in moments}
    return {
        "id": str(key.id),
        "name": key.name,
        "prefix": key.prefix,
        "namespace": key.namespace,
        "group": key.group,
        **{name: iso(value) if value else None for name, value in times.items()},
    }
