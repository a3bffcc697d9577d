"""`serve` on storage that breaks: what cannot be stored is not acknowledged, and what was is not lost or doubled."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from chaos_host import COMMAND, Host
from damage import write_a_letter

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.records import Fault
from bolt_app.server import Connector
from zendesk_bridge.flows import history
from zendesk_bridge.flows.journal import connect, connect_to_read
from zendesk_bridge.sandbox import ZendeskServer, people

StartConnector = Callable[..., Awaitable[Connector]]


class Machine:
    """A connector on a disk of its own between a Slack and a Zendesk in memory, which repeats nothing by itself."""

    def __init__(self, folder: Path, slack: SlackServer, zendesk: ZendeskServer) -> None:
        self.slack, self.zendesk = slack.state, zendesk
        zendesk.state.webhook_retries = False
        environment = {
            "SLACK_BOT_TOKEN": slack.state.bot_token,
            "SLACK_SIGNING_SECRET": "a-signing-secret",
            "SLACK_API_URL": slack.url,
            "ZENDESK_API_URL": zendesk.url,
            "ZENDESK_OAUTH_TOKEN": people.OAUTH_TOKEN,
            "ZENDESK_POLL_SECONDS": "0",
        }
        self.host = Host(folder, environment, looks=(0.3, 0.8))
        self.database = self.host.database
        self.url = f"http://127.0.0.1:{self.host.port}"
        webhook = zendesk.state.add_webhook(f"{self.url}/zendesk/events")
        self.host.environment["ZENDESK_WEBHOOK_SECRET"] = zendesk.state.webhook_secrets[webhook["id"]]

    @property
    def pid(self) -> int:
        assert self.host.process is not None
        return self.host.process.pid

    async def serve(self) -> None:
        await self.host.start()
        assert await self.host.started(), "\n".join(self.host.said)

    async def ends(self, *command: str) -> tuple[int, str]:
        """A command's exit code, and what it said."""
        process = await asyncio.create_subprocess_exec(
            str(COMMAND),
            *command,
            env=self.host.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode is not None
        return process.returncode, said.decode()

    async def assigned(self) -> Any:
        """A new ticket's event, which nobody was told of yet."""
        ticket = self.zendesk.state.add_ticket("A ticket", "…", requester_id=people.MIRA)
        return (await self.zendesk.assign(ticket["id"], people.NOOR, deliver=False)).event

    async def tell(self, event: Any) -> int | None:
        """How the connector answers the webhook."""
        (delivery,) = await self.zendesk.deliver(event)
        return delivery.status

    async def healthz(self) -> int:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/healthz") as answer:
            return answer.status

    def statuses(self) -> list[str]:
        connection = connect_to_read(self.database)
        runs = history.list_runs(connection)
        connection.close()
        return [run["status"] for run in runs]

    def told_of(self) -> Counter[str]:
        """How many messages in Slack there are about each ticket."""
        return Counter(re.findall(r"/agent/tickets/(\d+)", "".join(message.text for message in self.slack.posted())))

    async def until(self, what: Callable[[], Awaitable[bool]], within: float = 30.0) -> None:
        async with asyncio.timeout(within):
            while not await what():  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def all_succeeded(self, count: int) -> None:
        async def succeeded() -> bool:
            return self.statuses() == ["succeeded"] * count

        await self.until(succeeded)

    def says(self, words: str) -> Callable[[], Awaitable[bool]]:
        async def said() -> bool:
            return any(words in line for line in self.host.said)

        return said

    async def healthy(self) -> bool:
        return await self.healthz() == 200

    async def is_still_there(self) -> None:
        """It neither crashed nor met what it did not expect, and ends in good order."""
        process = self.host.process
        assert process is not None
        assert process.returncode is None
        assert self.host.defects == []
        process.terminate()
        await self.host.ended()
        assert process.returncode == 0


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncGenerator[Machine]:
    async with SlackServer() as slack, ZendeskServer() as zendesk:
        machine = Machine(tmp_path, slack, zendesk)
        try:
            await machine.host.run("flows", "activate", "notify-assigned-agents")
            yield machine
        finally:
            await machine.host.close()


async def test_on_a_full_disk_nothing_is_acknowledged_and_with_room_all_goes_on(machine: Machine) -> None:
    if machine.host.disk.kind is None:
        pytest.skip("on this machine a disk cannot be made full")
    await machine.serve()
    events = [await machine.assigned() for _ in range(3)]
    # This one is under way when the disk gets full: posted, and nobody can write it down.
    machine.slack.faults.append(Fault(method="chat.postMessage", kind="slow", delay=0.7))
    assert await machine.tell(events[0]) == 200
    await asyncio.sleep(0.2)
    machine.host.disk.fill(machine.pid)
    for event in events[1:]:
        assert await machine.tell(event) == 503
    assert await machine.healthz() == 503
    assert [await machine.tell(event) for event in events[1:]] == [503, 503]
    if machine.host.disk.kind == "tmpfs":
        copy = machine.database.with_name("copy.db")
        code, said = await machine.ends("backup", str(copy))
        assert (code, copy.exists()) == (1, False), said
    await machine.until(machine.says("stops until the database works again"))

    machine.host.disk.free(machine.pid)
    await machine.until(machine.healthy)
    assert [await machine.tell(event) for event in events * 2] == [200] * 6
    await machine.all_succeeded(3)
    assert machine.told_of() == {str(event["detail"]["id"]): 1 for event in events}
    await machine.is_still_there()


async def test_while_another_program_writes_events_are_refused_and_then_taken(machine: Machine) -> None:
    await machine.serve()
    first, second = [await machine.assigned() for _ in range(2)]
    other = connect(machine.database)
    other.execute("begin immediate")
    answers = await asyncio.gather(machine.tell(first), machine.healthz())
    other.execute("rollback")
    other.close()
    assert answers == [503, 503]
    assert "locked" in "\n".join(machine.host.said)
    assert await machine.healthy()
    assert [await machine.tell(event) for event in (first, second, first)] == [200, 200, 200]
    await machine.all_succeeded(2)
    assert set(machine.told_of().values()) == {1}
    await machine.is_still_there()


def fill_with_events(database: Path) -> None:
    """More than SQLite keeps in memory, so that it has to read the disk again."""
    connection = connect(database)
    connection.execute("begin")
    connection.executemany(
        "insert into events(id, type, occurred_at, data) values (?, 't', '', ?)",
        [(os.urandom(32).hex(), "x" * 400) for _ in range(15_000)],
    )
    connection.execute("commit")
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()


def damage_all_but_the_first_page(database: Path) -> None:
    with database.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


async def test_damage_met_at_work_stops_the_taking_of_events_and_is_named_once(machine: Machine) -> None:
    fill_with_events(machine.database)
    await machine.serve()
    assert await machine.healthz() == 200
    damage_all_but_the_first_page(machine.database)
    event = await machine.assigned()
    assert [await machine.tell(event) for _ in range(3)] == [503, 503, 503]
    assert [await machine.healthz() for _ in range(3)] == [503, 503, 503]
    said = "\n".join(machine.host.said)
    assert said.count("Move it away") == 1
    assert str(machine.database) in said
    await machine.is_still_there()
    assert machine.told_of() == {}


async def test_a_backup_put_in_the_place_of_a_damaged_file_works(machine: Machine, tmp_path: Path) -> None:
    await machine.serve()
    event = await machine.assigned()
    assert await machine.tell(event) == 200
    await machine.all_succeeded(1)
    copy = tmp_path / "copy.db"
    await machine.host.run("backup", str(copy))
    machine.host.kill()
    await machine.host.ended()
    letter = write_a_letter(machine.database)
    for command in (["serve"], ["runs", "list"], ["flows", "activate", "notify-assigned-agents"]):
        code, said = await machine.ends(*command)
        assert code == 1
        assert re.search("not a database|malformed", said)
        assert "zendesk-connector backup" in said
        assert "Traceback" not in said
    assert machine.database.read_bytes() == letter
    restore(copy, machine.database)
    await machine.serve()
    assert await machine.tell(event) == 200  # which the backup knows
    assert await machine.tell(await machine.assigned()) == 200
    await machine.all_succeeded(2)
    assert set(machine.told_of().values()) == {1}


def restore(copy: Path, database: Path) -> None:
    """As the README says."""
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()
    shutil.copyfile(copy, database)


async def test_a_folder_that_cannot_be_written_to_is_named(machine: Machine) -> None:
    folder = machine.database.parent
    if machine.host.disk.kind == "tmpfs":
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)  # noqa: ASYNC221
    elif os.geteuid() == 0:
        pytest.skip("root may write everywhere, and cannot mount a disk here")
    else:
        folder.chmod(0o500)
    try:
        for command in (["serve"], ["flows", "activate", "notify-assigned-agents"], ["flows", "sync"]):
            code, said = await machine.ends(*command)
            assert code == 1
            assert str(machine.database) in said
            assert re.search("Read-only file system|Permission denied", said)
            assert "permissions" in said
            assert "Traceback" not in said
        code, said = await machine.ends("runs", "list")
        assert (code, "Traceback" in said) in ((0, False), (1, False)), said
    finally:
        if machine.host.disk.kind == "tmpfs":
            subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)  # noqa: ASYNC221
        else:
            folder.chmod(0o700)
    await machine.serve()


async def test_the_settings_say_how_long_runs_are_kept(start_connector: StartConnector, zendesk: ZendeskServer) -> None:
    connector = await start_connector(connector_keep_days=1e-9, connector_keep_failed_days=90.0)
    bridge = connector.sides.bridge
    for agent in (people.NOOR, people.LIN):  # the second is not in Slack: that run fails
        await zendesk.assign(people.GRINDER, agent)
        await bridge.idle()
    assert {run["status"] for run in await bridge.list_runs()} == {"succeeded", "failed"}
    await bridge._retention.sweep()
    assert [run["status"] for run in await bridge.list_runs()] == ["failed"]
    assert sqlite3.connect(bridge.settings.database).execute("select count(*) from assignments").fetchone() == (2,)
