"""`make bench`, or `python -m bench [NAME ...]`: run measurements one after another and print their tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from bench import (
    console,
    database,
    dead_letters,
    fairness,
    governance,
    idle,
    lag,
    redrive,
    reports,
    scenarios,
    throughput,
)
from bench.table import machine

MEASUREMENTS: dict[str, Callable[[], str]] = {
    "throughput": throughput.measure,
    "reports": reports.measure,
    "lag": lag.measure,
    "idle": idle.measure,
    "database": database.measure,
    "dead": dead_letters.measure,
    "console": console.measure,
    "fairness": fairness.measure,
    "governance": governance.measure,
    "scenarios": scenarios.measure,
    "redrive": redrive.measure,
}


def main() -> None:
    """Run what is named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASUREMENTS, []], metavar="NAME", help=", ".join(MEASUREMENTS))
    names: list[str] = parser.parse_args().names or list(MEASUREMENTS)
    print(f"Machine: {machine()}")
    for name in names:
        module = MEASUREMENTS[name].__module__
        print(f"\n## {name}\n\n{(__import__(module, fromlist=['_']).__doc__ or '').strip()}\n")
        print(MEASUREMENTS[name](), flush=True)


if __name__ == "__main__":
    main()
