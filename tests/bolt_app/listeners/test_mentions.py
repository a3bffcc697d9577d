"""A mention is answered with help in its thread; the one that invites the app brings the welcome alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bolt_app.roles import REFUSED
from bolt_app.sandbox import Fault, SlackDelivery, SlackServer, payloads
from bolt_app.sandbox.people import ADA, BOT_USER_ID, GUEST, NOOR, RANDOM, SUPPORT
from bolt_app.server import Connector

StartConnector = Callable[..., Awaitable[Connector]]


@pytest.fixture
def delivery(connector: Connector, slack: SlackServer, monkeypatch: pytest.MonkeyPatch) -> SlackDelivery:
    monkeypatch.setattr("bolt_app.listeners.mentions.NEWS_WITHIN", 0.3)
    return SlackDelivery("slack signing secret", f"{connector.url}/slack/events", slack.state)


async def settled(connector: Connector) -> None:
    """Waits until every event is dealt with."""
    query = "select count(*) from incoming where settled_at is null"

    async def left() -> int:
        bridge = connector.sides.bridge
        return int(await bridge._journal.read(lambda connection: connection.execute(query).fetchone()[0]))

    async with asyncio.timeout(30):
        while await left():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)


def mention(slack: SlackServer, user: str, channel: str, at: float | None = None) -> dict[str, Any]:
    if at is not None:
        slack.state.clock = lambda: at
    return payloads.app_mention(slack.state, user, channel, "which flows are there?")


async def test_a_mention_is_answered_with_help_in_its_thread(
    delivery: SlackDelivery, connector: Connector, slack: SlackServer
) -> None:
    asked = mention(slack, ADA.id, SUPPORT.id)
    for retry in (None, 1, 2):
        assert (await delivery.event(asked, retry_num=retry)).status == 200
    await settled(connector)
    (answer,) = slack.state.posted(SUPPORT.id)
    assert answer.thread_ts == asked["event"]["ts"]
    assert "/action-flows help" in answer.text
    assert (await connector.sides.bridge.channels.get(SUPPORT.id)) is not None


async def test_a_mention_in_a_thread_is_answered_there(
    delivery: SlackDelivery, connector: Connector, slack: SlackServer
) -> None:
    parent = slack.state.say(NOOR.id, SUPPORT.id, "What now?")
    said = slack.state.say(ADA.id, SUPPORT.id, f"<@{BOT_USER_ID}> help", thread_ts=parent.ts)
    event = {**mention(slack, ADA.id, SUPPORT.id)["event"], "ts": said.ts, "thread_ts": parent.ts, "event_ts": said.ts}
    await delivery.event(event)
    await settled(connector)
    (answer,) = slack.state.posted(SUPPORT.id)
    assert answer.thread_ts == parent.ts


@pytest.mark.parametrize("joining_first", [True, False], ids=["the joining first", "the mention first"])
async def test_an_invitation_by_mention_brings_one_welcome_and_no_help(
    delivery: SlackDelivery, connector: Connector, slack: SlackServer, joining_first: bool
) -> None:
    said = mention(slack, ADA.id, RANDOM.id, at=1_800_000_000.0)
    slack.state.clock = lambda: 1_800_000_004.0
    joined = slack.state.invite(RANDOM.id, inviter=ADA.id)
    for event in (joined, said) if joining_first else (said, joined):
        await delivery.event(event)
    await settled(connector)
    assert len(slack.state.ephemerals) == 1
    assert slack.state.posted(RANDOM.id) == []


async def test_a_later_mention_is_answered_also_when_the_inviter_asks(
    delivery: SlackDelivery, connector: Connector, slack: SlackServer
) -> None:
    slack.state.clock = lambda: 1_800_000_000.0
    await delivery.event(slack.state.invite(RANDOM.id, inviter=ADA.id))
    await settled(connector)
    await delivery.event(mention(slack, ADA.id, RANDOM.id, at=1_800_000_030.0))
    await settled(connector)
    assert len(slack.state.posted(RANDOM.id)) == 1
    assert len(slack.state.ephemerals) == 1


async def test_a_guest_gets_one_refusing_sentence_that_nobody_else_sees(
    delivery: SlackDelivery, connector: Connector, slack: SlackServer
) -> None:
    asked = mention(slack, GUEST.id, SUPPORT.id)
    await delivery.event(asked)
    await settled(connector)
    assert slack.state.posted(SUPPORT.id) == []
    (seen,) = slack.state.ephemerals
    assert (seen.user, seen.text, seen.thread_ts) == (GUEST.id, REFUSED, asked["event"]["ts"])


async def test_help_that_was_refused_is_given_later_and_what_is_unclear_is_not_said_twice(
    delivery: SlackDelivery, connector: Connector, slack: SlackServer, start_connector: StartConnector
) -> None:
    slack.state.faults.append(Fault(method="chat.postMessage", kind="rate_limited", retry_after=1))
    await delivery.event(mention(slack, ADA.id, SUPPORT.id))
    async with asyncio.timeout(30):
        while not slack.state.calls_to("chat.postMessage"):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    await connector.stop()
    slack.state.faults.append(Fault(method="chat.postMessage", kind="drop_after"))
    for _ in range(2):
        again = await start_connector()
        await settled(again)
        await again.stop()
    assert len(slack.state.posted(SUPPORT.id)) == 1


async def test_help_that_slack_was_not_asked_to_post_yet_is_given_after_a_restart(
    delivery: SlackDelivery, start_connector: StartConnector, connector: Connector, slack: SlackServer
) -> None:
    slack.state.faults.append(Fault(method="conversations.replies", kind="slow", delay=9.0))
    await delivery.event(mention(slack, ADA.id, SUPPORT.id))
    async with asyncio.timeout(30):
        while slack.state.faults and slack.state.faults[0].times:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    await connector.stop()
    slack.state.faults.clear()
    await settled(await start_connector())
    assert len(slack.state.posted(SUPPORT.id)) == 1


async def test_the_late_news_of_an_invitation_brings_no_welcome_after_the_help(
    delivery: SlackDelivery, connector: Connector, slack: SlackServer
) -> None:
    asked = mention(slack, ADA.id, RANDOM.id, at=1_800_000_000.0)
    slack.state.clock = lambda: 1_800_000_004.0
    invitation = slack.state.invite(RANDOM.id, inviter=ADA.id)
    await delivery.event(asked)
    await settled(connector)
    await delivery.event(invitation)
    await settled(connector)
    assert (len(slack.state.posted(RANDOM.id)), len(slack.state.ephemerals)) == (1, 0)
    known = await connector.sides.bridge.channels.get(RANDOM.id)
    assert known is not None
    assert known.joined_by == ADA.id
