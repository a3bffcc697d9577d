"""Trying a flow: what names a ticket, and how a test changes the trigger's variables."""

from __future__ import annotations

import pytest

from zendesk_bridge.flows.catalog import Trigger
from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.trial import changed, event_of_sample, is_ticket, read_assignments, read_changes
from zendesk_bridge.triggers import triggers


@pytest.fixture
def trigger() -> Trigger:
    return triggers()[0]


@pytest.mark.parametrize("text", ["4021", " #4021 ", "https://acme.zendesk.com/agent/tickets/4021"])
def test_a_ticket_is_named_by_its_number_or_its_page(text: str) -> None:
    assert is_ticket(text)


@pytest.mark.parametrize("text", ["", "ticket", "40 21", "-1", "4021; drop", "https://acme.zendesk.com/agent/users/1"])
def test_anything_else_names_no_ticket(text: str) -> None:
    assert not is_ticket(text)


def test_variables_are_changed_a_line_each_and_keep_their_types(trigger: Trigger) -> None:
    text = (
        "priority: high\n\n assignee_id : 0042\ntrigger.is_public: False\ntags: vip, urgent\nsubject: a: b\nform_id:\n"
    )
    assert read_changes(trigger, text) == {
        "priority": "high",
        "assignee_id": "0042",
        "is_public": False,
        "tags": ["vip", "urgent"],
        "subject": "a: b",
        "form_id": None,
    }
    assert read_changes(trigger, "  \n") == {}
    assert read_changes(trigger, "tags:") == {"tags": []}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("priority high", "Line 1 is not `name: value`", "For instance: priority: high"),
        ("subject: x\nprioritty: high", "Line 2: the trigger has no variable 'prioritty'", "Did you mean priority?"),
        ("is_public: maybe", "Line 1: is_public is a boolean, not 'maybe'", ""),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(trigger: Trigger, text: str, message: str, hint: str) -> None:
    with pytest.raises(FlowError) as caught:
        read_changes(trigger, text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_command_line_changes_variables_too(trigger: Trigger) -> None:
    texts = ["priority=high", "trigger.tags = vip, urgent", "subject=a=b: c", "assignee_id="]
    assert read_assignments(trigger, texts) == {
        "priority": "high",
        "tags": ["vip", "urgent"],
        "subject": "a=b: c",
        "assignee_id": None,
    }


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("trigger.prioritty=x", "the trigger has no variable 'trigger.prioritty'", "Did you mean priority?"),
        ("is_public=maybe", "--with is_public=maybe: is_public is a boolean, not 'maybe'", ""),
        (
            "status=Open",
            "--with status=Open: status is never 'Open': it is new, open, pending, hold, solved or closed",
            "Did you mean 'open'?",
        ),
        ("priority", "'priority' is not name=value", "For instance: --with priority=high"),
    ],
)
def test_what_is_wrong_on_a_command_line_is_named(trigger: Trigger, text: str, message: str, hint: str) -> None:
    with pytest.raises(FlowError) as caught:
        read_assignments(trigger, [text])
    assert message in caught.value.message
    assert caught.value.hint == hint


def test_a_sample_is_an_event_about_its_ticket_and_a_change_may_name_another(trigger: Trigger) -> None:
    event = event_of_sample(trigger)
    assert (event.subject, event.source, event.data) == ("ticket 4021", "test", trigger.sample)
    other = changed(event, {"ticket_id": "7"})
    assert (other.subject, other.data["ticket_id"], other.data["priority"]) == ("ticket 7", "7", "high")
    assert changed(event, {"priority": "low"}).subject == "ticket 4021"
