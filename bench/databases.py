"""Databases with a long past, or with much to do, as the connector itself would have left them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from stand import RECIPE

PAST = "2026-01-31T09:30:00.123456Z"
NEVER = "2999-01-31T09:30:00.123456Z"
IN_DOUBT = '{"code":"in_doubt","message":"Nobody can tell whether it was sent","hint":"Look in Slack."}'


def add_history(database: Path, runs: int, after: int = 0) -> None:
    """Adds ended runs, each with its event and a step; `after` so many that were added before."""
    _add(database, "succeeded", runs, after=after, finished_at=PAST)


def add_waiting(database: Path, runs: int) -> None:
    """Adds runs that wait for a person's decision."""
    _add(database, "waiting", runs, wake_at=NEVER, waiting_for="signal:decision:4:1769851800.123456", error=IN_DOUBT)


def add_queued(database: Path, runs: int, first_ticket: int) -> None:
    """Adds runs that were accepted and not begun, about tickets of these numbers."""
    _add(database, "queued", runs, first_ticket=first_ticket)


def _add(
    database: Path, status: str, runs: int, *, first_ticket: int = 10_000_000, after: int = 0, **fields: str
) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("pragma synchronous = off")
        (version,) = connection.execute("select max(version) from flow_versions where flow = ?", (RECIPE,)).fetchone()
        events, rows, steps = [], [], []
        for number in range(after, after + runs):
            ticket = first_ticket + number
            # As scattered as Zendesk's own ids.
            event = f"{(number * 2_654_435_761) % 2**32:08x}-{status}-{number:08d}"
            data = f'{{"ticket_id":"{ticket}","assignee_id":"9001","previous_assignee_id":null}}'
            kind = "zendesk.ticket_agent_assignment_changed"
            events.append((event, event, kind, "webhook", f"ticket {ticket}", PAST, PAST, data))
            ended = status == "succeeded"
            started = None if status == "queued" else PAST
            rows.append((f"{event}:{RECIPE}", RECIPE, version, event, status, PAST, started, *fields.values()))
            if ended:
                outputs = '{"ticket_id":"1","subject":"It does not start"}'
                steps.append((f"{event}:{RECIPE}", 0, "ticket", "zendesk.look_up_ticket", status, "{}", outputs, PAST))
        more = "".join(f", {name}" for name in fields)
        marks = ", ?" * len(fields)
        connection.executemany(
            "insert into events(id, service_id, type, source, subject, occurred_at, received_at, data)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            events,
        )
        connection.executemany(
            "insert into runs(id, flow, version, event_id, status, accepted_at, started_at, retries"
            f"{more}) values (?, ?, ?, ?, ?, ?, ?, 0{marks})",
            rows,
        )
        connection.executemany(
            "insert into steps(run_id, seq, key, action, status, inputs, outputs, started_at) values (?,?,?,?,?,?,?,?)",
            steps,
        )
    connection.close()


def statuses(database: Path) -> dict[str, int]:
    """How many runs there are by status."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return dict(connection.execute("select status, count(*) from runs group by status").fetchall())
    finally:
        connection.close()
