"""A call with a JSON body is sent as Slack's SDK sends it, and its answers come to the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from remembering import NothingRemembered
from slack_sdk.web.async_client import AsyncWebClient

from bolt_app.client import SlackClient
from bolt_app.web import Web
from zendesk_bridge.flows.errors import ConnectorError

MESSAGE = {"channel": "C024BE91L", "text": "Schöne Grüße", "unfurl_links": False, "metadata": {"event_type": "x"}}

ANSWERS: dict[str, dict[str, Any]] = {
    "ok": {"text": '{"ok": true, "ts": "1.000001", "channel": "C1"}', "content_type": "application/json"},
    "refused": {"text": '{"ok": false, "error": "is_archived"}', "content_type": "application/json"},
    "scope": {
        "text": '{"ok": false, "error": "missing_scope", "needed": "chat:write"}',
        "content_type": "application/json",
    },
    "limited": {
        "text": '{"ok": false, "error": "ratelimited"}',
        "status": 429,
        "headers": {"Retry-After": "7"},
        "content_type": "application/json",
    },
    "server error": {"text": "<h1>Oops</h1>", "status": 503, "content_type": "text/html"},
    "server error in JSON": {"text": '{"ok": false, "error": "fatal_error"}', "status": 500},
    "page": {"text": "<h1>Sign in</h1>", "content_type": "text/html"},
    "refusing page": {"text": "<h1>No</h1>", "status": 403, "content_type": "text/html"},
    "text": {"text": "ok", "content_type": "text/plain"},
    "no JSON": {"text": '{"ok": tru', "content_type": "application/json"},
    "not UTF-8": {"body": b'{"ok": true, "ts": "\xff"}', "content_type": "application/json"},
    "a list": {"text": '["ok"]', "content_type": "application/json"},
    "too deep": {"text": "[" * 3_000 + "]" * 3_000, "content_type": "application/json"},
    "another encoding": {
        "body": '{"ok": true, "ts": "ü"}'.encode("latin-1"),
        "headers": {"Content-Type": "application/json; charset=iso-8859-1"},
    },
    "nothing": {"text": "", "content_type": "application/json"},
    "null": {"text": "null", "content_type": "application/json"},
}


class Slack:
    def __init__(self) -> None:
        self.answer: dict[str, Any] = ANSWERS["ok"]
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        self.requests.append((request.method, request.path_qs, headers, await request.read()))
        return web.Response(**self.answer)


@pytest.fixture
def slack() -> Slack:
    return Slack()


@pytest.fixture
async def clients(slack: Slack) -> AsyncGenerator[tuple[SlackClient, SlackClient]]:
    """Ours, and one on the SDK's own client."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", slack.take)
    async with TestServer(application) as server:
        ours, theirs = (
            SlackClient(
                token="xoxb-1", base_url=str(server.make_url("/api/")), memory=NothingRemembered(), posts_a_minute=0
            )
            for _ in range(2)
        )
        for client in (ours, theirs):
            await client.start()
        theirs.web, own = AsyncWebClient(token="xoxb-1", base_url=ours.web.base_url, retry_handlers=[]), theirs.web
        theirs.web.session = own.session
        yield ours, theirs
        for client in (ours, theirs):
            await client.close()


async def outcome(client: SlackClient) -> object:
    try:
        answer = await client._send("chat.postMessage", "POST", MESSAGE)
    except ConnectorError as problem:
        return type(problem), problem.code, problem.hint, getattr(problem, "retry_after", None)
    return answer.data, dict(answer.headers)["Content-Type"], answer.status_code


async def test_a_call_arrives_as_the_sdk_sends_it(slack: Slack, clients: tuple[SlackClient, SlackClient]) -> None:
    ours, theirs = clients
    assert isinstance(ours.web, Web)
    assert not isinstance(theirs.web, Web)
    for client in clients:
        await outcome(client)
    mine, own = slack.requests
    assert mine == own
    assert mine[1] == "/api/chat.postMessage"
    assert mine[2]["Authorization"] == "Bearer xoxb-1"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_comes_to_the_same_as_with_the_sdk(
    slack: Slack, clients: tuple[SlackClient, SlackClient], answer: dict[str, Any]
) -> None:
    slack.answer = answer
    assert await outcome(clients[0]) == await outcome(clients[1])


async def test_no_client_of_the_sdk_takes_a_proxy_that_no_proxy_rules_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "slack.com")
    client = SlackClient(token="xoxb-1", memory=NothingRemembered())
    await client.start()
    assert (client.web.proxy, client.nobody().proxy) == (None, None)
    await client.close()


async def test_other_kinds_of_calls_are_the_sdks_own(slack: Slack, clients: tuple[SlackClient, SlackClient]) -> None:
    for client in clients:
        await client._send("conversations.history", "GET", {"channel": "C024BE91L", "limit": 5})
    mine, own = slack.requests
    assert mine == own
    assert mine[1] == "/api/conversations.history?channel=C024BE91L&limit=5"
