"""The webhook at Zendesk, through the real client against the sandbox: made, kept in step, mended and removed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from polling import flow_file, until
from pydantic import SecretStr

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import NOOR as NOOR_AT_SLACK
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge import subscription as subscriptions
from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.bridge import Bridge, BridgeSettings, Polling, Timing
from zendesk_bridge.flows.errors import ConnectorError, Permanent, Uncertain
from zendesk_bridge.sandbox import Fault, ZendeskServer, people
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.tokens import Client
from zendesk_bridge.subscription import Subscription

ASSIGNED = people.ASSIGNMENT_CHANGED
FOR_TRIGGERS = people.TRIGGER_CONNECTED
PUBLIC = "https://connector.example"
FLOW = "seen"
OTHER = "Zendesk Connector"


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
async def start(
    zendesk: ZendeskServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Any]]:
    """Opens bridges whose OAuth client has its own rights, with one active flow that starts from assignments."""
    monkeypatch.setattr(subscriptions, "SETTLES", 0.01)
    flows = flow_file(tmp_path / "flows")
    file = flows / "seen.yml"
    file.write_text(file.read_text().replace("active: true\n", ""))
    made: list[Bridge] = []
    async with AsyncExitStack() as exits:

        async def opened(**changes: Any) -> Bridge:
            account = ZendeskSettings(
                subdomain="harbour",
                api_url=zendesk.url,
                client_id=people.CLIENT_ID,
                client_secret=SecretStr(people.CLIENT_SECRET),
            )
            settings = BridgeSettings(
                database=tmp_path / "connector.db",
                flows=flows,
                zendesk=account,
                public_url=PUBLIC,
                polling=Polling(every=0.0),
            )
            bridge = Bridge(replace(settings, **changes))
            await bridge.open()
            exits.push_async_callback(bridge.stop)
            if not made:
                await switch(bridge, True)
            made.append(bridge)
            return bridge

        yield opened


@pytest.fixture
async def bridge(start: Callable[..., Any]) -> Bridge:
    opened: Bridge = await start()
    return opened


async def ensure(bridge: Bridge) -> list[str]:
    return await bridge.subscription.ensure(test=False)


def the_webhook(zendesk: ZendeskServer) -> Record:
    (webhook,) = zendesk.state.webhooks.values()
    return webhook


def the_trigger(zendesk: ZendeskServer) -> Record:
    (trigger,) = zendesk.state.triggers.values()
    return trigger


async def switch(bridge: Bridge, on: bool) -> None:
    await bridge.request("activate" if on else "deactivate", {"key": FLOW}, "a test")


def dying(bridge: Bridge, *, after: str, verb: str = "POST") -> Subscription:
    """The subscription of a process that ends when Zendesk has answered a call."""

    async def manage(asked: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = await bridge.zendesk.manage(asked, path, body)
        if asked == verb and path.partition("?")[0].endswith(after):
            raise Killed
        return answer

    return Subscription(manage, bridge.vault, lambda: [ASSIGNED], known=[ASSIGNED], public_url=PUBLIC, by_hand=False)


def writes(zendesk: ZendeskServer) -> list[str]:
    return [
        f"{call.method} {call.path}"
        for call in zendesk.state.calls
        if call.method != "GET" and "oauth" not in call.path
    ]


async def failure(work: Any) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        await work
    return caught.value


# Made


async def test_the_webhook_is_made_for_the_events_that_active_flows_start_from(
    bridge: Bridge, zendesk: ZendeskServer
) -> None:
    (did,) = await ensure(bridge)
    webhook = the_webhook(zendesk)
    assert "ticket.agent_assignment_changed" in did
    assert (webhook["subscriptions"], webhook["status"]) == ([ASSIGNED], "active")
    assert (webhook["endpoint"], webhook["name"]) == (f"{PUBLIC}/zendesk/events", "Zendesk Connector")
    assert (webhook["http_method"], webhook["request_format"]) == ("POST", "json")
    assert bridge.subscription.secret == zendesk.state.webhook_secrets[webhook["id"]]
    assert await bridge.subscription.inspect([ASSIGNED]) == (True, "as it should be: ticket.agent_assignment_changed")


async def test_making_it_twice_changes_nothing(bridge: Bridge, zendesk: ZendeskServer) -> None:
    await ensure(bridge)
    made = dict(the_webhook(zendesk))
    zendesk.state.calls.clear()
    assert await ensure(bridge) == ["as it should be"]
    await asyncio.gather(ensure(bridge), ensure(bridge))
    assert writes(zendesk) == []
    assert the_webhook(zendesk) == made


async def test_two_who_make_it_at_once_make_one(bridge: Bridge, zendesk: ZendeskServer) -> None:
    await asyncio.gather(*(ensure(bridge) for _ in range(4)))
    assert len(zendesk.state.webhooks) == 1


async def test_where_no_flow_is_active_it_is_made_and_switched_off(bridge: Bridge, zendesk: ZendeskServer) -> None:
    await switch(bridge, False)
    await ensure(bridge)
    assert the_webhook(zendesk)["status"] == "inactive"


async def test_its_secret_is_kept_encrypted_and_is_there_after_a_restart(
    start: Callable[..., Any], zendesk: ZendeskServer, tmp_path: Path
) -> None:
    first = await start()
    await ensure(first)
    secret = zendesk.state.webhook_secrets[the_webhook(zendesk)["id"]]
    files = await asyncio.to_thread(lambda: b"".join(path.read_bytes() for path in tmp_path.glob("connector.db*")))
    assert secret.encode() not in files
    await first.stop()
    second = await start()
    assert second.subscription.secret == secret


async def test_without_a_public_address_nothing_is_made(start: Callable[..., Any], zendesk: ZendeskServer) -> None:
    problem = await failure(ensure(await start(public_url=None)))
    assert problem.code == "no_public_url"
    assert zendesk.state.webhooks == {}


async def test_a_webhook_made_by_hand_is_left_alone(start: Callable[..., Any], zendesk: ZendeskServer) -> None:
    bridge = await start(webhook_secret=SecretStr("s"))
    assert "by hand" in (await ensure(bridge))[0]
    assert await bridge.subscription.remove() == []
    assert zendesk.state.calls == []


async def test_where_no_more_webhooks_may_be_made_the_account_says_so_and_an_admin_can(
    bridge: Bridge, zendesk: ZendeskServer
) -> None:
    zendesk.state.most_webhooks = 0
    problem = await failure(ensure(bridge))
    assert "can have 0 webhooks" in problem.message
    zendesk.state.most_webhooks = 1
    await ensure(bridge)
    assert the_webhook(zendesk)["status"] == "active"


# In step


async def test_it_follows_the_flows(bridge: Bridge, zendesk: ZendeskServer) -> None:
    await ensure(bridge)
    for on in (False, True, False):
        await switch(bridge, on)
        await until(lambda on=on: the_webhook(zendesk)["status"] == ("active" if on else "inactive"))
        await asyncio.sleep(0.1)  # it reads the secret, and notes what it did
    assert the_webhook(zendesk)["subscriptions"] == [ASSIGNED]


async def test_where_none_was_made_flows_change_nothing_at_zendesk(bridge: Bridge, zendesk: ZendeskServer) -> None:
    await switch(bridge, False)
    await switch(bridge, True)
    await asyncio.sleep(0.05)
    assert zendesk.state.calls == []


async def test_a_change_while_it_follows_another_is_followed_too(bridge: Bridge, zendesk: ZendeskServer) -> None:
    await ensure(bridge)
    await switch(bridge, False)
    await until(lambda: the_webhook(zendesk)["status"] == "inactive")
    await asyncio.sleep(0.1)
    zendesk.state.faults.append(Fault(path="/api/v2/webhooks", kind="slow", delay=0.1))
    await switch(bridge, True)
    await until(lambda: not zendesk.state.faults)  # it has looked at the flows, and asks Zendesk
    await switch(bridge, False)
    await asyncio.sleep(0.5)
    assert the_webhook(zendesk)["status"] == "inactive"


async def test_a_change_that_zendesk_did_not_take_for_a_moment_is_followed_later(
    bridge: Bridge, zendesk: ZendeskServer
) -> None:
    await ensure(bridge)
    zendesk.state.faults.append(Fault(path="/api/v2/webhooks", kind="status", status=503))
    await switch(bridge, False)
    await asyncio.sleep(0.5)
    assert the_webhook(zendesk)["status"] == "inactive"


async def test_a_flow_that_was_switched_while_nothing_ran_is_followed_after_the_start(
    start: Callable[..., Any], zendesk: ZendeskServer
) -> None:
    first = await start()
    await ensure(first)
    await switch(first, False)
    await until(lambda: the_webhook(zendesk)["status"] == "inactive")
    settings = first.settings
    await first.stop()
    await switch(Bridge(settings), True)  # a command, with no connector running
    await (await start()).start()
    await asyncio.sleep(0.5)
    assert the_webhook(zendesk)["status"] == "active"


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "https://elsewhere.example/"},
        {"status": "inactive"},
        {"subscriptions": ["zen:event-type:ticket.created"]},
        {"subscriptions": [ASSIGNED, "zen:event-type:ticket.created"]},
    ],
    ids=["endpoint", "status", "another event", "one event more"],
)
async def test_what_somebody_changed_is_told_and_mended(
    bridge: Bridge, zendesk: ZendeskServer, change: dict[str, Any]
) -> None:
    await ensure(bridge)
    made = dict(the_webhook(zendesk))
    the_webhook(zendesk).update(change)
    good, told = await bridge.subscription.inspect([ASSIGNED])
    assert not good
    assert "mends it" in told
    (did,) = await ensure(bridge)
    assert did.startswith("changed: ")
    mended = the_webhook(zendesk)
    assert {name: mended[name] for name in ("id", *change)} == {name: made[name] for name in ("id", *change)}
    assert (await bridge.subscription.inspect([ASSIGNED]))[0]


async def test_another_public_address_is_followed(start: Callable[..., Any], zendesk: ZendeskServer) -> None:
    first = await start()
    await ensure(first)
    await first.stop()
    second = await start(public_url="https://moved.example/")
    await ensure(second)
    assert the_webhook(zendesk)["endpoint"] == "https://moved.example/zendesk/events"


async def test_one_that_was_removed_at_zendesk_is_made_anew_with_its_new_secret(
    bridge: Bridge, zendesk: ZendeskServer
) -> None:
    await ensure(bridge)
    zendesk.state.webhooks.clear()
    assert "is gone" in (await bridge.subscription.inspect([ASSIGNED]))[1]
    await ensure(bridge)
    assert bridge.subscription.secret == zendesk.state.webhook_secrets[the_webhook(zendesk)["id"]]


async def test_a_secret_that_was_renewed_at_zendesk_is_learned(bridge: Bridge, zendesk: ZendeskServer) -> None:
    await ensure(bridge)
    zendesk.state.webhook_secrets[the_webhook(zendesk)["id"]] = "renewed"
    await ensure(bridge)
    assert bridge.subscription.secret == "renewed"


# Sudden ends


async def test_one_that_was_made_and_not_noted_is_taken_up_again(
    start: Callable[..., Any], zendesk: ZendeskServer
) -> None:
    bridge = await start()
    with pytest.raises(Killed):
        await dying(bridge, after="/webhooks").ensure(test=False)
    await bridge.stop()
    again = await start()
    await ensure(again)
    assert again.subscription.secret == zendesk.state.webhook_secrets[the_webhook(zendesk)["id"]]


async def test_one_whose_answer_was_lost_is_taken_up_again(bridge: Bridge, zendesk: ZendeskServer) -> None:
    await bridge.zendesk.identity()
    zendesk.state.add_webhook("https://x.example", name="One more")

    async def manage(verb: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = await bridge.zendesk.manage(verb, path, body)
        if verb == "POST":
            raise Uncertain("no_answer", "lost")
        return answer

    lost = Subscription(manage, bridge.vault, lambda: [ASSIGNED], known=[ASSIGNED], public_url=PUBLIC, by_hand=False)
    assert isinstance(await failure(lost.ensure(test=False)), Uncertain)
    await ensure(bridge)
    assert len(zendesk.state.webhooks) == 2


async def test_one_on_a_later_page_is_taken_up_again(bridge: Bridge, zendesk: ZendeskServer) -> None:
    for number in range(130):
        zendesk.state.add_webhook(f"https://x.example/{number}", name=f"Zendesk Connector {number}")
    with pytest.raises(Killed):
        await dying(bridge, after="/webhooks").ensure(test=False)
    await ensure(bridge)
    assert len(zendesk.state.webhooks) == 131


async def test_one_that_was_made_and_not_noted_is_removed(bridge: Bridge, zendesk: ZendeskServer) -> None:
    with pytest.raises(Killed):
        await dying(bridge, after="/webhooks").ensure(test=False)
    await bridge.subscription.remove()
    assert zendesk.state.webhooks == {}


@pytest.mark.parametrize("ends", ["taken up", "removed"])
async def test_a_trigger_that_was_made_and_not_noted_is_found_again(
    bridge: Bridge, zendesk: ZendeskServer, ends: str
) -> None:
    zendesk.state.refuses_event_subscriptions = True
    with pytest.raises(Killed):
        await dying(bridge, after="/triggers.json").ensure(test=False)
    if ends == "taken up":
        await ensure(bridge)
        assert len(zendesk.state.webhooks) == len(zendesk.state.triggers) == 1
    await bridge.subscription.remove()
    assert zendesk.state.webhooks == zendesk.state.triggers == {}


async def test_a_sudden_end_while_it_is_removed_leaves_nothing_for_the_next_try(
    bridge: Bridge, zendesk: ZendeskServer
) -> None:
    zendesk.state.refuses_event_subscriptions = True
    await ensure(bridge)
    trigger = the_trigger(zendesk)["id"]
    with pytest.raises(Killed):
        await dying(bridge, after=f"/triggers/{trigger}.json", verb="DELETE").remove()
    assert await bridge.subscription.remove() == ["the webhook was removed"]
    assert zendesk.state.webhooks == zendesk.state.triggers == {}
    assert bridge.subscription.secret is None


# Others' webhooks and triggers


async def test_what_others_made_is_never_touched_even_under_our_name(bridge: Bridge, zendesk: ZendeskServer) -> None:
    state = zendesk.state
    state.refuses_event_subscriptions = True
    text = "Made by Zendesk Connector (0123456789abcdef). It is changed and removed by the connector."
    first = state.add_webhook("https://theirs.example", name=OTHER, description=text)
    second = state.add_webhook(f"{PUBLIC}/zendesk/events", name=OTHER, subscriptions=[FOR_TRIGGERS])
    trigger = {
        "title": "Zendesk Connector: assignee changed",
        "conditions": {"all": [{"field": "assignee_id", "operator": "changed", "value": None}], "any": []},
        "actions": [{"field": "notification_webhook", "value": [second["id"], "{}"]}],
    }
    await bridge.zendesk.manage("POST", "/api/v2/triggers.json", {"trigger": trigger})
    theirs = (dict(first), dict(second), dict(the_trigger(zendesk)))
    zendesk.state.calls.clear()
    await ensure(bridge)
    assert (len(state.webhooks), len(state.triggers)) == (3, 2)
    await switch(bridge, False)
    await ensure(bridge)
    await bridge.subscription.remove()
    assert (state.webhooks[first["id"]], state.webhooks[second["id"]], the_trigger(zendesk)) == theirs
    assert len(state.webhooks) == 2


# Where Zendesk takes no event subscription


async def test_where_events_are_refused_a_trigger_calls_the_webhook(bridge: Bridge, zendesk: ZendeskServer) -> None:
    zendesk.state.refuses_event_subscriptions = True
    done = await ensure(bridge)
    assert "called by a trigger" in done[0]
    webhook, trigger = the_webhook(zendesk), the_trigger(zendesk)
    assert webhook["subscriptions"] == [FOR_TRIGGERS]
    assert trigger["actions"][0]["value"][0] == webhook["id"]
    assert trigger["active"]
    assert await ensure(bridge) == ["as it should be"]
    assert (await bridge.subscription.inspect([ASSIGNED]))[0]


async def test_a_trigger_that_somebody_switched_off_is_told_and_mended(bridge: Bridge, zendesk: ZendeskServer) -> None:
    zendesk.state.refuses_event_subscriptions = True
    await ensure(bridge)
    the_trigger(zendesk)["active"] = False
    good, told = await bridge.subscription.inspect([ASSIGNED])
    assert not good
    assert "switched off" in told
    await ensure(bridge)
    assert the_trigger(zendesk)["active"]
    assert (await bridge.subscription.inspect([ASSIGNED]))[0]


async def test_a_trigger_that_somebody_removed_is_told_and_made_anew(bridge: Bridge, zendesk: ZendeskServer) -> None:
    zendesk.state.refuses_event_subscriptions = True
    await ensure(bridge)
    zendesk.state.triggers.clear()
    good, told = await bridge.subscription.inspect([ASSIGNED])
    assert not good
    assert "trigger" in told
    await ensure(bridge)
    assert the_trigger(zendesk)["actions"][0]["value"][0] == the_webhook(zendesk)["id"]


async def test_a_trigger_that_calls_another_webhook_is_mended(bridge: Bridge, zendesk: ZendeskServer) -> None:
    zendesk.state.refuses_event_subscriptions = True
    await ensure(bridge)
    other = zendesk.state.add_webhook("https://theirs.example", subscriptions=[FOR_TRIGGERS])
    the_trigger(zendesk)["actions"][0]["value"][0] = other["id"]
    await ensure(bridge)
    ours = next(each for each in zendesk.state.webhooks.values() if each is not other)
    assert the_trigger(zendesk)["actions"][0]["value"][0] == ours["id"]


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "not noted"])
async def test_where_the_webhook_of_a_trigger_is_gone_both_are_made_anew(
    bridge: Bridge, zendesk: ZendeskServer, noted: bool
) -> None:
    zendesk.state.refuses_event_subscriptions = True
    if noted:
        await ensure(bridge)
    else:
        with pytest.raises(Killed):
            await dying(bridge, after="/triggers.json").ensure(test=False)
    zendesk.state.webhooks.clear()
    await ensure(bridge)
    assert the_trigger(zendesk)["actions"][0]["value"][0] == the_webhook(zendesk)["id"]


# Removed


@pytest.mark.parametrize("gone", ["nothing", "the webhook", "the trigger", "both"])
async def test_what_was_made_is_removed_also_where_half_of_it_is_gone(
    bridge: Bridge, zendesk: ZendeskServer, gone: str
) -> None:
    zendesk.state.refuses_event_subscriptions = True
    await ensure(bridge)
    if gone in ("the webhook", "both"):
        zendesk.state.webhooks.clear()
    if gone in ("the trigger", "both"):
        zendesk.state.triggers.clear()
    done = await bridge.subscription.remove()
    assert len(done) == {"nothing": 2, "both": 0}.get(gone, 1)
    assert zendesk.state.webhooks == zendesk.state.triggers == {}
    assert bridge.subscription.secret is None
    assert await bridge.subscription.remove() == []


async def test_what_cannot_be_removed_is_not_forgotten(bridge: Bridge, zendesk: ZendeskServer) -> None:
    await ensure(bridge)
    zendesk.state.faults.append(Fault(path="/api/v2/webhooks", kind="status", status=503))
    assert isinstance(await failure(bridge.subscription.remove()), Uncertain)
    assert await bridge.subscription.remove() == ["the webhook was removed"]
    assert zendesk.state.webhooks == {}


async def test_after_it_was_removed_flows_make_none(bridge: Bridge, zendesk: ZendeskServer) -> None:
    await ensure(bridge)
    await bridge.subscription.remove()
    await switch(bridge, False)
    await switch(bridge, True)
    await asyncio.sleep(0.05)
    assert zendesk.state.webhooks == {}


# Rights


async def test_an_agent_may_not_and_is_told_how_an_admin_does_it(
    start: Callable[..., Any], zendesk: ZendeskServer
) -> None:
    zendesk.state.clients[people.CLIENT_ID] = Client(
        identifier=people.CLIENT_ID, secret=people.CLIENT_SECRET, user_id=people.NOOR
    )
    bridge = await start()
    problem = await failure(ensure(bridge))
    assert isinstance(problem, Permanent)
    assert problem.code == "forbidden"
    clicks = bridge.subscription.clicks()
    assert any("ticket.agent_assignment_changed" in each for each in clicks)
    assert any(f"{PUBLIC}/zendesk/events" in each for each in clicks)


async def test_after_the_managing_token_was_ended_another_is_got(bridge: Bridge, zendesk: ZendeskServer) -> None:
    await ensure(bridge)
    zendesk.state.tokens.clear()
    assert await ensure(bridge) == ["as it should be"]


# Delivered


@pytest.fixture
async def connector(settings: Settings, zendesk: ZendeskServer, unused_port: int) -> AsyncIterator[Connector]:
    """A connector with the recipe active, that looks after the webhook itself."""
    changed = settings.model_copy(
        update={
            "zendesk_webhook_secret": None,
            "connector_port": unused_port,
            "connector_public_url": f"http://127.0.0.1:{unused_port}",
        }
    )
    connector = Connector(changed, replace(changed.bridge(), timing=Timing(looks=(0.3, 0.6)), mend_every=0.05))
    await connector.start()
    await connector.sides.bridge.request("activate", {"key": "notify-assigned-agents"}, "a test")
    yield connector
    await connector.stop()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.parametrize("through_a_trigger", [False, True], ids=["an event", "a trigger"])
async def test_an_assignment_starts_the_flow_at_once_after_the_webhook_is_made(
    connector: Connector, zendesk: ZendeskServer, slack: SlackServer, through_a_trigger: bool
) -> None:
    zendesk.state.refuses_event_subscriptions = through_a_trigger
    bridge = connector.sides.bridge
    assert (await zendesk.assign(people.MARKUP, people.NOOR)).deliveries == ()
    done = await bridge.subscription.ensure()
    assert "its signature is good" in done[-1]
    assert len(zendesk.state.triggers) == through_a_trigger
    told = await zendesk.assign(people.GRINDER, people.NOOR)
    assert [each.status for each in told.deliveries] == [200]
    await bridge.idle()
    (message,) = slack.state.messages_to(NOOR_AT_SLACK.id)
    assert "Ticket 101 has been assigned to you" in message.text
    await bridge.subscription.remove()
    assert (await zendesk.assign(people.GRINDER, people.BEN)).deliveries == ()


async def test_a_webhook_that_does_not_arrive_is_told_and_kept(bridge: Bridge, zendesk: ZendeskServer) -> None:
    zendesk.state.webhook_timeout = 0.2
    await ensure(bridge)
    moved = Subscription(
        bridge.zendesk.manage,
        bridge.vault,
        lambda: [ASSIGNED],
        known=[ASSIGNED],
        public_url="http://127.0.0.1:9",
        by_hand=False,
    )
    problem = await failure(moved.ensure())
    assert problem.code == "test_failed"
    assert "http://127.0.0.1:9/zendesk/events" in problem.hint
    assert the_webhook(zendesk)["endpoint"] == "http://127.0.0.1:9/zendesk/events"
