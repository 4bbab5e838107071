"""`/v1/breakers`: which targets are taken to be down, and holding them open or closed by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query

from redrive.api.access import Access
from redrive.api.configuration import unknown_namespace
from redrive.api.dependencies import AccessDep, ServicesDep, SessionDep
from redrive.api.documentation import problems
from redrive.api.problems import BREAKER_NOT_FOUND, Refusal
from redrive.api.routing import Route
from redrive.api.schemas.base import Page
from redrive.api.schemas.breakers import (
    BreakerDetail,
    BreakerEvent,
    BreakerHold,
    BreakerRelease,
    BreakerResource,
)
from redrive.api.services import Services
from redrive.api.validation import invalid_field
from redrive.core.breaker import Breaker, Closed, Event, Open, Override, hold, release
from redrive.core.budget import settle
from redrive.core.errors import InvalidDocument
from redrive.core.health import OwnedRules, Rules, moved_by_hand, unknown
from redrive.core.restraints import check_key
from redrive.store import audit, scenes, targets
from redrive.store.search import InvalidCursor, decode_cursor, encode_cursor
from redrive.store.targets import ListedTarget

router = APIRouter(prefix="/v1/breakers", tags=["breakers"], route_class=Route)

KeyPath = Annotated[
    str,
    Path(
        max_length=300,
        description="Its target: `host:api.example`, or `scene:orders/charge-card`.",
        examples=["host:api.example"],
    ),
]
Move = Callable[[Breaker, datetime], tuple[Breaker, tuple[Event, ...]]]


@router.get("", responses=problems())
async def list_breakers(
    access: AccessDep,
    session: SessionDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=2000, description="`next_cursor` of the page before.")] = None,
) -> Page[BreakerResource]:
    """List the breakers of all targets that have been tried, by key. A key for a group sees those of its scenes."""
    group = None if access.scope.allows(access.namespace) else access.scope.group
    after = None if cursor is None else _after(cursor)
    found = await targets.list_targets(session, access.namespace, group=group, after=after, limit=limit + 1)
    now = await targets.clock(session)
    items = [BreakerResource(**_facts(target, now)) for target in found[:limit]]
    return Page[BreakerResource](items=items, next_cursor=encode_cursor(items[-1].key) if len(found) > limit else None)


@router.get("/{key:path}", responses=problems(404))
async def get_breaker(key: KeyPath, access: AccessDep, session: SessionDep) -> BreakerDetail:
    """Show the breaker of a target, with what happened to it."""
    _require(access, key)
    name = (access.namespace, key)
    target = await targets.find_listed(session, name)
    if target is None:
        raise Refusal(BREAKER_NOT_FOUND, f"target {key!r} has not been tried yet, so nothing is known of it")
    events = await targets.list_events(session, name)
    history = [BreakerEvent(kind=event.kind, why=event.why, at=event.at) for event in events]
    return BreakerDetail(**_facts(target, await targets.clock(session)), history=history)


@router.post("/{key:path}/open", responses=problems(404, 413, 415))
async def open_breaker(key: KeyPath, wanted: BreakerHold, access: AccessDep, services: ServicesDep) -> BreakerDetail:
    """Hold a breaker open: nothing goes to its target, and what falls due is parked.

    It holds everywhere a second later. Afterwards the target is probed before everything returns to it.
    """
    return await _hold(key, wanted, "open", access, services)


@router.post("/{key:path}/close", responses=problems(404, 413, 415))
async def close_breaker(key: KeyPath, wanted: BreakerHold, access: AccessDep, services: ServicesDep) -> BreakerDetail:
    """Hold a breaker closed: attempts go, however many fail. What is parked returns by slow start."""
    return await _hold(key, wanted, "closed", access, services)


@router.post("/{key:path}/release", responses=problems(404, 413, 415))
async def release_breaker(
    key: KeyPath, wanted: BreakerRelease, access: AccessDep, services: ServicesDep
) -> BreakerDetail:
    """Let a breaker that a person holds move by itself again."""

    def move(breaker: Breaker, now: datetime) -> tuple[Breaker, tuple[Event, ...]]:
        return release(breaker, access.actor, now)

    return await _move(key, "release", wanted.reason, {}, move, access, services)


async def _hold(
    key: str, wanted: BreakerHold, position: Literal["open", "closed"], access: Access, services: Services
) -> BreakerDetail:
    if wanted.until is not None and wanted.until <= datetime.now(UTC):
        raise invalid_field("until", f"expected an instant in the future, got {wanted.until.isoformat()}")
    override = Override(position, access.actor, wanted.reason, wanted.until)

    def move(breaker: Breaker, now: datetime) -> tuple[Breaker, tuple[Event, ...]]:
        return hold(breaker, override, now)

    action = "open" if position == "open" else "close"
    return await _move(key, action, wanted.reason, {"until": wanted.until}, move, access, services)


async def _move(
    key: str, action: str, reason: str, facts: dict[str, Any], move: Move, access: Access, services: Services
) -> BreakerDetail:
    """Move a breaker as a person wants, under its lock."""
    group = _require(access, key)
    name = (access.namespace, key)
    async with services.database.begin() as session:
        if await scenes.find_namespace(session, access.namespace) is None:
            raise unknown_namespace(access.namespace)
        now = await targets.clock(session)
        first = (unknown(now, Rules()), OwnedRules("", False, Rules()))
        target = (await targets.lock_targets(session, {name: first}))[name]
        breaker, events = move(target.health.breaker, now)
        health = moved_by_hand(target.health, breaker, now, target.rules.rules)
        await targets.store_targets(session, [replace(target, health=health)], {name: events})
        await audit.record(
            session, access.namespace, access.actor, action, "breaker", key, facts, reason or None, group=group
        )
    async with services.database.session() as session:
        return await get_breaker(key, access, session)


def _require(access: Access, key: str) -> str | None:
    """Refuse a key that names no target, or a target that the API key does not open; tell the target's group."""
    try:
        check_key("target", key)
    except InvalidDocument as error:
        raise invalid_field(error.path, error.problem) from None
    kind, _, place = key.partition(":")
    if kind == "host":
        access.require_namespace()
        return None
    group = place.partition("/")[0]
    access.require_group(group)
    return group


def _facts(target: ListedTarget, now: datetime) -> dict[str, Any]:
    """Show a target as it is by now."""
    health, rules = target.stored.health, target.stored.rules.rules
    state, override = health.breaker.state, health.breaker.override
    lately = health.window.totals(now, rules.breaker.window_seconds)
    return {
        "key": target.stored.name[1],
        "kind": target.stored.name[1].partition(":")[0],
        "state": state.kind,
        "override": None
        if override is None
        else {
            "position": override.position,
            "author": override.author,
            "reason": override.reason,
            "until": override.until,
        },
        "opened_at": None if isinstance(state, Closed) else state.opened_at,
        "open_until": state.open_until if isinstance(state, Open) else None,
        "why": state.why if isinstance(state, Open) else "",
        "failure_rate": lately.failure_ratio,
        "count": lately.count,
        "budget_tokens": settle(health.budget, rules.budget, now).tokens,
        "budget_capacity": rules.budget.capacity,
        "ramp_rate": None if health.ramp is None else health.ramp.rate(now),
        "pushback_until": health.pushback_until,
        "parked": target.parked,
        "updated_at": target.updated_at,
    }


def _after(cursor: str) -> str:
    match decode_cursor(cursor):
        case [str(key)]:
            return key
        case _:
            raise InvalidCursor
