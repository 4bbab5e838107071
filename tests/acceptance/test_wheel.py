"""The built wheel, in an environment that holds nothing but what the wheel asks for."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

IMPORT_AND_LIST = """
import json, sys
import redrive.sdk
from redrive.sdk import Redrive, retryable
foreign = sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names))
print(json.dumps(foreign))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    _run(_uv(), "build", "--wheel", "--quiet", "--out-dir", str(folder), str(ROOT))
    return next(folder.glob("redrive-*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    _run(_uv(), "venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    python = folder / "venv" / "bin" / "python"
    _run(_uv(), "pip", "install", "--quiet", "--python", str(python), str(wheel))
    return python


def test_every_part_is_in_the_wheel_with_its_marker_of_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    for part in ("core", "store", "workflows", "activities", "api", "sdk", "cli"):
        assert f"redrive/{part}/__init__.py" in names
        assert f"redrive/{part}/py.typed" in names
    assert "redrive/__init__.py" not in names
    assert any(name.startswith("redrive/store/migrations/versions/0001") for name in names)


def test_the_image_is_built_of_what_its_recipe_copies(tmp_path: Path) -> None:
    """No engine for containers is asked for: the second stage's files are laid out, and its wheel is built of them."""
    stage = next(part for part in (ROOT / "Dockerfile").read_text().split("\nFROM ") if "uv build" in part)
    for sources in re.findall(r"^COPY (?!--from)(.+)$", stage, re.MULTILINE):
        *names, target = sources.split()
        for name in names:
            source, there = ROOT / name, tmp_path / target / (name if target == "./" else "")
            there.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, there)
    # The first stage does what `make` has done here.
    assert "COPY --from=console /src/console/dist console/dist" in stage
    shutil.copytree(ROOT / "console" / "dist", tmp_path / "console" / "dist")
    _run(_uv(), "export", "--locked", "--extra", "server", "--no-dev", "--no-emit-project", "--quiet", cwd=tmp_path)
    _run(_uv(), "build", "--wheel", "--quiet", "--out-dir", str(tmp_path / "dist"), cwd=tmp_path)

    names = zipfile.ZipFile(next((tmp_path / "dist").glob("*.whl"))).namelist()
    assert {"redrive/cli/__init__.py", "redrive/api/console_files/index.html"} <= set(names)


def test_the_base_install_is_the_sdk_and_httpx(python: Path, tmp_path: Path) -> None:
    installed = _run(_uv(), "pip", "list", "--quiet", "--python", str(python), "--format", "freeze")
    names = {line.partition("==")[0].lower() for line in installed.splitlines()}

    assert names <= {"redrive", "httpx", "httpcore", "h11", "anyio", "certifi", "idna", "sniffio", "typing-extensions"}
    foreign = _run(str(python), "-P", "-c", IMPORT_AND_LIST, cwd=tmp_path)
    assert "redrive" in foreign
    for name in ("temporalio", "fastapi", "sqlalchemy", "sqlmodel", "psycopg", "pydantic", "croniter"):
        assert name not in foreign


def test_the_command_names_the_extra_that_it_needs(python: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [str(python.parent / "redrive"), "tasks", "list"], capture_output=True, text=True, cwd=tmp_path, check=False
    )

    assert result.returncode != 0
    assert "pip install 'redrive[server]'" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def _uv() -> str:
    found = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    assert Path(found).exists(), "uv is what `make` installs things with"
    return found


def _run(*command: str, cwd: Path | None = None) -> str:
    result = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout
