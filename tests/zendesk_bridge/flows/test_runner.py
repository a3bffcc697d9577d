"""Runs wait as rows, are woken, cancelled, done again, and stopped in good order."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sample_flows import FLOW, MAKE, READ, REVOKED, UNINVITED, settled

from zendesk_bridge.flows import runner as runner_module
from zendesk_bridge.flows import waker as waker_module
from zendesk_bridge.flows.errors import (
    ConnectorError,
    NotFound,
    Permanent,
    StorageError,
    Transient,
)
from zendesk_bridge.flows.model import utc_now
from zendesk_bridge.flows.pauses import Timing

# Waiting and waking


async def test_a_run_waits_for_its_invitation_and_goes_on_by_itself(engine: Any, far: Any) -> None:
    far.next("make", UNINVITED)
    (run,) = await engine.accept(await engine.flow(MAKE))
    row = await engine.waits(run.id, "invite:C1")
    assert row.error["code"] == "needs_invite"
    assert row.wake_at - utc_now() > dt.timedelta(seconds=50)
    await engine.runner.wake("invite:C2")
    await asyncio.sleep(0.05)
    assert far.count("make") == 1
    await engine.runner.wake("invite:C1")
    shown = await engine.end(run.id)
    assert (shown["status"], shown["error"], far.count("make")) == ("succeeded", None, 2)


async def test_an_invitation_in_the_very_moment_of_suspending_is_not_missed(engine: Any, far: Any) -> None:
    """Woken while the call is under way, and at every step of the loop after it."""
    flow = await engine.flow(MAKE)
    waking: list[asyncio.Task[None]] = []

    async def wake_after(steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        await engine.runner.wake("invite:C1")

    def refuse(steps: int) -> None:
        waking.append(asyncio.create_task(wake_after(steps)))
        raise UNINVITED

    for steps in range(12):
        far.next("make", partial(refuse, steps))
        (run,) = await engine.accept(flow, id=f"event{steps}")
        assert (await engine.end(run.id, within=30))["status"] == "succeeded", steps
        await asyncio.gather(*waking)


async def test_a_wake_is_not_missed_though_the_clock_is_set_back(
    engine: Any, far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def invite() -> None:
        past = utc_now() - dt.timedelta(hours=1)
        monkeypatch.setattr(runner_module, "utc_now", lambda: past)
        await engine.runner.wake("invite:C1")
        raise UNINVITED

    far.next("make", invite)
    (run,) = await engine.accept(await engine.flow(MAKE))
    assert (await engine.end(run.id, within=30))["status"] == "succeeded"


async def test_after_a_restart_every_uninvited_run_tries_again(engine_at: Callable[..., Any], far: Any) -> None:
    engine = await engine_at()
    far.next("make", UNINVITED)
    (run,) = await engine.accept(await engine.flow(MAKE))
    await engine.waits(run.id, "invite:C1")
    await engine.close()
    engine = await engine_at()
    assert (await engine.end(run.id))["status"] == "succeeded"


async def test_an_invitation_that_never_comes_fails_the_run_in_the_end(engine_at: Callable[..., Any], far: Any) -> None:
    engine = await engine_at(timing=Timing(patience=0.1))
    far.always("make", UNINVITED)
    (run,) = await engine.accept(await engine.flow(MAKE))
    shown = await engine.end(run.id)
    assert (shown["status"], shown["error"]["code"], far.count("make")) == ("failed", "needs_invite", 2)


async def test_a_broken_connection_holds_all_runs_of_that_service_without_calling_it(
    engine_at: Callable[..., Any], far: Any
) -> None:
    other = type(far)("other")
    engine = await engine_at(far, other)
    far.next("make", REVOKED)
    flow = await engine.flow({**READ, "action": "other.look"}, MAKE)
    (first,) = await engine.accept(flow, id="first")
    row = await engine.waits(first.id, "connection:far")
    assert row.error == {"code": "needs_connection", "message": "The token was revoked", "hint": "Connect again."}
    for number in range(50):
        await engine.accept(flow, id=f"event{number}")
    await engine.runner.idle()
    assert (far.count("make"), other.count("look")) == (1, 51)  # no stampede; the other service works on
    engine.broken.clear()
    await engine.runner.wake("connection:far")
    for number in range(50):
        assert (await engine.end(f"event{number}:flow"))["status"] == "succeeded"
    assert far.count("make") == 52
    assert len(engine.broke) == 1


async def test_two_thousand_runs_keep_to_the_bound_and_waiting_ones_are_rows_only(
    engine_at: Callable[..., Any], far: Any
) -> None:
    engine = await engine_at()
    flow = await engine.flow(MAKE)
    far.always("make", UNINVITED)
    await asyncio.gather(*(engine.accept(flow, id=f"e{number}") for number in range(2000)))
    await engine.runner.idle()
    assert far.most_under_way <= runner_module.AT_ONCE
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("run ")]
    far.always("make", None)
    await engine.runner.wake("invite:C1")
    await engine.see(lambda: len(far.made) >= 2000)
    await engine.runner.idle()
    counts = await engine.journal.read(_statuses)
    assert counts == {"succeeded": 2000}
    assert far.count("make") == 4000


def _statuses(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(tuple(row) for row in connection.execute("select status, count(*) from runs group by status"))


async def test_many_due_runs_behind_busy_ones_do_not_keep_the_database_busy(
    engine_at: Callable[..., Any], far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "AT_ONCE", 2)
    monkeypatch.setattr(waker_module, "WAKE_AT_ONCE", 5)
    engine = await engine_at()
    flow = await engine.flow(MAKE)
    far.next("make", *[UNINVITED] * 20)
    for number in range(20):
        await engine.accept(flow, id=f"e{number}")
    await engine.runner.idle()
    gate = asyncio.Event()
    far.always("make", gate)
    reads = []
    original = engine.journal.read
    monkeypatch.setattr(engine.journal, "read", lambda work: (reads.append(work), original(work))[1])
    await engine.runner.wake("invite:C1")
    await asyncio.sleep(0.5)
    assert len(reads) < 15
    far.always("make", None)
    gate.set()
    monkeypatch.undo()
    await engine.see(lambda: len(far.made) >= 20)


@pytest.mark.parametrize("jump", [-3600, 3600])
async def test_a_clock_that_jumps_while_runs_sleep_loses_none(
    engine: Any, far: Any, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    monkeypatch.setattr(waker_module, "LONGEST_SLEEP", 0.05)
    far.next("make", Transient("ratelimited", "Slow down", retry_after=0.2))
    (run,) = await engine.accept(await engine.flow(MAKE))
    await engine.until(run.id, "waiting")
    real, offset = utc_now, [float(jump)]
    monkeypatch.setattr(waker_module, "utc_now", lambda: real() + dt.timedelta(seconds=offset[0]))
    if jump > 0:
        await engine.see(lambda: far.count("make") == 2)
    else:
        await asyncio.sleep(0.12)
        assert far.count("make") == 1
    offset[0] = 0  # set right again
    assert (await engine.end(run.id, within=30))["status"] == "succeeded"


async def test_a_run_whose_event_is_gone_fails_and_is_not_taken_up_for_ever(engine: Any, far: Any) -> None:
    far.next("make", UNINVITED)
    (run,) = await engine.accept(await engine.flow(MAKE))
    await engine.waits(run.id, "invite:C1")
    await engine.journal.write(lambda connection: connection.execute("delete from events").rowcount)
    await engine.runner.wake("invite:C1")
    row = await _ended_row(engine, run.id)
    assert (row.status, row.error["code"], far.count("make")) == ("failed", "no_event", 1)


async def test_a_run_whose_row_is_damaged_fails_and_the_others_go_on(engine: Any, far: Any) -> None:
    far.next("make", UNINVITED, UNINVITED)
    flow = await engine.flow(MAKE)
    for name in ("bad", "good"):
        await engine.accept(flow, id=name)
        await engine.waits(f"{name}:flow", "invite:C1")
    damage = "update steps set inputs = '{' where run_id = 'bad:flow'"
    await engine.journal.write(lambda connection: connection.execute(damage).rowcount)
    await engine.runner.wake("invite:C1")
    assert (await engine.end("good:flow"))["status"] == "succeeded"
    assert (await _ended_row(engine, "bad:flow")).error["code"] == "internal"


async def _ended_row(engine: Any, run: str) -> Any:
    async with asyncio.timeout(30):
        while True:
            row = await engine.row(run)
            if row.status.ended:
                return row
            await asyncio.sleep(0.005)


# A history that does not fit


@pytest.mark.parametrize("change", ["order", "extra", "action"])
async def test_a_history_that_does_not_fit_fails_the_run_and_sends_nothing(
    engine_at: Callable[..., Any], far: Any, change: str
) -> None:
    engine = await engine_at()
    far.next("mark", UNINVITED)
    steps = ({"key": "a", "action": "far.look"}, {"key": "b", "action": "far.look"}, {**MAKE, "action": "far.mark"})
    (run,) = await engine.accept(await engine.flow(*steps))
    await engine.waits(run.id, "invite:C1")
    sql = {
        "order": "update steps set key = case key when 'a' then 'b' when 'b' then 'a' else key end",
        "extra": "insert into steps(run_id, seq, key, action, status, attempts, started_at)"
        " select run_id, 3, 'more', action, 'succeeded', 1, started_at from steps where seq = 0",
        "action": "update steps set action = 'far.make' where seq = 1",
    }[change]
    await engine.journal.write(lambda connection: connection.execute(sql).rowcount)
    await engine.close()
    far.calls.clear()
    engine = await engine_at()
    row = await _ended_row(engine, run.id)
    assert (row.status, row.error["code"]) == ("failed", "replay_mismatch")
    assert far.calls == ([] if change != "extra" else ["mark"])


# Cancelling and doing again


async def test_cancelling_ends_a_run_that_waits_runs_or_stands_in_line(
    engine: Any, far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "AT_ONCE", 1)
    flow = await engine.flow(MAKE, {"key": "after", "action": "far.mark"})
    far.next("make", UNINVITED, asyncio.Event())
    for name in ("waiting", "active", "queued"):
        await engine.accept(flow, id=name)
        if name == "waiting":
            await engine.waits("waiting:flow", "invite:C1")
    await engine.see(lambda: far.count("make") >= 2)
    for name in ("queued", "waiting", "active"):
        cancelled = await engine.runner.cancel(f"{name}:flow")
        assert (cancelled.status, cancelled.finished_at is not None) == ("cancelled", True)
        assert (await engine.runner.cancel(f"{name}:flow")).status == "cancelled"  # again, by somebody else
    await engine.runner.wake("invite:C1")
    await asyncio.wait_for(engine.runner.idle(), 30)
    await asyncio.sleep(0.05)
    assert far.calls == ["make", "make"]
    assert [run.id for run in engine.ended_runs] == ["queued:flow", "waiting:flow", "active:flow"]


async def test_what_has_ended_cannot_be_cancelled_and_what_is_not_there_neither(engine: Any) -> None:
    (run,) = await engine.accept(await engine.flow(MAKE))
    await engine.end(run.id)
    with pytest.raises(ConnectorError, match="succeeded already"):
        await engine.runner.cancel(run.id)
    with pytest.raises(NotFound):
        await engine.runner.cancel("nobody:flow")


async def test_cancelling_at_any_moment_leaves_a_run_cancelled_or_done_and_nothing_after(engine: Any, far: Any) -> None:
    flow = await engine.flow(*FLOW)
    for moment in range(30):
        (run,) = await engine.accept(flow, id=f"event{moment}")
        for _ in range(moment):
            await asyncio.sleep(0 if moment < 15 else 0.0005)
        results = await asyncio.gather(
            engine.runner.cancel(run.id), engine.runner.cancel(run.id), return_exceptions=True
        )
        assert {type(each).__name__ for each in results} <= {"Run", "ConnectorError"}
        shown, calls = await engine.shown(run.id), len(far.calls)
        assert shown["status"] in ("cancelled", "succeeded")
        await settled(engine, run.id)
        await asyncio.sleep(0.002)
        assert (await engine.shown(run.id))["status"] == shown["status"]
        assert len(far.calls) == calls


async def test_a_cancellation_that_is_not_stored_leaves_the_run_going_on(
    engine: Any, far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    far.next("mark", gate)
    (run,) = await engine.accept(await engine.flow({**MAKE, "action": "far.mark"}))
    await engine.see(lambda: far.count("mark") >= 1)
    await engine.journal.write(lambda connection: None)
    engine.write_fails(1, "update_run")
    with pytest.raises(StorageError):
        await engine.runner.cancel(run.id)
    assert (await engine.end(run.id))["status"] == "succeeded"


async def test_a_failed_run_is_done_again_from_the_step_that_failed_under_a_new_key(engine: Any, far: Any) -> None:
    far.next("make", Permanent("is_archived", "The channel is archived"))
    (run,) = await engine.accept(await engine.flow(READ, MAKE))
    assert (await engine.end(run.id))["status"] == "failed"
    retried = await engine.runner.retry_from(run.id)
    assert (retried.status, retried.error, retried.retries) == ("queued", None, 1)
    shown = await engine.end(run.id)
    assert (shown["status"], far.calls) == ("succeeded", ["look", "make", "make"])
    await engine.runner.retry_from(run.id, "a")  # all of it, on purpose
    await settled(engine, run.id)
    assert far.calls[3:] == ["look", "make"]
    assert len(set(far.keys)) == 2


async def test_only_what_has_ended_is_done_again(engine: Any, far: Any) -> None:
    far.next("make", UNINVITED)
    (run,) = await engine.accept(await engine.flow(MAKE))
    await engine.waits(run.id, "invite:C1")
    with pytest.raises(ConnectorError, match="waiting"):
        await engine.runner.retry_from(run.id)
    await engine.runner.cancel(run.id)
    with pytest.raises(NotFound, match="no step 'nowhere'"):
        await engine.runner.retry_from(run.id, "nowhere")
    await engine.runner.retry_from(run.id)
    assert (await engine.end(run.id))["status"] == "succeeded"


async def test_doing_again_in_the_very_moment_of_the_end_is_not_forgotten(engine: Any, far: Any) -> None:
    flow = await engine.flow(READ)
    for moment in range(12):
        far.next("look", Permanent("x", "x"))
        (run,) = await engine.accept(flow, id=f"event{moment}")
        async with asyncio.timeout(30):
            while True:
                try:
                    await engine.runner.retry_from(run.id)
                    break
                except ConnectorError:
                    await asyncio.sleep(0)
        assert (await engine.end(run.id, within=30))["status"] == "succeeded", moment


# Stopping


async def test_stopping_lets_the_call_under_way_finish_and_leaves_the_rest_for_the_next_start(
    engine_at: Callable[..., Any], far: Any
) -> None:
    engine = await engine_at()
    gate = asyncio.Event()
    far.next("make", gate)
    flow = await engine.flow(MAKE, {"key": "after", "action": "far.mark"})
    (run,) = await engine.accept(flow)
    await engine.see(lambda: far.count("make") >= 1)
    stopping = asyncio.create_task(engine.runner.stop(5))
    await asyncio.sleep(0.02)
    assert not stopping.done()
    (late,) = await engine.accept(flow, id="late")
    gate.set()
    await stopping
    assert far.calls == ["make"]
    await engine.journal.close()
    engine = await engine_at()
    for each in (run, late):
        assert (await engine.end(each.id))["status"] == "succeeded"
    assert far.values() == {"message": 2}


async def test_a_call_that_outlasts_the_grace_is_broken_off_and_looked_up_later(
    engine_at: Callable[..., Any], far: Any
) -> None:
    engine = await engine_at()
    far.next("make", asyncio.Event(), after=True)
    (run,) = await engine.accept(await engine.flow(MAKE))
    await engine.see(lambda: far.count("make") >= 1)
    await engine.runner.stop(0.02)
    await engine.journal.close()
    engine = await engine_at()
    assert (await engine.end(run.id))["status"] == "succeeded"
    assert (far.calls, far.values()) == (["make", "find"], {"message": 1})


async def test_the_same_runner_goes_on_when_it_is_started_again(engine: Any) -> None:
    await engine.runner.stop()
    (run,) = await engine.accept(await engine.flow(MAKE))
    await asyncio.sleep(0.02)
    assert (await engine.row(run.id)).status == "queued"
    await engine.runner.start()
    assert (await engine.end(run.id))["status"] == "succeeded"


async def test_a_run_that_begins_at_once_is_stored_as_running_and_one_beyond_the_bound_as_queued(
    engine: Any, far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "AT_ONCE", 1)
    gate = asyncio.Event()
    far.next("make", gate)
    flow = await engine.flow(MAKE)
    first, second = await asyncio.gather(*(engine.accept(flow, id=f"e{number}") for number in range(2)))
    stored = [(await engine.shown(run.id))["status"] for (run,) in (first, second)]
    assert stored == ["running", "queued"]
    gate.set()
    assert [(await engine.end(run.id))["status"] for (run,) in (first, second)] == ["succeeded"] * 2
