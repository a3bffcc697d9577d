"""What measures: stand-ins for Slack and Zendesk, and a load generator that counts what arrives.

Either a fast stub and a load generator in C and Python (a folder of tools that `CONNECTOR_BENCH_TOOLS` names), or the
project's own sandboxes in this process, which answer no faster than some hundred times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import sandbox_load
from figures import Figures, Load
from stand import Runner, Services, free_port


class Equipment(Protocol):
    """Stand-ins for both services, and a load generator."""

    name: str
    services: Services

    def relay_command(self, port: int) -> list[str]:
        """How the relay is started."""

    async def configure(self, **options: float) -> None:
        """Changes how the services answer: `latency_ms`, `zendesk_per_min`, `slack_limits`, …; 0 is without."""

    async def send(self, runner: Runner, load: Load) -> Figures:
        """Sends events, waits for their messages, counts."""


class Tools:
    """The stub, the load generator and the relay of a folder of tools."""

    name = "a stub of both services in C"

    def __init__(self, folder: Path, services: Services, stub: subprocess.Popen[bytes]) -> None:
        self.services = services
        self._relay = folder / "floor_aiohttp.py"
        self._load = folder / "zdload.py"
        self._stub = stub
        self._ticket = 1_000

    def relay_command(self, port: int) -> list[str]:
        """How the relay is started."""
        return [sys.executable, str(self._relay), str(port), self.services.zendesk]

    async def configure(self, **options: float) -> None:
        """Changes how the stub answers, and lets it forget what was counted."""
        async with aiohttp.ClientSession() as session:
            for name, value in options.items():
                async with session.get(f"{self.services.zendesk}/_config", params={name: f"{value:g}"}) as answer:
                    answer.raise_for_status()
            async with session.get(f"{self.services.zendesk}/_reset") as answer:
                answer.raise_for_status()

    async def send(self, runner: Runner, load: Load) -> Figures:
        """Runs the load generator."""
        command = [sys.executable, str(self._load), "--url", runner.webhook, "--stub", self.services.zendesk]
        command += ["-n", str(load.events), "-c", str(load.outstanding), "--first-ticket", str(self._ticket)]
        command += ["--watch-pid", str(runner.pid), "--stub-pid", str(self._stub.pid)]
        command += ["--post-timeout", f"{load.patience:g}"]
        command += ["--closed-on", "response"] if load.burst else []
        command += ["--rate", f"{load.rate:g}"] if load.rate else []
        self._ticket += 2 * load.events
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        said, wrong = await process.communicate()
        if not said.strip():
            raise RuntimeError(f"the load generator failed: {wrong.decode()[-500:]}")
        return _figures(json.loads(said), load.events)


def _figures(told: dict[str, Any], events: int) -> Figures:
    stub = told["stub"]
    return Figures(
        accepted=told["accepted"],
        exactly_once=told["exactly_once"],
        lost=told["lost"],
        duplicated=told["duplicated"],
        seconds=told["wall_s"],
        to_message=told["e2e_ms"],
        to_answer=told["accept_ms"],
        cpu_ms=told["cpu_ms_per_recipe"] or 0.0,
        zendesk_calls=stub["zendesk_calls"] / events,
        slack_calls=stub["slack_calls"] / events,
        refused=stub["zendesk_429"] + stub["slack_429"],
    )


@asynccontextmanager
async def tools(folder: Path, work: Path) -> AsyncIterator[Tools]:
    """Compiles and starts the stub of a folder of tools."""
    stub = work / "stub"
    subprocess.run(["cc", "-O2", "-o", str(stub), str(folder / "stub.c")], check=True)
    port = free_port()
    with (work / "stub.log").open("ab") as log:
        process = subprocess.Popen([str(stub), "--port", str(port)], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(10):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{address}/_stats"):
                        break
                await asyncio.sleep(0.02)
        yield Tools(folder, Services(slack=f"{address}/api/", zendesk=address), process)
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def sandboxes() -> AsyncIterator[Equipment]:
    """Starts the project's own sandboxes in this process."""
    async with sandbox_load.sandboxes() as own:
        yield own
