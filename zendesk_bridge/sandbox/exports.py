"""The incremental exports: ticket events by time, tickets by cursor; the newest minute is never in them."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from zendesk_bridge.sandbox.answers import Refused, invalid_attribute
from zendesk_bridge.sandbox.asking import STATE, require, whole_number
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.routes import Handler, side_loads
from zendesk_bridge.sandbox.state import Update, ZendeskState

SCOPES = ("all", "agent", "ai_agent")
# How exports name the ways an update came in.
EXPORT_CHANNELS = {"web": "Web form", "api": "Web service", "email": "Mail"}


def _start_time(request: web.Request, action: str) -> int | None:
    start, state = whole_number(request, "start_time", action), request.app[STATE]
    if start is not None and start >= state.clock() - state.withheld_seconds:
        description = "Too recent start_time. Use a start_time older than 60 seconds"
        raise Refused(422, {"error": "InvalidValue", "description": description})
    return start


def _in_scope(request: web.Request, action: str) -> Callable[[int], bool]:
    """Whether a ticket is asked for: those that an AI agent handles are left out unless the request says otherwise."""
    scope = request.query.get("support_type_scope", "agent")
    if scope not in SCOPES:
        raise invalid_attribute("support_type_scope", " or ".join(SCOPES), action)
    theirs = request.app[STATE].ai_agent_tickets
    return lambda ticket_id: scope == "all" or (ticket_id in theirs) == (scope == "ai_agent")


async def ticket_events(request: web.Request) -> web.Response:
    """Updates of tickets since a time. A page may repeat what the page before it had; ids tell.

    A page that ends in the second it began with leads to itself: whoever follows it must go on a second later.
    """
    require(request)
    state = request.app[STATE]
    start = _start_time(request, "incremental/ticket_events")
    if start is None:
        raise invalid_attribute("start_time", "an integer", "incremental/ticket_events")
    with_comments = "comment_events" in request.query.get("include", "").split(",")
    newest, asked_for = state.clock() - state.withheld_seconds, _in_scope(request, "incremental/ticket_events")
    due = [update for update in state.updates if start <= int(update.at) and update.at <= newest]
    due = [update for update in due if asked_for(update.audit["ticket_id"])]
    chosen = due[: state.export_page_size]
    # Time is the only cursor: what shares the last second must be on the same page, or it could never be passed.
    chosen += [update for update in due[len(chosen) :] if int(update.at) == int(chosen[-1].at)]
    end = int(chosen[-1].at) if chosen else None
    asked = urlencode({**request.query, "start_time": end})
    following = None if end is None else f"{state.url}/api/v2/incremental/ticket_events.json?{asked}"
    return web.json_response(
        {
            "ticket_events": [exported(state, update, with_comments) for update in chosen],
            "next_page": following,
            "count": len(chosen),
            "end_of_stream": len(chosen) == len(due),
            "end_time": end,
        }
    )


def exported(state: ZendeskState, update: Update, with_comments: bool) -> Record:
    """An update in the export's form: an audit whose children name the field as a key."""
    audit = update.audit
    channel = EXPORT_CHANNELS.get(audit["via"]["channel"], audit["via"]["channel"])
    children = [_child(state, event, channel, with_comments, update) for event in audit["events"]]
    return {
        "child_events": children,
        "id": audit["id"],
        "ticket_id": audit["ticket_id"],
        "timestamp": int(update.at),
        "created_at": audit["created_at"],
        "updater_id": audit["author_id"],
        "via": channel,
        "system": audit["metadata"]["system"],
        "metadata": {},
        "event_type": "Audit",
    }


def _child(state: ZendeskState, event: Record, channel: str, with_comments: bool, update: Update) -> Record:
    child: Record = {"id": event["id"], "via": channel, "via_reference_id": None, "event_type": event["type"]}
    if event["type"] == "Comment":
        if with_comments and update.comment is not None:
            return update.comment | child | {"via": update.comment["via"]}
        return child | {"comment_present": True, "comment_public": event["public"]}
    name = event["field_name"]
    child[name] = _value(state, name, event["value"])
    if event["type"] == "Change":
        child["previous_value"] = event["previous_value"]
        if name == "tags":
            current, previous = set(event["value"] or ()), set(event["previous_value"] or ())
            child["added_tags"], child["removed_tags"] = sorted(current - previous), sorted(previous - current)
    return child


def _value(state: ZendeskState, name: str, value: Any) -> Any:
    # The audit keeps ids as text; the export writes the new one as a number, the previous one as it is.
    if name.endswith("_id") and value is not None and not state.event_ids_as_text:
        return int(value)
    return value


async def tickets_by_cursor(request: web.Request) -> web.Response:
    """Tickets that changed since a time, then since a cursor, by when they changed."""
    require(request)
    state = request.app[STATE]
    action = "incremental/tickets/cursor"
    cursor = request.query.get("cursor")
    start = _start_time(request, action)
    after = (float(start), -1) if start is not None else None
    if cursor is not None:
        after = _read_cursor(cursor, action)
    if after is None:
        raise invalid_attribute("start_time", "an integer", action)
    size = max(1, min(whole_number(request, "per_page", action) or state.export_page_size, state.export_page_size))
    newest, asked_for = state.clock() - state.withheld_seconds, _in_scope(request, action)
    places = sorted((int(at), id) for id, at in state.changed_at.items() if at <= newest and id in state.tickets)
    due = [place for place in places if place > after and asked_for(place[1])]
    chosen = due[:size]
    tickets, beside = side_loads(state, request, [state.tickets[id] for _, id in chosen])
    for ticket, (at, _) in zip(tickets, chosen, strict=True):
        ticket["generated_timestamp"] = at
    following = _write_cursor(*chosen[-1]) if chosen else cursor
    kept = {name: value for name, value in request.query.items() if name not in ("start_time", "cursor")}
    address = request.url.with_query({"cursor": following, **kept}) if following is not None else None
    return web.json_response(
        {
            "tickets": tickets,
            "after_url": None if address is None else f"{state.url}{request.path}?{address.raw_query_string}",
            "before_url": None,
            "after_cursor": following,
            "before_cursor": None,
            "end_of_stream": len(chosen) == len(due),
            **beside,
        }
    )


def _write_cursor(at: int, id: int) -> str:
    return base64.b64encode(f"{at}.0||{id}|".encode()).decode()


def _read_cursor(cursor: str, action: str) -> tuple[float, int]:
    try:
        at, _, rest = base64.b64decode(cursor, validate=True).decode().partition("||")
        return float(at), int(rest.rstrip("|"))
    except ValueError as error:
        raise invalid_attribute("cursor", "a valid cursor", action) from error


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "incremental/ticket_events", ticket_events),
    ("GET", "incremental/tickets/cursor", tickets_by_cursor),
)
