"""Waiting for something that another process or coroutine does, never for a length of time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")


async def eventually(condition: Callable[[], T | Awaitable[T]], within: float = 45.0, what: str = "") -> T:
    """Ask until the answer is true, and return it.

    Args:
        condition: What is asked; it may be a coroutine function.
        within: The longest wait, in seconds: far more than it ever takes.
        what: What is waited for, for the message of a failure.
    """
    last: T | None = None
    try:
        async with asyncio.timeout(within):
            while True:
                answer = condition()
                last = await cast("Awaitable[T]", answer) if inspect.isawaitable(answer) else answer
                if last:
                    return last
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what or condition} did not come true within {within:g} s; last was {last!r}") from None
