"""Writing to the Zendesk sandbox over its API: tickets, comments, tags, and what it refuses."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from zendesk_bridge.sandbox import ZendeskServer, people

TICKET = f"/api/v2/tickets/{people.GRINDER}"


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskServer]:
    async with ZendeskServer() as server:
        yield server


@pytest.fixture
async def session(zendesk: ZendeskServer) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {people.OAUTH_TOKEN}"}
    async with aiohttp.ClientSession(zendesk.url, headers=headers) as session:
        yield session


async def test_a_repeated_creation_with_the_same_key_makes_one_ticket(
    zendesk: ZendeskServer, session: aiohttp.ClientSession
) -> None:
    ticket = {"subject": "S", "comment": {"body": "B", "public": False}, "tags": ["One", "two"], "priority": "low"}
    made = []
    for lookup in ("miss", "hit"):
        async with session.post("/api/v2/tickets", json={"ticket": ticket}, headers={"Idempotency-Key": "k"}) as answer:
            assert (answer.status, answer.headers["x-idempotency-lookup"]) == (201, lookup)
            made.append((await answer.json())["ticket"])
    assert made[0] == made[1]
    assert (made[0]["tags"], made[0]["is_public"], made[0]["status"]) == (["one", "two"], False, "new")
    assert len(zendesk.state.tickets) == len(people.SAMPLE_TICKETS) + 1


async def test_a_comment_is_as_public_as_its_ticket_unless_it_says_otherwise(
    zendesk: ZendeskServer, session: aiohttp.ClientSession
) -> None:
    for comment in ({"body": "to the customer"}, {"body": "to agents", "public": False}):
        async with session.put(TICKET, json={"ticket": {"comment": comment}}) as answer:
            assert answer.status == 200
    assert [each["public"] for each in zendesk.state.comments[people.GRINDER][1:]] == [True, False]


async def test_a_closed_ticket_cannot_be_changed(session: aiohttp.ClientSession) -> None:
    async with session.put(TICKET, json={"ticket": {"status": "closed"}}) as answer:
        assert answer.status == 200
    async with session.put(TICKET, json={"ticket": {"priority": "low"}}) as answer:
        assert answer.status == 422
        body = await answer.json()
    assert body["details"] == {"status": [{"description": "closed prevents ticket update"}]}


@pytest.mark.parametrize("wrong", [{"status": "Open"}, {"assignee_id": people.TOMAS}, {"group_id": 5}, {"comment": {}}])
async def test_values_zendesk_does_not_know_are_invalid(
    session: aiohttp.ClientSession, wrong: dict[str, object]
) -> None:
    async with session.put(TICKET, json={"ticket": wrong}) as answer:
        assert (answer.status, (await answer.json())["error"]) == (422, "RecordInvalid")


async def test_an_update_of_an_outdated_ticket_is_refused_when_it_asks_for_safety(
    session: aiohttp.ClientSession,
) -> None:
    outdated = {"safe_update": True, "updated_stamp": "2020-01-01T00:00:00Z", "priority": "low"}
    async with session.put(TICKET, json={"ticket": outdated}) as answer:
        assert (answer.status, (await answer.json())["error"]) == (409, "UpdateConflict")


async def test_tags_are_added_set_and_taken_away(session: aiohttp.ClientSession) -> None:
    seen = []
    for method, tags in (("PUT", ["new"]), ("DELETE", ["grinder"]), ("POST", ["only"])):
        async with session.request(method, f"{TICKET}/tags", json={"tags": tags}) as answer:
            seen.append((await answer.json())["tags"])
    assert seen == [["grinder", "hardware", "new"], ["hardware", "new"], ["only"]]


async def test_an_unknown_ticket_cannot_be_changed(session: aiohttp.ClientSession) -> None:
    async with session.put("/api/v2/tickets/9223372036854775807.json", json={"ticket": {}}) as answer:
        assert (answer.status, await answer.json()) == (404, {"error": "RecordNotFound", "description": "Not found"})
