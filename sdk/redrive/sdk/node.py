"""This process as a node: register, send heartbeats, drain.

The heart beats in a thread of its own, so that it goes on while an event loop is busy, and so that one implementation
serves asyncio, WSGI and scripts.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from redrive.core.wire import HEARTBEAT_SECONDS
from redrive.sdk._http import Answer, Connection, refusal
from redrive.sdk.errors import AccessDenied, Rejected, ReportError, Unavailable

log = logging.getLogger("redrive.sdk")

_REFRESH_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 1.0
_random: Final = random.Random()  # noqa: S311 - spreads heartbeats, hides nothing


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node says of itself.

    Attributes:
        group: Its group.
        url: Where the server reaches it.
        capacity: The most attempts that it runs at a time.
        labels: Anything that tells it from other nodes.
        version: Of the application.
    """

    group: str
    url: str
    capacity: int
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    version: str | None = None


class Node:
    """The registration of this process.

    Args:
        connection: The way to the server.
        facts: What it says of itself.
        executors: Tells the names of its executors; they may grow as modules are imported.
        in_flight: Tells how many attempts run.
        secrets: Signing secrets that are known without asking; None to take those of the server.
        health: Tells further fields of a heartbeat: the spool, and errors of the SDK.
    """

    def __init__(
        self,
        connection: Connection,
        facts: NodeFacts,
        executors: Callable[[], Sequence[str]],
        in_flight: Callable[[], int],
        secrets: Sequence[str] | None = None,
        health: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.facts = facts
        self._connection = connection
        self._executors = executors
        self._in_flight = in_flight
        self._health: Callable[[], Mapping[str, Any]] = health
        self._given_secrets = list(secrets) if secrets is not None else None
        self._secrets: list[str] | None = self._given_secrets
        self._interval = HEARTBEAT_SECONDS
        self._registered = threading.Event()
        self._ending = threading.Event()
        self._announced: list[str] = []
        self._beat_lock = threading.Lock()
        self._last_beat = 0.0
        self._complained = False
        self._thread: threading.Thread | None = None

    @property
    def secrets(self) -> list[str] | None:
        """The secrets that dispatches are signed with; None before the first registration."""
        return self._secrets

    def start(self) -> None:
        """Register in the background, again and again until the server is there, and keep the heart beating."""
        if self._thread is None:
            self._ending.clear()
            self._thread = threading.Thread(target=self._run, name="redrive-node", daemon=True)
            self._thread.start()

    def wait_registered(self, timeout_seconds: float) -> bool:
        """Wait for the registration.

        Args:
            timeout_seconds: The longest to wait, in seconds.

        Returns:
            Whether the server knows this node.
        """
        return self._registered.wait(timeout_seconds)

    def refresh(self) -> None:
        """Ask for the secrets now, but not more often than every five seconds."""
        if self._registered.is_set() and time.monotonic() - self._last_beat >= _REFRESH_SECONDS:
            try:
                self._beat()
            except ReportError as error:
                log.debug("redrive: heartbeat failed: %s", error)

    def drain(self) -> None:
        """Tell the server to send no more attempts; a server that is away finds out by the missing heartbeats."""
        if not self._registered.is_set():
            return
        try:
            self._call("drain", {"group": self.facts.group})
        except ReportError as error:
            log.warning("redrive: the server could not be told that this node drains: %s", error)

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Stop the heart.

        Args:
            timeout_seconds: The longest to wait for a heartbeat that is on its way, in seconds.
        """
        self._ending.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                if not self._registered.is_set() or self._announced != list(self._executors()):
                    self._register()
                else:
                    self._beat()
                wait = self._interval
                self._complained = False
            except Unavailable as error:
                # A registration waits with attempts behind it, so it hurries; a heartbeat has two spare.
                wait = max(_RETRY_SECONDS, error.retry_after_seconds or 0.0)
                self._complain(error)
            except ReportError as error:
                wait = self._interval
                self._complain(error)
            except Exception:
                wait = self._interval
                log.exception("redrive: the heartbeat of this node failed")
            self._ending.wait(wait * _random.uniform(0.9, 1.0))

    def _complain(self, error: ReportError) -> None:
        if not self._complained:
            state = "is registered, but its heartbeat failed" if self._registered.is_set() else "cannot register"
            log.log(
                logging.ERROR if isinstance(error, AccessDenied) else logging.WARNING,
                "redrive: this node %s: %s", state, error,
            )  # fmt: skip
        self._complained = True

    def _register(self) -> None:
        names = list(self._executors())
        document: dict[str, Any] = {
            "id": self.id,
            "group": self.facts.group,
            "url": self.facts.url,
            "labels": {"pid": str(os.getpid()), **self.facts.labels},
            "version": self.facts.version,
            "executors": names,
            "capacity": self.facts.capacity,
        }
        answer = self._connection.call("POST", "/v1/nodes/register", document)
        error = refusal(answer.status, answer.document)
        if error is not None:
            raise error
        self._interval = float(answer.document.get("heartbeat_seconds") or HEARTBEAT_SECONDS)
        self._learn(answer)
        self._announced = names
        if not self._registered.is_set():
            log.info("redrive: node %s of group %s serves %s", self.id, self.facts.group, self.facts.url)
        self._registered.set()

    def _beat(self) -> None:
        with self._beat_lock:
            self._last_beat = time.monotonic()
            answer = self._send_heartbeat()
            if answer.status == 404:  # the server forgot this node, or its database is a new one
                self._register()
            else:
                self._learn(answer)

    def _send_heartbeat(self) -> Answer:
        document = {"group": self.facts.group, "in_flight": self._in_flight()}
        health = self._health()
        if not health:
            return self._call("heartbeat", document)
        try:
            return self._call("heartbeat", {**document, **health})
        except Rejected as error:
            if error.status != 422:
                raise
            self._health = dict  # the server is older than this SDK and knows no such fields
            return self._call("heartbeat", document)

    def _call(self, what: str, document: Mapping[str, Any]) -> Answer:
        answer = self._connection.call("POST", f"/v1/nodes/{quote(self.id)}/{what}", document)
        error = refusal(answer.status, answer.document)
        if error is not None and answer.status != 404:
            raise error
        return answer

    def _learn(self, answer: Answer) -> None:
        secrets: list[str] | None = answer.document.get("signing_secrets")
        if self._given_secrets is None and secrets is not None:
            self._secrets = list(secrets)
