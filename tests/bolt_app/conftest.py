"""An admin's shell: an environment of its own, an empty folder, and the command typed in it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bolt_app.cli import main
from bolt_app.client import SlackClient
from bolt_app.sandbox import SlackServer
from bolt_app.settings import Settings
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.memory import Memory

#: The command beside the interpreter that runs the tests.
COMMAND = Path(sys.executable).with_name("zendesk-connector")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def screen(self) -> list[str]:
        """The lines of what a terminal shows, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.out).splitlines()

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


Type = Callable[..., Awaitable[Said]]


@pytest.fixture
def empty_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A new admin's shell: no setting, no file; the folder one is in."""
    for name in list(os.environ):
        if re.match("SLACK_|ZENDESK_|CONNECTOR_(?!FIXTURES)|FORCE_COLOR|NO_COLOR|COLUMNS", name):
            monkeypatch.delenv(name)
    folder = tmp_path / "admin"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def shell(empty_shell: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shell whose environment names the two sandboxes; the folder one is in."""
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        monkeypatch.setenv(name.upper(), str(getattr(value, "get_secret_value", lambda value=value: value)()))
    return empty_shell


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed in is shown as on a terminal of 80 columns."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def type_in() -> Iterator[Type]:
    """Types a command in this process; without a terminal, as in a pipe."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    levels = {name: logging.getLogger(name).level for name in ("bolt_app", "zendesk_bridge")}

    def typed(*arguments: str) -> Said:
        out, err, argv = io.StringIO(), io.StringIO(), sys.argv
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            sys.argv = [str(COMMAND), *arguments]
            try:
                main()
                code: Any = 0
            except SystemExit as end:
                code = end.code or 0
            finally:
                sys.argv = argv
        return Said(code=code, out=out.getvalue(), err=err.getvalue())

    async def type_it(*arguments: str) -> Said:
        return await asyncio.to_thread(typed, *arguments)

    yield type_it
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    for name, each in levels.items():
        logging.getLogger(name).setLevel(each)


class Process:
    """A command in a process of its own."""

    def __init__(self, *arguments: str, **options: Any) -> None:
        options = {"stdin": subprocess.DEVNULL, **options}
        pipe = subprocess.PIPE
        self.popen = subprocess.Popen([str(COMMAND), *arguments], stdout=pipe, stderr=pipe, text=True, **options)
        self.seen: list[str] = []

    async def line(self, wanted: str) -> str:
        """Waits for a line of its log that holds these words."""

        def read() -> str:
            assert self.popen.stderr is not None
            for line in self.popen.stderr:
                self.seen.append(line)
                if wanted in line:
                    return line
            raise AssertionError(f"{wanted!r} is not in\n{''.join(self.seen)}")

        return await asyncio.wait_for(asyncio.to_thread(read), 60)

    async def end(self) -> Said:
        """Waits until it ends."""
        out, err = await asyncio.to_thread(self.popen.communicate, timeout=30)
        return Said(code=self.popen.returncode, out=out, err="".join(self.seen) + err)


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Starts commands in processes of their own; ends what is left of them."""
    started: list[Process] = []

    def begin(*arguments: str, **options: Any) -> Process:
        started.append(Process(*arguments, **options))
        return started[-1]

    yield begin
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()


@pytest.fixture
async def client(slack: SlackServer, journal: Journal) -> AsyncIterator[SlackClient]:
    """What calls Slack, with a memory in the database."""
    client = SlackClient(token="xoxb-sandbox", base_url=slack.url, memory=Memory(journal))
    await client.start()
    yield client
    await client.close()
