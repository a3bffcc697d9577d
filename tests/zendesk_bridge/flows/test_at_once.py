"""Items of a loop that are under way at once: nothing is lost, doubled or mixed up, however they end or wait."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from zendesk_bridge.flows import runner as runner_module
from zendesk_bridge.flows.errors import NeedsInvite, Permanent, Transient, Uncertain
from zendesk_bridge.flows.pauses import Timing

PATIENT = Timing(looks=(0.05, 0.15), retry_first=0.01, retry_longest=0.04, patience=60.0)


def loop(*steps: dict[str, Any], names: list[str], at_once: int = 3) -> tuple[dict[str, Any], ...]:
    return (
        {"key": "given", "set": {"names": names}},
        {"key": "all", "loop": {"each": "given.names", "at_once": at_once, "steps": list(steps)}},
        {"key": "after", "action": "far.mark", "inputs": {"what": "after {{ all.count }}"}},
    )


def make(key: str = "made", what: str = "{{ item }}", **more: Any) -> dict[str, Any]:
    return {"key": key, "action": "far.make", "inputs": {"what": what}, **more}


def statuses(shown: dict[str, Any]) -> dict[str, str]:
    return {step["key"]: step["status"] for step in shown["steps"]}


@pytest.mark.parametrize(("at_once", "most"), [(1, 1), (2, 2), (3, 3), (50, 5)])
async def test_so_many_items_are_under_way_and_no_more(engine: Any, far: Any, at_once: int, most: int) -> None:
    far.always("look", lambda: asyncio.sleep(0.02))
    names = ["a", "b", "c", "d", "e"]
    look = {"key": "seen", "action": "far.look", "inputs": {"what": "{{ item }}"}}
    (run,) = await engine.accept(await engine.flow(*loop(look, names=names, at_once=at_once)))
    shown = await engine.end(run.id)
    assert (shown["status"], far.count("look"), far.most_under_way) == ("succeeded", 5, most)


async def test_an_item_that_waits_does_not_hold_up_the_others(engine: Any, far: Any) -> None:
    far.next("make", NeedsInvite("not_in_channel", "Not there", channel="C1"))
    (run,) = await engine.accept(await engine.flow(*loop(make(), names=["a", "b", "c"], at_once=2)))
    row = await engine.waits(run.id, "invite:C1")
    assert row.error["code"] == "needs_invite"
    assert sorted(far.values()) == ["b", "c"]
    await engine.runner.wake("invite:C1")
    await engine.end(run.id)
    assert far.values() == {"a": 1, "b": 1, "c": 1}


async def test_items_that_wait_for_several_things_go_on_each_with_its_own(engine: Any, far: Any) -> None:
    invited: set[str] = set()

    def meet(channel: str) -> Callable[[], None]:
        def asked() -> None:
            if channel not in invited:
                raise NeedsInvite("not_in_channel", "Not there", channel=channel)

        return asked

    far.next("make", meet("C1"), meet("C2"), *[meet("C1"), meet("C2")] * 5)
    (run,) = await engine.accept(await engine.flow(*loop(make(), names=["a", "b"])))
    row = await engine.waits(run.id, "invite:C1")
    assert 0 < (row.wake_at - row.waiting_since).total_seconds() <= 61  # it looks after the other by itself
    invited.add("C1")
    await engine.runner.wake("invite:C1")
    await engine.waits(run.id, "invite:C2")
    assert sorted(far.values()) == ["a"]
    far.forget_next()
    await engine.runner.wake("invite:C2")
    await engine.end(run.id)
    assert far.values() == {"a": 1, "b": 1}


async def test_an_item_is_not_tried_before_its_time_because_another_wakes_the_run(engine: Any, far: Any) -> None:
    outage = Transient("outage", "Out")
    far.next("make", outage, outage, outage, outage)
    slow = {"attempts": 3, "wait": {"seconds": 0.4}, "backoff": 1}
    quick = {"attempts": 9, "wait": {"seconds": 0.02}, "backoff": 1}
    branch = {
        "key": "way",
        "branch": [
            {
                "when": {"all": [{"variable": "item", "operator": "is", "value": "slow"}]},
                "steps": [make("slowly", retry=slow)],
            }
        ],
        "else": [make("quickly", retry=quick)],
    }
    (run,) = await engine.accept(await engine.flow(*loop(branch, names=["slow", "quick"])))
    shown = await engine.end(run.id)
    attempts = {step["key"]: step["attempts"] for step in shown["steps"]}
    assert (shown["status"], attempts["all[1].slowly"], attempts["all[2].quickly"]) == ("succeeded", 2, 4)


async def test_a_failed_item_is_done_again_and_the_others_are_not(engine: Any, far: Any) -> None:
    far.next("make", None, Permanent("is_archived", "Archived"), None)
    (run,) = await engine.accept(await engine.flow(*loop(make(), names=["a", "b", "c"])))
    shown = await engine.end(run.id)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "is_archived")
    assert statuses(shown)["all[2].made"] == "failed"
    await engine.runner.retry_from(run.id)
    shown = await engine.end(run.id)
    assert (shown["status"], far.values()) == ("succeeded", {"a": 1, "b": 1, "c": 1})


async def test_an_item_can_be_done_again_from_a_step_and_the_others_keep_what_they_did(engine: Any, far: Any) -> None:
    steps = loop(make("first", "{{ item }}1"), make("second", "{{ item }}2"), names=["a", "b"])
    (run,) = await engine.accept(await engine.flow(*steps))
    await engine.end(run.id)
    await engine.runner.retry_from(run.id, "all[1].second")
    shown = await engine.end(run.id)
    assert (shown["status"], far.values()) == ("succeeded", {"a1": 1, "b1": 1, "a2": 2, "b2": 1})
    assert far.marks == {"after 2": 2}


async def test_in_order_what_comes_after_a_step_is_done_again_with_it(engine: Any, far: Any) -> None:
    (run,) = await engine.accept(await engine.flow(*loop(make(), names=["a", "b", "c"], at_once=1)))
    await engine.end(run.id)
    await engine.runner.retry_from(run.id, "all[2].made")
    await engine.end(run.id)
    assert far.values() == {"a": 1, "b": 2, "c": 2}


async def test_a_sending_in_doubt_beside_a_failed_item_is_looked_for_before_it_is_sent_again(
    engine: Any, far: Any
) -> None:
    far.next("make", Permanent("is_archived", "Archived"))
    far.next("make", Uncertain("no_answer", "Lost"), after=True)
    far.hidden_for = 1
    (run,) = await engine.accept(await engine.flow(*loop(make(), names=["a", "b"])))
    shown = await engine.end(run.id)
    assert shown["status"] == "failed"
    assert far.values() == {"b": 1}
    await engine.runner.retry_from(run.id)
    shown = await engine.end(run.id)
    assert (shown["status"], far.values()) == ("succeeded", {"a": 1, "b": 1})


async def test_cancelling_ends_all_items(engine: Any, far: Any) -> None:
    gate = asyncio.Event()
    far.always("make", gate)
    (run,) = await engine.accept(await engine.flow(*loop(make(), names=["a", "b", "c"])))
    await engine.see(lambda: far.under_way == 3)
    await engine.runner.cancel(run.id)
    assert (await engine.shown(run.id))["status"] == "cancelled"
    await engine.see(lambda: far.under_way == 0)
    assert not [task for task in asyncio.all_tasks() if "Walk" in repr(task.get_coro())]


async def test_loops_at_once_nest(engine: Any, far: Any) -> None:
    inner = {"key": "inner", "loop": {"each": "{{ item }}", "at_once": 2, "steps": [make(what="{{ item }}")]}}
    steps = (
        {"key": "given", "set": {"rows": [["a", "b"], ["c"], ["d", "e", "f"]]}},
        {"key": "outer", "loop": {"each": "given.rows", "at_once": 2, "steps": [inner]}},
        {"key": "after", "action": "far.mark", "inputs": {"what": "{{ outer.results[2].inner.count }}"}},
    )
    far.next("make", Transient("outage", "Out"), None, Transient("outage", "Out"))
    (run,) = await engine.accept(await engine.flow(*steps))
    shown = await engine.end(run.id)
    assert (shown["status"], far.marks) == ("succeeded", {"3": 1})
    assert far.values() == dict.fromkeys("abcdef", 1)


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_a_database_and_a_service_refuse_each_item_is_done_once(
    engine_at: Callable[..., Any], far: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(runner_module, "STORAGE_PAUSE", 0.01)
    chance = random.Random(seed)
    engine = await engine_at(timing=Timing(looks=(0.01, 0.02), retry_first=0.005, retry_longest=0.01))
    for call in ("look", "make"):
        for _ in range(20):
            kind = chance.randrange(6)
            if kind == 0:
                far.next(
                    call, lambda: engine.write_fails(chance.randint(1, 3), "put_steps"), after=chance.random() < 0.5
                )
            elif kind == 1:
                far.next(call, Transient("outage", "Out"))
            elif kind == 2:
                far.next(call, Uncertain("no_answer", "Lost"), after=chance.random() < 0.5)
            else:
                far.next(call, None)
    look = {"key": "seen", "action": "far.look", "inputs": {"what": "{{ item }}"}}
    steps = loop(look, make("one", "{{ seen.value }} 1"), make("two", "{{ seen.value }} 2"), names=list("abcdef"))
    (run,) = await engine.accept(await engine.flow(*steps))
    shown = await engine.end(run.id, within=30)
    assert (shown["status"], shown["error"]) == ("succeeded", None)
    assert far.values() == {f"seen {name} {number}": 1 for name in "abcdef" for number in (1, 2)}


async def test_done_again_from_a_step_the_other_items_begin_their_unfinished_steps_anew(engine: Any, far: Any) -> None:
    outage = Transient("outage", "Out")
    far.next("make", None, outage, None)
    retry = {"attempts": 2, "wait": {"seconds": 1}}
    (run,) = await engine.accept(await engine.flow(*loop(make(retry=retry), names=["a", "b", "c"])))
    await engine.waits(run.id, "")
    await engine.runner.cancel(run.id)
    far.next("make", None, outage)
    await engine.runner.retry_from(run.id, "all[1].made")
    await engine.see(lambda: far.count("make") == 5)
    await engine.runner.idle()
    assert (await engine.shown(run.id))["status"] == "waiting", "the one that has failed has a try left"
    assert far.values() == {"a": 2, "c": 1}


async def test_where_an_item_fails_the_loops_inside_the_others_go_no_further(engine: Any, far: Any) -> None:
    far.next("make", Permanent("is_archived", "Archived"))
    far.always("make", lambda: asyncio.sleep(0.02))
    inner = {"key": "inner", "loop": {"each": "{{ item }}", "at_once": 2, "steps": [make()]}}
    given = {"key": "given", "set": {"rows": [["x"], list("abcdefgh")]}}
    outer = {"key": "outer", "loop": {"each": "given.rows", "at_once": 2, "steps": [inner]}}
    (run,) = await engine.accept(await engine.flow(given, outer))
    shown = await engine.end(run.id)
    assert (shown["error"]["code"], far.values()) == ("is_archived", {"a": 1, "b": 1})
    await engine.runner.retry_from(run.id)
    shown = await engine.end(run.id)
    assert (shown["status"], far.values()) == ("succeeded", dict.fromkeys("xabcdefgh", 1))


async def test_the_item_that_met_a_defect_is_the_one_that_says_so(engine: Any, far: Any) -> None:
    gate = asyncio.Event()
    far.next("make", gate, KeyError("internals"), lambda: gate.set())
    (run,) = await engine.accept(await engine.flow(*loop(make(), make("more"), names=["a", "b", "c"])))
    shown = await engine.end(run.id)
    codes = {step["key"]: (step["error"] or {}).get("code") for step in shown["steps"]}
    assert (shown["error"]["code"], codes["all[2].made"]) == ("internal", "internal")


async def test_items_that_were_refused_while_the_process_ends_are_not_in_doubt(
    engine_at: Callable[..., Any], far: Any
) -> None:
    gate, later = asyncio.Event(), asyncio.Event()

    async def refuse() -> None:
        await later.wait()
        raise Transient("outage", "Out")

    engine = await engine_at()
    far.next("look", gate)
    far.next("shout", refuse)
    case = {
        "when": {"all": [{"variable": "item", "operator": "is", "value": "a"}]},
        "steps": [{"key": "seen", "action": "far.look", "inputs": {"what": "it"}}, make()],
    }
    branch = {"key": "way", "branch": [case], "else": [make("shouted", action="far.shout")]}
    (run,) = await engine.accept(await engine.flow(*loop(branch, names=["a", "b"])))
    await engine.see(lambda: far.under_way == 2)
    stopping = asyncio.create_task(engine.runner.stop(5.0))
    await asyncio.sleep(0.02)
    gate.set()
    await asyncio.sleep(0.02)
    later.set()
    await stopping
    await engine.journal.close()
    engine = await engine_at()
    shown = await engine.end(run.id)
    assert (shown["status"], far.values()) == ("succeeded", {"a": 1, "b": 1})


def first_and_others(first: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
    case = {"when": {"all": [{"variable": "index", "operator": "is", "value": 1}]}, "steps": [first]}
    return {"key": "way", "branch": [case], "else": list(others)}


UNINVITED = NeedsInvite("not_in_channel", "Not there", channel="C1")


@pytest.mark.parametrize("waits_for", ["invitation", "look", "limit of a look", "decision"])
async def test_an_item_that_waits_calls_nobody_each_time_that_another_is_tried(
    engine_at: Callable[..., Any], far: Any, waits_for: str
) -> None:
    engine = await engine_at(timing=Timing(looks=(0.5, 0.6), retry_first=0.02, retry_longest=0.02, patience=60.0))
    far.always("mark", Transient("outage", "Out"))
    far.next("make", UNINVITED if waits_for == "invitation" else Uncertain("no_answer", "Lost"))
    if waits_for == "limit of a look":
        far.always("find", Transient("ratelimited", "Slow down", retry_after=60, limit=True))
    if waits_for == "decision":
        far.always("find", Permanent("missing_scope", "It cannot be looked up"))
    way = first_and_others(make(), make("marked", action="far.mark"))
    (run,) = await engine.accept(await engine.flow(*loop(way, names=["a", "b"])))
    await engine.see(lambda: far.count("mark") >= 8)
    assert (far.count("make"), far.count("find")) == (1, waits_for != "invitation")
    far.always("mark", None)
    if waits_for == "invitation":
        await engine.runner.wake("invite:")
    elif waits_for == "decision":
        row = await engine.waits(run.id, "signal:decision")
        await engine.runner.signal(run.id, row.waiting_for.removeprefix("signal:"), {"send": True})
    if waits_for != "limit of a look":
        assert (await engine.end(run.id, within=30))["status"] == "succeeded"
        assert far.values() == {"a": 1}


async def test_an_invitation_that_comes_while_another_item_is_at_work_is_not_missed(engine: Any, far: Any) -> None:
    gate = asyncio.Event()
    far.next("make", UNINVITED)
    far.next("mark", gate, Transient("outage", "Out"))
    way = first_and_others(make(), make("marked", action="far.mark"), make("again", action="far.mark"))
    (run,) = await engine.accept(await engine.flow(*loop(way, names=["a", "b"])))
    await engine.see(lambda: far.calls.count("make") == 1 and far.under_way == 1)
    await engine.runner.wake("invite:C1")
    gate.set()
    assert (await engine.end(run.id, within=30))["status"] == "succeeded"
    assert far.values() == {"a": 1}


async def test_what_an_item_waited_for_is_forgotten_when_its_run_is_cancelled(engine: Any, far: Any) -> None:
    far.next("make", UNINVITED)
    (run,) = await engine.accept(await engine.flow(*loop(make(), names=["a", "b"])))
    await engine.waits(run.id, "invite:C1")
    await engine.runner.cancel(run.id)
    assert (engine.runner._around.at_rest, engine.runner._around.begun) == ({}, {})
    await engine.runner.retry_from(run.id)
    assert (await engine.end(run.id))["status"] == "succeeded"
