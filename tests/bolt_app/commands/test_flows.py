"""`flows …`: list, show, check, switch and test, with a running connector and without."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import BEN, NOOR
from bolt_app.sandbox.records import Fault
from bolt_app.server import Connector
from zendesk_bridge.flows.requests import LOOK_EVERY
from zendesk_bridge.sandbox import ZendeskServer, people
from zendesk_bridge.sandbox.webhooks import body_of

Type = Callable[..., Awaitable[Any]]
StartConnector = Callable[..., Awaitable[Connector]]

RECIPE = "notify-assigned-agents"
RUN = {
    *("id", "flow", "version", "event_id", "status", "started_at", "finished_at", "error", "note", "trigger", "steps"),
}
STEP = {
    *("key", "action", "status", "inputs", "outputs", "error", "attempts", "started_at", "finished_at"),
}


def write(name: str, text: str) -> Path:
    path = Path("flows") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def a_flow(key: str, channel: str = "C0SUPPORT1", more: str = "") -> str:
    return (
        f"key: {key}\nname: A flow\n{more}trigger:\n  event: zendesk.ticket_agent_assignment_changed\nsteps:\n"
        f"  - key: post\n    action: slack.post_message_to_channel\n"
        f'    inputs: {{channel: "{channel}", message: "About {{{{ trigger.subject }}}}"}}\n'
    )


# list, show, schema


async def test_the_recipe_is_listed_on_a_new_host(empty_shell: Path, type_in: Type) -> None:
    (flow,) = (await type_in("flows", "list", "--json")).json
    source = flow.pop("source")
    assert source == "recipe"
    assert flow == {
        "key": RECIPE,
        "name": "Notify agents of newly assigned tickets",
        "version": 1,
        "active": False,
        "owner": None,
        "trigger": "zendesk.ticket_agent_assignment_changed",
        "trigger_title": "Ticket agent assignment changed",
        "steps": 5,
        "last_run": None,
        "problem": None,
        "file_decides": False,
    }
    said = await type_in("flows", "list")
    assert f"zendesk-connector flows activate {RECIPE}" in said.out


async def test_a_flow_without_an_owner_belongs_to_the_admin(
    empty_shell: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_ADMIN_EMAIL", "ada@example.com")
    assert (await type_in("flows", "list", "--json")).json[0]["owner"] == "ada@example.com"


async def test_a_pipe_gets_a_line_a_flow_without_colours(empty_shell: Path, type_in: Type) -> None:
    write("long.yml", a_flow("a-flow-with-a-long-key-that-takes-much-room-in-a-table-of-flows"))
    said = await type_in("flows", "list")
    rows = [line for line in said.out.splitlines() if "inactive" in line]
    assert [row.split()[0] for row in rows] == [
        "a-flow-with-a-long-key-that-takes-much-room-in-a-table-of-flows",
        RECIPE,
    ]
    assert "\x1b" not in said.out
    assert all(line == line.rstrip() for line in said.out.splitlines())


async def test_a_flow_is_shown_with_its_file(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("flows", "show", RECIPE)
    assert said.out.startswith(f"# {RECIPE} (version 1, inactive, recipe)\nkey: {RECIPE}\n")
    shown = (await type_in("flows", "show", RECIPE, "--json")).json
    assert shown["text"] in said.out
    assert shown["description"] == "Sends the new assignee a direct message in Slack."


async def test_the_nearest_name_is_suggested(empty_shell: Path, type_in: Type) -> None:
    for typed in (
        ["flows", "show", "notify-asigned-agent"],
        ["flows", "activate", "notify-asigned-agent"],
        ["flows", "check", "notify-asigned-agent"],
        ["flows", "test", "notify-asigned-agent", "--ticket", "101"],
    ):
        said = await type_in(*typed)
        assert (said.code, said.out) == (1, "")
        assert "notify-asigned-agent" in said.lines[0]
        assert said.lines[1] == f"Did you mean {RECIPE!r}?"


async def test_the_schema_is_json_that_names_every_action(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("flows", "schema")
    assert said.json["type"] == "object"
    assert "slack.send_direct_message" in said.out


# check, sync


async def test_check_names_file_line_step_input_and_the_nearest_name(empty_shell: Path, type_in: Type) -> None:
    path = write("bad.yml", a_flow("bad").replace("message:", "mesage:"))
    said = await type_in("flows", "check", str(path))
    assert said.code == 1
    assert "flows/bad.yml:8: step post, input mesage: " in said.out
    assert "did you mean 'message'?" in said.out
    for names in ([], ["flows"], ["bad"], [str(path)]):
        found = (await type_in("flows", "check", "--json", *names)).json
        first = next(each for each in found if each["input"] == "mesage")
        assert set(first) == {"file", "line", "step", "input", "code", "message", "suggestion"}
        assert (first["file"], first["line"], first["step"]) == ("flows/bad.yml", 8, "post")
    assert (await type_in("flows", "check", RECIPE)).code == 0


async def test_a_wrong_file_does_not_stop_the_others_and_is_named(empty_shell: Path, type_in: Type) -> None:
    write("bad.yml", a_flow("bad").replace("message:", "mesage:"))
    write("good.yml", a_flow("good"))
    said = await type_in("flows", "sync")
    assert said.code == 1
    assert "flows/bad.yml:8" in said.out
    flows = {flow["key"]: flow for flow in (await type_in("flows", "list", "--json")).json}
    assert set(flows) == {"bad", "good", RECIPE}
    assert "mesage" in flows["bad"]["problem"]
    refused = await type_in("flows", "activate", "bad")
    assert refused.code == 1
    assert "mesage" in refused.err
    assert "flows check bad" in refused.err
    assert (await type_in("flows", "activate", "good")).code == 0


async def test_sync_answers_in_json(empty_shell: Path, type_in: Type) -> None:
    write("good.yml", a_flow("good"))
    said = await type_in("flows", "sync", "--json")
    assert (said.code, said.json) == (0, {"flows": ["good", RECIPE], "problems": []})


async def test_a_folder_made_while_the_connector_runs_is_found(
    shell: Path, type_in: Type, start_connector: StartConnector
) -> None:
    await start_connector()
    write("good.yml", a_flow("good"))
    assert (await type_in("flows", "sync", "--json")).json["flows"] == ["good", RECIPE]


# activate, deactivate


async def test_a_flow_is_switched_before_anything_else_is_there(empty_shell: Path, type_in: Type) -> None:
    on = await type_in("flows", "activate", RECIPE)
    assert on.code == 0
    assert on.out.splitlines()[0] == f"{RECIPE} is active"
    assert "zendesk-connector serve" in on.out
    assert os.stat("zendesk-connector.db").st_mode & 0o777 == 0o600
    assert (await type_in("flows", "list", "--json")).json[0]["active"] is True
    assert (await type_in("flows", "deactivate", RECIPE, "--json")).json == {"key": RECIPE, "active": False}


async def test_switching_has_taken_effect_when_the_command_says_so_while_a_connector_runs(
    shell: Path, type_in: Type, start_connector: StartConnector, zendesk: ZendeskServer
) -> None:
    assert LOOK_EVERY <= 0.5  # so that it does within a second
    await start_connector(recipe=False)
    statuses = []
    for verb in ("activate", "deactivate"):
        said = await type_in("flows", verb, RECIPE)
        assert (said.code, said.out) == (0, f"{RECIPE} is {'active' if verb == 'activate' else 'inactive'}\n")
        agent = people.NOOR if verb == "activate" else people.BEN
        statuses += [each.status for each in (await zendesk.assign(people.GRINDER, agent)).deliveries]
    assert statuses == [200, 204]


async def test_a_file_that_decides_is_named(empty_shell: Path, type_in: Type) -> None:
    write("mine.yml", a_flow("mine", more="active: true\n"))
    said = await type_in("flows", "deactivate", "mine")
    assert said.code == 1
    assert "flows/mine.yml says `active: true`" in said.err


# test


@pytest.mark.parametrize("served", [False, True], ids=["alone", "beside a running connector"])
async def test_a_dry_test_shows_what_would_be_sent_and_sends_nothing(
    served: bool, shell: Path, type_in: Type, start_connector: StartConnector, slack: SlackServer
) -> None:
    if served:
        connector = await start_connector(recipe=False)
        async with asyncio.timeout(30):
            while not slack.state.calls_to("auth.test"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    before = len(slack.state.calls)
    said = await type_in("flows", "test", RECIPE, "--ticket", "102", "--dry")
    assert said.code == 0
    assert "● notify  slack.send_direct_message  not sent" in said.out
    assert "Hi Ben Okafor," in said.out
    assert "nothing was sent" in said.out
    run = (await type_in("flows", "test", RECIPE, "--ticket", "102", "--dry", "--json")).json
    assert set(run) == RUN | {"messages"}
    assert {frozenset(step) for step in run["steps"]} == {frozenset(STEP)}
    assert run["id"] is None
    assert [step["status"] for step in run["steps"]] == [*["succeeded"] * 3, "skipped", "not_sent"]
    assert run["steps"][-1]["outputs"]["ts"] == "0000000000.000000"
    assert len(slack.state.calls) == before
    if served:
        assert await connector.sides.bridge.list_runs() == []


@pytest.mark.parametrize("served", [False, True], ids=["alone", "by a running connector"])
async def test_a_real_test_sends_and_is_in_the_history(
    served: bool, shell: Path, type_in: Type, start_connector: StartConnector, slack: SlackServer
) -> None:
    if served:
        await start_connector(recipe=False)
    said = await type_in("flows", "test", RECIPE, "--ticket", "102")
    assert said.code == 0
    assert said.out.index("● ticket") < said.out.index("● notify") < said.out.index("\nsucceeded\n")
    assert len(slack.state.messages_to(BEN.id)) == 1
    run_id = said.out.splitlines()[-1].split()[-1]
    assert said.out.splitlines()[-1] == f"zendesk-connector runs show {run_id}"
    shown = (await type_in("runs", "show", run_id, "--json")).json
    assert (set(shown), shown["status"]) == (RUN, "succeeded")


async def test_a_webhooks_body_can_be_tested(
    shell: Path, type_in: Type, zendesk: ZendeskServer, slack: SlackServer
) -> None:
    told = await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    (shell / "event.json").write_bytes(body_of(zendesk.state, told.event))
    run = (await type_in("flows", "test", RECIPE, "--event", "event.json", "--json")).json
    assert run["status"] == "succeeded"
    assert run["id"].startswith("test-")
    assert len(slack.state.messages_to(NOOR.id)) == 1
    (shell / "event.json").write_text('{"type": "something else"}')
    said = await type_in("flows", "test", RECIPE, "--event", "event.json")
    assert said.code == 1
    assert "no event that a flow can start from" in said.err


async def test_a_test_that_fails_ends_with_1_and_says_why_once(shell: Path, type_in: Type, slack: SlackServer) -> None:
    said = await type_in("flows", "test", RECIPE, "--ticket", "101")  # assigned to nobody
    assert said.code == 1
    assert said.out.count("missing_input") == 1
    gone = await type_in("flows", "test", RECIPE, "--ticket", "999")
    assert gone.code == 1
    assert gone.err.startswith("Zendesk has no ticket 999.")
    assert slack.state.posted() == []


async def test_a_test_that_waits_for_an_invitation_says_so(shell: Path, type_in: Type) -> None:
    write("mine.yml", a_flow("mine", channel="C0RANDOM01"))
    said = await type_in("flows", "test", "mine", "--ticket", "101")
    assert said.code == 1
    assert "needs_invite" in said.out
    assert "/invite @Zendesk Connector" in said.out
    assert "goes on when `zendesk-connector serve` is started" in said.out


async def test_a_test_is_watched_through_a_short_refusal(
    shell: Path, type_in: Type, start_connector: StartConnector, slack: SlackServer
) -> None:
    await start_connector(recipe=False)
    slack.state.faults.append(Fault(method="chat.postMessage", kind="error", error="team_added_to_org"))
    said = await type_in("flows", "test", RECIPE, "--ticket", "102")
    assert (said.code, len(slack.state.messages_to(BEN.id))) == (0, 1)


async def test_whoever_tests_an_older_version_is_told(
    shell: Path, type_in: Type, start_connector: StartConnector
) -> None:
    path = write("mine.yml", a_flow("mine"))
    await start_connector(recipe=False, connector_flows=path.parent)
    assert "was changed since" not in (await type_in("flows", "test", "mine", "--ticket", "101")).out
    path.write_text(path.read_text().replace("About", "Concerning"))
    said = await type_in("flows", "test", "mine", "--ticket", "101")
    assert "was changed since" in said.out
    assert "About The grinder" in said.out


async def test_a_dry_run_looks_a_channels_name_up_and_sends_nothing(
    shell: Path, type_in: Type, slack: SlackServer
) -> None:
    write("mine.yml", a_flow("mine", channel="#support"))
    assert (await type_in("flows", "check", "mine")).code == 0
    run = (await type_in("flows", "test", "mine", "--ticket", "101", "--dry", "--json")).json
    (step,) = run["steps"]
    assert (step["status"], step["inputs"]["channel"]) == ("not_sent", "#support")
    assert step["outputs"]["channel"] == "C0SUPPORT1"
    assert {call.method for call in slack.state.calls} == {"users.conversations"}


async def test_a_dry_run_says_that_a_real_one_would_wait_for_an_invitation(
    shell: Path, type_in: Type, slack: SlackServer
) -> None:
    write("mine.yml", a_flow("mine", channel="#escalations"))
    said = await type_in("flows", "test", "mine", "--ticket", "101", "--dry")
    assert said.code == 1
    assert "no channel #escalations" in said.out
    assert "/invite @Zendesk Connector" in said.out
    assert slack.state.posted() == []


async def test_what_names_no_channel_is_found_by_the_check(shell: Path, type_in: Type) -> None:
    path = write("mine.yml", a_flow("mine", channel="@noor"))
    (problem,) = (await type_in("flows", "check", str(path), "--json")).json
    assert (problem["input"], "is a person" in problem["message"]) == ("channel", True)


async def test_a_dry_run_takes_the_file_as_it_is_now(shell: Path, type_in: Type) -> None:
    path = write("mine.yml", a_flow("mine"))
    said = await type_in("flows", "test", "mine", "--ticket", "101", "--dry")
    assert "About The grinder" in said.out, "also where nobody has read it yet"
    path.write_text(path.read_text().replace("About", "Concerning"))
    said = await type_in("flows", "test", "mine", "--ticket", "101", "--dry")
    assert "Concerning The grinder" in said.out
    path.write_text(path.read_text().replace("slack.", "slac."))
    said = await type_in("flows", "test", "mine", "--ticket", "101", "--dry")
    assert said.code == 1
    assert "there is no action 'slac.post_message_to_channel'" in said.err


async def test_a_test_says_that_its_event_would_start_nothing(shell: Path, type_in: Type) -> None:
    for ticket, starts in (("101", False), ("#104", True), ("https://harbour.zendesk.com/agent/tickets/104", True)):
        said = await type_in("flows", "test", RECIPE, "--ticket", ticket, "--dry")
        assert ("such an event would start nothing" not in said.out) is starts


async def test_a_real_test_runs_the_last_good_version_where_the_file_is_wrong(shell: Path, type_in: Type) -> None:
    path = write("mine.yml", a_flow("mine"))
    await type_in("flows", "sync")
    path.write_text(path.read_text().replace("slack.", "slac."))
    said = await type_in("flows", "test", "mine", "--ticket", "101")
    assert (said.code, "About The grinder" in said.out) == (0, True)


async def test_what_show_prints_is_a_flow_file(shell: Path, type_in: Type) -> None:
    shown = (await type_in("flows", "show", RECIPE)).out
    write(f"{RECIPE}.yml", shown)
    assert (await type_in("flows", "check")).code == 0


async def test_without_a_connection_the_missing_settings_are_named(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("flows", "test", RECIPE, "--ticket", "101")
    assert (said.code, said.lines[0]) == (1, "Zendesk is not connected yet.")
    assert "ZENDESK_SUBDOMAIN" in said.err


async def test_a_tickets_text_cannot_steer_the_terminal(shell: Path, type_in: Type, zendesk: ZendeskServer) -> None:
    ticket = zendesk.state.add_ticket(
        "\x1b]0;owned\x07\x9b2J\u202egnp.exe", "\x1b[2J\rline", requester_id=people.MIRA, assignee_id=people.NOOR
    )
    steering = set("\x1b\x07\x9b\r\u202e")
    said = await type_in("flows", "test", RECIPE, "--ticket", str(ticket["id"]))
    assert "owned" in said.out
    assert not steering & set(said.out)
    run_id = said.out.splitlines()[-1].split()[-1]
    assert not steering & set((await type_in("runs", "show", run_id)).out)
    as_json = await type_in("runs", "show", run_id, "--json")
    assert not steering & set(as_json.out)
    assert json.loads(as_json.out)["trigger"]["subject"] == ticket["subject"]
