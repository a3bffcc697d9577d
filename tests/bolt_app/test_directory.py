"""Channels by name: found once, remembered for a day, asked for anew where what was remembered is not so any more."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from bolt_app.client import SlackClient
from bolt_app.sandbox import Fault, SlackServer
from bolt_app.sandbox.people import ESCALATIONS, OLD_NEWS, RANDOM, SUPPORT
from zendesk_bridge import memory as memory_module
from zendesk_bridge.flows.errors import NeedsInvite, Permanent, Transient
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import utc_now
from zendesk_bridge.memory import Memory


def listings(slack: SlackServer) -> int:
    return len(slack.state.calls_to("users.conversations"))


async def test_a_name_costs_one_listing_and_the_next_names_none(slack: SlackServer, client: SlackClient) -> None:
    other = slack.state.add_channel("élèves-日本", is_private=True)
    assert await client.channel_id("#support") == SUPPORT.id
    assert await client.channel_id("#élèves-日本") == other.id
    assert await client.channel_id("#support") == SUPPORT.id
    assert listings(slack) == 1


async def test_an_id_is_not_looked_up(slack: SlackServer, client: SlackClient) -> None:
    assert await client.channel_id(RANDOM.id) == RANDOM.id
    assert slack.state.calls == []


async def test_many_names_at_once_cost_one_paging(slack: SlackServer, client: SlackClient) -> None:
    made = [slack.state.add_channel(f"team-{number}") for number in range(250)]
    found = await asyncio.gather(*(client.channel_id(f"#team-{number}") for number in range(230, 250)))
    assert list(found) == [channel.id for channel in made[230:]]
    assert listings(slack) == 2


async def test_names_are_known_after_a_restart_and_for_a_day(
    slack: SlackServer, client: SlackClient, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.channel_id("#support")
    await journal.write(lambda connection: None)
    later = SlackClient(token="xoxb-sandbox", base_url=slack.url, memory=Memory(journal))
    await later.start()
    try:
        assert await later.channel_id("#support") == SUPPORT.id
        assert listings(slack) == 1
        tomorrow = utc_now() + dt.timedelta(days=1, seconds=1)
        monkeypatch.setattr(memory_module, "utc_now", lambda: tomorrow)
        assert await later.channel_id("#support") == SUPPORT.id
        assert listings(slack) == 2
    finally:
        await later.close()


@pytest.mark.parametrize("name", ["#random", "#escalations", "#nowhere"])
async def test_a_channel_the_app_is_not_in_waits_for_its_invitation_by_name(
    slack: SlackServer, client: SlackClient, name: str
) -> None:
    with pytest.raises(NeedsInvite) as caught:
        await client.channel_id(name)
    assert caught.value.channel == name
    assert caught.value.message == f"Slack shows the app no channel {name}: it is not there, or the app is not in it"
    assert "/invite @Zendesk Connector" in caught.value.hint


async def test_whoever_asks_after_an_invitation_gets_no_answer_from_before_it(
    slack: SlackServer, client: SlackClient
) -> None:
    slack.state.faults.append(Fault(method="users.conversations", kind="slow_after", delay=0.1))
    early = asyncio.create_task(client.channel_id("#escalations"))
    while not listings(slack):  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    slack.state.invite(ESCALATIONS.id)
    assert await client.channel_id("#escalations") == ESCALATIONS.id
    with pytest.raises(NeedsInvite):
        await early


async def test_a_name_that_went_to_another_channel_is_looked_up_anew_where_slack_refuses_the_old_one(
    slack: SlackServer, client: SlackClient
) -> None:
    old = slack.state.add_channel("billing", is_private=True)
    await client.in_channel("#billing", lambda id: client.post(id, "one"))
    old.name = "billing-2025"
    slack.state.remove(old.id)
    new = slack.state.add_channel("billing", is_private=True)
    await asyncio.gather(*(client.in_channel("#billing", lambda id: client.post(id, "two")) for _ in range(2)))
    assert [message.channel for message in slack.state.posted()] == [old.id, new.id, new.id]
    assert await client.channel_id("#billing") == new.id
    assert listings(slack) == 2


async def test_a_name_that_leads_nowhere_any_more_waits_for_an_invitation(
    slack: SlackServer, client: SlackClient
) -> None:
    await client.channel_id("#support")
    slack.state.remove(SUPPORT.id)
    with pytest.raises(NeedsInvite) as caught:
        await client.in_channel("#support", lambda id: client.post(id, "hi"))
    assert caught.value.channel == "#support"
    slack.state.invite(SUPPORT.id)
    await client.in_channel("#support", lambda id: client.post(id, "hi"))
    assert len(slack.state.posted()) == 1


async def test_a_refusal_that_a_new_look_does_not_explain_stays_what_it_was(
    slack: SlackServer, client: SlackClient
) -> None:
    slack.state.faults.append(Fault(method="chat.postMessage", kind="error", error="not_in_channel"))
    with pytest.raises(NeedsInvite) as caught:
        await client.in_channel("#support", lambda id: client.post(id, "hi"))
    assert (caught.value.code, caught.value.channel) == ("not_in_channel", SUPPORT.id)


async def test_an_archived_channel_is_found_by_name_unless_another_has_it(
    slack: SlackServer, client: SlackClient
) -> None:
    with pytest.raises(Permanent, match="is_archived"):
        await client.in_channel("#old-news", lambda id: client.post(id, "hi"))
    new = slack.state.add_channel(OLD_NEWS.name)
    assert await client.channel_id("#old-news") == new.id


async def test_a_look_up_that_fails_leaves_nothing_in_doubt(slack: SlackServer, client: SlackClient) -> None:
    slack.state.faults.append(Fault(method="users.conversations", kind="http", status=500))
    with pytest.raises(Transient):
        await client.in_channel("#support", lambda id: client.post(id, "hi"))
    assert slack.state.posted() == []


async def test_what_was_seen_before_a_limit_is_not_asked_for_again(slack: SlackServer, client: SlackClient) -> None:
    for number in range(250):
        slack.state.add_channel(f"team-{number}")
    slack.state.faults += [
        Fault(method="users.conversations", kind="slow", delay=0),
        Fault(method="users.conversations", kind="rate_limited"),
    ]
    with pytest.raises(Transient):
        await client.channel_id("#team-1")
    assert await client.channel_id("#team-1")
    assert listings(slack) == 2


async def test_a_missing_scope_is_named(slack: SlackServer, client: SlackClient) -> None:
    slack.state.bot_scopes.discard("groups:read")
    with pytest.raises(Permanent) as caught:
        await client.channel_id("#support")
    assert "groups:read" in caught.value.hint
