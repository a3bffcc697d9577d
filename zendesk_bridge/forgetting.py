"""What is kept of people, and how it is removed: by itself after a time, or all of one person's at once."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

from zendesk_bridge.flows.errors import ConnectorError, NotFound
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.retention import ENDED, Aged, Keep, delete_runs
from zendesk_bridge.memory import Memory
from zendesk_bridge.poller import CURSOR

#: An assignment is told apart from a repeated one for so many days, at least: far longer than Zendesk repeats it.
ASSIGNMENTS_DAYS = 7.0
#: An event of Slack's is told apart from a repeated one for so many days.
INCOMING_DAYS = 1.0


def aged(keep: Keep) -> tuple[Aged, ...]:
    """The rows beside the engine's own that are deleted when they are old."""
    return (
        Aged(
            table="assignments",
            # What the poller has yet to read it may report, however old it is.
            condition="at < :before and at < coalesce((select strftime('%Y-%m-%d', value - 86400, 'unixepoch')"  # noqa: S608
            f" from cursors where name = '{CURSOR}'), :before)",
            days=max(keep.days, ASSIGNMENTS_DAYS),
        ),
        # Whatever it is, it is learned again when it is needed.
        Aged(table="remembered", condition="at < :before", days=keep.days),
        # Slack repeats an event for an hour at most.
        Aged(table="incoming", condition="settled_at < :before", days=min(keep.days, INCOMING_DAYS)),
    )


@dataclass(frozen=True, kw_only=True)
class _Traces:
    """Where a person is in the database."""

    # Ids in Zendesk, as a JSON list.
    ids: str
    # Numbers of the runs about the person's tickets, as a JSON list.
    runs: str
    run_ids: tuple[str, ...]
    # Those that have not ended.
    left: list[dict[str, str]]
    remembered: list[tuple[str, str]]


async def forget(journal: Journal, memory: Memory, requester: str) -> dict[str, Any]:
    """Removes what the history has about somebody's tickets, and every old copy of it in the file.

    Runs that have not ended are left. The ids in `assignments` stay: a repeated event still starts nothing.

    Args:
        requester: an e-mail address, or the person's Zendesk id.

    Returns:
        `{runs, steps, signals, events, remembered, requests, left: [{run, status}]}`, how many rows of each are gone.

    Raises:
        NotFound: nothing is known of the person.
        StorageError: something may be left; asking again goes on with it.
    """
    person = requester.strip().casefold()
    try:
        if not ("@" in person or person.isdigit()):
            raise ConnectorError("bad_requester", "The requester must be an e-mail address or a Zendesk id")
        traces = await journal.read(partial(_find, person=person))
        removed = await delete_runs(
            journal,
            f"{ENDED} and number in (select value from json_each(:runs))",  # noqa: S608
            {"runs": traces.runs},
        )
        for kind, key in traces.remembered:
            await memory.forget(kind, key)
        removed["remembered"] = len(traces.remembered)
        removed += await journal.write(partial(_delete_texts, traces=traces))
    finally:
        # Whatever else happens, the request for this names the person.
        await journal.write(_delete_requesters)
        await journal.compact()
    if not removed and not traces.left:
        # Not naming the person: the answer is stored.
        raise NotFound(
            "nobody_known",
            "Nothing is recorded about this requester",
            hint="An address is known only where a flow looked the person up: try the person's Zendesk id.",
        )
    tables = ("runs", "steps", "signals", "events", "remembered", "requests")
    return {**{table: removed[table] for table in tables}, "left": traces.left}


def _find(connection: sqlite3.Connection, person: str) -> _Traces:
    looked_up = connection.execute(
        "select distinct json_extract(outputs, '$.id'), json_extract(outputs, '$.email') from steps"
        " where action = 'zendesk.look_up_user' and outputs is not null"
    )
    # SQLite knows no capitals beyond ASCII.
    known = {(str(user_id), str(email).casefold()) for user_id, email in looked_up}
    ids = {user_id for user_id, email in known if email == person} or {person}
    addresses = {email for user_id, email in known if user_id in ids} | {person}
    of_ids = json.dumps(sorted(ids))
    runs = connection.execute(
        "select number, id, status from runs where event_id in (select id from events where"
        " json_extract(data, '$.requester_id') in (select value from json_each(:ids)))"
        " or id in (select run_id from steps where action = 'zendesk.look_up_ticket' and outputs is not null"
        " and json_extract(outputs, '$.requester_id') in (select value from json_each(:ids)))",
        {"ids": of_ids},
    ).fetchall()
    remembered = connection.execute("select kind, key, value from remembered").fetchall()
    # What is remembered of an address may be an id, under which more is remembered.
    names = addresses | {row["value"] for row in remembered if row["key"].casefold() in addresses}
    return _Traces(
        ids=of_ids,
        runs=json.dumps([row["number"] for row in runs]),
        run_ids=tuple(row["id"] for row in runs),
        left=[
            {"run": row["id"], "status": row["status"]}
            for row in runs
            if row["status"] not in ("succeeded", "failed", "cancelled")
        ],
        remembered=[(row["kind"], row["key"]) for row in remembered if {row["key"], row["key"].casefold()} & names],
    )


def _delete_texts(connection: sqlite3.Connection, traces: _Traces) -> Counter[str]:
    """Events that started nothing, and what was asked about the person's tickets, such as tests."""
    values = {"ids": traces.ids, "runs": json.dumps(traces.run_ids)}
    events = connection.execute(
        "delete from events where json_extract(data, '$.requester_id') in (select value from json_each(:ids))"
        " and not exists (select 1 from runs where event_id = events.id)",
        values,
    )
    requests = connection.execute(
        "update requests set args = null where answered_at is not null and case when json_valid(args) then"
        " json_extract(args, '$.event.data.requester_id') in (select value from json_each(:ids))"
        " or json_extract(answer, '$.result.run') in (select value from json_each(:runs)) end",
        values,
    )
    return Counter(events=events.rowcount, requests=requests.rowcount)


def _delete_requesters(connection: sqlite3.Connection) -> None:
    # One that nobody took yet needs it.
    connection.execute("update requests set args = null where verb = 'forget' and answered_at is not null")
