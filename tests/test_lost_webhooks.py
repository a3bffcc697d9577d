"""The whole way where Zendesk's event webhook does not do: it is lost, cannot be had, or nothing reaches the host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from polling import NO_POLLS, QUICK_POLLS, SECRET, open_up, pages

from bolt_app.sandbox import SlackServer
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.sandbox import ZendeskServer, people

RECIPE = "notify-assigned-agents"
#: As the README has it.
BODY = """{
  "type": "zendesk-connector.assignment",
  "ticket_id": "{{ticket.id}}",
  "assignee_id": "{{ticket.assignee.id}}",
  "updated_at": "{{ticket.updated_at_with_timestamp}}"
}"""

Connect = Callable[..., Awaitable[Connector]]


@pytest.fixture
async def connect(settings: Settings, zendesk: ZendeskServer) -> AsyncIterator[Connect]:
    """Starts connectors that poll quickly, with the recipe active; Zendesk has no webhook to them."""
    open_up(zendesk)
    async with AsyncExitStack() as exits:

        async def connect(*, polling: Any = QUICK_POLLS, **changes: Any) -> Connector:
            changed = settings.model_copy(update=changes)
            connector = Connector(changed, replace(changed.bridge(), polling=polling))
            await connector.start()
            exits.push_async_callback(connector.stop)
            await connector.sides.bridge.request("activate", {"key": RECIPE}, "a test")
            return connector

        yield connect


async def event_ids(connector: Connector) -> list[str]:
    """The event ids of all runs, the oldest first."""
    await connector.sides.bridge.idle()
    return [run["event_id"] for run in reversed(await connector.sides.bridge.list_runs())]


async def test_a_lost_webhook_is_found_by_the_poller(
    connect: Connect, zendesk: ZendeskServer, slack: SlackServer
) -> None:
    connector = await connect()
    zendesk.state.add_webhook(f"{connector.url}/zendesk/events", secret=SECRET)
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    assert "won't start after cleaning" in (await slack.state.next_message()).text
    delivered = await zendesk.assign(people.MARKUP, people.NOOR)
    assert "Charged twice" in (await slack.state.next_message()).text
    await pages(zendesk)
    lost, brought = await event_ids(connector)
    assert lost.startswith("audit-")
    assert brought == delivered.event["id"]
    assert len(slack.state.posted()) == 2


async def test_a_host_that_no_webhook_reaches_needs_no_secret(
    connect: Connect, zendesk: ZendeskServer, slack: SlackServer
) -> None:
    connector = await connect(zendesk_webhook_secret=None)
    await zendesk.assign(people.GRINDER, people.NOOR)
    assert "won't start after cleaning" in (await slack.state.next_message()).text
    async with aiohttp.ClientSession() as session, session.get(f"{connector.url}/readyz") as answer:
        assert (answer.status, (await answer.json())["poll"]) == (200, "ok")


@pytest.mark.parametrize("with_seconds", [False, True])
async def test_a_zendesk_triggers_webhook_tells_of_an_assignment_once(
    connect: Connect, zendesk: ZendeskServer, slack: SlackServer, with_seconds: bool
) -> None:
    zendesk.state.trigger_times_have_seconds = with_seconds
    connector = await connect()
    zendesk.state.add_trigger(f"{connector.url}/zendesk/events", BODY, secret=SECRET)
    told = await zendesk.assign(people.GRINDER, people.NOOR)
    assert [delivery.statuses for delivery in told.deliveries] == [(200,)]
    assert "won't start after cleaning" in (await slack.state.next_message()).text
    await pages(zendesk)
    (event_id,) = await event_ids(connector)
    assert event_id.startswith("trigger-")


async def test_a_zendesk_trigger_tells_of_to_and_fro_within_a_minute_and_of_nobody(
    connect: Connect, zendesk: ZendeskServer
) -> None:
    connector = await connect(polling=NO_POLLS)
    zendesk.state.add_trigger(f"{connector.url}/zendesk/events", BODY, secret=SECRET)
    statuses = [
        (await zendesk.assign(people.MARKUP, agent)).deliveries[0].status
        for agent in (people.NOOR, people.BEN, people.NOOR, None)
    ]
    # The recipe does not want what is assigned to nobody.
    assert statuses == [200, 200, 200, 204]
    assert len(set(await event_ids(connector))) == 3
