"""A flow waits for an invitation: its owner gets one message a day for each channel, with the line to type."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from driving import until

from bolt_app.sandbox import Fault, SlackDelivery, SlackServer
from bolt_app.sandbox.people import ADA, BEN, ESCALATIONS, RANDOM
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.sandbox import ZendeskServer, people

FLOW = """
key: {key}
name: Tell <!channel> {key}
active: true
owner: {owner}
trigger:
  event: zendesk.ticket_agent_assignment_changed
steps:
  - key: post
    action: slack.post_message_to_channel
    inputs: {{channel: "{channel}", message: "Ticket {{{{ trigger.ticket_id }}}} has an agent"}}
"""

Start = Callable[..., Awaitable[Connector]]


@pytest.fixture
def start(start_connector: Start, tmp_path: Path) -> Start:
    async def start(*flows: tuple[str, str, str]) -> Connector:
        for key, owner, channel in flows:
            (tmp_path / f"{key}.yml").write_text(FLOW.format(key=key, owner=owner, channel=channel))
        return await start_connector(recipe=False, connector_flows=tmp_path, connector_admin_email=ADA.email)

    return start


async def waiting(connector: Connector, zendesk: ZendeskServer, *agents: int) -> None:
    """Lets runs begin that wait for an invitation."""
    for agent in agents:
        await zendesk.assign(people.GRINDER, agent)
    await connector.sides.bridge.idle()
    assert {run["status"] for run in await connector.sides.bridge.list_runs()} == {"waiting"}


async def told(slack: SlackServer, person: str, times: int) -> list[str]:
    """What somebody was told, when there is so much of it, and a moment later."""
    await until(lambda: len(slack.state.messages_to(person)) >= times)
    await asyncio.sleep(0.2)
    texts = [message.text for message in slack.state.messages_to(person)]
    assert len(texts) == times
    return texts


async def test_the_owner_is_told_once_which_flow_waits_for_which_channel_and_what_to_type(
    start: Start, slack: SlackServer, zendesk: ZendeskServer
) -> None:
    connector = await start(("tell", str(BEN.email), RANDOM.id))
    await waiting(connector, zendesk, people.NOOR, people.BEN, people.NOOR)
    (text,) = await told(slack, BEN.id, 1)
    assert text.splitlines()[0] == (
        f"The action flow *Tell &lt;!channel&gt; tell* wants to post in <#{RANDOM.id}>, and I am not in that channel."
        " A run waits for it."
    )
    assert text.splitlines()[1] == "Type there: `/invite @Zendesk Connector`"
    delivery = SlackDelivery("slack signing secret", f"{connector.url}/slack/events", slack.state)
    await delivery.event(slack.state.invite(RANDOM.id, inviter=BEN.id))
    await until(lambda: len(slack.state.posted(RANDOM.id)) == 3)


async def test_each_flow_and_each_channel_is_told_of_by_itself_and_without_an_owner_the_admin(
    start: Start, slack: SlackServer, zendesk: ZendeskServer
) -> None:
    one, two = ("one", str(BEN.email), "#random"), ("two", str(BEN.email), ESCALATIONS.id)
    connector = await start(one, two, ("three", "", RANDOM.id))
    await waiting(connector, zendesk, people.NOOR)
    texts = await told(slack, BEN.id, 2)
    assert any("wants to post in #random" in text for text in texts)
    assert any(f"<#{ESCALATIONS.id}>" in text for text in texts)
    (text,) = await told(slack, ADA.id, 1)
    assert "three" in text


async def test_after_a_restart_nobody_is_told_again_and_the_next_day_somebody_is(
    start: Start, slack: SlackServer, zendesk: ZendeskServer, settings: Settings
) -> None:
    flow = ("tell", str(BEN.email), RANDOM.id)
    connector = await start(flow)
    await waiting(connector, zendesk, people.NOOR)
    await told(slack, BEN.id, 1)
    await connector.stop()
    connector = await start(flow)  # every run that waits for an invitation tries again
    await connector.sides.bridge.idle()
    await told(slack, BEN.id, 1)
    await connector.stop()
    with sqlite3.connect(settings.connector_database) as database:
        database.execute("update remembered set at = '2026-01-01T00:00:00.000000Z' where kind = 'invitation_told'")
    await start(flow)
    await told(slack, BEN.id, 2)


async def test_a_message_that_slack_refuses_is_sent_later(
    start: Start, slack: SlackServer, zendesk: ZendeskServer
) -> None:
    connector = await start(("tell", str(BEN.email), RANDOM.id))
    connector.sides.bridge.notices._pause = 0.05
    slack.state.faults.append(Fault(method="users.lookupByEmail", kind="http", status=503, times=2))
    await waiting(connector, zendesk, people.NOOR)
    await told(slack, BEN.id, 1)


async def test_a_flow_without_anybody_to_tell_is_a_line_in_the_log(
    start_connector: Start, zendesk: ZendeskServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tell.yml").write_text(FLOW.format(key="tell", owner="", channel=RANDOM.id))
    connector = await start_connector(recipe=False, connector_flows=tmp_path)
    await waiting(connector, zendesk, people.NOOR)
    await until(lambda: f"flow tell waits for an invitation to {RANDOM.id}; it has no owner" in caplog.text)


async def test_an_owner_who_was_still_looked_up_when_the_connector_stopped_is_told_after_the_start(
    start: Start, slack: SlackServer, zendesk: ZendeskServer
) -> None:
    flow = ("tell", str(BEN.email), RANDOM.id)
    connector = await start(flow)
    slack.state.faults.append(Fault(method="users.lookupByEmail", kind="slow", delay=5.0))
    await waiting(connector, zendesk, people.NOOR)
    await until(lambda: slack.state.faults[0].times == 0)
    await connector.stop()
    assert slack.state.messages_to(BEN.id) == []
    await start(flow)
    await told(slack, BEN.id, 1)
