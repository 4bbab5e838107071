"""How a start or a watch is interrupted."""

import os
import select
from typing import Protocol


class Cancel(Protocol):
    """Something that can be waited for; `threading.Event` is one."""

    def wait(self, timeout: float, /) -> bool:
        """Wait for the cancellation and tell whether it has come."""
        ...


class SignalFlag:
    """A flag that a signal handler may set while the same thread waits for it.

    `threading.Event` is no such flag: `set` in a handler can wait for a lock that the interrupted `wait` holds.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._set = False

    def set(self) -> None:
        """Set the flag for good."""
        if not self._set:
            self._set = True
            os.write(self._writer, b"!")

    def is_set(self) -> bool:
        """Tell whether the flag is set."""
        return self._set

    def wait(self, timeout: float, /) -> bool:
        """Wait until the flag is set, at most so many seconds, and tell whether it is."""
        readable, _, _ = select.select([self._reader], [], [], max(0.0, timeout))
        return bool(readable)
