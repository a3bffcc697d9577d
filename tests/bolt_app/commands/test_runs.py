"""`runs …` and `connections list`: what happened, in tables and as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import NOOR
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.sandbox import ZendeskServer, people

Type = Callable[..., Awaitable[Any]]
StartConnector = Callable[..., Awaitable[Connector]]

RECIPE = "notify-assigned-agents"
SECOND = """
key: second
name: A second flow of the same trigger
active: true
trigger: {event: zendesk.ticket_agent_assignment_changed}
steps:
  - key: each
    loop:
      each: "{{ trigger.tags }}"
      steps:
        - key: find
          action: slack.find_user
          only_if: {all: [{variable: item, operator: contains, value: [hardware, billing]}]}
          inputs: {email: "nobody@acme.example"}
"""


@pytest.fixture
async def run_ids(shell: Path, connector: Connector, zendesk: ZendeskServer) -> list[str]:
    """A run that succeeded, and then one that failed: its assignee is not in Slack."""
    ids = []
    for ticket, agent in ((people.GRINDER, people.NOOR), (people.MARKUP, people.LIN)):
        told = await zendesk.assign(ticket, agent)
        ids.append(f"{told.event['id']}:{RECIPE}")
        await connector.sides.bridge.idle()
    return ids


async def test_runs_are_listed_newest_first(run_ids: list[str], type_in: Type) -> None:
    runs = (await type_in("runs", "list", "--json")).json
    assert [run["id"] for run in runs] == run_ids[::-1]
    failed = runs[0]
    assert set(failed) == {
        *("id", "flow", "version", "event_id", "status", "started_at", "finished_at", "error", "note")
    }
    assert failed["error"] == {
        "code": "users_not_found",
        "message": "Slack answered users_not_found to users.lookupByEmail",
        "hint": "Check that the e-mail address is that of an active Slack account.",
    }
    assert runs[1]["error"] is None
    assert runs[1]["finished_at"].endswith("Z")
    assert len((await type_in("runs", "list", "--json", "--limit", "1")).json) == 1
    assert (await type_in("flows", "list", "--json")).json[0]["last_run"] == {
        "id": failed["id"],
        "status": "failed",
        "started_at": failed["started_at"],
        "error": failed["error"],
    }


async def test_a_pipe_gets_whole_ids_a_line_each(run_ids: list[str], type_in: Type) -> None:
    said = await type_in("runs", "list")
    assert [line.split()[0] for line in said.out.splitlines()[2:]] == run_ids[::-1]
    assert "users_not_found" in said.out


async def test_a_terminal_gets_ids_it_has_room_for_and_they_work(
    run_ids: list[str], terminal: None, type_in: Type
) -> None:
    lines = (await type_in("runs", "list")).screen
    assert max(map(len, lines)) <= 80
    short = [word for line in lines if (word := line.split(" ")[0]) and run_ids[1].startswith(word)]
    assert [len(word) for word in short] == [8]
    assert (await type_in("runs", "show", short[0], "--json")).json["id"] == run_ids[1]


@pytest.fixture
async def second(shell: Path, connector: Connector, type_in: Type) -> None:
    """There is another flow of the same trigger."""
    (shell / "flows").mkdir()
    (shell / "flows" / "second.yml").write_text(SECOND, encoding="utf-8")
    assert (await type_in("flows", "sync")).code == 0


async def test_two_flows_of_one_event_have_short_ids_too(
    run_ids: list[str], second: None, connector: Connector, zendesk: ZendeskServer, terminal: None, type_in: Type
) -> None:
    told = await zendesk.assign(people.GRINDER, people.BEN)
    await connector.sides.bridge.idle()
    event = told.event["id"]
    words = [line.split(" ")[0] for line in (await type_in("runs", "list")).screen]
    assert [word for word in words if event.startswith(word.partition(":")[0]) and word] == [
        f"{event[:8]}:s",
        f"{event[:8]}:n",
    ]
    assert (await type_in("runs", "show", f"{event[:8]}:s", "--json")).json["id"] == f"{event}:second"


async def test_a_run_is_shown_step_by_step(run_ids: list[str], type_in: Type) -> None:
    said = await type_in("runs", "show", run_ids[1][:12])
    assert said.code == 0
    assert said.out.splitlines()[0] == f"Run {run_ids[1]}"
    assert "    trigger ticket_id: 102" in said.out
    assert "    out name: Lin Zhao" in said.out
    assert said.out.count("users_not_found:") == 1
    assert said.out.splitlines()[-1] == "failed"
    assert all(line == line.rstrip() for line in said.out.splitlines())
    run = (await type_in("runs", "show", run_ids[1], "--json")).json
    assert [step["key"] for step in run["steps"]] == ["ticket", "assignee", "requester", "organization", "notify"]
    assert run["steps"][-1]["error"] == run["error"]
    assert run["trigger"]["assignee_id"] == str(people.LIN)


async def test_an_id_that_is_none_or_several_is_refused(run_ids: list[str], type_in: Type) -> None:
    none = await type_in("runs", "show", "no-such-run")
    assert (none.code, none.out) == (1, "")
    assert "runs list" in none.err
    several = await type_in("runs", "show", "")
    assert several.code == 1


async def test_a_failed_run_is_tried_again_from_where_it_failed(
    run_ids: list[str], type_in: Type, slack: SlackServer, connector: Connector
) -> None:
    lin = slack.state.add_person("lin", "lin@example.com")
    said = await type_in("runs", "retry", run_ids[1])
    assert (said.code, said.out) == (0, f"{run_ids[1]} is queued\n")
    await connector.sides.bridge.idle()
    assert len(slack.state.messages_to(lin.id)) == 1
    assert (await type_in("runs", "show", run_ids[1], "--json")).json["status"] == "succeeded"
    assert len(slack.state.messages_to(NOOR.id)) == 1


async def test_a_run_that_has_ended_cannot_be_cancelled(run_ids: list[str], type_in: Type) -> None:
    said = await type_in("runs", "cancel", run_ids[0])
    assert (said.code, said.err) == (1, "The run has succeeded already.\n")


async def test_a_waiting_run_is_cancelled(
    shell: Path, start_connector: StartConnector, zendesk: ZendeskServer, slack: SlackServer, type_in: Type
) -> None:
    slack.state.token_error = "account_inactive"
    await start_connector()
    await zendesk.assign(people.GRINDER, people.NOOR)
    async with asyncio.timeout(30):
        while (run := (await type_in("runs", "list", "--json")).json[0])["status"] != "waiting":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert run["error"]["code"] == "needs_connection"
    assert (await type_in("runs", "cancel", run["id"], "--json")).json == {"run": run["id"], "status": "cancelled"}
    refused = await type_in("runs", "show", run["id"], "--json")
    assert refused.json["status"] == "cancelled"


async def test_without_a_connector_a_retried_run_says_what_it_waits_for(
    run_ids: list[str], connector: Connector, type_in: Type
) -> None:
    await connector.stop()
    said = await type_in("runs", "retry", run_ids[1])
    assert said.code == 0
    assert "goes on when `zendesk-connector serve` is started" in said.out


def found_in_files(database: Path, text: str) -> list[str]:
    files = database.parent.glob(f"{database.name}*")
    return [file.name for file in files if text.encode() in file.read_bytes()]


async def test_a_requester_is_forgotten_while_the_connector_runs(
    run_ids: list[str], connector: Connector, settings: Settings, zendesk: ZendeskServer, type_in: Type
) -> None:
    told = await zendesk.assign(people.QUOTES, people.BEN)
    await connector.sides.bridge.idle()
    requesters = {run["trigger"]["requester_id"] for run in await shown(type_in)}
    email, database = "nobody.known@harbourcoffee.example", settings.connector_database
    assert requesters == {str(people.MIRA), str(people.TOMAS)}
    said = await type_in("runs", "forget", "--requester", email)
    assert (said.code, said.out) == (1, "")
    assert "Nothing is recorded about this requester" in said.err
    assert "Zendesk id" in said.err
    assert found_in_files(database, email) == []  # nor by having asked

    email = "mira.castellan@harbourcoffee.example"
    assert found_in_files(database, email) != []
    said = await type_in("runs", "forget", "--requester", email)
    assert said.code == 0
    assert said.out.startswith("Removed: runs 2, ")
    assert found_in_files(database, email) == []
    assert {run["trigger"]["requester_id"] for run in await shown(type_in)} == {str(people.TOMAS)}
    assert (await type_in("runs", "forget", "--requester", str(people.TOMAS), "--json")).json == {
        "runs": 1,
        "steps": 5,
        "signals": 0,
        "events": 1,
        "remembered": 0,
        "requests": 0,
        "left": [],
    }
    assert (await type_in("runs", "list", "--json")).json == []
    # What Zendesk delivers again starts nothing, and what is new is done as ever.
    await zendesk.deliver(told.event)
    await zendesk.assign(people.UNICODE, people.NOOR)
    await connector.sides.bridge.idle()
    assert [run["status"] for run in (await type_in("runs", "list", "--json")).json] == ["succeeded"]


async def shown(type_in: Type) -> list[Any]:
    runs = (await type_in("runs", "list", "--json")).json
    return [(await type_in("runs", "show", run["id"], "--json")).json for run in runs]


async def test_what_has_not_ended_is_left_and_named(
    shell: Path, start_connector: StartConnector, zendesk: ZendeskServer, slack: SlackServer, type_in: Type
) -> None:
    slack.state.token_error = "account_inactive"
    connector = await start_connector()
    await zendesk.assign(people.GRINDER, people.NOOR)
    await connector.sides.bridge.idle()
    await connector.stop()  # then the command does it itself
    said = await type_in("runs", "forget", "--requester", str(people.MIRA))
    assert said.code == 0
    (run,) = (await type_in("runs", "list", "--json")).json
    assert f"Left: {run['id']}, which is waiting." in said.out
    assert "runs cancel" in said.out
    await type_in("runs", "cancel", run["id"])
    assert (await type_in("runs", "forget", "--requester", str(people.MIRA), "--json")).json["runs"] == 1


async def test_a_name_is_no_requester(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("runs", "forget", "--requester", "Mira")
    assert (said.code, said.out) == (2, "")
    assert "e-mail address or a Zendesk id" in said.err


async def test_connections_are_listed(run_ids: list[str], connector: Connector, type_in: Type) -> None:
    rows = {row["service"]: row for row in (await type_in("connections", "list", "--json")).json}
    assert set(rows) == {"slack", "zendesk"}
    for row in rows.values():
        contract = {"service", "account", "connected_by", "since", "scopes", "status"}
        assert set(row) == contract | {"message", "acts_as", "ok_at", "failed_at", "failure", "budgets"}
        assert row["ok_at"].endswith("Z")
        assert row["since"].endswith("Z")
    assert (rows["slack"]["account"], rows["slack"]["status"]) == ("Sandbox Support", "ok")
    assert "chat:write" in rows["slack"]["scopes"]
    assert (rows["zendesk"]["connected_by"], rows["zendesk"]["scopes"]) == ("ada@example.com", ["read"])
    assert rows["zendesk"]["budgets"]["account"] > 0
    said = (await type_in("connections", "list")).out
    assert "No connector is running" not in said
    assert "Zendesk: last seen to work" in said
    assert "Zendesk: calls that may be made now: account" in said
    await connector.stop()
    assert "No connector is running" in (await type_in("connections", "list")).out


async def test_nothing_there_is_a_sentence_for_people_and_an_empty_list_for_programs(
    empty_shell: Path, type_in: Type
) -> None:
    for noun, sentence in (("runs", "No runs yet."), ("connections", "Nothing is connected yet")):
        assert sentence in (await type_in(noun, "list")).out
        assert (await type_in(noun, "list", "--json")).json == []


async def test_runs_are_filtered(run_ids: list[str], type_in: Type) -> None:
    async def found(*filters: str) -> list[int]:
        runs = (await type_in("runs", "list", "--json", *filters)).json
        return [run_ids.index(run["id"]) for run in runs]

    assert await found("--status", "failed") == [1]
    assert await found("--status", "failed", "--status", "succeeded") == [1, 0]
    assert await found("--ticket", "101") == [0]
    assert await found("--ticket", "https://harbour.zendesk.com/agent/tickets/102") == [1]
    assert await found("--flow", "another") == []
    assert await found("--since", "1h") == [1, 0]
    assert await found("--until", "2026-01-01") == []
    assert await found("--text", "lin ZHAO") == [1]  # somewhere in what a step read, however it is written
    assert await found("--text", "users_not_found", "--ticket", "101") == []
    assert "No such runs." in (await type_in("runs", "list", "--ticket", "7")).out
    for verb in ("list", "failures"):
        mistyped = await type_in("runs", verb, "--flow", "notify-asigned-agents")
        assert mistyped.code == 1
        assert "Did you mean 'notify-assigned-agents'?" in " ".join(mistyped.err.split())
    for wrong, words in ((("--status", "bad"), "one of queued"), (("--since", "soon"), "30m, 2h, 3d")):
        said = await type_in("runs", "list", *wrong)
        assert said.code == 2
        assert words in " ".join(said.err.split())


async def test_failures_are_grouped_by_what_failed(
    run_ids: list[str], connector: Connector, zendesk: ZendeskServer, type_in: Type
) -> None:
    await zendesk.assign(people.MARKUP, people.NOOR)
    await connector.sides.bridge.idle()
    again = await zendesk.assign(people.MARKUP, people.LIN)
    await connector.sides.bridge.idle()
    (group,) = (await type_in("runs", "failures", "--json")).json
    assert {name: group[name] for name in ("flow", "step", "code", "count", "run")} == {
        "flow": RECIPE,
        "step": "notify",
        "code": "users_not_found",
        "count": 2,
        "run": f"{again.event['id']}:{RECIPE}",
    }
    assert group["first_at"] < group["last_at"]
    said = await type_in("runs", "failures")
    assert f"{RECIPE}, step notify: 2 times" in said.out
    assert "Check that the e-mail address" in said.out
    assert "No failed runs." in (await type_in("runs", "failures", "--ticket", "101")).out


async def test_a_step_that_fails_in_any_pass_of_a_loop_has_failed_in_one_way(
    second: None, connector: Connector, zendesk: ZendeskServer, type_in: Type
) -> None:
    for ticket in (people.GRINDER, people.MARKUP):
        await zendesk.assign(ticket, people.NOOR)
        await connector.sides.bridge.idle()
    failed = (await type_in("runs", "list", "--status", "failed", "--json")).json
    steps = [(await type_in("runs", "show", run["id"], "--json")).json["steps"] for run in failed]
    assert [each[-1]["key"] for each in steps] == ["each[1].find", "each[2].find"]
    (group,) = (await type_in("runs", "failures", "--json")).json
    assert (group["step"], group["count"]) == ("each[*].find", 2)


async def test_an_event_of_the_past_is_run_again_as_a_new_run(
    run_ids: list[str], connector: Connector, slack: SlackServer, type_in: Type
) -> None:
    event = run_ids[0].partition(":")[0]
    (started,) = (await type_in("runs", "replay", event, "--json")).json["runs"]
    await connector.sides.bridge.idle()
    shown = (await type_in("runs", "show", started, "--json")).json
    assert (shown["status"], shown["event_id"]) == ("succeeded", event)
    assert started != run_ids[0]
    assert len(slack.state.messages_to(NOOR.id)) == 2
    said = await type_in("runs", "replay", "no-such-event")
    assert (said.code, "There is no event, and no run, whose id begins with" in said.err) == (1, True)
    for beginning in (event[:8], run_ids[0], f"{event[:8]}:not", started):
        assert (await type_in("runs", "replay", beginning)).code == 0
    tried = await type_in("flows", "test", RECIPE, "--past", event[:8], "--sandbox")
    assert (tried.code, tried.err) == (0, "")
    await connector.sides.bridge.request("deactivate", {"key": RECIPE}, "a test")
    assert "No active flow wants this event" in (await type_in("runs", "replay", event)).err
    assert (await type_in("runs", "replay", event, "--flow", RECIPE)).code == 0


async def test_a_run_is_done_again_from_a_step_on(
    run_ids: list[str], connector: Connector, slack: SlackServer, type_in: Type
) -> None:
    assert (await type_in("runs", "retry", run_ids[0], "--from", "notify")).code == 0
    await connector.sides.bridge.idle()
    assert len(slack.state.messages_to(NOOR.id)) == 2
    said = await type_in("runs", "retry", run_ids[0], "--from", "nothing")
    assert (said.code, "no step 'nothing'" in said.err) == (1, True)
