"""What is measured: the connector and the bare relay as processes of their own, and what they take of the machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

COMMAND = Path(sys.executable).with_name("zendesk-connector")
RECIPE = "notify-assigned-agents"
#: The secret that the load generator signs with unless told otherwise.
SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="
#: What `serve` imports; how long that takes alone is what a start is compared with.
PACKAGES = "aiohttp, slack_bolt.async_app, slack_sdk.web.async_client, zenpy, pydantic_settings, liquid, ruamel.yaml"
READY_WITHIN = 60.0


@dataclass(frozen=True, kw_only=True)
class Services:
    """Where the stand-ins for Slack and Zendesk are, and what they take for credentials."""

    slack: str
    zendesk: str
    slack_token: str = "xoxb-bench"
    zendesk_token: str = "bench"


class Runner:
    """A process that takes Zendesk's webhook and tells agents in Slack."""

    def __init__(self, name: str, webhook: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.webhook = webhook
        self.process = process
        #: From the start to the first answer, in seconds.
        self.ready_after = 0.0

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    def memory(self, what: str = "VmRSS") -> float:
        """Megabytes in use now, or with `VmHWM` at most so far."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) / 1024
        raise LookupError(what)

    def cpu(self) -> float:
        """Seconds of CPU so far; 0 of one that has ended."""
        if self.process.returncode is not None:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends it, and waits until it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        await self.process.wait()


@asynccontextmanager
async def connector(
    services: Services, database: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Runner]:
    """`zendesk-connector serve` with the recipe active, as anybody starts it; `settings` change its environment."""
    runner = await start_connector(services, database, settings)
    try:
        yield runner
    finally:
        await runner.stop()


async def start_connector(
    services: Services, database: Path, settings: Mapping[str, str] | None = None, *, port: int = 0
) -> Runner:
    """Starts it, on a free port unless one is given, and waits until it takes events."""
    port = port or free_port()
    environment = {
        **_bare_environment(),
        "SLACK_BOT_TOKEN": services.slack_token,
        "SLACK_SIGNING_SECRET": "bench",
        "SLACK_API_URL": services.slack,
        "ZENDESK_SUBDOMAIN": "bench",
        "ZENDESK_API_URL": services.zendesk,
        "ZENDESK_OAUTH_TOKEN": services.zendesk_token,
        "ZENDESK_WEBHOOK_SECRET": SECRET,
        "ZENDESK_POLL_SECONDS": "0",
        "SLACK_POSTS_PER_MINUTE": "0",
        "CONNECTOR_DATABASE": str(database),
        "CONNECTOR_PORT": str(port),
        **(settings or {}),
    }
    await run(environment, database.parent, str(COMMAND), "flows", "activate", RECIPE)
    log = database.with_suffix(".log").open("ab")
    with log:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            str(COMMAND), "serve", env=environment, cwd=database.parent, stdout=log, stderr=log
        )
    runner = Runner("connector", f"http://127.0.0.1:{port}/zendesk/events", process)
    await _until_it_answers(f"http://127.0.0.1:{port}/healthz", process)
    runner.ready_after = time.monotonic() - began
    return runner


@asynccontextmanager
async def relay(command_on: Callable[[int], list[str]], folder: Path) -> AsyncIterator[Runner]:
    """The bare relay: the same calls, one after the other, nothing kept."""
    port = free_port()
    with (folder / "relay.log").open("ab") as log:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *command_on(port), env=_bare_environment(), cwd=folder, stdout=log, stderr=log
        )
    runner = Runner("relay", f"http://127.0.0.1:{port}/webhook/zd", process)
    try:
        await _until_it_answers(f"http://127.0.0.1:{port}/", process)
        runner.ready_after = time.monotonic() - began
        yield runner
    finally:
        await runner.stop(signal.SIGKILL)


async def run(environment: Mapping[str, str], folder: Path, *command: str) -> str:
    """Runs a command to its end; what it printed. Raises RuntimeError with its words where it failed."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, wrong = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {wrong.decode()[-500:]}")
    return said.decode()


async def bare_import() -> float:
    """How long Python takes to start and import the same packages, in seconds: the best of three."""
    took = []
    for _ in range(3):
        began = time.monotonic()
        await run(_bare_environment(), Path.cwd(), sys.executable, "-c", f"import {PACKAGES}")
        took.append(time.monotonic() - began)
    return min(took)


def fsync_time(folder: Path) -> float:
    """How long the disk takes to have 4 KB for sure, in seconds: the median of 50."""
    took = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            began = time.monotonic()
            os.fsync(file.fileno())
            took.append(time.monotonic() - began)
    return sorted(took)[25]


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _bare_environment() -> dict[str, str]:
    """The environment without anybody's settings."""
    own = ("SLACK_", "ZENDESK_", "CONNECTOR_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


async def _until_it_answers(address: str, process: asyncio.subprocess.Process) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(READY_WITHIN):
        while process.returncode is None:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(address):
                    return
            await asyncio.sleep(0.005)
    raise RuntimeError(f"it ended with {process.returncode} before it was ready; its log says why")
