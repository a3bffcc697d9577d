"""The routes: what is answered to Zendesk, to Slack, to the host, and to anybody else."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from driving import until
from pydantic import SecretStr

from bolt_app.app import BODY_LIMIT
from bolt_app.sandbox import SlackDelivery, SlackServer
from bolt_app.sandbox.people import NOOR
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.flows.model import rfc3339, utc_now
from zendesk_bridge.sandbox import ZendeskServer, people
from zendesk_bridge.sandbox.webhooks import body_of, signature

SECRET = "a webhook's signing secret"
EVENTS = "/zendesk/events"
SLACK = "/slack/events"

Ask = Callable[..., Awaitable[tuple[int, str]]]
StartConnector = Callable[..., Awaitable[Connector]]


@pytest.fixture
async def ask(connector: Connector) -> AsyncIterator[Ask]:
    """Asks the running connector; answers status and body."""
    async with aiohttp.ClientSession(connector.url) as session:

        async def request(method: str, path: str, data: Any = None, **headers: str) -> tuple[int, str]:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            async with session.request(method, path, data=data, headers=sent) as answered:
                return answered.status, await answered.text()

        yield request


def signed(body: bytes, *, age: float = 0.0, secret: str = SECRET) -> dict[str, str]:
    stamp = rfc3339(utc_now().fromtimestamp(utc_now().timestamp() - age, utc_now().tzinfo))
    return {
        "X_Zendesk_Webhook_Signature": signature(secret, stamp, body),
        "X_Zendesk_Webhook_Signature_Timestamp": stamp,
    }


async def drip(*pieces: bytes) -> AsyncIterator[bytes]:
    """A body whose length nobody is told."""
    for piece in pieces:
        yield piece


async def an_assignment(zendesk: ZendeskServer, agent: int = people.NOOR) -> bytes:
    told = await zendesk.assign(people.GRINDER, agent, deliver=False)
    return body_of(zendesk.state, told.event)


# POST /zendesk/events, in the order in which it refuses


async def test_a_body_of_a_megabyte_is_read_and_a_byte_more_is_413(ask: Ask) -> None:
    assert (await ask("POST", EVENTS, b"x" * BODY_LIMIT))[0] == 401
    assert (await ask("POST", EVENTS, b"x" * (BODY_LIMIT + 1)))[0] == 413


async def test_too_large_a_body_is_refused_while_it_is_read(connector: Connector, ask: Ask) -> None:
    assert (await ask("POST", EVENTS, drip(b"x" * BODY_LIMIT, b"x")))[0] == 413
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * BODY_LIMIT:
            sent += 65_536
            yield b"x" * 65_536

    with contextlib.suppress(aiohttp.ClientError):  # cut off while it still sent
        assert (await ask("POST", EVENTS, endless()))[0] == 413
    assert sent < 100 * BODY_LIMIT


async def test_without_a_secret_everything_is_401(start_connector: StartConnector, zendesk: ZendeskServer) -> None:
    connector = await start_connector(zendesk_webhook_secret=None)
    body = await an_assignment(zendesk)
    headers = {name.replace("_", "-"): value for name, value in signed(body, secret="").items()}
    async with aiohttp.request("POST", f"{connector.url}{EVENTS}", data=body, headers=headers) as answered:
        assert answered.status == 401


async def test_a_signature_that_does_not_fit_is_401(ask: Ask) -> None:
    refused = {
        "none": {},
        "empty": {"X_Zendesk_Webhook_Signature": "", "X_Zendesk_Webhook_Signature_Timestamp": ""},
        "no time": {"X_Zendesk_Webhook_Signature": "AAAA"},
        "of another body": signed(b"another body"),
        "with another secret": signed(b"{}", secret="another secret"),
        "too old": signed(b"{}", age=3700),
        "from the future": signed(b"{}", age=-400),
    }
    statuses = {name: (await ask("POST", EVENTS, b"{}", **headers))[0] for name, headers in refused.items()}
    assert statuses == dict.fromkeys(refused, 401)


async def test_a_signed_body_that_is_no_object_is_400(ask: Ask) -> None:
    for body in (b"", b"[]", b"null", b'"text"', b"{", b"\xff\xfe", b'{"a":' * 50_000):
        assert (await ask("POST", EVENTS, body, **signed(body)))[0] == 400


async def test_an_event_nobody_knows_or_wants_is_204_and_not_stored(
    ask: Ask, connector: Connector, zendesk: ZendeskServer
) -> None:
    unknown = b'{"type": "zen:event-type:ticket.subject_changed", "id": "1"}'
    assert await ask("POST", EVENTS, unknown, **signed(unknown)) == (204, "")
    await connector.sides.bridge.request("deactivate", {"key": "notify-assigned-agents"}, "a test")
    unwanted = await an_assignment(zendesk)
    assert await ask("POST", EVENTS, unwanted, **signed(unwanted)) == (204, "")
    assert await connector.sides.bridge.list_runs() == []


async def test_an_event_is_stored_and_then_200_also_when_it_comes_late_or_twice(
    ask: Ask, connector: Connector, zendesk: ZendeskServer, slack: SlackServer
) -> None:
    body = await an_assignment(zendesk)
    for age in (0, 3500, -200):
        assert await ask("POST", EVENTS, body, **signed(body, age=age)) == (200, "")
    assert len(await connector.sides.bridge.list_runs()) == 1
    await connector.sides.bridge.idle()
    assert len(slack.state.messages_to(NOOR.id)) == 1


async def test_what_cannot_be_stored_is_503_and_comes_again(
    ask: Ask, connector: Connector, settings: Settings, zendesk: ZendeskServer, slack: SlackServer
) -> None:
    body = await an_assignment(zendesk)
    with sqlite3.connect(settings.connector_database) as database:
        database.execute("alter table events rename to mislaid")
    assert (await ask("POST", EVENTS, body, **signed(body)))[0] == 503
    assert slack.state.posted() == []
    with sqlite3.connect(settings.connector_database) as database:
        database.execute("alter table mislaid rename to events")
    assert (await ask("POST", EVENTS, body, **signed(body)))[0] == 200
    await connector.sides.bridge.idle()
    assert len(slack.state.messages_to(NOOR.id)) == 1


# POST /slack/events


@pytest.fixture
def delivery(connector: Connector, slack: SlackServer) -> SlackDelivery:
    return SlackDelivery("slack signing secret", f"{connector.url}{SLACK}", slack.state)


async def test_slack_verifies_the_address(delivery: SlackDelivery) -> None:
    assert (await delivery.url_verification("a challenge")).json == {"challenge": "a challenge"}


async def test_a_signature_that_is_not_slacks_is_401(delivery: SlackDelivery) -> None:
    for how in ({"signature": "v0=00"}, {"timestamp": "1600000000"}, {"timestamp": "soon"}, {"timestamp": "9" * 30}):
        assert (await delivery.post(b'{"type": "event_callback"}', "application/json", **how)).status == 401


async def test_a_request_without_a_signature_is_401(ask: Ask) -> None:
    assert (await ask("POST", SLACK, b"{}", Content_Type="application/json"))[0] == 401
    assert (await ask("POST", SLACK))[0] == 401


async def test_too_large_a_request_to_slacks_route_is_413(ask: Ask) -> None:
    assert (await ask("POST", SLACK, drip(b"x" * BODY_LIMIT, b"x")))[0] == 413


JSON = {"Content_Type": "application/json"}
FORM = {"Content_Type": "application/x-www-form-urlencoded"}
STRANGE: list[tuple[bytes, dict[str, str]]] = [
    (b"\xff\xfe{", JSON),
    (b"{}", {"Content_Type": "application/json; charset=no-such"}),
    (b"{", JSON),
    (b'"text"', JSON),
    (b"null", JSON),
    (b'{"event": "x", "authorizations": 5, "user": []}', JSON),
    (b"payload=no-json", FORM),
    (b"payload=[1]", FORM),
    (b'{"a":' * 50_000, JSON),
    (gzip.compress(b"x" * 200 * BODY_LIMIT), {**JSON, "Content_Encoding": "gzip"}),
    (b"no gzip", {**JSON, "Content_Encoding": "gzip"}),
    (b"{}", {"Content_Type": ";;;"}),
]


@pytest.mark.parametrize("path", [EVENTS, SLACK])
async def test_nothing_strange_is_taken_or_breaks_anything(
    ask: Ask, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    for body, headers in STRANGE:
        assert (await ask("POST", path, body, **headers))[0] in (400, 401)
    assert (await ask("GET", "/healthz"))[0] == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_signed_request_that_makes_no_sense_is_400(delivery: SlackDelivery) -> None:
    for body in (b"{", b"[1]", b"null"):
        assert (await delivery.post(body, "application/json")).status == 400


async def test_whoever_hangs_up_early_leaves_no_trace_in_the_log(
    connector: Connector, caplog: pytest.LogCaptureFixture
) -> None:
    port = int(connector.url.rpartition(":")[2])
    for path in (EVENTS, SLACK):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc".encode())
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
    await asyncio.sleep(0.1)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_an_event_is_kept_while_the_app_does_not_know_who_it_is(
    slack: SlackServer, start_connector: StartConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zendesk_bridge.incoming.RETRY_FIRST", 0.0)
    slack.state.token_error = "internal_error"
    connector = await start_connector()
    delivery = SlackDelivery("slack signing secret", f"{connector.url}{SLACK}", slack.state)
    assert (await delivery.event(slack.state.invite("C0RANDOM01", NOOR.id))).status == 200
    assert slack.state.calls_to("chat.postEphemeral") == []
    slack.state.token_error = None
    await until(lambda: len(slack.state.calls_to("chat.postEphemeral")) == 1)


async def test_bolt_takes_nothing_from_the_environment(
    slack: SlackServer,
    start_connector: StartConnector,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"):
        monkeypatch.setenv(name, "another app's")
    connector = await start_connector()
    delivery = SlackDelivery("slack signing secret", f"{connector.url}{SLACK}", slack.state)
    assert (await delivery.command("", NOOR.id, "C0SUPPORT1")).status == 200
    assert [record.message for record in caplog.records if record.name.startswith("slack_bolt")] == []


# The host's own routes


async def test_health_says_whether_events_can_be_stored(ask: Ask, settings: Settings) -> None:
    assert await ask("GET", "/healthz") == (200, '{"ok": true}')
    with sqlite3.connect(settings.connector_database) as database:
        database.execute("drop table remembered")
    assert await ask("GET", "/healthz") == (503, '{"ok": false}')
    status, body = await ask("GET", "/readyz")
    assert (status, json.loads(body)["database"]) == (503, "not_writable")


async def ready(ask: Ask, wanted: dict[str, Any]) -> int:
    """The status of /readyz once it says what is wanted."""
    async with asyncio.timeout(30):
        while True:
            status, body = await ask("GET", "/readyz")
            if json.loads(body) == wanted:
                return status
            await asyncio.sleep(0.02)


async def test_readiness_names_what_does_not_work(ask: Ask, slack: SlackServer, zendesk: ZendeskServer) -> None:
    assert await ready(ask, {"ok": True, "database": "ok", "slack": "ok", "zendesk": "ok"}) == 200
    slack.state.token_error = "token_revoked"
    await zendesk.assign(people.GRINDER, people.NOOR)
    assert await ready(ask, {"ok": False, "database": "ok", "slack": "token_revoked", "zendesk": "ok"}) == 503
    slack.state.token_error = None
    assert await ready(ask, {"ok": True, "database": "ok", "slack": "ok", "zendesk": "ok"}) == 200
    assert (await slack.state.next_message()).channel == slack.state.messages_to(NOOR.id)[0].channel


async def test_what_is_not_connected_yet_is_no_error_of_the_start(start_connector: StartConnector) -> None:
    connector = await start_connector(slack_bot_token=None)
    async with aiohttp.ClientSession(connector.url) as session:

        async def asked(method: str, path: str) -> tuple[int, str]:
            async with session.request(method, path) as answered:
                return answered.status, await answered.text()

        wanted = {"ok": False, "database": "ok", "slack": "not_connected", "zendesk": "ok"}
        assert await ready(asked, wanted) == 503
        assert (await asked("GET", "/healthz"))[0] == 200


async def test_metrics_count_and_name_nobody(
    ask: Ask, connector: Connector, zendesk: ZendeskServer, settings: Settings, slack: SlackServer
) -> None:
    assert (await zendesk.assign(people.GRINDER, people.NOOR)).deliveries[0].status == 200
    await connector.sides.bridge.idle()
    assert (await zendesk.assign(people.GRINDER, people.LIN)).deliveries[0].status == 200
    await connector.sides.bridge.idle()
    await ask("POST", EVENTS, b"{}")
    status, text = await ask("GET", "/metrics")
    calls = "zendesk_connector_api_calls_total"
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert status == 200
    for line in (
        'zendesk_connector_runs_total{status="succeeded"} 1.0',
        'zendesk_connector_runs_total{status="failed"} 1.0',
        'zendesk_connector_events_total{result="accepted"} 2.0',
        'zendesk_connector_events_total{result="refused"} 1.0',
        f'{calls}{{endpoint="chat.postMessage",outcome="ok",service="slack"}} 1.0',
        f'{calls}{{endpoint="users.lookupByEmail",outcome="users_not_found",service="slack"}} 1.0',
        f'{calls}{{endpoint="/api/v2/tickets/{{id}}",outcome="ok",service="zendesk"}} 2.0',
    ):
        assert line in lines
    for told in ("noor", "Noor", "example.com", "grinder", str(people.NOOR), NOOR.id, "/101", "xoxb", "sandbox-client"):
        assert told not in text


async def test_an_admin_port_takes_the_hosts_routes_away(start_connector: StartConnector) -> None:
    connector = await start_connector(connector_admin_port=0)
    for path in ("/healthz", "/readyz", "/metrics"):
        async with aiohttp.request("GET", f"{connector.url}{path}") as outside:
            assert outside.status == 404
        async with aiohttp.request("GET", f"{connector.admin_url}{path}") as inside:
            assert inside.status in (200, 503)
    assert connector.admin_url.startswith("http://127.0.0.1:")
    async with aiohttp.request("POST", f"{connector.admin_url}{EVENTS}") as outside:
        assert outside.status == 404


async def test_there_is_nothing_else_and_the_wrong_method_is_405(ask: Ask) -> None:
    for path in ("/", "/slack/install", "/slack/oauth_redirect", "/zendesk/oauth_redirect", "/x"):
        assert (await ask("GET", path))[0] == 404
    for method, path in (
        ("GET", EVENTS),
        ("PUT", EVENTS),
        ("GET", SLACK),
        ("POST", "/healthz"),
        ("DELETE", "/metrics"),
    ):
        assert (await ask(method, path))[0] == 405


async def test_in_socket_mode_there_is_no_route_for_slack(start_connector: StartConnector) -> None:
    connector = await start_connector(slack_app_token=SecretStr("xapp-sandbox"))
    async with aiohttp.request("POST", f"{connector.url}{SLACK}", data=b"{}") as answered:
        assert answered.status == 404
