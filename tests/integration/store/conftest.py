"""A scene for the tasks of all tests here."""

from __future__ import annotations

import pytest

from redrive.store import scenes
from redrive.store.database import Database


@pytest.fixture(autouse=True)
async def scene(database: Database) -> None:
    async with database.begin() as session:
        await scenes.create_namespace(session, "default")
        await scenes.create_group(session, "default", "orders")
        await scenes.create_scene(session, "default", "orders", "charge")
