"""Limits and pauses as many workers share them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from sqlalchemy import text

from redrive.core.pacing import average
from redrive.core.quota import Answer, Granted, Later
from redrive.core.restraints import LimitSetting, Place, ScopeKey
from redrive.store import limits, pauses
from redrive.store.database import Database, new_id
from redrive.store.limits import Request
from redrive.store.restraints import RestraintsCache

GROUP: ScopeKey = ("group", "orders")
SCENE: ScopeKey = ("scene", "orders/charge")


async def limit(
    database: Database, key: ScopeKey = GROUP, *, rate: float | None = None, concurrency: int | None = None
) -> None:
    async with database.begin() as session:
        await limits.put_limit(session, "default", LimitSetting(key, rate, 1, concurrency), None)


def request(task_id: UUID | None = None, *, seconds: float = 60, has_slot: bool = False) -> Request:
    return Request("default", task_id or new_id(), (GROUP, SCENE), seconds, has_slot)


async def ask(database: Database, *requests: Request) -> list[Answer]:
    async with database.begin() as session:
        return await limits.admit(session, requests)


async def granted(database: Database, *requests: Request) -> list[UUID]:
    answers = await ask(database, *requests)
    return [one.task_id for one, answer in zip(requests, answers, strict=True) if isinstance(answer, Granted)]


async def test_workers_that_ask_at_once_get_no_more_permits_than_there_are(database: Database) -> None:
    await limit(database, concurrency=3)
    await limit(database, SCENE, concurrency=5)

    answers = await asyncio.gather(*(ask(database, request(), request()) for _ in range(8)))

    assert sum(isinstance(answer, Granted) for batch in answers for answer in batch) == 3


async def test_workers_that_ask_at_once_are_given_different_slots(database: Database) -> None:
    await limit(database, rate=0.01)

    answers = await asyncio.gather(*(ask(database, request(), request()) for _ in range(8)))

    slots = sorted(answer.at for batch in answers for answer in batch if isinstance(answer, Later))
    gaps = [later - earlier for earlier, later in pairwise(slots)]
    assert len(gaps) == 14
    assert all(gap >= timedelta(seconds=99) for gap in gaps)


async def test_a_permit_comes_back_with_the_end_of_its_attempt(database: Database) -> None:
    await limit(database, concurrency=1)
    (first,) = await granted(database, request())

    assert await granted(database, request()) == []
    async with database.session() as session:
        await limits.release(session, [first])

    assert len(await granted(database, request())) == 1


async def test_who_asks_while_an_attempt_ends_is_given_its_permit(database: Database) -> None:
    await limit(database, concurrency=1)
    await limit(database, SCENE, concurrency=1)
    (first,) = await granted(database, request())
    second = request()

    async with database.begin() as session:
        (answer,) = await limits.admit(session, [second], [first])

    assert isinstance(answer, Granted)
    assert await granted(database, request()) == []
    async with database.session() as session:
        rows = await limits.list_limits(session, "default")
    assert all(row.average_seconds is not None for row in rows)


async def test_an_attempt_that_ends_gives_back_what_nobody_asks_for(database: Database) -> None:
    await limit(database, concurrency=1)
    (first,) = await granted(database, request())
    elsewhere = Request("default", new_id(), (("scene", "orders/refund"),), 60)

    async with database.begin() as session:
        await limits.admit(session, [elsewhere], [first])

    assert len(await granted(database, request())) == 1


async def test_a_permit_of_a_killed_worker_ends_by_itself(database: Database) -> None:
    await limit(database, concurrency=1)
    assert await granted(database, request(seconds=-1))

    assert len(await granted(database, request())) == 1


async def test_an_attempt_that_is_delivered_again_keeps_its_permit(database: Database) -> None:
    await limit(database, concurrency=1)
    task = new_id()

    assert await granted(database, request(task)) == [task]
    assert await granted(database, request(task)) == [task]
    assert await granted(database, request()) == []


async def test_who_comes_at_its_slot_is_not_given_another(database: Database) -> None:
    await limit(database, rate=0.001)
    await ask(database, request())

    assert await granted(database, request(has_slot=True), request()) != []


async def test_the_average_is_carried_on_as_the_core_says(database: Database) -> None:
    await limit(database, concurrency=4)
    tasks = await granted(database, request(), request(), request(), request())
    for ended, seconds in ((tasks[:1], 8), (tasks[1:3], 2)):
        async with database.session() as session:
            await session.execute(
                text("UPDATE permits SET granted_at = clock_timestamp() - make_interval(secs => :seconds)"),
                {"seconds": seconds},
            )
            await limits.release(session, ended)

    async with database.session() as session:
        (row,) = await limits.list_limits(session, "default")
    assert row.average_seconds is not None
    assert abs(row.average_seconds - average(8, 2, 2)) < 0.5


async def test_a_higher_rate_holds_for_who_asks_from_now_on(database: Database) -> None:
    await limit(database, rate=0.001)
    await ask(database, request(), request())

    await limit(database, rate=100)

    assert len(await granted(database, request())) == 1


async def test_a_lower_rate_begins_after_the_slots_that_are_given_away(database: Database) -> None:
    await limit(database, rate=1)
    given = await ask(database, *(request() for _ in range(30)))

    await limit(database, rate=0.5)
    (answer,) = await ask(database, request())

    assert isinstance(answer, Later)
    assert isinstance(given[-1], Later)
    assert answer.at > given[-1].at


async def test_limits_and_pauses_are_known_a_second_later_in_one_query(database: Database) -> None:
    seconds = 0.0
    cache = RestraintsCache(database, lambda: seconds)
    place = Place("orders", "charge", "host:api.example")
    await cache.of("default")
    await limit(database, SCENE, rate=3)
    async with database.begin() as session:
        await pauses.insert_pause(session, "default", "namespace", "", reason="", author=None, until=None)

    assert (await cache.of("default")).limits_of(place) == ()
    seconds = 1.0

    found = await cache.of("default")
    assert found.limits_of(place) == (LimitSetting(SCENE, 3),)
    assert found.pause_of(place, datetime.now(UTC)) is not None
    assert (await cache.of("other")).pause_of(place, datetime.now(UTC)) is None


async def test_a_pause_whose_time_is_over_is_taken_by_one(database: Database) -> None:
    past, coming = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    async with database.begin() as session:
        for until in (past, coming, None):
            await pauses.insert_pause(session, "default", "group", "orders", reason="", author=None, until=until)

    async def take() -> list[pauses.Pause]:
        async with database.begin() as session:
            return await pauses.take_ended(session)

    taken = [pause.until for batch in await asyncio.gather(*(take() for _ in range(4))) for pause in batch]

    assert taken == [past]
    async with database.session() as session:
        assert {pause.until for pause in await pauses.list_pauses(session, "default")} == {coming, None}
