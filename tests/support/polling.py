"""A bridge that polls the Zendesk sandbox without its real waits, and what tests of the polls have in common."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from multidict import CIMultiDict

from zendesk_bridge.bridge import Bridge, Polling
from zendesk_bridge.sandbox import ZendeskServer, webhooks

StartBridge = Callable[..., Awaitable[Bridge]]

#: Polls that a test can sit through; the sandbox then holds nothing back.
QUICK_POLLS = Polling(every=0.02, catch_up=0.01, margin=0.0, refused=0.05)
NO_POLLS = Polling(every=0.0)
SECRET = "a webhook's signing secret"

FLOW = """
key: seen
name: Seen
active: true
trigger:
  event: zendesk.ticket_agent_assignment_changed
steps:
  - key: user
    action: zendesk.look_up_user
    inputs: {user_id: "{{ trigger.actor_id }}"}
"""


def flow_file(folder: Path, conditions: str = "") -> Path:
    """A folder with one flow that starts on assignments and only reads."""
    folder.mkdir(exist_ok=True)
    (folder / "seen.yml").write_text(
        FLOW.replace("steps:", f"  conditions: {conditions}\nsteps:" if conditions else "steps:")
    )
    return folder


def open_up(zendesk: ZendeskServer) -> None:
    """Takes away the limits and the withheld minute, so that a test need not wait for them."""
    state = zendesk.state
    state.withheld_seconds = 0.0
    state.exports_per_minute = state.requests_per_minute = 1_000_000


async def until(holds: Callable[[], Any]) -> None:
    """Waits until something holds; fails where it does not come to."""
    async with asyncio.timeout(30):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


def export_calls(zendesk: ZendeskServer, status: int = 200) -> int:
    """How many pages of the export were answered so."""
    return sum("incremental" in call.path and call.status == status for call in zendesk.state.calls)


async def pages(zendesk: ZendeskServer, more: int = 3) -> None:
    """Waits until that many more pages were read: what had happened before is known after two."""
    before = export_calls(zendesk)
    await until(lambda: export_calls(zendesk) >= before + more)


async def triggers_of(bridge: Bridge) -> list[dict[str, Any]]:
    """What the runs were started by, the oldest first, with the shown event id."""
    await bridge.idle()
    runs = [await bridge.show_run(run["id"]) for run in reversed(await bridge.list_runs())]
    return [{**run["trigger"], "event_id": run["event_id"]} for run in runs]


def signed(zendesk: ZendeskServer, body: bytes, invocation: str = "one") -> CIMultiDict[str]:
    """The headers of a webhook's delivery."""
    state = zendesk.state
    webhook = next(iter(state.webhooks.values()), None) or state.add_webhook("http://127.0.0.1:9/", secret=SECRET)
    return CIMultiDict(webhooks.signed_headers(state, webhook["id"], body, state.clock(), invocation))


async def bring(bridge: Bridge, zendesk: ZendeskServer, event: dict[str, Any]) -> int:
    """Delivers an event to the bridge as Zendesk's webhook would; returns the status it answers."""
    body = webhooks.body_of(zendesk.state, event)
    return await bridge.receive_webhook(signed(zendesk, body), body)


def change_rows(database: Path, statement: str, *values: object) -> None:
    """Changes rows of a database that nobody has open."""
    with sqlite3.connect(database) as connection:
        connection.execute(statement, values)
    connection.close()


def row(database: Path, statement: str) -> Any:
    """The first value of a query."""
    connection = sqlite3.connect(database)
    try:
        return connection.execute(statement).fetchone()[0]
    finally:
        connection.close()
