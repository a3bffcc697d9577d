"""The sandbox's consent page: what a person reads there, and where each of the two buttons leads."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from zendesk_bridge.sandbox import ZendeskServer, people

REDIRECT = "http://127.0.0.1:3000/zendesk/oauth_redirect"
ASKED = {
    "response_type": "code",
    "client_id": people.CLIENT_ID,
    "redirect_uri": REDIRECT,
    "scope": "tickets:read webhooks:write",
    "state": "s&1",
}
VERIFIER = "a-verifier-of-the-length-that-the-standard-asks-for"


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskServer]:
    async with ZendeskServer() as server:
        yield server


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def opened(
    zendesk: ZendeskServer, browser: aiohttp.ClientSession, asked: dict[str, str]
) -> tuple[int, str, str | None]:
    """The page: its status, its text, and where it wants to redirect to."""
    address = f"{zendesk.url}/oauth/authorizations/new"
    async with browser.get(address, params=asked, allow_redirects=False) as page:
        assert page.content_type == "text/html"
        return page.status, await page.text(), page.headers.get("Location")


async def pressed(zendesk: ZendeskServer, browser: aiohttp.ClientSession, page: str, button: str) -> tuple[int, str]:
    """What a press of a button answers: the status, and the address or the page."""
    (action,) = re.findall(r'<form method="post" action="([^"]+)">', page)
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]+)">', page))
    ((name, value),) = re.findall(rf'<button type="submit" id="{button}" name="([^"]+)" value="([^"]+)">', page)
    sent = {key: unescape(each) for key, each in fields.items()} | {name: value}
    async with browser.post(zendesk.url + action, data=sent, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location") or await answer.text()


def query_of(location: str) -> dict[str, str]:
    assert location.startswith(f"{REDIRECT}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def token(zendesk: ZendeskServer, browser: aiohttp.ClientSession, **asked: str) -> tuple[int, Any]:
    async with browser.post(f"{zendesk.url}/oauth/tokens", json=asked) as answer:
        return answer.status, await answer.json()


async def test_the_page_names_the_client_the_scopes_and_the_person(
    zendesk: ZendeskServer, browser: aiohttp.ClientSession
) -> None:
    client = zendesk.state.clients[people.CLIENT_ID]
    zendesk.state.clients[people.CLIENT_ID] = replace(client, name="Flows <b>&</b> more")
    status, page, location = await opened(zendesk, browser, ASKED)
    assert (status, location) == (200, None)
    assert '<strong id="client">Flows &lt;b&gt;&amp;&lt;/b&gt; more</strong>' in page
    assert '<strong id="person">Ada Moreau (ada@example.com)</strong>' in page
    assert "<li>tickets:read</li>\n<li>webhooks:write</li>" in page
    assert "<script" not in page
    assert zendesk.state.codes == {}


async def test_whoever_asks_for_no_scope_asks_for_everything(
    zendesk: ZendeskServer, browser: aiohttp.ClientSession
) -> None:
    _, page, _ = await opened(zendesk, browser, {name: text for name, text in ASKED.items() if name != "scope"})
    assert "<li>read</li>\n<li>write</li>" in page


async def test_allow_sends_the_person_back_with_a_code_for_this_person(
    zendesk: ZendeskServer, browser: aiohttp.ClientSession
) -> None:
    zendesk.state.consenting_user = people.NOOR
    _, page, _ = await opened(zendesk, browser, ASKED)
    assert "Noor Haddad (noor@example.com)" in page
    status, location = await pressed(zendesk, browser, page, "allow")
    answer = query_of(location)
    assert (status, answer["state"], set(answer)) == (302, "s&1", {"code", "state"})
    status, given = await token(
        zendesk,
        browser,
        grant_type="authorization_code",
        client_id=people.CLIENT_ID,
        client_secret=people.CLIENT_SECRET,
        code=answer["code"],
        redirect_uri=REDIRECT,
    )
    assert (status, given["scope"]) == (200, "tickets:read webhooks:write")
    assert zendesk.state.tokens[given["access_token"]].user_id == people.NOOR


async def test_deny_sends_the_person_back_with_the_refusal(
    zendesk: ZendeskServer, browser: aiohttp.ClientSession
) -> None:
    _, page, _ = await opened(zendesk, browser, ASKED)
    status, location = await pressed(zendesk, browser, page, "deny")
    answer = query_of(location)
    assert (status, answer["error"], answer["state"]) == (302, "access_denied", "s&1")
    assert "denied" in answer["error_description"]
    assert zendesk.state.codes == {}


async def test_a_page_is_good_for_one_decision(zendesk: ZendeskServer, browser: aiohttp.ClientSession) -> None:
    _, page, _ = await opened(zendesk, browser, ASKED)
    await pressed(zendesk, browser, page, "deny")
    status, again = await pressed(zendesk, browser, page, "allow")
    assert (status, "answered or is too old" in again) == (400, True)
    assert zendesk.state.codes == {}


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"client_id": "nobody"}, "No such client"),
        ({"redirect_uri": "https://elsewhere.example/back"}, "redirect_uri"),
        ({"redirect_uri": ""}, "redirect_uri"),
        ({"response_type": ""}, "response_type"),
        ({"response_type": "token"}, "response_type"),
        ({"scope": "tickets:read everything"}, "scope"),
        ({"code_challenge": "c", "code_challenge_method": "S512"}, "code_challenge_method"),
    ],
)
async def test_a_wrong_request_gets_a_page_and_no_redirect(
    zendesk: ZendeskServer, browser: aiohttp.ClientSession, wrong: dict[str, str], why: str
) -> None:
    client = zendesk.state.clients[people.CLIENT_ID]
    scopes = frozenset({"tickets:read", "webhooks:write"})
    zendesk.state.clients[people.CLIENT_ID] = replace(client, scopes=scopes, redirect_uris=(REDIRECT,))
    assert (await opened(zendesk, browser, ASKED))[0] == 200
    status, page, location = await opened(zendesk, browser, ASKED | wrong)
    assert (status, location) == (400, None)
    assert re.search(rf'<p id="error">[^<]*{why}', page)
    assert "<form" not in page


@pytest.mark.parametrize(
    "uri", ["http://bridge.example/back", "ftp://bridge.example/", "/back", "https://", "http://["]
)
async def test_people_are_sent_to_https_only_except_on_their_own_machine(
    zendesk: ZendeskServer, browser: aiohttp.ClientSession, uri: str
) -> None:
    assert (await opened(zendesk, browser, ASKED | {"redirect_uri": uri}))[0] == 400
    for fine in ("https://bridge.example/back", "http://localhost:3000/back"):
        assert (await opened(zendesk, browser, ASKED | {"redirect_uri": fine}))[0] == 200


async def test_where_nobody_is_signed_in_there_is_nobody_to_ask(
    zendesk: ZendeskServer, browser: aiohttp.ClientSession
) -> None:
    zendesk.state.users[people.ADA]["role"] = "agent"
    status, page, _ = await opened(zendesk, browser, ASKED)
    assert (status, "Nobody is signed in" in page) == (400, True)


async def test_a_public_client_proves_itself_by_pkce_alone(
    zendesk: ZendeskServer, browser: aiohttp.ClientSession
) -> None:
    asked = ASKED | {"client_id": people.PUBLIC_CLIENT_ID}
    status, page, _ = await opened(zendesk, browser, asked)
    assert (status, "code_challenge" in page) == (400, True)
    for verifier, expected in (("another", 400), (VERIFIER, 200)):
        # S256 of VERIFIER.
        challenge = {"code_challenge": "8XWVTV4Hkd944bEIX8DoJMcpRPzH8XH4BdWMmtZSF0U", "code_challenge_method": "S256"}
        _, page, _ = await opened(zendesk, browser, asked | challenge)
        _, location = await pressed(zendesk, browser, page, "allow")
        status, answer = await token(
            zendesk,
            browser,
            grant_type="authorization_code",
            client_id=people.PUBLIC_CLIENT_ID,
            code=query_of(location)["code"],
            redirect_uri=REDIRECT,
            code_verifier=verifier,
        )
        assert status == expected
    status, answer = await token(
        zendesk,
        browser,
        grant_type="refresh_token",
        client_id=people.PUBLIC_CLIENT_ID,
        refresh_token=answer["refresh_token"],
    )
    assert (status, answer["scope"]) == (200, ASKED["scope"])
    status, refused = await token(zendesk, browser, grant_type="client_credentials", client_id=people.PUBLIC_CLIENT_ID)
    assert (status, refused["error"]) == (400, "unauthorized_client")


async def test_less_can_be_granted_than_was_asked_for(zendesk: ZendeskServer, browser: aiohttp.ClientSession) -> None:
    zendesk.state.granted_scope = "tickets:read"
    _, page, _ = await opened(zendesk, browser, ASKED)
    assert "<li>webhooks:write</li>" in page
    _, location = await pressed(zendesk, browser, page, "allow")
    secret = {"client_id": people.CLIENT_ID, "client_secret": people.CLIENT_SECRET}
    asked = {"grant_type": "authorization_code", "code": query_of(location)["code"], "redirect_uri": REDIRECT}
    _, given = await token(zendesk, browser, **secret, **asked)
    _, other = await token(zendesk, browser, **secret, grant_type="client_credentials", scope="read")
    assert (given["scope"], other["scope"]) == ("tickets:read", "tickets:read")
