"""The reference of triggers, actions, operators and filters, printed from the code for the README."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_args

from zendesk_bridge.flows.catalog import Action, Catalog, Output
from zendesk_bridge.flows.model import Condition
from zendesk_bridge.flows.template import FILTERS, TAGS

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
    operators = get_args(Condition.model_fields["operator"].annotation)
    yield f"**Operators** of conditions: {_names(operators)}."
    yield ""
    yield f"**Tags** of templates: {_names([*TAGS, 'raw'])}."
    yield ""
    yield f"**Filters** of templates: {_names(sorted(FILTERS))}."


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
        yield f"| `{each.name}` | {each.type} | {_cell(each.description)} |"
    yield ""
    yield "</details>"
    yield ""


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
