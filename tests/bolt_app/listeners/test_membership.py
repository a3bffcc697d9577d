"""An invitation lets the runs go on that waited for it, over HTTP and over Socket Mode."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from bolt_app.roles import REFUSED
from bolt_app.sandbox import SlackDelivery, SlackServer
from bolt_app.sandbox.people import ADA, ESCALATIONS, GUEST, RANDOM
from bolt_app.sandbox.records import Ephemeral, Fault
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
    async with asyncio.timeout(30):
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


async def test_an_invitation_is_not_missed_while_slack_still_says_that_the_app_is_not_there(
    slack: SlackServer, zendesk: ZendeskServer, start_connector: StartConnector, tmp_path: Path
) -> None:
    (tmp_path / "tell.yml").write_text(FLOW.format(channel="#random"))
    connector = await start_connector(recipe=False, connector_flows=tmp_path)
    slack.state.faults.append(Fault(method="users.conversations", kind="slow_after", delay=0.5))
    await zendesk.assign(people.GRINDER, people.NOOR)
    async with asyncio.timeout(30):
        while not slack.state.calls_to("users.conversations"):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    await delivery_to(connector, slack).event(slack.state.invite(RANDOM.id, inviter=ADA.id))
    await status(connector, "succeeded")
    assert len(slack.state.posted(RANDOM.id)) == 1


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
        database.execute("alter table incoming rename to mislaid")
    delivery, invitation = delivery_to(connector, slack), slack.state.invite(RANDOM.id, inviter=ADA.id)
    assert (await delivery.event(invitation)).status == 503
    with sqlite3.connect(settings.connector_database) as database:
        database.execute("alter table mislaid rename to incoming")
    assert (await delivery.event(invitation, retry_num=1)).status == 200
    await welcomed(slack, 1)


# The welcome


async def welcomed(slack: SlackServer, times: int) -> list[Ephemeral]:
    """Waits until there are so many welcomes, and a moment longer."""
    async with asyncio.timeout(30):
        while len(slack.state.ephemerals) < times:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.15)
    assert len(slack.state.ephemerals) == times
    return slack.state.ephemerals


async def test_whoever_invites_the_app_is_told_in_two_lines_what_it_does_there(
    slack: SlackServer, start_connector: StartConnector, tmp_path: Path
) -> None:
    for key, channel in (("here", "#random"), ("by-id", RANDOM.id), ("elsewhere", "#support"), ("open", "{{ x }}")):
        text = FLOW.replace("tell-the-channel", key).replace("Tell the channel", f"Flow <!here> {key}")
        (tmp_path / f"{key}.yml").write_text(text.format(channel=channel.replace("x", "trigger.subject")))
    connector = await start_connector(recipe=False, connector_flows=tmp_path)
    await connector.sides.bridge.request("deactivate", {"key": "notify-assigned-agents"}, "a test")
    await delivery_to(connector, slack).event(slack.state.invite(RANDOM.id, inviter=ADA.id))
    (seen,) = await welcomed(slack, 1)
    assert (seen.channel, seen.user) == (RANDOM.id, ADA.id)
    first, second = seen.text.splitlines()
    assert first.startswith("Thank you. I post in #random when an action flow says so")
    assert second == (
        "Active action flows that post here: *Flow &lt;!here&gt; by-id*, *Flow &lt;!here&gt; here*;"
        " 1 chooses the channel when running."
    )


async def test_a_guest_who_invites_the_app_is_not_told_which_flows_there_are(
    slack: SlackServer, connector: Connector
) -> None:
    slack.state.channels[RANDOM.id].members.append(GUEST.id)
    await delivery_to(connector, slack).event(slack.state.invite(RANDOM.id, inviter=GUEST.id))
    (seen,) = await welcomed(slack, 1)
    assert seen.text == REFUSED


async def test_nobody_is_told_where_the_app_joined_by_itself(slack: SlackServer, connector: Connector) -> None:
    await delivery_to(connector, slack).event(slack.state.invite(RANDOM.id))
    async with asyncio.timeout(30):
        while await connector.sides.bridge.channels.get(RANDOM.id) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await welcomed(slack, 0)


async def test_an_invitation_that_slack_reports_again_brings_no_second_welcome(
    slack: SlackServer, connector: Connector
) -> None:
    delivery, invitation = delivery_to(connector, slack), slack.state.invite(RANDOM.id, inviter=ADA.id)
    for retry in (None, 1, 2, 3):
        assert (await delivery.event(invitation, retry_num=retry)).status == 200
    await welcomed(slack, 1)
    # The same joining under another id, as after a reconnection of Slack's own.
    assert (await delivery.event({**invitation, "event_id": "Ev0OTHER01"})).status == 200
    await welcomed(slack, 1)


async def test_leaving_is_recorded_and_the_next_invitation_is_welcomed_again(
    slack: SlackServer, connector: Connector
) -> None:
    delivery, channels = delivery_to(connector, slack), connector.sides.bridge.channels
    slack.state.clock = lambda: 1_800_000_000.0
    await delivery.event(slack.state.invite(RANDOM.id, inviter=ADA.id))
    await welcomed(slack, 1)
    known = await channels.get(RANDOM.id)
    assert known is not None
    assert (known.joined_by, known.left_at) == (ADA.id, None)
    slack.state.clock = lambda: 1_800_000_100.0
    await delivery.event(slack.state.remove(RANDOM.id))
    async with asyncio.timeout(30):
        while (known := await channels.get(RANDOM.id)) and known.left_at is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    slack.state.clock = lambda: 1_800_000_200.0
    await delivery.event(slack.state.invite(RANDOM.id, inviter=ADA.id))
    await welcomed(slack, 2)


async def test_a_welcome_that_slack_refuses_is_sent_later_and_one_that_is_unclear_is_not_sent_again(
    slack: SlackServer, connector: Connector, settings: Settings, start_connector: StartConnector
) -> None:
    slack.state.faults.append(Fault(method="chat.postEphemeral", kind="rate_limited", retry_after=1))
    await delivery_to(connector, slack).event(slack.state.invite(RANDOM.id, inviter=ADA.id))
    async with asyncio.timeout(30):
        while not slack.state.calls_to("chat.postEphemeral"):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    await welcomed(slack, 0)
    await connector.stop()
    slack.state.faults.append(Fault(method="chat.postEphemeral", kind="drop_after"))
    again = await start_connector()  # what is open is dealt with at the start
    await welcomed(slack, 1)
    await again.stop()
    last = await start_connector()
    await welcomed(slack, 1)
    assert len(slack.state.calls_to("chat.postEphemeral")) == 2
    await last.stop()
