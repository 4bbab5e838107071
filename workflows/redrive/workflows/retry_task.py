"""The retry loop: one workflow per generation of a task.

    wait (timer or update) → dispatch → decide → record → wait …, or end

Everything that is decided is decided by `redrive.core.decision`; this module only waits, asks and tells. The payload
never comes here: the workflow holds ids, counters, instants and the policy.

Handlers of updates change the state and let the loop carry the change out, so that one coroutine alone writes to the
mirror. Their callers get the answer once the mirror shows the change.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, cast

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutType, is_cancelled_exception
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

with workflow.unsafe.imports_passed_through():
    from redrive.core.counters import Counters
    from redrive.core.decision import (
        MAX_SNOOZES,
        Clock,
        Die,
        Outcome,
        Retry,
        Succeed,
        Verdict,
        classify,
        count,
        decide,
        looks_inside,
        park_seconds,
        plan,
    )
    from redrive.core.documents import decode, encode
    from redrive.core.messages import (
        CLOSE,
        CONFLICT,
        DISPATCH,
        EXECUTE,
        RECORD,
        RETRY_TASK,
        SIGNAL_WAKE,
        UPDATE_CANCEL,
        UPDATE_CHANGE_POLICY,
        UPDATE_PAUSE,
        UPDATE_RESCHEDULE,
        UPDATE_RESUME,
        UPDATE_RETARGET,
        UPDATE_RETRY,
        Cancel,
        ChangePolicy,
        DispatchCommand,
        DispatchResult,
        Pause,
        Record,
        Reschedule,
        Resume,
        Retarget,
        RetryNow,
        TaskRun,
        TaskView,
        fairness_key,
        mirror_version,
    )
    from redrive.core.policy import Action, parse
    from redrive.core.quiet import quiet_until
    from redrive.core.states import TERMINAL, AttemptStatus, DeadReason, ParkedFor, TaskStatus

HEARTBEAT_TIMEOUT: Final = timedelta(seconds=10)
"""A worker that is silent for this long has lost its attempt; another worker repeats it."""

DISPATCH_MARGIN: Final = timedelta(seconds=15)
"""What loading, sending and storing may take beside the attempt itself."""

HELD_LOOKS_AGAIN: Final = 3600.0
"""A task that is parked for its target is let go when that is back. After at most this many seconds it looks by itself,
should nobody have told it."""

WORKER_WAIT: Final = timedelta(seconds=30)
"""How long an attempt may wait for a group's own worker before its task is parked."""

# Dispatch fails only when something of ours is away (the database, the worker). The attempt is not spent, however
# long that lasts.
DISPATCH_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(seconds=30)
)
RECORD_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), backoff_coefficient=2, maximum_interval=timedelta(seconds=10)
)

_LEFT_TO_PEOPLE: Final = (ParkedFor.RULE, ParkedFor.POISON)
"""What a task that is parked for it does not return from because its target is back."""

STOPPED_IN_TEMPORAL: Final = "the workflow was cancelled in Temporal"


@workflow.defn(name=RETRY_TASK)
class RetryTask:
    """Retries one generation of a task until it succeeds, dies or is cancelled."""

    @workflow.init
    def __init__(self, task: TaskRun) -> None:
        self._task = task
        self._policy = parse(task.policy)
        self._clock = Clock(_instant(task.started_at), _instant(task.deadline) if task.deadline else None)
        self._due_at = _instant(task.due_at)
        self._status = self._resting_status()
        self._why = ""
        self._dead_reason: DeadReason | None = None
        self._cancel_reason: str | None = None
        self._counters = decode(Counters, task.counters, "counters")
        self._policy_changed = False
        self._dispatch: workflow.ActivityHandle[DispatchResult] | None = None
        self._ended_attempt: int | None = None
        self._finished = False
        self._sequence = 0
        self._changes = 0
        self._mirrored = 0

    @workflow.run
    async def run(self, task: TaskRun) -> TaskView:
        """Live one generation of a task.

        Args:
            task: Ids, counters, instants and the policy.

        Returns:
            How it ended.
        """
        while not self._finished:
            try:
                await self._step()
            except (asyncio.CancelledError, ActivityError) as error:
                if not is_cancelled_exception(error):
                    raise
                # Somebody cancelled the workflow itself, in Temporal's own console or CLI.
                self._cancel(STOPPED_IN_TEMPORAL)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._view()

    async def _step(self) -> None:
        if self._status in TERMINAL:
            await self._finish()
        elif self._cancel_reason is not None:
            await self._end(TaskStatus.CANCELLED, self._cancel_reason)
        elif workflow.cancellation_reason() is not None:
            # It came while an attempt was in flight that ended all the same.
            self._cancel(STOPPED_IN_TEMPORAL)
        elif self._changes != self._mirrored:
            await self._mirror()
        elif workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(lambda: workflow.all_handlers_finished() or self._has_changed())
            if not self._has_changed():
                workflow.continue_as_new(self._next_run())
        elif self._task.paused:
            await workflow.wait_condition(self._has_changed)
        elif (remaining := self._due_at - workflow.now()) > timedelta(0):
            with contextlib.suppress(asyncio.TimeoutError):
                await workflow.wait_condition(
                    lambda: self._has_changed() or self._due_at <= workflow.now(), timeout=remaining
                )
        elif self._task.attempts >= self._policy.max_attempts:
            # A changed policy allows fewer attempts than have been spent.
            spent = f"{self._task.attempts} attempts are spent and {self._policy.max_attempts} are allowed"
            await self._end(TaskStatus.DEAD, spent, DeadReason.EXHAUSTED)
        elif (
            self._task.trigger != "manual"
            and (until := quiet_until(self._policy.quiet_hours, workflow.now())) is not None
        ):
            self._due_at, self._why = until, f"quiet hours until {until.isoformat()}"
            self._task.returning = True
            await self._mirror()
        else:
            await self._attempt()

    def _has_changed(self) -> bool:
        return self._changes != self._mirrored or self._cancel_reason is not None

    # --- One attempt -------------------------------------------------------------------------------------------------

    async def _attempt(self) -> None:
        number, trigger = self._task.number + 1, self._task.trigger
        result = await self._run_dispatch(number)
        self._task.trigger, self._task.slot = "timer", None
        self._task.forced = self._task.returning = False
        if result is None:
            return  # cancelled: the next step ends it
        self._task.target_key = result.target_key or self._task.target_key
        for _ in range(1, result.deliveries):
            self._counters = self._counters.count("interruption")
        if result.policy is not None and result.policy_version is not None:
            self._adopt(result.policy, result.policy_version)
        match result.kind:
            case "finished":
                self._task.number = number
                self._task.parked = self._task.parked_for = None
                self._task.parks = 0
                if result.snooze and self._task.snoozes < MAX_SNOOZES:
                    await self._snooze(number, result.retry_after_seconds or 0)
                else:
                    self._task.snoozes = 0
                    await self._follow(number, result)
            case "unavailable":
                await self._park(result.why, ParkedFor.NO_NODE)
            case "parked":
                await self._park(result.why, ParkedFor(result.parked_for or ParkedFor.BREAKER), result.until)
            case "deferred":
                await self._defer(result)
            case "late":
                await self._end(TaskStatus.DEAD, "its time was over before the attempt could start", DeadReason.EXPIRED)
            case "superseded":
                self._status, self._finished = TaskStatus.CANCELLED, True
            case "retargeted":
                # Somebody changed the row between two attempts: the same attempt goes where the row says.
                self._aim(result.executor, result.task_queue, result.target_key)
                self._task.trigger = trigger

    async def _run_dispatch(self, number: int) -> DispatchResult | None:
        ends_at = self._clock.ends_at(self._policy)
        command = DispatchCommand(
            namespace=self._task.namespace,
            group=self._task.group,
            task_id=self._task.task_id,
            generation=self._task.generation,
            number=number,
            attempts=self._task.attempts + 1,
            version=self._next_version(),
            due_at=self._due_at.isoformat(),
            trigger=self._task.trigger,
            timeout_seconds=self._policy.attempt_timeout_seconds,
            ends_at=None if ends_at is None else ends_at.isoformat(),
            max_attempts=self._policy.max_attempts,
            route=self._policy.route,
            policy_version=self._task.policy_version,
            affinity=self._task.affinity,
            executor=self._task.executor,
            classification=list(encode(self._policy.classification))
            if looks_inside(self._policy.classification)
            else None,
            task_queue=self._task.task_queue,
            scene=self._task.scene,
            target_key=self._task.target_key,
            slot=self._task.slot,
            forced=self._task.forced,
            returning=self._task.returning,
        )
        self._status = TaskStatus.RUNNING
        # A group's own worker does what a worker of ours does. That none polls shows as a time-out before the start;
        # ours are known to come back, so their queue has none.
        own_queue = self._task.task_queue
        self._dispatch = workflow.start_activity(
            DISPATCH if own_queue is None else EXECUTE,
            command,
            result_type=DispatchResult,
            task_queue=own_queue,
            schedule_to_start_timeout=None if own_queue is None else WORKER_WAIT,
            start_to_close_timeout=timedelta(seconds=command.timeout_seconds) + DISPATCH_MARGIN,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=DISPATCH_RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            priority=Priority(
                priority_key=self._task.priority,
                fairness_key=fairness_key(self._task.namespace, self._task.group),
                fairness_weight=self._task.weight,
            ),
        )
        try:
            return await self._dispatch
        except ActivityError as error:
            if _nobody_polled(error):
                return DispatchResult("unavailable", why=f"no worker took it from the task queue {own_queue!r}")
            if own_queue is not None and isinstance(error.cause, ApplicationError) and _is_final(error):
                return await self._close(command, error.cause.type or "ApplicationError")
            # A worker that dies while it is told to cancel never says so: the server gives up then instead of retrying.
            if not is_cancelled_exception(error) and error.retry_state is not RetryState.CANCEL_REQUESTED:
                raise
            self._task.attempts += 1
            self._task.number = self._ended_attempt = number
            if self._cancel_reason is None:
                self._cancel(STOPPED_IN_TEMPORAL)
            return None
        finally:
            self._dispatch = None

    async def _close(self, command: DispatchCommand, error_type: str) -> DispatchResult:
        """Write down an attempt that a group's own worker has failed without telling Redrive."""
        result: DispatchResult = await workflow.execute_activity(
            CLOSE,
            args=[command, error_type],
            result_type=DispatchResult,
            start_to_close_timeout=DISPATCH_MARGIN,
            retry_policy=DISPATCH_RETRY,
        )
        return result

    async def _follow(self, number: int, result: DispatchResult) -> None:
        now, outcome, spent = workflow.now(), _outcome(result), self._task.attempts + 1
        verdict = _verdict(result) or classify(self._policy.classification, outcome)
        decision = decide(
            self._policy,
            self._clock,
            spent,
            outcome,
            now,
            workflow.random(),
            self._task.delay_seconds,
            verdict,
            self._counters,
        )
        self._counters = count(self._counters, decision, outcome)
        if not isinstance(decision, Retry) or decision.kind == "failure":
            self._task.attempts = spent
        match decision:
            case Succeed():
                await self._end(TaskStatus.SUCCEEDED, decision.why, attempt=number)
            case Die():
                await self._end(TaskStatus.DEAD, decision.why, decision.reason, attempt=number)
            case Retry() if self._cancel_reason is not None:
                await self._end(TaskStatus.CANCELLED, self._cancel_reason, attempt=number)
            case Retry():
                self._due_at = decision.due_at
                if decision.kind == "failure":
                    self._task.delay_seconds = decision.delay_seconds
                if decision.kind == "park":
                    self._task.parked = decision.why
                    self._task.parked_for = ParkedFor.RULE if verdict.action == "park" else ParkedFor.POISON
                self._task.planned_at = now.isoformat()
                self._why = decision.why
                await self._mirror(attempt=number)

    async def _snooze(self, number: int, seconds: float) -> None:
        """Run again later, as the client wishes: its attempt did not fail and is not spent."""
        self._task.snoozes += 1
        self._counters = self._counters.count("snooze")
        seconds = min(max(seconds, 0), self._policy.retry_after.max_seconds)
        due_at = workflow.now() + timedelta(seconds=seconds)
        why = f"the client snoozed it for {seconds:g} s"
        ends_at = self._clock.ends_at(self._policy)
        if ends_at is not None and due_at > ends_at:
            why = f"{why}, past its end at {ends_at.isoformat()}"
            await self._end(TaskStatus.DEAD, why, DeadReason.EXPIRED, attempt=number)
        else:
            self._due_at, self._why = due_at, why
            await self._mirror(attempt=number)

    async def _park(self, why: str, parked_for: ParkedFor, until: str | None = None) -> None:
        """Wait without spending an attempt, because nobody can take it."""
        # A node that registers, or a target that is back, wakes it; looking again from time to time is the net below.
        now = workflow.now()
        if parked_for is ParkedFor.NO_NODE:
            look_again = now + timedelta(seconds=park_seconds(self._task.parks, workflow.random()))
        else:
            spread = workflow.random().uniform(HELD_LOOKS_AGAIN / 2, HELD_LOOKS_AGAIN)
            look_again = max(now, _instant(until) if until else now) + timedelta(seconds=spread)
        ends_at = self._clock.ends_at(self._policy)
        self._due_at = look_again if ends_at is None else min(look_again, max(ends_at, now))
        self._task.parked, self._task.parked_for, self._task.parks = why, parked_for, self._task.parks + 1
        self._counters = self._counters.count("park")
        self._why = why
        await self._mirror()

    async def _defer(self, result: DispatchResult) -> None:
        """Wait for the slot that the next attempt has."""
        now, ends_at = workflow.now(), self._clock.ends_at(self._policy)
        slot = _instant(result.until) if result.until else now
        # A slot past its end is none: it dies when its time is over.
        self._due_at = slot if ends_at is None else min(slot, max(ends_at, now))
        self._task.slot, self._why = result.slot, result.why
        self._task.parked = self._task.parked_for = None
        await self._mirror()

    # --- The mirror --------------------------------------------------------------------------------------------------

    async def _mirror(self, attempt: int | None = None) -> None:
        """Show the mirror what the task is waiting for."""
        self._status = self._resting_status()
        await self._record(attempt)

    def _resting_status(self) -> TaskStatus:
        if self._task.paused:
            return TaskStatus.PAUSED
        return TaskStatus.WAITING if self._task.parked is None else TaskStatus.PARKED

    async def _end(
        self, status: TaskStatus, why: str, dead_reason: DeadReason | None = None, attempt: int | None = None
    ) -> None:
        self._status, self._why, self._dead_reason = status, why, dead_reason
        self._ended_attempt = attempt or self._ended_attempt
        await self._finish()

    async def _finish(self) -> None:
        await self._record(self._ended_attempt)
        self._finished = True

    async def _record(self, attempt: int | None) -> None:
        changes = self._changes
        ended = self._status in TERMINAL
        record = Record(
            namespace=self._task.namespace,
            task_id=self._task.task_id,
            generation=self._task.generation,
            version=self._next_version(),
            status=self._status,
            attempts=self._task.attempts,
            next_attempt_at=None if ended else self._due_at.isoformat(),
            why=self._why,
            dead_reason=self._dead_reason,
            parked_for=self._task.parked_for if self._status is TaskStatus.PARKED else None,
            counters=encode(self._counters),
            attempt=attempt,
            delay_seconds=None if ended else self._task.delay_seconds,
            max_attempts=self._policy.max_attempts,
            policy=self._task.policy if self._policy_changed else None,
            policy_version=self._task.policy_version if self._policy_changed else None,
        )
        await workflow.execute_local_activity(
            RECORD, record, start_to_close_timeout=timedelta(seconds=10), retry_policy=RECORD_RETRY
        )
        self._policy_changed = False
        self._mirrored = changes

    def _next_version(self) -> int:
        self._sequence += 1
        return mirror_version(self._task.run, workflow.info().get_current_history_length(), self._sequence)

    def _next_run(self) -> TaskRun:
        counters: dict[str, Any] = encode(self._counters)
        return replace(self._task, due_at=self._due_at.isoformat(), run=self._task.run + 1, counters=counters)

    # --- Manual operations -------------------------------------------------------------------------------------------

    @workflow.update(name=UPDATE_RETRY)
    async def retry(self, request: RetryNow) -> TaskView:
        """Run the next attempt at once."""
        self._release(workflow.now(), "manual", request.reason or "retried by hand")
        self._task.forced = request.force
        return await self._settled()

    @retry.validator
    def _check_retry(self, request: RetryNow) -> None:
        self._refuse_when_ended()
        self._refuse_in_flight("to retry it")

    @workflow.update(name=UPDATE_PAUSE)
    async def pause(self, request: Pause) -> TaskView:
        """Hold the task. An attempt in flight may end first."""
        self._task.paused = True
        self._task.slot = None  # it would be over by the time that the task goes on
        self._why = request.reason or "paused by hand"
        return await self._settled()

    @pause.validator
    def _check_pause(self, request: Pause) -> None:
        self._refuse_when_ended()
        if self._task.paused:
            raise _conflict("the task is paused already")

    @workflow.update(name=UPDATE_RESUME)
    async def resume(self, request: Resume) -> TaskView:
        """Let a held task go on: at once when it is overdue, else when it was due anyway."""
        if self._task.paused:
            self._task.paused = False
            self._why = request.reason or "resumed by hand"
        else:
            self._release(workflow.now(), "manual", request.reason or "resumed by hand")
        return await self._settled()

    @resume.validator
    def _check_resume(self, request: Resume) -> None:
        self._refuse_when_ended()
        if not self._task.paused and self._task.parked_for not in _LEFT_TO_PEOPLE:
            raise _conflict(f"only a paused task can be resumed, and this one is {self._status.value}")

    @workflow.update(name=UPDATE_CANCEL)
    async def cancel(self, request: Cancel) -> TaskView:
        """End the task without success. An attempt in flight is cancelled."""
        self._cancel(request.reason or "cancelled by hand")
        return await self._settled()

    @cancel.validator
    def _check_cancel(self, request: Cancel) -> None:
        self._refuse_when_ended()

    @workflow.update(name=UPDATE_RESCHEDULE)
    async def reschedule(self, request: Reschedule) -> TaskView:
        """Move the next attempt to another time."""
        self._release(
            _instant(request.due_at), "manual", request.reason or "rescheduled by hand", paused=self._task.paused
        )
        return await self._settled()

    @reschedule.validator
    def _check_reschedule(self, request: Reschedule) -> None:
        self._refuse_when_ended()
        self._refuse_in_flight("to reschedule it")
        due_at = _instant(request.due_at)
        if due_at.tzinfo is None:
            raise _conflict(f"expected a time with its offset from UTC, got {request.due_at}")
        ends_at = self._clock.ends_at(self._policy)
        if ends_at is not None and due_at > ends_at:
            raise _conflict(f"expected a time before the task's end at {ends_at.isoformat()}, got {request.due_at}")

    @workflow.update(name=UPDATE_CHANGE_POLICY)
    async def change_policy(self, request: ChangePolicy) -> TaskView:
        """Put another policy in force and plan the waiting attempt anew under it."""
        self._adopt(request.policy, request.policy_version)
        # What a person has set stays set, and what is parked waits for its target.
        if self._dispatch is None and self._task.parked is None and self._task.trigger == "timer":
            self._replan()
        return await self._settled()

    @change_policy.validator
    def _check_change_policy(self, request: ChangePolicy) -> None:
        self._refuse_when_ended()
        try:
            parse(request.policy)
        except ValueError as error:
            raise _conflict(str(error)) from None

    @workflow.update(name=UPDATE_RETARGET)
    async def retarget(self, request: Retarget) -> TaskView:
        """Send the next attempts elsewhere."""
        self._aim(request.executor, request.task_queue, request.target_key)
        return self._view()

    @retarget.validator
    def _check_retarget(self, request: Retarget) -> None:
        self._refuse_when_ended()

    @workflow.signal(name=SIGNAL_WAKE)
    def wake(self) -> None:
        """Look for a target again: one has become available."""
        is_parked = self._task.parked is not None and self._task.parked_for not in _LEFT_TO_PEOPLE
        if is_parked and not self._task.paused and self._dispatch is None:
            self._due_at = workflow.now()
            self._task.trigger = "wake"

    def _release(self, due_at: datetime, trigger: str, why: str, *, paused: bool = False) -> None:
        self._due_at = due_at
        self._task.trigger = trigger
        self._task.slot = None
        self._task.forced = False
        self._task.paused = paused
        self._task.parked = self._task.parked_for = None
        self._task.parks = 0
        self._why = why

    def _aim(self, executor: str | None, task_queue: str | None, target_key: str | None) -> None:
        self._task.executor, self._task.task_queue, self._task.target_key = executor, task_queue, target_key

    def _cancel(self, reason: str) -> None:
        self._cancel_reason = reason
        if self._dispatch is not None:
            self._dispatch.cancel()

    def _adopt(self, policy: dict[str, object], version: int) -> None:
        self._policy = parse(policy)
        self._task.policy, self._task.policy_version = policy, version
        self._policy_changed = True

    def _replan(self) -> None:
        self._task.slot = None
        planned_at = _instant(self._task.planned_at or self._task.started_at)
        planned = plan(
            self._policy, self._clock, self._task.attempts + 1, planned_at, workflow.random(), self._task.delay_seconds
        )
        if isinstance(planned, Retry):
            self._due_at = max(planned.due_at, workflow.now())
            self._task.delay_seconds = planned.delay_seconds
            self._why = f"policy changed: {planned.why}"
        else:
            # Too late under the new policy. It dies when its time is over, unless the policy changes once more.
            self._due_at = max(self._clock.ends_at(self._policy) or self._due_at, workflow.now())
            self._why = f"policy changed: {planned.why}"

    async def _settled(self) -> TaskView:
        """Count a change, and wait until the mirror shows it, unless an attempt in flight must end first."""
        self._changes += 1
        ticket = self._changes
        await workflow.wait_condition(
            lambda: (
                self._mirrored >= ticket
                or self._finished
                or (self._dispatch is not None and self._cancel_reason is None)
            )
        )
        return self._view()

    def _refuse_when_ended(self) -> None:
        if self._status in TERMINAL or self._cancel_reason is not None:
            raise _conflict(f"the task has ended: it is {self._status.value}")

    def _refuse_in_flight(self, purpose: str) -> None:
        if self._dispatch is not None:
            raise _conflict(f"attempt {self._task.number + 1} is in flight; wait for its end {purpose}, or cancel it")

    def _view(self) -> TaskView:
        ended = self._status in TERMINAL
        return TaskView(self._status, None if ended else self._due_at.isoformat(), self._task.attempts)


def _outcome(result: DispatchResult) -> Outcome:
    return Outcome(
        status=AttemptStatus(result.status or AttemptStatus.FAILED),
        error_type=result.error_type,
        http_status=result.http_status,
        retry_after_seconds=result.retry_after_seconds,
        stop=result.stop,
        fingerprint=result.fingerprint,
        error_bases=tuple(result.error_bases),
    )


def _verdict(result: DispatchResult) -> Verdict | None:
    if result.action is None:
        return None
    return Verdict(cast("Action", result.action), result.why_action, result.action_seconds)


def _is_final(error: ActivityError) -> bool:
    return error.retry_state in (RetryState.NON_RETRYABLE_FAILURE, RetryState.MAXIMUM_ATTEMPTS_REACHED)


def _nobody_polled(error: ActivityError) -> bool:
    cause = error.cause
    return isinstance(cause, ActivityTimeoutError) and cause.type is TimeoutType.SCHEDULE_TO_START


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _conflict(message: str) -> ApplicationError:
    return ApplicationError(message, type=CONFLICT, non_retryable=True)
