"""Reads begin as early as what they need is known, never across an effect; the history tells what ran when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from zendesk_bridge.flows.errors import Permanent

NEVER = {"all": [{"variable": "trigger.what", "operator": "is", "value": "something else"}]}


def read(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "action": "far.look", **more}


async def under_way(engine: Any, far: Any, *steps: dict[str, Any]) -> tuple[Any, asyncio.Event]:
    """A run whose first step waits, and what lets it go on."""
    gate = asyncio.Event()
    far.next("look", gate)
    (run,) = await engine.accept(await engine.flow(*steps))
    await engine.see(lambda: far.count("look") >= 1)
    await asyncio.sleep(0.02)
    return run, gate


async def test_reads_that_need_nothing_of_each_other_run_together(engine: Any, far: Any) -> None:
    run, gate = await under_way(engine, far, read("a"), read("b"), read("c"))
    assert far.calls == ["look"] * 3
    gate.set()
    shown = await engine.end(run.id)
    assert shown["status"] == "succeeded"
    assert [step["outputs"]["value"] for step in shown["steps"]] == ["seen a", "seen b", "seen c"]
    assert len(far.calls) == 3
    a, b, _ = shown["steps"]
    assert a["started_at"] <= b["started_at"] < a["finished_at"], "the history says that b began while a was read"


async def test_a_read_that_needs_another_waits_for_it(engine: Any, far: Any) -> None:
    run, gate = await under_way(
        engine, far, read("a"), read("b", inputs={"what": "{{ a.value }}"}), read("c"), read("d", only_if=NEVER)
    )
    assert far.count("look") == 2, "a and c"
    gate.set()
    shown = await engine.end(run.id)
    assert [step["status"] for step in shown["steps"]] == ["succeeded"] * 3 + ["skipped"]
    assert shown["steps"][1]["outputs"] == {"value": "seen seen a"}
    assert far.count("look") == 3


async def test_no_read_moves_across_an_effect(engine: Any, far: Any) -> None:
    run, gate = await under_way(engine, far, read("a"), {"key": "mark", "action": "far.mark"}, read("b"))
    assert far.calls == ["look"]
    gate.set()
    await engine.end(run.id)
    assert far.calls == ["look", "mark", "look"]


async def test_nothing_is_read_past_a_step_that_may_end_the_run(engine: Any, far: Any) -> None:
    stops = {"all": [{"variable": "a.value", "operator": "is", "value": "nothing"}], "else": "stop"}
    run, gate = await under_way(engine, far, read("a"), read("b", only_if=stops), read("c"))
    assert far.calls == ["look"]
    gate.set()
    shown = await engine.end(run.id)
    assert (shown["status"], far.calls) == ("succeeded", ["look"])


async def test_what_goes_wrong_ahead_of_its_turn_is_told_when_its_turn_comes(engine: Any, far: Any) -> None:
    gate = asyncio.Event()
    far.next("look", gate, Permanent("not_found", "It is not there"))
    (run,) = await engine.accept(await engine.flow(read("a"), read("b", optional=True), read("c")))
    await engine.see(lambda: far.count("look") == 3)
    gate.set()
    shown = await engine.end(run.id)
    assert [step["status"] for step in shown["steps"]] == ["succeeded", "skipped", "succeeded"]
    assert shown["steps"][1]["error"]["code"] == "not_found"
    assert far.count("look") == 3


async def test_a_run_that_fails_leaves_nothing_under_way(engine: Any, far: Any) -> None:
    late = asyncio.Event()
    far.next("look", lambda: asyncio.sleep(0.05), late)
    far.next("look", Permanent("broken", "It is broken"))
    (run,) = await engine.accept(await engine.flow(read("a"), read("c"), read("b")))
    await engine.see(lambda: far.count("look") == 3)
    await engine.runner.cancel(run.id)
    await engine.see(lambda: far.under_way == 0)


async def test_reads_of_a_broken_connection_wait_for_their_turn(engine: Any, far: Any) -> None:
    run, gate = await under_way(engine, far, read("a"))
    engine.broken.add("far")
    gate.set()
    assert (await engine.end(run.id))["status"] == "succeeded"


async def test_after_a_crash_what_is_recorded_is_kept_and_the_rest_read_anew(
    engine_at: Callable[..., Any], far: Any
) -> None:
    engine = await engine_at()
    gate = asyncio.Event()
    run, first = await under_way(engine, far, read("a"), read("b"), {"key": "mark", "action": "far.mark"})
    far.next("mark", gate)
    first.set()
    await engine.see(lambda: far.count("mark") == 1)
    await asyncio.sleep(0.6)  # reads are recorded within half a second
    await engine.kill()
    engine = await engine_at()
    shown = await engine.end(run.id)
    assert far.calls == ["look", "look", "mark", "mark"]
    assert [step["status"] for step in shown["steps"]] == ["succeeded"] * 3


async def test_a_run_that_takes_long_is_shown_as_running_with_what_it_has_read(engine: Any, far: Any) -> None:
    gate = asyncio.Event()
    far.next("mark", gate)
    (run,) = await engine.accept(await engine.flow(read("a"), {"key": "mark", "action": "far.mark"}))
    await engine.see(lambda: far.count("mark") == 1)
    await asyncio.sleep(0.7)
    shown = await engine.shown(run.id)
    assert shown["status"] == "running"
    assert [step["key"] for step in shown["steps"]] == ["a"]
    gate.set()
    assert (await engine.end(run.id))["status"] == "succeeded"


async def test_nothing_begins_after_a_run_has_left(engine_at: Callable[..., Any], far: Any) -> None:
    other = type(far)("other")
    engine = await engine_at(far, other)
    engine.broken.add("far")
    (run,) = await engine.accept(await engine.flow(read("a"), {"key": "b", "action": "other.look"}))
    await engine.waits(run.id, "connection:")
    await asyncio.sleep(0.05)
    assert other.calls == []
