"""Files written and removed together: all, or none."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from zendesk_bridge.flows.replacing import replace_all


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(b"old " + name.encode())
    return folder


def test_files_are_written_and_removed_and_nothing_is_left_beside_them(folder: Path) -> None:
    replace_all({folder / "a": b"new", folder / "b": None, folder / "c": b"\r\n"})
    assert contents(folder) == {"a": b"new", "c": b"\r\n"}


@pytest.mark.parametrize("place", ["fsync", "replace", "unlink"])
@pytest.mark.parametrize("number", [1, 2])
def test_where_one_file_cannot_be_changed_all_are_as_they_were(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str, number: int
) -> None:
    before, calls = contents(folder), 0
    whose: Any = os if place == "fsync" else Path
    real = getattr(whose, place)

    def full(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **named)

    monkeypatch.setattr(whose, place, full)
    (folder / "d").write_bytes(b"old d")
    with pytest.raises(OSError, match="No space"):
        replace_all({folder / "a": b"new", folder / "b": None, folder / "c": b"new", folder / "d": None})
    assert contents(folder) == before | {"d": b"old d"}


def test_a_folder_in_the_place_of_a_file_stops_it_before_anything_changes(folder: Path) -> None:
    (folder / "c").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_all({folder / "a": b"new", folder / "c": b"new"})
    assert contents(folder) == {"a": b"old a", "b": b"old b"}


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"somebody else's")
    (folder / "link").symlink_to(outside)
    replace_all({folder / "link": b"new"})
    assert (folder / "link").read_bytes() == b"new"
    assert not (folder / "link").is_symlink()
    (folder / "gone").symlink_to(outside)
    replace_all({folder / "gone": None})
    assert outside.read_bytes() == b"somebody else's"


def test_whoever_could_read_a_file_can_read_it_then(folder: Path) -> None:
    (folder / "a").chmod(0o640)
    replace_all({folder / "a": b"new"})
    assert (folder / "a").stat().st_mode & 0o777 == 0o640
