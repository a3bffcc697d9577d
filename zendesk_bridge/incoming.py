"""What a service tells the app itself, such as an invitation: on disk before it is acknowledged, dealt with once."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import rfc3339, utc_now

log = logging.getLogger(__name__)

#: The first pause before something is tried again; it doubles up to the longest. In seconds.
RETRY_FIRST, RETRY_LONGEST = 5.0, 300.0
#: How long something new is left to whoever recorded it, in seconds.
LEFT_ALONE = 60.0
#: How long something is tried again, in seconds.
PATIENCE = 6 * 3600.0


@dataclass(frozen=True, kw_only=True)
class OpenEvent:
    """Something that is not dealt with yet."""

    id: str
    payload: dict[str, Any]


class Incoming:
    """The rows of what came in. All methods raise StorageError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def record(self, id: str, type: str, payload: Mapping[str, Any]) -> bool:
        """Stores what came in; False where it is there already. When this returns, it is on disk."""
        text, now = json.dumps(dict(payload)), utc_now()
        # By then whoever recorded it has dealt with it, or is gone.
        retry_at = rfc3339(now + dt.timedelta(seconds=LEFT_ALONE))

        def work(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "insert or ignore into incoming(id, type, payload, received_at, retry_at) values (?, ?, ?, ?, ?)",
                (id, type, text, rfc3339(now), retry_at),
            )
            return cursor.rowcount > 0

        return await self._journal.write(work)

    async def settle(self, id: str) -> None:
        """It is dealt with, or is about to be in a way that must not happen twice. What it said is not kept."""
        await self._journal.write(lambda connection: _settle(connection, id, None))

    async def try_again(self, id: str, payload: Mapping[str, Any], problem: str) -> None:
        """It could not be dealt with: later again, for some hours."""
        text, now = json.dumps(dict(payload)), utc_now()

        def work(connection: sqlite3.Connection) -> bool:
            row = connection.execute("select received_at, tries from incoming where id = ?", (id,)).fetchone()
            if row is None or row["received_at"] < rfc3339(now - dt.timedelta(seconds=PATIENCE)):
                _settle(connection, id, problem)
                return False
            pause = min(RETRY_FIRST * 2 ** min(row["tries"], 16), RETRY_LONGEST)
            connection.execute(
                "update incoming set payload = ?, tries = tries + 1, retry_at = ?, settled_at = null, problem = ?"
                " where id = ?",
                (text, rfc3339(now + dt.timedelta(seconds=pause)), problem, id),
            )
            return True

        if not await self._journal.write(work):
            log.error("given up: %s", problem)

    async def left(self) -> list[OpenEvent]:
        """What an earlier process left: to be asked for before anything is recorded."""
        return await self._select("true")

    async def due(self) -> list[OpenEvent]:
        """What is to be dealt with again now."""
        return await self._select("retry_at <= :now")

    async def _select(self, condition: str) -> list[OpenEvent]:
        sql = f"select id, payload from incoming where settled_at is null and {condition} order by retry_at limit 1000"  # noqa: S608
        rows = await self._journal.read(
            lambda connection: connection.execute(sql, {"now": rfc3339(utc_now())}).fetchall()
        )
        return [OpenEvent(id=row["id"], payload=json.loads(row["payload"])) for row in rows]


def _settle(connection: sqlite3.Connection, id: str, problem: str | None) -> None:
    connection.execute(
        "update incoming set settled_at = ?, payload = null, problem = ? where id = ?",
        (rfc3339(utc_now()), problem, id),
    )
