"""What is worth remembering between calls, such as who has which e-mail address. It may be forgotten at any time."""

from __future__ import annotations

import datetime as dt
import logging
import sqlite3
from collections.abc import Sequence

from zendesk_bridge.flows.errors import StorageError
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import parse_time, rfc3339, utc_now

log = logging.getLogger(__name__)


class Memory:
    """Remembered facts: kept in the database, and read from there once."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        # None: forgotten.
        self._known: dict[tuple[str, str], tuple[str, dt.datetime] | None] = {}

    async def recall(self, kind: str, key: str, max_age: float | None = None) -> str | None:
        """What is remembered under a key, unless it is older than `max_age` seconds."""
        if (kind, key) not in self._known:
            try:
                stored = await self._journal.read(lambda connection: _select(connection, kind, key))
            except StorageError as problem:
                log.warning("nothing can be remembered: %s", problem.message)
                stored = None
            if stored is not None:
                # Unless it was learned anew, or forgotten, in the meantime.
                self._known.setdefault((kind, key), stored)
        known = self._known.get((kind, key))
        if known is None:
            return None
        value, at = known
        return None if max_age is not None and (utc_now() - at).total_seconds() > max_age else value

    async def recall_all(self, kind: str, max_age: float) -> dict[str, str]:
        """All that is remembered of a kind by key, unless it is older than `max_age` seconds. Raises StorageError."""
        since = rfc3339(utc_now() - dt.timedelta(seconds=max_age))
        rows = await self._journal.read(
            lambda connection: connection.execute(
                "select key, value from remembered where kind = ? and at >= ?", (kind, since)
            ).fetchall()
        )
        return {row["key"]: row["value"] for row in rows}

    async def remember(self, kind: str, key: str, value: str) -> None:
        """Remembers a value. It is in the database a moment later."""
        now = utc_now()
        self._known[kind, key] = (value, now)
        self._journal.write(lambda connection: _insert(connection, kind, key, value, now))

    async def forget(self, kind: str, key: str) -> None:
        """Forgets a value that turned out to be wrong."""
        self._known[kind, key] = None
        self._journal.write(lambda connection: _delete(connection, kind, key))

    async def forget_all(self, kinds: Sequence[str]) -> None:
        """Forgets all of some kinds. Raises StorageError."""
        await self._journal.write(
            lambda connection: (
                [connection.execute("delete from remembered where kind = ?", (kind,)) for kind in kinds] and None
            )
        )
        self._known = {key: value for key, value in self._known.items() if key[0] not in kinds}


def _select(connection: sqlite3.Connection, kind: str, key: str) -> tuple[str, dt.datetime] | None:
    row = connection.execute("select value, at from remembered where kind = ? and key = ?", (kind, key)).fetchone()
    return None if row is None else (row["value"], parse_time(row["at"]))


def _insert(connection: sqlite3.Connection, kind: str, key: str, value: str, at: dt.datetime) -> None:
    connection.execute(
        "insert or replace into remembered(kind, key, value, at) values (?, ?, ?, ?)", (kind, key, value, rfc3339(at))
    )


def _delete(connection: sqlite3.Connection, kind: str, key: str) -> None:
    connection.execute("delete from remembered where kind = ? and key = ?", (kind, key))
