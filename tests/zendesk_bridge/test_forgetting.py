"""What is removed of a person: all of it, everywhere in the files, and nothing of anybody else's."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from zendesk_bridge import forgetting
from zendesk_bridge.assignments import sighted
from zendesk_bridge.flows import retention, store
from zendesk_bridge.flows.errors import ConnectorError, NotFound, StorageError
from zendesk_bridge.flows.journal import Journal, connect
from zendesk_bridge.flows.model import Event, Run, RunStatus, StepRun, StepStatus, rfc3339, utc_now
from zendesk_bridge.flows.retention import Keep, Retention
from zendesk_bridge.memory import Memory
from zendesk_bridge.poller import CURSOR

MIRA, TOMAS = ("9101", "mira@harbour.example"), ("9102", "tomas@example.com")


@pytest.fixture
async def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Journal]:
    monkeypatch.setattr(retention, "PAUSE", 0.0)
    journal = Journal(tmp_path / "connector.db")
    await journal.open()
    yield journal
    await journal.close()


@pytest.fixture
def memory(journal: Journal) -> Memory:
    return Memory(journal)


def put_run(
    connection: sqlite3.Connection,
    ticket: str,
    requester: tuple[str, str],
    status: str = "succeeded",
    told: bool = True,
    look_ups: bool = True,
) -> str:
    """A run about a ticket of somebody.

    Args:
        told: whether the event names the requester.
        look_ups: whether the run has looked at the ticket and the person.
    """
    at, (user_id, email) = utc_now(), requester
    data = {"ticket_id": ticket, "requester_id": user_id if told else None, "subject": f"I am {email}, please help"}
    event = Event(id=f"event-{ticket}", type="t", source="webhook", subject="s", occurred_at=at, data=data)
    store.insert_event(connection, event, event.id)
    run = Run(id=f"event-{ticket}:f", flow="f", version=1, event_id=event.id, status=RunStatus(status), accepted_at=at)
    store.insert_run(connection, run)
    run.finished_at = at if run.status.ended else None
    store.update_run(connection, run)
    outputs = {
        "look_up_ticket": {"ticket_id": ticket, "requester_id": user_id, "description": f"Sent from {email} " * 200},
        "look_up_user": {"id": user_id, "email": email.capitalize(), "notes": "x" * 300},
    }
    done = StepStatus.SUCCEEDED
    for seq, (action, output) in enumerate(outputs.items() if look_ups else ()):
        step = StepRun(
            seq=seq, key=f"k{seq}", action=f"zendesk.{action}", status=done, inputs={}, outputs=output, started_at=at
        )
        store.put_steps(connection, [store.step_row(run.id, step)])
    return run.id


def put_request(connection: sqlite3.Connection, verb: str, args: Any, answer: Any = None) -> None:
    at = rfc3339(utc_now())
    connection.execute(
        "insert into requests(verb, args, by, at, answered_at, answer) values (?, ?, 'ada', ?, ?, ?)",
        (verb, args, at, None if answer is None else at, answer),
    )


def run_ids(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("select id from runs order by number")]


def found_in_files(path: Path, text: str) -> list[str]:
    """The files of a database that hold a text in any form of it."""
    files = path.parent.glob(f"{path.name}*")
    return [file.name for file in files if text.lower().encode() in file.read_bytes().lower()]


async def test_nothing_of_a_person_is_left_in_the_files_and_all_of_the_others(journal: Journal, memory: Memory) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        for number in range(60):
            put_run(connection, f"{number}", MIRA if number % 3 == 0 else TOMAS)
        put_run(connection, "untold", MIRA, told=False)
        put_run(connection, "unseen", MIRA, status="failed", look_ups=False)

    await journal.write(fill)
    event = {"event": {"data": {"requester_id": MIRA[0], "subject": MIRA[1]}}}
    await journal.write(lambda connection: put_request(connection, "test", json.dumps(event), '{"result": {}}'))
    ran = '{"result": {"run": "event-untold:f"}}'
    await journal.write(lambda connection: put_request(connection, "test", json.dumps({"text": MIRA[1]}), ran))
    for email, slack_id in ((MIRA[1], "U1"), (TOMAS[1], "U2")):
        await memory.remember("slack_user", email, slack_id)
        await memory.remember("slack_dm", slack_id, f"D{slack_id}")
    # Where rows move, SQLite leaves copies of them behind: here it does for certain.
    assert journal._writer is not None
    journal._writer.execute("pragma secure_delete = off")
    await journal.write(lambda connection: None)
    checkpoint = connect(journal.path)
    checkpoint.execute("pragma wal_checkpoint").fetchall()
    checkpoint.close()
    assert set(found_in_files(journal.path, MIRA[1])) == {"connector.db", "connector.db-wal"}

    removed = await forgetting.forget(journal, memory, f" {MIRA[1].upper()} ")
    assert removed == {
        "runs": 22,
        "steps": 42,
        "signals": 0,
        "events": 22,
        "remembered": 2,
        "requests": 2,
        "left": [],
    }
    assert found_in_files(journal.path, MIRA[1]) == []
    assert await journal.read(run_ids) == [f"event-{number}:f" for number in range(60) if number % 3]
    assert await memory.recall("slack_user", MIRA[1]) is None
    assert await memory.recall("slack_dm", "U1") is None
    assert await Memory(journal).recall("slack_dm", "U2") == "DU2"
    with pytest.raises(NotFound, match="Nothing is recorded") as caught:
        await forgetting.forget(journal, memory, MIRA[1])
    assert "Zendesk id" in caught.value.hint


async def test_a_persons_id_leads_to_the_address(journal: Journal, memory: Memory) -> None:
    await journal.write(lambda connection: put_run(connection, "1", MIRA))
    await memory.remember("slack_user", MIRA[1], "U1")
    await journal.write(lambda connection: None)  # that is stored by now
    removed = await forgetting.forget(journal, memory, MIRA[0])
    assert (removed["runs"], removed["remembered"]) == (1, 1)
    assert found_in_files(journal.path, MIRA[1]) == []


async def test_runs_that_have_not_ended_stay_with_what_they_need_and_are_named(
    journal: Journal, memory: Memory
) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        put_run(connection, "1", MIRA)
        for status in ("queued", "running", "waiting"):
            put_run(connection, status, MIRA, status=status)

    await journal.write(fill)
    removed = await forgetting.forget(journal, memory, MIRA[1])
    assert removed["left"] == [
        {"run": f"event-{status}:f", "status": status} for status in ("queued", "running", "waiting")
    ]
    assert (removed["runs"], removed["events"]) == (1, 1)
    steps = await journal.read(lambda connection: store.select_steps(connection, "event-running:f"))
    assert len(steps) == 2
    assert await journal.read(lambda connection: store.select_event(connection, "event-waiting")) is not None
    # Nothing more can go; it is said again what is left.
    assert (await forgetting.forget(journal, memory, MIRA[1]))["runs"] == 0


async def test_the_request_itself_is_no_trace_and_one_that_waits_is_left(journal: Journal, memory: Memory) -> None:
    """As a command writes it beside the running process, whose answer it waits for."""

    def ask(email: str, taken: bool) -> None:
        other = connect(journal.path)
        put_request(other, "forget", json.dumps({"requester": email}))
        if taken:
            other.execute("update requests set answered_at = at")
        other.close()

    ask(MIRA[1], taken=True)
    ask(TOMAS[1], taken=False)
    assert found_in_files(journal.path, MIRA[1]) != []
    with pytest.raises(NotFound) as caught:
        await forgetting.forget(journal, memory, MIRA[1])
    assert MIRA[1] not in json.dumps(caught.value.as_json())
    assert found_in_files(journal.path, MIRA[1]) == []
    args = await journal.read(lambda connection: connection.execute("select args from requests").fetchall())
    assert [row[0] for row in args] == [None, json.dumps({"requester": TOMAS[1]})]
    with pytest.raises(ConnectorError, match="e-mail address or a Zendesk id"):
        await forgetting.forget(journal, memory, "mira")


async def test_an_assignment_whose_run_was_forgotten_is_still_known(journal: Journal, memory: Memory) -> None:
    def assign(connection: sqlite3.Connection) -> bool:
        now = utc_now()
        return sighted(
            connection, ticket_id="1", previous=None, current="2", at=now, source="webhook", service_id="event-1"
        )[2]

    assert await journal.write(assign)
    await journal.write(lambda connection: put_run(connection, "1", MIRA))
    await forgetting.forget(journal, memory, MIRA[0])
    assert not await journal.write(assign)


async def test_a_reader_who_keeps_old_copies_alive_is_told_of(journal: Journal, memory: Memory) -> None:
    await journal.write(lambda connection: put_run(connection, "1", MIRA))
    assert journal._writer is not None
    journal._writer.execute("pragma busy_timeout = 50")
    other = connect(journal.path)
    other.execute("begin")
    other.execute("select * from events").fetchone()
    with pytest.raises(StorageError, match="another program reads it"):
        await forgetting.forget(journal, memory, MIRA[1])
    other.execute("rollback")
    other.close()
    with pytest.raises(NotFound):  # the rows are gone already; the copies go now
        await forgetting.forget(journal, memory, MIRA[1])
    assert found_in_files(journal.path, MIRA[1]) == []


async def test_events_are_taken_again_right_after_the_file_was_written_anew(journal: Journal, memory: Memory) -> None:
    await journal.write(lambda connection: put_run(connection, "1", MIRA))
    forgotten = asyncio.create_task(forgetting.forget(journal, memory, MIRA[1]))
    number = 0
    while not forgotten.done():
        number += 1
        await journal.write(lambda connection, ticket=f"new-{number}": put_run(connection, ticket, TOMAS))
    assert (await forgotten)["runs"] == 1
    assert len(await journal.read(run_ids)) == number


@pytest.mark.parametrize(
    ("keep_days", "cursor_days", "left"),
    [
        (30, None, [5, 10]),
        (1, None, [5]),  # at least a week
        (1, 20, [5, 10]),  # the poller has yet to read what happened since
        (30, 60, [5, 10, 40]),
    ],
)
async def test_assignments_are_kept_until_nobody_can_report_them_again(
    journal: Journal, keep_days: float, cursor_days: float | None, left: list[int]
) -> None:
    now = utc_now()

    def fill(connection: sqlite3.Connection) -> None:
        for days in (5, 10, 40, 400):
            connection.execute(
                "insert into assignments(ticket_id, at) values (?, ?)", (f"{days}", rfc3339(now - dt.timedelta(days)))
            )
            connection.execute(
                "insert into remembered(kind, key, at) values ('k', ?, ?)",
                (f"{days}", rfc3339(now - dt.timedelta(days))),
            )
        if cursor_days is not None:
            read_until = int((now - dt.timedelta(cursor_days)).timestamp())
            connection.execute("insert into cursors(name, value) values (?, ?)", (CURSOR, str(read_until)))

    await journal.write(fill)
    keep = Keep(days=keep_days)
    await Retention(journal, keep, forgetting.aged(keep)).sweep()

    def days_left(connection: sqlite3.Connection, sql: str) -> list[int]:
        return [int(row[0]) for row in connection.execute(sql)]

    assert await journal.read(lambda c: days_left(c, "select ticket_id from assignments order by id")) == left
    remembered = await journal.read(lambda c: days_left(c, "select key from remembered order by at desc"))
    assert remembered == [days for days in (5, 10, 40, 400) if days < keep_days]
