"""A copy of the database: whole, private, never over another file, never half."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from damage import overwrite_page_with, write_a_letter

from zendesk_bridge.flows import backup
from zendesk_bridge.flows.backup import back_up
from zendesk_bridge.flows.errors import ConnectorError, StorageError
from zendesk_bridge.flows.journal import Journal, connect_to_read


def put(value: str) -> object:
    sql = "insert into remembered(kind, key, value, at) values ('test', ?, ?, '')"
    return lambda connection: connection.execute(sql, (value, value)).rowcount


def values(path: Path) -> set[str]:
    connection = connect_to_read(path)
    found = {row[0] for row in connection.execute("select value from remembered")}
    connection.close()
    return found


async def test_a_copy_made_in_use_has_what_is_stored_and_belongs_to_its_owner_alone(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.write(put("before"))
    copy, seen = tmp_path / "copy's 100%?.db", []
    monkeypatch.setattr(
        backup, "_fill", lambda *paths, fill=backup._fill: (seen.append(copy.stat().st_mode), fill(*paths))[1]
    )
    before = os.umask(0)
    try:
        assert back_up(journal.path, copy) == copy.stat().st_size
    finally:
        os.umask(before)
    assert [stat.S_IMODE(mode) for mode in (*seen, copy.stat().st_mode)] == [0o600, 0o600]
    await journal.write(put("after"))
    assert values(copy) == {"before"}
    assert not {"copy's 100%?.db-wal", "copy's 100%?.db-journal"} & set(os.listdir(tmp_path))  # it is one file


async def test_a_copy_is_made_while_nothing_runs(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(database)
    await journal.open()
    await journal.write(put("stored"))
    await journal.close()
    monkeypatch.chdir(tmp_path)
    back_up(database, Path("file:copy.db"))
    assert values(tmp_path / "file:copy.db") == {"stored"}


async def test_a_file_that_is_there_is_never_overwritten(journal: Journal, tmp_path: Path) -> None:
    for there in (tmp_path / "mine.txt", journal.path):
        there.touch()
        before = there.read_bytes()
        with pytest.raises(ConnectorError, match="is there already") as caught:
            back_up(journal.path, there)
        assert (caught.value.code, there.read_bytes()) == ("exists", before)


def test_without_a_database_or_a_folder_nothing_is_made(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with pytest.raises(StorageError, match="there is no database"):
        back_up(tmp_path / "none.db", copy)
    (tmp_path / "some.db").touch()
    with pytest.raises(StorageError, match="No such file or directory"):
        back_up(tmp_path / "some.db", tmp_path / "nowhere" / "copy.db")
    assert [path.name for path in tmp_path.iterdir()] == ["some.db"]


async def test_a_damaged_database_leaves_no_copy(database: Path, tmp_path: Path) -> None:
    journal = Journal(database)
    await journal.open()
    await journal.write(lambda connection: [put(f"{number:0500}")(connection) for number in range(500)])
    await journal.close()
    overwrite_page_with(b"0" * 400, database)
    with pytest.raises(StorageError, match=r"copied to .*malformed") as caught:
        back_up(database, tmp_path / "copy.db")
    assert "backup" in caught.value.hint
    write_a_letter(database)
    with pytest.raises(StorageError, match="not a database"):
        back_up(database, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


async def test_a_copy_that_does_not_hold_is_not_left(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(path: Path) -> None:
        raise StorageError(f"{path} is damaged")

    monkeypatch.setattr(backup, "require_sound", damaged)
    with pytest.raises(StorageError, match="is damaged"):
        back_up(journal.path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
