"""Watches a run as it goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from zendesk_bridge.bridge import Bridge

#: Takes a step as `runs show` has it.
Show = Callable[[dict[str, Any]], None]


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
    return (
        run["status"] == "waiting" and bool(run["error"]) and run["error"]["code"] in ("limit", "unavailable", "retry")
    )
