"""The main job, whole: a ticket is assigned in Zendesk, and its assignee has a direct message in Slack."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bolt_app.sandbox import Fault as SlackFault
from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import BEN, NOOR
from bolt_app.server import Connector
from zendesk_bridge.bridge import Timing
from zendesk_bridge.flows.errors import ConnectorError
from zendesk_bridge.sandbox import Fault, ZendeskServer, people

RECIPE = "notify-assigned-agents"

#: The engine's waits, short enough for a test to sit through.
QUICK = Timing(looks=(0.3, 0.6), retry_first=0.02, retry_longest=0.1)


async def assigned(zendesk: ZendeskServer, connector: Connector, ticket: int, agent: int | None) -> dict[str, Any]:
    """Assigns a ticket, waits until nothing is under way any more; the event that Zendesk sent."""
    told = await zendesk.assign(ticket, agent)
    await connector.sides.bridge.idle()
    return told.event


async def ended(connector: Connector, event: dict[str, Any], status: str = "succeeded") -> dict[str, Any]:
    """The run of an event, once it has a status."""
    async with asyncio.timeout(30):
        while True:
            run = await connector.sides.bridge.show_run(event["id"])
            if run["status"] == status:
                return run
            assert run["status"] in ("queued", "running", "waiting"), run
            await asyncio.sleep(0.02)


async def test_an_assigned_ticket_becomes_one_direct_message(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    updated = zendesk.state.tickets[people.GRINDER]["updated_at"]
    assert [message.text for message in slack.state.messages_to(NOOR.id)] == [
        "Hi Noor Haddad,\n"
        "\n"
        "Ticket 101 has been assigned to you. Please respond as soon as possible.\n"
        "https://harbour.zendesk.com/agent/tickets/101\n"
        "\n"
        "User contact information:\n"
        "- Email: mira.castellan@harbourcoffee.example\n"
        "- Locale and timezone: en-GB - Europe/Lisbon\n"
        "- Organization: Harbour Coffee\n"
        "- Notes: Buyer for &lt;wholesale&gt; &amp; retail; prefers e-mail\n"
        "\n"
        "Here's more context on the ticket:\n"
        "- Ticket subject: The grinder won't start after cleaning\n"
        "- Ticket description: Hello,\n"
        "\n"
        "Since this morning's cleaning the grinder shows E7 and stays off. We open at six.\n"
        "\n"
        "Mira\n"
        f"- Last ticket update: {updated}\n"
    ]
    run = await ended(connector, event)
    assert [step["key"] for step in run["steps"]] == ["ticket", "assignee", "requester", "organization", "notify"]
    assert run["steps"][-1]["outputs"]["ok"] is True
    assert run["steps"][-1]["outputs"]["permalink"].startswith("https://sandbox-support.slack.com/archives/D0")


async def test_a_repeated_delivery_changes_nothing(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    again = await asyncio.gather(*(zendesk.deliver(event) for _ in range(10)))
    await connector.sides.bridge.idle()
    assert {delivery.status for deliveries in again for delivery in deliveries} == {200}
    assert len(slack.state.posted()) == 1
    assert len(await connector.sides.bridge.list_runs()) == 1


async def test_an_unassignment_starts_nothing(slack: SlackServer, zendesk: ZendeskServer, connector: Connector) -> None:
    for form in (None, "", "0"):
        zendesk.state.absent_id_form = form
        zendesk.state.tickets[people.QUOTES]["assignee_id"] = people.NOOR
        told = await zendesk.assign(people.QUOTES, None)
        assert [delivery.status for delivery in told.deliveries] == [204]
    assert slack.state.posted() == []
    assert await connector.sides.bridge.list_runs() == []


async def test_a_requester_without_an_organization_still_gets_the_agent_a_message(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    event = await assigned(zendesk, connector, people.MARKUP, people.NOOR)
    (message,) = slack.state.messages_to(NOOR.id)
    assert "- Locale and timezone: en-US - not known\n\nHere's more" in message.text
    assert "Organization" not in message.text
    run = await ended(connector, event)
    assert [step["status"] for step in run["steps"]] == ["succeeded"] * 3 + ["skipped", "succeeded"]


async def test_markup_in_a_ticket_is_text_in_slack(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    await assigned(zendesk, connector, people.MARKUP, people.NOOR)
    (message,) = slack.state.messages_to(NOOR.id)
    assert "Charged twice: A&amp;B &lt;b&gt;wholesale&lt;/b&gt; order" in message.text
    assert "&lt;!channel&gt; look &amp; refund" in message.text
    assert "<" not in message.text


async def test_an_assignee_without_a_slack_account_ends_the_run_with_a_hint(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    event = await assigned(zendesk, connector, people.GRINDER, people.LIN)
    run = await ended(connector, event, "failed")
    assert run["error"]["code"] == "users_not_found"
    assert run["error"]["hint"]
    assert run["steps"][-1]["error"] == run["error"]
    assert slack.state.posted() == []


async def test_after_an_outage_of_zendesk_only_the_last_assignee_is_told(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    outage = Fault(path="/api/v2/", kind="status", status=503, times=-1)
    zendesk.state.faults.append(outage)
    events = [(await zendesk.assign(people.GRINDER, agent)).event for agent in (people.NOOR, people.BEN, people.ADA)]
    await asyncio.sleep(0.3)
    assert slack.state.posted() == []
    waiting = await connector.sides.bridge.list_runs()
    assert {run["status"] for run in waiting} <= {"waiting", "running"}
    zendesk.state.faults.remove(outage)
    runs = [await ended(connector, event) for event in events]
    assert [message.text.split(",")[0] for message in slack.state.posted()] == ["Hi Ada Moreau"]
    assert [run["note"] is not None for run in runs] == [True, True, False]


async def test_a_second_message_to_an_agent_costs_slack_the_post_alone(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    before = len(slack.state.calls)
    await assigned(zendesk, connector, people.UNICODE, people.NOOR)
    await assigned(zendesk, connector, people.LONG, people.NOOR)
    assert [call.method for call in slack.state.calls[before:]] == ["chat.postMessage"] * 2
    assert len(slack.state.messages_to(NOOR.id)) == 3


async def test_a_very_long_description_is_shortened_visibly_and_the_link_stays(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    await assigned(zendesk, connector, people.LONG, people.NOOR)
    (message,) = slack.state.messages_to(NOOR.id)
    assert "… (shortened)\n- Last ticket update" in message.text
    assert "https://harbour.zendesk.com/agent/tickets/105" in message.text
    assert len(message.text) < 12_000


@pytest.mark.parametrize("kind", ["http_after", "drop_after", "half_body"])
async def test_a_message_whose_answer_was_lost_is_found_and_not_sent_again(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector, kind: Any
) -> None:
    slack.state.faults.append(SlackFault(method="chat.postMessage", kind=kind))
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    run = await ended(connector, event)
    assert len(slack.state.messages_to(NOOR.id)) == 1
    assert run["steps"][-1]["outputs"]["ts"] == slack.state.messages_to(NOOR.id)[0].ts


@pytest.mark.parametrize("kind", ["http", "drop"])
async def test_a_message_that_was_never_stored_is_sent_once_more_after_the_last_look(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector, kind: Any
) -> None:
    slack.state.faults.append(SlackFault(method="chat.postMessage", kind=kind))
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    await ended(connector, event)
    methods = [call.method for call in slack.state.calls if call.method != "auth.test"]
    assert methods.count("chat.postMessage") == 2
    assert methods.count("conversations.history") == 3
    assert methods.index("conversations.history") > methods.index("chat.postMessage")
    assert methods[-1] == "chat.postMessage"
    assert len(slack.state.messages_to(NOOR.id)) == 1


async def test_a_message_that_history_shows_late_is_still_found(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    slack.state.history_lag = 0.1
    slack.state.faults.append(SlackFault(method="chat.postMessage", kind="drop_after"))
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    await ended(connector, event)
    assert len(slack.state.messages_to(NOOR.id)) == 1


async def test_a_run_that_looks_for_its_message_says_so(
    slack: SlackServer, zendesk: ZendeskServer, start_connector: Any
) -> None:
    connector = await start_connector(timing=Timing())
    slack.state.faults.append(SlackFault(method="chat.postMessage", kind="http"))
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    run = await connector.sides.bridge.show_run(event["id"])
    assert (run["status"], run["error"]) == ("waiting", None)
    assert run["note"] == "looks whether 'notify' was done; its answer was lost"


async def test_a_rate_limit_delays_the_message_and_loses_nothing(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    slack.state.faults.append(SlackFault(method="chat.postMessage", kind="rate_limited", retry_after=1))
    zendesk.state.faults.append(Fault(path="/tickets/", kind="rate_limited", retry_after=1))
    told = await zendesk.assign(people.GRINDER, people.NOOR)
    await connector.sides.bridge.idle()
    run = await connector.sides.bridge.show_run(told.event["id"])
    assert (run["status"], run["error"]["code"]) == ("waiting", "limit")
    await ended(connector, told.event)
    assert len(slack.state.posted()) == 1


@pytest.mark.parametrize("code", ["invalid_auth", "account_inactive", "token_revoked"])
async def test_runs_wait_while_slack_refuses_the_token_and_go_on_when_it_is_mended(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector, code: str
) -> None:
    slack.state.token_error = code
    told = [await zendesk.assign(ticket, people.NOOR) for ticket in (people.GRINDER, people.UNICODE)]
    await connector.sides.bridge.idle()
    runs = [await connector.sides.bridge.show_run(each.event["id"]) for each in told]
    assert {(run["status"], run["error"]["code"]) for run in runs} == {("waiting", "needs_connection")}
    readiness = await connector.sides.bridge.readiness()
    assert readiness.as_json() == {"ok": False, "database": "ok", "slack": code, "zendesk": "ok"}
    slack.state.token_error = None
    for each in told:
        await ended(connector, each.event)
    assert len(slack.state.messages_to(NOOR.id)) == 2
    assert (await connector.sides.bridge.readiness()).ok


async def test_a_missing_scope_fails_its_step_and_leaves_the_connection_healthy(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    slack.state.bot_scopes.discard("chat:write")
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    run = await ended(connector, event, "failed")
    assert run["error"]["code"] == "missing_scope"
    assert "chat:write" in run["error"]["hint"]
    assert (await connector.sides.bridge.readiness()).ok


async def test_a_burst_of_assignments_tells_everybody_once(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    for number in range(10):
        zendesk.state.add_ticket(f"Number {number}", "Text", id=5000 + number, requester_id=people.TOMAS)
    agents = (people.NOOR, people.BEN)
    told = await asyncio.gather(*(zendesk.assign(5000 + number, agents[number % 2]) for number in range(10)))
    for each in told:
        await ended(connector, each.event)
    for person in (NOOR, BEN):
        subjects = {
            message.text.split("- Ticket subject: ")[1].split("\n")[0] for message in slack.state.messages_to(person.id)
        }
        assert len(subjects) == len(slack.state.messages_to(person.id)) == 5


async def test_a_failed_run_can_be_done_again(slack: SlackServer, zendesk: ZendeskServer, connector: Connector) -> None:
    event = await assigned(zendesk, connector, people.GRINDER, people.LIN)
    await ended(connector, event, "failed")
    slack.state.add_person("lin", "lin@example.com")
    await connector.sides.bridge.request("retry", {"run": event["id"]}, "a test")
    await connector.sides.bridge.idle()
    run = await ended(connector, event)
    assert run["steps"][-1]["status"] == "succeeded"
    assert len(slack.state.posted()) == 1


@pytest.mark.parametrize(("send", "messages"), [(True, 2), (False, 1)])
async def test_a_person_decides_where_slack_cannot_be_asked(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector, send: bool, messages: int
) -> None:
    slack.state.bot_scopes.discard("im:history")
    slack.state.faults.append(SlackFault(method="chat.postMessage", kind="http_after"))
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    run = await connector.sides.bridge.show_run(event["id"])
    assert (run["status"], run["error"]["code"]) == ("waiting", "in_doubt")
    with pytest.raises(ConnectorError, match="your decision"):
        await connector.sides.bridge.request("retry", {"run": event["id"]}, "a test")
    await connector.sides.bridge.request("retry", {"run": event["id"], "send": send}, "a test")
    await ended(connector, event)
    assert len(slack.state.messages_to(NOOR.id)) == messages


async def test_a_run_that_succeeded_is_not_done_again(zendesk: ZendeskServer, connector: Connector) -> None:
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    with pytest.raises(ConnectorError, match="succeeded"):
        await connector.sides.bridge.request("retry", {"run": event["id"]}, "a test")


async def test_a_sending_in_doubt_stays_in_doubt_when_it_is_cancelled_and_done_again(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    slack.state.bot_scopes.discard("im:history")
    slack.state.faults.append(SlackFault(method="chat.postMessage", kind="http_after"))
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    await connector.sides.bridge.request("cancel", {"run": event["id"]}, "a test")
    await connector.sides.bridge.request("retry", {"run": event["id"]}, "a test")
    await connector.sides.bridge.idle()
    run = await connector.sides.bridge.show_run(event["id"])
    assert (run["status"], run["error"]["code"]) == ("waiting", "in_doubt")
    slack.state.bot_scopes.add("im:history")
    await connector.sides.bridge.request("cancel", {"run": event["id"]}, "a test")
    await connector.sides.bridge.request("retry", {"run": event["id"]}, "a test")
    await ended(connector, event)
    assert len(slack.state.messages_to(NOOR.id)) == 1, "it was found"


async def test_after_a_long_wait_for_slack_only_the_present_assignee_is_told(
    slack: SlackServer, zendesk: ZendeskServer, start_connector: Any
) -> None:
    connector = await start_connector(timing=replace(QUICK, fresh_for=0.0))
    slack.state.token_error = "token_revoked"
    first = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    second = await assigned(zendesk, connector, people.GRINDER, people.BEN)
    slack.state.token_error = None
    assert (await ended(connector, first))["note"] is not None
    await ended(connector, second)
    assert [message.text.split(",")[0] for message in slack.state.posted()] == ["Hi Ben Okafor"]


async def test_no_event_is_missed_while_the_flow_files_are_read_again(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    syncing = True

    async def sync() -> None:
        while syncing:
            await connector.sides.bridge.request("sync", {}, "a test")

    task = asyncio.create_task(sync())
    told = [await zendesk.assign(people.GRINDER, agent) for agent in (people.NOOR, people.BEN) * 10]
    syncing = False
    await task
    assert {delivery.status for each in told for delivery in each.deliveries} == {200}


async def test_a_trigger_whose_conditions_cannot_be_tried_fails_its_run_and_loses_nothing(
    slack: SlackServer, zendesk: ZendeskServer, start_connector: Any, tmp_path: Path
) -> None:
    flow = """
key: odd
name: Odd
active: true
trigger:
  event: zendesk.ticket_agent_assignment_changed
  conditions: {all: [{variable: trigger.subject, operator: greater_than, value: "{{ trigger.ticket_id }}"}]}
steps:
  - {key: look, action: zendesk.look_up_ticket, inputs: {ticket_id: "{{ trigger.ticket_id }}"}}
"""
    (tmp_path / "odd.yml").write_text(flow)
    connector = await start_connector(recipe=False, connector_flows=tmp_path)
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    run = await ended(connector, event, "failed")
    assert (run["error"]["code"], run["steps"]) == ("cannot_compare", [])


async def test_history_holds_no_secret(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    event = await assigned(zendesk, connector, people.GRINDER, people.NOOR)
    seen = json.dumps(await ended(connector, event)) + caplog.text
    async with aiohttp.ClientSession() as session:
        for path in ("/metrics", "/readyz", "/healthz"):
            seen += await (await session.get(connector.url + path)).text()
    for secret in ("xoxb-", people.CLIENT_SECRET, "a webhook's signing secret", "slack signing secret"):
        assert secret not in seen
