"""The sandbox fails on demand: refusals, broken pages, dropped connections, limits."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bolt_app.sandbox import Fault, Limits, SlackServer, SlackState
from bolt_app.sandbox.people import NOOR, SUPPORT


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture
def client(slack: SlackServer) -> AsyncWebClient:
    return AsyncWebClient(token="xoxb-sandbox", base_url=slack.url, retry_handlers=[], timeout=2)


def post(client: AsyncWebClient, text: str = "x") -> Any:
    return client.chat_postMessage(channel=SUPPORT.id, text=text)


async def test_a_fault_answers_an_error_once(slack: SlackServer, client: AsyncWebClient) -> None:
    slack.state.faults.append(Fault(method="chat.postMessage", kind="error", error="fatal_error"))
    with pytest.raises(SlackApiError) as caught:
        await post(client)
    assert caught.value.response["error"] == "fatal_error"
    await post(client, "second")
    assert [message.text for message in slack.state.posted()] == ["second"]
    assert [call.error for call in slack.state.calls] == ["fatal_error", None]


async def test_a_fault_limits_the_rate(slack: SlackServer, client: AsyncWebClient) -> None:
    slack.state.faults.append(Fault(method="*", kind="rate_limited", retry_after=7))
    with pytest.raises(SlackApiError) as caught:
        await post(client)
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "7"
    assert slack.state.posted() == []


@pytest.mark.parametrize(("kind", "done"), [("http", 0), ("http_after", 1)])
async def test_a_broken_page_comes_instead_of_an_answer(
    slack: SlackServer, client: AsyncWebClient, kind: Any, done: int
) -> None:
    slack.state.faults.append(Fault(method="chat.postMessage", kind=kind, status=503))
    with pytest.raises(SlackApiError) as caught:
        await post(client)
    assert caught.value.response.status_code == 503
    assert "error" not in caught.value.response.data
    assert len(slack.state.posted()) == done
    assert slack.state.calls[0].ok is False


@pytest.mark.parametrize(("kind", "done"), [("drop", 0), ("drop_after", 1), ("half_body", 1)])
async def test_the_connection_breaks(slack: SlackServer, client: AsyncWebClient, kind: Any, done: int) -> None:
    slack.state.faults.append(Fault(method="chat.postMessage", kind=kind))
    with pytest.raises(aiohttp.ClientError):
        await post(client)
    assert len(slack.state.posted()) == done
    await post(client)
    assert len(slack.state.posted()) == done + 1


async def test_a_slow_answer_comes_after_the_caller_gave_up(slack: SlackServer) -> None:
    client = AsyncWebClient(token="xoxb-sandbox", base_url=slack.url, retry_handlers=[], timeout=1)
    slack.state.faults.append(Fault(method="chat.postMessage", kind="slow", delay=1.2))
    with pytest.raises(TimeoutError):
        await post(client)
    assert slack.state.posted() == []
    assert (await slack.state.next_message()).text == "x"


async def test_the_real_clients_own_retry_would_post_twice(slack: SlackServer) -> None:
    client = AsyncWebClient(token="xoxb-sandbox", base_url=slack.url)
    slack.state.faults.append(Fault(method="chat.postMessage", kind="drop_after"))
    await post(client)
    assert len(slack.state.posted()) == 2


async def test_posts_to_one_channel_are_limited_to_a_burst_and_one_a_second() -> None:
    now = 1_732_305_600.0
    state = SlackState(clock=lambda: now)
    state.limits = Limits()
    async with SlackServer(state) as slack:
        client = AsyncWebClient(token="xoxb-sandbox", base_url=slack.url, retry_handlers=[])
        for _ in range(3):
            await post(client)
        with pytest.raises(SlackApiError) as caught:
            await post(client)
        assert caught.value.response["error"] == "ratelimited"
        assert caught.value.response.headers["Retry-After"] == "1"
        await client.chat_postMessage(channel=NOOR.id, text="another channel")
        now += 1
        await post(client)


async def test_a_tier_allows_so_many_calls_a_minute() -> None:
    now = 1_732_305_600.0
    state = SlackState(clock=lambda: now)
    state.limits = Limits()
    async with SlackServer(state) as slack:
        client = AsyncWebClient(token="xoxb-sandbox", base_url=slack.url, retry_handlers=[])
        for _ in range(20):
            await client.users_list()
        now += 10
        with pytest.raises(SlackApiError) as caught:
            await client.users_list()
        assert caught.value.response.headers["Retry-After"] == "50"
        now += 50
        await client.users_list()


async def test_a_cap_for_the_workspace_can_be_set() -> None:
    limits = Limits(posts_a_minute=2)
    assert limits.refuse_post("C1", 0.0) is None
    assert limits.refuse_post("C2", 0.0) is None
    assert limits.refuse_post("C3", 6.0) == 54


async def test_calls_are_noted_without_the_token(slack: SlackServer, client: AsyncWebClient) -> None:
    await client.conversations_open(users=NOOR.id)
    await client.api_call("auth.test", params={"token": "xoxb-sandbox"})
    opened, tested = slack.state.calls
    assert (opened.method, opened.verb, opened.arguments["users"], opened.ok) == (
        "conversations.open",
        "POST",
        NOOR.id,
        True,
    )
    assert "xoxb" not in repr([opened, tested])


async def test_the_next_message_can_be_awaited(slack: SlackServer, client: AsyncWebClient) -> None:
    await post(client, "one")
    assert (await slack.state.next_message()).text == "one"
    waiting = asyncio.create_task(slack.state.next_message())
    await post(client, "two")
    assert (await waiting).text == "two"
    with pytest.raises(TimeoutError):
        await slack.state.next_message(timeout=0.01)
    heard: list[str] = []
    slack.state.on_message.append(lambda message: heard.append(message.text))
    await post(client, "three")
    assert heard == ["three"]
