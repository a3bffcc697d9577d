import asyncio
import random

import pytest
from paced_runs import Runs
from virtual_time import run

from zendesk_bridge.flows.context import Context, working_on
from zendesk_bridge.flows.errors import Paced
from zendesk_bridge.flows.pacing import turn
from zendesk_bridge.pacing import INCREMENTAL, UPDATES, ZendeskPacing, lane_of
from zendesk_bridge.sandbox.limits import Bucket

EXPORTS = "zendesk-ratelimit-incremental-exports-cursor"


class Account:
    """Zendesk's counting, as the sandbox does it, and another tool of the company's that calls too."""

    def __init__(self, a_minute: int, *, newer_names: bool = True) -> None:
        self.bucket, self.exports = Bucket(), Bucket()
        self.refused = self.other_refused = 0
        self._a_minute = a_minute
        self._newer_names = newer_names

    async def answer(self, pacing: ZendeskPacing, lane: str | None, took: float) -> bool:
        now = asyncio.get_running_loop().time()
        level = self.bucket.take(now, self._a_minute)
        headers = level.account_headers(self._newer_names)
        allowed, resets = level.allowed, level.resets
        if lane == INCREMENTAL:
            export = self.exports.take(now, 10)
            headers[EXPORTS] = export.endpoint_header()
            allowed, resets = allowed and export.allowed, export.resets
        await asyncio.sleep(took)
        pacing.heard(lane, 200 if allowed else 429, headers, float(resets))
        self.refused += not allowed
        return allowed

    async def other_tool(self, a_minute: int) -> None:
        while True:
            await asyncio.sleep(60 / a_minute)
            self.other_refused += not self.bucket.take(asyncio.get_running_loop().time(), self._a_minute).allowed


async def _burst(account: Account, calls: int, others: int) -> float:
    pacing, chance = ZendeskPacing(), random.Random(3)

    async def call(lane: str) -> None:
        allowed = False
        while not allowed:
            async with pacing.paced(None):
                allowed = await account.answer(pacing, None, chance.uniform(0.02, 0.3))

    runs = Runs(call)
    pacing.scheduler.wakes(runs.wake)
    other = asyncio.create_task(account.other_tool(others)) if others else None
    await asyncio.sleep(13)  # somewhere in Zendesk's minute
    for number in range(calls):
        runs.start(f"run {number}", turn)
    await runs.until(calls)
    if other is not None:
        other.cancel()
    pacing.scheduler.close()
    return max(at for at, _, _ in runs.left) - 13


@pytest.mark.parametrize("newer_names", [True, False])
def test_a_burst_is_never_refused_and_uses_nine_tenths_of_the_budget(newer_names: bool) -> None:
    account = Account(700, newer_names=newer_names)
    took = run(_burst(account, 4_000, 0))
    assert account.refused == 0
    assert took <= 60 * 4_000 / 700 / 0.9 + 60


def test_other_tools_of_the_company_keep_their_part_of_the_budget() -> None:
    account = Account(400)
    took = run(_burst(account, 2_000, 120))
    assert account.refused <= 5  # in the first minute nobody knows of the others
    assert account.other_refused <= 5
    assert took < 60 * 12


def test_a_call_that_no_run_makes_waits_only_so_long_then_says_for_how_long() -> None:
    async def work() -> float:
        pacing = ZendeskPacing()
        async with pacing.paced(None):
            pacing.heard(None, 429, {}, 93.0)
            await asyncio.sleep(0)
        with pytest.raises(Paced) as caught:
            async with pacing.paced(None):
                pass
        return caught.value.retry_after or 0

    assert run(work()) == 93


def test_exports_have_a_budget_of_their_own_of_which_others_get_a_part() -> None:
    async def work() -> tuple[int, int]:
        pacing, account, left = ZendeskPacing(), Account(700), 0
        working_on.set(Context(run="poll", step="step"))
        for _ in range(8):
            try:
                async with pacing.paced(INCREMENTAL):
                    await account.answer(pacing, INCREMENTAL, 0.1)
                    left += 1
            except Paced:
                pass
            async with pacing.paced(None):
                await account.answer(pacing, None, 0.1)
        return left, account.refused

    assert run(work()) == (6, 0)


def test_an_export_that_is_refused_stops_exports_and_nothing_else() -> None:
    async def work() -> bool:
        pacing = ZendeskPacing()
        async with pacing.paced(INCREMENTAL):
            headers = {"X-Rate-Limit-Remaining": "500", EXPORTS: "total=10; remaining=0; resets=40"}
            pacing.heard(INCREMENTAL, 429, headers, 40.0)
            await asyncio.sleep(0)
        async with pacing.paced(None):
            pass
        with pytest.raises(Paced):
            async with pacing.paced(INCREMENTAL):
                pass
        return True

    assert run(work())


def test_calls_are_told_apart_by_what_zendesk_counts_apart() -> None:
    assert lane_of("GET", "/api/v2/incremental/ticket_events.json") == INCREMENTAL
    assert lane_of("PUT", "/api/v2/tickets/5.json") == UPDATES
    assert lane_of("GET", "/api/v2/tickets/5.json") is None
