"""The ledger of attempts: what opens an attempt, what closes it, and what the workflow is told of both.

    late? → start: mark as running and load → (somebody runs it) → finish, abandon or cancel → tell the workflow

Who runs the attempt does not matter here: a worker of ours sends it to a node or a webhook, and a group's own worker
asks for it through the API. Nothing is kept between the calls, so that they may come to different processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from redrive.activities import request as requests
from redrive.activities.request import SNOOZED
from redrive.core.breaker import Probe
from redrive.core.conditions import Details
from redrive.core.decision import Outcome, classify
from redrive.core.documents import decode
from redrive.core.errors import InvalidDocument, RedriveError
from redrive.core.health import target_key
from redrive.core.messages import DispatchCommand, DispatchResult
from redrive.core.policy import Rule
from redrive.core.states import AttemptStatus, TaskStatus
from redrive.store import attempts, scenes, tasks
from redrive.store.attempts import Finish
from redrive.store.database import Database
from redrive.store.tables import Attempt
from redrive.store.tasks import Delivery, DeliveryKey

CANCELLED: Final = Finish(
    AttemptStatus.CANCELLED,
    error_type="redrive.Cancelled",
    error_message="the task was cancelled while the attempt was in flight",
)
"""How an attempt ends whose task a person cancelled."""


class DeliveredAgain(RedriveError):
    """A newer delivery of this attempt is under way, and it alone may tell how the attempt ends."""

    def __init__(self, command: DispatchCommand) -> None:
        super().__init__(f"attempt {command.number} of task {command.task_id} has been delivered again")


class Ledger:
    """Opens and closes attempts.

    Args:
        database: Tasks, attempts and payloads.
        clock: The wall clock.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database = database
        self._clock = clock

    async def late(self, command: DispatchCommand) -> DispatchResult | None:
        """Tell what to answer when the generation's time is over; None while it is not.

        Args:
            command: Which attempt.
        """
        ends_at = _ends_at(command)
        if ends_at is None or ends_at > self._clock():
            return None
        return await self._end_of_lost(command) or DispatchResult("late")

    async def ended(self, command: DispatchCommand) -> DispatchResult | None:
        """Tell how an attempt ended whose end the workflow has not heard of; None when it has none.

        Args:
            command: Which attempt.
        """
        known = await self._known(command)
        if known is None or known.status == AttemptStatus.RUNNING:
            return None
        return _finished(command, _finish_of(known))

    async def start(
        self,
        command: DispatchCommand,
        *,
        has_taker: bool = True,
        node_id: str | None = None,
        url: str | None = None,
        probe: Probe | None = None,
    ) -> Delivery | DispatchResult:
        """Open an attempt, or deliver it again when it is open.

        Args:
            command: Which attempt.
            has_taker: Whether a node lives; without one, an attempt for a node is not opened.
            node_id: Who gets it.
            url: Address of that node.
            probe: What it finds out for the breaker of its target.

        Returns:
            The delivery, or what to answer when there is nothing to run.

        Raises:
            DeliveredAgain: Another delivery of it began while this was asked.
        """
        async with self._database.session() as session:
            delivery = await tasks.start_attempt(
                session, command, has_node=has_taker, node_id=node_id, url=url, probe=write_probe(probe)
            )
        if delivery is None:
            return await self._explain(command, has_taker=has_taker)
        if delivery.number is None:
            return await self._remember(command, delivery)
        moved = moved_elsewhere(command, delivery.executor, delivery.target, delivery.scene)
        if moved is not None and delivery.number == 1:
            async with self._database.session() as session:
                await tasks.abandon_attempt(session, command)
            return moved
        return delivery

    def deadline(self, command: DispatchCommand) -> datetime:
        """Tell when an attempt that starts now must have ended.

        Args:
            command: Which attempt.
        """
        timeout, ends_at = self._clock() + timedelta(seconds=command.timeout_seconds), _ends_at(command)
        return timeout if ends_at is None else min(timeout, ends_at)

    async def finish(self, command: DispatchCommand, delivery: DeliveryKey, finish: Finish) -> DispatchResult:
        """Store how a delivery ended, and tell it.

        Args:
            command: Which attempt.
            delivery: Which delivery of it.
            finish: How it ended.

        Returns:
            The outcome that the ledger has from now on: the one that was first told of this attempt.

        Raises:
            DeliveredAgain: A newer delivery is under way; nothing was stored.
        """
        async with self._database.session() as session:
            taken = await attempts.finish_attempt(session, command, delivery.number or 0, finish)
        if not taken:
            return await self._remember(command, delivery)
        result = _finished(command, finish)
        result.deliveries = delivery.number or 1
        return await self._with_policy(command, delivery, result)

    async def abandon(self, command: DispatchCommand, delivery: DeliveryKey, why: str) -> DispatchResult:
        """Take back an attempt that nobody took.

        Only its first delivery can be sure of that. An earlier one, whose worker was lost, may have run.

        Args:
            command: Which attempt.
            delivery: Which delivery of it.
            why: What stood in the way.

        Returns:
            That nobody could take it, or how the lost delivery ended.
        """
        if delivery.number == 1:
            async with self._database.session() as session:
                await tasks.abandon_attempt(session, command)
        elif (ended := await self._end_of_lost(command)) is not None:
            return ended
        return await self._with_policy(command, delivery, DispatchResult("unavailable", why=why))

    async def cancel(self, command: DispatchCommand, delivery: int) -> bool:
        """Close a delivery whose task a person cancelled.

        Args:
            command: Which attempt.
            delivery: Number of the delivery.

        Returns:
            Whether it was open.
        """
        async with self._database.session() as session:
            return await attempts.finish_attempt(session, command, delivery, CANCELLED)

    async def redirect(self, command: DispatchCommand, node_id: str, url: str) -> None:
        """Note that an open attempt goes to another node.

        Args:
            command: Which attempt.
            node_id: The node.
            url: Its address.
        """
        async with self._database.session() as session:
            await tasks.redirect_attempt(session, command, node_id, url)

    async def _end_of_lost(self, command: DispatchCommand) -> DispatchResult | None:
        """Tell how an attempt ended that cannot be delivered again; None when it has never been delivered.

        A worker that was lost may have stored the outcome. If it has not, nobody will ever tell it.
        """
        known = await self._known(command)
        if known is None:
            return None
        if known.status == AttemptStatus.RUNNING:
            lost = requests.failed_without_answer(
                AttemptStatus.TIMED_OUT, "redrive.WorkerLost", "the worker was lost that ran it"
            )
            async with self._database.session() as session:
                if await attempts.finish_attempt(session, command, known.deliveries, lost):
                    return _finished(command, lost)
            raise DeliveredAgain(command)
        return _finished(command, _finish_of(known))

    async def _known(self, command: DispatchCommand) -> Attempt | None:
        async with self._database.session() as session:
            return await attempts.find_attempt(session, UUID(command.task_id), command.generation, command.number)

    async def _explain(self, command: DispatchCommand, *, has_taker: bool) -> DispatchResult:
        """Tell why the ledger took no attempt."""
        async with self._database.session() as session:
            task = await tasks.find_task(session, command.namespace, UUID(command.task_id))
        if (
            task is not None
            and task.generation == command.generation
            and task.mirror_version <= command.version
            and task.status in tasks.RUNNABLE
            and not (task.status == TaskStatus.PAUSED and task.mirror_version == 0)
            and task.target["kind"] == "node"
            and not has_taker
        ):
            ended = await self._end_of_lost(command)
            if ended is not None:
                return ended
            moved = moved_elsewhere(command, task.executor, task.target, task.scene)
            if moved is not None:
                return moved
            which = "" if command.executor is None else f" that has the executor {command.executor!r}"
            return DispatchResult("unavailable", why=f"group {command.group!r} has no live node{which}")
        return DispatchResult("superseded")

    async def _remember(self, command: DispatchCommand, delivery: DeliveryKey) -> DispatchResult:
        """Return the outcome that the ledger has: an earlier run stored it, but was not heard."""
        known = await self._known(command)
        if known is None or known.status == AttemptStatus.RUNNING:
            raise DeliveredAgain(command)
        return await self._with_policy(command, delivery, _finished(command, _finish_of(known)))

    async def _with_policy(
        self, command: DispatchCommand, delivery: DeliveryKey, result: DispatchResult
    ) -> DispatchResult:
        """Add the scene's policy when it is another one than the workflow knows."""
        if delivery.scene_version == command.policy_version:
            return result
        async with self._database.session() as session:
            configuration = await scenes.load_configuration(session, command.namespace, delivery.group, delivery.scene)
        if configuration is not None:
            # A change of the scene may not fit what the task overrides. Then the task keeps the policy that it has.
            with contextlib.suppress(InvalidDocument):
                result.policy = configuration.effective(delivery.policy_override)
                result.policy_version = configuration.version
        return result


def write_probe(probe: Probe | None) -> str | None:
    """Write a probe as the ledger keeps it, the inverse of `read_probe`."""
    return None if probe is None else f"{probe.opens}/{probe.round}"


def read_probe(text: str | None) -> Probe | None:
    """Read what `write_probe` wrote."""
    if text is None:
        return None
    opens, _, number = text.partition("/")
    return Probe(int(opens), int(number))


def _ends_at(command: DispatchCommand) -> datetime | None:
    return None if command.ends_at is None else datetime.fromisoformat(command.ends_at)


def moved_elsewhere(
    command: DispatchCommand, executor: str | None, target: Mapping[str, Any], scene: str
) -> DispatchResult | None:
    """Tell that an attempt was sent elsewhere than its task's row says.

    Args:
        command: The attempt.
        executor: The executor in the row.
        target: The target in the row.
        scene: The task's scene.

    Returns:
        Where it is to be sent; None when that is where it was sent.
    """
    task_queue: str | None = target.get("task_queue")
    if (executor, task_queue) == (command.executor, command.task_queue):
        return None
    key = target_key(command.group, scene, target)
    return DispatchResult("retargeted", executor=executor, task_queue=task_queue, target_key=key)


def _finished(command: DispatchCommand, finish: Finish) -> DispatchResult:
    result = DispatchResult(
        "finished",
        status=finish.status.value,
        error_type=finish.error_type,
        error_bases=list(finish.error_bases),
        http_status=finish.http_status,
        retry_after_seconds=finish.retry_after_seconds,
        stop=finish.stop,
        snooze=finish.error_type == SNOOZED,
        fingerprint=finish.fingerprint,
    )
    if command.classification is not None:
        outcome = Outcome(
            finish.status,
            error_type=finish.error_type,
            http_status=finish.http_status,
            retry_after_seconds=finish.retry_after_seconds,
            stop=finish.stop,
            fingerprint=finish.fingerprint,
            error_bases=finish.error_bases,
        )
        rules = tuple(decode(Rule, rule, "classification") for rule in command.classification)
        verdict = classify(rules, outcome, Details(finish.error_message, finish.response))
        result.action, result.why_action, result.action_seconds = verdict.action, verdict.why, verdict.seconds
    return result


def _finish_of(attempt: Attempt) -> Finish:
    return Finish(
        AttemptStatus(attempt.status),
        http_status=attempt.http_status,
        response=attempt.response,
        error_type=attempt.error_type,
        error_message=attempt.error_message,
        retry_after_seconds=attempt.retry_after_seconds,
        stop=attempt.stop,
        fingerprint=attempt.fingerprint,
        error_bases=tuple(attempt.error_bases),
    )
