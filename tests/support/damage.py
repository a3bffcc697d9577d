"""What a failing disk does to a database: pages in the middle of the file hold something else."""

from __future__ import annotations

from pathlib import Path

PAGE = 4096


def overwrite_page_with(text: bytes, database: Path) -> bytes:
    """Overwrites the page that holds a text; returns what the file is then."""
    whole = database.read_bytes()
    start = whole.index(text) // PAGE * PAGE
    database.write_bytes(whole[:start] + b"\xa5" * PAGE + whole[start + PAGE :])
    return database.read_bytes()


def write_a_letter(database: Path) -> bytes:
    """Puts something in the database's place that is none."""
    database.write_bytes(b"this is a letter to my aunt\n" * 300)
    return database.read_bytes()
