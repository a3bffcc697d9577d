"""Somebody sets the clock while runs wait."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from sample_flows import MAKE, REVOKED

from zendesk_bridge.flows import clock as clock_module
from zendesk_bridge.flows import patience, port, runner, store, together, waker
from zendesk_bridge.flows.clock import ClockWatch
from zendesk_bridge.flows.errors import Transient, Uncertain
from zendesk_bridge.flows.model import utc_now
from zendesk_bridge.flows.pauses import Timing

LOST = Uncertain("no_answer", "The answer was lost")


class Clock:
    """The clock on the wall, which can be set."""

    ahead = dt.timedelta()

    def now(self) -> dt.datetime:
        return utc_now() + self.ahead

    def set(self, **by: float) -> None:
        self.ahead += dt.timedelta(**by)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (clock_module, patience, port, runner, store, together, waker):
        monkeypatch.setattr(module, "utc_now", clock.now)
    return clock


@pytest.mark.parametrize("days", [2, -2])
async def test_a_set_clock_neither_shortens_nor_lengthens_the_looks_for_a_message(
    engine: Any, far: Any, clock: Clock, days: int
) -> None:
    far.next("make", LOST)
    far.next("find", lambda: clock.set(days=days))
    (run,) = await engine.accept(await engine.flow(MAKE))
    ended = await engine.end(run.id)
    assert (ended["status"], ended["error"]) == ("succeeded", None)
    assert far.values() == {"message": 1}
    began, again = [at for call, at in far.at if call == "make"]
    assert 0.14 <= again - began < 5
    assert far.count("find") in (3, 4)  # once more when it is noticed


async def test_runs_that_sleep_go_on_when_the_clock_was_set_back(
    engine_at: Callable[..., Any], far: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waker, "LONGEST_SLEEP", 0.05)
    engine = await engine_at(timing=Timing(retry_first=0.2, retry_longest=0.2))
    far.next("make", Transient("busy", "Busy", retry_after=0.2))
    (run,) = await engine.accept(await engine.flow(MAKE))
    await engine.until(run.id, "waiting")
    clock.set(days=-3)
    assert (await engine.end(run.id, within=30))["status"] == "succeeded"


async def test_a_run_does_not_give_up_because_the_clock_was_set_forward(
    engine: Any, far: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waker, "LONGEST_SLEEP", 0.05)
    far.next("make", REVOKED, Transient("busy", "Busy"))
    (run,) = await engine.accept(await engine.flow(MAKE))
    since = (await engine.waits(run.id, "connection:far")).waiting_since
    clock.set(days=30)
    async with asyncio.timeout(30):
        while (await engine.row(run.id)).waiting_since == since:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    engine.broken.clear()
    await engine.runner.wake("connection:far")
    assert (await engine.end(run.id))["status"] == "succeeded"


def test_drifting_is_no_jump_and_a_jump_is_told_once(clock: Clock) -> None:
    watch = ClockWatch()
    clock.set(seconds=3)
    assert watch.jumped() == 0
    clock.set(hours=1)
    assert round(watch.jumped()) == 3603
    assert watch.jumped() == 0
    clock.set(hours=-2)
    assert round(watch.jumped()) == -7200
