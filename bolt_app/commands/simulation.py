"""A test of a flow in the sandbox: its file as it is now, with a Slack and a Zendesk in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from bolt_app.commands import terminal
from bolt_app.commands.sandbox import Stage, stage
from bolt_app.commands.scenery import Scenery, names_of
from bolt_app.commands.testing import WATCHED_FOR, Listener, Start, event_to_test
from bolt_app.composition import Sides
from bolt_app.watching import watch
from zendesk_bridge.bridge import Bridge
from zendesk_bridge.flows.model import Event
from zendesk_bridge.sandbox import people
from zendesk_bridge.sandbox.webhooks import body_of

#: How long a run may take to notice that it may go on, in seconds.
MOVES_WITHIN = 5.0


async def simulate(sides: Sides, key: str, start: Start, listener: Listener) -> tuple[dict[str, Any], dict[str, str]]:
    """Runs a flow in the sandbox.

    Returns:
        The run as `runs show` has it, with the id null as nothing of it is kept; and the names of the sandbox's people
        and channels by id.
    """
    flow = await sides.bridge.trials.flow_to_test(key, as_written=True)
    text = await sides.bridge.trials.text_to_test(key)
    event = await event_to_test(sides.bridge, start, flow.flow.trigger.event) if start.is_given else None
    # Nobody's limits are met here, and nothing is to start by itself.
    async with stage({f"{key}.yml": text}, slack_posts_per_minute=0, zendesk_poll_seconds=0.0) as on:
        bridge = on.connector.sides.bridge
        event = event or await _assigned(on, flow.flow.trigger.event, listener)
        scenery = Scenery(on.slack.state, on.zendesk.state)
        scenery.put_up(event, flow.flow.actions())
        if scenery.made:
            listener.remark(f"Made in the sandbox for this test: {', '.join(scenery.made)}.")
        listener.starts(bridge.trials.would_start(flow, event))
        answer = await bridge.request("test", {"key": key, "event": event.as_json()}, "sandbox")
        run = await _run_to_its_end(bridge, answer["run"], scenery, listener)
        return {**run, "id": None, "version": flow.version}, names_of(on.slack.state)


async def _assigned(on: Stage, trigger: str, listener: Listener) -> Event:
    """What the sandbox makes happen where nothing else is given: a ticket is assigned, or the trigger's sample."""
    bridge, state = on.connector.sides.bridge, on.zendesk.state
    told = await on.zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    event = bridge.trials.event_in(body_of(state, told.event))
    if event.type != trigger:
        return bridge.trials.event_of_sample(trigger)
    subject, agent = state.tickets[people.GRINDER]["subject"], state.users[people.NOOR]["name"]
    listener.remark(f"Zendesk: ticket {people.GRINDER} “{subject}” is assigned to {agent}.")
    return event


async def _run_to_its_end(bridge: Bridge, run_id: str, scenery: Scenery, listener: Listener) -> dict[str, Any]:
    """Watches a run; what it waits for happens at once, once each."""
    shown: set[str] = set()
    ended: set[str] = set()
    while True:
        run = await watch(bridge, run_id, listener.step, WATCHED_FOR, shown=shown)
        waiting = [step for step in _waiting(run) if step["key"] not in ended]
        if not waiting:
            return run
        ended |= {step["key"] for step in waiting}
        for step in waiting:
            if step["action"] == "wait":
                until = terminal.when(step["inputs"]["until"])
                listener.remark(f"It would sleep until {until}; here it goes on at once.")
            else:
                channel = scenery.open_channel(str(step["inputs"].get("channel")))
                listener.remark(f"The app is invited to {step['inputs'].get('channel')}.")
                shown.discard(step["key"])
                await bridge.invited(channel)
        await bridge.end_sleep(run_id)
        await _has_moved(bridge, run)


def _waiting(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The steps that wait for a time or for an invitation: what can be brought about here."""
    if run["status"] == "waiting":
        for step in run["steps"]:
            invited = (step["error"] or {}).get("code") == "needs_invite"
            if step["status"] == "waiting" and (step["action"] == "wait" or invited):
                yield step


async def _has_moved(bridge: Bridge, before: dict[str, Any]) -> None:
    """Returns when a run is no longer as it was, or does not move."""
    deadline = time.monotonic() + MOVES_WITHIN
    while True:
        if await bridge.show_run(before["id"]) != before or time.monotonic() > deadline:
            return
        await asyncio.sleep(0.01)
