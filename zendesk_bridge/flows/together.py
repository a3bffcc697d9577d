"""Passes of a loop that are under way at the same time: each goes on by itself, and together they end as one."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zendesk_bridge.flows.errors import Permanent, StorageError
from zendesk_bridge.flows.model import DECISION, StepStatus, utc_now
from zendesk_bridge.flows.patience import LOOK_AGAIN
from zendesk_bridge.flows.pauses import Ended, Halted, Stopping, Suspended

if TYPE_CHECKING:
    from zendesk_bridge.flows.interpreter import Pass
    from zendesk_bridge.flows.port import RunPort


async def together(port: RunPort, passes: Mapping[str, Pass], at_once: int) -> list[dict[str, Any]]:
    """Does the passes of a loop, so many at a time; one that waits counts. Returns their results in order.

    Where a pass fails, or ends the run, those under way end the step they are at, and no more begin; the same where
    that is so of a loop around this one.

    Args:
        passes: by what the keys of their steps begin with.

    Raises:
        Suspended: all that can go on have ended, some wait.
        Halted: a loop around this one goes no further.
        Exception: what ended the first pass that did not end well.
    """
    ports = port.branch_off(passes)
    to_come = deque(passes.items())
    under_way: dict[asyncio.Future[dict[str, Any]], str] = {}
    results: dict[str, dict[str, Any]] = {}
    pauses: dict[str, Suspended] = {}
    ends: dict[str, Exception] = {}
    try:
        while True:
            while to_come and not ends and not port.is_halted and len(under_way) + len(pauses) < at_once:
                place, work = to_come.popleft()
                under_way[asyncio.ensure_future(work(ports[place]))] = place
            if not under_way:
                break
            done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                place = under_way.pop(task)
                try:
                    results[place] = task.result()
                    ports[place].finish()
                except Suspended as pause:
                    pauses[place] = pause
                except Halted:
                    pass
                except Exception as problem:
                    ends[place] = problem
                    for each in ports.values():
                        each.halted = True
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for each in ports.values():
            each.close()
    if ends:
        raise _of(port, ends, {place: each for place, each in ports.items() if place not in results})
    if port.is_halted:
        raise Halted
    if pauses:
        raise _as_one(port, [pauses[place] for place in passes if place in pauses])
    return [results[place] for place in passes]


def _of(port: RunPort, ends: Mapping[str, Exception], unfinished: Mapping[str, RunPort]) -> Exception:
    """What the run ends with; what else was under way has ended with it."""
    stopped = next((each for each in ends.values() if isinstance(each, StorageError | Stopping)), None)
    if stopped is not None:
        port.recording.flush()  # what the others came to meanwhile
        return stopped
    place, problem = next(iter(ends.items()))
    # A run that a flow ends has not failed, nor have its steps.
    status = StepStatus.SKIPPED if isinstance(problem, Ended) else StepStatus.FAILED
    for other, each in unfinished.items():
        if other != place:
            halted = Permanent("halted", "Another item of the loop has ended the run", hint="See the other items.")
            each.abandon(halted, status)
    return problem


def _as_one(port: RunPort, pauses: list[Suspended]) -> Suspended:
    """What the run waits for: a person's decision first, for nobody else can give it."""
    named = {pause.waiting_for for pause in pauses if pause.waiting_for}
    first = min(pauses, key=_rank)
    moments = [pause.until for pause in pauses if pause.until is not None]
    if len(named) > 1:
        moments.append(utc_now() + dt.timedelta(seconds=LOOK_AGAIN))
    if first.error is not None:
        port.run.waiting_since = port.run.waiting_since or utc_now()
    return Suspended(
        until=min(moments, default=None), waiting_for=first.waiting_for, error=first.error, note=first.note
    )


def _rank(pause: Suspended) -> int:
    if pause.waiting_for is None:
        return 2 if pause.error else 3
    return 0 if pause.waiting_for.startswith(f"signal:{DECISION}") else 1
