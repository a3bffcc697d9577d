"""Writing to the sandbox: create and update tickets and their tags, with Zendesk's rules and complaints."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from zendesk_bridge.sandbox import changes
from zendesk_bridge.sandbox.answers import Refused, record_invalid, record_not_found
from zendesk_bridge.sandbox.asking import STATE, id_in, json_body, present, require
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.routes import Handler
from zendesk_bridge.sandbox.state import ZendeskState

# Sends events to the webhooks after the answer is on its way, as Zendesk does.
TELL: web.AppKey[Callable[[list[Record]], None]] = web.AppKey("TELL")
# Answers by Idempotency-Key.
ANSWERED = web.AppKey("ANSWERED", dict[str, Record])

STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
PRIORITIES = (None, "low", "normal", "high", "urgent")
TYPES = (None, "question", "incident", "problem", "task")
WRITABLE = (
    "subject",
    "status",
    "priority",
    "type",
    "requester_id",
    "organization_id",
    "group_id",
    "assignee_id",
    "tags",
)


def _asked(body: Record) -> Record:
    ticket = body.get("ticket")
    if not isinstance(ticket, dict):
        message = "Parameter ticket is required"
        raise Refused(400, {"error": {"title": "Invalid attribute", "message": message}})
    return ticket


def _fields(state: ZendeskState, asked: Record) -> Record:
    fields: Record = {name: asked[name] for name in WRITABLE if name in asked}
    for name, allowed in (("status", STATUSES), ("priority", PRIORITIES), ("type", TYPES)):
        if name in fields and fields[name] not in allowed:
            raise record_invalid(name, f"{name.capitalize()}: {fields[name]} is not valid")
    for name in ("requester_id", "organization_id", "group_id", "assignee_id"):
        if fields.get(name) is not None:
            fields[name] = _id(name, fields[name])
    _known(state, fields)
    if "tags" in fields:
        fields["tags"] = _tags(fields["tags"])
    return fields


def _id(name: str, value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdigit():
        raise record_invalid(name, f"{name}: {value} is not valid")
    return int(value)


def _known(state: ZendeskState, fields: Record) -> None:
    if fields.get("assignee_id") is not None and not state.is_staff(fields["assignee_id"]):
        raise record_invalid("assignee", "Assignee: is not an agent of this account")
    for name, of in (
        ("requester_id", state.users),
        ("organization_id", state.organizations),
        ("group_id", state.groups),
    ):
        if fields.get(name) is not None and fields[name] not in of:
            raise record_invalid(name.removesuffix("_id"), f"{name.removesuffix('_id').capitalize()}: is invalid")


def _tags(value: Any) -> list[str]:
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(words, list):
        raise record_invalid("tags", "Tags: must be a list")
    return sorted({str(word).lower().replace(" ", "_") for word in words})


def _comment(asked: Record, ticket_is_public: bool) -> tuple[str | None, bool]:
    comment = asked.get("comment")
    if comment is None:
        return None, False
    body = comment.get("body") or comment.get("html_body") if isinstance(comment, dict) else None
    if not body:
        raise record_invalid("comment", "Comment: cannot be blank")
    # No fixed default: a comment is as public as its ticket, unless it says otherwise.
    return str(body), bool(comment.get("public", ticket_is_public))


def _written(state: ZendeskState, ticket: Record) -> Record:
    audits = [update.audit for update in state.updates if update.audit["ticket_id"] == ticket["id"]]
    return {"ticket": present(state, "ticket", ticket), "audit": audits[-1]}


async def create(request: web.Request) -> web.Response:
    """Makes a ticket; a repeated Idempotency-Key gets the first answer again."""
    person, state = require(request), request.app[STATE]
    key = request.headers.get("Idempotency-Key")
    known = request.app[ANSWERED].get(key) if key else None
    if known is not None:
        return web.json_response(known, status=201, headers={"x-idempotency-lookup": "hit"})
    asked = _asked(await json_body(request))
    fields = _fields(state, asked)
    body, public = _comment(asked, True)
    body = body or str(asked.get("description") or "")
    if not body:
        raise record_invalid("base", "Description: cannot be blank")
    requester_id = fields.pop("requester_id", None) or _requester(state, asked) or person["id"]
    organization_id = fields.pop("organization_id", None) or state.users[requester_id]["organization_id"]
    ticket = state.add_ticket(
        fields.pop("subject", None),
        body,
        requester_id=requester_id,
        submitter_id=person["id"],
        organization_id=organization_id,
        tags=tuple(fields.pop("tags", ())),
        channel="api",
        public=public if asked.get("comment") else True,
        **fields,
    )
    answer = _written(state, ticket)
    if key:
        request.app[ANSWERED][key] = answer
    request.app[TELL](changes.created_events(state, ticket))
    return web.json_response(answer, status=201, headers={"x-idempotency-lookup": "miss"} if key else {})


def _requester(state: ZendeskState, asked: Record) -> int | None:
    requester = asked.get("requester")
    if not isinstance(requester, dict) or not requester.get("email"):
        return None
    try:
        return int(state.user_by_email(str(requester["email"]))["id"])
    except LookupError:
        name = str(requester.get("name") or requester["email"])
        return int(state.add_user(name, str(requester["email"]))["id"])


async def update(request: web.Request) -> web.Response:
    """Changes a ticket, adds a comment, or both."""
    person, state = require(request), request.app[STATE]
    ticket = _open_ticket(request, "tickets/update")
    asked = _asked(await json_body(request))
    if asked.get("safe_update") and asked.get("updated_stamp") != ticket["updated_at"]:
        raise Refused(
            409, {"error": "UpdateConflict", "description": "Safe Update prevented the update due to outdated data"}
        )
    body, public = _comment(asked, ticket["is_public"])
    fields = _fields(state, asked)
    told = changes.change(state, ticket["id"], fields, person["id"], body=body, public=public, channel="api")
    request.app[TELL](told)
    return web.json_response(_written(state, ticket))


async def tags(request: web.Request) -> web.Response:
    """PUT adds tags, POST sets them, DELETE takes them away, GET shows them."""
    person, state = require(request), request.app[STATE]
    if request.method == "GET":
        id = id_in(request, "tags/show")
        if id not in state.tickets:
            raise record_not_found()
        return web.json_response({"tags": state.tickets[id]["tags"]})
    ticket = _open_ticket(request, "tags/update")
    given, had = set(_tags((await json_body(request)).get("tags", []))), set(ticket["tags"])
    new = {"PUT": had | given, "POST": given, "DELETE": had - given}[request.method]
    told = changes.change(state, ticket["id"], {"tags": sorted(new)}, person["id"], channel="api")
    request.app[TELL](told)
    return web.json_response({"tags": ticket["tags"]}, status=201 if request.method == "POST" else 200)


def _open_ticket(request: web.Request, action: str) -> Record:
    ticket = request.app[STATE].tickets.get(id_in(request, action))
    if ticket is None:
        raise record_not_found()
    if ticket["status"] == "closed":
        raise record_invalid("status", "closed prevents ticket update")
    return ticket


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "tickets", create),
    ("PUT", "tickets/{id}", update),
    ("GET", "tickets/{id}/tags", tags),
    ("PUT", "tickets/{id}/tags", tags),
    ("POST", "tickets/{id}/tags", tags),
    ("DELETE", "tickets/{id}/tags", tags),
)
