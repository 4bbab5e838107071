"""Fixtures for pytest: `redrive_reports`, `redrive_inline` and `redrive_disabled`; see `redrive.sdk.testing`."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from redrive.sdk.testing import Reports


@pytest.fixture
def redrive_reports() -> Generator[Reports]:
    """Collect the reports of a test; `drain` runs them."""
    from redrive.sdk.testing import manual  # noqa: PLC0415 - tests that do not use it need not load it

    with manual() as reports:
        yield reports


@pytest.fixture
def redrive_inline() -> Generator[Reports]:
    """Run the attempts of each report at once."""
    from redrive.sdk.testing import inline  # noqa: PLC0415 - as above

    with inline() as reports:
        yield reports


@pytest.fixture
def redrive_disabled() -> Generator[None]:
    """Leave decorated functions bare."""
    from redrive.sdk.testing import disabled  # noqa: PLC0415 - as above

    with disabled():
        yield
