"""Type checkers accept what is right, and refuse what is wrong, in code that uses the SDK."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CASES = HERE / "sdk_types.py"


def test_mypy_agrees() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", "--no-error-summary", str(CASES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout


def test_pyright_agrees() -> None:
    command = [sys.executable, "-m", "pyright", "-p", str(HERE), "--outputjson"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["summary"]["filesAnalyzed"] == 1
