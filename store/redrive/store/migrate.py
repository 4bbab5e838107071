"""Schema migrations: Alembic behind three functions, so that no ini file has to be found at run time."""

from __future__ import annotations

from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.pool import NullPool

from redrive.store.database import driver_url

_LOCK = 0x7265_6472_6976_65  # "redrive": one migration at a time, whoever starts it


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the schema to a revision. Several processes may do so at once; one of them does the work.

    Args:
        database_url: PostgreSQL URL.
        revision: Where to stop.
    """
    _run(database_url, command.upgrade, revision)


def downgrade(database_url: str, revision: str) -> None:
    """Take the schema back to a revision, `base` for nothing at all.

    Args:
        database_url: PostgreSQL URL.
        revision: Where to stop.
    """
    _run(database_url, command.downgrade, revision)


def render_sql(database_url: str, revision: str = "head") -> None:
    """Write the statements of an upgrade from nothing to standard output instead of running them."""
    config = _config()
    config.set_main_option(
        "sqlalchemy.url", driver_url(database_url).render_as_string(hide_password=True).replace("%", "%%")
    )
    command.upgrade(config, revision, sql=True)


def current(database_url: str) -> str | None:
    """Tell the schema's revision; None for an empty database."""
    engine = create_engine(driver_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


async def revision(session: AsyncSession) -> str | None:
    """Tell the schema's revision as a running server sees it; None for an empty database."""
    if await session.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found: str | None = await session.scalar(text("SELECT version_num FROM alembic_version"))
    return found


@lru_cache(maxsize=1)
async def server_version(session: AsyncSession) -> str:
    """Tell the version of the PostgreSQL server."""
    version: str = (await session.execute(text("SHOW server_version"))).scalar_one()
    return version.split(" ", maxsplit=1)[0]


def head() -> str | None:
    """Tell the newest revision that this version of Redrive knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def pending(database_url: str) -> bool:
    """Tell whether the schema is not the one that this version of Redrive needs."""
    return current(database_url) != head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _run(database_url: str, run: Any, revision: str) -> None:
    config = _config()
    engine = create_engine(driver_url(database_url), poolclass=NullPool)
    with closing(engine.connect()) as lock, engine.connect() as connection:
        lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        run(config, revision)
    engine.dispose()
