"""The reference of triggers, actions, operators and filters, printed from the code for the README."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel

from zendesk_bridge.flows.catalog import Action, Catalog, Output
from zendesk_bridge.flows.definition import KINDS, ActionStep, Condition
from zendesk_bridge.flows.filter_terms import ITEMS, MOMENTS, NUMBERS, SAMPLE, TEXT, WRITTEN
from zendesk_bridge.flows.filters import FILTER_TERMS
from zendesk_bridge.flows.template import TAGS

_EFFECTS = {"read": "changes nothing", "set": "may be repeated", "create": "done once"}


def reference(catalog: Catalog) -> str:
    """All of it, as Markdown."""
    return "\n".join(_lines(catalog))


def _lines(catalog: Catalog) -> Iterator[str]:
    for trigger in catalog.triggers.values():
        yield f"#### `{trigger.id}`"
        yield ""
        yield f"{trigger.title}. {trigger.description}"
        yield ""
        yield from _outputs(trigger.outputs)
    for action in catalog.actions.values():
        yield from _action(action)
    yield "#### A step with `action`: what it takes beside its inputs"
    yield ""
    yield from _fields(ActionStep, leave_out=("key", "only_if", "action", "inputs"))
    for name, kind in KINDS.items():
        if name != "action":
            yield f"#### A step with `{name}`"
            yield ""
            yield " ".join((kind.__doc__ or "").split())
            yield ""
            yield from _fields(kind, leave_out=("key", "only_if"))
    operators = get_args(Condition.model_fields["operator"].annotation)
    yield f"**Operators** of conditions: {_names(operators)}."
    yield ""
    yield f"**Tags** of templates: {_names([*TAGS, 'raw'])}."
    yield ""
    yield from _filters()


#: How the reference calls what a filter takes.
_TAKES = {
    TEXT: "text",
    WRITTEN: "text",
    NUMBERS: "number",
    MOMENTS: "date, time",
    NUMBERS | MOMENTS: "number, date, time",
    ITEMS: "list",
    ITEMS | TEXT: "list, text",
}


def _filters() -> Iterator[str]:
    samples = ", ".join(f"`{name}` is `{json.dumps(value, ensure_ascii=False)}`" for name, value in SAMPLE.items())
    yield f"**Filters** of templates. In the examples {samples}."
    yield ""
    yield "| filter | what comes out | takes | gives | example | result |"
    yield "|---|---|---|---|---|---|"
    for name, terms in FILTER_TERMS.items():
        takes = "anything" if terms.takes == "any" else _TAKES.get(terms.takes) or ", ".join(sorted(terms.takes))
        gives = {"same": "the same", "any": "anything"}.get(terms.gives, terms.gives)
        example, result = (text.replace("|", "\\|") for text in (terms.example, terms.result))
        yield f"| `{name}` | {_cell(terms.about)} | {takes} | {gives} | `{example}` | `{result}` |"


def _fields(kind: type[BaseModel], leave_out: tuple[str, ...]) -> Iterator[str]:
    """What a step of this kind takes."""
    for field, info in kind.model_fields.items():
        if field in leave_out:
            continue
        below = _below(info.annotation)
        shown = info.alias or field
        if below is None or info.description:
            yield f"- `{shown}`: {_cell(info.description or '')}"
        if below is None:
            continue
        for inner, detail in below.model_fields.items():
            about = " ".join((detail.description or _ABOUT.get((below.__name__, inner), "")).split())
            yield f"- `{shown}.{detail.alias or inner}`: {_cell(about)}"
    yield ""


#: What is shown field by field where it stands inside a step.
_BELOW = ("Case", "Loop", "Wait", "Stop", "Retry")

#: What the name alone does not say.
_ABOUT = {
    ("Case", "when"): "Conditions.",
    ("Case", "steps"): "Steps where they hold.",
    ("Loop", "steps"): "Steps for each item. Their outputs are in `results`, a list with an entry for each pass.",
    ("Stop", "outcome"): "`succeeded` or `failed`.",
}


def _below(annotation: Any) -> type[BaseModel] | None:
    """The model inside a field, if there is one."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel) and part.__name__ in _BELOW:
            return part
    return None


def _action(action: Action) -> Iterator[str]:
    yield f"#### `{action.id}`"
    yield ""
    also = f" Also: {_names(action.aliases)}." if action.aliases else ""
    yield f"{' '.join(action.description.split())} *({action.effect}: {_EFFECTS[action.effect]})*{also}"
    yield ""
    yield "| input | type | |"
    yield "|---|---|---|"
    for each in action.inputs:
        need = "" if each.required else " May be left out."
        yield f"| `{each.name}` | {each.type} | {_cell(each.description)}{need} |"
    yield ""
    yield from _outputs(action.outputs)


def _outputs(outputs: Iterable[Output]) -> Iterator[str]:
    yield "<details><summary>Outputs</summary>"
    yield ""
    yield "| output | type | |"
    yield "|---|---|---|"
    for each in outputs:
        words = f" One of {_names(each.words)}." if each.words else ""
        yield f"| `{each.name}` | {each.type} | {_cell(each.description)}{words} |"
    yield ""
    yield "</details>"
    yield ""


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
