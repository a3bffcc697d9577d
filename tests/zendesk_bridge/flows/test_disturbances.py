"""Any flow, a crash at any moment, a clock that jumps: the outcome is that of a quiet day, nothing is sent twice."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from zendesk_bridge.flows.errors import Permanent, Transient, Uncertain
from zendesk_bridge.flows.model import utc_now
from zendesk_bridge.flows.pauses import Timing

#: The same examples every time. The fixtures serve all of them: each has names of its own.
same = settings(
    derandomize=True, deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

DAY = 86_400.0
#: The waits are the true ones: here hours pass in no time. Nobody gives up in them.
TIMING = Timing(patience=1e9)
NEVER = 10**9


def limited() -> Exception:
    return Transient("rate_limit", "Too many", retry_after=3, limit=True)


def down() -> Exception:
    return Transient("unreachable", "Nobody there")


def lost() -> Exception:
    return Uncertain("timeout", "No answer")


def refused() -> Exception:
    return Permanent("not_found", "There is no such thing")


#: The call it strikes, what it meets, and whether the work was done before. Made anew each time: errors remember where
#: they were raised.
TROUBLES: dict[str, tuple[str, Callable[[], Exception], bool]] = {
    "limit": ("{call}", limited, False),
    "down": ("{call}", down, False),
    "lost": ("{call}", lost, False),
    "lost after it was done": ("{call}", lost, True),
    "limit of looking": ("find", limited, False),
    "lost while looking": ("find", lost, False),
}


class Clock:
    """The engine's clocks: time passes on both, somebody sets the one that people read. In seconds."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.set_ahead = 0.0

    def now(self) -> dt.datetime:
        return utc_now() + dt.timedelta(seconds=self.passed + self.set_ahead)

    def monotonic(self) -> float:
        return time.monotonic() + self.passed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("store", "port", "runner", "changes", "clock", "waker"):
        monkeypatch.setattr(f"zendesk_bridge.flows.{module}.utc_now", clock.now)
    for module in ("port", "clock"):
        monkeypatch.setattr(f"zendesk_bridge.flows.{module}.time", clock)
    return clock


#: What a flow has of a step; the rest is the far side's.
WRITTEN = ("key", "action", "inputs", "optional", "only_if")


@st.composite
def steps_of_flows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to five steps, each with a far side of its own, and what that far side does."""
    steps: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 5))):
        call = draw(st.sampled_from(["look", "mark", "make", "make"]))
        earlier = "trigger.what" if not steps else f"s{draw(st.integers(0, number - 1))}.value"
        what = draw(st.sampled_from([f"thing {number}", f"{number}: {{{{ {earlier} }}}}", f"{{{{ {earlier} }}}}"]))
        step: dict[str, Any] = {"key": f"s{number}", "action": f"far{number}.{call}", "inputs": {"what": what}}
        step["optional"] = draw(st.booleans())
        if draw(st.integers(0, 2)) == 0:
            operator = draw(st.sampled_from(["is_present", "is_not_present", "contains"]))
            condition = {"variable": earlier, "operator": operator} | ({"value": "e"} if operator == "contains" else {})
            step["only_if"] = {"all": [condition], "else": draw(st.sampled_from(["skip", "stop"]))}
        step["troubles"] = draw(st.lists(st.sampled_from(list(TROUBLES)), max_size=3))
        step["refuses"] = draw(st.integers(0, 3)) == 0
        steps.append(step)
    return steps


jumps_of_clocks = st.lists(
    st.sampled_from([0.0, 0.0, 1.0, -1.0, 90.0, -90.0, 3 * DAY, -3 * DAY]), min_size=1, max_size=20
)
numbers = itertools.count()


class World:
    """Far sides with their troubles, and one run over them through as many processes as it takes."""

    def __init__(self, steps: list[dict[str, Any]], engine_at: Callable[..., Any], far: Any, clock: Clock) -> None:
        self.steps = [{name: value for name, value in step.items() if name in WRITTEN} for step in steps]
        self.version = 1
        self.name = f"w{next(numbers)}"
        self.clock = clock
        self.engine_at = engine_at
        self.cut_type = type(far.power)
        self.fars = [type(far)(f"far{number}") for number in range(len(steps))]
        for each, step in zip(self.fars, steps, strict=True):
            call = step["action"].partition(".")[2]
            for trouble in step["troubles"]:
                where, problem, after = TROUBLES[trouble]
                each.next(where.format(call=call), problem(), after=after)
            if step["refuses"]:
                # Whatever was met before: in the end the service says no, and has done nothing.
                each._next[call].clear()
                each.always(call, refused())

    @property
    def run(self) -> str:
        return f"{self.name}:{self.name}"

    @property
    def calls(self) -> list[list[str]]:
        return [list(far.calls) for far in self.fars]

    async def live(
        self, jumps: list[float], dies_at: int = NEVER, *, only_until_it_waits: bool = False
    ) -> tuple[dict[str, Any] | None, int]:
        """One process: the run as it ended, or None where the process died before; and the moments it had."""
        cut = _jumping(self.cut_type, self.clock, jumps)(dies_at)
        for far in self.fars:
            far.power = cut
        engine = await self.engine_at(*self.fars, timing=TIMING, resume=False)
        work = asyncio.create_task(self._until_it_ends(engine, only_until_it_waits))
        try:
            await engine.see(lambda: cut.off or work.done(), within=30)
            return None if cut.off else await work, cut.seen
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await (engine.kill() if cut.off else engine.close())

    async def _until_it_ends(self, engine: Any, only_until_it_waits: bool) -> dict[str, Any]:
        flow = await engine.flow(*self.steps, key=self.name, version=self.version)
        await engine.journal.write(self._take_version)
        await engine.runner.start()
        await engine.accept(flow, id=self.name)
        while True:
            row = await engine.row(self.run)
            if row.status.ended or (only_until_it_waits and row.status == "waiting"):
                return dict(await engine.shown(self.run))
            if row.status == "waiting":
                self.clock.passed += max((row.wake_at - self.clock.now()).total_seconds(), 0.0)
                engine.runner._waker.poke()
            await asyncio.sleep(0.001)

    def _take_version(self, connection: sqlite3.Connection) -> None:
        connection.execute("update runs set version = ? where id = ?", (self.version, self.run))

    def outcome(self, shown: dict[str, Any]) -> dict[str, Any]:
        """What must be as on a quiet day."""
        told = [{name: step[name] for name in ("key", "status", "inputs", "outputs")} for step in shown["steps"]]
        codes = [(step["error"] or {}).get("code") for step in shown["steps"]]
        made = [far.values() for far in self.fars]
        marked = [set(far.marks) for far in self.fars]
        run = (shown["status"], (shown["error"] or {}).get("code"), shown["note"])
        return {"run": run, "steps": told, "codes": codes, "made": made, "marked": marked}


def _jumping(cut: type[Any], clock: Clock, jumps: list[float]) -> type[Any]:
    moves = itertools.chain(jumps, itertools.repeat(0.0))  # in the end it keeps still, or time would not pass

    class Jumping(cut):  # type: ignore[misc]
        def passes(self) -> bool:
            clock.set_ahead += next(moves)
            return bool(super().passes())

    return Jumping


@same
@given(steps=steps_of_flows(), jumps=jumps_of_clocks, second=st.just(NEVER) | st.integers(1, 12))
async def test_crashes_at_any_moment_and_a_jumping_clock_change_no_outcome(
    engine_at: Callable[..., Any], far: Any, clock: Clock, steps: list[dict[str, Any]], jumps: list[float], second: int
) -> None:
    quiet = World(steps, engine_at, far, clock)
    shown, moments = await quiet.live([0.0])
    assert shown is not None
    wanted = quiet.outcome(shown)
    assert all(set(made.values()) <= {1} for made in wanted["made"]), (quiet.calls, shown)
    for dies_at in range(1, moments + 1):
        world = World(steps, engine_at, far, clock)
        shown, _ = await world.live(jumps, dies_at)
        if shown is None:
            shown, _ = await world.live(jumps, second)
        if shown is None:
            shown, _ = await world.live(jumps)  # it died twice
        assert shown is not None
        assert world.outcome(shown) == wanted, (dies_at, world.calls)
    calls = world.calls
    again, _ = await world.live([0.0])  # a process that finds nothing to do
    assert (again, world.calls) == (shown, calls)


CHANGES = ("renamed", "removed", "preceded", "other action")


@settings(same, max_examples=15)
@given(steps=steps_of_flows(), waits=st.integers(0, 4), change=st.sampled_from(CHANGES), at=st.integers(0, 4))
async def test_nothing_is_sent_where_a_flow_does_not_meet_its_history(
    engine_at: Callable[..., Any], far: Any, clock: Clock, steps: list[dict[str, Any]], waits: int, change: str, at: int
) -> None:
    waiting = steps[waits % len(steps)]
    waiting["troubles"], waiting["refuses"] = ["down", *waiting["troubles"]], False
    world = World(steps, engine_at, far, clock)
    shown, _ = await world.live([0.0], only_until_it_waits=True)
    assert shown is not None
    assume(shown["status"] == "waiting")
    at %= len(shown["steps"])
    changed = world.steps[at]
    if change == "renamed":
        world.steps[at] = {**changed, "key": "other"}
    elif change == "removed" and len(world.steps) > 1:
        del world.steps[at]
    elif change == "preceded":
        world.steps.insert(at, {**changed, "key": "other"})
    else:
        service, _, call = changed["action"].partition(".")
        world.steps[at] = {**changed, "action": f"{service}.{'mark' if call == 'look' else 'look'}"}
    world.version, calls = 2, world.calls
    shown, _ = await world.live([0.0])
    assert shown is not None
    assert (shown["status"], shown["error"]["code"]) == ("failed", "replay_mismatch")
    assert world.calls == calls
