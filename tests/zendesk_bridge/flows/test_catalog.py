"""The catalog: one function is an action, its form, its variables and its messages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from bolt_app import actions as slack_actions
from bolt_app.text import Markup, OptionalSlackTs, SlackMarkup, SlackText, SlackTs, inserted
from zendesk_bridge import actions as zendesk_actions
from zendesk_bridge import triggers
from zendesk_bridge.flows.catalog import Action, Catalog, Connector, Identity, Once, Wanted, action, nearest
from zendesk_bridge.flows.errors import FlowError


class Person(BaseModel):
    """Somebody."""

    name: str = Field(description="The full name.")
    mention: Markup = Field(description="Mentions them.")


class Box(BaseModel):
    """Anything."""

    model_config = ConfigDict(extra="allow")


class Sent(BaseModel):
    """What came of it."""

    ts: str = Field(description="When.")
    count: int | None = None
    ok: bool = True
    tags: list[str] = []
    person: Person | None = None
    box: Box | None = None
    anything: dict[str, Any] = {}


async def _find(desk: object, *, text: str, once: Once) -> Sent | None:
    return None


@action("create", find=_find, aliases=("post_note", "note"))
async def send_note(
    desk: object,
    *,
    text: Annotated[SlackText, Field(description="What to say.")],
    ts: Annotated[SlackTs, Field(description="Of what.")],
    thread_ts: OptionalSlackTs = None,
    kind: Literal["open", "closed"] = "open",
    count: int = 1,
    tags: list[str] | None = None,
    loud: bool = False,
    once: Once | None = None,
    wanted: Wanted,
) -> Sent:
    """Sends a note.

    To whoever is there.
    """
    raise NotImplementedError


async def nobody() -> Identity:
    """Who the connector is."""
    raise NotImplementedError


@pytest.fixture(scope="module")
def note() -> Action:
    """The action above, as the catalog describes it."""
    catalog = Catalog([Connector(service="desk", title="Desk", client="client", identify=nobody, actions=(send_note,))])
    assert catalog.client("desk") == "client"
    assert catalog.action("desk.note") is catalog.action("desk.post_note") is catalog.action("desk.send_note")
    assert catalog.action("desk.nothing") is None
    assert catalog.names == ["desk.send_note", "desk.post_note", "desk.note"]
    return catalog.actions["desk.send_note"]


def test_name_title_and_description_come_from_the_function(note: Action) -> None:
    assert (note.id, note.title, note.service, note.effect) == ("desk.send_note", "Send note", "desk", "create")
    assert note.description == "Sends a note.\n\nTo whoever is there."
    assert note.aliases == ("desk.post_note", "desk.note")


def test_inputs_are_what_a_form_shows_and_nothing_of_the_engines_own(note: Action) -> None:
    assert [(each.name, each.type, each.required, each.default) for each in note.inputs] == [
        ("text", "text", True, None),
        ("ts", "text", True, None),
        ("thread_ts", "text", False, None),
        ("kind", "text", False, "open"),
        ("count", "number", False, 1),
        ("tags", "list", False, None),
        ("loud", "boolean", False, False),
    ]
    assert note.takes_wanted
    assert note.inputs[0].description == "What to say."
    assert [each.name for each in note.inputs if each.insert is inserted] == ["text"]
    assert [each.name for each in note.inputs if each.is_text] == ["text", "ts", "thread_ts"]


def test_outputs_are_the_variables_of_later_steps(note: Action) -> None:
    assert [(each.name, each.type, each.below) for each in note.outputs] == [
        ("ts", "text", ()),
        ("count", "number", ()),
        ("ok", "boolean", ()),
        ("tags", "list", None),
        ("person", "object", ("name", "mention")),
        ("box", "object", None),
        ("anything", "object", None),
    ]
    assert note.outputs[0].description == "When."


GOOD = {"text": "hi", "ts": "1503435956.000247"}


def test_valid_inputs_come_back_with_defaults_and_as_their_types(note: Action) -> None:
    assert note.validate({**GOOD, "count": "3", "loud": "true", "text": 5158}) == {
        "text": "5158",
        "ts": "1503435956.000247",
        "thread_ts": None,
        "kind": "open",
        "count": 3,
        "tags": None,
        "loud": True,
    }


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"ts": GOOD["ts"]}, "input 'text' of desk.send_note: it is missing"),
        ({**GOOD, "txt": "x"}, "input 'txt' of desk.send_note: there is no such input"),
        ({**GOOD, "text": ["a"]}, "input 'text' of desk.send_note: a text is needed, not a list"),
        (
            {**GOOD, "text": {"a": None}},
            "input 'text' of desk.send_note: a text is needed, not a mapping (a template needs quotes: \"{{ … }}\")",
        ),
        ({**GOOD, "text": None}, "input 'text' of desk.send_note: a text is needed, not nothing"),
        ({**GOOD, "count": "many"}, "input 'count' of desk.send_note: a number is needed, not a text"),
        ({**GOOD, "count": 1.5}, "input 'count' of desk.send_note: a whole number is needed, not 1.5"),
        ({**GOOD, "tags": "a"}, "input 'tags' of desk.send_note: a list is needed, not a text"),
        ({**GOOD, "tags": ["a", []]}, "input 'tags.1' of desk.send_note: a text is needed, not a list"),
        ({**GOOD, "loud": "loud"}, "input 'loud' of desk.send_note: true or false is needed, not a text"),
        ({**GOOD, "kind": "shut"}, "input 'kind' of desk.send_note: 'shut' is none of 'open' or 'closed'"),
        (
            {**GOOD, "ts": 1503435956.0},
            "input 'ts' of desk.send_note: 1503435956.0 is not a message's ts, such as '1503435956.000247'; "
            "put it in quotes: a bare number loses its zeros",
        ),
        (
            {**GOOD, "thread_ts": "yesterday"},
            "input 'thread_ts' of desk.send_note: 'yesterday' is not a message's ts, such as '1503435956.000247'",
        ),
    ],
)
def test_a_wrong_input_is_named_with_what_is_needed(note: Action, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(FlowError) as refused:
        note.validate(inputs)
    assert (refused.value.code, refused.value.message) == ("invalid_input", message)


def test_markup_that_was_recorded_as_text_is_markup_again() -> None:
    @action("read")
    async def find_somebody(desk: object) -> Person:
        """Finds somebody."""
        raise NotImplementedError

    catalog = Catalog([Connector(service="d", title="D", client=None, identify=nobody, actions=(find_somebody,))])
    restored = catalog.actions["d.find_somebody"].restore({"name": "<b>", "mention": "<@U1>", "more": None})
    assert [type(value) for value in restored.values()] == [str, SlackMarkup, type(None)]
    assert catalog.actions["d.find_somebody"].restore({"mention": None}) == {"mention": None}


def test_a_create_that_can_be_found_needs_the_mark_to_find_it_by() -> None:
    async def find_without(desk: object, *, text: str) -> Sent | None:
        return None

    with pytest.raises(TypeError, match="once"):
        action("create", find=find_without)


def test_every_action_and_trigger_there_is_can_be_shown_in_a_form() -> None:
    zendesk = Connector(
        service="zendesk",
        title="Zendesk",
        client=None,
        identify=nobody,
        actions=zendesk_actions.ACTIONS,
        triggers=triggers.triggers(),
    )
    slack = Connector(service="slack", title="Slack", client=None, identify=nobody, actions=slack_actions.ACTIONS)
    catalog = Catalog([zendesk, slack])
    for each in catalog.actions.values():
        assert each.description
        assert each.id.startswith(("zendesk.", "slack."))
        for part in (*each.inputs, *each.outputs):
            assert part.description, f"{each.id} {part.name}"
        assert {"once", "wanted"}.isdisjoint(part.name for part in each.inputs)
    for trigger in catalog.triggers.values():
        assert set(trigger.sample) == {output.name for output in trigger.outputs}


@pytest.mark.parametrize(
    ("name", "close"), [("emial", "email"), ("mesage", "message"), ("quite_different", None), ("", None)]
)
def test_the_nearest_name_is_offered_only_where_it_is_near(name: str, close: str | None) -> None:
    assert nearest(name, ["email", "message"]) == close
