"""The JSON Schema of flow files: what makes an editor complete actions, inputs and operators."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from zendesk_bridge.flows.catalog import Action, Catalog, Output
from zendesk_bridge.flows.definition import Flow

_TEMPLATE = {"type": "string", "pattern": r"\{[{%]", "description": "A template: {{ step.variable }}"}


def flow_schema(catalog: Catalog) -> dict[str, Any]:
    """The schema of one flow file, with this catalog's triggers and actions."""
    schema = Flow.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Action flow"
    schema["$defs"]["SetStep"]["properties"]["set"]["additionalProperties"] = False  # names that are none
    schema["$defs"]["Wait"]["minProperties"] = 1
    for conditions in ("Conditions", "OnlyIf"):
        schema["$defs"][conditions]["anyOf"] = [{"required": [name]} for name in ("all", "any", "not")]
        for name in ("all", "any"):
            schema["$defs"][conditions]["properties"][name]["anyOf"][0]["minItems"] = 1
    trigger = schema["$defs"]["TriggerReference"]["properties"]["event"]
    trigger["enum"] = sorted(catalog.triggers)
    trigger["enumDescriptions"] = [catalog.triggers[name].description for name in trigger["enum"]]
    variables = list(_variables(catalog))
    condition = schema["$defs"]["Condition"]["properties"]
    condition["variable"]["examples"] = variables
    condition["operator"]["enumDescriptions"] = [_OPERATORS[name] for name in condition["operator"]["enum"]]
    schema["$defs"]["Condition"]["allOf"] = [
        {
            "if": {"properties": {"variable": {"pattern": rf"\.{name}\s*(\}}\}})?$"}}, "required": ["variable"]},
            "then": {"properties": {"value": {"examples": list(words)}}},
        }
        for name, words in _known_words(catalog).items()
    ] + [
        {
            "if": {"properties": {"operator": {"enum": ["is_present", "is_not_present"]}}, "required": ["operator"]},
            "then": {"properties": {"value": {"type": "null"}}},
            "else": {"required": ["value"], "properties": {"value": {"not": {"type": ["null", "object"]}}}},
        }
    ]
    for part, name in (("Loop", "each"), ("Wait", "until"), ("Wait", "zone")):
        # Each may be none; what it may be else comes first.
        kind = schema["$defs"][part]["properties"][name]
        kind.get("anyOf", [kind])[0]["examples"] = _templates(_OF_KIND[name](catalog))
    step = schema["$defs"]["ActionStep"]
    for action in catalog.actions.values():
        schema["$defs"] |= _form(action).get("$defs", {})
    names = step["properties"]["action"]["enum"] = sorted(catalog.names)
    step["properties"]["action"]["enumDescriptions"] = [_about(name, catalog) for name in names]
    template = {**_TEMPLATE, "examples": _templates(variables)}
    step["allOf"] = [
        {
            "if": {"properties": {"action": {"enum": [action.id, *action.aliases]}}, "required": ["action"]},
            "then": {
                "properties": {"key": {"examples": [usual_key(action)]}, "inputs": _inputs(action, template)},
                **({"required": ["inputs"]} if action.either or any(each.required for each in action.inputs) else {}),
            },
        }
        for action in catalog.actions.values()
    ]
    return cast(dict[str, Any], _as_texts_too(schema))


#: What counts as a number, and as true or false, also where it is a text.
_NUMBER = {"type": "string", "pattern": r"^\s*[+-]?[0-9]+(\.[0-9]+)?\s*$"}
_YES_OR_NO = {
    "type": "string",
    "pattern": "^([Tt]rue|TRUE|[Ff]alse|FALSE|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF)$",
}
_ABOUT_A_NUMBER = ("type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


def _as_texts_too(part: Any) -> Any:
    """The same, with `"50"` for a number and `yes` for true, which YAML reads as texts and the check takes."""
    if isinstance(part, list):
        return [_as_texts_too(each) for each in part]
    if not isinstance(part, dict):
        return part
    texts = {"integer": _NUMBER, "number": _NUMBER, "boolean": _YES_OR_NO}
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in texts:
        return {name: _as_texts_too(value) for name, value in part.items()}
    own = {name: value for name, value in part.items() if name in _ABOUT_A_NUMBER}
    return {name: value for name, value in part.items() if name not in own} | {"anyOf": [own, texts[kind]]}


#: What an editor shows beside each operator.
_OPERATORS = {
    "is": "The same; texts to the letter, numbers and times by what they mean.",
    "is_not": "Something else.",
    "is_present": "There is something: 0 and false are something, an empty text or list is not. Takes no value.",
    "is_not_present": "There is nothing. Takes no value.",
    "contains": "A text that has this part, or a list that has this item, or one of these.",
    "greater_than": "A greater number, or a later time.",
    "less_than": "A smaller number, or an earlier time.",
}
#: The verbs that actions begin with.
_VERB = re.compile(r"^(look_up|send|post|fetch|find|add|reply)_(in_)?|_to_.*")


def usual_key(action: Action) -> str:
    """The key that an editor offers for a step: what the action is about, such as `ticket`."""
    return _VERB.sub("", action.id.partition(".")[2])


def _variables(catalog: Catalog, kinds: Iterable[str] = ()) -> Iterator[str]:
    """The variables there are, as far as they are known before a flow is written: steps may have other keys."""
    roots: dict[str, tuple[Output, ...]] = {}
    for trigger in catalog.triggers.values():
        roots["trigger"] = (*roots.get("trigger", ()), *trigger.outputs)
    for action in catalog.actions.values():
        if action.effect == "read":
            roots.setdefault(usual_key(action), action.outputs)
    names = [f"{root}.{each.name}" for root, outputs in roots.items() for each in outputs if _is(each, kinds)]
    yield from dict.fromkeys(names)
    yield from (name for name, kind in (("now", "date-time"), ("today", "date")) if not kinds or kind in kinds)


def _known_words(catalog: Catalog) -> dict[str, tuple[str, ...]]:
    """What variables can be that are always one of a few words, by the last part of their names."""
    known: dict[str, tuple[str, ...]] = {}
    parts = [part.outputs for part in catalog.triggers.values()] + [part.outputs for part in catalog.actions.values()]
    for each in (output for outputs in parts for output in outputs if output.words):
        known[each.name] = tuple(dict.fromkeys((*known.get(each.name, ()), *each.words)))
    return known


def _is(output: Output, kinds: Iterable[str]) -> bool:
    return not kinds or output.type in kinds


#: What is offered for fields that take a kind of value.
_OF_KIND: dict[str, Callable[[Catalog], Iterable[str]]] = {
    "each": lambda catalog: _variables(catalog, ("list",)),
    "until": lambda catalog: _variables(catalog, ("date", "date-time")),
    "zone": lambda catalog: (name for name in _variables(catalog) if name.endswith(".iana_time_zone")),
}


def _templates(variables: Iterable[str]) -> list[str]:
    return [f"{{{{ {name} }}}}" for name in variables]


def _about(name: str, catalog: Catalog) -> str:
    """What an editor shows beside an action: what it does, and the variables of its step."""
    action = catalog.action(name)
    assert action is not None
    outputs = ", ".join(each.name for each in action.outputs)
    return f"{' '.join(action.description.split())} Outputs: {outputs}."


def _form(action: Action) -> dict[str, Any]:
    return action.form.model_json_schema()


def _inputs(action: Action, template: dict[str, Any]) -> dict[str, Any]:
    form = _form(action)
    properties: dict[str, Any] = {}
    for each in action.inputs:
        own = {name: value for name, value in form["properties"][each.name].items() if name != "title"}
        description = own.pop("description", "")
        for kind in (own, *own.get("anyOf", ())):
            if kind.get("type") == "string":
                kind["type"] = ["string", "number"]  # an id is a text, and written as a number
        properties[each.name] = {"description": description, "anyOf": [template, own]}
    return {
        "type": "object",
        "description": action.description,
        "properties": properties,
        "required": [each.name for each in action.inputs if each.required],
        **({"anyOf": [{"required": [name]} for name in action.either]} if action.either else {}),
        "additionalProperties": False,
    }
