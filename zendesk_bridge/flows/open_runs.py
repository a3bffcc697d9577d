"""How many runs are open, what they wait for and since when: counted for metrics."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from zendesk_bridge.flows.model import parse_time

#: What a run may wait for; anything else counts as OTHER.
REASONS = ("needs_invite", "needs_connection", "in_doubt", "limit", "unavailable", "retry")
OTHER = "other"
_OPEN = ("queued", "running", "waiting")


@dataclass(frozen=True, kw_only=True)
class OpenRuns:
    """The runs that have not ended."""

    by_status: Mapping[str, int]
    # The waiting ones by what they wait for.
    by_reason: Mapping[str, int]
    # Since when the one has waited that waits longest for something; None where none does.
    waiting_since: dt.datetime | None
    # When the oldest was accepted, of those that nobody had done again; None where there is none.
    accepted_at: dt.datetime | None


def count(connection: sqlite3.Connection) -> OpenRuns:
    """Counts the open runs. The time it takes grows with their number, not with the history's length."""
    statuses = connection.execute(
        "select status, count(*) from runs where status in ('queued', 'running', 'waiting') group by status"
    )
    by_status = dict.fromkeys(_OPEN, 0) | dict(statuses.fetchall())
    by_reason = dict.fromkeys((*REASONS, OTHER), 0)
    since: list[str] = []
    for code, number, first in connection.execute(
        "select json_extract(error, '$.code'), count(*), min(waiting_since) from runs"
        " where status = 'waiting' group by 1"
    ):
        by_reason[code if code in REASONS else OTHER] += number
        since += [first] if first else []
    return OpenRuns(
        by_status=by_status,
        by_reason=by_reason,
        waiting_since=parse_time(min(since)) if since else None,
        accepted_at=_oldest(connection),
    )


def _oldest(connection: sqlite3.Connection) -> dt.datetime | None:
    # One status at a time: the index has each in the order of acceptance, so that the first row ends the search.
    firsts = [
        connection.execute(
            "select accepted_at from runs where status in ('queued', 'running', 'waiting') and status = ?"
            " and retries = 0 order by number limit 1",
            (status,),
        ).fetchone()
        for status in _OPEN
    ]
    found = [row[0] for row in firsts if row is not None]
    return parse_time(min(found)) if found else None
