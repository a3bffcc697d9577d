"""Testing a flow from Slack: the form, the warning, and the result step by step."""

from __future__ import annotations

from typing import Any

import pytest
from driving import Drive, until, words

from bolt_app.roles import ADMINS_ONLY
from bolt_app.sandbox.people import ADA, BEN, GUEST, NOOR
from bolt_app.sandbox.records import Fault
from bolt_app.views import ids
from zendesk_bridge.sandbox import ZendeskServer, people

RECIPE = "notify-assigned-agents"


def typed(ticket: str = "101", changes: str | None = None, how: str = "dry") -> dict[str, Any]:
    """What somebody typed into the form."""
    return {
        "ticket": {"ticket": {"type": "plain_text_input", "value": ticket or None}},
        "changes": {"changes": {"type": "plain_text_input", "value": changes}},
        "how": {"how": {"type": "radio_buttons", "selected_option": {"value": how}}},
    }


async def form(drive: Drive) -> str:
    """Opens the form; its id."""
    await drive.press(ids.FLOW_TEST, ADA.id, value=RECIPE)
    # Another modal may be there from before.
    view_id, _ = await drive.view(lambda text: ids.TEST_FORM in text)
    return view_id


@pytest.fixture
async def assigned(drive: Drive, zendesk: ZendeskServer) -> None:
    """Ticket 101 is Noor's, and nobody was told."""
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)


async def test_a_dry_run_shows_each_step_and_the_message_and_sends_nothing(drive: Drive, assigned: None) -> None:
    view_id = await form(drive)
    answer = await drive.submit(view_id, ADA.id, typed())
    assert "dry run under way" in words(answer["view"])
    _, view = await drive.view(lambda text: "A dry run: nothing was sent or recorded." in text)
    for told in ("look_up_ticket", "Would go to noor@example.com", "Hi Noor Haddad", "won't start after cleaning"):
        assert told in words(view), told
    assert drive.slack.state.posted() == []
    assert await drive.connector.sides.bridge.list_runs() == []


async def test_a_ticket_typed_with_the_command_is_tested_dry_at_once(drive: Drive, assigned: None) -> None:
    assert (await drive.command(f"test {RECIPE} 101", ADA.id)).get("text", "") == ""
    _, view = await drive.view(lambda text: "A dry run" in text)
    assert "Hi Noor Haddad" in words(view)
    assert drive.slack.state.posted() == []


async def test_the_command_without_a_ticket_opens_the_form(drive: Drive) -> None:
    await drive.command(f"test {RECIPE}", ADA.id)
    _, view = await drive.view()
    assert view["callback_id"] == ids.TEST_FORM
    assert "previous_assignee_id" in words(view)


async def test_for_real_is_asked_once_more_and_then_sent(drive: Drive, assigned: None) -> None:
    view_id = await form(drive)
    answer = await drive.submit(view_id, ADA.id, typed(how="real"))
    assert answer["view"]["callback_id"] == ids.TEST_WARNING
    assert "Its messages are sent" in words(answer["view"])
    assert drive.slack.state.posted() == []
    await drive.submit(view_id, ADA.id, {})
    _, view = await drive.view(lambda text: "succeeded" in text and "Went to noor@example.com" in text)
    assert len(drive.slack.state.messages_to(NOOR.id)) == 1
    (run,) = await drive.connector.sides.bridge.list_runs()
    assert run["event_id"].startswith("test-")
    assert "nothing was sent" not in words(view)


async def test_the_triggers_variables_may_be_changed(drive: Drive, assigned: None) -> None:
    view_id = await form(drive)
    await drive.submit(view_id, ADA.id, typed(changes=f"assignee_id: {people.BEN}\npriority: urgent"))
    _, view = await drive.view(lambda text: "A dry run" in text)
    # The ticket is Noor's: such an event is outdated, and the flow says so.
    assert "its conditions do not hold" in words(view)
    await drive.submit(await form(drive), ADA.id, typed(changes="assignee_id:"))
    _, view = await drive.view(lambda text: "conditions do not hold: such an event" in text)


@pytest.mark.parametrize(
    ("values", "field", "told"),
    [
        (typed(ticket="the red one"), "ticket", "Give a ticket's number"),
        (typed(ticket=""), "ticket", "Give a ticket's number"),
        (typed(changes="prioritty: high"), "changes", "Did you mean priority?"),
        (typed(changes="nonsense"), "changes", "Line 1 is not `name: value`"),
        (typed(changes="is_public: maybe", how="real"), "changes", "is a boolean"),
    ],
)
async def test_nonsense_is_told_under_its_field(drive: Drive, values: Any, field: str, told: str) -> None:
    view_id = await form(drive)
    answer = await drive.submit(view_id, ADA.id, values)
    assert answer["response_action"] == "errors"
    assert list(answer["errors"]) == [field]
    assert told in answer["errors"][field]


async def test_a_ticket_that_is_not_there_is_told_in_the_modal(drive: Drive) -> None:
    view_id = await form(drive)
    await drive.submit(view_id, ADA.id, typed(ticket="999999"))
    _, view = await drive.view(lambda text: "was not tested" in text)
    assert "404" in words(view) or "no ticket" in words(view)


async def test_a_flow_that_is_gone_when_the_form_is_submitted_is_told(drive: Drive) -> None:
    view_id = await form(drive)
    drive.slack.state.views[view_id].content["private_metadata"] = '{"flow": "gone-since"}'
    answer = await drive.submit(view_id, ADA.id, typed())
    assert "There is no flow 'gone-since'" in words(answer["view"])


async def test_only_admins_may_submit_whatever_they_forge(drive: Drive, assigned: None) -> None:
    view_id = await form(drive)
    for person in (NOOR, GUEST, BEN):
        answer = await drive.submit(view_id, person.id, typed(how="real"))
        assert ADMINS_ONLY in words(answer["view"])
        drive.slack.state.views[view_id].content |= {
            "callback_id": ids.TEST_WARNING,
            "private_metadata": f'{{"flow": "{RECIPE}", "ticket": "101", "changes": ""}}',
        }
        answer = await drive.submit(view_id, person.id, {})
        assert ADMINS_ONLY in words(answer["view"])
        drive.slack.state.views[view_id].content["callback_id"] = ids.TEST_FORM
    assert drive.slack.state.posted() == []


async def test_a_warning_with_forged_nonsense_is_told(drive: Drive) -> None:
    view_id = await form(drive)
    drive.slack.state.views[view_id].content |= {
        "callback_id": ids.TEST_WARNING,
        "private_metadata": f'{{"flow": "{RECIPE}", "ticket": "101", "changes": "nonsense"}}',
    }
    await drive.submit(view_id, ADA.id, {})
    _, view = await drive.view(lambda text: "was not tested" in text)
    assert "Line 1 is not `name: value`" in words(view)


async def test_a_real_test_that_fails_or_waits_says_so(drive: Drive, zendesk: ZendeskServer) -> None:
    await zendesk.assign(people.GRINDER, people.LIN, deliver=False)  # has no account in Slack
    view_id = await form(drive)
    await drive.submit(view_id, ADA.id, typed(how="real"))
    await drive.submit(view_id, ADA.id, {})
    _, view = await drive.view(lambda text: "`users_not_found`" in text)
    assert "failed" in words(view)


async def test_a_modal_that_was_closed_meanwhile_harms_nothing(drive: Drive, assigned: None) -> None:
    view_id = await form(drive)
    drive.slack.state.faults.append(Fault(method="views.update", kind="error", error="not_found", times=9))
    await drive.submit(view_id, ADA.id, typed(how="real"))
    await drive.submit(view_id, ADA.id, {})
    await until(lambda: len(drive.slack.state.messages_to(NOOR.id)) == 1)


async def test_a_result_that_slack_does_not_take_is_said_to_be_there(drive: Drive, assigned: None) -> None:
    view_id = await form(drive)
    drive.slack.state.faults.append(Fault(method="views.update", kind="error", error="view_too_large"))
    await drive.submit(view_id, ADA.id, typed())
    _, view = await drive.view(lambda text: "Slack does not show the result" in text)
    assert "was tested" in words(view)
