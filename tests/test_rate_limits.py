"""Bursts: the services' limits are kept, never met, and whoever waits holds nobody else up."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.limits import Limits
from bolt_app.sandbox.people import BEN, NOOR
from bolt_app.server import Connector
from zendesk_bridge.sandbox import ZendeskServer, people


async def _succeeded(connector: Connector, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        while True:
            runs = await connector.sides.bridge.list_runs()
            if Counter(run["status"] for run in runs) == {"succeeded": count}:
                return runs
            assert not any(run["status"] == "failed" for run in runs), runs
            await asyncio.sleep(0.05)


async def test_a_burst_to_one_agent_arrives_whole_and_the_other_agents_messages_pass_it(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    slack.state.limits = Limits()
    seen: list[dict[str, Any]] = []
    for number in range(6):
        ticket = zendesk.state.add_ticket(f"Ticket {number}", "…", requester_id=people.MIRA)
        await zendesk.assign(ticket["id"], people.NOOR)
    while not any(run["error"] for run in seen):
        seen = await connector.sides.bridge.list_runs()
    for number in range(2):
        ticket = zendesk.state.add_ticket(f"Other {number}", "…", requester_id=people.MIRA)
        await zendesk.assign(ticket["id"], people.BEN)
    waiting = next(run for run in seen if run["error"])
    assert (waiting["status"], waiting["error"]["code"]) == ("waiting", "limit")
    assert f"A message to {NOOR.id} waits its turn" in waiting["error"]["message"]
    await _succeeded(connector, 8)
    assert len(slack.state.calls_to("chat.postMessage")) == len(slack.state.posted()) == 8
    order = [message.channel for message in slack.state.posted()]
    bens = slack.state.direct_channel(BEN.id)
    assert bens is not None
    assert max(index for index, channel in enumerate(order) if channel == bens.id) < 7
    # A run that waited its turn read nothing twice, and its step was tried once.
    runs = [await connector.sides.bridge.show_run(run["id"]) for run in await connector.sides.bridge.list_runs()]
    assert {step["attempts"] for run in runs for step in run["steps"]} == {1}
    calls = [call for call in zendesk.state.calls if call.path.startswith("/api/v2/tickets/")]
    read = [number for call in calls for number in call.query.get("ids", call.path.rpartition("/")[2]).split(",")]
    assert (len(read), len(set(read))) == (8, 8), read


async def test_a_burst_beyond_zendesks_budget_waits_as_rows_and_is_never_refused(
    zendesk: ZendeskServer, connector: Connector
) -> None:
    ahead = 61 - zendesk.state.clock() % 60
    clock = zendesk.state.clock
    zendesk.state.clock = lambda: clock() + ahead  # a new minute has just begun
    zendesk.state.requests_per_minute = 8
    zendesk.state.calls.clear()
    for number in range(12):
        ticket = zendesk.state.add_ticket(f"Ticket {number}", "…", requester_id=people.MIRA)
        await zendesk.assign(ticket["id"], people.NOOR)
    await connector.sides.bridge.idle()
    waiting = [run for run in await connector.sides.bridge.list_runs() if run["status"] == "waiting"]
    assert len(waiting) > 5
    assert {run["error"]["code"] for run in waiting} == {"limit"}
    reads = [call for call in zendesk.state.calls if call.path.startswith("/api/v2/")]
    assert {call.status for call in reads} == {200}
    assert 4 <= len(reads) <= 7  # some of the budget is left to the company's other tools
