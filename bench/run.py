"""Measures the connector beside a bare relay, in the same run on the same machine: `make bench`.

Without tools, the project's own sandboxes stand in for Slack and Zendesk. `CONNECTOR_BENCH_TOOLS` names a folder with a
faster stub (stub.c), a load generator (zdload.py) and a relay (floor_aiohttp.py).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import equipment
import report
from scenarios import SCENARIOS, Bench, Scenario

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Runs the scenarios, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [scenario.__name__ for scenario in SCENARIOS]
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"some of {', '.join(names)}; default: all")
    parser.add_argument("--tools", type=Path, default=os.environ.get("CONNECTOR_BENCH_TOOLS"), help="a folder of tools")
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the events: shows that everything works")
    parser.add_argument("--write", action="store_true", help="puts the table into the README, with the plots")
    asked = parser.parse_args()
    unknown = set(asked.scenarios) - set(names)
    if unknown:
        parser.error(f"there is no scenario {min(unknown)!r}; there are {', '.join(names)}")
    chosen = [each for each in SCENARIOS if each.__name__ in (asked.scenarios or names)]
    tools = asked.tools and Path(asked.tools).resolve()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = asyncio.run(_measure(Path(folder), tools, chosen, quick=asked.quick))
    title = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {bench.equipment.name}"
    print(f"\n{report.table(bench.lines, title)}")
    if asked.write:
        report.write(ROOT, bench, title)
    return 0


async def _measure(folder: Path, tools: Path | None, chosen: Sequence[Scenario], *, quick: bool) -> Bench:
    used = equipment.tools(tools, folder) if tools else equipment.sandboxes()
    async with used as services:
        bench = Bench(equipment=services, work=folder, quick=quick)
        for scenario in chosen:
            print(f"{scenario.__name__}: {scenario.__doc__}", flush=True)
            await scenario(bench)
    return bench


if __name__ == "__main__":
    sys.exit(main())
