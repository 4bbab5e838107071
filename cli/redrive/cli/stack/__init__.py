"""The development stack: PostgreSQL, Temporal and Redrive's own processes in one tree.

`EmbeddedPostgres` and `EmbeddedTemporal` start, stop and kill one server each; they stand alone, so that tests and
benchmarks use the very servers that `redrive dev` runs. `Supervisor` keeps a set of processes alive.
"""

from redrive.cli.stack.errors import PortTakenError, StackError, StartCancelledError
from redrive.cli.stack.ports import ensure_free, free_port
from redrive.cli.stack.postgres import EmbeddedPostgres
from redrive.cli.stack.process import ManagedProcess
from redrive.cli.stack.temporal import EmbeddedTemporal

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedTemporal",
    "ManagedProcess",
    "PortTakenError",
    "StackError",
    "StartCancelledError",
    "ensure_free",
    "free_port",
]
