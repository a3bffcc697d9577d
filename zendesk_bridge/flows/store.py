"""Events, runs and steps as rows: what the journal writes for each, and how rows become records again."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from zendesk_bridge.flows.definition import Flow
from zendesk_bridge.flows.errors import StorageError
from zendesk_bridge.flows.model import (
    Event,
    Run,
    RunStatus,
    StepRun,
    StepStatus,
    StoredFlow,
    parse_time,
    rfc3339,
    utc_now,
)


def to_json(value: Any) -> str | None:
    """A value as compact JSON, null as no value."""
    if value is None:
        return None
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # Half an emoji, as a careless cut leaves it, is no Unicode: the database takes it escaped only. And a number
        # may be larger than 64 bits.
        return json.dumps(value, separators=(",", ":"))


# Rows have "" for null, and statements make it null: sqlite3 looks for what else None could mean, or a word of an enum,
# for longer than it takes to store the row.


def _time(moment: dt.datetime | None) -> str:
    return "" if moment is None else rfc3339(moment)


def _json(value: Any) -> str:
    return to_json(value) or ""


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else parse_time(text)


def _object(text: str | None) -> Any:
    return None if text is None else json.loads(text)


# Events


def insert_event(connection: sqlite3.Connection, event: Event, service_id: str) -> bool:
    """Stores an event; False where it is there already."""
    cursor = connection.execute(
        "insert or ignore into events(id, service_id, type, source, subject, occurred_at, received_at, data)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.id,
            service_id,
            event.type,
            event.source,
            event.subject,
            rfc3339(event.occurred_at),
            rfc3339(utc_now()),
            to_json(event.data),
        ),
    )
    return cursor.rowcount > 0


def select_event(connection: sqlite3.Connection, event_id: str) -> Event | None:
    """The event of that id."""
    row = connection.execute("select * from events where id = ?", (event_id,)).fetchone()
    if row is None:
        return None
    return Event(
        id=row["id"],
        type=row["type"],
        source=row["source"],
        subject=row["subject"],
        occurred_at=parse_time(row["occurred_at"]),
        data=json.loads(row["data"]),
    )


# Runs


def run_id(event_id: str, flow: str) -> str:
    """One event starts a flow once: the run's id is made of both."""
    return f"{event_id}:{flow}"


def insert_run(connection: sqlite3.Connection, run: Run) -> bool:
    """Stores a new run; False where the event started this flow before."""
    cursor = connection.execute(
        "insert or ignore into runs(id, flow, version, event_id, status, accepted_at, started_at, turn, retries)"
        " values (?, ?, ?, ?, ?, ?, nullif(?, ''), nullif(?, ''), 0)",
        (
            run.id,
            run.flow,
            run.version,
            run.event_id,
            str(run.status),
            rfc3339(run.accepted_at),
            _time(run.started_at),
            run.turn or "",
        ),
    )
    return cursor.rowcount > 0


#: A row that is ready to be stored. It is made where the record is at hand: the one thread that writes only writes.
Row = tuple[Any, ...]


def run_row(run: Run) -> Row:
    """A run's state as `update_run_row` stores it."""
    return (
        str(run.status),
        _time(run.started_at),
        _time(run.finished_at),
        _time(run.wake_at),
        run.waiting_for or "",
        _time(run.waiting_since),
        run.retries,
        _json(run.error),
        run.note or "",
        run.id,
    )


def update_run_row(connection: sqlite3.Connection, row: Row) -> None:
    """Stores a run's state."""
    connection.execute(
        "update runs set status = ?, started_at = nullif(?, ''), finished_at = nullif(?, ''), wake_at = nullif(?, ''),"
        " waiting_for = nullif(?, ''), waiting_since = nullif(?, ''), retries = ?, error = nullif(?, ''),"
        " note = nullif(?, '') where id = ?",
        row,
    )


def update_run(connection: sqlite3.Connection, run: Run) -> None:
    """Stores a run's state, and lets the next one have its turn where this one has ended."""
    update_run_row(connection, run_row(run))
    if run.turn is not None and run.status.ended:
        wake_next(connection, run.flow, run.turn)


def wake_next(connection: sqlite3.Connection, flow: str, turn: str) -> None:
    """Wakes the run whose turn it is where runs go one at a time."""
    connection.execute(
        "update runs set wake_at = ? where number = (select min(number) from runs"
        " where flow = ? and turn = ? and status = 'waiting' and waiting_for like 'turn:%')",
        (rfc3339(utc_now()), flow, turn),
    )


def fail_run(connection: sqlite3.Connection, run_id: str, error: Mapping[str, str]) -> None:
    """Ends a run that cannot be taken up."""
    connection.execute(
        "update runs set status = 'failed', finished_at = ?, wake_at = null, waiting_for = null, error = ?"
        " where id = ?",
        (rfc3339(utc_now()), to_json(dict(error)), run_id),
    )
    row = connection.execute("select flow, turn from runs where id = ?", (run_id,)).fetchone()
    if row is not None and row["turn"] is not None:
        wake_next(connection, row["flow"], row["turn"])


def select_run(connection: sqlite3.Connection, run_id: str) -> Run | None:
    """The run of that id."""
    row = connection.execute("select * from runs where id = ?", (run_id,)).fetchone()
    return None if row is None else _run(row)


def _run(row: sqlite3.Row) -> Run:
    return Run(
        id=row["id"],
        flow=row["flow"],
        version=row["version"],
        event_id=row["event_id"],
        status=RunStatus(row["status"]),
        accepted_at=parse_time(row["accepted_at"]),
        started_at=_moment(row["started_at"]),
        finished_at=_moment(row["finished_at"]),
        wake_at=_moment(row["wake_at"]),
        waiting_for=row["waiting_for"],
        waiting_since=_moment(row["waiting_since"]),
        turn=row["turn"],
        retries=row["retries"],
        error=_object(row["error"]),
        note=row["note"],
    )


def open_run_ids(connection: sqlite3.Connection) -> list[str]:
    """Runs that were queued or under way, oldest first."""
    # The first condition is the index's own: without it all of the history would be read.
    rows = connection.execute(
        "select id from runs where status in ('queued', 'running', 'waiting') and status <> 'waiting' order by number"
    )
    return [row[0] for row in rows]


def due_run_ids(connection: sqlite3.Connection, now: dt.datetime, most: int) -> list[str]:
    """Waiting runs whose time has come, the longest waiting first."""
    rows = connection.execute(
        "select id from runs where status = 'waiting' and wake_at <= ? order by wake_at limit ?", (rfc3339(now), most)
    )
    return [row[0] for row in rows]


def next_wake(connection: sqlite3.Connection, now: dt.datetime) -> dt.datetime | None:
    """When the next waiting run wakes, of those that are not due yet."""
    row = connection.execute(
        "select min(wake_at) from runs where status = 'waiting' and wake_at > ?", (rfc3339(now),)
    ).fetchone()
    return _moment(row[0])


def wake_waiting_for(connection: sqlite3.Connection, names: Iterable[str]) -> int:
    """Lets the runs that wait for one of these go on now; returns how many."""
    count = 0
    for name in names:
        count += connection.execute(
            "update runs set wake_at = ? where status = 'waiting' and waiting_for = ?", (rfc3339(utc_now()), name)
        ).rowcount
    return count


def awaited_invitations(connection: sqlite3.Connection) -> list[str]:
    """What the runs wait for that wait for an invitation."""
    rows = connection.execute(
        "select distinct waiting_for from runs where status = 'waiting' and waiting_for like 'invite:%'"
    )
    return [row[0] for row in rows]


def wake_uninvited(connection: sqlite3.Connection) -> None:
    """Lets every run that waits for an invitation try again: it may have come while nobody listened."""
    connection.execute(
        "update runs set wake_at = ? where status = 'waiting' and waiting_for >= 'invite:' and waiting_for < 'invite;'",
        (rfc3339(utc_now()),),
    )


def wake_paced(connection: sqlite3.Connection) -> None:
    """Lets every run that waits its turn queue anew: the queues were in memory."""
    connection.execute(
        "update runs set wake_at = accepted_at where status = 'waiting' and waiting_for is null"
        " and json_extract(error, '$.code') = 'limit'"
    )


def clock_was_set(connection: sqlite3.Connection, by: float, now: dt.datetime) -> None:
    """Runs that wait have waited no longer for it, and those that merely sleep look anew for how long.

    Args:
        by: seconds; below 0 where the clock was set back.
    """
    if by < 0:
        connection.execute(
            "update runs set wake_at = ? where status = 'waiting' and waiting_for is null", (rfc3339(now),)
        )
        connection.execute("update runs set waiting_since = ? where waiting_since > ?", (rfc3339(now), rfc3339(now)))
        return
    shift = dt.timedelta(seconds=by)
    rows = connection.execute(
        "select id, waiting_since from runs where status = 'waiting' and waiting_since <= ?", (rfc3339(now - shift),)
    )
    moved = [(rfc3339(parse_time(row["waiting_since"]) + shift), row["id"]) for row in rows]
    connection.executemany("update runs set waiting_since = ? where id = ?", moved)


# Steps


def step_row(run_id: str, step: StepRun, outputs: str | None = None) -> Row:
    """A step's state as `put_steps` stores it.

    Args:
        outputs: the step's outputs as JSON, where they are at hand.
    """
    return (
        run_id,
        step.seq,
        step.key,
        step.action,
        str(step.status),
        _json(step.inputs),
        _json(step.outputs) if outputs is None else outputs,
        _json(step.error),
        step.attempts,
        rfc3339(step.started_at),
        _time(step.begun_at),
        _time(step.looked_at),
        _time(step.finished_at),
    )


def put_steps(connection: sqlite3.Connection, rows: Sequence[Row], *, after: Row | None = None) -> None:
    """Stores the states of some steps of a run, in order.

    Args:
        after: the row before them, where it may not be stored. Its write may have failed, on a full disk say, and a
            record with a hole in it could not be met again.

    Raises:
        StorageError: it is not.
    """
    if after is not None:
        run_id, seq, key, _, status, *_ = after
        stored = connection.execute(
            "select 1 from steps where run_id = ? and seq = ? and status = ?", (run_id, seq, status)
        ).fetchone()
        if stored is None:
            raise StorageError(f"step {key!r} of run {run_id}, which comes before, is not stored")
    connection.executemany(
        "insert into steps(run_id, seq, key, action, status, inputs, outputs, error, attempts,"
        " started_at, begun_at, looked_at, finished_at) values (?, ?, ?, ?, ?, nullif(?, ''), nullif(?, ''),"
        " nullif(?, ''), ?, ?, nullif(?, ''), nullif(?, ''), nullif(?, ''))"
        " on conflict(run_id, seq) do update set status = excluded.status, inputs = excluded.inputs,"
        " outputs = excluded.outputs, error = excluded.error, attempts = excluded.attempts,"
        " begun_at = excluded.begun_at, looked_at = excluded.looked_at, finished_at = excluded.finished_at",
        rows,
    )


def put_progress(connection: sqlite3.Connection, run: Run, steps: Sequence[Row]) -> None:
    """Stores a run's state together with the steps that led to it."""
    put_steps(connection, steps)
    update_run(connection, run)


def select_steps(connection: sqlite3.Connection, run_id: str) -> list[StepRun]:
    """The steps of a run, in the order they ran."""
    return [
        StepRun(
            seq=row["seq"],
            key=row["key"],
            action=row["action"],
            status=StepStatus(row["status"]),
            inputs=_object(row["inputs"]) or {},
            outputs=_object(row["outputs"]),
            error=_object(row["error"]),
            attempts=row["attempts"],
            started_at=parse_time(row["started_at"]),
            begun_at=_moment(row["begun_at"]),
            looked_at=_moment(row["looked_at"]),
            finished_at=_moment(row["finished_at"]),
        )
        for row in connection.execute("select * from steps where run_id = ? order by seq", (run_id,))
    ]


def delete_steps(connection: sqlite3.Connection, run_id: str, numbers: Iterable[int]) -> None:
    """Forgets steps of a run, so that they are done again."""
    connection.executemany("delete from steps where run_id = ? and seq = ?", [(run_id, seq) for seq in numbers])


# Signals


def put_signal(connection: sqlite3.Connection, run_id: str, name: str, value: Mapping[str, Any]) -> None:
    """Stores a signal for a run; the first of a name counts."""
    connection.execute(
        "insert or ignore into signals(run_id, name, value, at) values (?, ?, ?, ?)",
        (run_id, name, to_json(dict(value)), rfc3339(utc_now())),
    )
    connection.execute(
        "update runs set wake_at = ? where id = ? and status = 'waiting' and waiting_for = ?",
        (rfc3339(utc_now()), run_id, f"signal:{name}"),
    )


def select_signal(connection: sqlite3.Connection, run_id: str, name: str) -> dict[str, Any] | None:
    """The value of a signal a run has got."""
    row = connection.execute("select value from signals where run_id = ? and name = ?", (run_id, name)).fetchone()
    return None if row is None else _object(row[0])


# Cursors


def cursor_or_new(connection: sqlite3.Connection, name: str, value: str) -> str:
    """How far something has been read; the first time that is `value`."""
    connection.execute(
        "insert or ignore into cursors(name, value, at) values (?, ?, ?)", (name, value, rfc3339(utc_now()))
    )
    row = connection.execute("select value from cursors where name = ?", (name,)).fetchone()
    return str(row[0])


def put_cursor(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Stores how far something has been read."""
    connection.execute(
        "insert or replace into cursors(name, value, at) values (?, ?, ?)", (name, value, rfc3339(utc_now()))
    )


# Flows


def select_flows(connection: sqlite3.Connection) -> list[StoredFlow]:
    """Every flow there is, with its newest good version."""
    rows = connection.execute(
        "select flows.*, flow_versions.definition from flows join flow_versions"
        " on flow_versions.flow = flows.key and flow_versions.version = flows.version order by flows.key"
    )
    return [
        StoredFlow(
            key=row["key"],
            name=row["name"],
            version=row["version"],
            active=bool(row["active"]),
            owner=row["owner"],
            source=row["source"],
            file_decides=bool(row["file_decides"]),
            activated_at=_moment(row["activated_at"]),
            definition=Flow.model_validate_json(row["definition"]),
            problem=row["problem"],
        )
        for row in rows
    ]


def select_definition(connection: sqlite3.Connection, flow: str, version: int) -> Flow | None:
    """A flow as it was in a version."""
    row = connection.execute(
        "select definition from flow_versions where flow = ? and version = ?", (flow, version)
    ).fetchone()
    return None if row is None else Flow.model_validate_json(row[0])
