"""Dispatch: one attempt, from its mark in the ledger to its outcome.

    late? → may it go? → choose a node → mark as running and load → send → store the outcome → tell the workflow

What goes wrong at the target is an outcome. What goes wrong on our side raises: Temporal runs the activity again, the
attempt keeps its number, and the target can tell by the idempotency key that it is the same one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast
from uuid import UUID

import httpx
from temporalio import activity

from redrive.activities import request as requests
from redrive.activities.admission import Admission, Ticket
from redrive.activities.directory import NodeDirectory
from redrive.activities.heartbeats import heartbeats
from redrive.activities.ledger import Ledger
from redrive.activities.notify import Notifier
from redrive.activities.request import NOT_TAKEN, Answer, Request
from redrive.core.messages import CLOSE, DISPATCH, DispatchCommand, DispatchResult
from redrive.core.policy import Route
from redrive.core.states import AttemptStatus
from redrive.core.wire import MAX_RESPONSE_BYTES
from redrive.store.attempts import Finish
from redrive.store.database import Database
from redrive.store.nodes import LiveNode
from redrive.store.tasks import Delivery

T = TypeVar("T")

CONNECT_SECONDS: Final = 5.0
"""How long a connection may take; a shorter time-out of the attempt goes first."""

CANCEL_SECONDS: Final = 3.0
"""How long a node may take to be told that its attempt is cancelled."""

NODE_ANSWER_BYTES: Final = 1024 * 1024
"""What is read of a node's answer: its envelope must be whole, while only part of its result is kept."""


UNUSABLE_ADDRESS: Final = (httpx.InvalidURL, UnicodeError)
"""What comes of an address that no check of ours refuses and no client accepts, such as `http://xn--a`."""

ALREADY_RUNNING: Final = 409
"""A node answers so to an attempt that it has not ended yet."""


class NoTaker(Exception):
    """No node took the attempt, so it has not run and is not spent."""


class Dispatcher:
    """Sends attempts to nodes and webhooks.

    Args:
        database: Ledger and payloads.
        http: Client for the targets; it must not follow redirects.
        directory: The live nodes.
        admission: Tells whether an attempt may go to its target.
        clock: The wall clock.
    """

    def __init__(
        self,
        database: Database,
        http: httpx.AsyncClient,
        directory: NodeDirectory,
        admission: Admission,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = Ledger(database, clock)
        self._notifier = Notifier(database, http, clock)
        self._http = http
        self._directory = directory
        self._admission = admission
        self._clock = clock

    @activity.defn(name=DISPATCH)
    async def dispatch(self, command: DispatchCommand) -> DispatchResult:
        """Run one attempt.

        Args:
            command: Which one, and its limits.

        Returns:
            Its outcome, or why it did not run.
        """
        # From the first moment: a slow database must not look like a lost worker, or the attempt would run twice.
        async with heartbeats():
            return await self._dispatch(command)

    @activity.defn(name=CLOSE)
    async def close(self, command: DispatchCommand, error_type: str) -> DispatchResult:
        """Write down an attempt that a group's own worker has failed without telling how.

        Args:
            command: Which attempt.
            error_type: What it raised.

        Returns:
            Its outcome.
        """
        ticket = await self._admission.ticket(command)
        delivery = await self._ledger.start(command)
        if isinstance(delivery, DispatchResult):
            return delivery
        message = "the worker raised an error that must not be retried, and did not tell Redrive how the attempt ended"
        finish = requests.failed_without_answer(AttemptStatus.FAILED, error_type, message)
        result = await self._ledger.finish(command, delivery, finish)
        await self._admission.settle(ticket, result)
        return result

    async def _dispatch(self, command: DispatchCommand) -> DispatchResult:
        late = await self._ledger.late(command)
        if late is not None:
            return late
        ticket = await self._admission.ask(command)
        if isinstance(ticket, DispatchResult):
            return await self._ledger.ended(command) or ticket
        try:
            result = await self._admitted(command, ticket)
        except BaseException:
            await asyncio.shield(self._admission.abort(ticket, is_over=_is_cancelled()))
            raise
        await self._admission.settle(ticket, result)
        return result

    async def _admitted(self, command: DispatchCommand, ticket: Ticket) -> DispatchResult:
        # Choosing and opening may take a while on a slow database, and are part of the attempt's time.
        deadline = self._ledger.deadline(command)
        node = await self._choose(command, frozenset())
        delivery = await self._ledger.start(
            command,
            has_taker=node is not None,
            node_id=None if node is None else node.id,
            url=None if node is None else node.url,
            probe=ticket.probe,
        )
        if isinstance(delivery, DispatchResult):
            return delivery
        try:
            finish = await self._send(command, delivery, node, deadline)
        except NoTaker as error:
            return await self._ledger.abandon(command, delivery, str(error))
        except asyncio.CancelledError:
            await self._cancelled(command, delivery)
            raise
        return await _to_its_end(self._ledger.finish(command, delivery, finish))

    # --- Steps -------------------------------------------------------------------------------------------------------

    async def _choose(self, command: DispatchCommand, tried: frozenset[str]) -> LiveNode | None:
        return await self._directory.choose(
            command.namespace, command.group, cast("Route", command.route), command.affinity, command.executor, tried
        )

    async def _send(
        self, command: DispatchCommand, delivery: Delivery, node: LiveNode | None, deadline: datetime
    ) -> Finish:
        """Send an attempt, and say how it ended."""
        try:
            async with asyncio.timeout((deadline - self._clock()).total_seconds()):
                if delivery.target["kind"] == "node":
                    return await self._send_to_nodes(command, delivery, node, deadline)
                if delivery.target["kind"] == "channel":
                    return await self._notify(command, delivery)
                now = self._clock()
                answer = await self._exchange(
                    requests.webhook_request(command, delivery, deadline, now), MAX_RESPONSE_BYTES
                )
                return requests.read_webhook_answer(answer, self._clock())
        except httpx.ConnectTimeout:
            message = f"no connection within {CONNECT_SECONDS:g} s"
            return requests.failed_without_answer(AttemptStatus.TIMED_OUT, "httpx.ConnectTimeout", message)
        except (TimeoutError, httpx.TimeoutException):
            bound = command.ends_at is not None and datetime.fromisoformat(command.ends_at) == deadline
            message = "no answer before the task's end" if bound else f"no answer within {command.timeout_seconds:g} s"
            return requests.failed_without_answer(AttemptStatus.TIMED_OUT, "redrive.Timeout", message)
        except httpx.HTTPError as error:
            name = f"httpx.{type(error).__name__}"
            return requests.failed_without_answer(AttemptStatus.FAILED, name, str(error) or name)
        except UNUSABLE_ADDRESS as error:
            return requests.failed_without_answer(AttemptStatus.FAILED, "redrive.InvalidAddress", str(error))

    async def _send_to_nodes(
        self, command: DispatchCommand, delivery: Delivery, node: LiveNode | None, deadline: datetime
    ) -> Finish:
        """Offer an attempt to one node after another until one takes it.

        A node that refuses the connection, or answers that it is draining or full, has not run anything. Once a
        request has been taken, its fate is the attempt's fate.
        """
        tried: frozenset[str] = frozenset()
        why = f"group {command.group!r} has no live node"
        while node is not None:
            if tried:
                await self._ledger.redirect(command, node.id, node.url)
            try:
                answer = await self._offer(command, delivery, node, deadline)
            except (httpx.ConnectError, httpx.ConnectTimeout, *UNUSABLE_ADDRESS) as error:
                why = f"node {node.id} at {node.url} took no connection: {str(error) or type(error).__name__}"
            else:
                if answer.status == ALREADY_RUNNING:
                    # Its worker was lost, not the attempt. It is delivered again until the node is done with it.
                    raise RuntimeError(f"attempt {command.number} of task {command.task_id} still runs on {node.id}")
                if answer.status not in NOT_TAKEN:
                    return requests.read_node_answer(answer, self._clock())
                why = f"node {node.id} at {node.url} took no attempt: it answered {answer.status}"
            self._directory.suspect(node)
            tried |= {node.id}
            node = await self._choose(command, tried)
        raise NoTaker(why)

    async def _notify(self, command: DispatchCommand, delivery: Delivery) -> Finish:
        """Send the notice of an alert."""
        channel_id, notice = UUID(delivery.target["channel"]), json.loads(delivery.body or "{}")
        return await self._notifier.deliver(command.namespace, channel_id, notice, command.task_id)

    async def _offer(self, command: DispatchCommand, delivery: Delivery, node: LiveNode, deadline: datetime) -> Answer:
        request = requests.node_request(command, delivery, node.url, deadline, self._clock())
        try:
            return await self._exchange(request, NODE_ANSWER_BYTES)
        except (asyncio.CancelledError, httpx.ReadTimeout, httpx.WriteTimeout):
            await self._tell_cancelled(command, delivery, node)
            raise

    async def _exchange(self, request: Request, limit: int) -> Answer:
        """Send one request and read its answer, the body up to `limit` bytes."""
        async with self._http.stream(
            request.method, request.url, headers=request.headers, content=request.body
        ) as response:
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) >= limit:
                    break
            return Answer(response.status_code, response.headers, body[:limit])

    async def _tell_cancelled(self, command: DispatchCommand, delivery: Delivery, node: LiveNode) -> None:
        """Tell a node to stop an attempt. The closed connection says it too; this reaches it through proxies."""
        request = requests.cancel_request(command, delivery, node.url, self._clock())
        with contextlib.suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):
                await self._http.post(request.url, content=request.body, headers=request.headers)

    async def _cancelled(self, command: DispatchCommand, delivery: Delivery) -> None:
        """Close the attempt when a person cancelled its task; a worker that only stops leaves it to the next one."""
        if _is_cancelled():
            await asyncio.shield(self._ledger.cancel(command, delivery.number or 0))


def _is_cancelled() -> bool:
    """Tell whether a person cancelled the task; a worker that only stops leaves the attempt to the next one."""
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Carry something out also when this attempt is cancelled meanwhile: the target has answered, and that counts."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        return await task
