"""Runs for the same thing go one after the other where their flow says so."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from sample_flows import MAKE, READ, UNINVITED

from zendesk_bridge.flows.compiled import CompiledFlow
from zendesk_bridge.flows.errors import Permanent, Transient

ORDERED = {"one_at_a_time": "trigger.what"}


async def _started(engine: Any, flow: CompiledFlow, *whats: str) -> list[str]:
    runs = [await engine.accept(flow, id=f"event{number}", what=what) for number, what in enumerate(whats)]
    return [run.id for (run,) in runs]


async def test_runs_for_one_thing_do_not_overtake_each_other_and_others_are_not_held_up(engine: Any, far: Any) -> None:
    flow = await engine.flow(READ, MAKE, **ORDERED)
    far.next("make", UNINVITED)
    first, second, third, other = await _started(engine, flow, "7", "7", "7", "8")
    await engine.waits(first, "invite:C1")
    assert (await engine.end(other))["status"] == "succeeded"
    row = await engine.waits(second, "turn:")
    assert (row.waiting_for, row.error, row.wake_at) == (f"turn:{first}", None, None)
    assert row.note == f"waits until {first} has ended: one at a time for 7"
    await engine.waits(third, "turn:")
    assert far.count("look") == 2  # who waits for its turn has not even read
    await engine.runner.wake("invite:C1")
    ends = [await engine.end(run) for run in (first, second, third)]
    assert [run["status"] for run in ends] == ["succeeded"] * 3
    for earlier, later in itertools.pairwise(ends):
        assert earlier["finished_at"] <= later["started_at"]


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_the_next_one_goes_on_however_the_one_before_ends(engine: Any, far: Any, end: str) -> None:
    flow = await engine.flow(MAKE, **ORDERED)
    far.next("make", UNINVITED)
    first, second = await _started(engine, flow, "7", "7")
    await engine.waits(second, "turn:")
    if end == "failed":
        far.next("make", Permanent("gone", "It is gone"))
        await engine.runner.wake("invite:C1")
    else:
        await engine.runner.cancel(first)
    assert (await engine.end(second))["status"] == "succeeded"
    assert (await engine.row(first)).status == end


async def test_one_that_is_cancelled_while_it_waits_for_its_turn_is_passed_over(engine: Any, far: Any) -> None:
    flow = await engine.flow(MAKE, **ORDERED)
    far.next("make", UNINVITED)
    _, second, third = await _started(engine, flow, "7", "7", "7")
    await engine.waits(third, "turn:")
    await engine.runner.cancel(second)
    assert (await engine.row(third)).status == "waiting"
    await engine.runner.wake("invite:C1")
    assert (await engine.end(third))["status"] == "succeeded"
    assert (await engine.row(second)).status == "cancelled"


async def test_one_that_is_done_again_waits_for_the_one_that_has_its_turn(engine: Any, far: Any) -> None:
    flow = await engine.flow(MAKE, **ORDERED)
    far.next("make", Permanent("gone", "It is gone"), UNINVITED)
    first, second, third = await _started(engine, flow, "7", "7", "7")
    await engine.end(first)
    await engine.waits(second, "invite:")
    await engine.runner.retry_from(first)
    assert (await engine.waits(first, "turn:")).waiting_for == f"turn:{second}"
    await engine.runner.wake("invite:C1")
    for run in (first, second, third):
        assert (await engine.end(run))["status"] == "succeeded"
    assert (await engine.row(first)).finished_at < (await engine.row(third)).finished_at


async def test_the_order_outlives_a_kill_at_any_moment(engine_at: Callable[..., Any], far: Any) -> None:
    for moment in itertools.count(1):
        engine = await engine_at()
        flow = await engine.flow(MAKE, **ORDERED, key=f"flow{moment}")
        far.next("make", Transient("busy", "Busy"))
        runs = [(await engine.accept(flow, id=f"{moment}-{n}", what=f"{moment}"))[0].id for n in range(3)]
        far.power.at = far.power.seen + moment
        alive = False
        with contextlib.suppress(TimeoutError):
            alive = bool(await engine.end(runs[-1], within=0.3))
        await engine.kill()
        engine = await engine_at()
        ends = [await engine.end(run) for run in runs]
        assert [run["status"] for run in ends] == ["succeeded"] * 3
        for earlier, later in itertools.pairwise(ends):
            assert earlier["finished_at"] <= later["steps"][0]["started_at"]
        await engine.close()
        if alive:
            return  # it was killed at every moment there is


async def test_a_thing_that_is_not_known_orders_nothing(engine: Any, far: Any) -> None:
    flow = await engine.flow(MAKE, one_at_a_time="trigger.other")
    far.next("make", UNINVITED)
    first, second = await _started(engine, flow, "7", "7")
    assert (await engine.end(second))["status"] == "succeeded"
    await engine.waits(first, "invite:")


async def test_two_flows_have_orders_of_their_own(engine: Any, far: Any) -> None:
    one, two = await engine.flow(MAKE, **ORDERED, key="one"), await engine.flow(MAKE, **ORDERED, key="two")
    far.next("make", UNINVITED)
    first, second = await engine.accept(one, two)
    ends = {first.id, second.id}
    waiting = await engine.waits(first.id, "invite:")
    assert waiting.id in ends
    assert (await engine.end(second.id))["status"] == "succeeded"
