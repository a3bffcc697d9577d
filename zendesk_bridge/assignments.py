"""One row for each assignment, whoever reports it: the webhook, the poller, or both in either order."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from zendesk_bridge.flows.model import parse_time, rfc3339

#: Two sightings of one assignment are no further apart than this, in seconds.
JOIN_WITHIN = 120.0


class _Statements(NamedTuple):
    """For one source. Whoever has nothing to say of an agent says ""."""

    insert: str
    near: str
    #: `insert`, where nobody has reported the assignment, nor one that may be the same.
    first: str


def _statements(own: str, other: str) -> _Statements:
    insert = (
        f"insert into assignments(ticket_id, previous, current, at, {own}, event_id)"
        " select :ticket_id, nullif(:previous, ''), nullif(:current, ''), :at, :service_id, :service_id"
    )
    near = (
        "from assignments where ticket_id = :ticket_id and at between :from and :to and current is nullif(:current, '')"
        # The plus keeps SQLite from going through all rows that one source alone has seen.
        f" and +{own} is null and +{other} is not null"
    )
    known = f"select 1 from assignments where {own} = :service_id"  # noqa: S608
    return _Statements(insert, near, f"{insert} where not exists ({known}) and not exists (select 1 {near})")


# By the column of the source that reports it.
_BY = {"webhook_id": _statements("webhook_id", "audit_id"), "audit_id": _statements("audit_id", "webhook_id")}


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
    column = "webhook_id" if source == "webhook" else "audit_id"
    margin = dt.timedelta(seconds=JOIN_WITHIN)
    sighting = {
        "ticket_id": ticket_id,
        "previous": previous or "",
        "current": current or "",
        "at": rfc3339(at),
        "from": rfc3339(at - margin),
        "to": rfc3339(at + margin),
        "service_id": service_id,
    }
    if connection.execute(_BY[column].first, sighting).rowcount > 0:  # as nearly always
        return service_id, service_id, True
    known = connection.execute(f"select * from assignments where {column} = ?", (service_id,)).fetchone()  # noqa: S608
    if known is not None:
        return known["event_id"], known["webhook_id"] or known["audit_id"], False
    nearest = _nearest(connection, column, sighting, at)
    if nearest is not None:
        connection.execute(f"update assignments set {column} = ? where id = ?", (service_id, nearest["id"]))  # noqa: S608
        shown = service_id if source == "webhook" else nearest["webhook_id"]
        connection.execute("update events set service_id = ? where id = ?", (shown, nearest["event_id"]))
        return nearest["event_id"], shown, False
    connection.execute(_BY[column].insert, sighting)
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
    connection: sqlite3.Connection, column: str, sighting: Mapping[str, str], at: dt.datetime
) -> sqlite3.Row | None:
    """The row of the other source that is nearest in time and that this source has not joined."""
    rows = connection.execute(f"select * {_BY[column].near}", sighting).fetchall()
    previous = sighting["previous"]
    matching = [row for row in rows if not previous or row["previous"] is None or row["previous"] == previous]
    return min(matching, key=lambda row: abs((parse_time(row["at"]) - at).total_seconds()), default=None)
