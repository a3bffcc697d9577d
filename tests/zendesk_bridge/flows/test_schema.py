"""The JSON Schema of flow files: an editor that reads it offers what there is and underlines what is wrong."""

from __future__ import annotations

import copy
import enum
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from ruamel.yaml import YAML

import zendesk_bridge
from bolt_app import actions as slack_actions
from zendesk_bridge import actions as zendesk_actions
from zendesk_bridge import triggers
from zendesk_bridge.flows.catalog import Catalog, Connector, Identity, action
from zendesk_bridge.flows.definition import Flow
from zendesk_bridge.flows.schema import flow_schema

RECIPE = Path(zendesk_bridge.__file__).parent / "recipes" / "notify-assigned-agents.yml"


class Urgency(enum.Enum):
    """How much it matters."""

    LOW = "low"
    HIGH = "high"


class Attachment(BaseModel):
    """Something with it."""

    name: str


@action("read")
async def weigh(
    desk: object, *, urgency: Urgency, attachments: list[Attachment], weight: int, loud: bool = False
) -> Attachment:
    """Weighs things."""
    raise NotImplementedError


async def nobody() -> Identity:
    """Who the connector is."""
    raise NotImplementedError


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The schema of all there is, and of an action with every type of input."""
    zendesk = Connector(
        service="zendesk",
        title="Zendesk",
        client=None,
        identify=nobody,
        actions=zendesk_actions.ACTIONS,
        triggers=triggers.triggers(),
    )
    slack = Connector(service="slack", title="Slack", client=None, identify=nobody, actions=slack_actions.ACTIONS)
    desk = Connector(service="desk", title="Desk", client=None, identify=nobody, actions=(weigh,))
    return flow_schema(Catalog([zendesk, slack, desk]))


@pytest.fixture
def recipe() -> dict[str, Any]:
    """The recipe, as an editor sees it."""
    document: dict[str, Any] = YAML(typ="safe").load(RECIPE.read_text(encoding="utf-8"))
    return document


def problems(schema: dict[str, Any], flow: Any) -> list[str]:
    """What an editor would say."""
    return [error.message for error in Draft202012Validator(schema).iter_errors(flow)]


def test_it_is_a_schema_and_takes_the_recipe(schema: dict[str, Any], recipe: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert problems(schema, recipe) == []


def test_an_editor_can_offer_triggers_actions_aliases_and_operators(schema: dict[str, Any]) -> None:
    parts = schema["$defs"]
    assert parts["TriggerReference"]["properties"]["event"]["enum"] == ["zendesk.ticket_agent_assignment_changed"]
    offered = parts["ActionStep"]["properties"]["action"]["enum"]
    assert {"zendesk.look_up_ticket", "slack.send_direct_message", "slack.post_direct_message"} <= set(offered)
    assert "is_not_present" in parts["Condition"]["properties"]["operator"]["enum"]
    assert "else" in parts["OnlyIf"]["properties"]


def test_an_editor_can_offer_variables_and_the_keys_they_go_with(schema: dict[str, Any]) -> None:
    parts = schema["$defs"]
    offered = parts["Condition"]["properties"]["variable"]["examples"]
    assert {"trigger.assignee_id", "ticket.tags", "user.email", "organization.name", "now"} <= set(offered)
    assert len(offered) == len(set(offered))
    rules = {
        rule["if"]["properties"]["action"]["enum"][0]: rule["then"]["properties"]
        for rule in parts["ActionStep"]["allOf"]
    }
    assert rules["zendesk.look_up_ticket"]["key"] == {"examples": ["ticket"]}
    message = rules["slack.send_direct_message"]["inputs"]["properties"]["message"]
    assert "{{ ticket.subject }}" in message["anyOf"][0]["examples"]


def test_an_editor_offers_the_words_a_variable_is_compared_with(schema: dict[str, Any]) -> None:
    offered = {
        rule["if"]["properties"]["variable"]["pattern"]: rule["then"]["properties"]["value"]["examples"]
        for rule in schema["$defs"]["Condition"]["allOf"]
        if "variable" in rule["if"]["properties"]
    }
    for variable in ("ticket.priority", "{{ trigger.priority }}"):
        (words,) = [each for pattern, each in offered.items() if re.search(pattern, variable)]
        assert words == ["low", "normal", "high", "urgent"]


def test_an_editor_offers_lists_for_loops_and_times_for_waits(schema: dict[str, Any]) -> None:
    parts = schema["$defs"]
    assert "{{ ticket.tags }}" in parts["Loop"]["properties"]["each"]["examples"]
    assert "{{ ticket.subject }}" not in parts["Loop"]["properties"]["each"]["examples"]
    assert "{{ ticket.due_at }}" in parts["Wait"]["properties"]["until"]["anyOf"][0]["examples"]
    assert parts["Wait"]["properties"]["zone"]["anyOf"][0]["examples"] == ["{{ user.iana_time_zone }}"]


def test_an_editor_can_say_what_each_action_trigger_and_operator_is(schema: dict[str, Any]) -> None:
    parts = schema["$defs"]
    for part, name in (("ActionStep", "action"), ("TriggerReference", "event"), ("Condition", "operator")):
        offered = parts[part]["properties"][name]
        assert len(offered["enumDescriptions"]) == len(offered["enum"])
        assert all(offered["enumDescriptions"])
    index = parts["ActionStep"]["properties"]["action"]["enum"].index("zendesk.look_up_ticket")
    assert "subject, description" in parts["ActionStep"]["properties"]["action"]["enumDescriptions"][index]


def test_an_editor_can_show_what_each_input_is_for(schema: dict[str, Any]) -> None:
    rules = {
        rule["if"]["properties"]["action"]["enum"][0]: rule["then"] for rule in schema["$defs"]["ActionStep"]["allOf"]
    }
    direct = rules["slack.send_direct_message"]["properties"]["inputs"]
    assert direct["description"].startswith("Sends one person a direct message")
    assert set(direct["properties"]) == {"email", "message"}
    assert direct["required"] == ["email", "message"]
    assert all(each["description"] for each in direct["properties"].values())


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("trigger", "event"), "zendesk.ticket_created"),
        (("key",), "Notify agents"),
        (("key",), 5),
        (("name",), ""),
        (("steps",), []),
        (("steps",), None),
        (("more",), "x"),
        (("steps", 0, "more"), "x"),
        (("steps", 0, "key"), "Ticket"),
        (("steps", 0, "action"), "zendesk.look_up_tickets"),
        (("steps", 0, "inputs"), {}),
        (("steps", 0, "inputs", "ticket"), "x"),
        (("steps", 0, "inputs", "ticket_id"), ["5158"]),
        (("steps", 1, "only_if"), {}),
        (("steps", 1, "only_if", "all"), []),
        (("steps", 1, "only_if", "else"), "halt"),
        (("steps", 1, "only_if", "all", 0, "operator"), "equals"),
        (("steps", 1, "only_if", "all", 0, "variable"), None),
        (("steps", 1, "only_if", "all", 0, "operator"), "is_present"),
        (("steps", 1, "only_if", "all", 0, "value"), None),
        (("steps", 1, "only_if", "all", 0, "value"), {"{ trigger.assignee_id }": None}),
        (("steps", 3, "optional"), "maybe"),
        (("steps", 3), {"key": "a", "set": {"Count": 1}}),
        (("steps", 3), {"key": "a", "wait": {}}),
        (("steps", 3), {"key": "a", "wait": {"hours": "two"}}),
        (("steps", 4, "in_doubt"), "hope"),
        (("steps", 4, "action"), "slack.find_user"),
        (("steps", 4), {"key": "a", "action": "slack.find_user"}),
        (("steps", 4), {"key": "a", "action": "slack.reply_in_thread", "inputs": {"message": "Hi"}}),
        (("steps", 4, "inputs", "message"), None),
    ],
)
def test_an_editor_underlines_what_the_check_would_refuse(
    schema: dict[str, Any], recipe: dict[str, Any], where: tuple[Any, ...], value: Any
) -> None:
    flow = copy.deepcopy(recipe)
    part = flow
    for step in where[:-1]:
        part = part[step]
    part[where[-1]] = value
    assert problems(schema, flow)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("active",), "off"),
        (("steps", 0, "inputs", "ticket_id"), 5158),
        (("steps", 3, "optional"), "yes"),
        (("steps", 3, "optional"), "True"),
        (("steps", 3, "retry"), {"attempts": "3", "backoff": "1.5", "wait": {"seconds": "30"}}),
        (("steps", 4, "inputs", "message"), 42),
        (
            ("steps", 4),
            {"key": "a", "loop": {"each": "ticket.tags", "limit": "50", "steps": [{"key": "b", "stop": {}}]}},
        ),
        (("steps", 4), {"key": "a", "wait": {"hours": "2"}}),
    ],
)
def test_an_editor_leaves_alone_what_the_check_takes(
    schema: dict[str, Any], recipe: dict[str, Any], where: tuple[Any, ...], value: Any
) -> None:
    part: Any = recipe
    for step in where[:-1]:
        part = part[step]
    part[where[-1]] = value
    assert problems(schema, recipe) == []
    Flow.model_validate(recipe)


@pytest.mark.parametrize("name", ["key", "name", "trigger", "steps"])
def test_an_editor_misses_what_a_flow_needs(schema: dict[str, Any], recipe: dict[str, Any], name: str) -> None:
    del recipe[name]
    assert problems(schema, recipe) == [f"'{name}' is a required property"]


def test_every_type_of_input_takes_a_template(schema: dict[str, Any], recipe: dict[str, Any]) -> None:
    step = {"key": "weigh", "action": "desk.weigh"}
    typed = {"urgency": "high", "attachments": [{"name": "a"}], "weight": 3, "loud": True}
    for inputs in (
        typed,
        dict.fromkeys(typed, "{{ trigger.ticket_id }}"),
        dict.fromkeys(typed, "{% if 1 %}1{% endif %}"),
    ):
        recipe["steps"] = [{**step, "inputs": inputs}]
        assert problems(schema, recipe) == []
    for wrong in ({"urgency": "huge"}, {"attachments": [{"nam": "a"}]}, {"weight": "three"}, {"loud": "very"}):
        recipe["steps"] = [{**step, "inputs": {**typed, **wrong}}]
        assert problems(schema, recipe)
