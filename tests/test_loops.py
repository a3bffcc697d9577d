"""Loops between the real clients: many items at once cost few calls, and keep to the limits of both services."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from driving import until

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.limits import Limits
from bolt_app.sandbox.people import SUPPORT
from bolt_app.server import Connector
from zendesk_bridge.sandbox import ZendeskServer, people

FLOW = """
key: each
name: For each
active: true
trigger:
  event: zendesk.ticket_agent_assignment_changed
steps:
  - key: given
    set: {numbers: %s}
  - key: all
    loop:
      each: given.numbers
      at_once: 10
      steps:
"""
LOOK_UP = """
        - key: ticket
          action: zendesk.look_up_ticket
          inputs: {ticket_id: "{{ item }}"}
        - key: requester
          action: zendesk.look_up_user
          inputs: {user_id: "{{ ticket.requester_id }}"}
"""
POST = f"""
        - key: post
          action: slack.post_message_to_channel
          inputs: {{channel: {SUPPORT.id}, message: "Item {{{{ item }}}}"}}
"""

Start = Callable[..., Awaitable[Connector]]


@pytest.fixture
def start(start_connector: Start, tmp_path: Path) -> Start:
    async def start(numbers: list[int], *steps: str) -> Connector:
        (tmp_path / "each.yml").write_text(FLOW % numbers + "".join(steps))
        return await start_connector(recipe=False, connector_flows=tmp_path)

    return start


async def statuses(connector: Connector) -> list[str]:
    return [run["status"] for run in await connector.sides.bridge.list_runs()]


async def test_ten_tickets_and_their_requesters_at_once_cost_one_call(start: Start, zendesk: ZendeskServer) -> None:
    zendesk.state.requests_per_minute = 1_000_000
    tickets = [zendesk.state.add_ticket(f"Ticket {n}", "…", requester_id=people.MIRA)["id"] for n in range(10)]
    connector = await start(tickets, LOOK_UP)
    zendesk.state.calls.clear()
    await zendesk.assign(people.GRINDER, people.NOOR)
    await connector.sides.bridge.idle()
    assert await statuses(connector) == ["succeeded"]
    calls = [call for call in zendesk.state.calls if call.path.startswith(("/api/v2/tickets/", "/api/v2/users/show"))]
    assert [len(call.query["ids"].split(",")) for call in calls] == [10], "their people come with them"


async def test_items_posted_at_once_to_one_channel_arrive_once_each_and_within_its_limit(
    start: Start, slack: SlackServer, zendesk: ZendeskServer
) -> None:
    slack.state.limits = Limits()
    connector = await start(list(range(12)), POST)
    slack.state.calls.clear()
    await zendesk.assign(people.GRINDER, people.NOOR)
    await until(lambda: len(slack.state.posted(SUPPORT.id)) == 12, within=40)
    await connector.sides.bridge.idle()
    assert await statuses(connector) == ["succeeded"]
    texts = Counter(message.text for message in slack.state.posted(SUPPORT.id))
    assert texts == {f"Item {number}": 1 for number in range(12)}
    assert Counter(call.method for call in slack.state.calls)["chat.postMessage"] == 12, "none was refused"
    (run,) = await connector.sides.bridge.list_runs()
    shown = await connector.sides.bridge.show_run(run["id"])
    assert {step["attempts"] for step in shown["steps"]} == {1}
