"""A worker whose attempts ask nobody: what governance costs is measured beside it.

It is Redrive's own worker in everything else. `python -m bench.ungoverned`, configured by `REDRIVE_*`.
"""

from __future__ import annotations

import asyncio
import signal
from unittest.mock import patch
from uuid import UUID

from redrive.activities.admission import Admission, Ticket
from redrive.core.messages import DispatchCommand, DispatchResult
from redrive.store.settings import Settings
from redrive.workflows import worker


class Ungoverned(Admission):
    """Lets every attempt go, and learns nothing from it."""

    async def ask(self, command: DispatchCommand) -> Ticket | DispatchResult:
        """Let it go."""
        return Ticket((command.namespace, ""), (command.group, ""), UUID(command.task_id))

    async def settle(self, ticket: Ticket, result: DispatchResult) -> None:
        """Learn nothing."""

    async def flush(self) -> None:
        """Tell nothing."""


async def main() -> None:
    """Work until told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with patch.object(worker, "Admission", Ungoverned):
        await worker.run(Settings(), stop)


if __name__ == "__main__":
    asyncio.run(main())
