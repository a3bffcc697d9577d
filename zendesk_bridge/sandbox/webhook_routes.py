"""The webhooks API of the sandbox: create, list, show, change, delete, and read or renew the signing secret."""

import re
from urllib.parse import urlsplit

from aiohttp import web

from zendesk_bridge.sandbox import people, records
from zendesk_bridge.sandbox.answers import Refused, listed_error
from zendesk_bridge.sandbox.asking import STATE, json_body, page, require
from zendesk_bridge.sandbox.people import TRIGGER_CONNECTED
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.routes import Handler
from zendesk_bridge.sandbox.state import ZendeskState

EVENT_TYPE = re.compile(r"zen:event-type:[a-z_]+\.[a-z_]+")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
CHANGEABLE = ("name", "description", "status", "subscriptions", "endpoint", "http_method", "request_format")


def _invalid(detail: str) -> Refused:
    return listed_error(400, "InvalidWebhook", "Invalid webhook", detail)


def _checked(fields: Record) -> Record:
    for required in ("name", "endpoint", "http_method", "request_format", "status"):
        if not isinstance(fields.get(required), str) or not fields[required]:
            raise _invalid(f"{required} is required")
    if fields["status"] not in ("active", "inactive"):
        raise _invalid("status must be active or inactive")
    address = urlsplit(fields["endpoint"])
    # Zendesk takes https only; the sandbox adds http to this machine, where its receivers live.
    if address.scheme != "https" and not (address.scheme == "http" and address.hostname in LOOPBACK):
        raise _invalid("endpoint must be a valid https URL")
    subscriptions = fields.get("subscriptions") or []
    if not isinstance(subscriptions, list) or not all(isinstance(each, str) for each in subscriptions):
        raise _invalid("subscriptions must be a list of event types")
    if subscriptions and subscriptions != [TRIGGER_CONNECTED]:
        if not all(EVENT_TYPE.fullmatch(each) for each in subscriptions):
            raise _invalid("subscriptions holds an unknown event type")
        if (fields["http_method"], fields["request_format"]) != ("POST", "json"):
            raise _invalid("a webhook subscribed to events must use POST and json")
    return fields


def _known(request: web.Request) -> tuple[ZendeskState, Record]:
    require(request)
    state = request.app[STATE]
    webhook = state.webhooks.get(request.match_info["id"])
    if webhook is None:
        raise listed_error(404, "WebhookNotFound", "Webhook not found", "There is no webhook with this id")
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
    person = require(request)
    fields = _checked(_fields(await json_body(request)))
    webhook = request.app[STATE].add_webhook(
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
    """Changes a webhook; one that is subscribed to events cannot become one for triggers, nor the other way."""
    state, webhook = _known(request)
    fields = {name: value for name, value in _fields(await json_body(request)).items() if name in CHANGEABLE}
    changed = _checked(webhook | fields)
    if (webhook["subscriptions"] == [TRIGGER_CONNECTED]) != (changed["subscriptions"] == [TRIGGER_CONNECTED]):
        raise _invalid("a webhook cannot be switched between events and triggers")
    webhook.update(changed, updated_at=records.fine_stamp(state.clock()), updated_by=webhook["created_by"])
    if request.method == "PUT":
        return web.Response(status=204)
    return web.json_response({"webhook": shown(webhook)})


async def delete(request: web.Request) -> web.Response:
    """Deletes a webhook."""
    state, webhook = _known(request)
    del state.webhooks[webhook["id"]], state.webhook_secrets[webhook["id"]]
    return web.Response(status=204)


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
    ("GET", "webhooks/{id}", show),
    ("PUT", "webhooks/{id}", update),
    ("PATCH", "webhooks/{id}", update),
    ("DELETE", "webhooks/{id}", delete),
    ("GET", "webhooks/{id}/signing_secret", show_secret),
    ("POST", "webhooks/{id}/signing_secret", show_secret),
)
