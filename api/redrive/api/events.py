"""What has changed, as a stream of events: ids alone, so that whoever shows a thing asks for it anew.

One loop per process looks for changes, for as long as somebody listens: at most twice a second for each namespace (or
group, where a key opens no more), however many listen. Nobody who writes pays for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from types import FrameType
from typing import Any, Final, TypeAlias

from sqlalchemy.exc import SQLAlchemyError

from redrive.store import changes
from redrive.store.changes import TOPICS, Topic
from redrive.store.database import Database
from redrive.store.statistics import Place

LOOK_SECONDS: Final = 0.5
HEARTBEAT_SECONDS: Final = 15.0
"""A stream that is silent for longer would be cut by proxies."""

LONGEST_SECONDS: Final = 600.0
"""A stream ends by then and is opened again by its client: a key that was revoked does not listen for ever."""

MOST_IDS: Final = 100
"""More than that are not named; the event says that there are more."""

_HEARTBEAT: Final = b": still here\n\n"
_LOG = logging.getLogger(__name__)

Changes: TypeAlias = dict[Topic, dict[str, None]]


class Feed:
    """Looks for changes and hands them to all who listen.

    Args:
        database: Where to look.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: dict[Place, set[_Listener]] = {}
        self._known: dict[Place, dict[Topic, dict[str, Any]]] = {}
        self._wanted = asyncio.Event()
        self._closed = asyncio.Event()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._wanted.wait()
            try:
                await self.round()
            except (SQLAlchemyError, OSError) as error:
                _LOG.warning("looking for changes is put off: %s", type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def round(self) -> None:
        """Look once, for every place that somebody listens to."""
        async with self._database.session() as session:
            for place in list(self._listeners):
                found: Changes = {}
                known = self._known.setdefault(place, {})
                for topic in TOPICS:
                    versions = await changes.versions(session, topic, place.namespace, place.group)
                    before = known.get(topic)
                    known[topic] = versions
                    if before is not None and (ids := _changed(topic, before, versions)):
                        found[topic] = ids
                for listener in self._listeners.get(place, ()):
                    listener.take(found)

    async def stream(self, place: Place) -> AsyncGenerator[bytes]:
        """Give the events of a place as they come, as the body of an event stream.

        It ends when the process is about to stop, and after `LONGEST_SECONDS`.

        Args:
            place: A namespace or a group of it.
        """
        end = asyncio.get_running_loop().time() + LONGEST_SECONDS
        with self._listening(place) as listener:
            yield b"retry: 2000\n\n"
            while not self._closed.is_set() and asyncio.get_running_loop().time() < end:
                yield await listener.next(HEARTBEAT_SECONDS) or _HEARTBEAT

    def close(self) -> None:
        """End all streams: a server waits for its open connections before it stops."""
        self._closed.set()
        for listener in [one for listeners in self._listeners.values() for one in listeners]:
            listener.wake()

    @contextlib.contextmanager
    def _listening(self, place: Place) -> Generator[_Listener]:
        listener = _Listener()
        self._listeners.setdefault(place, set()).add(listener)
        self._wanted.set()
        try:
            yield listener
        finally:
            self._listeners[place].discard(listener)
            if not self._listeners[place]:
                del self._listeners[place]
                self._known.pop(place, None)
            if not self._listeners:
                self._wanted.clear()


class _Listener:
    """Keeps what one stream has still to send."""

    def __init__(self) -> None:
        self._pending: Changes = {}
        self._came = asyncio.Event()

    def take(self, found: Changes) -> None:
        """Add changes to those that were not sent yet."""
        for topic, ids in found.items():
            self._pending[topic] = dict(list({**self._pending.get(topic, {}), **ids}.items())[: MOST_IDS + 1])
        if found:
            self._came.set()

    def wake(self) -> None:
        """Let `next` return, though nothing came."""
        self._came.set()

    async def next(self, timeout: float) -> bytes:
        """Wait up to `timeout` seconds for changes and write them as events; empty when none came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._came.wait()
        self._came.clear()
        pending, self._pending = self._pending, {}
        return b"".join(_event(topic, list(ids)) for topic, ids in pending.items())


@contextlib.contextmanager
def told_to_stop(tell: Callable[[], None]) -> Generator[None]:
    """Call a function when the process is told to stop, before the server waits for its connections to end.

    Servers tell an application so only when all its answers are finished, which a stream of events never is.

    Args:
        tell: What is called, in the event loop.
    """
    if threading.current_thread() is not threading.main_thread():  # only there are signals received
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def received(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(tell)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)
        elif handler is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, received)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is received:
                signal.signal(number, handler)


def _changed(topic: Topic, before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, None]:
    ids = {name: None for name, version in now.items() if before.get(name) != version}
    if topic == "nodes":  # a node that has gone; elsewhere what is missing has only been pushed out by newer rows
        ids |= {name: None for name in before if name not in now}
    return ids


def _event(topic: Topic, ids: list[str]) -> bytes:
    data = json.dumps({"ids": ids[:MOST_IDS], "more": len(ids) > MOST_IDS}, separators=(",", ":"))
    return f"event: {topic}\ndata: {data}\n\n".encode()
