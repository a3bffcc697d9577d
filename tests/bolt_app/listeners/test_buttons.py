"""Buttons in answers, in the Home tab and in modals: what each does, for whom, and that nothing forged is trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from driving import Drive, until, words

from bolt_app.roles import ADMINS_ONLY, REFUSED
from bolt_app.sandbox import SlackServer, payloads
from bolt_app.sandbox.people import ADA, GUEST, NOOR, STRANGER
from bolt_app.server import Connector
from bolt_app.views import ids
from zendesk_bridge.sandbox import ZendeskServer, people

RECIPE = "notify-assigned-agents"
NAME = "Notify agents of newly assigned tickets"
FLOW = """
key: tell-{number}
name: Tell {number}
trigger:
  event: zendesk.ticket_agent_assignment_changed
steps:
  - key: post
    action: slack.post_message_to_channel
    inputs: {{channel: "#random", message: "Ticket {{{{ trigger.ticket_id }}}} has an agent"}}
"""
#: Only admins may press these.
FOR_ADMINS = (ids.FLOW_ACTIVATE, ids.FLOW_DEACTIVATE, ids.FLOW_TEST, ids.RUN_SHOW, ids.RUN_RETRY)
FOR_MEMBERS = (ids.FLOW_SHOW, ids.FLOW_RUNS, ids.FLOWS_PAGE, ids.RUNS_PAGE)


async def a_run(drive: Drive, zendesk: ZendeskServer, agent: int = people.NOOR) -> dict[str, Any]:
    await zendesk.assign(people.GRINDER, agent)
    await drive.connector.sides.bridge.idle()
    return (await drive.connector.sides.bridge.list_runs(1))[0]


async def home(drive: Drive, person: str = ADA.id) -> str:
    """Opens somebody's Home tab; its id."""
    await drive.event(payloads.app_home_opened(drive.slack.state, person))
    await until(lambda: person in drive.slack.state.homes)
    return drive.slack.state.homes[person].id


async def is_active(drive: Drive) -> bool:
    return bool((await drive.connector.sides.bridge.show_flow(RECIPE))["active"])


async def test_a_flow_is_switched_in_the_list_which_is_shown_anew(drive: Drive) -> None:
    await drive.press(ids.FLOW_DEACTIVATE, ADA.id, value=RECIPE)
    answer = await drive.response()
    assert answer["replace_original"] is True
    assert ids.FLOW_ACTIVATE in words(answer)
    assert not await is_active(drive)
    await drive.press(ids.FLOW_ACTIVATE, ADA.id, value=RECIPE)
    assert ids.FLOW_DEACTIVATE in words(await drive.response())
    assert await is_active(drive)


async def test_a_flow_that_is_shown_by_itself_is_shown_anew_when_it_is_switched(drive: Drive) -> None:
    await drive.press(ids.FLOW_DEACTIVATE + ids.ALONE, ADA.id, value=RECIPE)
    answer = await drive.response()
    assert answer["replace_original"] is True
    assert ids.FLOW_ACTIVATE + ids.ALONE in words(answer)
    await drive.press(ids.FLOW_SHOW, ADA.id, value=RECIPE, view_id=await home(drive))
    modal_id, modal = await drive.view()
    assert ids.FLOW_ACTIVATE + ids.ALONE in words(modal)
    await drive.press(ids.FLOW_ACTIVATE + ids.ALONE, ADA.id, value=RECIPE, view_id=modal_id)
    await drive.view(lambda text: ids.FLOW_DEACTIVATE + ids.ALONE in text)
    assert await is_active(drive)


async def test_the_page_with_the_flow_that_was_switched_is_shown(
    slack: SlackServer, start_connector: Callable[..., Awaitable[Connector]], tmp_path: Path
) -> None:
    for number in range(20):
        (tmp_path / f"{number}.yml").write_text(FLOW.format(number=number))
    connector = await start_connector(recipe=False, connector_flows=tmp_path)
    drive = Drive(slack=slack, connector=connector, socket_mode=False)
    await drive.press(ids.FLOW_ACTIVATE, ADA.id, value="tell-5")
    answer = words(await drive.response())
    assert "tell-5" in answer
    assert "tell-10" not in answer, "that is on the first page"


async def test_a_flow_is_switched_in_the_home_tab_which_follows_by_itself(drive: Drive) -> None:
    view = await home(drive)
    await drive.press(ids.FLOW_DEACTIVATE, ADA.id, value=RECIPE, view_id=view)
    await until(lambda: ids.FLOW_ACTIVATE in words(drive.slack.state.homes[ADA.id].content))
    assert not await is_active(drive)
    assert drive.slack.state.views == {}


async def test_runs_and_details_are_shown_beside_a_message_and_over_the_home_tab(
    drive: Drive, zendesk: ZendeskServer
) -> None:
    await a_run(drive, zendesk)
    for button, wanted in ((ids.FLOW_RUNS, "succeeded"), (ids.FLOW_SHOW, NAME)):
        await drive.press(button, NOOR.id, value=RECIPE)
        answer = await drive.response()
        assert answer["replace_original"] is False
        assert wanted in words(answer)
    view = await home(drive)
    await drive.press(ids.FLOW_RUNS, ADA.id, value="", view_id=view)
    _, modal = await drive.view()
    assert "succeeded" in words(modal)
    assert modal["type"] == "modal"


async def test_a_run_opens_in_a_modal_with_each_step_its_inputs_outputs_and_error(
    drive: Drive, zendesk: ZendeskServer
) -> None:
    run = await a_run(drive, zendesk, people.LIN)
    await drive.press(ids.RUN_SHOW, ADA.id, value=run["id"], view_id=await home(drive))
    _, modal = await drive.view()
    for told in ("zendesk.look_up_ticket", "ticket_id: 101", "won't start after cleaning", "`users_not_found`", " ms"):
        assert told in words(modal), told
    assert ids.RUN_RETRY in words(modal)


async def test_a_failed_run_is_done_again_from_the_home_tab_a_message_and_its_modal(
    drive: Drive, zendesk: ZendeskServer
) -> None:
    bridge = drive.connector.sides.bridge
    run = await a_run(drive, zendesk, people.LIN)
    view = await home(drive)
    await until(lambda: ids.RUN_RETRY in words(drive.slack.state.homes[ADA.id].content))
    await drive.press(ids.RUN_RETRY, ADA.id, value=run["id"], view_id=view)
    await until(lambda: len(drive.slack.state.calls_to("users.lookupByEmail")) >= 2)
    await bridge.idle()
    await drive.press(ids.RUN_RETRY, ADA.id, value=run["id"])
    assert "The run is done again" in (await drive.response())["text"]
    await bridge.idle()
    await drive.press(ids.RUN_SHOW, ADA.id, value=run["id"], view_id=view)
    modal_id, _ = await drive.view()
    drive.slack.state.add_person("lin", "lin@example.com")
    await drive.press(ids.RUN_RETRY, ADA.id, value=run["id"], view_id=modal_id)
    await until(lambda: len(drive.slack.state.calls_to("views.update")) == 1)
    await bridge.idle()
    assert (await bridge.list_runs())[0]["status"] == "succeeded"


async def test_pages_turn_in_their_place(drive: Drive, zendesk: ZendeskServer) -> None:
    for number in range(12):
        await a_run(drive, zendesk, people.NOOR if number % 2 else people.BEN)
    first = await drive.command("runs", NOOR.id)
    assert words(first).count("· <!date") == 10
    await drive.press(ids.RUNS_PAGE + ids.NEXT, NOOR.id, value='{"flow": null, "offset": 10}')
    older = await drive.response()
    assert older["replace_original"] is True
    assert words(older).count("· <!date") == 2
    await drive.press(ids.FLOWS_PAGE, NOOR.id, value='{"flow": null, "offset": 0}')
    assert NAME in words(await drive.response())


# Who may


@pytest.mark.parametrize("button", FOR_ADMINS)
async def test_a_member_who_forges_an_admins_button_changes_and_sees_nothing(
    drive: Drive, zendesk: ZendeskServer, button: str
) -> None:
    run = await a_run(drive, zendesk, people.LIN)
    value = run["id"] if button.startswith("run") else RECIPE
    if button == ids.FLOW_ACTIVATE:
        await drive.connector.sides.bridge.request("deactivate", {"key": RECIPE}, "a test")
    before = await is_active(drive), await drive.connector.sides.bridge.list_runs()
    await drive.press(button, NOOR.id, value=value)
    assert (await drive.response())["text"] == ADMINS_ONLY
    assert (await is_active(drive), await drive.connector.sides.bridge.list_runs()) == before
    assert drive.slack.state.views == {}


@pytest.mark.parametrize("button", [*FOR_ADMINS, *FOR_MEMBERS])
async def test_guests_and_strangers_get_one_sentence_whatever_they_press(drive: Drive, button: str) -> None:
    drive.slack.state.people[STRANGER.id] = STRANGER
    for person in (GUEST, STRANGER):
        await drive.press(button, person.id, value=RECIPE)
        assert (await drive.response())["text"] == REFUSED
    assert await is_active(drive)
    assert drive.slack.state.views == {}


async def test_a_guest_who_presses_in_a_home_tab_sees_the_sentence_alone(drive: Drive) -> None:
    view = await home(drive, GUEST.id)
    assert words(drive.slack.state.homes[GUEST.id].content["blocks"]).count('"type": "section"') == 1
    await drive.press(ids.RUN_SHOW, GUEST.id, value="x", view_id=view)
    _, modal = await drive.view()
    assert words(modal["blocks"]).count("section") == 1
    assert REFUSED in words(modal)


# Bad input


@pytest.mark.parametrize(
    "button", [ids.FLOW_ACTIVATE, ids.FLOW_DEACTIVATE, ids.FLOW_TEST, ids.FLOW_SHOW, ids.FLOW_RUNS]
)
async def test_a_button_of_a_flow_that_is_gone_says_so(drive: Drive, button: str) -> None:
    await drive.press(button, ADA.id, value="gone-since")
    assert (await drive.response())["text"] == "There is no flow 'gone-since'. `/action-flows list` names them."
    await drive.press(button, ADA.id, value="gone-since", view_id=await home(drive))
    _, modal = await drive.view()
    assert "There is no flow 'gone-since'" in words(modal)


@pytest.mark.parametrize(
    "value", ["", "x", "[]", "{}", '{"offset": "x"}', '{"offset": -5, "flow": 7}', '{"offset": 1e99}']
)
async def test_a_page_that_does_not_exist_is_the_first_or_says_so(drive: Drive, value: str) -> None:
    for button in (ids.FLOWS_PAGE, ids.RUNS_PAGE):
        await drive.press(button, NOOR.id, value=value)
        assert "response_type" in await drive.response()


async def test_runs_that_are_gone_say_so(drive: Drive) -> None:
    for button in (ids.RUN_SHOW, ids.RUN_RETRY):
        await drive.press(button, ADA.id, value="gone")
        assert "There is no run 'gone'" in (await drive.response())["text"]


async def test_a_run_is_not_found_by_a_part_of_its_id(drive: Drive, zendesk: ZendeskServer) -> None:
    run = await a_run(drive, zendesk)
    await drive.press(ids.RUN_RETRY, ADA.id, value=run["id"])
    assert "The run has succeeded" in (await drive.response())["text"]


async def test_a_button_that_nobody_knows_is_acknowledged(drive: Drive) -> None:
    await drive.press("another", ADA.id, value="x")
    await asyncio.sleep(0.05)
    assert drive.slack.state.responses == []


async def test_a_defect_is_told_to_whoever_pressed(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(key: str) -> Any:
        raise ZeroDivisionError(key)

    monkeypatch.setattr(drive.connector.sides.bridge, "show_flow", broken)
    await drive.press(ids.FLOW_SHOW, ADA.id, value=RECIPE)
    assert (await drive.response())["text"].startswith("This met a defect of the connector.")
