"""The mark by which the chaos test can be left out: `-m "not chaos"`."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "chaos: plays bad weather with the real process for about a minute")
