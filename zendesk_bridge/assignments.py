"""One row for each assignment, whoever reports it: the webhook, the poller, or both in either order."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterable
from typing import Literal

from zendesk_bridge.flows.model import parse_time, rfc3339

#: Two sightings of one assignment are no further apart than this, in seconds.
JOIN_WITHIN = 120.0


def sighted(
    connection: sqlite3.Connection,
    *,
    ticket_id: str,
    previous: str | None,
    current: str | None,
    at: dt.datetime,
    source: Literal["webhook", "poll"],
    service_id: str,
) -> tuple[str, str, bool]:
    """Finds or makes the row of an assignment.

    Args:
        service_id: the webhook's event id, or the id of the audit event that the poller read.

    Returns:
        Our id of the event, which never changes; the id that people are shown: the webhook's, where there is one; and
        whether nobody has reported the assignment before.
    """
    column, other = ("webhook_id", "audit_id") if source == "webhook" else ("audit_id", "webhook_id")
    known = connection.execute(f"select * from assignments where {column} = ?", (service_id,)).fetchone()  # noqa: S608
    if known is not None:
        return known["event_id"], known["webhook_id"] or known["audit_id"], False
    nearest = _nearest(connection, column, other, ticket_id, previous, current, at)
    if nearest is not None:
        connection.execute(f"update assignments set {column} = ? where id = ?", (service_id, nearest["id"]))  # noqa: S608
        shown = service_id if source == "webhook" else nearest["webhook_id"]
        connection.execute("update events set service_id = ? where id = ?", (shown, nearest["event_id"]))
        return nearest["event_id"], shown, False
    connection.execute(
        f"insert into assignments(ticket_id, previous, current, at, {column}, event_id) values (?, ?, ?, ?, ?, ?)",  # noqa: S608
        (ticket_id, previous, current, rfc3339(at), service_id, service_id),
    )
    return service_id, service_id, True


def are_new(
    connection: sqlite3.Connection, sightings: Iterable[Callable[[sqlite3.Connection], tuple[str, str, bool]]]
) -> list[bool]:
    """Which sightings, one after the other, would be the first of their assignment. Nothing is stored."""
    connection.execute("savepoint looking")
    try:
        return [sighting(connection)[2] for sighting in sightings]
    finally:
        connection.execute("rollback to looking")
        connection.execute("release looking")


def _nearest(
    connection: sqlite3.Connection,
    column: str,
    other: str,
    ticket_id: str,
    previous: str | None,
    current: str | None,
    at: dt.datetime,
) -> sqlite3.Row | None:
    """The row of the other source that is nearest in time and that this source has not joined."""
    margin = dt.timedelta(seconds=JOIN_WITHIN)
    rows = connection.execute(
        # The plus keeps SQLite from going through all rows that one source alone has seen.
        f"select * from assignments where ticket_id = ? and at between ? and ?"  # noqa: S608
        f" and current is ? and +{column} is null and +{other} is not null",
        (ticket_id, rfc3339(at - margin), rfc3339(at + margin), current),
    ).fetchall()
    matching = [row for row in rows if previous is None or row["previous"] is None or row["previous"] == previous]
    return min(matching, key=lambda row: abs((parse_time(row["at"]) - at).total_seconds()), default=None)
