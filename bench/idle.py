"""`redrive dev` at rest: how soon it is ready, what it holds in memory, and what it takes of a core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.stack import wait_until
from bench.table import markdown


def measure(seconds: float = 60) -> str:
    """Start the whole tree twice, the second time warm, and watch it do nothing.

    Args:
        seconds: How long to watch.

    Returns:
        A Markdown table.
    """
    with TemporaryDirectory(prefix="redrive-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        cold = _run(folder, 0)[0]
        warm, memory, share = _run(folder, seconds)
    return markdown(
        ["ready, first start", "ready, later start", "resident memory", "share of one core"],
        [[f"{cold:.1f} s", f"{warm:.1f} s", f"{memory:.0f} MB", f"{share:.1f} %"]],
    )


def _run(folder: Path, seconds: float) -> tuple[float, float, float]:
    arguments = [sys.executable, "-m", "redrive.cli", "dev", "--data-dir", str(folder)]
    ports = ["--port", "0", "--postgres-port", "0", "--temporal-port", "0", "--temporal-ui-port", "0"]
    began = time.monotonic()
    process = subprocess.Popen([*arguments, *ports], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _ready(folder), 120)
        ready = time.monotonic() - began
        if seconds == 0:
            return ready, 0, 0
        time.sleep(10)  # what start-up leaves behind is not what rest costs
        before = _cpu_seconds(process.pid)
        time.sleep(seconds)
        pids = _tree(process.pid)
        share = (_cpu_seconds(process.pid) - before) / seconds * 100
        return ready, sum(_resident(pid) for pid in pids) / 2**20, share
    finally:
        process.terminate()
        process.wait(60)


def _ready(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "stack.json").read_text())["ready"])
    except (OSError, ValueError, KeyError):
        return False


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _resident(pid: int) -> int:
    # Proportional set size: pages that PostgreSQL's processes share are counted once.
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _cpu_seconds(root: int) -> float:
    ticks = 0
    for pid in _tree(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
