"""What several tests need: the folder of recorded input, both sandboxes, a connector between them."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """The folder of recorded answers and official schemas."""
    folder = os.environ.get("CONNECTOR_FIXTURES")
    if not folder:
        pytest.skip("CONNECTOR_FIXTURES names no folder of recorded answers")
    return Path(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    """Where the recorded input must be there, a skipped test of it has failed."""
    report = yield
    if report.skipped and item.get_closest_marker("real_input") and os.environ.get("CONNECTOR_FIXTURES_REQUIRED"):
        report.outcome = "failed"
        report.longrepr = "skipped, where recorded input is required"
    return report
