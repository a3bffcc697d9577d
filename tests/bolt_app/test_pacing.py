import asyncio

import pytest
from paced_runs import Runs
from remembering import NothingRemembered
from virtual_time import run

from bolt_app.client import SlackClient
from bolt_app.pacing import POST, SlackPacing
from bolt_app.sandbox import Fault, SlackServer
from bolt_app.sandbox.limits import Limits
from zendesk_bridge.flows.context import Context, working_on
from zendesk_bridge.flows.errors import Paced, Transient


async def _burst(posts: int, channels: int, oracle: Limits) -> tuple[float, int]:
    """Seconds that a burst takes, and how many of its posts Slack refuses by the limits that the sandbox has."""
    pacing, refused = SlackPacing(), 0

    async def post(channel: str) -> None:
        nonlocal refused
        await pacing.admit(POST, channel)
        wait = oracle.refuse_post(channel, asyncio.get_running_loop().time())
        if wait is not None:
            refused += 1
            problem = Transient("ratelimited", "", retry_after=wait, limit=True)
            pacing.refused(POST, channel, problem)
            await asyncio.sleep(wait)
            await post(channel)

    runs = Runs(post)
    pacing.scheduler.wakes(runs.wake)
    for number in range(posts):
        runs.start(f"run {number}", f"C{number % channels}")
    await runs.until(posts)
    return max(at for at, _, _ in runs.left), refused


def test_a_burst_to_many_people_is_never_refused_and_as_fast_as_slack_allows() -> None:
    took, refused = run(_burst(1_000, 50, Limits(posts_a_minute=300)))
    assert refused == 0
    assert took <= 180 * 1.1


def test_a_workspace_that_takes_fewer_posts_refuses_some_and_then_few() -> None:
    took, refused = run(_burst(600, 60, Limits(posts_a_minute=100)))
    assert refused < 60
    assert took <= 300 * 1.7


def test_a_refused_channel_alone_waits() -> None:
    async def work() -> tuple[float, float]:
        pacing = SlackPacing()
        await pacing.admit(POST, "C1")
        await pacing.admit(POST, "C1")
        pacing.refused(POST, "C1", Transient("ratelimited", "", retry_after=30, limit=True))
        await pacing.admit(POST, "C2")
        other = asyncio.get_running_loop().time()
        working_on.set(Context(run="run", step="notify"))
        with pytest.raises(Paced) as caught:
            await pacing.admit(POST, "C1")
        return other, caught.value.retry_after or 0

    assert run(work()) == (0, 30)


def test_methods_are_paced_by_their_tier_each_by_itself() -> None:
    async def work() -> list[float]:
        pacing = SlackPacing()
        for _ in range(50):
            await pacing.admit("conversations.open", "")
            await pacing.admit("reactions.add", "")
        await pacing.admit("users.info", "")
        assert pacing.scheduler.budgets() == {
            POST: 300, "conversations.open": 0, "reactions.add": 0, "users.info": 99
        }  # fmt: skip
        for _ in range(200):
            await pacing.admit("auth.test", "")
        waits = []
        for run_id in ("run 1", "run 2"):
            working_on.set(Context(run=run_id, step="step"))
            with pytest.raises(Paced) as caught:
                await pacing.admit("reactions.add", "")
            waits.append(round(caught.value.retry_after or 0))
        return waits

    assert run(work()) == [62, 63]


async def test_a_post_that_slack_refuses_for_its_rate_makes_the_next_one_wait(slack: SlackServer) -> None:
    slack.state.faults.append(Fault(method=POST, kind="rate_limited", retry_after=20))
    client = SlackClient(token=slack.state.bot_token, base_url=slack.url, memory=NothingRemembered())
    await client.start()
    channel = next(iter(slack.state.channels))
    working_on.set(Context(run="run", step="notify"))
    with pytest.raises(Transient):
        await client.post(channel, "one")
    with pytest.raises(Paced):
        await client.post(channel, "two")
    assert len(slack.state.calls_to(POST)) == 1
    await client.close()


def test_posts_that_are_not_to_be_paced_leave_at_once() -> None:
    async def work() -> float:
        pacing = SlackPacing(0)
        for _ in range(1_000):
            await pacing.admit(POST, "C1")
        pacing.refused(POST, "C1", Transient("ratelimited", "", retry_after=30, limit=True))
        await pacing.admit(POST, "C1")
        return asyncio.get_running_loop().time()

    assert run(work()) == 0
