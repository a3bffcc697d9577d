"""Slack's answer to a post is lost in every way there is: the agent gets the message once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bolt_app.composition import Sides, wire
from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.records import Fault
from bolt_app.settings import Settings
from zendesk_bridge.bridge import BridgeSettings, Timing, ZendeskSettings
from zendesk_bridge.sandbox import ZendeskServer, people
from zendesk_bridge.sandbox.webhooks import body_of
from zendesk_bridge.triggers import parse_webhook

TIMING = Timing(looks=(0.15, 0.6), retry_first=0.02, retry_longest=0.1)


class Desk:
    """Both services and the connector between them, as the composition root wires them."""

    def __init__(self, folder: Path, slack: SlackServer, zendesk: ZendeskServer) -> None:
        self.slack, self.zendesk = slack.state, zendesk
        self._address, self._folder = slack.url, folder

    async def open(self) -> Sides:
        settings = Settings.model_validate({"slack_bot_token": self.slack.bot_token, "slack_api_url": self._address})
        bridge = BridgeSettings(
            database=self._folder / "connector.db",
            zendesk=ZendeskSettings(api_url=self.zendesk.url, oauth_token=SecretStr(people.OAUTH_TOKEN)),
            timing=TIMING,
            mend_every=0.05,
        )
        sides = wire(settings, bridge)
        await sides.slack.start()
        await sides.bridge.start()
        await sides.bridge.request("activate", {"key": "notify-assigned-agents"}, "Ada")
        return sides

    async def assign(self, sides: Sides) -> None:
        """Gives the ticket to Noor, and the connector the event."""
        told = await self.zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
        event = parse_webhook(body_of(self.zendesk.state, told.event))
        assert event is not None
        assert await sides.bridge.handle(event)

    async def until(self, sides: Sides, *statuses: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                (run,) = await sides.bridge.list_runs()
                if run["status"] in statuses:
                    return await sides.bridge.show_run(run["id"])
                await asyncio.sleep(0.01)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with SlackServer() as slack, ZendeskServer() as zendesk:
        yield Desk(tmp_path, slack, zendesk)


@pytest.fixture
async def sides(desk: Desk) -> AsyncGenerator[Sides]:
    sides = await desk.open()
    yield sides
    await sides.close()


@pytest.mark.parametrize("lag", [0.0, 0.4])
@pytest.mark.parametrize("kind", ["http", "http_after", "drop", "drop_after", "half_body"])
async def test_a_lost_answer_never_doubles_the_message(desk: Desk, sides: Sides, kind: Any, lag: float) -> None:
    desk.slack.history_lag = lag
    desk.slack.faults.append(Fault(method="chat.postMessage", kind=kind))
    await desk.assign(sides)
    run = await desk.until(sides, "succeeded", "failed")
    assert (run["status"], run["error"]) == ("succeeded", None)
    (message,) = desk.slack.posted()
    assert run["steps"][-1]["outputs"]["ts"] == message.ts
    sent_again = len(desk.slack.calls_to("chat.postMessage")) == 2
    assert sent_again is (kind in ("http", "drop"))
    looks = len(desk.slack.calls_to("conversations.history"))
    if sent_again:
        assert looks == 3
    else:
        assert looks == 1 if not lag else 1 <= looks <= 3


async def test_a_message_on_a_revoked_token_waits_and_is_sent_once_when_it_works_again(
    desk: Desk, sides: Sides
) -> None:
    desk.slack.token_error = "token_revoked"
    await desk.assign(sides)
    run = await desk.until(sides, "waiting")
    assert run["error"]["code"] == "needs_connection"
    desk.slack.token_error = None
    run = await desk.until(sides, "succeeded")
    assert len(desk.slack.posted()) == 1


async def test_a_limit_is_waited_out_and_the_run_says_so(desk: Desk, sides: Sides) -> None:
    desk.slack.faults.append(Fault(method="chat.postMessage", kind="rate_limited", retry_after=1))
    await desk.assign(sides)
    run = await desk.until(sides, "waiting")
    assert run["error"]["code"] == "limit"
    await desk.until(sides, "succeeded")
    assert len(desk.slack.posted()) == 1


async def test_a_message_nobody_can_look_for_waits_for_a_person(desk: Desk, sides: Sides) -> None:
    desk.slack.bot_scopes.discard("im:history")
    desk.slack.faults.append(Fault(method="chat.postMessage", kind="http_after"))
    await desk.assign(sides)
    run = await desk.until(sides, "waiting")
    while run["error"] is None:
        run = await desk.until(sides, "waiting")
    assert run["error"]["code"] == "in_doubt"
    assert len(desk.slack.posted()) == 1
    cancelled = await sides.bridge.request("cancel", {"run": run["id"]}, "Ada")
    assert cancelled == {"run": run["id"], "status": "cancelled"}
