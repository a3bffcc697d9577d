"""The tables: made in one go, readable for a person, and never read from end to end in daily work."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zendesk_bridge.assignments import sighted
from zendesk_bridge.flows import history, store
from zendesk_bridge.flows.errors import WrongVersion
from zendesk_bridge.flows.journal import Journal, connect, connect_to_read
from zendesk_bridge.flows.model import utc_now
from zendesk_bridge.flows.requests import _open_requests
from zendesk_bridge.flows.tables import migrate, migrations, require_current


def statements_of(work: Callable[[sqlite3.Connection], Any], path: Path) -> list[str]:
    """What SQLite is asked to do, values filled in."""
    connection = connect(path)
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    work(connection)
    connection.set_trace_callback(None)
    connection.close()
    return [each for each in seen if each.lstrip().lower().startswith(("select", "insert", "update", "delete"))]


def plan(statement: str, path: Path) -> list[str]:
    connection = connect(path)
    rows = [row["detail"] for row in connection.execute(f"explain query plan {statement}")]
    connection.close()
    return rows


HOT: dict[str, Callable[[sqlite3.Connection], Any]] = {
    "open runs": store.open_run_ids,
    "due runs": lambda connection: store.due_run_ids(connection, utc_now(), 500),
    "next wake": lambda connection: store.next_wake(connection, utc_now()),
    "wake": lambda connection: store.wake_waiting_for(connection, ["invite:C1"]),
    "wake uninvited": store.wake_uninvited,
    "a run": lambda connection: store.select_run(connection, "event:flow"),
    "a run's steps": lambda connection: store.select_steps(connection, "event:flow"),
    "forget steps": lambda connection: store.delete_steps(connection, "event:flow", [2]),
    "an event": lambda connection: store.select_event(connection, "event"),
    "a signal": lambda connection: store.select_signal(connection, "event:flow", "decision"),
    "give a signal": lambda connection: store.put_signal(connection, "event:flow", "decision", {}),
    "a definition": lambda connection: store.select_definition(connection, "flow", 1),
    "show a run": lambda connection: history.show_run(connection, "event:fl"),
    "a flow's last run": lambda connection: history._last_run(connection, "flow"),
    "requests": lambda connection: _open_requests(connection, None),
    "a webhook's sighting": lambda connection: _sight(connection, "webhook"),
    "a poll's sighting": lambda connection: _sight(connection, "poll"),
}


def _sight(connection: sqlite3.Connection, source: Any) -> None:
    sighted(
        connection, ticket_id="7", previous=None, current="1", at=utc_now(), source=source, service_id=f"{source} new"
    )


@pytest.fixture
def filled(database: Path, history_file: Path) -> Path:
    shutil.copy(history_file, database)
    return database


@pytest.fixture(scope="module")
def history_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a long history, as its statistics see it."""
    database = tmp_path_factory.mktemp("history") / "connector.db"
    connection = connect(database)
    migrate(connection)
    connection.execute("begin")
    now = "2026-01-01T00:00:00.000000Z"
    for number in range(2000):
        name = f"event{number if number else ''}"
        connection.execute("insert into events(id, occurred_at, data) values (?, ?, '{}')", (name, now))
        connection.execute(
            "insert into runs(id, flow, version, event_id, status, accepted_at)"
            " values (?, 'flow', 1, ?, 'succeeded', ?)",
            (f"{name}:flow", name, now),
        )
        connection.execute(
            "insert into steps(run_id, seq, key, status, started_at) values (?, 0, 'a', 'succeeded', ?)",
            (f"{name}:flow", now),
        )
        connection.execute(
            "insert into assignments(ticket_id, current, at, webhook_id, event_id) values (?, '1', ?, ?, ?)",
            (str(number), now, name, name),
        )
    connection.execute("update runs set status = 'running' where number = 9")
    connection.execute("commit")
    connection.close()
    return database


@pytest.mark.parametrize("name", HOT)
@pytest.mark.parametrize("analyzed", [False, True])
def test_what_is_asked_daily_never_reads_a_table_from_end_to_end(filled: Path, name: str, analyzed: bool) -> None:
    if analyzed:
        connection = connect(filled)
        connection.execute("analyze")
        connection.close()
    statements = statements_of(HOT[name], filled)
    assert statements
    for statement in statements:
        for detail in plan(statement, filled):
            partial = "USING INDEX open_requests" in detail or "USING INDEX sleeping_runs" in detail
            no_table = detail == "SCAN CONSTANT ROW"
            assert not detail.startswith("SCAN") or partial or no_table, (statement, detail)


def test_a_sighting_looks_at_its_own_ticket_only(filled: Path) -> None:
    """Where one source alone works, the other's column is empty in every row."""
    statement = next(each for each in statements_of(lambda c: _sight(c, "poll"), filled) if "between" in each)
    assert any("idx_assignments_ticket_id_at" in detail for detail in plan(statement, filled))


def test_tables_are_made_in_one_go_or_not_at_all(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connect(database)
    connection.execute("create table remembered (something_else text)")  # the last table cannot be made
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(connection)
    names = {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}
    assert "runs" not in names
    connection.execute("drop table remembered")
    migrate(connection)
    require_current(connection)
    connection.close()


def test_bringing_up_to_date_twice_changes_nothing(database: Path) -> None:
    connection = connect(database)
    for _ in range(2):
        migrate(connection)
        before = connection.execute("select sql from sqlite_master order by name").fetchall()
    assert [tuple(row) for row in connection.execute("select sql from sqlite_master order by name")] == [
        tuple(row) for row in before
    ]
    connection.close()


def test_a_file_of_an_older_version_is_brought_up_to_date_by_the_holder_only(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(database)
    asyncio.run(_open_and_close(journal))

    def newer() -> Any:
        changes = migrations()

        @changes()
        def m999_later(database: Any) -> None:
            database.execute("alter table runs add column shade text")

        return changes

    monkeypatch.setattr("zendesk_bridge.flows.tables.migrations", newer)
    with pytest.raises(WrongVersion, match="older version") as caught:
        connect_to_read(database)
    assert "serve" in caught.value.hint
    asyncio.run(_open_and_close(Journal(database)))
    connect_to_read(database).close()
    monkeypatch.undo()
    with pytest.raises(WrongVersion, match="newer version"):
        connect_to_read(database)


async def _open_and_close(journal: Journal) -> None:
    await journal.open()
    await journal.close()
