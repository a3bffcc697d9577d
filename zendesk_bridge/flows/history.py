"""What people are shown: flows, runs and connections as the JSON of the commands, read from the same rows."""

from __future__ import annotations

import datetime as dt
import json
import re
import sqlite3
import sys
from dataclasses import dataclass, replace
from typing import Any

from sqlite_utils import Database

from zendesk_bridge.flows.catalog import Catalog, nearest
from zendesk_bridge.flows.compiled import CompiledFlow, compile_flow
from zendesk_bridge.flows.definition import Flow, every_step
from zendesk_bridge.flows.errors import NotFound
from zendesk_bridge.flows.model import Event, rfc3339
from zendesk_bridge.flows.store import select_definition, select_event

_RUN = """
select runs.id, runs.flow, runs.version, coalesce(events.service_id, runs.event_id) as event_id, runs.status,
       runs.started_at, runs.finished_at, runs.error, runs.note
from runs left join events on events.id = runs.event_id
"""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which runs are asked for; everything that is given must hold."""

    flow: str | None = None
    # Any of these.
    statuses: tuple[str, ...] = ()
    # The ticket's number.
    ticket: str | None = None
    # When the run was accepted.
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    # What stands somewhere in the event, in a step's inputs, outputs or error, or in the run's error or note.
    text: str | None = None

    def where(self) -> tuple[str, dict[str, Any]]:
        """The same as SQL and its values."""
        values: dict[str, Any] = {f"status{number}": status for number, status in enumerate(self.statuses)}
        parts = []
        if self.statuses:
            parts.append(f"runs.status in ({', '.join(f':{name}' for name in values)})")
        given = {
            "flow": ("runs.flow = :flow", self.flow),
            "subject": ("events.subject = :subject", f"ticket {self.ticket}" if self.ticket else None),
            "since": ("runs.accepted_at >= :since", rfc3339(self.since) if self.since else None),
            "until": ("runs.accepted_at < :until", rfc3339(self.until) if self.until else None),
            "text": (_HOLDS_TEXT, json.dumps(self.text, ensure_ascii=False)[1:-1].casefold() if self.text else None),
        }
        for name, (part, value) in given.items():
            if value is not None:
                parts.append(part)
                values[name] = value
        return f" where {' and '.join(parts)}" if parts else "", values


#: What is looked for is escaped as JSON is, which writes most characters as they are.
_HOLDS_TEXT = """(
 instr(casefold(coalesce(events.data, '') || coalesce(runs.error, '') || coalesce(runs.note, '')), :text)
 or exists (select 1 from steps where steps.run_id = runs.id and instr(
 casefold(coalesce(steps.inputs, '') || coalesce(steps.outputs, '') || coalesce(steps.error, '')), :text)))"""


def list_runs(
    connection: sqlite3.Connection, limit: int | None = None, *, wanted: Wanted | None = None, offset: int = 0
) -> list[dict[str, Any]]:
    """`[{id, flow, version, event_id, status, started_at, finished_at, error, note}]`, newest first.

    Args:
        offset: how many of the newest are left out.
    """
    where, values = (wanted or Wanted()).where()
    if "text" in values:
        connection.create_function("casefold", 1, str.casefold, deterministic=True)
    sql = f"{_RUN}{where} order by runs.number desc limit :limit offset :offset"
    values |= {"limit": -1 if limit is None else limit, "offset": offset}
    return [_with_error(row) for row in Database(connection).query(sql, values)]


def list_failures(connection: sqlite3.Connection, wanted: Wanted) -> list[dict[str, Any]]:
    """Failed runs by what failed: `[{flow, step, code, message, hint, count, first_at, last_at, run}]`, most first.

    `message` and `hint` are those of the newest, which is `run`.
    """
    groups: dict[tuple[str, str | None, str], dict[str, Any]] = {}
    for row in list_runs(connection, wanted=replace(wanted, statuses=("failed",))):
        error = row["error"] or {"code": "unknown", "message": "", "hint": ""}
        step = connection.execute(
            "select key from steps where run_id = ? and status = 'failed' order by seq desc limit 1", (row["id"],)
        ).fetchone()
        # What fails in one pass of a loop and in another has failed in the same step.
        where = re.sub(r"\[\d+\]", "[*]", step["key"]) if step else None
        group = groups.setdefault(
            (row["flow"], where, error["code"]),
            {"flow": row["flow"], "step": where, **error, "count": 0, "last_at": row["finished_at"], "run": row["id"]},
        )
        group["count"] += 1
        group["first_at"] = row["finished_at"]
    return sorted(groups.values(), key=lambda group: -group["count"])


def show_run(connection: sqlite3.Connection, prefix: str) -> dict[str, Any]:
    """One run with `trigger` and `steps`; an unambiguous prefix of its id will do. Raises NotFound.

    Args:
        prefix: how the id begins; or how the event's id begins, a colon, and how the flow's key begins.
    """
    database = Database(connection)
    found = _named(database, prefix)
    if not found:
        raise NotFound("no_run", f"There is no run {prefix!r}", hint="`zendesk-connector runs list` names them.")
    if len(found) > 1:
        some = ", ".join(f"{row['id']} ({row['status']})" for row in found[:5])
        raise NotFound("ambiguous", f"Several runs begin with {prefix!r}", hint=f"Give more of the id: {some}.")
    run = _with_error(found[0])
    event = next(
        database.query(
            "select events.* from events join runs on runs.event_id = events.id where runs.id = ?", [run["id"]]
        ),
        None,
    )
    run["trigger"] = json.loads(event["data"]) if event else {}
    run["steps"] = [
        {
            "key": row["key"],
            "action": row["action"],
            "status": row["status"],
            "inputs": json.loads(row["inputs"] or "{}"),
            "outputs": json.loads(row["outputs"] or "{}"),
            "error": json.loads(row["error"]) if row["error"] else None,
            "attempts": row["attempts"],
            "started_at": row["started_at"],
            "finished_at": row["finished_at"],
        }
        for row in database.query("select * from steps where run_id = ? order by seq", [run["id"]])
    ]
    return run


def _named(database: Database, text: str) -> list[dict[str, Any]]:
    """The runs whose id is a text or begins with it, or that it names by the beginnings of event and flow."""
    beginning, _, flow = text.partition(":")
    found = _beginning_with(database, text) or [
        row for row in _beginning_with(database, beginning) if row["flow"].startswith(flow)
    ]
    return [row for row in found if row["id"] == text] or found


def _beginning_with(database: Database, prefix: str) -> list[dict[str, Any]]:
    # A range, unlike `like`, uses the index and knows no wildcards.
    beyond = prefix + chr(sys.maxunicode)
    return list(database.query(f"{_RUN} where runs.id between ? and ? order by runs.id limit 20", [prefix, beyond]))


def event(connection: sqlite3.Connection, text: str) -> tuple[Event, str]:
    """An event of the past, and the id that the service gave it.

    Args:
        text: that id, its own, or that of one of its runs; whole, or how it begins.

    Raises:
        NotFound: there is none, or several.
    """
    database = Database(connection)
    # What was run again has the service's id of the first: of those it is the first.
    found = list(
        database.query(
            "select id, coalesce(service_id, id) as name, subject, min(received_at) as first_at from events"
            " where id between :text and :beyond or service_id between :text and :beyond"
            " or id in (select event_id from runs where runs.id in (select value from json_each(:runs)))"
            " group by name order by first_at desc limit 20",
            {
                "text": text,
                "beyond": text + chr(sys.maxunicode),
                "runs": json.dumps([run["id"] for run in _named(database, text)]),
            },
        )
    )
    found = [row for row in found if text in (row["id"], row["name"])] or found
    if len(found) > 1:
        some = ", ".join(f"{row['name']} ({row['subject']})" for row in found[:5])
        raise NotFound("ambiguous", f"Several events begin with {text!r}", hint=f"Give more of the id: {some}.")
    event = select_event(connection, found[0]["id"]) if found and text else None
    if event is None:
        hint = "`zendesk-connector runs list` names runs: the id of one will do."
        raise NotFound("no_event", f"There is no event, and no run, whose id begins with {text!r}", hint=hint)
    return event, found[0]["name"]


def list_flows(
    connection: sqlite3.Connection, catalog: Catalog, default_owner: str | None = None
) -> list[dict[str, Any]]:
    """Every flow by key, as `flows list --json` has it.

    One that was deleted is there until its runs have ended, with version 0 and no problem.
    """
    rows = Database(connection).query(
        "select flows.*, flow_versions.definition from flows left join flow_versions"
        " on flow_versions.flow = flows.key and flow_versions.version = flows.version"
        # The plus has the open runs looked through, not all of the flow's history.
        " where flows.present or flows.version > 0 or exists (select 1 from runs"
        " where runs.status in ('queued', 'running', 'waiting') and +runs.flow = flows.key) order by flows.key"
    )
    result = []
    for row in rows:
        definition = Flow.model_validate_json(row["definition"]) if row["definition"] else None
        trigger = catalog.triggers.get(definition.trigger.event) if definition else None
        result.append(
            {
                "key": row["key"],
                "name": row["name"],
                "version": row["version"],
                "active": bool(row["active"]),
                "owner": row["owner"] or default_owner,
                "trigger": definition.trigger.event if definition else None,
                "trigger_title": trigger.title if trigger else None,
                "steps": len(list(every_step(definition.steps))) if definition else 0,
                "last_run": _last_run(connection, row["key"]),
                "problem": row["problem"],
                "source": row["source"],
                "file_decides": bool(row["file_decides"]),
            }
        )
    return result


def show_flow(
    connection: sqlite3.Connection, key: str, catalog: Catalog, default_owner: str | None = None
) -> dict[str, Any]:
    """One flow as `list_flows` has it, with description and text of its newest good version. Raises NotFound."""
    flows = list_flows(connection, catalog, default_owner)
    for flow in flows:
        if flow["key"] == key and (flow["version"] or flow["problem"]):
            row = connection.execute(
                "select definition, text from flow_versions where flow = ? and version = ?", (key, flow["version"])
            ).fetchone()
            definition = Flow.model_validate_json(row["definition"]) if row else None
            return {
                **flow,
                "description": definition.description if definition else "",
                "text": row["text"] if row else "",
            }
    if connection.execute("select 1 from flow_versions where flow = ?", (key,)).fetchone():
        hint = f"`zendesk-connector flows history {key}` has its versions; the history has its runs."
        raise NotFound("no_flow", f"Flow {key!r} was deleted", hint=hint)
    close = nearest(key, [flow["key"] for flow in flows])
    hint = f"Did you mean {close!r}?" if close else "`zendesk-connector flows list` names them."
    raise NotFound("no_flow", f"There is no flow {key!r}", hint=hint)


def compiled(connection: sqlite3.Connection, key: str, catalog: Catalog) -> CompiledFlow:
    """The newest good version of a flow, ready to run. Raises NotFound, FlowError."""
    flow = show_flow(connection, key, catalog)
    definition = select_definition(connection, key, flow["version"])
    if definition is None:
        raise NotFound("no_version", f"Flow {key!r} has no good version: {flow['problem']}")
    return compile_flow(definition, flow["version"], catalog)


def list_connections(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """`[{service, account, connected_by, acts_as, since, scopes, status, message, ok_at, failed_at, failure}]`.

    `message` says what is wrong now; `ok_at` when the service was last seen to work, `failure` what failed last.
    """
    return [
        {
            "service": row["service"],
            "account": row["account"],
            "connected_by": row["connected_by"],
            "since": row["since"],
            "scopes": json.loads(row["scopes"] or "[]"),
            "status": row["status"],
            "message": row["message"],
            **{name: row[name] for name in ("acts_as", "ok_at", "failed_at", "failure")},
        }
        for row in Database(connection).query("select * from connections order by service")
    ]


def _last_run(connection: sqlite3.Connection, flow: str) -> dict[str, Any] | None:
    row = connection.execute(
        "select id, status, started_at, error from runs where flow = ? order by number desc limit 1", (flow,)
    ).fetchone()
    return _with_error(dict(row)) if row else None


def _with_error(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "error": json.loads(row["error"]) if row["error"] else None}
