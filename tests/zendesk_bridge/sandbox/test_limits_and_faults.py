"""What goes wrong with the Zendesk sandbox: request limits, and faults a test asks for."""

import base64
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from zendesk_bridge.sandbox import Fault, ZendeskServer, ZendeskState, people

TICKET = f"/api/v2/tickets/{people.GRINDER}.json"


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskServer]:
    # 40 seconds before a minute ends.
    async with ZendeskServer(ZendeskState(clock=lambda: 1_790_000_000.0)) as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {people.OAUTH_TOKEN}"}) as session:
        yield session


async def test_every_answer_says_how_many_requests_are_left(
    zendesk: ZendeskServer, session: aiohttp.ClientSession
) -> None:
    async with session.get(zendesk.url + TICKET) as answer:
        headers = answer.headers
    assert (headers["X-Rate-Limit"], headers["X-Rate-Limit-Remaining"]) == ("700", "699")
    assert (headers["rate-limit"], headers["rate-limit-remaining"], headers["rate-limit-reset"]) == ("700", "699", "40")
    async with session.get(f"{zendesk.url}/api/v2/tickets/999999") as answer:
        assert (answer.status, answer.headers["X-Rate-Limit-Remaining"]) == (404, "698")


async def test_one_request_too_many_is_told_to_wait(zendesk: ZendeskServer, session: aiohttp.ClientSession) -> None:
    zendesk.state.requests_per_minute = 2
    statuses = []
    for _ in range(3):
        async with session.get(zendesk.url + TICKET) as answer:
            statuses.append(answer.status)
            body = await answer.json()
    assert statuses == [200, 200, 429]
    assert answer.headers["Retry-After"] == "40"
    assert answer.headers["X-Rate-Limit-Remaining"] == "0"
    assert set(body) == {"error", "description"}
    zendesk.state.clock = lambda: 1_790_000_040.0
    async with session.get(zendesk.url + TICKET) as answer:
        assert answer.status == 200


async def test_exports_have_ten_requests_a_minute_of_their_own(
    zendesk: ZendeskServer, session: aiohttp.ClientSession
) -> None:
    address = f"{zendesk.url}/api/v2/incremental/ticket_events.json?start_time=1"
    for _ in range(10):
        async with session.get(address) as answer:
            assert answer.status == 200
    assert answer.headers["zendesk-ratelimit-incremental-exports"] == "total=10; remaining=0; resets=40"
    async with session.get(address) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "40")
    async with session.get(zendesk.url + TICKET) as answer:
        assert answer.status == 200


async def test_a_status_fault_strikes_as_often_as_asked_with_a_page_in_html(
    zendesk: ZendeskServer, session: aiohttp.ClientSession
) -> None:
    zendesk.state.faults.append(Fault("tickets", "status", times=2, status=503, retry_after=7))
    for _ in range(2):
        async with session.get(zendesk.url + TICKET) as answer:
            assert (answer.status, answer.content_type, answer.headers["Retry-After"]) == (503, "text/html", "7")
    async with session.get(zendesk.url + TICKET) as answer:
        assert answer.status == 200
    assert zendesk.state.faults == []
    assert [call.status for call in zendesk.state.calls] == [503, 503, 200]


async def test_a_fault_strikes_only_where_its_path_fits_and_until_it_is_removed(
    zendesk: ZendeskServer, session: aiohttp.ClientSession
) -> None:
    fault = Fault("/users/", "rate_limited", times=-1, retry_after=3)
    zendesk.state.faults.append(fault)
    for _ in range(3):
        async with session.get(f"{zendesk.url}/api/v2/users/{people.NOOR}") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
    async with session.get(zendesk.url + TICKET) as answer:
        assert answer.status == 200
    zendesk.state.faults.remove(fault)
    async with session.get(f"{zendesk.url}/api/v2/users/{people.NOOR}") as answer:
        assert answer.status == 200


async def test_a_dropped_connection_gives_no_answer(zendesk: ZendeskServer, session: aiohttp.ClientSession) -> None:
    zendesk.state.faults.append(Fault("*", "drop", times=-1))
    with pytest.raises(aiohttp.ClientConnectionError):
        await session.get(zendesk.url + TICKET)
    assert {call.status for call in zendesk.state.calls} == {None}


async def test_a_request_can_be_carried_out_although_its_answer_is_lost(
    zendesk: ZendeskServer, session: aiohttp.ClientSession
) -> None:
    zendesk.state.faults.append(Fault("tags", "drop", times=-1, after_work=True))
    with pytest.raises(aiohttp.ClientConnectionError):
        await session.put(f"{zendesk.url}/api/v2/tickets/{people.GRINDER}/tags", json={"tags": ["seen"]})
    assert "seen" in zendesk.state.tickets[people.GRINDER]["tags"]


async def test_half_a_body_breaks_while_it_is_read(zendesk: ZendeskServer, session: aiohttp.ClientSession) -> None:
    zendesk.state.faults.append(Fault("*", "half_body"))
    async with session.get(zendesk.url + TICKET) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_a_page_in_html_can_come_with_status_200(zendesk: ZendeskServer, session: aiohttp.ClientSession) -> None:
    zendesk.state.faults.append(Fault("*", "html"))
    async with session.get(zendesk.url + TICKET) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")


async def test_a_slow_answer_is_right_but_late(zendesk: ZendeskServer, session: aiohttp.ClientSession) -> None:
    zendesk.state.faults.append(Fault("*", "slow", delay=0.2))
    began = time.perf_counter()
    async with session.get(zendesk.url + TICKET) as answer:
        assert (await answer.json())["ticket"]["id"] == people.GRINDER
    assert time.perf_counter() - began >= 0.2


async def test_calls_are_written_down_without_credentials(
    zendesk: ZendeskServer, session: aiohttp.ClientSession
) -> None:
    await session.get(f"{zendesk.url}{TICKET}?include=users")
    (call,) = zendesk.state.calls
    assert (call.method, call.path, call.query, call.status) == ("GET", TICKET, {"include": "users"}, 200)
    assert people.OAUTH_TOKEN not in repr(call)


async def test_a_body_that_is_too_large_is_refused(zendesk: ZendeskServer, session: aiohttp.ClientSession) -> None:
    async with session.post(f"{zendesk.url}/api/v2/webhooks", data=b" " * (1024 * 1024 + 1)) as answer:
        assert answer.status == 413


async def test_a_hundred_updates_of_tickets_a_minute_are_the_most(
    zendesk: ZendeskServer, session: aiohttp.ClientSession
) -> None:
    zendesk.state.ticket_updates_per_minute = 1
    statuses = []
    for tag in ("one", "two"):
        async with session.put(f"{zendesk.url}/api/v2/tickets/{people.GRINDER}/tags", json={"tags": [tag]}) as answer:
            statuses.append(answer.status)
    assert statuses == [200, 429]
    assert "two" not in zendesk.state.tickets[people.GRINDER]["tags"]


async def test_the_newer_names_of_the_headers_replace_the_older(
    zendesk: ZendeskServer, session: aiohttp.ClientSession
) -> None:
    zendesk.state.newer_rate_limit_names = True
    async with session.get(zendesk.url + TICKET) as answer:
        assert answer.headers["ratelimit-reset"] == "40"
        assert "rate-limit-reset" not in answer.headers


async def test_a_stopped_sandbox_can_be_served_again_with_what_it_had() -> None:
    state = ZendeskState(empty=True)
    assert (state.tickets, state.users, state.tokens) == ({}, {}, {})
    state.add_user("Only One", "one@example.com", id=7, role="admin")
    state.api_tokens.add("t")
    for _ in range(2):
        async with ZendeskServer(state) as server, aiohttp.ClientSession() as session:
            sign_in = {"Authorization": "Basic " + base64.b64encode(b"one@example.com/token:t").decode()}
            async with session.get(f"{server.url}/api/v2/users/7", headers=sign_in) as answer:
                assert (await answer.json())["user"]["name"] == "Only One"
    assert len(state.calls) == 2


async def test_an_unstarted_sandbox_says_so() -> None:
    with pytest.raises(RuntimeError, match="not been started"):
        ZendeskServer().url  # noqa: B018
    with pytest.raises(RuntimeError, match="not been started"):
        await ZendeskServer().assign(people.GRINDER, people.NOOR)
