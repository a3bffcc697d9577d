"""Runs a flow for a test: dry, or for real through whoever holds the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bolt_app.commands.working import who
from bolt_app.composition import Sides
from zendesk_bridge.bridge import Bridge
from zendesk_bridge.flows.errors import Locked
from zendesk_bridge.flows.model import Event

#: How long a test is watched, in seconds; it goes on without us after that.
WATCHED_FOR = 60.0

Show = Callable[[dict[str, Any]], None]


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


async def watch(
    bridge: Bridge, run_id: str, show: Show, seconds: float, *, through_retries: bool = True
) -> dict[str, Any]:
    """Shows each step as it ends, until the run ends or waits, or the time is over; returns the run.

    Args:
        through_retries: whether to go on watching a run that waits only until a service takes a call again.
    """
    shown = 0
    deadline = time.monotonic() + seconds
    while True:
        run = await bridge.show_run(run_id)
        going = run["status"] in ("queued", "running") or (through_retries and _retries(run))
        over = not going or time.monotonic() > deadline
        ended = run["steps"] if over else [step for step in run["steps"] if step["finished_at"]]
        for step in ended[shown:]:
            show(step)
        shown = max(shown, len(ended))
        if over:
            return run
        await asyncio.sleep(0.05)


def _retries(run: dict[str, Any]) -> bool:
    return run["status"] == "waiting" and bool(run["error"]) and run["error"]["code"] in ("limit", "unavailable")
