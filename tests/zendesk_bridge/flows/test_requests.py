"""Requests: what a command asks of the running process is applied once, and answered."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from zendesk_bridge.bridge import Bridge, BridgeSettings
from zendesk_bridge.flows import requests
from zendesk_bridge.flows.errors import ConnectorError, FlowError, NotFound, StorageError
from zendesk_bridge.flows.journal import Journal, connect
from zendesk_bridge.flows.requests import Desk, send

ASK = """
import json, pathlib, sys
from zendesk_bridge.flows.requests import send
print(json.dumps(send(pathlib.Path(sys.argv[1]), "activate", {"key": "greet"}, "Ada")))
"""


class Hand:
    """What applies requests: notes them, and does as told."""

    def __init__(self) -> None:
        self.applied: list[tuple[str, Any, str]] = []
        self.does: dict[str, Callable[[], Any]] = {}

    async def __call__(self, verb: str, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        self.applied.append((verb, args, by))
        given = self.does.get(verb, lambda: {"done": verb})()
        return dict(await given) if asyncio.iscoroutine(given) else given


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
async def desk(journal: Journal, hand: Hand) -> AsyncGenerator[Desk]:
    desk = Desk(journal, hand)
    await desk.start()
    yield desk
    await desk.stop()


async def ask(journal: Journal, verb: str, **args: Any) -> dict[str, Any]:
    return await asyncio.to_thread(send, journal.path, verb, args, "Ada")


def leave(path: Path, verb: str, args: str | None = "{}") -> int:
    """A command that is dead before it sees its answer."""
    connection = connect(path)
    cursor = connection.execute(
        "insert into requests(verb, args, by, at) values (?, ?, 'Ada', '2026-01-31T09:30:00Z')", (verb, args)
    )
    connection.close()
    return cursor.lastrowid or 0


async def answer(journal: Journal, number: int) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            row = await journal.read(lambda connection: _row(connection, number))
            if row["answer"]:
                assert row["answered_at"].endswith("Z")
                return dict(json.loads(row["answer"]))
            await asyncio.sleep(0.01)


def _row(connection: sqlite3.Connection, number: int) -> dict[str, Any]:
    return dict(connection.execute("select * from requests where id = ?", (number,)).fetchone())


async def test_a_request_of_another_process_is_applied_and_answered(journal: Journal, desk: Desk, hand: Hand) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ASK, str(journal.path), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert (process.returncode, json.loads(out)) == (0, {"done": "activate"})
    assert hand.applied == [("activate", {"key": "greet"}, "Ada")]


async def test_many_requests_at_once_are_each_applied_once_in_order(journal: Journal, desk: Desk, hand: Hand) -> None:
    given = await asyncio.gather(*(ask(journal, f"verb{number}") for number in range(12)))
    assert given == [{"done": f"verb{number}"} for number in range(12)]
    assert sorted(verb for verb, _, _ in hand.applied) == sorted(f"verb{number}" for number in range(12))


@pytest.mark.parametrize(
    "problem",
    [NotFound("no_flow", "There is no flow 'x'", hint="Did you mean 'y'?"), FlowError("file_decides", "a.yml says so")],
)
async def test_a_refusal_reaches_the_command_with_code_message_and_hint(
    journal: Journal, desk: Desk, hand: Hand, problem: ConnectorError
) -> None:
    def refuse() -> Any:
        raise problem

    hand.does["activate"] = refuse
    with pytest.raises(ConnectorError) as caught:
        await ask(journal, "activate")
    assert caught.value.as_json() == problem.as_json()


async def test_requests_left_by_a_dead_command_are_applied_once(journal: Journal, hand: Hand) -> None:
    number = leave(journal.path, "retry")
    for _ in range(2):
        desk = Desk(journal, hand)
        await desk.start()
        assert await answer(journal, number) == {"result": {"done": "retry"}}
        await desk.stop()
    assert len(hand.applied) == 1


@pytest.mark.parametrize("args", ["{not json", "[]", '"text"', "17", None])
async def test_a_bad_request_is_refused_and_the_next_one_is_answered(
    journal: Journal, desk: Desk, hand: Hand, args: str | None
) -> None:
    bad = leave(journal.path, "activate", args)
    assert await ask(journal, "sync") == {"done": "sync"}
    given = await answer(journal, bad)
    assert given.get("error", {}).get("code") == ("bad_request" if args else None)


@pytest.mark.parametrize("outcome", ["defect", "no json"])
async def test_a_defect_in_applying_is_answered_and_does_not_end_the_desk(
    journal: Journal, desk: Desk, hand: Hand, outcome: str
) -> None:
    hand.does["activate"] = (lambda: 1 // 0) if outcome == "defect" else (lambda: {"at": object()})
    with pytest.raises(ConnectorError, match="internal"):
        await ask(journal, "activate")
    assert await ask(journal, "sync") == {"done": "sync"}


async def test_a_request_is_not_overlooked_when_another_write_fails_beside_it(
    journal: Journal, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(journal, hand)
    await desk.start()
    await ask(journal, "first")

    async def disturb() -> None:
        while True:
            futures = [journal.write(lambda connection: connection.execute("insert into nowhere values (1)"))]
            await asyncio.gather(*futures, return_exceptions=True)

    noise = asyncio.create_task(disturb())
    for number in range(3):
        assert await ask(journal, f"verb{number}") == {"done": f"verb{number}"}
    noise.cancel()
    await asyncio.gather(noise, return_exceptions=True)
    await desk.stop()


async def test_an_answer_the_database_does_not_take_is_stored_later_and_nothing_is_applied_twice(
    journal: Journal, desk: Desk, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, failures = journal.write, [0]

    def write(work: Any) -> Any:
        # The third write of a request is its answer.
        if hand.applied and failures[0] < 2:
            failures[0] += 1
            future = asyncio.get_running_loop().create_future()
            future.set_exception(StorageError("full"))
            return future
        return original(work)

    monkeypatch.setattr(journal, "write", write)
    assert await ask(journal, "retry") == {"done": "retry"}
    assert (len(hand.applied), failures) == (1, [2])


async def test_what_a_killed_holder_had_begun_is_not_applied_again(journal: Journal, hand: Hand) -> None:
    number = leave(journal.path, "retry")
    hand.does["retry"] = lambda: asyncio.Event().wait()
    first = Desk(journal, hand)
    await first.start()
    async with asyncio.timeout(30):
        while True:
            if hand.applied:
                break
            await asyncio.sleep(0.01)
    assert first._task is not None
    first._task.cancel()  # as a kill would, in the middle of it
    second = Desk(journal, hand)
    await second.start()
    assert (await answer(journal, number))["error"]["code"] == "interrupted"
    await second.stop()
    assert len(hand.applied) == 1


async def test_stopping_lets_what_is_being_applied_come_to_its_end(journal: Journal, desk: Desk, hand: Hand) -> None:
    gate = asyncio.Event()

    async def slowly() -> dict[str, Any]:
        await gate.wait()
        return {"done": "slowly"}

    hand.does["retry"] = slowly
    asking = asyncio.create_task(ask(journal, "retry"))
    async with asyncio.timeout(30):
        while True:
            if hand.applied:
                break
            await asyncio.sleep(0.01)
    stopping = asyncio.create_task(desk.stop())
    await asyncio.sleep(0.02)
    gate.set()
    assert await asking == {"done": "slowly"}
    await stopping


async def test_a_command_that_gets_no_answer_says_so_and_leaves_its_request(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "ANSWER_WITHIN", 0.1)
    with pytest.raises(ConnectorError, match="no_answer"):
        await ask(journal, "activate")
    rows = await journal.read(lambda connection: connection.execute("select verb, answer from requests").fetchall())
    assert [tuple(row) for row in rows] == [("activate", None)]


# Through the bridge


def settings(folder: Path) -> BridgeSettings:
    (folder / "flows").mkdir()
    (folder / "flows" / "watch.yml").write_text(
        "key: watch\nname: Watch\ntrigger: {event: zendesk.ticket_agent_assignment_changed}\nsteps:\n"
        "  - {key: ticket, action: zendesk.look_up_ticket, inputs: {ticket_id: '{{ trigger.ticket_id }}'}}\n"
    )
    return BridgeSettings(database=folder / "connector.db", flows=folder / "flows")


async def active(bridge: Bridge) -> bool:
    return bool(next(flow for flow in await bridge.list_flows() if flow["key"] == "watch")["active"])


async def test_where_nobody_holds_the_database_a_request_is_applied_directly(tmp_path: Path) -> None:
    bridge = Bridge(settings(tmp_path))
    for verb, wanted in (("activate", True), ("deactivate", False), ("activate", True)):
        assert await bridge.request(verb, {"key": "watch"}, "Ada") == {"key": "watch", "active": wanted}
        assert await active(bridge) is wanted
    with pytest.raises(NotFound):
        await bridge.request("retry", {"run": "nothing"}, "Ada")
    with pytest.raises(ConnectorError, match="unknown_request"):
        await bridge.request("dance", {}, "Ada")


async def test_where_a_process_runs_a_request_goes_through_it(tmp_path: Path) -> None:
    shared = settings(tmp_path)
    holder, other = Bridge(shared), Bridge(shared)
    await holder.start()
    assert await other.request("activate", {"key": "watch"}, "Ada") == {"key": "watch", "active": True}
    assert holder.library.flow("watch").active
    assert await active(other)
    with pytest.raises(ConnectorError, match="no_flow") as caught:
        await other.request("activate", {"key": "wach"}, "Ada")
    assert caught.value.hint == "Did you mean 'watch'?"
    await holder.stop()
