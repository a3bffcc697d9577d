"""Joining public channels by itself: only where the settings say so, only public ones, and once is enough."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import ESCALATIONS, OLD_NEWS, RANDOM
from bolt_app.server import Connector
from zendesk_bridge.sandbox import ZendeskServer, people

FLOW = """
key: tell-the-channel
name: Tell the channel
active: true
trigger:
  event: zendesk.ticket_agent_assignment_changed
steps:
  - key: post
    action: slack.post_message_to_channel
    inputs:
      channel: "{channel}"
      message: "Ticket {{{{ trigger.ticket_id }}}} has an agent"
"""

Start = Callable[..., Awaitable[Connector]]


@pytest.fixture
def start(start_connector: Start, tmp_path: Path) -> Start:
    async def start(channel: str, **changes: Any) -> Connector:
        (tmp_path / "tell.yml").write_text(FLOW.format(channel=channel))
        changes = {"connector_join_public_channels": True, **changes}
        return await start_connector(recipe=False, connector_flows=tmp_path, **changes)

    return start


async def a_run(connector: Connector, zendesk: ZendeskServer, *agents: int) -> dict[str, Any]:
    """The newest run, when all that is under way is done."""
    for agent in agents or (people.NOOR,):
        await zendesk.assign(people.GRINDER, agent)
    await connector.sides.bridge.idle()
    return (await connector.sides.bridge.list_runs(1))[0]


@pytest.fixture(autouse=True)
def may_join(slack: SlackServer) -> None:
    slack.state.bot_scopes |= {"channels:join"}


@pytest.mark.parametrize("named", [RANDOM.id, "#random", "Random"])
async def test_a_public_channel_is_joined_and_the_message_posted(
    start: Start, slack: SlackServer, zendesk: ZendeskServer, named: str
) -> None:
    connector = await start(named)
    assert (await a_run(connector, zendesk))["status"] == "succeeded"
    assert len(slack.state.posted(RANDOM.id)) == 1
    await a_run(connector, zendesk, people.BEN)
    assert len(slack.state.posted(RANDOM.id)) == 2
    assert len(slack.state.calls_to("conversations.join")) == 1
    assert len(slack.state.calls_to("conversations.list")) == (0 if named == RANDOM.id else 1)


async def test_without_the_setting_nothing_is_joined(start: Start, slack: SlackServer, zendesk: ZendeskServer) -> None:
    connector = await start(RANDOM.id, connector_join_public_channels=False)
    run = await a_run(connector, zendesk)
    assert (run["status"], run["error"]["code"]) == ("waiting", "needs_invite")
    assert slack.state.calls_to("conversations.join") == []


@pytest.mark.parametrize("named", [ESCALATIONS.id, "#escalations", "#nowhere", "C0NOWHERE1"])
async def test_a_private_or_unknown_channel_waits_for_an_invitation(
    start: Start, slack: SlackServer, zendesk: ZendeskServer, named: str
) -> None:
    run = await a_run(await start(named), zendesk)
    assert (run["status"], run["error"]["code"]) == ("waiting", "needs_invite")


async def test_an_archived_channel_fails_as_before(start: Start, slack: SlackServer, zendesk: ZendeskServer) -> None:
    run = await a_run(await start(OLD_NEWS.id), zendesk)
    assert (run["status"], run["error"]["code"]) == ("failed", "is_archived")
    assert slack.state.calls_to("conversations.join") == []


async def test_without_the_scope_the_run_waits_and_both_ways_are_named(
    start: Start, slack: SlackServer, zendesk: ZendeskServer, caplog: pytest.LogCaptureFixture
) -> None:
    slack.state.bot_scopes -= {"channels:join"}
    connector = await start(RANDOM.id)
    with caplog.at_level(logging.WARNING):
        run = await a_run(connector, zendesk, people.NOOR, people.BEN)
    assert run["error"]["code"] == "needs_invite"
    assert "/invite @Zendesk Connector" in run["error"]["hint"]
    assert "channels:join" in run["error"]["hint"]
    assert sum("channels:join" in message for message in caplog.messages) == 1


async def test_a_dry_run_joins_nothing(start: Start, slack: SlackServer, zendesk: ZendeskServer) -> None:
    connector = await start("#random")
    bridge = connector.sides.bridge
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    event = await bridge.trials.event_of_ticket(str(people.GRINDER))
    await bridge.trials.dry_test(
        await bridge.trials.flow_to_test("tell-the-channel", as_written=True), event, lambda step: None
    )
    assert slack.state.calls_to("conversations.join") == []
    await asyncio.sleep(0)
