"""Trying a flow: the event it is tried with, and the flow as its file is now."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zendesk_bridge import triggers
from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.flows.catalog import Catalog, Trigger, nearest
from zendesk_bridge.flows.compiled import CompiledFlow, compile_flow
from zendesk_bridge.flows.errors import FlowError, NotFound
from zendesk_bridge.flows.library import read_all
from zendesk_bridge.flows.model import Event

_TICKET = re.compile(r"(?:https?://\S*/tickets/|#)?(\d+)")


def is_ticket(text: str) -> bool:
    """Whether a text names a ticket: its number, `#number`, or the address of its page."""
    return _TICKET.fullmatch(text.strip()) is not None


async def event_of_ticket(zendesk: ZendeskClient, ticket: str) -> Event:
    """The event of a live ticket, as if it were assigned now. Raises ConnectorError.

    Args:
        ticket: its number, `#number`, or the address of its page.
    """
    number = _TICKET.fullmatch(ticket.strip())
    answer = (await zendesk.ticket(number[1] if number else ticket)).get("ticket")
    event = triggers.assignment_of(answer, _test_id()) if isinstance(answer, dict) else None
    if event is None:
        raise NotFound("not_found", f"Zendesk has no ticket {ticket}")
    return event


def read_changes(trigger: Trigger, text: str) -> dict[str, Any]:
    """Variables of a trigger that a test changes: `name: value` a line, nothing after the colon for none.

    Raises FlowError, naming the line and what is known.
    """
    outputs = {output.name: output for output in trigger.outputs}
    changes = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            raise FlowError("bad_line", f"Line {number} is not `name: value`", hint="For instance: priority: high")
        output = outputs.get(name.removeprefix("trigger."))
        if output is None:
            close = nearest(name, outputs)
            hint = f"Did you mean {close}?" if close else f"There are {', '.join(outputs)}."
            raise FlowError("no_variable", f"Line {number}: the trigger has no variable {name[:60]!r}", hint=hint)
        try:
            changes[output.name] = _value(output.type, value)
        except ValueError:
            raise FlowError("bad_value", f"Line {number}: {name} is a {output.type}, not {value[:60]!r}") from None
    return changes


def _value(kind: str, text: str) -> Any:
    """A value of the kind that a text says; null where it says nothing. Raises ValueError."""
    if not text:
        return [] if kind == "list" else None
    match kind:
        case "list":
            return [each.strip() for each in text.strip("[]").split(",") if each.strip()]
        case "boolean" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "number":
            return int(text)
        case "decimal":
            return float(text)
        case "boolean" | "object":
            raise ValueError(text)
    return text


def event_in(body: bytes) -> Event:
    """The event in the body of a webhook. Raises FlowError where there is none."""
    try:
        event = triggers.parse_webhook(body)
    except triggers.NotAnObject as problem:
        raise FlowError("not_an_event", f"The file holds no event: {problem}") from problem
    if event is None:
        raise FlowError("not_an_event", "The file holds no event that a flow can start from")
    return replace(event, id=_test_id(), source="test")


def as_written(key: str, recipes: Mapping[str, str], folder: Path | None, catalog: Catalog) -> CompiledFlow | None:
    """A flow as its file is now; None where no file has the key. Raises FlowError where the file is wrong."""
    file = read_all(recipes, folder, catalog)[0].get(key)
    if file is None:
        return None
    if file.flow is None:
        hint = f"`zendesk-connector flows check {key}` shows all that is wrong."
        raise FlowError("wrong_file", str(file.problems[0]) if file.problems else f"{key!r} is there twice", hint=hint)
    return compile_flow(file.flow, 0, catalog)


def _test_id() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"
