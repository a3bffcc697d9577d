"""The channels the app is in: since when, who invited it, and whether they were told what it does there."""

from __future__ import annotations

import datetime as dt
import sqlite3
from dataclasses import dataclass

from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import parse_time, rfc3339, utc_now

#: How late the news of a joining may be that a mention showed already.
SAME_JOINING = dt.timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Membership:
    """That the app is, or was, in a channel."""

    channel: str
    joined_at: dt.datetime
    # Whoever invited it; None where it joined by itself.
    joined_by: str | None
    # Null while it is there.
    left_at: dt.datetime | None


class Channels:
    """The rows of the channels. All methods raise StorageError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def joined(self, channel: str, by: str | None, at: dt.datetime) -> None:
        """The app is in a channel since then. Told of the same again, nothing changes."""

        def work(connection: sqlite3.Connection) -> None:
            row = _row(connection, channel)
            if row is not None and rfc3339(at) <= max(row["joined_at"], row["left_at"] or ""):
                return
            if row is not None and _was_found(row) and rfc3339(at - SAME_JOINING) <= row["joined_at"]:
                # The news of what a mention showed already.
                connection.execute("update channels set joined_by = ?, left_at = null where id = ?", (by, channel))
                return
            connection.execute(
                "insert or replace into channels(id, joined_at, joined_by) values (?, ?, ?)", (channel, rfc3339(at), by)
            )

        await self._journal.write(work)

    async def found(self, channel: str, at: dt.datetime) -> None:
        """The app turns out to be in a channel, since whenever; whoever invited it needs no welcome any more."""
        moment = rfc3339(at)
        await self._journal.write(
            lambda connection: connection.execute(
                "insert or replace into channels(id, joined_at, welcomed_at) values (?, ?, ?)",
                (channel, moment, moment),
            )
        )

    async def left(self, channel: str, at: dt.datetime) -> None:
        """The app is not in a channel any more."""

        def work(connection: sqlite3.Connection) -> None:
            row = _row(connection, channel)
            if row is None:
                connection.execute(
                    "insert into channels(id, joined_at, left_at) values (?, ?, ?)", (channel, rfc3339(at), rfc3339(at))
                )
            elif rfc3339(at) > row["joined_at"]:
                connection.execute("update channels set left_at = ? where id = ?", (rfc3339(at), channel))

        await self._journal.write(work)

    async def get(self, channel: str) -> Membership | None:
        """What is known of a channel."""
        row = await self._journal.read(lambda connection: _row(connection, channel))
        if row is None:
            return None
        return Membership(
            channel=row["id"],
            joined_at=parse_time(row["joined_at"]),
            joined_by=row["joined_by"],
            left_at=parse_time(row["left_at"]) if row["left_at"] else None,
        )

    async def take_welcome(self, channel: str) -> bool:
        """Whether somebody is to be welcomed for this joining; True once only."""

        def work(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "update channels set welcomed_at = ? where id = ? and welcomed_at is null and left_at is null",
                (rfc3339(utc_now()), channel),
            )
            return cursor.rowcount > 0

        return await self._journal.write(work)

    async def give_back_welcome(self, channel: str) -> None:
        """The welcome was certainly not sent."""
        await self._journal.write(
            lambda connection: connection.execute("update channels set welcomed_at = null where id = ?", (channel,))
        )


def _row(connection: sqlite3.Connection, channel: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute("select * from channels where id = ?", (channel,)).fetchone()
    return row


def _was_found(row: sqlite3.Row) -> bool:
    return row["joined_by"] is None and row["welcomed_at"] == row["joined_at"]
