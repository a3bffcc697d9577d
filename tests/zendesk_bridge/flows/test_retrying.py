"""How often a step is tried, how long it may take: what its flow says, across waits and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from zendesk_bridge.flows.errors import Credentials, NeedsInvite, Permanent, Transient, Uncertain
from zendesk_bridge.flows.model import utc_now
from zendesk_bridge.flows.pauses import Timing

OUTAGE = Transient("outage", "The far side is out")


def make(**more: Any) -> dict[str, Any]:
    return {"key": "made", "action": "far.make", **more}


async def test_each_wait_is_longer_than_the_one_before_and_known_to_the_history(
    engine_at: Callable[..., Any], far: Any
) -> None:
    engine = await engine_at(timing=Timing())
    far.always("make", OUTAGE)
    (run,) = await engine.accept(await engine.flow(make(retry={"wait": {"minutes": 10}, "backoff": 3})))
    for attempt, minutes in ((1, 10), (2, 30), (3, 60), (4, 60)):  # an hour at most
        row = await engine.waits(run.id, "")
        step = (await engine.shown(run.id))["steps"][0]
        assert (row.error["code"], step["attempts"]) == ("unavailable", attempt)
        wait = (row.wake_at - utc_now()).total_seconds() / 60
        assert 0.8 * minutes - 0.1 <= wait <= 1.2 * minutes + 0.1, (attempt, wait)
        await engine.journal.write(lambda connection: connection.execute("update runs set wake_at = accepted_at"))
        engine.runner.nudge(run.id)
        await engine.see(lambda attempt=attempt: far.count("make") == attempt + 1)
        await engine.runner.idle()
    assert far.count("make") == 5
    assert (await engine.shown(run.id))["status"] == "failed"


async def test_a_run_that_waits_to_try_again_says_so(engine: Any, far: Any) -> None:
    far.next("make", Permanent("not_found", "Not there yet"))
    (run,) = await engine.accept(await engine.flow(make(retry={"for": ["not_found"], "wait": {"hours": 1}})))
    row = await engine.waits(run.id, "")
    assert (row.error["code"], row.error["message"]) == ("retry", "Not there yet")


async def test_the_number_of_tries_holds_across_restarts(engine_at: Callable[..., Any], far: Any) -> None:
    far.always("make", OUTAGE)
    run_id = "event:flow"
    for attempt in range(1, 4):
        engine = await engine_at()
        if attempt == 1:
            await engine.accept(await engine.flow(make(retry={"attempts": 3, "wait": {"seconds": 0.3}, "backoff": 1})))
        await engine.see(lambda attempt=attempt: far.count("make") == attempt)
        if attempt < 3:
            await engine.waits(run_id, "")
            await engine.runner.idle()
            await engine.kill()
    shown = await engine.end(run_id)
    assert (shown["status"], shown["error"]["message"]) == ("failed", "The far side is out (tried 3 times)")


async def test_what_was_not_tried_does_not_count(engine: Any, far: Any) -> None:
    engine.broken.add("far")
    (run,) = await engine.accept(await engine.flow(make(retry={"attempts": 2, "wait": {"seconds": 0.01}})))
    await engine.waits(run.id, "connection:far")
    far.next("make", OUTAGE)
    engine.broken.clear()
    await engine.runner.wake("connection:far")
    shown = await engine.end(run.id)
    assert (shown["status"], shown["steps"][0]["attempts"]) == ("succeeded", 2)


async def test_looking_again_for_an_invitation_uses_up_no_tries(engine: Any, far: Any) -> None:
    uninvited = NeedsInvite("not_in_channel", "Not there", channel="C1")
    far.next("make", *[uninvited] * 4, OUTAGE)
    (run,) = await engine.accept(await engine.flow(make(retry={"attempts": 3, "wait": {"seconds": 0.01}})))
    for asked in range(1, 5):
        await engine.waits(run.id, "invite:C1")
        assert far.count("make") == asked
        await engine.runner.wake("invite:C1")
        await engine.see(lambda asked=asked: far.count("make") > asked)
        await engine.runner.idle()
    assert (await engine.end(run.id))["status"] == "succeeded"


@pytest.mark.parametrize(
    "problem",
    [
        OUTAGE,
        NeedsInvite("not_in_channel", "Not there", channel="C1"),
        Credentials("invalid_auth", "Wrong token", service="far"),
    ],
    ids=lambda problem: type(problem).__name__,
)
async def test_whatever_a_step_waits_for_its_timeout_ends_it(engine: Any, far: Any, problem: Exception) -> None:
    far.always("make", problem)
    (run,) = await engine.accept(await engine.flow(make(timeout={"seconds": 0.15})))
    shown = await engine.end(run.id)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "timeout")
    assert shown["error"]["hint"] == "Give it a longer `timeout`."
    assert far.made == []


async def test_a_read_that_does_not_answer_is_given_up_when_its_time_is_over(
    engine: Any, far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zendesk_bridge.flows.patience.FIRST_TRY", 0.05)
    far.next("look", asyncio.Event())
    look = {"key": "seen", "action": "far.look", "timeout": {"seconds": 0.05}, "on_error": "continue"}
    after = {"key": "after", "action": "far.mark", "inputs": {"what": "{{ seen.error.code }}"}}
    (run,) = await engine.accept(await engine.flow(look, after))
    await engine.end(run.id)
    assert (far.marks, far.under_way) == ({"timeout": 1}, 0)


async def test_a_read_that_was_begun_ahead_of_its_turn_is_given_up_as_well(
    engine: Any, far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zendesk_bridge.flows.patience.FIRST_TRY", 0.05)
    far.next("look", lambda: asyncio.sleep(0.02), asyncio.Event())
    late = {"key": "late", "action": "far.look", "timeout": {"seconds": 0.05}}
    (run,) = await engine.accept(await engine.flow({"key": "seen", "action": "far.look"}, late))
    shown = await engine.end(run.id)
    assert (shown["error"]["code"], far.count("look"), far.under_way) == ("timeout", 2, 0)


async def test_after_a_long_downtime_a_step_whose_time_is_over_is_not_done(
    engine_at: Callable[..., Any], far: Any
) -> None:
    far.next("make", OUTAGE)
    engine = await engine_at(timing=Timing(retry_first=5.0))
    (run,) = await engine.accept(await engine.flow(make(timeout={"minutes": 10})))
    await engine.waits(run.id, "")
    await engine.kill()
    engine = await engine_at(resume=False)

    def hours_pass(connection: Any) -> None:
        connection.execute("update steps set started_at = '2026-01-01T00:00:00.000000Z'")
        connection.execute("update runs set wake_at = accepted_at")

    await engine.journal.write(hours_pass)
    await engine.runner.start()
    shown = await engine.end(run.id)
    assert (shown["error"]["code"], far.made, far.count("make")) == ("timeout", [], 1)


async def test_a_sending_in_doubt_is_looked_for_also_where_its_time_is_over(engine: Any, far: Any) -> None:
    far.next("make", Uncertain("no_answer", "Lost"), after=True)
    far.hidden_for = 1
    (run,) = await engine.accept(await engine.flow(make(timeout={"seconds": 0.01})))
    shown = await engine.end(run.id)
    assert (shown["status"], far.values()) == ("succeeded", {"made": 1})


async def test_what_was_not_sent_is_not_sent_any_more_where_its_time_is_over(engine: Any, far: Any) -> None:
    far.next("make", Uncertain("no_answer", "Lost"))
    (run,) = await engine.accept(await engine.flow(make(timeout={"seconds": 0.05})))
    shown = await engine.end(run.id)
    assert (shown["status"], shown["error"]["code"], far.made) == ("failed", "timeout", [])
    assert far.calls == ["make", "find", "find", "find"]
    await engine.runner.retry_from(run.id)
    assert (await engine.end(run.id))["status"] == "succeeded"
    assert far.values() == {"made": 1}


@pytest.mark.parametrize("in_doubt", ["ask", "repeat"])
@pytest.mark.parametrize("looking", [None, Permanent("missing_scope", "It cannot be looked up")])
async def test_a_sending_whose_answer_was_lost_counts_as_a_try(
    engine: Any, far: Any, in_doubt: str, looking: Exception | None
) -> None:
    far.always("make", Uncertain("no_answer", "Lost"))
    far.always("find", looking)
    retry = {"attempts": 2, "wait": {"seconds": 0.3}, "backoff": 1}
    (run,) = await engine.accept(await engine.flow(make(retry=retry, in_doubt=in_doubt)))
    if in_doubt == "ask" and looking:
        for sent in (1, 2, 3):  # a person may have it sent more often
            row = await engine.waits(run.id, "signal:decision")
            assert far.count("make") == sent
            await engine.runner.signal(run.id, row.waiting_for.removeprefix("signal:"), {"send": True})
            await engine.see(lambda sent=sent: far.count("make") == sent + 1)
            await engine.runner.idle()
        return
    shown = await engine.end(run.id)
    assert (shown["status"], far.count("make")) == ("failed", 2)
    assert "(tried 2 times)" in shown["error"]["message"]
    first, second = (at for call, at in far.at if call == "make")
    assert second - first >= 0.24


async def test_a_step_that_comes_late_is_tried_all_the_same(engine: Any, far: Any) -> None:
    first = {"key": "pause", "wait": {"seconds": 0.2}}
    (run,) = await engine.accept(await engine.flow(first, make(timeout={"seconds": 0.1})))
    assert (await engine.end(run.id))["status"] == "succeeded"


# What was read before a step grows old while the step is waited for


READ = {"key": "seen", "action": "far.look"}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"retry": {"attempts": 3, "wait": {"seconds": 0.03}, "backoff": 1}}, "outage"),
        ({"timeout": {"seconds": 0.2}}, "timeout"),
        ({}, "unavailable"),
    ],
    ids=["attempts", "timeout", "patience"],
)
async def test_reading_anew_before_a_try_does_not_make_it_the_first_one(
    engine_at: Callable[..., Any], far: Any, said: dict[str, Any], code: str
) -> None:
    engine = await engine_at(timing=Timing(retry_first=0.01, retry_longest=0.02, patience=0.5, fresh_for=0.001))
    far.always("make", OUTAGE)
    (run,) = await engine.accept(await engine.flow(READ, make(**said)))
    shown = await engine.end(run.id, within=30)
    assert (shown["status"], shown["error"]["code"]) == ("failed", code)
    assert far.count("look") > 1
    assert shown["steps"][1]["attempts"] >= far.count("make") > 1


async def test_an_invitation_that_never_comes_ends_also_a_run_that_reads_anew(
    engine_at: Callable[..., Any], far: Any
) -> None:
    engine = await engine_at(timing=Timing(patience=0.2, fresh_for=0.001))
    far.always("make", NeedsInvite("not_in_channel", "Not there", channel="C1"))
    (run,) = await engine.accept(await engine.flow(READ, make()))
    shown = await engine.end(run.id, within=30)
    assert (shown["error"]["code"], far.count("look")) == ("needs_invite", 2)


async def test_a_run_that_takes_long_to_read_all_it_needs_comes_to_an_end(
    engine_at: Callable[..., Any], far: Any
) -> None:
    engine = await engine_at(timing=Timing(retry_first=0.04, fresh_for=0.02))
    far.next("look", *[OUTAGE, None] * 8)
    given = {"key": "given", "set": {"names": list("abcdefgh")}}
    look = {**READ, "inputs": {"what": "{{ item }}"}}
    loop = {"key": "all", "loop": {"each": "given.names", "steps": [look]}}
    (run,) = await engine.accept(await engine.flow(given, loop))
    assert (await engine.end(run.id, within=30))["status"] == "succeeded"
    assert far.count("look") >= 16  # more where the machine stood still meanwhile
