"""The Zendesk client, through real zenpy and requests, against the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.flows.errors import ConnectorError, Credentials, Permanent, Transient, Uncertain
from zendesk_bridge.sandbox import Fault, ZendeskServer, people
from zendesk_bridge.sandbox.tokens import Client

MakeClient = Callable[..., ZendeskClient]

OAUTH = {"client_id": people.CLIENT_ID, "client_secret": SecretStr(people.CLIENT_SECRET)}


@pytest.fixture
async def client_of(zendesk: ZendeskServer) -> AsyncIterator[MakeClient]:
    """Makes clients of the sandbox account, by default with the OAuth client."""
    async with AsyncExitStack() as exits:

        def make(**ways: Any) -> ZendeskClient:
            observe = ways.pop("observe", lambda endpoint, outcome: None)
            settings = {"subdomain": "harbour", "api_url": zendesk.url, **(ways or OAUTH)}
            client = ZendeskClient(ZendeskSettings(**settings), observe=observe)
            exits.push_async_callback(client.close)
            return client

        yield make


def calls_to(zendesk: ZendeskServer, path: str) -> int:
    return sum(path in call.path for call in zendesk.state.calls)


async def error_of(client: ZendeskClient) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        await client.user(str(people.NOOR))
    return caught.value


# Authentication


async def test_client_credentials_get_one_token_for_all_callers(zendesk: ZendeskServer, client_of: MakeClient) -> None:
    client = client_of()
    users = await asyncio.gather(*(client.user(str(people.NOOR)) for _ in range(20)))
    assert {user["email"] for user in users} == {"noor@example.com"}
    assert calls_to(zendesk, "/oauth/tokens") == 1
    assert client.granted == "read"


async def test_a_token_is_renewed_before_it_expires(zendesk: ZendeskServer, client_of: MakeClient) -> None:
    zendesk.state.token_seconds = 61  # renewed a minute before: at once
    client = client_of()
    await client.user(str(people.NOOR))
    await asyncio.sleep(1.05)
    await client.user(str(people.NOOR))
    assert calls_to(zendesk, "/oauth/tokens") == 2
    assert all(call.status == 200 for call in zendesk.state.calls)


async def test_a_token_that_zendesk_expired_is_renewed_once_for_all_and_the_calls_succeed(
    zendesk: ZendeskServer, client_of: MakeClient
) -> None:
    client = client_of()
    await client.user(str(people.NOOR))
    zendesk.state.expire_tokens()
    await asyncio.gather(*(client.user(str(people.BEN)) for _ in range(10)))
    assert calls_to(zendesk, "/oauth/tokens") == 2


async def test_a_token_that_cannot_be_had_is_asked_for_once_for_all_who_wait(
    zendesk: ZendeskServer, client_of: MakeClient
) -> None:
    zendesk.state.faults.append(Fault(path="/oauth/tokens", kind="status", status=503, times=-1))
    client = client_of()
    results = await asyncio.gather(*(client.user(str(people.NOOR)) for _ in range(10)), return_exceptions=True)
    assert {type(result) for result in results} == {Uncertain}
    assert calls_to(zendesk, "/oauth/tokens") == 1


async def test_a_wrong_client_secret_is_a_broken_connection(client_of: MakeClient) -> None:
    error = await error_of(client_of(client_id=people.CLIENT_ID, client_secret=SecretStr("wrong")))
    assert isinstance(error, Credentials)
    assert error.service == "zendesk"
    assert "OAuth clients" in error.hint


async def test_a_token_made_elsewhere_works_and_is_a_broken_connection_once_it_does_not(
    zendesk: ZendeskServer, client_of: MakeClient
) -> None:
    client = client_of(oauth_token=SecretStr(people.OAUTH_TOKEN))
    assert (await client.user(str(people.NOOR)))["name"] == "Noor Haddad"
    zendesk.state.tokens.clear()
    assert isinstance(await error_of(client), Credentials)
    assert calls_to(zendesk, "/oauth/tokens") == 0


async def test_an_api_token_still_works(client_of: MakeClient) -> None:
    client = client_of(email="ada@example.com", api_token=SecretStr(people.API_TOKEN))
    assert (await client.identity()).connected_by == "ada@example.com"


async def test_a_scope_that_the_client_may_not_ask_for_is_a_broken_connection(
    zendesk: ZendeskServer, client_of: MakeClient
) -> None:
    narrow = Client(identifier="narrow", secret="s", user_id=people.ADA, scopes=frozenset({"tickets:write"}))
    zendesk.state.clients["narrow"] = narrow
    error = await error_of(client_of(client_id="narrow", client_secret=SecretStr("s")))
    assert isinstance(error, Credentials)
    assert "invalid_scope" in error.message


async def test_a_scope_that_was_not_granted_is_noticed() -> None:
    async def grant_less(request: web.Request) -> web.Response:
        return web.json_response({"access_token": "t", "token_type": "bearer", "scope": "tickets:read"})

    async with _serving(grant_less) as url:
        client = ZendeskClient(ZendeskSettings(api_url=url, **OAUTH))
        error = await error_of(client)
        await client.close()
    assert isinstance(error, Credentials)
    assert error.code == "scope_not_granted"


async def test_an_answer_as_to_an_anonymous_visitor_is_a_broken_connection() -> None:
    async def anonymous(request: web.Request) -> web.Response:
        return web.json_response({"user": {"id": None, "name": "Anonymous user", "email": "invalid@example.com"}})

    async with _serving(anonymous) as url:
        client = ZendeskClient(ZendeskSettings(api_url=url, oauth_token=SecretStr("any")))
        with pytest.raises(Credentials, match="anonymous"):
            await client.identity()
        await client.close()


async def test_without_credentials_nothing_is_called(zendesk: ZendeskServer, client_of: MakeClient) -> None:
    error = await error_of(client_of(client_id="alone"))
    assert error.code == "not_connected"
    assert zendesk.state.calls == []


# Errors, by what happens next


async def test_a_rate_limit_comes_back_at_once_with_the_seconds_zendesk_named(
    zendesk: ZendeskServer, client_of: MakeClient
) -> None:
    zendesk.state.faults.append(Fault(path="/users/", kind="rate_limited", retry_after=93))
    before = time.monotonic()
    error = await error_of(client_of())
    assert isinstance(error, Transient)
    assert (error.retry_after, error.limit) == (93, True)
    assert time.monotonic() - before < 30, "zenpy's own wait was not to begin"
    assert calls_to(zendesk, "/users/") == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error_leaves_open_whether_it_happened_and_is_not_tried_again_here(
    zendesk: ZendeskServer, client_of: MakeClient, status: int
) -> None:
    zendesk.state.faults.append(Fault(path="/users/", kind="status", status=status, retry_after=7))
    assert isinstance(await error_of(client_of()), Uncertain)
    assert calls_to(zendesk, "/users/") == 1


@pytest.mark.parametrize("kind", ["drop", "half_body", "html"])
async def test_a_lost_or_garbled_answer_leaves_open_whether_it_happened(
    zendesk: ZendeskServer, client_of: MakeClient, kind: Any
) -> None:
    zendesk.state.faults.append(Fault(path="/users/", kind=kind))
    assert isinstance(await error_of(client_of()), Uncertain)
    assert calls_to(zendesk, "/users/") == 1


async def test_a_host_that_is_not_there_is_tried_again_later() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    client = ZendeskClient(ZendeskSettings(api_url=f"http://127.0.0.1:{port}", oauth_token=SecretStr("any")))
    assert isinstance(await error_of(client), Transient)
    await client.close()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, {"error": "RecordNotFound", "description": "Not found"}, "not_found"),
        (404, {"error": "InvalidEndpoint", "description": "Not found"}, "invalid_endpoint"),
        (403, {"error": {"title": "Forbidden", "message": "You do not have access"}}, "forbidden"),
        (422, {"error": "RecordInvalid", "description": "Record validation errors", "details": {}}, "unprocessable"),
        (400, {"errors": [{"code": "X", "title": "T", "detail": "Too deep"}]}, "http_400"),
        (302, {}, "http_302"),
    ],
)
async def test_a_refusal_is_permanent_and_says_what_zendesk_said(status: int, body: Any, code: str) -> None:
    async def refuse(request: web.Request) -> web.Response:
        headers = {"Location": "http://127.0.0.1:1/elsewhere"} if status == 302 else None
        return web.json_response(body, status=status, headers=headers)

    async with _serving(refuse) as url:
        client = ZendeskClient(ZendeskSettings(api_url=url, oauth_token=SecretStr("any")))
        error = await error_of(client)
        await client.close()
    assert isinstance(error, Permanent)
    assert error.code == code
    said = {403: "You do not have access", 422: "Record validation errors", 400: "Too deep"}
    assert said.get(status, "") in error.message


async def test_what_is_no_id_is_refused_without_a_call(zendesk: ZendeskServer, client_of: MakeClient) -> None:
    with pytest.raises(Permanent, match="no Zendesk id"):
        await client_of().ticket("1/../../oauth/tokens")
    assert zendesk.state.calls == []


async def test_a_missing_ticket_is_permanent(client_of: MakeClient) -> None:
    with pytest.raises(Permanent) as caught:
        await client_of().ticket("987654321")
    assert caught.value.code == "not_found"


async def test_an_answer_that_drips_is_given_up_in_its_thread_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("client", "session"):
        monkeypatch.setattr(f"zendesk_bridge.{module}.TOTAL_SECONDS", 0.3)

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while request.transport is not None and not request.transport.is_closing():
                await response.write(b" ")
                await asyncio.sleep(0.05)
        return response

    async with _serving(drip) as url:
        client = ZendeskClient(ZendeskSettings(api_url=url, oauth_token=SecretStr("any")))
        assert isinstance(await error_of(client), Uncertain)
        async with asyncio.timeout(30):
            await asyncio.to_thread(client._threads.shutdown, wait=True)
        await client.close()


async def test_reads_go_through_the_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    async def pass_on(request: web.Request) -> web.Response:
        asked.append((str(request.url), request.headers["Authorization"]))
        return web.json_response({"user": {"id": 9001, "name": "Noor"}})

    async with _serving(pass_on) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        client = ZendeskClient(ZendeskSettings(api_url="http://zendesk.test", oauth_token=SecretStr("any")))
        assert (await client.user("9001"))["name"] == "Noor"
        await client.close()
    assert asked == [("http://zendesk.test/api/v2/users/9001.json", "Bearer any")]


async def test_an_answer_that_cannot_be_decoded_is_not_the_end_of_the_next_call() -> None:
    async def first_odd(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/users/1.json"):
            response = web.StreamResponse(headers={"Content-Encoding": "gzip", "Content-Length": "1150"})
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):
                await response.write(b"no gzip at all" * 10)
                await asyncio.sleep(0.1)
                await response.write(b"y" * 1010)
            return response
        return web.json_response({"user": {"id": 2, "name": "Ben"}})

    async with _serving(first_odd) as url:
        client = ZendeskClient(ZendeskSettings(api_url=url, oauth_token=SecretStr("any")))
        with pytest.raises(Uncertain):
            await client.user("1")
        assert (await client.user("2"))["name"] == "Ben"
        await client.close()


# Keeping apart


async def test_two_clients_in_one_process_talk_to_their_own_accounts(client_of: MakeClient) -> None:
    async with ZendeskServer() as other:
        other.state.users[people.NOOR]["name"] = "Another Noor"
        here = client_of()
        there = ZendeskClient(ZendeskSettings(subdomain="harbour", api_url=other.url, **OAUTH))
        names = [(await client.user(str(people.NOOR)))["name"] for client in (here, there, here)]
        await there.close()
    assert names == ["Noor Haddad", "Another Noor", "Noor Haddad"]


async def test_the_event_loop_goes_on_while_zendesk_takes_its_time(
    zendesk: ZendeskServer, client_of: MakeClient
) -> None:
    zendesk.state.faults.append(Fault(path="/users/", kind="slow", delay=0.3))
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    beating = asyncio.create_task(beat())
    await client_of().user(str(people.NOOR))
    beating.cancel()
    assert beats >= 5


async def test_calls_are_counted_by_endpoint_and_outcome(zendesk: ZendeskServer, client_of: MakeClient) -> None:
    counted: list[tuple[str, str]] = []
    client = client_of(**OAUTH, observe=lambda endpoint, outcome: counted.append((endpoint, outcome)))
    await client.user(str(people.NOOR))
    zendesk.state.faults.append(Fault(path="/tickets/", kind="status", status=503))
    with pytest.raises(Uncertain):
        await client.ticket("101")
    assert counted == [
        ("/oauth/tokens", "ok"),
        ("/api/v2/users/{id}", "ok"),
        ("/api/v2/tickets/{id}", "unavailable"),
    ]


async def test_no_secret_is_logged_or_shown(client_of: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_of()
    await client.user(str(people.NOOR))
    error = await error_of(client_of(client_id=people.CLIENT_ID, client_secret=SecretStr("wrong-secret")))
    shown = caplog.text + repr(client.settings) + repr(error) + str(error.as_json())
    assert people.CLIENT_SECRET not in shown
    assert "wrong-secret" not in shown
    assert "Bearer" not in shown


class _serving:  # noqa: N801 - reads as a phrase where it is used
    """A server with one answer."""

    def __init__(self, handler: Any) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handler)
        self._runner = web.AppRunner(application)

    async def __aenter__(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
