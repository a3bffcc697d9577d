"""Trying a flow: the event it is tried with, and the flow as its file is now."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from zendesk_bridge import triggers
from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.flows.catalog import Catalog
from zendesk_bridge.flows.errors import FlowError, NotFound
from zendesk_bridge.flows.interpreter import CompiledFlow, compile_flow
from zendesk_bridge.flows.library import read_all
from zendesk_bridge.flows.model import Event

_TICKET = re.compile(r"(?:https?://\S*/tickets/|#)?(\d+)")


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
