"""The webhooks API of the sandbox: create, list, show, change, delete, test, and read or renew the signing secret."""

import json
import re
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from zendesk_bridge.sandbox import people, records, triggers, webhooks
from zendesk_bridge.sandbox.answers import Refused, listed_error
from zendesk_bridge.sandbox.asking import STATE, json_body, page, require
from zendesk_bridge.sandbox.people import TRIGGER_CONNECTED
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.routes import Handler
from zendesk_bridge.sandbox.state import ZendeskState

EVENT_TYPE = re.compile(r"zen:event-type:[a-z_]+\.[a-z_]+")
# Every type of ticket event; other kinds of event are known by their form alone.
TICKET_EVENTS = (
    "agent_assignment_changed", "attachment_linked_to_comment", "attachment_redacted_from_comment", "brand_changed",
    "comment_added", "comment_made_private", "comment_redacted", "created", "csat_received", "csat_requested",
    "custom_field_changed", "custom_status_changed", "description_changed", "email_ccs_changed",
    "external_id_changed", "followers_changed", "form_changed", "group_assignment_changed", "marked_as_spam",
    "merged", "next_sla_breach_changed", "ola_policy_changed", "organization_changed", "permanently_deleted",
    "priority_changed", "problem_link_changed", "requester_changed", "schedule_changed", "sla_policy_changed",
    "soft_deleted", "status_changed", "subject_changed", "submitter_changed", "tags_changed", "task_due_at_changed",
    "type_changed", "undeleted",
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Sends the tests of webhooks.
SESSION = web.AppKey("SESSION", aiohttp.ClientSession)
CHANGEABLE = ("name", "description", "status", "subscriptions", "endpoint", "http_method", "request_format")


def _invalid(detail: str) -> Refused:
    return listed_error(400, "InvalidWebhook", "Invalid webhook", detail)


def _not_found() -> Refused:
    return listed_error(404, "WebhookNotFound", "Webhook not found", "There is no webhook with this id")


def _checked(fields: Record) -> Record:
    for required in ("name", "endpoint", "http_method", "request_format", "status"):
        if not isinstance(fields.get(required), str) or not fields[required]:
            raise _invalid(f"{required} is required")
    if fields["status"] not in ("active", "inactive"):
        raise _invalid("status must be active or inactive")
    _check_request(fields)
    subscriptions = fields.get("subscriptions") or []
    if not isinstance(subscriptions, list) or not all(isinstance(each, str) for each in subscriptions):
        raise _invalid("subscriptions must be a list of event types")
    if subscriptions and subscriptions != [TRIGGER_CONNECTED]:
        if not all(_is_event_type(each) for each in subscriptions):
            raise _invalid("subscriptions holds an unknown event type")
        if (fields["http_method"], fields["request_format"]) != ("POST", "json"):
            raise _invalid("a webhook subscribed to events must use POST and json")
    return fields


def _check_request(fields: Record) -> None:
    try:
        address = urlsplit(str(fields.get("endpoint")))
    except ValueError as error:
        raise _invalid("endpoint must be a valid https URL") from error
    # Zendesk takes https only; the sandbox adds http to this machine, where its receivers live.
    if not address.hostname or not (
        address.scheme == "https" or (address.scheme == "http" and address.hostname in LOOPBACK)
    ):
        raise _invalid("endpoint must be a valid https URL")
    if fields.get("http_method") not in METHODS or fields.get("request_format") not in webhooks.CONTENT_TYPES:
        raise _invalid("http_method or request_format is not valid")


def _is_event_type(name: str) -> bool:
    domain, _, event = name.removeprefix("zen:event-type:").partition(".")
    return bool(EVENT_TYPE.fullmatch(name)) and (domain != "ticket" or event in TICKET_EVENTS)


def _check_subscribing(state: ZendeskState, subscriptions: list[str]) -> None:
    if state.refuses_event_subscriptions and subscriptions not in ([], [TRIGGER_CONNECTED]):
        raise _invalid("subscriptions: this account cannot subscribe webhooks to events")


def _known(request: web.Request) -> tuple[ZendeskState, Record]:
    require(request)
    state = request.app[STATE]
    webhook = state.webhooks.get(request.match_info["id"])
    if webhook is None:
        raise _not_found()
    return state, webhook


def _fields(body: Record) -> Record:
    fields = body.get("webhook")
    if not isinstance(fields, dict):
        raise _invalid("webhook is required")
    return fields


def shown(webhook: Record) -> Record:
    """A webhook as it is sent: an authentication keeps its secrets to itself and is left out where there is none."""
    sent = {name: value for name, value in webhook.items() if name not in ("authentication", "description")}
    if webhook["description"] is not None:
        sent["description"] = webhook["description"]
    if isinstance(webhook["authentication"], dict):
        data = webhook["authentication"].get("data")
        open_data = {"username": data["username"]} if isinstance(data, dict) and "username" in data else {}
        sent["authentication"] = webhook["authentication"] | {"data": open_data}
    return sent


async def create(request: web.Request) -> web.Response:
    """Makes a webhook."""
    person, state = require(request), request.app[STATE]
    fields = _checked(_fields(await json_body(request)))
    _check_subscribing(state, fields.get("subscriptions") or [])
    if state.most_webhooks is not None and len(state.webhooks) >= state.most_webhooks:
        # Zendesk documents the limit of a trial but not its words; 403 is what creating alone can be answered with.
        detail = f"This account can have {state.most_webhooks} webhooks"
        raise listed_error(403, "WebhookLimitExceeded", "Webhook limit exceeded", detail)
    webhook = state.add_webhook(
        fields["endpoint"],
        name=fields["name"],
        subscriptions=list(fields.get("subscriptions") or []),
        created_by=str(person["id"]),
        authentication=fields.get("authentication"),
        **{name: fields.get(name) for name in ("description", "status", "http_method", "request_format")},
    )
    return web.json_response({"webhook": shown(webhook)}, status=201)


async def index(request: web.Request) -> web.Response:
    """Lists the webhooks, in pages."""
    require(request)
    state = request.app[STATE]
    part = request.query.get("filter[name_contains]", "").lower()
    found = [shown(webhook) for webhook in state.webhooks.values() if part in webhook["name"].lower()]
    answer = page(request, "webhooks", found)
    if "meta" not in answer:
        answer = {"webhooks": answer["webhooks"], "meta": {"has_more": False, "after_cursor": "", "before_cursor": ""}}
    return web.json_response(answer)


async def show(request: web.Request) -> web.Response:
    """Shows one webhook."""
    _, webhook = _known(request)
    return web.json_response({"webhook": shown(webhook)})


async def update(request: web.Request) -> web.Response:
    """Changes a webhook: PUT wants all of it, PATCH what changes.

    One that is subscribed to events cannot become one for triggers, nor the other way.
    """
    state, webhook = _known(request)
    given = _fields(await json_body(request))
    fields = {name: value for name, value in given.items() if name in CHANGEABLE}
    _checked(fields if request.method == "PUT" else webhook | fields)
    changed = webhook | fields
    if (webhook["subscriptions"] == [TRIGGER_CONNECTED]) != (changed["subscriptions"] == [TRIGGER_CONNECTED]):
        raise _invalid("a webhook cannot be switched between events and triggers")
    if "subscriptions" in fields:
        _check_subscribing(state, changed["subscriptions"])
    webhook.update(changed, updated_at=records.fine_stamp(state.clock()), updated_by=str(require(request)["id"]))
    if request.method == "PUT":
        return web.Response(status=204)
    return web.json_response({"webhook": shown(webhook)})


async def delete(request: web.Request) -> web.Response:
    """Deletes a webhook that no trigger uses."""
    state, webhook = _known(request)
    users = triggers.using(state, webhook["id"])
    # Not documented. Public clients were seen to delete webhooks in use, so there is a switch for that.
    if users and not state.deletes_used_webhooks:
        detail = f"The webhook is used by the trigger {users[0]['title']}"
        raise listed_error(400, "WebhookInUse", "Webhook in use", detail)
    del state.webhooks[webhook["id"]], state.webhook_secrets[webhook["id"]]
    return web.Response(status=204)


async def test(request: web.Request) -> web.Response:
    """Sends a test request, as an existing webhook or as one that is still to be made, and tells what came back."""
    require(request)
    state, webhook_id = request.app[STATE], request.query.get("webhook_id")
    asked = (await json_body(request)).get("request") or {} if request.can_read_body else {}
    if not isinstance(asked, dict):
        raise _invalid("request must be an object")
    webhook: Record = {"http_method": "POST", "request_format": "json"}
    if webhook_id is not None:
        if webhook_id not in state.webhooks:
            raise _not_found()
        webhook = state.webhooks[webhook_id]
    webhook = webhook | {name: asked[name] for name in ("endpoint", "http_method", "request_format") if name in asked}
    _check_request(webhook)
    payload = asked.get("payload", "")
    text = payload if isinstance(payload, str) else json.dumps(payload)
    result = await webhooks.try_out(state, request.app[SESSION], webhook, webhook_id, text)
    return web.json_response({"response": result})


async def show_secret(request: web.Request) -> web.Response:
    """Shows the signing secret; POST makes a new one."""
    state, webhook = _known(request)
    if request.method == "POST":
        state.webhook_secrets[webhook["id"]] = people.made_up_secret()
    secret = {"secret": state.webhook_secrets[webhook["id"]], "algorithm": "SHA256"}
    return web.json_response({"signing_secret": secret}, status=201 if request.method == "POST" else 200)


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "webhooks", index),
    ("POST", "webhooks", create),
    ("POST", "webhooks/test", test),
    ("GET", "webhooks/{id}", show),
    ("PUT", "webhooks/{id}", update),
    ("PATCH", "webhooks/{id}", update),
    ("DELETE", "webhooks/{id}", delete),
    ("GET", "webhooks/{id}/signing_secret", show_secret),
    ("POST", "webhooks/{id}/signing_secret", show_secret),
)
