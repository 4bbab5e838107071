"""Figures as Prometheus reads them (text format 0.0.4), read from the database when they are asked for."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from redrive.api.overview import EngineProbe
from redrive.core.histogram import quantile_seconds
from redrive.store import metrics, statistics
from redrive.store.database import Database
from redrive.store.keys import Scope
from redrive.store.metrics import LAG_MINUTES, Sample

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it is shown."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str


_READ: Final[Mapping[str, Metric]] = {
    "tasks": Metric("redrive_tasks", "gauge", "Tasks by status."),
    "attempts": Metric("redrive_attempts_total", "counter", "Attempts that ended: failed (or timed out), and others."),
    "due": Metric("redrive_tasks_due", "gauge", "Tasks whose next attempt is due: pending, waiting or parked."),
    "overdue": Metric(
        "redrive_oldest_due_seconds", "gauge", "For how long the earliest of them is due, to the minute."
    ),
    "nodes": Metric("redrive_nodes", "gauge", "Nodes by state."),
    "breakers": Metric("redrive_breakers_open", "gauge", "Breakers that are open, half open or held open."),
    "repaired": Metric("redrive_reconciler_repairs_total", "counter", "Differences of engine and mirror repaired."),
}
_LAG: Final = Metric(
    "redrive_attempt_lag_seconds", "gauge", f"How late attempts of the last {LAG_MINUTES} minutes began, by quantile."
)
_ENGINE: Final = Metric("redrive_engine_up", "gauge", "Whether Temporal answers this process.")
_BUILD: Final = Metric("redrive_build_info", "gauge", "The version of this process.")


class Metrics:
    """Writes metrics.

    Args:
        database: Where the figures are.
        probe: Tells whether Temporal answers.
    """

    def __init__(self, database: Database, probe: EngineProbe) -> None:
        self._database = database
        self._probe = probe

    async def write(self, scope: Scope) -> str:
        """Write all metrics that a key may see.

        Args:
            scope: What the key opens.
        """
        up = await self._probe.is_up()
        async with self._database.begin() as session:
            await statistics.begin(session)
            samples = await metrics.samples(session, scope.namespace, scope.group)
            lags = await metrics.lags(session, scope.namespace, scope.group)
        parts = [_written(_READ[name], found) for name, found in samples.items()]
        quantiles = [
            Sample({"namespace": namespace, "group": group, "quantile": str(share)}, seconds)
            for (namespace, group), histogram in lags.items()
            for share in (0.5, 0.99)
            if (seconds := quantile_seconds(histogram, share)) is not None
        ]
        parts.append(_written(_LAG, quantiles))
        parts.append(_written(_ENGINE, [Sample({}, float(up))]))
        parts.append(_written(_BUILD, [Sample({"version": importlib.metadata.version("redrive")}, 1.0)]))
        return "".join(parts)


def _written(metric: Metric, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
    for sample in samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
        lines.append(f"{metric.name}{'{' + labels + '}' if labels else ''} {sample.value:.17g}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
