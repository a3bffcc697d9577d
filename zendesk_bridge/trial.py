"""Trying a flow: the event it is tried with, and the flow as its file is now."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zendesk_bridge import triggers
from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.flows.catalog import Catalog, Trigger, nearest
from zendesk_bridge.flows.compiled import CompiledFlow, compile_flow
from zendesk_bridge.flows.errors import ConnectorError, FlowError, NotFound, Permanent
from zendesk_bridge.flows.known_words import never_holds
from zendesk_bridge.flows.library import read_all
from zendesk_bridge.flows.model import Event, utc_now

log = logging.getLogger(__name__)

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
    try:
        answer = (await zendesk.ticket(number[1] if number else ticket)).get("ticket")
    except Permanent as problem:
        if problem.code != "not_found":
            raise
        answer = None
    event = triggers.assignment_of(answer, _test_id()) if isinstance(answer, dict) else None
    if event is None:
        hint = "It may be deleted or archived; look in Zendesk, or try one of another number."
        raise NotFound("not_found", f"Zendesk has no ticket {ticket}", hint=hint)
    return event


def event_of_sample(trigger: Trigger) -> Event:
    """The event that a trigger's sample tells of, as if it came now."""
    about = Event(id=_test_id(), type=trigger.id, source="test", occurred_at=utc_now(), data={})
    return changed(about, trigger.sample)


def changed(event: Event, changes: Mapping[str, Any]) -> Event:
    """An event with other variables, and about the ticket that they name."""
    ticket = changes.get("ticket_id")
    return replace(event.with_data(changes), subject=f"ticket {ticket}" if ticket else event.subject)


def read_changes(trigger: Trigger, text: str) -> dict[str, Any]:
    """Variables of a trigger that a test changes: `name: value` a line, nothing after the colon for none.

    Raises FlowError, naming the line and what is known.
    """
    changes: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise FlowError("bad_line", f"Line {number} is not `name: value`", hint="For instance: priority: high")
        changes |= _change(trigger, f"Line {number}", name, value)
    return changes


def read_assignments(trigger: Trigger, texts: Iterable[str]) -> dict[str, Any]:
    """The same from a command line: `name=value` each, nothing after the sign for none. Raises FlowError."""
    changes: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise FlowError("bad_line", f"{text[:60]!r} is not name=value", hint="For instance: --with priority=high")
        changes |= _change(trigger, f"--with {text[:60]}", name, value)
    return changes


def _change(trigger: Trigger, where: str, name: str, value: str) -> dict[str, Any]:
    name, value = name.strip(), value.strip()
    outputs = {output.name: output for output in trigger.outputs}
    output = outputs.get(name.removeprefix("trigger."))
    if output is None:
        close = nearest(name.removeprefix("trigger."), outputs)
        hint = f"Did you mean {close}?" if close else f"There are {', '.join(outputs)}."
        raise FlowError("no_variable", f"{where}: the trigger has no variable {name[:60]!r}", hint=hint)
    if output.words and value and (wrong := never_holds(name, output.words, "is", value)):
        raise FlowError("bad_value", f"{where}: {wrong.message}", hint=(wrong.suggestion or "").capitalize())
    try:
        return {output.name: _value(output.type, value)}
    except ValueError:
        raise FlowError("bad_value", f"{where}: {name} is a {output.type}, not {value[:60]!r}") from None


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


def as_written(
    key: str, recipes: Mapping[str, str], folder: Path | None, catalog: Catalog
) -> tuple[CompiledFlow, str] | None:
    """A flow as its file is now, and its text; None where no file has the key. Raises FlowError where it is wrong."""
    file = read_all(recipes, folder, catalog)[0].get(key)
    if file is None:
        return None
    if file.flow is None:
        hint = f"`zendesk-connector flows check {key}` shows all that is wrong."
        raise FlowError("wrong_file", str(file.problems[0]) if file.problems else f"{key!r} is there twice", hint=hint)
    return compile_flow(file.flow, 0, catalog), file.text


def of_the_past(event: Event) -> Event:
    """An event of the history as a test takes it: with an id of its own."""
    return replace(event, id=_test_id(), source="test")


def _test_id() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


def would_start(flow: CompiledFlow, event: Event) -> bool:
    """Whether the trigger's conditions hold for an event, or cannot be tried."""
    try:
        return flow.wants(event.data)
    except ConnectorError as problem:
        log.warning("flow %s: its trigger's conditions cannot be tried: %s", flow.flow.key, problem.message)
        return True  # the run fails with the reason, for all to see
