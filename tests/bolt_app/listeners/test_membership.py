"""An invitation lets the runs go on that waited for it, over HTTP and over Socket Mode."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from bolt_app.sandbox import SlackDelivery, SlackServer
from bolt_app.sandbox.people import ADA, ESCALATIONS, RANDOM
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.sandbox import ZendeskServer, people

StartConnector = Callable[..., Awaitable[Connector]]

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


async def status(connector: Connector, wanted: str) -> None:
    """Waits until the newest run has that status."""
    async with asyncio.timeout(5):
        while (await connector.sides.bridge.list_runs(1))[0]["status"] != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def delivery_to(connector: Connector, slack: SlackServer) -> SlackDelivery:
    return SlackDelivery("slack signing secret", f"{connector.url}/slack/events", slack.state)


@pytest.mark.parametrize("socket_mode", [False, True], ids=["over HTTP", "over Socket Mode"])
@pytest.mark.parametrize("named", ["C0RANDOM01", "#random", "random", "C0ESCALAT1", "#Escalations"])
async def test_an_invitation_lets_a_waiting_run_go_on(
    named: str,
    socket_mode: bool,
    slack: SlackServer,
    zendesk: ZendeskServer,
    start_connector: StartConnector,
    tmp_path: Path,
) -> None:
    (tmp_path / "tell.yml").write_text(FLOW.format(channel=named))
    how = {"slack_app_token": SecretStr("xapp-sandbox")} if socket_mode else {}
    connector = await start_connector(recipe=False, connector_flows=tmp_path, **how)
    await zendesk.assign(people.GRINDER, people.NOOR)
    await status(connector, "waiting")
    assert (await connector.sides.bridge.list_runs())[0]["error"]["code"] == "needs_invite"
    channel = ESCALATIONS.id if "ESCALAT" in named.upper() else RANDOM.id
    invitation = slack.state.invite(channel, inviter=ADA.id)
    if socket_mode:
        await slack.socket_event(invitation)
    else:
        assert (await delivery_to(connector, slack).event(invitation)).status == 200
    await status(connector, "succeeded")
    assert [message.text for message in slack.state.posted(channel)] == ["Ticket 101 has an agent"]


async def test_an_invitation_elsewhere_changes_nothing(
    slack: SlackServer, zendesk: ZendeskServer, start_connector: StartConnector, tmp_path: Path
) -> None:
    (tmp_path / "tell.yml").write_text(FLOW.format(channel=ESCALATIONS.id))
    connector = await start_connector(recipe=False, connector_flows=tmp_path)
    await zendesk.assign(people.GRINDER, people.NOOR)
    await status(connector, "waiting")
    tries = len(slack.state.calls_to("chat.postMessage"))
    await delivery_to(connector, slack).event(slack.state.invite(RANDOM.id, inviter=ADA.id))
    await asyncio.sleep(0.1)
    await status(connector, "waiting")
    assert len(slack.state.calls_to("chat.postMessage")) == tries


async def test_somebody_elses_joining_is_acknowledged_and_no_more(
    connector: Connector, slack: SlackServer, caplog: pytest.LogCaptureFixture
) -> None:
    event = slack.state.invite(RANDOM.id, inviter=ADA.id)
    event["event"]["user"] = ADA.id
    caplog.set_level("INFO", logger="bolt_app")
    assert (await delivery_to(connector, slack).event(event)).status == 200
    assert "invited" not in caplog.text


async def test_an_invitation_that_cannot_be_stored_is_not_acknowledged(
    connector: Connector, settings: Settings, slack: SlackServer
) -> None:
    with sqlite3.connect(settings.connector_database) as database:
        database.execute("alter table runs rename to mislaid")
    delivery, invitation = delivery_to(connector, slack), slack.state.invite(RANDOM.id, inviter=ADA.id)
    assert (await delivery.event(invitation)).status == 503
    with sqlite3.connect(settings.connector_database) as database:
        database.execute("alter table mislaid rename to runs")
    assert (await delivery.event(invitation, retry_num=1)).status == 200
