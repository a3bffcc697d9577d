"""The sandbox hands out histories and threads as Slack does."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bolt_app.sandbox import SlackServer, SlackState
from bolt_app.sandbox.people import ADA, ESCALATIONS, NOOR, RANDOM, SUPPORT


class Clock:
    now = 1_732_305_600.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def slack(clock: Clock) -> AsyncIterator[SlackServer]:
    async with SlackServer(SlackState(clock=clock)) as server:
        yield server


@pytest.fixture
def client(slack: SlackServer) -> AsyncWebClient:
    return AsyncWebClient(token="xoxb-sandbox", base_url=slack.url, retry_handlers=[])


async def refusal(answer: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await answer
    return str(caught.value.response["error"])


def texts(answer: Any) -> list[str]:
    return [message["text"] for message in answer["messages"]]


async def test_history_is_newest_first_and_leaves_replies_out(slack: SlackServer, client: AsyncWebClient) -> None:
    first = slack.state.say(ADA.id, SUPPORT.id, "first")
    slack.state.say(NOOR.id, SUPPORT.id, "reply", thread_ts=first.ts)
    slack.state.say(ADA.id, SUPPORT.id, "second")
    answer = await client.conversations_history(channel=SUPPORT.id)
    assert texts(answer) == ["second", "first"]
    assert answer["messages"][1]["reply_count"] == 1
    assert answer["messages"][1]["thread_ts"] == first.ts


async def test_history_pages_with_a_cursor(slack: SlackServer, client: AsyncWebClient) -> None:
    for number in range(5):
        slack.state.say(ADA.id, SUPPORT.id, str(number))
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        answer = await client.conversations_history(channel=SUPPORT.id, limit=2, cursor=cursor)
        seen += texts(answer)
        cursor = (answer.get("response_metadata") or {}).get("next_cursor", "")
        # A message that arrives between two pages shifts nothing.
        slack.state.say(ADA.id, SUPPORT.id, "late")
    assert seen == ["4", "3", "2", "1", "0"]
    assert cursor == ""
    assert answer["has_more"] is False


async def test_the_window_excludes_its_ends_unless_inclusive(slack: SlackServer, client: AsyncWebClient) -> None:
    ts = [slack.state.say(ADA.id, SUPPORT.id, text).ts for text in "abc"]
    open_ends = await client.conversations_history(channel=SUPPORT.id, oldest=ts[0], latest=ts[2])
    assert texts(open_ends) == ["b"]
    one = await client.conversations_history(channel=SUPPORT.id, oldest=ts[1], latest=ts[1], inclusive=True, limit=1)
    assert texts(one) == ["b"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"channel": RANDOM.id}, "not_in_channel"),
        ({"channel": ESCALATIONS.id}, "channel_not_found"),
        ({"channel": "#support"}, "channel_not_found"),
        ({"channel": SUPPORT.id, "cursor": "bm9wZQ=="}, "invalid_cursor"),
        ({"channel": SUPPORT.id, "oldest": "yesterday"}, "invalid_ts_oldest"),
        ({"channel": SUPPORT.id, "latest": "tomorrow"}, "invalid_ts_latest"),
        ({"channel": SUPPORT.id, "limit": 1000}, "invalid_arguments"),
    ],
)
async def test_a_history_that_cannot_be_read_is_refused(
    slack: SlackServer, client: AsyncWebClient, arguments: dict[str, Any], code: str
) -> None:
    slack.state.say(ADA.id, SUPPORT.id, "x")
    assert await refusal(client.conversations_history(**arguments)) == code


async def test_metadata_is_shown_only_when_asked_for(client: AsyncWebClient) -> None:
    metadata = {"event_type": "delivery", "event_payload": {"key": "k1"}}
    await client.chat_postMessage(channel=SUPPORT.id, text="x", metadata=metadata)
    plain = await client.conversations_history(channel=SUPPORT.id)
    assert plain["messages"][0]["metadata"] == {"event_type": "delivery"}
    full = await client.conversations_history(channel=SUPPORT.id, include_all_metadata=True)
    assert full["messages"][0]["metadata"] == metadata


async def test_a_thread_is_its_parent_and_then_its_replies(slack: SlackServer, client: AsyncWebClient) -> None:
    parent = slack.state.say(ADA.id, SUPPORT.id, "parent")
    replies = [slack.state.say(NOOR.id, SUPPORT.id, text, thread_ts=parent.ts) for text in "abcd"]
    assert texts(await client.conversations_replies(channel=SUPPORT.id, ts=parent.ts)) == ["parent", *"abcd"]
    one = await client.conversations_replies(channel=SUPPORT.id, ts=replies[1].ts)
    assert texts(one) == ["b"]
    narrow = await client.conversations_replies(
        channel=SUPPORT.id, ts=parent.ts, oldest=replies[2].ts, latest=replies[2].ts, inclusive=True
    )
    assert texts(narrow) == ["parent", "c"]


async def test_every_page_of_a_thread_begins_with_the_parent(slack: SlackServer, client: AsyncWebClient) -> None:
    parent = slack.state.say(ADA.id, SUPPORT.id, "parent")
    for text in "abcd":
        slack.state.say(NOOR.id, SUPPORT.id, text, thread_ts=parent.ts)
    first = await client.conversations_replies(channel=SUPPORT.id, ts=parent.ts, limit=3)
    assert texts(first) == ["parent", "a", "b"]
    cursor = first["response_metadata"]["next_cursor"]
    second = await client.conversations_replies(channel=SUPPORT.id, ts=parent.ts, limit=3, cursor=cursor)
    assert texts(second) == ["parent", "c", "d"]
    assert second["has_more"] is False


async def test_a_thread_that_is_not_there_is_refused(slack: SlackServer, client: AsyncWebClient) -> None:
    assert await refusal(client.conversations_replies(channel=SUPPORT.id, ts="1.000001")) == "thread_not_found"
    assert await refusal(client.conversations_replies(channel=RANDOM.id, ts="1.000001")) == "channel_not_found"


async def test_a_lagging_history_shows_a_message_later(
    slack: SlackServer, client: AsyncWebClient, clock: Clock
) -> None:
    slack.state.history_lag = 10
    posted = await client.chat_postMessage(channel=SUPPORT.id, text="x")
    assert texts(await client.conversations_history(channel=SUPPORT.id)) == []
    assert await refusal(client.conversations_replies(channel=SUPPORT.id, ts=posted["ts"])) == "thread_not_found"
    clock.now += 10
    assert texts(await client.conversations_history(channel=SUPPORT.id)) == ["x"]
