"""Look-ups: many in one request, none older than its event, and no failure that is somebody else's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.flows.context import Context, working_on
from zendesk_bridge.flows.errors import ConnectorError, Permanent, Uncertain
from zendesk_bridge.reads import MOST, Reads
from zendesk_bridge.sandbox import Fault, ZendeskServer, people

MIRA, GRINDER, COFFEE = str(people.MIRA), str(people.GRINDER), str(people.HARBOUR_COFFEE)


@pytest.fixture
def missed() -> list[str]:
    return []


@pytest.fixture
async def reads(zendesk: ZendeskServer, missed: list[str]) -> AsyncIterator[Reads]:
    settings = ZendeskSettings(subdomain="harbour", api_url=zendesk.url, oauth_token=SecretStr(people.OAUTH_TOKEN))
    client = ZendeskClient(settings)
    reads = Reads(client, missed.append)
    yield reads
    reads.close()
    await client.close()


@contextmanager
def run_of_an_event(run: str = "run") -> Iterator[None]:
    """A run whose event arrives now."""
    before = working_on.set(Context(run=run, arrived=time.monotonic()))
    yield
    working_on.reset(before)


def asked(zendesk: ZendeskServer) -> list[str]:
    """The paths of the calls so far."""
    return [call.path.removeprefix("/api/v2/") for call in zendesk.state.calls]


def many_tickets(zendesk: ZendeskServer, count: int) -> list[str]:
    return [str(zendesk.state.add_ticket(f"Ticket {n}", "…", requester_id=people.MIRA)["id"]) for n in range(count)]


async def outcomes(*work: Any) -> list[Any]:
    return await asyncio.gather(*work, return_exceptions=True)


async def test_a_ticket_brings_its_people_its_organization_and_its_metric_set(
    zendesk: ZendeskServer, reads: Reads, missed: list[str]
) -> None:
    with run_of_an_event():
        found = await reads.ticket(GRINDER)
        assert found.metrics is not None
        assert (await reads.user(MIRA, frozenset({"name", "notes"})))["name"] == "Mira Castellan"
        assert (await reads.organization(COFFEE, frozenset({"name"})))["name"] == "Harbour Coffee"
    assert asked(zendesk) == [f"tickets/{GRINDER}.json"]
    assert missed == []


async def test_what_is_asked_for_while_a_request_is_under_way_leaves_together_with_the_next(
    zendesk: ZendeskServer, reads: Reads
) -> None:
    tickets = many_tickets(zendesk, 250)
    found = await asyncio.gather(*map(reads.ticket, tickets))
    assert [str(each.answer["id"]) for each in found] == tickets
    sizes = [len(call.query.get("ids", "x").split(",")) for call in zendesk.state.calls]
    assert sizes == [100, 100, 50]


async def test_one_thing_that_many_ask_for_is_asked_for_once(zendesk: ZendeskServer, reads: Reads) -> None:
    await asyncio.gather(*(reads.ticket(GRINDER) for _ in range(50)))
    assert len(zendesk.state.calls) == 1


async def test_nothing_is_older_than_its_event(zendesk: ZendeskServer, reads: Reads) -> None:
    with run_of_an_event():
        await reads.ticket(GRINDER)
    zendesk.state.users[people.MIRA]["name"] = "Mira C."
    with run_of_an_event("another"):
        assert (await reads.user(MIRA))["name"] == "Mira C."


async def test_a_look_up_does_not_join_a_request_that_was_sent_before_its_event_arrived(
    zendesk: ZendeskServer, reads: Reads
) -> None:
    zendesk.state.faults.append(Fault(f"/tickets/{GRINDER}.json", "slow", delay=0.3))
    first = asyncio.create_task(reads.ticket(GRINDER))
    await asyncio.sleep(0.1)  # it is under way
    second = asyncio.create_task(reads.ticket(GRINDER))
    await asyncio.gather(first, second)
    assert len(zendesk.state.calls) == 2


@pytest.mark.parametrize("kind", ["user", "organization"])
async def test_a_field_that_is_referred_to_and_absent_is_fetched_and_counted(
    zendesk: ZendeskServer, reads: Reads, missed: list[str], kind: str
) -> None:
    zendesk.state.absent_beside[kind] = {"notes"}
    look_up, id = (reads.user, MIRA) if kind == "user" else (reads.organization, COFFEE)
    with run_of_an_event():
        await reads.ticket(GRINDER)
        await look_up(id, frozenset({"name"}))
        assert len(zendesk.state.calls) == 1
        assert "notes" in await look_up(id, frozenset({"name", "notes"}))
        await look_up(id, frozenset({"notes"}))
    assert len(zendesk.state.calls) == 2
    assert missed == [f"{kind}s"]


async def test_a_field_that_is_null_is_not_absent(zendesk: ZendeskServer, reads: Reads, missed: list[str]) -> None:
    zendesk.state.users[people.MIRA]["notes"] = None
    with run_of_an_event():
        await reads.ticket(GRINDER)
        assert (await reads.user(MIRA, frozenset({"notes"})))["notes"] is None
    assert (len(zendesk.state.calls), missed) == (1, [])


async def test_somebody_who_is_not_beside_the_ticket_is_asked_for(zendesk: ZendeskServer, reads: Reads) -> None:
    with run_of_an_event():
        await reads.ticket(GRINDER)
        assert (await reads.user(str(people.ADA)))["name"]
    assert asked(zendesk)[1:] == [f"users/{people.ADA}.json"]


async def test_who_is_asked_for_along_with_a_ticket_is_waited_for_beside_it(
    zendesk: ZendeskServer, reads: Reads
) -> None:
    with run_of_an_event():
        _, user = await asyncio.gather(reads.ticket(GRINDER), reads.user(MIRA))
    assert user["name"] == "Mira Castellan"
    assert len(zendesk.state.calls) == 1


async def test_what_is_missing_in_a_batch_fails_its_own_runs_only(zendesk: ZendeskServer, reads: Reads) -> None:
    tickets = many_tickets(zendesk, 5)
    *found, gone, also_gone = await outcomes(*map(reads.ticket, [*tickets, "999998", "999999"]))
    assert [str(each.answer["id"]) for each in found] == tickets
    for each in (gone, also_gone):
        assert isinstance(each, Permanent)
        assert each.code == "not_found"
    assert len(zendesk.state.calls) == 1 + 2


@pytest.mark.parametrize(("status", "code"), [(500, "unavailable"), (400, "http_400")])
async def test_one_ticket_that_breaks_requests_fails_alone(
    zendesk: ZendeskServer, reads: Reads, status: int, code: str
) -> None:
    tickets = many_tickets(zendesk, 40)
    zendesk.state.broken_tickets = {int(tickets[17]): status}
    results = await outcomes(*map(reads.ticket, tickets))
    failed = [id for id, each in zip(tickets, results, strict=True) if isinstance(each, ConnectorError)]
    assert failed == [tickets[17]]
    assert results[17].code == code
    assert len(zendesk.state.calls) < 25


@pytest.mark.parametrize(("status", "kind"), [(503, Uncertain), (403, Permanent)])
async def test_a_refusal_of_everything_is_not_asked_for_over_and_over(
    zendesk: ZendeskServer, reads: Reads, status: int, kind: type[ConnectorError]
) -> None:
    zendesk.state.faults.append(Fault("*", "status", status=status, times=-1))
    results = await outcomes(*map(reads.ticket, map(str, range(1, 51))))
    assert {type(each) for each in results} == {kind}
    assert len(zendesk.state.calls) == 3


async def test_requests_that_are_too_large_to_be_answered_become_smaller_and_grow_again(
    zendesk: ZendeskServer, reads: Reads
) -> None:
    tickets = many_tickets(zendesk, 100)
    zendesk.state.faults.append(Fault("/show_many", "drop"))
    results = await outcomes(*map(reads.ticket, tickets))
    assert {each.code for each in results} == {"no_answer"}
    zendesk.state.calls.clear()
    await asyncio.gather(*map(reads.ticket, tickets))
    await asyncio.gather(*map(reads.ticket, tickets))
    assert [len(call.query["ids"].split(",")) for call in zendesk.state.calls] == [50, 50, MOST]


async def test_a_run_that_is_cancelled_takes_nobody_with_it(zendesk: ZendeskServer, reads: Reads) -> None:
    zendesk.state.faults.append(Fault("/show_many", "slow", delay=0.2))
    tickets = many_tickets(zendesk, 3)
    first, *others = [asyncio.create_task(reads.ticket(id)) for id in tickets]
    await asyncio.sleep(0.1)
    first.cancel()
    assert [str((await each).answer["id"]) for each in others] == tickets[1:]


async def test_what_is_kept_is_let_go_of(zendesk: ZendeskServer, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zendesk_bridge.reads.KEPT_FOR", 0.05)
    await reads.ticket(GRINDER)
    async with asyncio.timeout(30):
        while any(line.kept for line in reads._lines.values()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
