"""Events are accepted once, and after any crash everything is done once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_flows import FLOW, MAKE

from zendesk_bridge.flows import recording, store
from zendesk_bridge.flows import runner as runner_module
from zendesk_bridge.flows.errors import Permanent, StorageError
from zendesk_bridge.flows.pauses import Timing

# Accepting


async def test_an_event_starts_each_of_its_flows_once_however_often_it_is_delivered(engine: Any, far: Any) -> None:
    flows = [await engine.flow(MAKE, key="left"), await engine.flow(MAKE, key="right")]
    given = await asyncio.gather(*(engine.accept(*flows, id="01HX") for _ in range(20)))
    assert sorted(run.id for runs in given for run in runs) == ["01HX:left", "01HX:right"]
    await engine.end("01HX:left")
    await engine.end("01HX:right")
    assert await engine.accept(*flows, id="01HX") == []
    assert far.values() == {"message": 2}


async def test_an_event_and_its_runs_are_stored_together_or_not_at_all(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = await engine.flow(MAKE)
    engine.write_fails(1, "insert_run")
    with pytest.raises(StorageError):
        await engine.accept(flow)
    assert await engine.journal.read(lambda connection: store.select_event(connection, "event")) is None
    (run,) = await engine.accept(flow)  # Zendesk delivers it again
    assert (await engine.end(run.id))["status"] == "succeeded"


async def test_a_burst_of_events_takes_few_commits_to_accept(engine_at: Callable[..., Any]) -> None:
    engine = await engine_at(resume=False)
    engine.runner._stopping = True  # accepts only
    flow = await engine.flow(MAKE)
    before = engine.journal.commits
    await asyncio.gather(*(engine.accept(flow, id=f"e{number}") for number in range(200)))
    assert engine.journal.commits - before <= 10


async def test_an_event_is_worked_on_even_if_who_brought_it_hangs_up(engine: Any) -> None:
    flow = await engine.flow(MAKE)
    request = asyncio.create_task(engine.accept(flow))
    await asyncio.sleep(0)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await asyncio.sleep(0.1)
    assert (await engine.end("event:flow"))["status"] == "succeeded"


# Crashes


@pytest.mark.parametrize("stop", [False, True])
async def test_a_crash_at_any_moment_leaves_every_effect_done_once(
    database: Path, engine_at: Callable[..., Any], far: Any, stop: bool
) -> None:
    """Dies after each write and around each call of the far side, one after the other."""
    ends = {"key": "gone", "action": "far.look", "only_if": {"all": [_never()], "else": "stop"}}
    steps = (*FLOW[:3], ends, *FLOW[3:]) if stop else FLOW
    made = {"first seen one": 1} if stop else {"first seen one": 1, "second seen two": 1}
    timing = Timing(looks=(0.01, 0.02), retry_first=0.01)
    at = 0
    while True:
        at += 1
        far.made.clear()
        far.calls.clear()
        far.marks.clear()
        far.power = type(far.power)(at)
        run = f"event{at}:flow"
        if await _until_it_dies(await engine_at(timing=timing, resume=False), steps, f"event{at}"):
            break
        engine = await engine_at(timing=timing, resume=False)
        shown = await _accept_and_end(engine, steps, f"event{at}")
        assert shown["status"] == "succeeded", (at, shown)
        assert far.values() == made, (at, far.calls)
        keys = [step["key"] for step in steps]
        assert [step["key"] for step in shown["steps"]] == keys[: keys.index("gone") + 1 if stop else None]
        assert {step["status"] for step in shown["steps"]} <= {"succeeded", "skipped"}
        assert shown["note"] is None or stop
        assert far.marks == ({} if stop else {"sign": far.marks.get("sign")})
        await engine.close()
        assert (await _once_more(engine_at, run))["status"] == "succeeded"
        assert far.values() == made
    assert at > (9 if stop else 13), "moments; some writes share one, as they happen to meet"


def _make(key: str, what: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "action": "far.make", "inputs": {"what": what}, **more}


_SECOND = {"all": [{"variable": "index", "operator": "is", "value": 2}]}
_INNER = {"each": "given.inner", "at_once": 2, "steps": [_make("both", "{{ item }} in b")]}
_AT_ONCE = (
    {"key": "given", "set": {"names": ["a", "b", "c"], "inner": ["x", "y"]}},
    {
        "key": "all",
        "loop": {
            "each": "given.names",
            "at_once": 2,
            "steps": [
                {"key": "seen", "action": "far.look", "inputs": {"what": "{{ item }}"}},
                {
                    "key": "way",
                    "branch": [{"when": _SECOND, "steps": [{"key": "inner", "loop": _INNER}]}],
                    "else": [_make("single", "{{ seen.value }}")],
                },
                {"key": "wrong", "action": "far.look", "on_error": [_make("instead", "instead of {{ item }}")]},
            ],
        },
    },
    _make("after", "after {{ all.count }}"),
)


async def test_a_crash_at_any_moment_among_items_at_once_leaves_every_effect_done_once(
    engine_at: Callable[..., Any], far: Any
) -> None:
    """Loops and branches inside the items, and steps that are done about an error."""
    made = ["seen a", "x in b", "y in b", "seen c", *(f"instead of {name}" for name in "abc"), "after 3"]
    timing = Timing(looks=(0.01, 0.02), retry_first=0.01)
    at = 0
    while True:
        at += 1
        far.made.clear()
        far.power = type(far.power)(at)
        if await _until_it_dies(await engine_at(timing=timing, resume=False), _AT_ONCE, f"event{at}"):
            break
        engine = await engine_at(timing=timing, resume=False)
        shown = await _accept_and_end(engine, _AT_ONCE, f"event{at}")
        assert (shown["status"], shown["error"]) == ("succeeded", None), at
        assert far.values() == dict.fromkeys(made, 1), at
        await engine.close()
    assert at > 25


def _never() -> dict[str, Any]:
    return {"variable": "two.value", "operator": "is", "value": "something else"}


async def _until_it_dies(engine: Any, steps: Any, event: str) -> bool:
    """Whether the run ended before the power went off."""
    done = asyncio.create_task(_accept_and_end(engine, steps, event))
    await engine.see(lambda: engine.journal.power.off or done.done())
    survived = done.done()
    done.cancel()
    await asyncio.gather(done, return_exceptions=True)
    await engine.kill()
    return survived


async def _accept_and_end(engine: Any, steps: Any, event: str) -> dict[str, Any]:
    await engine.runner.start()
    await engine.accept(await engine.flow(*steps), id=event)
    return dict(await engine.end(f"{event}:flow"))


async def _once_more(engine_at: Callable[..., Any], run: str) -> dict[str, Any]:
    engine = await engine_at()
    await engine.runner.idle()
    shown = await engine.shown(run)
    await engine.close()
    return dict(shown)


async def test_several_crashes_in_a_row_change_nothing(engine_at: Callable[..., Any], far: Any) -> None:
    chance = random.Random(4021)
    timing = Timing(looks=(0.01, 0.02), retry_first=0.01)
    for number in range(15):
        far.made.clear()
        for _ in range(3):
            far.power = type(far.power)(chance.randint(1, 22))
            await _until_it_dies(await engine_at(timing=timing, resume=False), FLOW, f"event{number}")
        engine = await engine_at(timing=timing, resume=False)
        shown = await _accept_and_end(engine, FLOW, f"event{number}")
        await engine.close()
        assert (shown["status"], len(shown["steps"])) == ("succeeded", 5)
        assert far.values() == {"first seen one": 1, "second seen two": 1}


async def test_what_is_recorded_is_not_read_again(engine_at: Callable[..., Any], far: Any) -> None:
    engine = await engine_at()
    gate = asyncio.Event()
    far.next("mark", gate)
    (run,) = await engine.accept(await engine.flow(*FLOW))
    await engine.see(lambda: far.count("mark") >= 1)
    await asyncio.sleep(0)  # what ended is recorded with the loop's next turn
    await engine.journal.write(lambda connection: None)
    await engine.kill()
    engine = await engine_at()
    shown = await engine.end(run.id)
    assert far.calls == ["look", "make", "look", "make", "mark", "mark"]
    assert [step["attempts"] for step in shown["steps"]] == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_a_database_that_fails_for_a_while_loses_and_doubles_nothing(
    engine: Any, far: Any, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    monkeypatch.setattr(runner_module, "STORAGE_PAUSE", 0.02)
    flow = await engine.flow(*FLOW)
    far.next("mark", lambda: engine.write_fails(failures, "put_steps"))
    (run,) = await engine.accept(flow)
    shown = await engine.end(run.id)
    assert [step["status"] for step in shown["steps"]] == ["succeeded"] * 5
    assert far.values() == {"first seen one": 1, "second seen two": 1}


async def test_a_run_never_succeeds_in_the_history_with_a_step_that_has_not(
    engine: Any, far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "STORAGE_PAUSE", 0.02)
    flow = await engine.flow(MAKE)
    far.next("make", lambda: engine.write_fails(1, "put_steps"), after=True)
    (run,) = await engine.accept(flow)
    shown = await engine.end(run.id)
    assert [shown["status"], shown["steps"][0]["status"]] == ["succeeded", "succeeded"]
    assert far.values() == {"message": 1}


@pytest.mark.parametrize("within", [0.0, 0.5])
@pytest.mark.parametrize("read", [1, 2, 3])
@pytest.mark.parametrize("failures", [1, 2, 4])
async def test_a_write_that_fails_leaves_no_hole_in_the_record_of_a_run(
    engine_at: Callable[..., Any], far: Any, monkeypatch: pytest.MonkeyPatch, read: int, failures: int, within: float
) -> None:
    monkeypatch.setattr(runner_module, "STORAGE_PAUSE", 0.02)
    monkeypatch.setattr(recording, "READS_RECORDED_WITHIN", within)
    engine = await engine_at()
    steps = [{"key": f"read{number}", "action": "far.look"} for number in range(3)]
    flow = await engine.flow(*steps, MAKE)
    for number in range(1, 4):
        far.next("look", (lambda: engine.write_fails(failures, "put_steps")) if number == read else None)
    (run,) = await engine.accept(flow)
    shown = await engine.end(run.id)
    assert (shown["status"], shown["error"]) == ("succeeded", None)
    assert [step["key"] for step in shown["steps"]] == ["read0", "read1", "read2", "message"]
    assert far.values() == {"message": 1}


@pytest.mark.parametrize("after", ["make", "mark", "look"])
async def test_a_stop_in_good_order_while_something_is_made_leaves_it_known(
    engine_at: Callable[..., Any], far: Any, after: str
) -> None:
    engine = await engine_at()
    gate = asyncio.Event()
    far.next("make", gate)
    far.always("find", Permanent("missing_scope", "It cannot be looked up"))
    first = {"key": "a", "action": "far.make", "in_doubt": "repeat"}
    (run,) = await engine.accept(await engine.flow(first, {"key": "b", "action": f"far.{after}"}))
    await engine.see(lambda: far.count("make") == 1)
    stopping = asyncio.create_task(engine.runner.stop(5.0))
    await asyncio.sleep(0.02)
    gate.set()
    await stopping
    await engine.journal.close()
    engine = await engine_at()
    shown = await engine.end(run.id)
    assert [step["status"] for step in shown["steps"]] == ["succeeded", "succeeded"]
    assert far.values()["a"] == 1
    assert far.count("find") == 0


async def test_what_was_made_is_stored_before_what_came_after_it_although_a_write_failed(
    engine_at: Callable[..., Any], far: Any
) -> None:
    engine = await engine_at()
    original, left = store.put_steps, [1]

    def put(connection: sqlite3.Connection, rows: Any, **options: Any) -> None:
        if left[0] and any(row[2] == "a" and row[4] == "succeeded" for row in rows):
            left[0] = 0
            raise sqlite3.OperationalError("database or disk is full")
        original(connection, rows, **options)

    engine.patch.setattr(store, "put_steps", put)
    gate = asyncio.Event()
    far.next("look", gate)
    far.next("mark", lambda: asyncio.sleep(0.05))
    steps = [{"key": key, "action": f"far.{action}"} for key, action in (("a", "make"), ("b", "mark"), ("c", "look"))]
    (run,) = await engine.accept(await engine.flow(*steps))
    await engine.see(lambda: far.count("look") == 1)
    await asyncio.sleep(0.1)
    shown = await engine.shown(run.id)
    assert [step["status"] for step in shown["steps"]] == ["succeeded", "succeeded"]
    gate.set()
    assert (await engine.end(run.id))["status"] == "succeeded"
    assert far.values() == {"a": 1}
