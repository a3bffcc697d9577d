"""A step is done once: what happens when the answer is lost, the service refuses, or nobody can tell."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from zendesk_bridge.flows import patience, store
from zendesk_bridge.flows.errors import Credentials, FlowError, NeedsInvite, Permanent, Transient, Uncertain
from zendesk_bridge.flows.model import StepRun, StepStatus, utc_now
from zendesk_bridge.flows.patience import Patience
from zendesk_bridge.flows.pauses import Suspended, Timing
from zendesk_bridge.flows.port import RunPort
from zendesk_bridge.flows.surroundings import Surroundings

LOST = Uncertain("timeout", "The far side did not answer in time")
BUSY = Transient("unreachable", "The far side cannot be reached")
GONE = Permanent("is_archived", "The channel is archived")

MAKE = {"key": "message", "action": "far.make"}


def make(**more: Any) -> dict[str, Any]:
    return {**MAKE, **more}


async def started(engine: Any, *steps: dict[str, Any]) -> str:
    (run,) = await engine.accept(await engine.flow(*(steps or (MAKE,))))
    return str(run.id)


# An effect whose answer was lost


async def test_an_effect_whose_answer_was_lost_is_found_at_once_and_not_repeated(engine: Any, far: Any) -> None:
    far.next("make", LOST, after=True)
    shown = await engine.end(await started(engine))
    assert shown["status"] == "succeeded"
    assert far.calls == ["make", "find"]
    assert far.values() == {"message": 1}
    assert shown["steps"][0]["outputs"] == {"value": "message"}


@pytest.mark.parametrize("hidden", [1, 2])
async def test_an_effect_that_shows_late_is_found_by_a_later_look(engine: Any, far: Any, hidden: int) -> None:
    far.next("make", LOST, after=True)
    far.hidden_for = hidden
    shown = await engine.end(await started(engine))
    assert shown["status"] == "succeeded"
    assert far.calls == ["make", *["find"] * (hidden + 1)]
    assert far.values() == {"message": 1}


async def test_an_effect_that_never_shows_is_sent_again_once_and_after_the_third_look(engine: Any, far: Any) -> None:
    far.next("make", LOST)
    run = await started(engine)
    waiting = await engine.until(run, "waiting")
    assert (waiting["error"], waiting["steps"][0]["status"]) == (None, "waiting")
    shown = await engine.end(run)
    assert shown["status"] == "succeeded"
    assert far.calls == ["make", "find", "find", "find", "make"]
    assert far.values() == {"message": 1}
    at = [moment for _, moment in far.at]
    assert at[2] - at[0] > 0.03  # both counted from when it was begun, which is before the call
    assert at[3] - at[0] > 0.13


async def test_a_look_counts_from_when_it_was_asked(engine: Any, far: Any) -> None:
    """A look that takes long has seen the far side as it was at its beginning."""
    far.next("make", LOST)
    far.next("find", lambda: asyncio.sleep(0.2))
    await engine.end(await started(engine))
    assert far.calls == ["make", "find", "find", "make"]  # the second was asked late enough to be the last


async def test_every_sending_of_an_effect_carries_the_same_key(engine: Any, far: Any) -> None:
    far.next("make", LOST)
    far.next("make", LOST, after=True)
    await engine.end(await started(engine))
    assert far.count("make") == 2
    assert far.values() == {"message": 1}
    assert len(set(far.keys)) == 1


async def test_looks_go_on_after_a_restart(engine_at: Callable[..., Any], far: Any) -> None:
    engine = await engine_at(timing=Timing(looks=(0.3, 0.5)))
    far.next("make", LOST, after=True)
    far.hidden_for = 2
    run = await started(engine)
    await engine.until(run, "waiting")
    await engine.close()
    assert far.calls == ["make", "find"]
    engine = await engine_at(timing=Timing(looks=(0.3, 0.5)))
    shown = await engine.end(run)
    assert (shown["status"], far.calls) == ("succeeded", ["make", "find", "find", "find"])
    assert far.values() == {"message": 1}


async def test_an_effect_that_always_ends_unclear_is_given_up_after_the_patience(
    engine_at: Callable[..., Any], far: Any
) -> None:
    engine = await engine_at(timing=Timing(looks=(0.02, 0.04), retry_first=0.01, retry_longest=0.02, patience=0.3))
    far.always("make", LOST)
    shown = await engine.end(await started(engine))
    assert shown["status"] == "failed"
    assert "Gave up" in shown["error"]["message"]
    assert 1 < far.count("make") < 12  # every sending waits for its looks


async def test_a_refused_effect_is_simply_sent_later(engine: Any, far: Any) -> None:
    far.next("make", BUSY, BUSY)
    shown = await engine.end(await started(engine))
    assert far.calls == ["make", "make", "make"]  # nothing happened, nothing is looked for
    assert shown["steps"][0]["attempts"] == 3


# Looks that fail


async def test_a_look_that_is_refused_is_repeated_and_nothing_is_sent_meanwhile(engine: Any, far: Any) -> None:
    far.next("make", LOST, after=True)
    far.next("find", BUSY, LOST, BUSY)
    run = await started(engine)
    shown = await engine.end(run)
    assert far.calls == ["make", "find", "find", "find", "find"]
    assert (shown["status"], far.values()) == ("succeeded", {"message": 1})


async def test_a_look_meeting_a_broken_connection_waits_until_it_is_mended(engine: Any, far: Any) -> None:
    far.next("make", LOST, after=True)
    far.next("find", Credentials("token_revoked", "The token was revoked", service="far"))
    run = await started(engine)
    row = await engine.waits(run, "connection:far")
    assert row.error is not None
    assert row.error["code"] == "needs_connection"
    engine.broken.clear()
    await engine.runner.wake("connection:far")
    shown = await engine.end(run)
    assert (shown["status"], far.values()) == ("succeeded", {"message": 1})


@pytest.mark.parametrize("action", ["far.make", "far.shout"])
async def test_where_nobody_can_look_the_policy_repeat_sends_again(engine: Any, far: Any, action: str) -> None:
    far.next(action[4:], LOST)
    far.always("find", GONE)
    shown = await engine.end(await started(engine, make(action=action, in_doubt="repeat")))
    assert (shown["status"], far.values()) == ("succeeded", {"message": 1})
    assert far.count(action[4:]) == 2


async def test_where_nobody_can_look_the_policy_skip_goes_on_without(engine: Any, far: Any) -> None:
    far.next("make", LOST)
    far.always("find", GONE)
    shown = await engine.end(await started(engine, make(in_doubt="skip"), {"key": "after", "action": "far.look"}))
    assert shown["status"] == "succeeded"
    assert [step["status"] for step in shown["steps"]] == ["skipped", "succeeded"]
    assert shown["steps"][0]["error"]["code"] == "is_archived"
    assert far.count("make") == 1


@pytest.mark.parametrize("problem", [GONE, NeedsInvite("not_in_channel", "Not in it", channel="C1")])
async def test_where_nobody_can_look_a_person_is_asked_and_nothing_is_sent(
    engine: Any, far: Any, problem: Exception
) -> None:
    far.next("make", LOST)
    far.always("find", problem)
    run = await started(engine)
    row = await engine.waits(run, "signal:decision")
    shown = await engine.shown(run)
    assert (shown["status"], shown["error"]["code"]) == ("waiting", "in_doubt")
    assert shown["error"]["hint"]
    calls = len(far.calls)
    await asyncio.sleep(0.25)
    assert len(far.calls) == calls
    await engine.runner.signal(run, row.waiting_for.removeprefix("signal:"), {"send": True})
    shown = await engine.end(run)
    assert (shown["status"], far.values()) == ("succeeded", {"message": 1})


async def test_a_person_who_says_skip_is_obeyed_even_if_looking_works_again(engine: Any, far: Any) -> None:
    far.next("make", LOST)
    far.always("find", GONE)
    run = await started(engine)
    row = await engine.waits(run, "signal:decision")
    far.always("find", None)
    await engine.runner.signal(run, row.waiting_for.removeprefix("signal:"), {"send": False})
    shown = await engine.end(run)
    assert [step["status"] for step in shown["steps"]] == ["skipped"]
    assert far.count("make") == 1


async def test_a_person_who_says_send_does_not_double_what_a_look_finds_by_now(engine: Any, far: Any) -> None:
    far.next("make", LOST, after=True)
    far.next("find", GONE)
    run = await started(engine)
    row = await engine.waits(run, "signal:decision")
    await engine.runner.signal(run, row.waiting_for.removeprefix("signal:"), {"send": True})
    shown = await engine.end(run)
    assert (shown["status"], far.values()) == ("succeeded", {"message": 1})


async def test_a_decision_is_for_one_sending_only(engine: Any, far: Any) -> None:
    far.next("make", LOST, LOST)
    far.always("find", GONE)
    run = await started(engine)
    first = await engine.waits(run, "signal:decision")
    await engine.runner.signal(run, first.waiting_for.removeprefix("signal:"), {"send": True})
    await engine.see(lambda: far.count("make") == 2)
    await engine.runner.idle()
    second = await engine.waits(run, "signal:decision")
    assert second.waiting_for != first.waiting_for
    await engine.runner.signal(run, second.waiting_for.removeprefix("signal:"), {"send": True})
    assert (await engine.end(run))["status"] == "succeeded"
    assert far.count("make") == 3


async def test_no_combination_of_failures_makes_a_hot_loop(engine_at: Callable[..., Any], far: Any) -> None:
    refusal = Transient("x", "x", retry_after=0, limit=True)
    cases = list(product([BUSY, LOST, refusal, None], [BUSY, LOST, refusal, GONE, None], ["repeat", "skip", "ask"]))
    fars = [type(far)(f"far{number}") for number in range(len(cases))]
    timing = Timing(looks=(), retry_first=0.1, retry_longest=0.1, patience=5)
    engine = await engine_at(*fars, timing=timing)
    began = time.monotonic()
    for (sending, looking, policy), each in zip(cases, fars, strict=True):
        each.always("make", sending)
        each.always("find", looking)
        step = make(action=f"{each.service}.make", in_doubt=policy)
        await engine.accept(await engine.flow(step, key=each.service))
    await asyncio.sleep(0.6)
    took = time.monotonic() - began
    calls = {case[2:] + case[:2]: len(each.calls) for case, each in zip(cases, fars, strict=True)}
    assert max(calls.values()) <= 2 * (1 + took / 0.08)  # a call and a look, the next not before four fifths of 0.1 s
    assert min(calls.values()) >= 1


# Waiting for the service


async def test_retries_after_an_outage_wait_longer_and_longer_up_to_a_bound(
    engine: Any, far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    original = Patience.wait

    def noting(self: Patience, step: StepRun, name: Any, error: Any, seconds: float | None = None) -> Any:
        waits.append(seconds or 0)
        original(self, step, name, error, seconds)

    monkeypatch.setattr(Patience, "wait", noting)
    monkeypatch.setattr(patience.random, "uniform", lambda low, high: 1.0)
    far.next("make", *[BUSY] * 5)
    await engine.end(await started(engine))
    assert waits == [0.01, 0.02, 0.04, 0.04, 0.04]


async def test_a_service_that_names_its_wait_is_obeyed_and_the_run_says_limit(engine: Any, far: Any) -> None:
    far.next("look", Transient("ratelimited", "Slow down", retry_after=0.3, limit=True))
    run = await started(engine, {"key": "a", "action": "far.look"})
    shown = await engine.until(run, "waiting")
    assert shown["error"] == {"code": "limit", "message": "Slow down", "hint": ""}
    await engine.end(run)
    assert far.at[1][1] - far.at[0][1] >= 0.29


async def test_patience_ends_and_the_reason_is_in_the_history(engine_at: Callable[..., Any], far: Any) -> None:
    engine = await engine_at(timing=Timing(retry_first=0.01, retry_longest=0.02, patience=0.1))
    far.always("look", Transient("ratelimited", "Slow down", limit=True, hint="Wait."))
    shown = await engine.end(await started(engine, {"key": "a", "action": "far.look"}))
    assert shown["status"] == "failed"
    assert shown["error"] == {"code": "limit", "message": "Gave up after waiting too long: Slow down", "hint": "Wait."}
    assert shown["steps"][0]["status"] == "failed"


async def test_each_step_has_its_own_patience(engine_at: Callable[..., Any], far: Any) -> None:
    engine = await engine_at(timing=Timing(retry_first=0.01, retry_longest=0.02, patience=0.15))
    far.always("mark", BUSY)
    far.next("look", BUSY)
    shown = await engine.end(
        await started(engine, {"key": "a", "action": "far.mark", "optional": True}, {"key": "b", "action": "far.look"})
    )
    assert [step["status"] for step in shown["steps"]] == ["skipped", "succeeded"]


async def test_what_will_never_work_fails_the_run_with_its_hint(engine: Any, far: Any) -> None:
    far.next("make", Permanent("users_not_found", "Slack knows nobody by that address", hint="Check the address."))
    shown = await engine.end(await started(engine))
    assert (shown["status"], far.count("make")) == ("failed", 1)
    expected = {"code": "users_not_found", "message": "Slack knows nobody by that address"}
    assert shown["error"] == shown["steps"][0]["error"] == {**expected, "hint": "Check the address."}


async def test_an_answer_beyond_a_megabyte_fails_and_the_effect_is_not_repeated(
    engine_at: Callable[..., Any], far: Any
) -> None:
    engine = await engine_at()
    flow = await engine.flow(make(inputs={"what": "x" * (1024 * 1024 + 1)}))
    (run,) = await engine.accept(flow)
    shown = await engine.end(run.id)
    assert shown["error"]["code"] == "output_too_large"
    assert shown["steps"][0]["outputs"] == {}
    await engine.close()
    engine = await engine_at()
    await engine.runner.idle()
    assert far.count("make") == 1


async def test_a_defect_of_an_action_ends_the_run_and_its_step(engine: Any, far: Any) -> None:
    far.next("look", KeyError("internals"))
    shown = await engine.end(await started(engine, {"key": "a", "action": "far.look"}))
    assert shown["error"]["code"] == "internal"
    assert shown["steps"][0]["status"] == "failed"
    assert "internals" not in str(shown)


async def test_text_that_is_no_proper_unicode_is_stored_all_the_same(engine: Any, far: Any) -> None:
    given = {"subject": "half of a pair: \ud83d", "body": "ä"}
    text = store.to_json(given)
    stored = await engine.journal.read(lambda connection: connection.execute("select ?", (text,)).fetchone()[0])
    assert json.loads(stored) == given
    assert store.to_json({"body": "ä"}) == '{"body":"ä"}'  # for people who look into the file


# Sleeping and signals, through the port alone


def port_of(engine: Any, run: Any, steps: list[StepRun]) -> RunPort:
    around = Surroundings(
        journal=engine.journal,
        catalog=engine.catalog,
        timing=Timing(patience=0.2),
        is_broken=lambda service: False,
        broke=lambda problem: None,
        stopping=lambda: False,
    )
    return RunPort(run, steps, around)


async def test_a_sleep_suspends_the_run_until_its_moment_and_is_recorded(engine: Any) -> None:
    run = await engine.row((await engine.accept(await engine.flow(MAKE)))[0].id)
    steps: list[StepRun] = []
    moment = utc_now() + dt.timedelta(seconds=0.1)

    async def nap(until: dt.datetime) -> None:
        port = port_of(engine, run, steps)
        _, outputs = port.begins("nap", "wait")
        if outputs is None:
            await port.sleep("nap", "wait", lambda: until)

    with pytest.raises(Suspended) as pause:
        await nap(moment)
    assert (pause.value.until, pause.value.waiting_for, pause.value.error) == (moment, None, None)
    assert steps[0].status is StepStatus.WAITING
    await asyncio.sleep(0.12)
    await nap(moment + dt.timedelta(days=9))  # the moment is kept that was named first
    assert steps[0].status is StepStatus.SUCCEEDED
    await nap(moment + dt.timedelta(days=9))  # it is over


async def test_a_signal_is_waited_for_kept_and_given_back_once_it_came(engine: Any) -> None:
    run = await engine.row((await engine.accept(await engine.flow(MAKE)))[0].id)
    steps: list[StepRun] = []
    with pytest.raises(Suspended) as pause:
        await port_of(engine, run, steps).wait_signal("approval", "approved")
    assert pause.value.waiting_for == "signal:approved"
    await engine.runner.signal(run.id, "approved", {"by": "Ada"})
    await engine.runner.signal(run.id, "approved", {"by": "Ben"})  # the first counts
    assert await port_of(engine, run, steps).wait_signal("approval", "approved") == {"by": "Ada"}
    assert await port_of(engine, run, steps).wait_signal("approval", "approved") == {"by": "Ada"}


async def test_a_signal_that_never_comes_fails_the_step_in_the_end(engine: Any) -> None:
    run = await engine.row((await engine.accept(await engine.flow(MAKE)))[0].id)
    steps: list[StepRun] = []
    with pytest.raises(Suspended):
        await port_of(engine, run, steps).wait_signal("approval", "approved")
    await asyncio.sleep(0.22)
    with pytest.raises(Permanent, match="no_signal"):
        await port_of(engine, run, steps).wait_signal("approval", "approved")


async def test_a_history_that_does_not_fit_is_refused_before_anything_is_done(engine: Any) -> None:
    run = await engine.row((await engine.accept(await engine.flow(MAKE)))[0].id)
    recorded = StepRun(seq=0, key="other", action="far.make", status=StepStatus.SUCCEEDED, started_at=utc_now())
    port = port_of(engine, run, [recorded])
    with pytest.raises(FlowError, match="replay_mismatch"):
        port.begins("message", "far.make")
