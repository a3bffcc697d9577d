"""Runs a flow for a test: dry, or for real through whoever holds the database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bolt_app.commands.working import who
from bolt_app.composition import Sides
from bolt_app.watching import Show, watch
from zendesk_bridge.flows.errors import Locked
from zendesk_bridge.flows.model import Event

#: How long a test is watched, in seconds; it goes on without us after that.
WATCHED_FOR = 60.0


async def run_test(
    sides: Sides,
    key: str,
    ticket: str | None,
    body: bytes | None,
    dry: bool,
    show: Show,
    remark: Callable[[bool], None],
) -> dict[str, Any]:
    """Tests a flow with a live ticket or a webhook's body; returns the run as `runs show` has it.

    Args:
        remark: told whether such an event would start the flow.
    """
    bridge = sides.bridge
    await sides.slack.start()
    if not dry:
        with suppress(Locked):  # then a running connector does it for us
            await bridge.open()
    event = await _event(sides, ticket, body)
    flow = await bridge.flow_to_test(key, as_written=dry)
    remark(bridge.would_start(flow, event))
    if dry:
        return await bridge.dry_test(flow, event, show)
    answer = await bridge.request("test", {"key": key, "event": event.as_json()}, who())
    return await watch(bridge, answer["run"], show, WATCHED_FOR, through_retries=bridge.is_served())


async def _event(sides: Sides, ticket: str | None, body: bytes | None) -> Event:
    if body is not None:
        return sides.bridge.event_in(body)
    assert ticket is not None
    return await sides.bridge.event_of_ticket(ticket)
