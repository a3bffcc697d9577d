"""A copy of the database that is whole, made while it is in use or not."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from zendesk_bridge.flows.errors import ConnectorError, StorageError
from zendesk_bridge.flows.journal import open_read_only, require_sound, require_there, storage_error


def back_up(database: Path, copy: Path) -> int:
    """Copies a database into a new file that only its owner may read, and looks the copy through. Blocks.

    Returns:
        The copy's size in bytes.

    Raises:
        ConnectorError: `exists`: there is such a file already.
        StorageError: there is no database, or it cannot be copied; no file is left then.
    """
    require_there(database)
    try:
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as problem:
        raise ConnectorError("exists", f"{copy} is there already", hint="Name a file that is not.") from problem
    except OSError as problem:
        raise StorageError(f"{copy} cannot be made: {problem.strerror}") from problem
    try:
        return _fill(database, copy)
    except BaseException:
        with suppress(OSError):
            copy.unlink()
        raise


def _fill(database: Path, copy: Path) -> int:
    try:
        with closing(open_read_only(database)) as connection:
            # An absolute path: SQLite would take `file:…` for an address.
            connection.execute("vacuum into ?", (str(copy.absolute()),))
    except sqlite3.Error as problem:
        raise storage_error(database, f"copied to {copy}", problem) from problem
    try:
        require_sound(copy)
        # SQLite leaves it to the system when the copy is on the disk.
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        return copy.stat().st_size
    except OSError as problem:
        raise StorageError(f"{copy} cannot be stored: {problem.strerror}") from problem
