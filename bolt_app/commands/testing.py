"""Runs a flow for a test: dry, or for real through whoever holds the database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bolt_app.commands.working import who
from bolt_app.composition import Sides
from bolt_app.watching import Show, watch
from zendesk_bridge.bridge import Bridge
from zendesk_bridge.flows.errors import FlowError, Locked
from zendesk_bridge.flows.model import Event

#: How long a test is watched, in seconds; it goes on without us after that.
WATCHED_FOR = 60.0


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a test starts from: one of the first four, and what is changed of it."""

    # A live ticket: its number, or the address of its page.
    ticket: str | None = None
    # A webhook's body.
    body: bytes | None = None
    # How the id of an event of the history begins, or that of a run.
    past: str | None = None
    # The trigger's sample.
    sample: bool = False
    # `name=value` each.
    changes: tuple[str, ...] = ()

    @property
    def is_given(self) -> bool:
        """Whether there is anything to start from."""
        return self.sample or any(each is not None for each in (self.ticket, self.body, self.past))


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Who is told of a test while it goes on."""

    # Each step as it ends.
    step: Show
    # Whether such an event would start the flow.
    starts: Callable[[bool], None]
    # What else there is to know, a line each.
    remark: Callable[[str], None]


async def run_test(sides: Sides, key: str, start: Start, dry: bool, listener: Listener) -> dict[str, Any]:
    """Tests a flow with the real services; returns the run as `runs show` has it."""
    bridge = sides.bridge
    await sides.slack.start()
    if not dry:
        with suppress(Locked):  # then a running connector does it for us
            await bridge.open()
    flow = await bridge.trials.flow_to_test(key, as_written=dry)
    event = await event_to_test(bridge, start, flow.flow.trigger.event)
    listener.starts(bridge.trials.would_start(flow, event))
    if dry:
        return await bridge.trials.dry_test(flow, event, listener.step)
    answer = await bridge.request("test", {"key": key, "event": event.as_json()}, who())
    return await watch(bridge, answer["run"], listener.step, WATCHED_FOR, through_retries=bridge.is_served())


async def event_to_test(bridge: Bridge, start: Start, trigger: str) -> Event:
    """The event that a test starts from, with its changes. Raises ConnectorError.

    Args:
        trigger: what the flow starts from.
    """
    changes = bridge.trials.read_assignments(trigger, start.changes)
    if start.sample:
        event = bridge.trials.event_of_sample(trigger)
    elif start.past is not None:
        event = await bridge.trials.past_event(start.past)
    elif start.body is not None:
        event = bridge.trials.event_in(start.body)
    else:
        assert start.ticket is not None
        event = await bridge.trials.event_of_ticket(start.ticket)
    if event.type != trigger:
        raise FlowError("other_trigger", f"The event is a {event.type}, and the flow starts from {trigger}")
    return bridge.trials.changed_event(event, changes)
