import asyncio
from collections import Counter
from contextlib import suppress
from itertools import pairwise

import pytest
from paced_runs import Runs
from virtual_time import run

from zendesk_bridge.flows.context import Context, working_on
from zendesk_bridge.flows.errors import Paced
from zendesk_bridge.flows.limits import PerMinute, Steady, Unlimited
from zendesk_bridge.flows.pacing import Pool, Scheduler, turn


def _runs(pool: Pool) -> Runs:
    runs = Runs(lambda lane: pool.admit(lane, "a call"))
    pool.wake = runs.wake
    return runs


def test_a_thousand_messages_to_fifty_channels_keep_both_limits_and_the_arithmetical_minimum() -> None:
    async def work() -> Runs:
        runs = _runs(Pool("posts", PerMinute(300), lambda channel: Steady(1.0, 2)))
        for number in range(1_000):
            runs.start(f"run {number}", f"C{number % 50}")
        await runs.until(1_000)
        return runs

    runs = run(work())
    times = [at for at, _, _ in runs.left]
    assert max(sum(at <= each < at + 60 for each in times) for at in set(times)) <= 300
    for channel in ("C0", "C49"):
        own = [at for at, _, lane in runs.left if lane == channel]
        assert all(later - earlier > 0.999 for earlier, later in zip(own, own[2:], strict=False))
    assert max(times) < 180 * 1.1
    # In a channel nobody overtakes anybody.
    assert [name for _, name, lane in runs.left if lane == "C7"] == [f"run {n}" for n in range(7, 1_000, 50)]


def test_waiting_costs_no_worker_and_a_busy_channel_holds_up_no_other() -> None:
    async def work() -> Runs:
        runs = _runs(Pool("posts", PerMinute(300), lambda channel: Steady(1.0, 2)))
        for number in range(100):
            runs.start(f"busy {number}", "BUSY")
        await asyncio.sleep(0)
        runs.most_at_once = 0
        for number in range(20):
            runs.start(f"calm {number}", f"C{number}")
        await runs.until(120)
        return runs

    runs = run(work())
    assert [at for at, name, _ in runs.left if name.startswith("calm")] == [0.0] * 20
    assert runs.most_at_once <= 25  # those that wait are rows, except the next one


def test_lanes_are_forgotten_when_nobody_needs_them_and_no_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zendesk_bridge.flows.pacing.IDLE_LANES", 10)

    async def work() -> tuple[Runs, int, int]:
        pool = Pool("posts", Unlimited(), lambda channel: Steady(1.0, 1))
        runs = _runs(pool)
        for number in range(3 * 100):
            runs.start(f"run {number}", f"C{number % 100}")
        await runs.until(3 * 100)
        in_use = len(pool._lanes)
        for number in range(1_000):
            await pool.admit(f"D{number}", "a call")
            await asyncio.sleep(1)
        return runs, in_use, len(pool._lanes)

    runs, in_use, left = run(work())
    for number in range(100):
        own = [at for at, _, lane in runs.left if lane == f"C{number}"]
        assert all(later - earlier > 0.999 for earlier, later in pairwise(own))
    assert in_use == 100
    assert left <= 10


def test_new_runs_and_those_that_go_on_after_a_wait_take_turns() -> None:
    async def work() -> Runs:
        runs = _runs(Pool("account", PerMinute(60)))
        for number in range(60 + 200):
            runs.start(f"old {number}", "waiting")
        await asyncio.sleep(1)
        for number in range(30):
            runs.start(f"new {number}", "new")
        await runs.until(120)
        return runs

    runs = run(work())
    second_minute = Counter(name.split()[0] for at, name, _ in runs.left if 1 < at < 63)
    assert second_minute == {"old": 30, "new": 30}


def test_a_run_finds_its_place_again_although_it_changed_lanes_by_waiting() -> None:
    async def work() -> Runs:
        runs = _runs(Pool("account", PerMinute(1)))
        for number in range(3):
            runs.start(f"run {number}", turn)
        await runs.until(3)
        return runs

    assert [(round(at), name) for at, name, _ in run(work()).left] == [(0, "run 0"), (62, "run 1"), (124, "run 2")]


def test_the_run_whose_event_is_oldest_goes_first_so_that_runs_of_several_calls_end() -> None:
    async def work() -> list[str]:
        pool = Pool("account", PerMinute(1))
        runs = _runs(pool)
        for number, since in enumerate((50.0, 40.0, 10.0, 30.0)):
            runs.start(f"run {number}", "new", since=since)
        await runs.until(4)
        return [name for _, name, _ in runs.left]

    assert run(work()) == ["run 0", "run 2", "run 3", "run 1"]


def test_a_run_that_looks_too_early_keeps_its_place() -> None:
    async def work() -> list[str]:
        runs = _runs(Pool("account", PerMinute(1)))
        for number in range(4):
            runs.start(f"run {number}", "new")
        await asyncio.sleep(10)
        runs.start("run 3", "new")
        await runs.until(4)
        return [name for _, name, _ in runs.left]

    assert run(work()) == ["run 0", "run 1", "run 2", "run 3"]


def test_runs_that_one_call_serves_have_one_turn_and_are_all_woken_by_it() -> None:
    async def work() -> tuple[list[int], list[str]]:
        pool, woken = Pool("history", PerMinute(1)), []
        pool.wake = woken.append
        await pool.admit("new", "a call")
        turns = {"one": ("channel", "C1"), "two": ("channel", "C1"), "three": ("channel", "C2")}
        for name, about in turns.items():
            working_on.set(Context(run=name, step="step"))
            with pytest.raises(Paced):
                await pool.admit("new", "a call", about)
        waiting = [pool.waiting]
        await asyncio.sleep(65)
        waiting.append(pool.waiting)
        first = woken[:]
        await pool.admit("waiting", "a call", turns[first[0]])  # leaves at once: it is their turn
        await asyncio.sleep(65)
        return waiting, [*sorted(first), *woken[len(first) :]]

    assert run(work()) == ([2, 1], ["one", "two", "three"])


def test_a_run_that_does_not_come_back_holds_nobody_up_for_long() -> None:
    async def work() -> list[tuple[float, str, str]]:
        pool = Pool("account", PerMinute(1))
        runs = _runs(pool)
        for number in range(3):
            runs.start(f"run {number}", "new")
        await asyncio.sleep(1)
        wake = pool.wake
        pool.wake = lambda name: wake(name) if name != "run 1" else None
        await runs.until(2)
        return runs.left

    assert [(round(at), name) for at, name, _ in run(work())] == [(0, "run 0"), (124, "run 2")]


def test_calls_that_no_run_makes_wait_where_they_are_unless_it_takes_too_long() -> None:
    async def work() -> tuple[float, int]:
        pool = Pool("account", Unlimited(), lambda lane: Steady(1.0, 1))
        await asyncio.gather(*(pool.admit("service", "a check") for _ in range(5)))
        took = asyncio.get_running_loop().time()
        late = await asyncio.gather(*(pool.admit("service", "a check") for _ in range(20)), return_exceptions=True)
        assert pool.waiting == 0
        return took, sum(isinstance(each, Paced) for each in late)

    took, refused = run(work())
    assert (round(took), refused) == (4, 10)


def test_several_calls_of_one_run_at_once_all_leave() -> None:
    async def work() -> int:
        working_on.set(Context(run="run", step="step"))
        pool = Pool("account", Unlimited(), lambda lane: Steady(4.0, 1))
        return len(await asyncio.gather(*(pool.admit("new", "a call") for _ in range(4))))

    assert run(work()) == 4


def test_who_is_cancelled_while_waiting_leaves_the_place_to_the_next() -> None:
    async def work() -> float:
        pool = Pool("account", Unlimited(), lambda lane: Steady(1.0, 1))
        await pool.admit("new", "a call")
        gone = [asyncio.create_task(_admitted(pool)) for _ in range(3)]
        await asyncio.sleep(0.1)
        last = asyncio.create_task(_admitted(pool))
        await asyncio.sleep(0.1)
        for task in gone:
            task.cancel()
        return await last

    assert round(run(work()), 1) == 1.0


def test_who_waits_in_place_for_longer_than_was_thought_goes_on_as_a_row() -> None:
    async def work() -> tuple[float, int]:
        limit = Steady(1.0, 1)
        pool = Pool("account", limit)
        await pool.admit("new", "a call")
        working_on.set(Context(run="run", step="step"))
        waiting = asyncio.create_task(pool.admit("new", "a call"))
        await asyncio.sleep(0.5)
        limit.refused(0.5, 60)
        with pytest.raises(Paced) as caught:
            await waiting
        return round(caught.value.retry_after or 0, 1), pool.waiting

    assert run(work()) == (58.5, 1)


async def _admitted(pool: Pool) -> float:
    await pool.admit("new", "a call")
    return asyncio.get_running_loop().time()


def test_what_waits_is_told_in_words_and_seconds() -> None:
    async def work() -> str:
        working_on.set(Context(run="run", step="step"))
        pool = Pool("account", PerMinute(1))
        await pool.admit("new", "A call to Zendesk")
        with pytest.raises(Paced) as caught:
            await pool.admit("new", "A call to Zendesk")
        return caught.value.message

    assert run(work()) == "A call to Zendesk waits its turn, about 62 s"


def test_budgets_and_queues_can_be_seen() -> None:
    async def work() -> tuple[dict[str, float], dict[str, int]]:
        scheduler = Scheduler({"posts": Pool("posts", PerMinute(2))})
        pool = scheduler.pool("posts", lambda: Pool("posts", Unlimited()))
        for name in ("a", "b", "c"):
            working_on.set(Context(run=name, step="step"))
            with suppress(Paced):
                await pool.admit("new", "a call")
        seen = scheduler.budgets(), scheduler.waiting()
        scheduler.close()
        return seen

    assert run(work()) == ({"posts": 0}, {"posts": 1})
