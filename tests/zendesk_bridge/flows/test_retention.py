"""What is deleted when it is older than it is kept, what never is, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import sqlite3
from functools import partial
from typing import Any

import pytest

from zendesk_bridge.flows import retention, store
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import Event, Run, RunStatus, StepRun, StepStatus, rfc3339, utc_now
from zendesk_bridge.flows.retention import ROWS_AT_ONCE, Aged, Keep, Retention

DAY = dt.timedelta(days=1)
TABLES = ("runs", "steps", "signals", "events")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAUSE", 0.0)


def put_run(
    connection: sqlite3.Connection, event: str, days: float, status: str = "succeeded", flow: str = "f", steps: int = 3
) -> None:
    """A run that ended so many days ago, or was last heard of then."""
    at = utc_now() - days * DAY
    store.insert_event(
        connection, Event(id=event, type="t", source="webhook", subject="s", occurred_at=at, data={}), event
    )
    run = Run(id=f"{event}:{flow}", flow=flow, version=1, event_id=event, status=RunStatus(status), accepted_at=at)
    store.insert_run(connection, run)
    run.started_at = at
    run.finished_at = at if run.status.ended else None
    store.update_run(connection, run)
    done = StepStatus.SUCCEEDED
    for seq in range(steps):
        step = StepRun(seq=seq, key=f"k{seq}", action="test.look", status=done, inputs={}, outputs={}, started_at=at)
        store.put_steps(connection, [store.step_row(run.id, step)])
    store.put_signal(connection, run.id, "decision", {"send": True})


def ids(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("select id from runs order by number")]


def counts(connection: sqlite3.Connection) -> list[int]:
    return [connection.execute(f"select count(*) from {table}").fetchone()[0] for table in TABLES]


async def test_ended_runs_go_after_their_time_and_failed_ones_later(journal: Journal) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        for days in (5, 15, 25):
            for status in ("succeeded", "cancelled", "failed", "queued", "running", "waiting"):
                put_run(connection, f"{status}-{days}", days, status)

    await journal.write(fill)
    deleted = await Retention(journal, Keep(days=10, failed_days=20)).sweep()
    still_open = [f"{status}-{days}:f" for days in (5, 15, 25) for status in ("queued", "running", "waiting")]
    kept = {"succeeded-5:f", "cancelled-5:f", "failed-5:f", "failed-15:f", *still_open}
    assert set(await journal.read(ids)) == kept
    assert deleted == {"runs": 5, "steps": 15, "signals": 5, "events": 5}
    assert await journal.read(counts) == [13, 39, 13, 13]
    assert not await Retention(journal, Keep(days=10, failed_days=20)).sweep()


async def test_an_event_stays_as_long_as_any_run_of_it(journal: Journal) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        put_run(connection, "e", 40, "succeeded", flow="one")
        put_run(connection, "e", 40, "waiting", flow="two")

    await journal.write(fill)
    await Retention(journal, Keep()).sweep()
    assert (await journal.read(ids), (await journal.read(counts))[3]) == (["e:two"], 1)
    await journal.write(
        lambda connection: (
            connection.execute("update runs set status = 'cancelled', finished_at = accepted_at").rowcount
        )
    )
    await Retention(journal, Keep()).sweep()
    assert await journal.read(counts) == [0, 0, 0, 0]


async def test_no_write_is_large_and_events_are_taken_in_between(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        for number in range(150):
            put_run(connection, f"e{number}", 40, steps=1 + number % 9)
        put_run(connection, "huge", 40, steps=3 * ROWS_AT_ONCE)
        put_run(connection, "last", 40)

    await journal.write(fill)
    writes: list[int] = []
    write = journal.write

    def counted(work: Any) -> Any:
        def counting(connection: sqlite3.Connection) -> Any:
            before = connection.total_changes
            result = work(connection)
            writes.append(connection.total_changes - before)
            return result

        return write(counting)

    monkeypatch.setattr(journal, "write", counted)
    sweep = asyncio.create_task(Retention(journal, Keep()).sweep())
    taken = 0
    while not sweep.done():
        await write(partial(put_run, event=f"new{taken}", days=0))
        taken += 1
    assert (await sweep)["runs"] == 152
    huge = 3 * ROWS_AT_ONCE + 3  # one run goes whole: half of it could be tried again
    assert writes.count(huge) == 1
    assert max(rows for rows in writes if rows != huge) <= ROWS_AT_ONCE
    assert len(writes) > 5
    assert taken > len(writes)
    assert (await journal.read(counts))[0] == taken


async def test_a_run_that_is_tried_again_meanwhile_stays_whole(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.write(lambda connection: put_run(connection, "e", 100, "failed"))
    read = journal.read

    async def then_retried(work: Any) -> Any:
        found = await read(work)
        await journal.write(lambda connection: connection.execute("update runs set status = 'queued'").rowcount)
        return found

    monkeypatch.setattr(journal, "read", then_retried)
    assert not await Retention(journal, Keep()).sweep()
    assert await read(counts) == [1, 3, 1, 1]


async def test_answered_requests_and_the_users_own_rows_go_too(journal: Journal) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        for days in (1, 8):
            at = rfc3339(utc_now() - days * DAY)
            connection.execute("insert into requests(verb, at) values ('open', ?)", (at,))
            connection.execute(
                "insert into requests(verb, at, answered_at, answer) values ('answered', ?, ?, '{}')", (at, at)
            )
        for number in range(2 * ROWS_AT_ONCE + 1):
            connection.execute("insert into remembered(kind, key, at) values ('k', ?, ?)", (f"{number}", at))

    await journal.write(fill)
    aged = Aged(table="remembered", condition="at < :before", days=5)
    assert await Retention(journal, Keep(), [aged]).sweep() == {"requests": 1, "remembered": 2 * ROWS_AT_ONCE + 1}
    left = await journal.read(lambda connection: connection.execute("select verb from requests").fetchall())
    assert [row[0] for row in left] == ["open", "answered", "open"]


async def test_what_is_to_be_kept_for_ever_is(journal: Journal) -> None:
    await journal.write(lambda connection: put_run(connection, "e", 10_000))
    assert not await Retention(journal, Keep(days=1e9, failed_days=1e9)).sweep()


async def test_it_starts_after_a_while_survives_a_broken_database_and_says_what_it_did(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert (retention.FIRST_AFTER, retention.EVERY) == (60.0, 3600.0)
    await journal.close()
    rounds = Retention(journal, Keep(), first_after=0.01, every=0.02)
    rounds.start()
    async with asyncio.timeout(30):
        while "cannot be deleted now" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await journal.open()
        await journal.write(lambda connection: put_run(connection, "e", 40))
        while "rows of" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await rounds.stop()
    said = [record.message for record in caplog.records if "rows of" in record.message]
    assert said == ["deleted what is older than it is kept (rows of runs: 1, steps: 3, signals: 1, events: 1)"]
