"""The incremental exports of the Zendesk sandbox: what they hold, what they hold back, how to go on."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from zendesk_bridge.sandbox import ZendeskServer, ZendeskState, people

EVENTS = "/api/v2/incremental/ticket_events.json"
CURSOR = "/api/v2/incremental/tickets/cursor.json"


class Clock:
    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def zendesk(clock: Clock) -> AsyncIterator[ZendeskServer]:
    async with ZendeskServer(ZendeskState(clock=clock)) as server:
        yield server


async def get(zendesk: ZendeskServer, address: str, status: int = 200) -> Any:
    headers = {"Authorization": f"Bearer {people.OAUTH_TOKEN}"}
    address = address if address.startswith("http") else zendesk.url + address
    async with aiohttp.ClientSession(headers=headers) as session, session.get(address) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def test_an_assignment_is_a_change_with_the_new_and_the_previous_agent(
    zendesk: ZendeskServer, clock: Clock
) -> None:
    start = int(clock.now)
    await zendesk.assign(people.MARKUP, people.NOOR)
    clock.now += 61
    answer = await get(zendesk, f"{EVENTS}?start_time={start}")
    (event,) = answer["ticket_events"]
    assert (event["ticket_id"], event["event_type"], event["updater_id"]) == (people.MARKUP, "Audit", people.ADA)
    child = next(child for child in event["child_events"] if "assignee_id" in child)
    assert (child["event_type"], child["assignee_id"]) == ("Change", people.NOOR)
    assert child["previous_value"] == str(people.BEN)
    assert (answer["count"], answer["end_of_stream"], answer["end_time"]) == (1, True, start)


async def test_an_unassignment_is_a_change_to_null(zendesk: ZendeskServer, clock: Clock) -> None:
    start = int(clock.now)
    await zendesk.assign(people.MARKUP, None)
    clock.now += 61
    (event,) = (await get(zendesk, f"{EVENTS}?start_time={start}"))["ticket_events"]
    child = next(child for child in event["child_events"] if "assignee_id" in child)
    assert child["assignee_id"] is None


async def test_a_ticket_made_with_an_agent_is_a_create_not_a_change(zendesk: ZendeskServer, clock: Clock) -> None:
    start = int(clock.now)
    await zendesk.create_ticket("New", "With an agent", requester_id=people.TOMAS, assignee_id=people.BEN)
    clock.now += 61
    (event,) = (await get(zendesk, f"{EVENTS}?start_time={start}"))["ticket_events"]
    child = next(child for child in event["child_events"] if "assignee_id" in child)
    assert (child["event_type"], child["assignee_id"]) == ("Create", people.BEN)
    assert "previous_value" not in child


async def test_the_newest_minute_is_held_back(zendesk: ZendeskServer, clock: Clock) -> None:
    start = int(clock.now)
    await zendesk.assign(people.GRINDER, people.NOOR)
    clock.now += 59
    answer = await get(zendesk, f"{EVENTS}?start_time={start - 120}")
    assert (answer["ticket_events"], answer["end_of_stream"], answer["next_page"]) == ([], True, None)
    clock.now += 1
    assert len((await get(zendesk, f"{EVENTS}?start_time={start - 120}"))["ticket_events"]) == 1


async def test_a_start_within_the_last_minute_is_refused(zendesk: ZendeskServer, clock: Clock) -> None:
    for path in (EVENTS, CURSOR):
        answer = await get(zendesk, f"{path}?start_time={int(clock.now) - 60}", 422)
        assert answer["error"] == "InvalidValue"
        assert answer["description"].startswith("Too recent start_time")
        assert "error" in await get(zendesk, path, 400)


async def test_pages_by_time_repeat_events_but_lose_none(zendesk: ZendeskServer) -> None:
    zendesk.state.export_page_size = 2
    address, seen, done = f"{EVENTS}?start_time=0", list[int](), False
    while not done:
        answer = await get(zendesk, address)
        seen += [event["id"] for event in answer["ticket_events"]]
        address, done = answer["next_page"], answer["end_of_stream"]
    assert set(seen) == {update.audit["id"] for update in zendesk.state.updates}
    assert len(seen) > len(set(seen))


async def test_comments_are_told_of_and_come_whole_when_asked_for(zendesk: ZendeskServer) -> None:
    def first(answer: Any) -> Any:
        return next(child for child in answer["ticket_events"][0]["child_events"] if child["event_type"] == "Comment")

    brief = first(await get(zendesk, f"{EVENTS}?start_time=0"))
    assert (brief["comment_present"], brief["comment_public"]) == (True, True)
    assert "body" not in brief
    whole = first(await get(zendesk, f"{EVENTS}?start_time=0&include=comment_events"))
    assert whole["body"] == zendesk.state.tickets[people.GRINDER]["description"]


async def test_tickets_by_cursor_come_once_each_with_their_side_loads(zendesk: ZendeskServer) -> None:
    answer = await get(zendesk, f"{CURSOR}?start_time=0&per_page=4&include=users,metric_sets")
    assert (len(answer["tickets"]), answer["end_of_stream"]) == (4, False)
    assert {"users", "metric_sets"} <= set(answer)
    rest = await get(zendesk, answer["after_url"])
    ids = [ticket["id"] for page in (answer, rest) for ticket in page["tickets"]]
    assert sorted(ids) == list(people.SAMPLE_TICKETS)
    assert rest["end_of_stream"] is True
    empty = await get(zendesk, rest["after_url"])
    assert (empty["tickets"], empty["after_cursor"]) == ([], rest["after_cursor"])


async def test_tickets_of_ai_agents_are_exported_only_to_who_asks_for_them(
    zendesk: ZendeskServer, clock: Clock
) -> None:
    start = int(clock.now)
    zendesk.state.ai_agent_tickets.add(people.GRINDER)
    await zendesk.assign(people.GRINDER, people.NOOR)
    await zendesk.assign(people.MARKUP, people.NOOR)
    clock.now += 61
    for scope, found in (
        ("", {people.MARKUP}),
        ("&support_type_scope=agent", {people.MARKUP}),
        ("&support_type_scope=ai_agent", {people.GRINDER}),
        ("&support_type_scope=all", {people.GRINDER, people.MARKUP}),
    ):
        events = await get(zendesk, f"{EVENTS}?start_time={start}{scope}")
        assert {event["ticket_id"] for event in events["ticket_events"]} == found
        assert scope in events["next_page"]
        tickets = await get(zendesk, f"{CURSOR}?start_time={start}{scope}")
        assert {ticket["id"] for ticket in tickets["tickets"]} == found
    await get(zendesk, f"{EVENTS}?start_time={start}&support_type_scope=robots", status=400)
