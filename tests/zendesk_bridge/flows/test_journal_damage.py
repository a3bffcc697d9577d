"""The journal on storage that breaks: it says what is wrong and what to do, and makes nothing worse."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from damage import overwrite_page_with

from zendesk_bridge.flows import journal as journal_module
from zendesk_bridge.flows.errors import Locked, StorageError
from zendesk_bridge.flows.journal import Journal, connect


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


def overwrite_with_new(database: Path) -> None:
    for file in database.parent.glob("connector.db*"):
        file.unlink()


@pytest.mark.parametrize("checked", [True, False], ids=["found at the start", "met at work"])
async def test_a_damaged_file_is_left_as_it_is_and_named(
    database: Path, checked: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(database)
    await journal.open()
    await journal.write(lambda connection: [put(f"{number:0500}")(connection) for number in range(500)])
    await journal.close()
    damaged = overwrite_page_with(b"0" * 400, database)
    if checked:
        with pytest.raises(StorageError, match=r"connector\.db is damaged") as caught:
            await journal.open()
        assert "zendesk-connector backup" in caught.value.hint
    else:
        monkeypatch.setattr(journal_module, "CHECKED_UP_TO", 0)  # as if it were large
        await journal.open()
        assert await journal.write(lambda connection: None) is None
        for _ in range(2):
            with pytest.raises(StorageError, match="malformed") as caught:
                await journal.read(values)
            assert "zendesk-connector backup" in caught.value.hint
        # Nothing is written to it from now on, not even where it is whole.
        for write in (journal.write(put("more")), journal.compact()):
            with pytest.raises(StorageError, match="malformed"):
                await write
        told = [record.message for record in caplog.records if record.levelname == "ERROR"]
        assert len([each for each in told if "Move it away" in each]) == 1
        await journal.close()
    assert files_holding(damaged, database) == ["connector.db"]
    overwrite_with_new(database)
    await journal.open()
    assert await journal.write(put("a new file")) == 1
    await journal.close()


async def test_damage_is_found_before_an_older_file_is_changed(database: Path) -> None:
    connection = connect(database)
    connection.execute("create table letters(text)")
    connection.executemany("insert into letters values (?)", [(f"{number:0900}",) for number in range(100)])
    connection.close()
    damaged = overwrite_page_with(b"0" * 800, database)
    with pytest.raises(StorageError, match="is damaged"):
        await Journal(database).open()
    assert files_holding(damaged, database) == ["connector.db"]


async def test_a_database_that_another_program_keeps_locked_is_waited_for_and_then_named(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "PATIENCE", 0.1)
    other = connect(database)
    other.execute("begin immediate")
    opening = asyncio.create_task(Journal(database).open())
    with pytest.raises(StorageError, match="locked") as caught:
        await asyncio.wait_for(opening, 30)
    assert "Another program" in caught.value.hint
    other.execute("rollback")
    other.close()


async def test_a_lock_that_cannot_be_had_is_named(database: Path) -> None:
    lock = database.with_name("connector.db.lock")
    lock.mkdir()
    with pytest.raises(StorageError, match=r"connector\.db\.lock cannot be opened: Is a directory"):
        await Journal(database).open()
    assert not files_holding(b"", database)


def test_a_folder_in_the_databases_place_is_left_as_it_is(database: Path) -> None:
    database.mkdir(mode=0o755)
    with pytest.raises(StorageError, match="cannot be opened"):
        asyncio.run(Journal(database).open())
    assert stat.S_IMODE(database.stat().st_mode) == 0o755


async def test_a_lock_on_a_file_system_without_locks_is_refused(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match="cannot be locked: No locks available"):
        await Journal(database).open()


async def test_on_a_full_disk_the_lock_is_held_although_nobody_can_be_named(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", refuse)
        first = Journal(database)
        await first.open()
    with pytest.raises(Locked, match="process unknown"):
        await Journal(database).open()
    await first.close()
