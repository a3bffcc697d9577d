"""The journal: what it acknowledges is on disk, in order, and one process writes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from zendesk_bridge.flows.errors import ConnectorError, Locked, NotFound, StorageError, WrongVersion
from zendesk_bridge.flows.journal import Journal, connect, connect_to_read

HOLDER = """
import asyncio, pathlib, sys, time
from zendesk_bridge.flows.journal import Journal
async def hold():
    await Journal(pathlib.Path(sys.argv[1])).open()
    print("held", flush=True)
    time.sleep(60)
asyncio.run(hold())
"""


def put(value: str) -> Any:
    return lambda connection: (
        connection.execute(
            "insert into remembered(kind, key, value, at) values ('test', ?, ?, '')", (value, value)
        ).rowcount
    )


def values(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("select value from remembered where kind = 'test' order by rowid")
    return [row[0] for row in rows]


def files_holding(text: bytes, database: Path) -> list[str]:
    return [file.name for file in database.parent.glob("connector.db*") if file.is_file() and text in file.read_bytes()]


def blocked(gate: threading.Event) -> Any:
    return lambda connection: gate.wait(5)


async def test_the_log_has_what_was_not_stored_also_where_the_caller_is_gone_by_then(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    def full(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    journal.write(full).cancel()
    await journal.write(put("later"))
    assert [record.levelname for record in caplog.records if record.message.startswith("not stored: ")] == ["ERROR"]


async def test_many_writes_at_once_take_few_commits_and_keep_their_order(journal: Journal) -> None:
    gate = threading.Event()
    first = journal.write(blocked(gate))
    await asyncio.sleep(0.02)
    before = journal.commits
    futures = [journal.write(put(f"{number:04}")) for number in range(500)]
    gate.set()
    assert await asyncio.gather(first, *futures) == [True] + [1] * 500
    assert journal.commits - before == 2  # the one that blocked, and all the others
    assert await journal.read(values) == [f"{number:04}" for number in range(500)]


async def test_one_bad_write_fails_alone_and_the_others_are_stored_in_order(journal: Journal) -> None:
    gate = threading.Event()
    first = journal.write(blocked(gate))
    await asyncio.sleep(0.02)

    def refuse(connection: sqlite3.Connection) -> None:
        put("half of the bad one")(connection)
        raise NotFound("no_run", "There is no run 'x'")

    given: list[asyncio.Future[Any]] = [journal.write(put("a")), journal.write(refuse), journal.write(put("b"))]
    given.append(journal.write(lambda connection: connection.execute("insert into nowhere values (1)")))
    given.append(journal.write(put("c")))
    gate.set()
    results = await asyncio.gather(first, *given, return_exceptions=True)
    assert [type(each) for each in results] == [bool, int, NotFound, int, StorageError, int]
    assert await journal.read(values) == ["a", "b", "c"]


async def test_a_defect_in_a_write_is_not_taken_for_a_broken_database(journal: Journal) -> None:
    with pytest.raises(ZeroDivisionError):
        await journal.write(lambda connection: 1 // 0)
    assert await journal.write(put("after")) == 1


async def test_a_write_nobody_awaits_is_committed_and_a_cancelled_waiter_changes_nothing(journal: Journal) -> None:
    journal.write(put("unawaited"))
    waiter = asyncio.ensure_future(_wait_for(journal.write(put("given up"))))
    await asyncio.sleep(0)
    waiter.cancel()
    await journal.write(put("last"))
    assert await journal.read(values) == ["unawaited", "given up", "last"]


async def _wait_for(future: asyncio.Future[Any]) -> Any:
    return await future


async def test_closing_commits_what_is_queued_and_refuses_what_comes_later(database: Path) -> None:
    journal = Journal(database)
    await journal.open()
    futures = [journal.write(put(f"{number:04}")) for number in range(300)]
    closing = asyncio.create_task(journal.close())
    await asyncio.sleep(0)
    late = journal.write(put("late"))
    await closing
    assert await asyncio.gather(*futures) == [1] * 300
    with pytest.raises(StorageError, match="closed"):
        await asyncio.wait_for(late, 30)
    with pytest.raises(StorageError, match="closed"):
        await asyncio.wait_for(journal.write(put("later")), 30)
    with pytest.raises(StorageError, match="closed"):
        await journal.read(values)
    reader = connect_to_read(database)
    assert len(values(reader)) == 300
    reader.close()


async def test_a_closed_journal_can_be_opened_again(database: Path) -> None:
    journal = Journal(database)
    with pytest.raises(StorageError):
        await journal.write(put("before it is open"))
    for value in ("one", "two"):
        await journal.open()
        await journal.write(put(value))
        await journal.close()
    await journal.open()
    assert await journal.read(values) == ["one", "two"]
    await journal.close()


async def test_a_full_database_acknowledges_nothing_and_recovers(journal: Journal) -> None:
    def limit(pages: int) -> Any:
        return lambda connection: connection.execute(f"pragma max_page_count = {pages}").fetchone()[0]

    writer = journal._writer
    assert writer is not None
    used = writer.execute("pragma page_count").fetchone()[0]
    writer.execute(f"pragma max_page_count = {used}")
    big = "x" * 200_000
    with pytest.raises(StorageError, match="full"):
        await journal.write(put(big))
    assert await journal.read(values) == []
    writer.execute("pragma max_page_count = 1000000")
    await journal.write(put("fits again"))
    assert await journal.read(values) == ["fits again"]


async def test_a_second_process_is_refused_and_told_who_holds_the_file(journal: Journal) -> None:
    with pytest.raises(Locked, match=f"process {os.getpid()}") as caught:
        await Journal(journal.path).open()
    assert caught.value.hint
    await journal.write(put("the first goes on"))


async def test_the_lock_dies_with_its_process(database: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(database), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    with pytest.raises(Locked, match=f"process {process.pid}"):
        await Journal(database).open()
    process.kill()
    await process.wait()
    journal = Journal(database)
    await journal.open()
    await journal.close()


async def test_only_the_owner_may_read_the_files(journal: Journal) -> None:
    await journal.write(put("secret"))
    files = sorted(journal.path.parent.glob("connector.db*"))
    assert {file.name for file in files} >= {"connector.db", "connector.db-wal", "connector.db.lock"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_a_file_of_a_newer_version_is_refused_by_writers_and_readers(database: Path) -> None:
    journal = Journal(database)
    await journal.open()
    await journal.write(
        lambda connection: connection.execute(
            "insert into _sqlite_migrations(migration_set, name, applied_at)"
            " values ('zendesk_connector', 'm999_from_the_future', '')"
        )
    )
    await journal.close()
    with pytest.raises(WrongVersion, match="m999_from_the_future"):
        await Journal(database).open()
    with pytest.raises(WrongVersion, match="newer"):
        connect_to_read(database)


def test_a_file_that_is_no_database_is_named(database: Path) -> None:
    database.write_bytes(b"this is a letter to my aunt\n" * 200)
    with pytest.raises(StorageError, match=r"connector\.db .*not a database"):
        asyncio.run(Journal(database).open())
    assert database.read_bytes().startswith(b"this is a letter")
    with pytest.raises(StorageError, match="not a database"):
        connect_to_read(database)


def test_a_missing_database_is_an_error_for_those_who_only_read(database: Path) -> None:
    with pytest.raises(StorageError, match="there is no database"):
        connect_to_read(database)
    assert not database.exists()


async def test_the_tables_of_another_program_are_an_error_for_readers(database: Path) -> None:
    connect(database).close()
    with pytest.raises(WrongVersion, match="older"):
        connect_to_read(database)


async def test_the_reader_sees_what_is_committed_only(journal: Journal) -> None:
    gate, written = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        put("slow")(connection)
        written.set()
        gate.wait(5)

    future = journal.write(slow)
    await asyncio.to_thread(written.wait, 5)
    assert await journal.read(values) == []
    gate.set()
    await future
    assert await journal.read(values) == ["slow"]


async def test_readers_cannot_write(journal: Journal) -> None:
    with pytest.raises(StorageError, match="readonly"):
        await journal.read(put("by a reader"))


async def test_another_writer_only_delays(journal: Journal) -> None:
    other = connect(journal.path)
    other.execute("begin immediate")
    future = journal.write(put("delayed"))
    await asyncio.sleep(0.3)
    assert not future.done()
    other.execute("rollback")
    assert await asyncio.wait_for(future, 30) == 1
    other.close()


async def test_a_database_locked_for_long_fails_the_whole_batch_at_once(journal: Journal) -> None:
    assert journal._writer is not None
    journal._writer.execute("pragma busy_timeout = 100")
    other = connect(journal.path)
    other.execute("begin immediate")
    futures = [journal.write(put(f"{number}")) for number in range(60)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    results = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 30)
    waited = loop.time() - began
    other.execute("rollback")
    other.close()
    assert {type(each) for each in results} == {StorageError}
    # Each would wait for the lock by itself: sixty times as long.
    assert waited < 60 * 0.1
    assert await journal.write(put("again")) == 1


async def test_deleted_text_is_overwritten_in_its_place(database: Path) -> None:
    journal = Journal(database)
    await journal.open()
    for value in ("short", "long " * 4000):
        await journal.write(put(f"mira@harbour.example is {value}"))
    await journal.write(lambda connection: connection.execute("delete from remembered").rowcount)
    await journal.close()
    assert not files_holding(b"mira@harbour.example", database)


async def test_compacting_leaves_no_trace_of_what_was_deleted_and_no_log(journal: Journal) -> None:
    assert journal._writer is not None
    journal._writer.execute("pragma secure_delete = off")
    await journal.write(put("mira@harbour.example " * 1000))
    await journal.write(lambda connection: connection.execute("delete from remembered").rowcount)
    kept = journal.write(put("kept"))
    await journal.compact()
    assert not files_holding(b"mira@harbour.example", journal.path)
    assert journal.path.with_name("connector.db-wal").stat().st_size == 0
    assert (await kept, await journal.read(values)) == (1, ["kept"])
    await journal.close()
    with pytest.raises(StorageError, match="closed"):
        await journal.compact()


async def test_work_that_cannot_be_rolled_back_does_not_block_what_comes_after(journal: Journal) -> None:
    assert journal._writer is not None
    journal._writer.execute("begin")  # as a failed rollback leaves it
    assert await journal.write(put("after")) == 1
    assert await journal.read(values) == ["after"]


async def test_errors_of_work_reach_the_caller_as_they_are(journal: Journal) -> None:
    def refuse(connection: sqlite3.Connection) -> None:
        raise ConnectorError("ended", "The run has succeeded already")

    with pytest.raises(ConnectorError) as caught:
        await journal.write(refuse)
    assert caught.value.as_json() == {"code": "ended", "message": "The run has succeeded already", "hint": ""}


async def test_what_is_read_together_is_of_one_moment_whoever_writes_meanwhile(database: Path) -> None:
    journal = Journal(database)
    await journal.open()
    loop = asyncio.get_running_loop()

    def count(connection: sqlite3.Connection) -> int:
        return int(connection.execute("select count(*) from remembered where kind = 'test'").fetchone()[0])

    async def write() -> None:
        await journal.write(put("meanwhile"))

    def twice(connection: sqlite3.Connection) -> tuple[int, int]:
        before = count(connection)
        asyncio.run_coroutine_threadsafe(write(), loop).result(5)
        return before, count(connection)

    assert await journal.read(twice) == (0, 0)
    assert await journal.read(count) == 1
    await journal.close()
