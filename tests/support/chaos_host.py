"""The machine the connector runs on in a chaos run: its process, which is killed, and its disk, which fills up."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

COMMAND = Path(sys.executable).parent / "zendesk-connector"
#: Lines that no weather explains.
DEFECTS = ("Traceback (most recent call last)", "a defect of this software", "Task exception was never retrieved")
#: How many lines of the log are kept from there on.
DEFECT_LINES = 30
#: The size of the disk that fills up, in bytes.
DISK = 96 * 1024 * 1024
#: `zendesk-connector serve` with waits that a test has time for.
QUICK = """
import sys
from dataclasses import replace
from bolt_app.cli import main
from bolt_app.settings import Settings
from zendesk_bridge.bridge import Timing

shipped = Settings.bridge

def bridge(settings):
    given = shipped(settings)
    timing = Timing(looks={looks}, retry_first=0.1, retry_longest=1.0)
    return replace(given, timing=timing, mend_every=1.0, polling=replace(given.polling, margin=3.0))

Settings.bridge, sys.argv = bridge, ["zendesk-connector", "serve"]
main()
"""


class Disk:
    """The disk the database is on: a small one of its own for root on Linux, else one whose files cannot grow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self.folder.mkdir()
        self.is_full = False
        self._filler = self.folder / "filler"
        self._mounted = False
        if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("mount"):
            command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.folder)]
            self._mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0

    @property
    def kind(self) -> str | None:
        """How the disk gets full; None where it cannot on this machine."""
        return "tmpfs" if self._mounted else "RLIMIT_FSIZE" if hasattr(resource, "prlimit") else None

    def fill(self, pid: int | None) -> None:
        """Leaves no byte free, or lets no file of the process grow."""
        self.is_full = True
        if not self._mounted:
            self.limit(pid)
            return
        with self._filler.open("ab", buffering=0) as filler:
            for size in (1024 * 1024, 4096):
                try:
                    while filler.write(bytes(size)) == size:
                        pass
                except OSError as problem:
                    if problem.errno != errno.ENOSPC:
                        raise

    def limit(self, pid: int | None) -> None:
        """Makes the limit hold for a process, where the disk is not one of its own."""
        if not self._mounted and pid is not None:
            with contextlib.suppress(ProcessLookupError):
                _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (0 if self.is_full else most, most))

    def free(self, pid: int | None) -> None:
        """There is room again."""
        self.is_full = False
        self._filler.unlink(missing_ok=True)
        self.limit(pid)

    def close(self) -> None:
        """Takes the disk away."""
        if self._mounted:
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)


class Host:
    """Starts the connector and kills it; keeps what it wrote."""

    def __init__(self, folder: Path, environment: Mapping[str, str], looks: tuple[float, float] | None) -> None:
        self._folder = folder
        self.disk = Disk(folder)
        self.database = self.disk.folder / "connector.db"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {
            **environment,
            "PATH": os.environ.get("PATH", ""),
            "CONNECTOR_DATABASE": str(self.database),
            "CONNECTOR_PORT": str(self.port),
        }
        self._serve = [str(COMMAND), "serve"] if looks is None else [sys.executable, "-c", QUICK.format(looks=looks)]
        self.process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()
        # The last lines that the processes wrote, and those among them that are defects, with what follows.
        self.said: deque[str] = deque(maxlen=400)
        self.defects: list[str] = []
        self._defect_lines = 0
        self._reading: asyncio.Task[None] | None = None

    async def run(self, *arguments: str) -> str:
        """A command of the connector's to its end; what it wrote. Raises RuntimeError where it failed."""
        process = await asyncio.create_subprocess_exec(
            str(COMMAND),
            *arguments,
            cwd=self._folder,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(said.decode())
        return said.decode()

    async def start(self) -> None:
        """Starts the process; `ready` is set once it takes events."""
        self.ready.clear()
        self.process = await asyncio.create_subprocess_exec(
            *self._serve,
            cwd=self._folder,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1024 * 1024,
        )
        self.disk.limit(self.process.pid)
        self._reading = asyncio.create_task(self._read(self.process))

    async def started(self, within: float = 30.0) -> bool:
        """Whether the process takes events; False where it ended before. Raises TimeoutError."""
        assert self.process is not None
        ready, ended = asyncio.create_task(self.ready.wait()), asyncio.create_task(self.process.wait())
        await asyncio.wait((ready, ended), timeout=within, return_when=asyncio.FIRST_COMPLETED)
        for task in (ready, ended):
            task.cancel()
        if not self.ready.is_set() and self.process.returncode is None:
            raise TimeoutError(f"the connector was not ready within {within:.0f} s:\n" + "\n".join(self.said))
        return self.ready.is_set()

    def kill(self) -> bool:
        """Kills with -9, at once; False where there is nothing to kill."""
        if self.process is None or self.process.returncode is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        return True

    async def ended(self) -> None:
        """Once the process is gone and all it wrote is read."""
        if self.process is not None and self._reading is not None:
            await self.process.wait()
            await self._reading

    async def close(self) -> None:
        """Kills what runs, and takes the disk away."""
        self.kill()
        await self.ended()
        self.disk.close()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while raw := await process.stdout.readline():
            line = raw.decode(errors="replace").rstrip()
            self.said.append(line)
            if "ready: listening" in line:
                self.ready.set()
            if not self._defect_lines and any(sign in line for sign in DEFECTS):
                self._defect_lines = DEFECT_LINES
                self.defects.append("")
            if self._defect_lines:
                self._defect_lines -= 1
                self.defects[-1] += f"{line}\n"
