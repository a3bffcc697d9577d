"""Secrets stay where they belong: whatever goes wrong, nobody but the service they are for gets to see one."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bolt_app import logs
from bolt_app.client import SlackClient
from bolt_app.records import Posted
from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.records import Fault as SlackFault
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.flows.errors import ConnectorError
from zendesk_bridge.sandbox import ZendeskServer, people
from zendesk_bridge.sandbox.state import Fault
from zendesk_bridge.sandbox.tokens import Client, Token

Type = Callable[..., Awaitable[Any]]
StartConnector = Callable[..., Awaitable[Connector]]

RECIPE = "notify-assigned-agents"
SECRETS = {
    "slack_bot_token": "xoxb-1-canary-bot",
    "slack_signing_secret": "canary-signing-secret",
    "slack_client_secret": "canary-slack-client",
    "zendesk_client_secret": "canary-zendesk-client",
    "zendesk_webhook_secret": "canary-webhook-secret",
    "connector_secret_key": "canary-encryption-key",
}
#: What each canary is called in whatever form it leaks.
CANARY = "canary"


@pytest.fixture
def settings(slack: SlackServer, zendesk: ZendeskServer, tmp_path: Path) -> Settings:
    """Settings whose every secret is a canary."""
    slack.state.bot_token = SECRETS["slack_bot_token"]
    zendesk.state.clients[people.CLIENT_ID] = Client(
        identifier=people.CLIENT_ID, secret=SECRETS["zendesk_client_secret"], user_id=people.ADA
    )
    return Settings.model_construct(
        slack_client_id="1.2",
        slack_api_url=slack.url,
        zendesk_subdomain="harbour",
        zendesk_api_url=zendesk.url,
        zendesk_client_id=people.CLIENT_ID,
        connector_database=tmp_path / "connector.db",
        connector_port=0,
        **{name: SecretStr(value) for name, value in SECRETS.items()},
    )


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a connector logs, the libraries' chatter with it."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks


class Day:
    """A day in the life of a connector: tickets are assigned, and things go wrong."""

    def __init__(self, connector: Connector, slack: SlackServer, zendesk: ZendeskServer, settings: Settings) -> None:
        self.connector, self.slack, self.zendesk = connector, slack, zendesk
        zendesk.state.webhooks.clear()
        assert settings.zendesk_webhook_secret
        zendesk.state.add_webhook(
            f"{connector.url}/zendesk/events",
            secret=settings.zendesk_webhook_secret.get_secret_value(),
            subscriptions=[people.ASSIGNMENT_CHANGED],
        )
        self.runs: list[str] = []

    async def assign(self) -> None:
        """A ticket is assigned; its run goes as far as it goes now."""
        ticket = self.zendesk.state.add_ticket("Grinder", "It smells", requester_id=people.MIRA)
        told = await self.zendesk.assign(ticket["id"], people.NOOR)
        assert [delivery.status for delivery in told.deliveries] == [200]
        self.runs.append(f"{told.event['id']}:{RECIPE}")
        await self.connector.sides.bridge.idle()


async def test_whatever_goes_wrong_no_secret_is_logged_stored_or_shown(
    settings: Settings,
    start_connector: StartConnector,
    slack: SlackServer,
    zendesk: ZendeskServer,
    shell: Path,
    type_in: Type,
    log: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logs.configure(logging.DEBUG, settings, log)
    logging.getLogger().setLevel(logging.DEBUG)
    connector = await start_connector()
    day = Day(connector, slack, zendesk, settings)
    await day.assign()

    async def crash(self: SlackClient, email: str, text: str, **more: Any) -> Posted:
        raise RuntimeError(f"{self.web.token} {settings.zendesk_webhook_secret!r} {SECRETS['zendesk_client_secret']}")

    with monkeypatch.context() as broken:
        broken.setattr(SlackClient, "post_to_person", crash)
        await day.assign()
    assert "a defect of this software" in log.getvalue()

    for kind, more in (("status", {"status": 500}), ("status", {"status": 401}), ("html", {}), ("half_body", {})):
        zendesk.state.faults.append(Fault(path="/tickets/", kind=kind, **more))  # type: ignore[arg-type]
        await day.assign()
    given = list(zendesk.state.tokens)
    zendesk.state.tokens.clear()  # all of them have expired
    zendesk.state.faults.append(Fault(path="/oauth/tokens", kind="status", status=401))
    await day.assign()
    for kind, more in (("http", {"status": 500}), ("drop", {}), ("half_body", {}), ("error", {"error": "fatal_error"})):
        slack.state.faults.append(SlackFault(method="chat.postMessage", kind=kind, **more))  # type: ignore[arg-type]
        await day.assign()
    slack.state.faults.append(SlackFault(method="chat.postMessage", kind="error", error="token_revoked"))
    await day.assign()

    async with aiohttp.ClientSession() as session:
        refused = await session.post(f"{connector.url}/zendesk/events", json={}, headers={"X": "y"})
        shown = await refused.text()
        for path in ("/metrics", "/readyz", "/healthz", "/slack/events", "/nowhere"):
            shown += await (await session.get(connector.url + path)).text()
    said = [
        await type_in(*command.split())
        for command in ("doctor", "doctor --json", "connections list", "runs list", "flows list", "flows check")
    ]
    said += [await type_in("runs", "show", run, *as_json) for run in day.runs for as_json in ((), ("--json",))]
    shown += "".join(each.out + each.err for each in said) + log.getvalue()
    files = [path for path in settings.connector_database.parent.iterdir() if path.is_file()]
    assert {path.name for path in files} >= {"connector.db", "connector.db-wal"}
    shown += "".join(path.read_bytes().decode("latin-1") for path in files)
    # The sandbox knows which tokens it gave out.
    given = [token for token in [*given, *zendesk.state.tokens] if token != people.OAUTH_TOKEN]
    assert len(given) > 1
    assert [secret for secret in (CANARY, *given) if secret in shown] == []


async def test_nothing_shows_a_secret_when_it_is_printed(
    settings: Settings, start_connector: StartConnector, zendesk: ZendeskServer
) -> None:
    connector = await start_connector()
    await connector.sides.bridge.zendesk.ticket(str(people.GRINDER))
    sides, client = connector.sides, connector.sides.bridge.zendesk
    parts = [settings, settings.bridge(), settings.bridge().zendesk, connector, sides, sides.bridge, sides.slack]
    parts += [sides.slack.web, client, client._session, client._token, sides.bridge.catalog, sides.bridge.connections]
    shown = "".join(f"{part!r}{part!s}" for part in parts)
    given = [token for token in zendesk.state.tokens if token != people.OAUTH_TOKEN]
    assert [secret for secret in (CANARY, *given) if secret in shown] == []


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server that answers everything in one way."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Nothing:
    """Remembers nothing."""

    async def recall(self, kind: str, key: str, max_age: float | None = None) -> str | None:
        return None

    async def remember(self, kind: str, key: str, value: str) -> None:
        return None

    async def forget(self, kind: str, key: str) -> None:
        return None


WAYS: list[dict[str, Any]] = [
    {"client_id": people.CLIENT_ID, "client_secret": SecretStr("canary-zendesk-client")},
    {"oauth_token": SecretStr("canary-oauth-token")},
    {"email": "ada@example.com", "api_token": SecretStr("canary-api-token")},
]


async def errors_of(address: str) -> list[ConnectorError]:
    """How both clients fail at a server, each way to authenticate tried."""
    problems = []
    for way in WAYS:
        zendesk = ZendeskClient(ZendeskSettings(subdomain="harbour", api_url=address, **way))
        with pytest.raises(ConnectorError) as caught:
            await zendesk.user("1")
        problems.append(caught.value)
        await zendesk.close()
    slack = SlackClient(token="xoxb-1-canary-bot", base_url=f"{address}/api/", memory=Nothing(), total_seconds=0.5)
    await slack.start()
    for call in (slack.identity(), slack.user("U1"), slack.open_dm("U1"), slack.user_by_email("a@b.example")):
        with pytest.raises(ConnectorError) as caught:
            await call
        problems.append(caught.value)
    await slack.close()
    return problems


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirection_gets_no_credentials(status: int) -> None:
    asked: list[web.Request] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request)
        return web.json_response({"ok": True})

    async with serving(elsewhere) as other:

        async def redirecting(request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": f"{other}/taken"})

        async with serving(redirecting) as address:
            await errors_of(address)
    assert asked == []


async def echo(request: web.Request) -> dict[str, str]:
    """All that a server was sent, in its own words."""
    return {"headers": str(dict(request.headers)), "body": (await request.read()).decode()}


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 422, 429, 500])
@pytest.mark.parametrize("form", ["text", "error", "title", "description", "errors"])
async def test_a_server_that_repeats_what_it_was_sent_is_not_quoted(status: int, form: str) -> None:
    async def repeating(request: web.Request) -> web.Response:
        words = json.dumps(await echo(request))
        shapes: dict[str, Any] = {
            "error": {"ok": False, "error": words},
            "title": {"error": {"title": "no", "message": words}},
            "description": {"ok": False, "error": "invalid_auth", "error_description": words},
            "errors": {"errors": [{"detail": words}]},
        }
        if form == "text":
            return web.Response(status=status, text=f"<html>{words}</html>", content_type="text/html")
        return web.json_response(shapes[form], status=status)

    async with serving(repeating) as address:
        for problem in await errors_of(address):
            shown = f"{problem!r} {problem} {problem.args} {problem.as_json()}"
            assert CANARY not in shown
            pair = "YWRhQGV4YW1wbGUuY29tL3Rva2VuOmNhbmFyeS"
            assert pair not in shown


async def test_no_cause_of_an_error_shows_a_secret_to_the_log() -> None:
    async def silent(request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async with serving(silent) as address:
        for problem in await errors_of(address):
            assert CANARY not in "".join(traceback.format_exception(problem))


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/api/v2/tickets.json",
        "https://harbour.zendesk.com.evil.example/api/v2/tickets.json",
        "https://harbour.zendesk.com@evil.example/api/v2/tickets.json",
        "https://harbour.zendesk.com:444/api/v2/tickets.json",
        "http://harbour.zendesk.com/api/v2/tickets.json",
        "//evil.example/api/v2/tickets.json",
        "/api/v2/tickets.json",
        "file:///etc/passwd",
    ],
)
async def test_a_link_in_an_answer_to_another_host_is_refused(link: str) -> None:
    settings = ZendeskSettings(subdomain="harbour", oauth_token=SecretStr("canary-oauth-token"))
    client = ZendeskClient(settings)
    with pytest.raises(ConnectorError) as caught:
        await client._authorized(lambda: client._session.get(link))
    assert caught.value.code == "foreign_address"
    await client.close()


async def test_a_subdomain_in_capitals_is_the_same_account(zendesk: ZendeskServer) -> None:
    zendesk.state.tokens["canary-oauth-token"] = Token(
        value="canary-oauth-token", client_id=people.CLIENT_ID, user_id=people.ADA, scope="read", expires_at=None
    )
    settings = ZendeskSettings(subdomain="Harbour", api_url=zendesk.url, oauth_token=SecretStr("canary-oauth-token"))
    client = ZendeskClient(settings)
    assert (await client.ticket(str(people.GRINDER)))["ticket"]["id"] == people.GRINDER
    await client.close()
