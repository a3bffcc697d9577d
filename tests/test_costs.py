"""What a notification costs, counted: a change that makes it dearer is seen here."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import Counter

import pytest
from driving import until

from bolt_app.sandbox import SlackServer
from bolt_app.server import Connector
from zendesk_bridge.flows import recording
from zendesk_bridge.sandbox import ZendeskServer, people


@pytest.fixture
async def warm(
    slack: SlackServer, zendesk: ZendeskServer, connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> Connector:
    """A connector that has sent Noor a message before; what it called since is counted from nothing."""
    # Else a machine that stands still between the reads and the message has the reads recorded alone.
    monkeypatch.setattr(recording, "READS_RECORDED_WITHIN", 60.0)
    zendesk.state.requests_per_minute = 1_000_000
    await zendesk.assign(people.GRINDER, people.NOOR)
    await connector.sides.bridge.idle()
    zendesk.state.calls.clear()
    slack.state.calls.clear()
    return connector


def tickets(zendesk: ZendeskServer, count: int, organization: int | None = people.HARBOUR_COFFEE) -> list[int]:
    return [
        zendesk.state.add_ticket(f"Ticket {n}", "…", requester_id=people.MIRA, organization_id=organization)["id"]
        for n in range(count)
    ]


def slack_calls(slack: SlackServer) -> Counter[str]:
    return Counter(call.method for call in slack.state.calls)


def commits_for_messages(statements: list[str]) -> list[list[str]]:
    """The transactions that write of events, runs or steps. Others may fall into the same time on a slow machine."""
    commits: list[list[str]] = [[]]
    for statement in statements:
        commits[-1].append(" ".join(statement.lower().split()))
        if commits[-1][-1] == "commit":
            commits.append([])
    ours = re.compile(r"(insert into|insert or ignore into|update) (events|runs|steps)\b")
    return [commit for commit in commits if any(map(ours.match, commit))]


async def test_alone_it_costs_one_call_of_each_service_and_three_commits(
    slack: SlackServer, zendesk: ZendeskServer, warm: Connector
) -> None:
    journal = warm.sides.bridge._journal
    (ticket,) = tickets(zendesk, 1)
    statements: list[str] = []
    assert journal._writer is not None
    journal._writer.set_trace_callback(statements.append)
    await zendesk.assign(ticket, people.NOOR)
    await warm.sides.bridge.idle()
    await journal.write(lambda connection: None)
    journal._writer.set_trace_callback(None)
    assert [call.path for call in zendesk.state.calls] == [f"/api/v2/tickets/{ticket}.json"]
    assert slack_calls(slack) == {"chat.postMessage": 1}
    commits = commits_for_messages(statements)
    assert len(commits) == 3, "the event with its run; that the message is about to be sent; that it was"
    kinds = Counter(statement.split()[0].lower() for commit in commits for statement in commit)
    assert kinds["select"] == 0, "whether the assignment is known is asked where it is stored"
    assert kinds["insert"] == 3 + 5 + 1, "assignment, event, run; five steps; the last of them once more"
    updates = [statement for commit in commits for statement in commit if statement.startswith("update runs")]
    assert len(updates) == 1, "the run, when it has ended"


async def test_an_organization_that_is_not_the_tickets_costs_a_call_more(
    zendesk: ZendeskServer, warm: Connector
) -> None:
    (ticket,) = tickets(zendesk, 1, organization=None)
    await zendesk.assign(ticket, people.NOOR)
    await warm.sides.bridge.idle()
    assert [call.path for call in zendesk.state.calls] == [
        f"/api/v2/tickets/{ticket}.json",
        f"/api/v2/organizations/{people.HARBOUR_COFFEE}.json",
    ]


async def test_a_burst_costs_a_few_calls_of_zendesk_and_one_of_slack_for_each(
    slack: SlackServer, zendesk: ZendeskServer, warm: Connector
) -> None:
    many = tickets(zendesk, 100)
    await asyncio.gather(*(zendesk.assign(ticket, people.NOOR) for ticket in many))
    # All but the first two messages wait their turn, as rows: a person gets one a second.
    await until(lambda: slack_calls(slack)["chat.postMessage"] >= 2)
    await warm.sides.bridge.idle()
    assert len(zendesk.state.calls) <= 20
    runs = await warm.sides.bridge.list_runs()
    assert {run["status"] for run in runs} <= {"succeeded", "waiting"}
    assert set(slack_calls(slack)) == {"chat.postMessage"}


async def test_no_statement_for_a_message_goes_through_a_table(
    slack: SlackServer, zendesk: ZendeskServer, warm: Connector
) -> None:
    """So a history of a million runs costs new ones nothing."""
    journal = warm.sides.bridge._journal
    statements: list[str] = []
    for connection in (journal._writer, journal._reader):
        assert connection is not None
        connection.set_trace_callback(statements.append)
    for ticket in tickets(zendesk, 3):
        await zendesk.assign(ticket, people.NOOR)  # the third waits its turn, and goes on from its rows
    await until(lambda: slack_calls(slack)["chat.postMessage"] == 3)
    await warm.sides.bridge.idle()
    await warm.sides.bridge.metrics.render()

    def plans(connection: sqlite3.Connection) -> list[tuple[str, str]]:
        connection.set_trace_callback(None)
        kinds = ("select", "update", "insert", "delete")
        asked = {" ".join(each.split()) for each in statements if each.lstrip().lower().startswith(kinds)}
        return [
            (statement, str(step["detail"]))
            for statement in sorted(asked)
            for step in connection.execute(f"explain query plan {statement}")
        ]

    found = await journal.write(plans)
    await journal.read(lambda connection: connection.set_trace_callback(None))
    assert len({statement for statement, _ in found}) > 10
    # That index holds waiting runs only, and is as short as their number; a constant row is no table.
    harmless = {"SCAN runs USING INDEX runs_waiting_for", "SCAN CONSTANT ROW"}
    assert {step for _, step in found if "SCAN" in step} <= harmless
