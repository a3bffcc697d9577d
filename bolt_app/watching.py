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
    bridge: Bridge,
    run_id: str,
    show: Show,
    seconds: float,
    *,
    through_retries: bool = True,
    shown: set[str] | None = None,
) -> dict[str, Any]:
    """Shows each step as it ends, until the run ends or waits, or the time is over; returns the run.

    Args:
        through_retries: whether to go on watching a run that waits only until a service takes a call again.
        shown: the keys of the steps that were shown already, where somebody goes on watching; it grows.
    """
    shown = set() if shown is None else shown
    deadline = time.monotonic() + seconds
    while True:
        run = await bridge.show_run(run_id)
        going = run["status"] in ("queued", "running") or (through_retries and _retries(run))
        over = not going or time.monotonic() > deadline
        for step in run["steps"]:
            if (over or step["finished_at"]) and step["key"] not in shown:
                shown.add(step["key"])
                show(step)
        if over:
            return run
        await asyncio.sleep(0.05)


def _retries(run: dict[str, Any]) -> bool:
    return (
        run["status"] == "waiting" and bool(run["error"]) and run["error"]["code"] in ("limit", "unavailable", "retry")
    )
