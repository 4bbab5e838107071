"""A report inside the caller's own database transaction.

Two writes to two systems cannot be made one: a process that commits its order and dies before it reports has lost the
retry. So the report is first a row beside the order, in the same transaction; a `Relay` sends committed rows and
deletes what the server acknowledged. A transaction that rolls back reports nothing.

Nothing of SQLAlchemy, SQLModel or Django is imported: a session or connection is known by what it can do.
"""

from __future__ import annotations

from typing import Any

from redrive.sdk.report import Outgoing, Receipt


def store(session: Any, outgoing: Outgoing) -> Receipt:
    """Write a report into the transaction of `session`."""
    raise NotImplementedError


async def astore(session: Any, outgoing: Outgoing) -> Receipt:
    """Write a report into the transaction of an asynchronous session."""
    raise NotImplementedError
