"""The JSON Schema of flow files: what makes an editor complete actions, inputs and operators."""

from __future__ import annotations

from typing import Any

from zendesk_bridge.flows.catalog import Action, Catalog
from zendesk_bridge.flows.definition import Flow

_TEMPLATE = {"type": "string", "pattern": r"\{[{%]", "description": "A template: {{ step.variable }}"}


def flow_schema(catalog: Catalog) -> dict[str, Any]:
    """The schema of one flow file, with this catalog's triggers and actions."""
    schema = Flow.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Action flow"
    for conditions in ("Conditions", "OnlyIf"):
        schema["$defs"][conditions]["anyOf"] = [{"required": [name]} for name in ("all", "any", "not")]
    trigger = schema["$defs"]["TriggerReference"]["properties"]["event"]
    trigger["enum"] = sorted(catalog.triggers)
    step = schema["$defs"]["ActionStep"]
    for action in catalog.actions.values():
        schema["$defs"] |= _form(action).get("$defs", {})
    step["properties"]["action"]["enum"] = sorted(catalog.names)
    step["allOf"] = [
        {
            "if": {"properties": {"action": {"enum": [action.id, *action.aliases]}}, "required": ["action"]},
            "then": {
                "properties": {"inputs": _inputs(action)},
                **({"required": ["inputs"]} if any(each.required for each in action.inputs) else {}),
            },
        }
        for action in catalog.actions.values()
    ]
    return schema


def _form(action: Action) -> dict[str, Any]:
    return action.form.model_json_schema()


def _inputs(action: Action) -> dict[str, Any]:
    form = _form(action)
    properties: dict[str, Any] = {}
    for each in action.inputs:
        own = {name: value for name, value in form["properties"][each.name].items() if name != "title"}
        description = own.pop("description", "")
        properties[each.name] = {"description": description, "anyOf": [_TEMPLATE, own]}
    return {
        "type": "object",
        "description": action.description,
        "properties": properties,
        "required": [each.name for each in action.inputs if each.required],
        "additionalProperties": False,
    }
