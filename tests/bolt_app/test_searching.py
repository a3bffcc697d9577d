"""Looking for messages that may have been posted, where many are looked for at once."""

import asyncio
import time

import pytest

from bolt_app.client import SlackClient
from bolt_app.sandbox import Fault, SlackServer
from bolt_app.sandbox.people import ADA, BOT_USER_ID, NOOR, RANDOM, SUPPORT
from zendesk_bridge.flows.catalog import Once
from zendesk_bridge.flows.context import Context, working_on
from zendesk_bridge.flows.errors import ConnectorError, Paced, Uncertain


def mark(key: str, ago: float = 0.0) -> Once:
    return Once(key=key, begun_at=time.time() - ago)


async def look(client: SlackClient, run: str, channel: str, once: Once) -> str | ConnectorError | None:
    """What a run finds: the message's ts."""
    working_on.set(Context(run=run, step="notify"))
    try:
        found = await client.find_posted(channel, once)
        return found and found.ts
    except ConnectorError as problem:
        return problem


def readings(server: SlackServer) -> int:
    return len(server.state.calls_to("conversations.history"))


async def until_read(server: SlackServer) -> None:
    for _ in range(500):
        if readings(server):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was read")


async def test_one_reading_serves_all_who_look_in_a_conversation_at_once(
    slack: SlackServer, client: SlackClient
) -> None:
    marks = [mark(f"run {number}", ago=number * 10) for number in range(10)]
    posted = [(await client.post(SUPPORT.id, once.key, once=once)).ts for once in marks[:2]]
    found = await asyncio.gather(*(look(client, once.key, SUPPORT.id, once) for once in marks))
    assert found == [*posted, *[None] * 8]
    (call,) = slack.state.calls_to("conversations.history")
    assert float(call.arguments["oldest"]) == pytest.approx(marks[-1].begun_at - 120, abs=2)


async def test_each_conversation_is_read_for_itself(slack: SlackServer, client: SlackClient) -> None:
    slack.state.channels[RANDOM.id].members.append(BOT_USER_ID)
    here, there = mark("here"), mark("there")
    posted = await client.post(SUPPORT.id, "here", once=here)
    parent = slack.state.say(ADA.id, SUPPORT.id, "help")
    reply = await client.post(SUPPORT.id, "there", thread_ts=parent.ts, once=there)
    in_channel, in_thread, elsewhere = await asyncio.gather(
        client.find_posted(SUPPORT.id, here),
        client.find_posted(SUPPORT.id, there, thread_ts=parent.ts),
        client.find_posted(RANDOM.id, here),
    )
    assert in_channel
    assert in_thread
    assert (in_channel.ts, in_thread.ts, elsewhere) == (posted.ts, reply.ts, None)


async def test_who_comes_after_a_reading_has_left_gets_one_of_their_own(
    slack: SlackServer, client: SlackClient
) -> None:
    slack.state.faults.append(Fault(method="conversations.history", kind="slow", delay=0.2))
    first = asyncio.create_task(look(client, "run 1", SUPPORT.id, mark("one")))
    await until_read(slack)
    late = mark("late")
    posted = await client.post(SUPPORT.id, "late", once=late)
    assert await look(client, "run 2", SUPPORT.id, late) == posted.ts
    assert await first is None
    assert readings(slack) == 2


async def test_what_fails_fails_for_all_who_joined(slack: SlackServer, client: SlackClient) -> None:
    slack.state.faults.append(Fault(method="conversations.history", kind="http", status=503))
    problems = await asyncio.gather(*(look(client, f"run {n}", SUPPORT.id, mark(f"{n}")) for n in range(3)))
    assert [type(problem) for problem in problems] == [Uncertain] * 3
    assert readings(slack) == 1


async def test_a_run_that_is_cancelled_leaves_the_others_their_answer(slack: SlackServer, client: SlackClient) -> None:
    slack.state.faults.append(Fault(method="conversations.history", kind="slow", delay=0.5))
    once = mark("wanted")
    posted = await client.post(SUPPORT.id, "wanted", once=once)
    leader = asyncio.create_task(look(client, "run 1", SUPPORT.id, mark("other")))
    await asyncio.sleep(0)
    joined = asyncio.create_task(look(client, "run 2", SUPPORT.id, once))
    await until_read(slack)
    leader.cancel()
    assert await asyncio.wait_for(joined, 30) == posted.ts


async def test_runs_whose_turn_is_far_away_wait_as_rows_and_have_one_turn(
    slack: SlackServer, client: SlackClient
) -> None:
    for _ in range(50):  # as many as a minute takes
        await client.pacing.admit("conversations.history", "")
    problems = await asyncio.gather(*(look(client, f"run {n}", SUPPORT.id, mark(f"{n}")) for n in range(3)))
    assert [type(problem) for problem in problems] == [Paced] * 3
    assert client.pacing.scheduler.waiting()["conversations.history"] == 1  # one turn serves them all


async def test_direct_messages_with_somebody_are_opened_once_for_all_who_look_there(
    slack: SlackServer, client: SlackClient
) -> None:
    marks = [mark(str(number)) for number in range(3)]
    found = await asyncio.gather(*(client.find_posted_to_person("noor@example.com", once) for once in marks))
    assert found == [None] * 3
    (call,) = slack.state.calls_to("conversations.open")
    assert call.arguments["users"] == NOOR.id
    assert readings(slack) == 1
