"""Reading a request the way Zendesk does: who asks, ids, lists of ids, pages; and writing records into an answer."""

import base64
import binascii
import json
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from zendesk_bridge.sandbox.answers import (
    Refused,
    forbidden,
    invalid_attribute,
    invalid_token,
    listed_error,
    missing_scope,
    not_authenticated,
)
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.state import ZendeskState
from zendesk_bridge.sandbox.tokens import Token, allows

STATE = web.AppKey("STATE", ZendeskState)
MOST_IDS = 100
MOST_PER_PAGE = 100
ADMIN_ONLY = ("incremental", "webhooks")
# Agents may read these, only admins may change them.
ADMIN_WRITES = ("triggers",)
# Where a record's own address is; metric sets have an address of their own kind.
PATHS = {
    "ticket": "tickets",
    "user": "users",
    "organization": "organizations",
    "group": "groups",
    "metric_set": "ticket_metrics",
    "trigger": "triggers",
}


def caller(request: web.Request) -> Record | None:
    """The person the credentials stand for; None without credentials. Refuses wrong ones, and scopes too narrow."""
    state = request.app[STATE]
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if not credentials:
        return None
    if scheme.lower() == "bearer":
        token = _bearer(state, credentials)
        _check_scope(state, token, request)
        return state.users[token.user_id]
    if scheme.lower() == "basic":
        return _basic(state, credentials)
    raise not_authenticated()


def own_token(request: web.Request) -> Token | None:
    """The OAuth token the request came with; None where it came with other credentials."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return _bearer(request.app[STATE], credentials) if scheme.lower() == "bearer" else None


def _bearer(state: ZendeskState, credentials: str) -> Token:
    token = state.tokens.get(credentials.strip())
    if token is None or (token.expires_at is not None and token.expires_at <= state.clock()):
        raise invalid_token()
    return token


def _check_scope(state: ZendeskState, token: Token, request: web.Request) -> None:
    reading, resource = request.method in ("GET", "HEAD"), _resource(request)
    if resource == "oauth" and not state.own_token_needs_scope:
        return
    resource = {"incremental": "tickets", "oauth": "oauth_tokens"}.get(resource, resource)
    if not allows(token.scope, resource, reading):
        raise missing_scope(resource, "read" if reading else "write")


def _resource(request: web.Request) -> str:
    return request.path.removeprefix("/api/v2/").split("/")[0].removesuffix(".json")


def _basic(state: ZendeskState, credentials: str) -> Record:
    try:
        name, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
        email, slash, kind = name.rpartition("/")
        # Passwords ended in January 2026: only e-mail/token is left.
        if slash and kind == "token" and secret in state.api_tokens:
            user = state.user_by_email(email)
            if state.is_staff(user["id"]):
                return user
    except (binascii.Error, UnicodeDecodeError, LookupError):
        pass
    raise not_authenticated()


def require(request: web.Request) -> Record:
    """The person who asks, who must be known, an agent, and an admin where Zendesk wants one."""
    person = caller(request)
    if person is None:
        raise not_authenticated()
    resource = _resource(request)
    needs_admin = resource in ADMIN_ONLY or (resource in ADMIN_WRITES and request.method not in ("GET", "HEAD"))
    if person["role"] == "end-user" or (needs_admin and person["role"] != "admin"):
        raise forbidden()
    return person


def id_in(request: web.Request, action: str) -> int:
    """The id in the path; not a number is Zendesk's 400, not a 404."""
    text = request.match_info["id"]
    if not text.isascii() or not text.isdigit():
        raise invalid_attribute("id", "an integer", action)
    return int(text)


def ids_in(request: web.Request, action: str) -> list[int]:
    """The numbers of `ids=1,2,3`, each once."""
    texts = [text.strip() for text in request.query.get("ids", "").split(",") if text.strip()]
    if not texts or not all(text.isascii() and text.isdigit() for text in texts):
        raise invalid_attribute("ids", "a comma-separated list of ids", action)
    if len(texts) > MOST_IDS:
        description = f"Parameter 'ids' has too many values: {len(texts)}. The most allowed is {MOST_IDS}."
        raise Refused(400, {"error": "TooManyValues", "description": description})
    return list(dict.fromkeys(int(text) for text in texts))


def whole_number(request: web.Request, name: str, action: str) -> int | None:
    """A number from the query, None where it is not given."""
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise invalid_attribute(name, "an integer", action)
    return int(text)


async def json_body(request: web.Request) -> dict[str, Any]:
    """The request's JSON object."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, {"error": {"title": "Bad Request", "message": "The request could not be understood."}})
    return body


def present(state: ZendeskState, kind: str, record: Record, *, beside: bool = False) -> Record:
    """A record as it is sent, by itself or beside others: with its address, without the keys a test took away."""
    sent = dict(record)
    if kind in PATHS and "url" in sent and sent["id"] is not None:
        sent["url"] = f"{state.url}/api/v2/{PATHS[kind]}/{sent['id']}.json"
    for name in state.absent_fields.get(kind, set()) | (state.absent_beside.get(kind, set()) if beside else set()):
        sent.pop(name, None)
    return sent


def page(request: web.Request, name: str, found: list[Record]) -> Record:
    """A list in pages: by cursor where `page[size]` or `page[after]` is given, else by number."""
    state = request.app[STATE]
    if "page[size]" in request.query or "page[after]" in request.query:
        return _cursor_page(request, state, name, found)
    number = max(1, whole_number(request, "page", f"{name}/index") or 1)
    size = min(MOST_PER_PAGE, max(1, whole_number(request, "per_page", f"{name}/index") or MOST_PER_PAGE))
    if number * size > 10_000:
        raise listed_error(400, "InvalidPaginationDepth", "Invalid pagination depth", "Use cursor pagination instead.")

    def link(to: int) -> str | None:
        if not 1 <= to <= -(-len(found) // size):
            return None
        return _link(request, state, {"page": str(to), "per_page": str(size)})

    return {
        name: found[(number - 1) * size : number * size],
        "next_page": link(number + 1),
        "previous_page": link(number - 1),
        "count": len(found),
    }


def _cursor_page(request: web.Request, state: ZendeskState, name: str, found: list[Record]) -> Record:
    try:
        size = min(MOST_PER_PAGE, max(1, int(request.query.get("page[size]", MOST_PER_PAGE))))
        start = int(base64.b64decode(request.query["page[after]"])) if "page[after]" in request.query else 0
    except ValueError as error:
        raise listed_error(
            400, "InvalidPaginationParameter", "Invalid parameter", "page[after] is not valid"
        ) from error
    end = min(start + size, len(found))
    cursor, first = (base64.b64encode(str(place).encode()).decode() for place in (end, start))
    asked = {"page[size]": str(size)}
    return {
        name: found[start:end],
        "meta": {
            "has_more": end < len(found),
            "after_cursor": cursor if found[start:end] else None,
            "before_cursor": first if found[start:end] else None,
        },
        "links": {
            "prev": _link(request, state, asked | {"page[before]": first}) if found[start:end] else None,
            "next": _link(request, state, asked | {"page[after]": cursor}) if found[start:end] else None,
        },
    }


def _link(request: web.Request, state: ZendeskState, query: dict[str, str]) -> str:
    kept = {name: value for name, value in request.query.items() if not name.startswith("page") and name != "per_page"}
    return f"{state.url}{request.path}?{urlencode(kept | query)}"
