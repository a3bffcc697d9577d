"""What a token of the sandbox reaches, how it is looked at and given up, and what a lost answer costs."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from zendesk_bridge.sandbox import Fault, ZendeskServer, people
from zendesk_bridge.sandbox.tokens import Token

SECRET = {"client_id": people.CLIENT_ID, "client_secret": people.CLIENT_SECRET}
OWN = "/api/v2/oauth/tokens/current.json"


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskServer]:
    async with ZendeskServer() as server:
        yield server


async def call(zendesk: ZendeskServer, method: str, path: str, bearer: str, **sent: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, zendesk.url + path, **sent) as answer,
    ):
        return answer.status, await answer.json() if answer.status != 204 else None


def add_token(zendesk: ZendeskServer, scope: str, user_id: int = people.ADA) -> str:
    """A pair as the authorization code gives it."""
    value = f"access-token-for-{scope.replace(' ', '-')}"
    zendesk.state.tokens[value] = Token(
        value=value,
        client_id=people.CLIENT_ID,
        user_id=user_id,
        scope=scope,
        expires_at=zendesk.state.clock() + 1800,
        refresh_token=f"refresh-{value}",
        refresh_expires_at=zendesk.state.clock() + 3600,
    )
    return value


@pytest.mark.parametrize("resource", ["webhooks", "triggers"])
async def test_reading_and_writing_are_scopes_of_their_own(zendesk: ZendeskServer, resource: str) -> None:
    for scope, reads, writes in (
        (f"{resource}:read", True, False),
        (f"{resource}:write", False, True),
        ("read", True, False),
        ("write", False, True),
        ("tickets:read tickets:write", False, False),
    ):
        bearer = add_token(zendesk, scope)
        for method, verb, allowed in (("GET", "read", reads), ("POST", "write", writes)):
            status, answer = await call(zendesk, method, f"/api/v2/{resource}", bearer, json={})
            if allowed:
                assert status in (200, 400), (scope, method, answer)
            else:
                missing = f"You are missing the following required scopes: {resource}:{verb}, {verb}"
                assert (status, answer) == (403, {"error": "Forbidden", "description": missing})


async def test_a_token_shows_itself_but_for_ten_characters(zendesk: ZendeskServer) -> None:
    bearer = add_token(zendesk, "tickets:read webhooks:write", people.NOOR)
    status, answer = await call(zendesk, "GET", OWN, bearer)
    shown = answer["token"]
    assert (status, shown["user_id"], shown["scopes"]) == (200, people.NOOR, ["tickets:read", "webhooks:write"])
    assert (shown["token"], shown["refresh_token"]) == (bearer[:10], "refresh-ac")
    assert (await call(zendesk, "GET", f"/api/v2/oauth/tokens/{shown['id']}", bearer))[1]["token"]["id"] == shown["id"]
    assert (await call(zendesk, "GET", f"/api/v2/oauth/tokens/{shown['id'] + 1}", bearer))[0] == 404


async def test_a_revoked_token_ends_and_its_refresh_token_with_it(zendesk: ZendeskServer) -> None:
    bearer = add_token(zendesk, "tickets:read")
    assert await call(zendesk, "DELETE", OWN, bearer) == (204, None)
    status, answer = await call(zendesk, "GET", OWN, bearer)
    assert (status, answer["error"]) == (401, "invalid_token")
    refresh = SECRET | {"grant_type": "refresh_token", "refresh_token": f"refresh-{bearer}"}
    status, answer = await call(zendesk, "POST", "/oauth/tokens", "", json=refresh)
    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_the_own_token_can_be_made_to_need_a_scope(zendesk: ZendeskServer) -> None:
    zendesk.state.own_token_needs_scope = True
    bearer = add_token(zendesk, "tickets:read tickets:write")
    for method in ("GET", "DELETE"):
        assert (await call(zendesk, method, OWN, bearer))[0] == 403
    assert bearer in zendesk.state.tokens


async def test_an_api_token_is_not_an_oauth_token(zendesk: ZendeskServer) -> None:
    secret = base64.b64encode(f"ada@example.com/token:{people.API_TOKEN}".encode()).decode()
    headers = {"Authorization": f"Basic {secret}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(zendesk.url + OWN) as answer:
        assert answer.status == 404
    async with aiohttp.ClientSession() as session, session.get(zendesk.url + OWN) as answer:
        assert answer.status == 401


async def test_a_refresh_whose_answer_is_lost_has_ended_the_old_pair(zendesk: ZendeskServer) -> None:
    bearer = add_token(zendesk, "read")
    refresh = SECRET | {"grant_type": "refresh_token", "refresh_token": f"refresh-{bearer}"}
    zendesk.state.faults.append(Fault("/oauth/tokens", "drop", after_work=True))
    with pytest.raises(aiohttp.ClientConnectionError):
        await call(zendesk, "POST", "/oauth/tokens", "", json=refresh)
    assert (await call(zendesk, "GET", "/api/v2/users/me", bearer))[0] == 401
    status, answer = await call(zendesk, "POST", "/oauth/tokens", "", json=refresh)
    assert (status, answer["error"]) == (400, "invalid_grant")
    # The pair nobody got is alive all the same.
    assert [token.scope for token in zendesk.state.tokens.values() if token.refresh_token] == ["read"]


async def test_a_refresh_that_fails_before_the_work_has_ended_nothing(zendesk: ZendeskServer) -> None:
    bearer = add_token(zendesk, "read")
    refresh = SECRET | {"grant_type": "refresh_token", "refresh_token": f"refresh-{bearer}"}
    zendesk.state.faults.append(Fault("/oauth/tokens", "drop"))
    with pytest.raises(aiohttp.ClientConnectionError):
        await call(zendesk, "POST", "/oauth/tokens", "", json=refresh)
    assert (await call(zendesk, "GET", "/api/v2/users/me", bearer))[0] == 200
    assert (await call(zendesk, "POST", "/oauth/tokens", "", json=refresh))[0] == 200
