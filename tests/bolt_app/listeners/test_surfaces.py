"""Everything the manifest lets Slack send is acknowledged in time, over HTTP and over Socket Mode."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from bolt_app import samples
from bolt_app.samples import load
from bolt_app.sandbox import SlackDelivery, SlackServer, payloads
from bolt_app.sandbox.people import ADA, SUPPORT
from bolt_app.sandbox.records import Fault
from bolt_app.server import Connector

StartConnector = Callable[..., Awaitable[Connector]]

EVENTS: dict[str, dict[str, Any]] = {
    **{name: load(name) for name in samples.EVENTS},
    "one that nobody subscribed to": {"type": "team_join", "user": {"id": ADA.id}},
    "a message": {"type": "message", "subtype": "channel_topic", "channel": SUPPORT.id, "ts": "1.000100"},
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mention does not wait for the news of an invitation that never comes."""
    monkeypatch.setattr("bolt_app.listeners.mentions.NEWS_WITHIN", 0.05)


async def seen(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


@pytest.fixture
def delivery(connector: Connector, slack: SlackServer) -> SlackDelivery:
    return SlackDelivery("slack signing secret", f"{connector.url}/slack/events", slack.state)


@pytest.fixture
async def socket(slack: SlackServer, start_connector: StartConnector) -> SlackServer:
    await start_connector(slack_app_token=SecretStr("xapp-sandbox"), slack_signing_secret=None)
    await slack.sockets.wait_connected()
    return slack


async def test_every_event_is_acknowledged(delivery: SlackDelivery) -> None:
    statuses = {name: (await delivery.event(dict(event))).status for name, event in EVENTS.items()}
    assert statuses == dict.fromkeys(EVENTS, 200)


async def test_every_event_is_acknowledged_over_socket_mode(socket: SlackServer) -> None:
    for event in EVENTS.values():
        assert await socket.socket_event(dict(event)) == {}


async def test_the_command_is_acknowledged_in_time_while_slack_is_slow(
    delivery: SlackDelivery, slack: SlackServer
) -> None:
    await seen(lambda: bool(slack.state.calls_to("auth.test")))
    slack.state.faults.append(Fault(method="*", kind="slow", times=10, delay=20))
    async with asyncio.timeout(15):
        assert (await delivery.command("", ADA.id, SUPPORT.id)).status == 200


async def test_any_button_is_acknowledged(delivery: SlackDelivery) -> None:
    answer = await delivery.block_action("retry", ADA.id, channel_id=SUPPORT.id)
    assert answer.status == 200


async def test_any_button_is_acknowledged_over_socket_mode(socket: SlackServer) -> None:
    payload = payloads.block_action(socket.state, "retry", ADA.id, channel_id=SUPPORT.id)
    assert await socket.socket_interaction(payload) == {}


async def test_socket_mode_connects_anew_when_slack_asks_for_it(socket: SlackServer) -> None:
    await socket.sockets.disconnect()
    async with asyncio.timeout(30):
        await socket.sockets.wait_connected()
    assert await socket.socket_event(dict(EVENTS["app_mention"]), timeout=5) == {}


async def test_a_refused_app_token_is_a_line_in_the_log_without_the_token(
    slack: SlackServer, start_connector: StartConnector, caplog: pytest.LogCaptureFixture
) -> None:
    slack.state.faults.append(Fault(method="apps.connections.open", kind="error", error="invalid_auth", times=9))
    await start_connector(slack_app_token=SecretStr("xapp-sandbox"))
    await seen(lambda: "Socket Mode" in caplog.text)
    (line,) = [record for record in caplog.records if "Socket Mode" in record.getMessage()]
    assert "invalid_auth" in line.getMessage()
    assert "Retrying" in line.getMessage()
    assert "\n" not in line.getMessage()
    assert line.exc_info is None
    assert "xapp-" not in caplog.text
