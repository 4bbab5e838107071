"""What a decorated call that succeeds costs over the bare call, beside stamina and tenacity.

    python bench/sdk_overhead.py

Each row is the best of several rounds, in microseconds a call: the best round is the one in which nothing else ran.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import stamina
import tenacity

from redrive.sdk import Redrive

CALLS = 50_000
ROUNDS = 9
LIMITS = {"sync": 3.0, "async": 6.0}

redrive = Redrive("http://127.0.0.1:8600", group="bench", spool=False)


def bare(order: str, amount: int) -> int:
    return amount


async def abare(order: str, amount: int) -> int:
    return amount


def sync_cost(function: Callable[[str, int], int]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            function("o-1", 5)
        best = min(best, time.perf_counter() - start)
    return best / CALLS * 1e6


def async_cost(function: Callable[[str, int], Awaitable[int]]) -> float:
    async def rounds() -> float:
        best = float("inf")
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for _ in range(CALLS):
                await function("o-1", 5)
            best = min(best, time.perf_counter() - start)
        return best

    return asyncio.run(rounds()) / CALLS * 1e6


def main() -> int:
    plain = {
        "bare": bare,
        "redrive": redrive.retryable("bench", name="bare")(bare),
        "stamina": stamina.retry(on=ValueError, attempts=3)(bare),
        "tenacity": tenacity.retry(stop=tenacity.stop_after_attempt(3))(bare),
    }
    awaited = {
        "bare": abare,
        "redrive": redrive.retryable("bench", name="abare")(abare),
        "stamina": stamina.retry(on=ValueError, attempts=3)(abare),
        "tenacity": tenacity.retry(stop=tenacity.stop_after_attempt(3))(abare),
    }
    slow = 0
    print(f"{'':10} {'sync µs':>9} {'over bare':>10} {'async µs':>9} {'over bare':>10}")
    base: tuple[float, float] = (0.0, 0.0)
    for (name, function), afunction in zip(plain.items(), awaited.values(), strict=True):
        costs = (sync_cost(function), async_cost(afunction))
        base = costs if name == "bare" else base
        over = (costs[0] - base[0], costs[1] - base[1])
        print(f"{name:10} {costs[0]:9.2f} {over[0]:10.2f} {costs[1]:9.2f} {over[1]:10.2f}")
        if name == "redrive":
            slow = int(over[0] > LIMITS["sync"] or over[1] > LIMITS["async"])
    print(f"limit for redrive: {LIMITS['sync']} µs sync, {LIMITS['async']} µs async: {'missed' if slow else 'kept'}")
    return slow


if __name__ == "__main__":
    sys.exit(main())
