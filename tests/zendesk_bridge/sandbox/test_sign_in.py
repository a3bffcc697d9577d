"""Who the Zendesk sandbox lets in: OAuth grants, API tokens, roles and scopes."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from zendesk_bridge.sandbox import ZendeskServer, ZendeskState, people
from zendesk_bridge.sandbox.tokens import Client

SECRET = {"client_id": people.CLIENT_ID, "client_secret": people.CLIENT_SECRET}


class Clock:
    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def zendesk(clock: Clock) -> AsyncIterator[ZendeskServer]:
    async with ZendeskServer(ZendeskState(clock=clock)) as server:
        yield server


async def call(
    zendesk: ZendeskServer, method: str, path: str, authorization: str | None = None, **sent: Any
) -> tuple[int, Any]:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, zendesk.url + path, headers=headers, allow_redirects=False, **sent) as answer,
    ):
        if answer.content_type != "application/json":
            return answer.status, dict(answer.headers)
        return answer.status, await answer.json()


async def token(zendesk: ZendeskServer, **asked: Any) -> tuple[int, Any]:
    return await call(zendesk, "POST", "/oauth/tokens", json=SECRET | asked)


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


async def test_without_credentials_users_me_is_an_anonymous_user_with_status_200(zendesk: ZendeskServer) -> None:
    status, answer = await call(zendesk, "GET", "/api/v2/users/me.json")
    assert (status, answer["user"]["id"], answer["user"]["name"]) == (200, None, "Anonymous user")
    assert (await call(zendesk, "GET", "/api/v2/tickets/101"))[0] == 401


async def test_an_api_token_works_with_an_agents_e_mail_only(zendesk: ZendeskServer) -> None:
    good = basic("noor@example.com/token", people.API_TOKEN)
    assert (await call(zendesk, "GET", "/api/v2/users/me", good))[1]["user"]["id"] == people.NOOR
    for name, secret in (
        ("noor@example.com/token", "wrong"),
        ("noor@example.com", people.API_TOKEN),
        ("tomas@example.org/token", people.API_TOKEN),
        ("nobody@example.com/token", people.API_TOKEN),
    ):
        status, answer = await call(zendesk, "GET", "/api/v2/users/me", basic(name, secret))
        assert (status, answer) == (401, {"error": "Couldn't authenticate you"})


async def test_client_credentials_give_half_an_hour_and_no_refresh_token(zendesk: ZendeskServer, clock: Clock) -> None:
    status, answer = await token(zendesk, grant_type="client_credentials", scope="tickets:read users:read")
    assert status == 200
    assert set(answer) == {"access_token", "token_type", "scope", "expires_in"}
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 1800)
    bearer = f"Bearer {answer['access_token']}"
    assert (await call(zendesk, "GET", "/api/v2/users/me", bearer))[1]["user"]["id"] == people.ADA
    clock.now += 1800
    status, answer = await call(zendesk, "GET", "/api/v2/users/me", bearer)
    assert (status, answer["error"]) == (401, "invalid_token")


async def test_tokens_are_also_given_to_forms(zendesk: ZendeskServer) -> None:
    form = SECRET | {"grant_type": "client_credentials"}
    status, answer = await call(zendesk, "POST", "/oauth/tokens", data=form)
    assert (status, answer["scope"]) == (200, "read write")


async def test_all_tokens_can_be_ended_at_once(zendesk: ZendeskServer) -> None:
    zendesk.state.expire_tokens()
    status, answer = await call(zendesk, "GET", "/api/v2/tickets/101", f"Bearer {people.OAUTH_TOKEN}")
    assert (status, answer["error"]) == (401, "invalid_token")


async def test_a_wrong_secret_or_client_is_refused(zendesk: ZendeskServer) -> None:
    for wrong in ({"client_secret": "wrong ü"}, {"client_id": "nobody"}):
        status, answer = await token(zendesk, grant_type="client_credentials", **wrong)
        assert (status, answer["error"]) == (401, "invalid_client")


async def test_a_scope_outside_the_clients_is_refused_and_an_unknown_one_reaches_nothing(
    zendesk: ZendeskServer,
) -> None:
    _, answer = await token(zendesk, grant_type="client_credentials", scope="tickets:raed")
    status, refusal = await call(zendesk, "GET", "/api/v2/tickets/101", f"Bearer {answer['access_token']}")
    assert (status, refusal) == (
        403,
        {"error": "Forbidden", "description": "You are missing the following required scopes: tickets:read, read"},
    )
    zendesk.state.clients[people.CLIENT_ID] = Client(
        identifier=people.CLIENT_ID, secret=people.CLIENT_SECRET, user_id=people.ADA, scopes=frozenset({"tickets:read"})
    )
    status, answer = await token(zendesk, grant_type="client_credentials", scope="tickets:read users:read")
    assert (status, answer["error"]) == (400, "invalid_scope")


async def test_agents_may_not_export_nor_see_webhooks(zendesk: ZendeskServer) -> None:
    agent = basic("ben@example.com/token", people.API_TOKEN)
    for path in ("incremental/ticket_events.json?start_time=1", "webhooks"):
        status, answer = await call(zendesk, "GET", f"/api/v2/{path}", agent)
        assert (status, answer["error"]["title"]) == (403, "Forbidden")


async def consent(zendesk: ZendeskServer, verifier: str) -> dict[str, str]:
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": people.CLIENT_ID,
        "redirect_uri": "http://127.0.0.1:3000/zendesk/oauth_redirect",
        "scope": "read",
        "state": "s-1",
        "code_challenge": digest,
        "code_challenge_method": "S256",
    }
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{zendesk.url}/oauth/authorizations/new", params=asked) as page:
            (token,) = re.findall(r'name="authenticity_token" value="([^"]+)"', await page.text())
        form = {"authenticity_token": token, "decision": "allow"}
        async with session.post(f"{zendesk.url}/oauth/authorizations", data=form, allow_redirects=False) as answer:
            assert answer.status == 302
            query = answer.headers["Location"].partition("?")[2]
    return dict(part.split("=", 1) for part in query.split("&")) | {"redirect_uri": asked["redirect_uri"]}


async def test_a_code_needs_its_verifier_and_works_once(zendesk: ZendeskServer, clock: Clock) -> None:
    given = await consent(zendesk, "verifier-of-the-right-length-and-more-of-it")
    assert given["state"] == "s-1"
    asked = {"grant_type": "authorization_code", "code": given["code"], "redirect_uri": given["redirect_uri"]}
    status, answer = await token(zendesk, **asked, code_verifier="another")
    assert (status, answer["error"]) == (400, "invalid_grant")
    asked["code"] = (await consent(zendesk, "right"))["code"]
    status, answer = await token(zendesk, **asked, code_verifier="right")
    assert (status, answer["scope"]) == (200, "read")
    assert (await token(zendesk, **asked, code_verifier="right"))[0] == 400
    asked["code"] = (await consent(zendesk, "right"))["code"]
    clock.now += 120
    assert (await token(zendesk, **asked, code_verifier="right"))[0] == 400


async def test_a_refresh_ends_both_old_tokens(zendesk: ZendeskServer) -> None:
    given = await consent(zendesk, "right")
    asked = {"grant_type": "authorization_code", "code": given["code"], "redirect_uri": given["redirect_uri"]}
    _, first = await token(zendesk, **asked, code_verifier="right")
    _, second = await token(zendesk, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (await call(zendesk, "GET", "/api/v2/users/me", f"Bearer {first['access_token']}"))[0] == 401
    assert (await call(zendesk, "GET", "/api/v2/users/me", f"Bearer {second['access_token']}"))[0] == 200
    status, answer = await token(zendesk, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (status, answer["error"]) == (400, "invalid_grant")
