"""The slash command: what each verb answers, to whom, and that it always answers in time and in words."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from driving import Drive, words

from bolt_app.roles import ADMINS_ONLY, REFUSED
from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import ADA, BEN, GUEST, NOOR, ONE_CHANNEL_GUEST, STRANGER
from bolt_app.sandbox.records import Fault
from bolt_app.server import Connector
from zendesk_bridge.flows.errors import StorageError
from zendesk_bridge.sandbox import ZendeskServer, people

RECIPE = "notify-assigned-agents"
NAME = "Notify agents of newly assigned tickets"


def said(message: dict[str, Any]) -> str:
    return str(message["text"])


async def a_run(drive: Drive, zendesk: ZendeskServer, agent: int = people.NOOR) -> None:
    await zendesk.assign(people.GRINDER, agent)
    await drive.connector.sides.bridge.idle()


@pytest.mark.parametrize("typed", ["", "list", "  LIST ", "workflows", "workflow list", "action-flows list"])
async def test_the_list_is_what_is_answered_to_nothing_and_to_workflows(drive: Drive, typed: str) -> None:
    answer = await drive.command(typed, ADA.id)
    assert answer["response_type"] == "ephemeral"
    for word in (NAME, RECIPE, "active", "when: Ticket agent assignment changed", "has not run yet"):
        assert word in words(answer)


async def test_the_list_shows_the_last_run_and_its_result_with_buttons(drive: Drive, zendesk: ZendeskServer) -> None:
    await a_run(drive, zendesk)
    answer = words(await drive.command("list", ADA.id))
    assert "last run" in answer
    assert "succeeded" in answer
    for button in ("flow_deactivate", "flow_test", "flow_runs", "flow_show"):
        assert button in answer
    await a_run(drive, zendesk, people.LIN)  # has no account in Slack
    assert "`users_not_found`" in words(await drive.command("list", NOOR.id))


async def test_one_flow_is_shown_to_admins_with_its_file(drive: Drive) -> None:
    assert "slack.send_direct_message" in words(await drive.command(f"show `{RECIPE}`", ADA.id))
    answer = words(await drive.command(f"show {RECIPE}", NOOR.id))
    assert NAME in answer
    assert "slack.send_direct_message" not in answer


async def test_what_a_broken_file_says_is_for_admins(
    slack: SlackServer, start_connector: Callable[..., Awaitable[Connector]], tmp_path: Path
) -> None:
    (tmp_path / "broken.yml").write_text("key: broken\nname: Broken\nsecret-salary: 1\n")
    connector = await start_connector(recipe=False, connector_flows=tmp_path)
    drive = Drive(slack=slack, connector=connector, socket_mode=False)
    for typed in ("list", "show broken", "status"):
        assert "secret-salary" in words(await drive.command(typed, ADA.id)), typed
        answer = words(await drive.command(typed, NOOR.id))
        assert "secret-salary" not in answer, typed
        assert "its file is wrong" in answer, typed


async def test_an_unknown_key_or_verb_suggests_the_nearest(drive: Drive) -> None:
    for typed in ("show notify", "runs notify", "activate notify", "deactivate notify-asigned", "test notify 101"):
        assert f"Did you mean '{RECIPE}'?" in said(await drive.command(typed, ADA.id)), typed
    assert "Did you mean /action-flows status?" in said(await drive.command("statsu", ADA.id))
    assert "/action-flows help names all" in said(await drive.command("qqqqqqq", ADA.id))
    # Nothing that was typed comes back as markup.
    assert "&lt;!channel&gt;" in said(await drive.command("<!channel>", ADA.id))
    assert "<!" not in said(await drive.command("show <!channel>", ADA.id))


@pytest.mark.parametrize("typed", ["show", "show a b", "activate", "test", "test a b c", "list all", "runs a b"])
async def test_too_few_or_too_many_words_are_answered_with_how_it_is_typed(drive: Drive, typed: str) -> None:
    assert said(await drive.command(typed, ADA.id)).startswith("It is: /action-flows ")


async def test_runs_tell_a_member_the_code_and_an_admin_the_rest(drive: Drive, zendesk: ZendeskServer) -> None:
    assert said(await drive.command("runs", NOOR.id)) == "No runs yet."
    await a_run(drive, zendesk, people.LIN)
    member = words(await drive.command("runs", NOOR.id))
    admin = words(await drive.command(f"runs {RECIPE}", ADA.id))
    assert "`users_not_found`" in member
    for told in ("e-mail address", "run_show", "run_retry", "lin@"):
        assert told not in member
    for told in ("Check that the e-mail address is that of an active Slack account", "run_show", "run_retry"):
        assert told in admin


async def test_a_flow_is_switched_off_and_on_by_an_admin(drive: Drive, zendesk: ZendeskServer) -> None:
    assert said(await drive.command(f"deactivate {RECIPE}", ADA.id)) == f"{RECIPE} is inactive."
    await zendesk.assign(people.GRINDER, people.NOOR)
    assert await drive.connector.sides.bridge.list_runs() == []
    assert said(await drive.command(f"activate {RECIPE}", ADA.id)) == f"{RECIPE} is active."
    await a_run(drive, zendesk, people.BEN)
    assert len(drive.slack.state.messages_to(BEN.id)) == 1


async def test_a_flow_whose_file_decides_names_the_file(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    folder.mkdir()
    text = str((await drive.connector.sides.bridge.show_flow(RECIPE))["text"])
    (folder / "own.yml").write_text(text.replace(f"key: {RECIPE}", "key: own\nactive: true"))
    drive.connector.sides.bridge.settings.__dict__["flows"] = folder
    await drive.connector.sides.bridge.request("sync", {}, "a test")
    assert "own.yml" in said(await drive.command("deactivate own", ADA.id))
    assert "its file decides" in words(await drive.command("show own", ADA.id))


async def test_the_status_is_asked_now_and_names_an_outage_of_either_service(drive: Drive) -> None:
    state, zendesk_faults = drive.slack.state, "Zendesk"
    answer = words(await drive.command("status", NOOR.id))
    for word in ("All is well", "Slack", "Sandbox Support", zendesk_faults, "healthy", "1 active", "no run waits"):
        assert word in answer
    state.faults.append(Fault(method="auth.test", kind="http", status=503, times=99))
    answer = words(await drive.command("status", NOOR.id))
    assert "Not all is well" in answer
    assert "`unavailable`" in answer or "503" in answer


async def test_the_status_names_a_zendesk_that_refuses_the_connector(drive: Drive, zendesk: ZendeskServer) -> None:
    zendesk.state.clients = {}
    zendesk.state.expire_tokens()
    answer = words(await drive.command("status", NOOR.id))
    assert "Zendesk refused the credentials" in answer


async def test_help_names_what_somebody_may_do(drive: Drive) -> None:
    for typed, person, admin in (("help", NOOR, False), ("help", ADA, True)):
        answer = words(await drive.command(typed, person.id))
        assert "/action-flows runs [KEY]" in answer
        assert ("activate KEY" in answer) == admin
        assert "/invite @Zendesk Connector" in answer


# Who may


@pytest.mark.parametrize("typed", ["", "list", f"show {RECIPE}", "runs", "status", "help", f"test {RECIPE}", "x"])
async def test_guests_and_strangers_get_one_sentence_whatever_they_type(drive: Drive, typed: str) -> None:
    for person in (GUEST, ONE_CHANNEL_GUEST, STRANGER):
        drive.slack.state.people[person.id] = person
        assert await drive.command(typed, person.id) == {"response_type": "ephemeral", "text": REFUSED}


@pytest.mark.parametrize(
    "typed", [f"test {RECIPE}", f"test {RECIPE} 101", f"activate {RECIPE}", f"deactivate {RECIPE}"]
)
async def test_a_member_may_not_test_or_switch(drive: Drive, typed: str) -> None:
    before = await drive.connector.sides.bridge.list_flows()
    assert said(await drive.command(typed, NOOR.id)) == ADMINS_ONLY
    assert await drive.connector.sides.bridge.list_flows() == before
    assert drive.slack.state.views == {}


# Whatever the bridge does


async def test_a_slow_bridge_is_answered_for_in_time_and_answers_later(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bolt_app.listeners.answering.ANSWER_WITHIN", 0.1)
    bridge = drive.connector.sides.bridge
    list_flows, gate = bridge.list_flows, asyncio.Event()

    async def slow() -> Any:
        await gate.wait()
        return await list_flows()

    monkeypatch.setattr(bridge, "list_flows", slow)
    assert said(await drive.command("list", ADA.id)) == "One moment…"
    gate.set()
    assert NAME in words(await drive.response())


async def test_a_bridge_that_cannot_answer_says_why(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = drive.connector.sides.bridge

    async def broken(problem: Exception) -> Any:
        raise problem

    monkeypatch.setattr(
        bridge, "list_flows", lambda: broken(StorageError("connector.db cannot be read: disk I/O error"))
    )
    answer = said(await drive.command("list", ADA.id))
    assert answer.startswith("The connector's database does not work now.")
    assert "connector.db" not in answer, "where it lies is the host's business"
    monkeypatch.setattr(bridge, "list_flows", lambda: broken(ZeroDivisionError("x")))
    assert said(await drive.command("list", ADA.id)).startswith("This met a defect of the connector.")


async def test_while_slack_does_not_say_who_somebody_is_nothing_is_shown_but_why(drive: Drive) -> None:
    drive.slack.state.faults.append(Fault(method="users.info", kind="http", status=503, times=99))
    answer = said(await drive.command("list", ADA.id))
    assert NAME not in answer
    assert "users.info" in answer


async def test_the_command_works_while_slack_refuses_the_apps_token(drive: Drive) -> None:
    await drive.command("list", NOOR.id)
    drive.slack.state.token_error = "token_revoked"
    await drive.command("status", NOOR.id)
    assert "token was revoked" in words(await drive.command("status", NOOR.id))


async def test_many_flows_come_in_pages(drive: Drive) -> None:
    database = sqlite3.connect(drive.connector.sides.bridge.settings.database)
    with database:
        for number in range(30):
            database.execute(
                "insert into flows(key, name, version, active, source, file_decides, present, problem)"
                " values (?, ?, 0, 0, ?, 0, 1, 'line 1: not readable')",
                (f"a-flow-{number:02}", f"Flow {number}", f"flows/{number}.yml"),
            )
    database.close()
    answer = words(await drive.command("list", ADA.id))
    assert "a-flow-00" in answer
    assert "a-flow-29" not in answer
    assert "23 more" in answer
