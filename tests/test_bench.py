"""The benchmark itself: it measures against the sandboxes, and its table and plots say what was measured."""

from __future__ import annotations

import asyncio
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.fixture(autouse=True)
def bench_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))


async def test_a_small_run_counts_the_calls_of_relay_and_connector() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(BENCH / "run.py"), "--quick", "bursts", stdout=-1, stderr=-1
    )
    said, wrong = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, wrong.decode()
    line = r"\| calls a notification, in a burst of 1,000: Zendesk, Slack \| (\S+), (\S+) \| (\S+), (\S+) \|"
    found = re.search(line, said.decode())
    assert found, said.decode()
    relay, connector = [float(each) for each in found.groups()[:2]], [float(each) for each in found.groups()[2:]]
    assert relay == [4, 2]
    assert connector[0] <= 0.5
    assert connector[1] == 1


async def test_an_unknown_scenario_is_named_with_those_there_are() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, str(BENCH / "run.py"), "spede", stdout=-1, stderr=-1)
    _, wrong = await process.communicate()
    assert process.returncode == 2
    assert "there is no scenario 'spede'; there are machine, speed" in wrong.decode()


def test_the_table_and_the_plots_hold_each_figure() -> None:
    import report  # type: ignore[import-not-found]

    line = SimpleNamespace(what="calls", relay="4, 2", connector="1, 1")
    assert report.table([line], "here").splitlines()[-1] == "| calls | 4, 2 | 1, 1 |"
    svg = report.bars("Times <here>", {"p50": {"relay": 256.4, "connector": 57.9}}, "{:,.0f}")
    ET.fromstring(svg)
    assert re.findall(r">(\d+)</text>", svg) == ["256", "58"]
    widths = [float(width) for width in re.findall(r"width='([\d.]+)' height='13'", svg)]
    assert widths[0] / widths[1] == pytest.approx(256.4 / 57.9, rel=0.01)


def test_percentiles_are_of_the_times_that_were_taken() -> None:
    import figures  # type: ignore[import-not-found]

    found = figures.percentiles([number / 1000 for number in range(1, 101)])
    assert found == {"p50": 51.0, "p95": 96.0, "p99": 100.0, "max": 100.0}
