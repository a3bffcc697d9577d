"""Connections: who is connected to what, and whether it works."""

from __future__ import annotations

from typing import Any

from bolt_app.views.words import (
    TROUBLE,
    WARNING,
    Block,
    Message,
    code,
    context,
    header,
    mark,
    message,
    safe,
    section,
    when,
)

NAMES = {"slack": "Slack", "zendesk": "Zendesk"}


def connection_rows(connection: dict[str, Any], *, admin: bool) -> list[Block]:
    """One connection."""
    service = NAMES.get(connection["service"], safe(connection["service"]))
    account = f" · {safe(connection['account'])}" if connection["account"] else ""
    line = f"{mark(connection['status'])} *{service}*{account} · {_state(connection)}"
    facts = []
    if connection["connected_by"]:
        facts.append(f"acts as {_who(connection)}")
    if connection["since"]:
        facts.append(f"since {when(connection['since'])}")
    if admin and connection["scopes"]:
        facts.append(f"scopes: {safe(', '.join(connection['scopes']), 800)}")
    return [section(line), *([context(" · ".join(facts))] if facts else [])]


def service_words(database: str, poll: str | None) -> list[Block]:
    """What is wrong beside the connections; nothing where nothing is."""
    rows = []
    if database != "ok":
        rows.append(section(f"{TROUBLE} The database does not work: {safe(database)}. Zendesk is asked to send again."))
    if poll not in (None, "ok", "starting", "checking"):
        rows.append(
            section(f"{WARNING} Zendesk's export cannot be read ({code(poll)}): lost webhooks are not made up for.")
        )
    return rows


def status(
    connections: list[dict[str, Any]],
    *,
    database: str,
    poll: str | None,
    flows_active: int,
    flows: int,
    problems: list[str],
    waiting: int,
) -> Message:
    """How everything is.

    Args:
        problems: what is wrong with flow files, a line each.
        waiting: runs that wait for something.
    """
    well = database == "ok" and all(each["status"] == "ok" for each in connections) and bool(connections)
    title = "All is well" if well and not problems else "Not all is well"
    blocks = [header(title), *service_words(database, poll)]
    for connection in connections:
        blocks += connection_rows(connection, admin=False)
    if not connections:
        blocks.append(section("Nothing is connected yet."))
    blocks.append(
        section(f"{flows} action flow{'s' if flows != 1 else ''}, {flows_active} active · {_waiting(waiting)}")
    )
    blocks += [section(f"{WARNING} {safe(problem)}") for problem in problems[:10]]
    if len(problems) > 10:
        blocks.append(context(f"… {len(problems) - 10} more: `zendesk-connector flows check`"))
    return message(title, blocks)


def _waiting(count: int) -> str:
    return f"{count:,} run{'s' if count != 1 else ''} waiting" if count else "no run waits"


def _state(connection: dict[str, Any]) -> str:
    match connection["status"]:
        case "ok":
            return "healthy"
        case "checking":
            return "being checked"
        case "not_connected":
            return "not connected yet"
        case code_:
            return f"{code(code_)} {safe(connection.get('message') or 'it does not work')}"


def _who(connection: dict[str, Any]) -> str:
    # Of ids of our own account only; anything else is shown as it is.
    who = str(connection["connected_by"])
    is_person = connection["service"] == "slack" and who.isalnum() and who.isascii() and who[:1] in "UW"
    return f"<@{who}>" if is_person else safe(who)
