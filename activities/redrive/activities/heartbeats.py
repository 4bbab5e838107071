"""Heartbeats of an activity: how Temporal learns that the worker which runs it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from temporalio import activity

HEARTBEAT_SECONDS: Final = 2.0
"""How often a running activity says that it lives, which is also how soon it learns of its cancellation."""


@contextlib.asynccontextmanager
async def heartbeats() -> AsyncGenerator[None]:
    """Say that the activity lives, from the first moment until the block ends."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            activity.heartbeat()

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
