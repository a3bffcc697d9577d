"""OAuth tokens over HTTP: getting one, looking at one's own, and giving it up."""

import json

from aiohttp import web

from zendesk_bridge.sandbox import records, tokens
from zendesk_bridge.sandbox.answers import not_authenticated, oauth_error, record_not_found
from zendesk_bridge.sandbox.asking import STATE, caller, own_token
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.routes import Handler
from zendesk_bridge.sandbox.state import ZendeskState
from zendesk_bridge.sandbox.tokens import Token

# How much of a token is shown to those who hold it.
SHOWN_CHARACTERS = 10


async def grant(request: web.Request) -> web.Response:
    """Gives out a token; takes JSON and forms."""
    if request.content_type == "application/json":
        try:
            asked = json.loads(await request.read())
        except ValueError:
            asked = None
    else:
        asked = dict(await request.post())
    if not isinstance(asked, dict):
        raise oauth_error(400, "invalid_request", "The request is missing a required parameter.")
    return web.json_response(tokens.grant(request.app[STATE], asked))


async def show(request: web.Request) -> web.Response:
    """Shows a token of the caller's: `current` is the one the request came with."""
    return web.json_response({"token": _shown(request.app[STATE], _asked_for(request))})


async def revoke(request: web.Request) -> web.Response:
    """Ends a token of the caller's, and the refresh token given out with it."""
    token = _asked_for(request)
    del request.app[STATE].tokens[token.value]
    return web.Response(status=204)


def _asked_for(request: web.Request) -> Token:
    person, asked = caller(request), request.match_info["id"]
    if person is None:
        raise not_authenticated()
    if asked == "current":
        token = own_token(request)
    else:
        of_person = (each for each in request.app[STATE].tokens.values() if each.user_id == person["id"])
        token = next((each for each in of_person if str(each.id) == asked), None)
    if token is None:
        raise record_not_found()
    return token


def _shown(state: ZendeskState, token: Token) -> Record:
    client = state.clients.get(token.client_id)
    return {
        "url": f"{state.url}/api/v2/oauth/tokens/{token.id}.json",
        "id": token.id,
        "user_id": token.user_id,
        "client_id": None if client is None else client.id,
        "token": token.value[:SHOWN_CHARACTERS],
        "refresh_token": None if token.refresh_token is None else token.refresh_token[:SHOWN_CHARACTERS],
        "created_at": records.stamp(token.created_at),
        "expires_at": None if token.expires_at is None else records.stamp(token.expires_at),
        "used_at": records.stamp(state.clock()),
        "scopes": token.scope.split(),
    }


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "oauth/tokens/{id}", show),
    ("DELETE", "oauth/tokens/{id}", revoke),
)
