"""A connection breaks: whoever looks after the connector is told once, in Slack, and all goes on when it is mended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bolt_app.sandbox import Fault, SlackServer
from bolt_app.sandbox.people import ADA, NOOR
from bolt_app.server import Connector
from zendesk_bridge.sandbox import ZendeskServer, people


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


async def test_the_admin_is_told_once_that_zendesk_refuses_the_credentials_and_what_to_do(
    slack: SlackServer, zendesk: ZendeskServer, start_connector: Callable[..., Awaitable[Connector]]
) -> None:
    connector = await start_connector(connector_admin_email=ADA.email)
    clients, zendesk.state.clients = zendesk.state.clients, {}
    zendesk.state.expire_tokens()
    for ticket in (people.GRINDER, people.UNICODE):
        await zendesk.assign(ticket, people.NOOR)

    async def all_are(status: str) -> bool:
        return {run["status"] for run in await connector.sides.bridge.list_runs()} == {status}

    async def is_told() -> bool:
        return bool(slack.state.messages_to(ADA.id)) and await all_are("waiting")

    await _until(is_told)
    await asyncio.sleep(0.3)  # several more tries
    (message,) = slack.state.messages_to(ADA.id)
    assert message.text.startswith("The connection to Zendesk is broken: Zendesk refused the credentials")
    assert "Admin Center &gt; Apps and integrations" in message.text
    assert message.text.endswith("Runs that need it wait, and go on by themselves when it is mended.")
    zendesk.state.clients = clients
    await _until(lambda: all_are("succeeded"))
    assert len(slack.state.messages_to(NOOR.id)) == 2
    assert len(slack.state.messages_to(ADA.id)) == 1


async def test_the_owner_is_told_of_a_failed_run_once_an_hour_for_each_kind_of_error(
    slack: SlackServer, zendesk: ZendeskServer, start_connector: Callable[..., Awaitable[Connector]]
) -> None:
    connector = await start_connector(connector_admin_email=ADA.email)

    async def fails(ticket: int) -> str:
        told = await zendesk.assign(ticket, people.LIN)  # who has no account in Slack
        await connector.sides.bridge.idle()
        return f"{told.event['id']}:notify-assigned-agents"

    async def is_told(times: int) -> bool:
        return len(slack.state.messages_to(ADA.id)) == times

    first = await fails(people.MARKUP)
    await _until(lambda: is_told(1))
    (message,) = slack.state.messages_to(ADA.id)
    text = message.text
    assert text.startswith("A run of “Notify agents of newly assigned tickets” failed (ticket 102): Slack answered ")
    assert "Check that the e-mail address is that of an active Slack account." in text
    assert f"zendesk-connector runs retry {first}" in text
    await fails(people.GRINDER)
    await asyncio.sleep(0.2)
    assert await is_told(1)
    slack.state.faults.append(Fault(method="chat.postMessage", kind="error", error="restricted_action"))
    await zendesk.assign(people.UNICODE, people.NOOR)  # another kind
    await _until(lambda: is_told(2))


async def test_whoever_tests_a_flow_is_told_by_the_test_alone(
    slack: SlackServer, zendesk: ZendeskServer, start_connector: Callable[..., Awaitable[Connector]]
) -> None:
    connector = await start_connector(connector_admin_email=ADA.email)
    await zendesk.assign(people.MARKUP, people.LIN, deliver=False)
    bridge = connector.sides.bridge
    event = (await bridge.trials.event_of_ticket(str(people.MARKUP))).as_json()
    run = (await bridge.request("test", {"key": "notify-assigned-agents", "event": event}, "a test"))["run"]
    await bridge.idle()
    assert (await bridge.show_run(run))["status"] == "failed"
    await asyncio.sleep(0.2)
    assert slack.state.messages_to(ADA.id) == []
