"""The triggers API of the sandbox: create, list, show, change and delete Zendesk's own triggers."""

from typing import Any

from aiohttp import web

from zendesk_bridge.sandbox import records, triggers
from zendesk_bridge.sandbox.answers import Refused, record_invalid, record_not_found
from zendesk_bridge.sandbox.asking import STATE, id_in, json_body, page, present, require
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.routes import Handler
from zendesk_bridge.sandbox.state import ZendeskState

# A change of any of these replaces the conditions and the actions together.
REPLACED_TOGETHER = ("conditions", "all", "any", "actions")


async def create(request: web.Request) -> web.Response:
    """Makes a trigger; it comes last."""
    require(request)
    state, fields = request.app[STATE], await _fields(request)
    trigger: Record = {"url": None, "id": state.next_id(), "title": _title(fields.get("title")), "active": True}
    stamp = records.stamp(state.clock())
    trigger |= {"updated_at": stamp, "created_at": stamp, "default": False}
    trigger |= _rule(state, fields)
    positions = [each["position"] for each in state.triggers.values()]
    trigger |= {"description": None, "position": max(positions, default=0) + 1, "raw_title": trigger["title"]}
    trigger |= {"category_id": triggers.category_of(state)}
    trigger |= _rest(state, fields)
    state.triggers[trigger["id"]] = trigger
    sent = present(state, "trigger", trigger)
    return web.json_response({"trigger": sent}, status=201, headers={"Location": sent["url"]})


async def index(request: web.Request) -> web.Response:
    """Lists the triggers in the order they run."""
    require(request)
    state, asked = request.app[STATE], request.query
    found = sorted(state.triggers.values(), key=lambda each: (each["position"], each["id"]))
    if "active" in asked:
        found = [each for each in found if each["active"] == (asked["active"] == "true")]
    if "category_id" in asked:
        found = [each for each in found if each["category_id"] == asked["category_id"]]
    return web.json_response(page(request, "triggers", [present(state, "trigger", each) for each in found]))


async def show(request: web.Request) -> web.Response:
    """Shows one trigger."""
    require(request)
    return web.json_response({"trigger": present(request.app[STATE], "trigger", _known(request, "triggers/show"))})


async def update(request: web.Request) -> web.Response:
    """Changes a trigger. Whoever changes a condition or an action must send all of both: the others are lost."""
    require(request)
    state, trigger = request.app[STATE], _known(request, "triggers/update")
    fields = await _fields(request)
    changed = _rest(state, fields)
    if "title" in fields:
        changed |= {"title": _title(fields["title"]), "raw_title": fields["title"]}
    if any(name in fields for name in REPLACED_TOGETHER):
        changed |= _rule(state, fields)
    trigger.update(changed, updated_at=records.stamp(state.clock()))
    return web.json_response({"trigger": present(state, "trigger", trigger)})


async def delete(request: web.Request) -> web.Response:
    """Deletes a trigger; the webhook it notified stays."""
    require(request)
    del request.app[STATE].triggers[_known(request, "triggers/destroy")["id"]]
    return web.Response(status=204)


def _known(request: web.Request, action: str) -> Record:
    trigger = request.app[STATE].triggers.get(id_in(request, action))
    if trigger is None:
        raise record_not_found()
    return trigger


async def _fields(request: web.Request) -> Record:
    fields = (await json_body(request)).get("trigger")
    if not isinstance(fields, dict):
        raise Refused(400, {"error": {"title": "Invalid attribute", "message": "Parameter trigger is required"}})
    return fields


def _title(given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise record_invalid("title", "Title: cannot be blank")
    return given


def _rule(state: ZendeskState, fields: Record) -> Record:
    # Older clients send `all` and `any` beside the title.
    conditions = fields.get("conditions") or {name: fields[name] for name in ("all", "any") if name in fields}
    return {
        "actions": triggers.checked_actions(state, fields.get("actions")),
        "conditions": triggers.checked_conditions(conditions),
    }


def _rest(state: ZendeskState, fields: Record) -> Record:
    given: Record = {}
    if "active" in fields:
        if not isinstance(fields["active"], bool):
            raise record_invalid("active", "Active: must be true or false")
        given["active"] = fields["active"]
    if "description" in fields:
        given["description"] = fields["description"]
    if "position" in fields:
        if not isinstance(fields["position"], int) or isinstance(fields["position"], bool):
            raise record_invalid("position", "Position: is not a number")
        given["position"] = fields["position"]
    if "category_id" in fields:
        if str(fields["category_id"]) != triggers.category_of(state):
            raise record_invalid("category_id", "Category: is invalid")
        given["category_id"] = str(fields["category_id"])
    return given


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "triggers", index),
    ("POST", "triggers", create),
    ("GET", "triggers/{id}", show),
    ("PUT", "triggers/{id}", update),
    ("DELETE", "triggers/{id}", delete),
)
