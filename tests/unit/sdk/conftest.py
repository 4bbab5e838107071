from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.sdk.platform import Platform

from redrive.sdk import Redrive


@pytest.fixture
def platform() -> Iterator[Platform]:
    platform = Platform()
    platform.start()
    yield platform
    platform.stop()


@pytest.fixture
def client(platform: Platform, tmp_path: Path) -> Iterator[Redrive]:
    with Redrive(platform.url, group="orders", spool=tmp_path / "spool.sqlite3", timeout=5) as client:
        yield client
