"""The tables of the database, and how an older file becomes one of today."""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database, Migrations

from zendesk_bridge.flows.errors import WrongVersion


def migrations() -> Migrations:
    """Every change to the tables, in order. A change that was released is never edited."""
    changes = Migrations("zendesk_connector")

    @changes()
    def m001_first_tables(database: Database) -> None:
        database.table("flows").create(
            {
                "key": str,
                "name": str,
                "version": int,
                "active": int,
                "activated_at": str,
                "owner": str,
                "source": str,
                "file_decides": int,
                "present": int,
                "problem": str,
                "updated_at": str,
            },
            pk="key",
            not_null={"name", "version", "active", "source", "file_decides", "present"},
        )
        database.table("flow_versions").create(
            {"flow": str, "version": int, "definition": str, "text": str, "created_at": str},
            pk=("flow", "version"),
        )
        database.table("events").create(
            {
                "id": str,
                "service_id": str,
                "type": str,
                "source": str,
                "subject": str,
                "occurred_at": str,
                "received_at": str,
                "data": str,
            },
            pk="id",
        )
        database.table("runs").create(
            {
                "number": int,
                "id": str,
                "flow": str,
                "version": int,
                "event_id": str,
                "status": str,
                "accepted_at": str,
                "started_at": str,
                "finished_at": str,
                "wake_at": str,
                "waiting_for": str,
                "waiting_since": str,
                "retries": int,
                "error": str,
                "note": str,
            },
            pk="number",
            not_null={"id", "flow", "version", "event_id", "status", "accepted_at"},
            defaults={"retries": 0},
        )
        database.table("runs").create_index(["id"], unique=True)
        database.table("runs").create_index(["flow", "number"])
        database.table("runs").create_index(["event_id"])
        database.execute("create index open_runs on runs(status) where status in ('queued', 'running', 'waiting')")
        database.execute("create index sleeping_runs on runs(wake_at) where status = 'waiting'")
        database.execute("create index runs_waiting_for on runs(waiting_for) where status = 'waiting'")
        database.table("steps").create(
            {
                "run_id": str,
                "seq": int,
                "key": str,
                "action": str,
                "status": str,
                "inputs": str,
                "outputs": str,
                "error": str,
                "attempts": int,
                "started_at": str,
                "begun_at": str,
                "looked_at": str,
                "finished_at": str,
            },
            pk=("run_id", "seq"),
        )
        database.table("signals").create({"run_id": str, "name": str, "value": str, "at": str}, pk=("run_id", "name"))
        database.table("requests").create(
            {
                "id": int,
                "verb": str,
                "args": str,
                "by": str,
                "at": str,
                "answered_at": str,
                "answer": str,
            },
            pk="id",
        )
        database.execute("create index open_requests on requests(id) where answered_at is null")
        database.table("assignments").create(
            {
                "id": int,
                "ticket_id": str,
                "previous": str,
                "current": str,
                "at": str,
                "webhook_id": str,
                "audit_id": str,
                "event_id": str,
            },
            pk="id",
        )
        database.table("assignments").create_index(["webhook_id"], unique=True)
        database.table("assignments").create_index(["audit_id"], unique=True)
        database.table("assignments").create_index(["ticket_id", "at"])
        database.table("connections").create(
            {
                "service": str,
                "account": str,
                "connected_by": str,
                "since": str,
                "scopes": str,
                "status": str,
                "message": str,
                "checked_at": str,
            },
            pk="service",
        )
        database.table("remembered").create({"kind": str, "key": str, "value": str, "at": str}, pk=("kind", "key"))

    @changes()
    def m002_cursors_turns_and_notices(database: Database) -> None:
        # How far the poller has read.
        database.table("cursors").create({"name": str, "value": str, "at": str}, pk="name")
        # What runs of a flow are done one at a time for, where the flow says so.
        database.table("runs").add_column("turn", str)
        database.execute(
            "create index runs_by_turn on runs(flow, turn, number)"
            " where turn is not null and status in ('queued', 'running', 'waiting')"
        )
        # When somebody was told that the connection is broken; null while it works.
        database.table("connections").add_column("told_at", str)

    @changes()
    def m003_incoming_events_and_channels(database: Database) -> None:
        # What a service tells the app itself, such as that somebody opened its Home tab.
        database.table("incoming").create(
            {
                "id": str,
                "type": str,
                "payload": str,
                "received_at": str,
                "tries": int,
                "retry_at": str,
                "settled_at": str,
                "problem": str,
            },
            pk="id",
            not_null={"type", "received_at", "tries"},
            defaults={"tries": 0},
        )
        database.execute("create index open_incoming on incoming(retry_at) where settled_at is null")
        # The channels the app was invited to.
        database.table("channels").create(
            {"id": str, "joined_at": str, "joined_by": str, "welcomed_at": str, "left_at": str}, pk="id"
        )

    @changes()
    def m004_secrets_and_what_connections_did_last(database: Database) -> None:
        # Tokens and signing secrets, encrypted.
        database.table("secrets").create({"name": str, "value": str, "at": str}, pk="name", not_null={"value", "at"})
        connections = database.table("connections")
        connections.add_column("acts_as", str)
        # When it answered last, and when it failed last, with what.
        connections.add_column("ok_at", str)
        connections.add_column("failed_at", str)
        connections.add_column("failure", str)

    return changes


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the tables up to date. Raises WrongVersion where a newer version made the file."""
    database = Database(connection)
    _refuse_newer(database)
    migrations().apply(database)


def require_current(connection: sqlite3.Connection) -> None:
    """For those who only read. Raises WrongVersion where the tables are of another version."""
    database = Database(connection)
    _refuse_newer(database)
    if migrations().pending(database):
        raise WrongVersion(
            "the database is of an older version", hint="Start `zendesk-connector serve` once: it brings it up to date."
        )


def _refuse_newer(database: Database) -> None:
    ours = migrations()
    known = {change.name for change in ours.pending(Database(memory=True))}
    newer = [change.name for change in ours.applied(database) if change.name not in known]
    if newer:
        raise WrongVersion(
            f"the database was made by a newer version of this software ({newer[-1]})",
            hint="Install that version, or set CONNECTOR_DATABASE to another file.",
        )
