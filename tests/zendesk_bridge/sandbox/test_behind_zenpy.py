"""The Zendesk sandbox behind the real client: zenpy and its requests session."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from zenpy import Zenpy
from zenpy.lib.exception import APIException, RecordNotFoundException

from zendesk_bridge.sandbox import Fault, ZendeskServer, people


class ToSandbox(HTTPAdapter):
    """Sends what is meant for the account to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.target = url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        asked, redirected = urlsplit(request.url or ""), request.copy()
        redirected.url = f"{self.target}{asked.path}" + (f"?{asked.query}" if asked.query else "")
        answer = super().send(redirected, *args, **kwargs)
        # zenpy reads an answer by the address it believes it asked.
        answer.request, answer.url = request, request.url or ""
        return answer


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskServer]:
    async with ZendeskServer() as server:
        yield server


def client(zendesk: ZendeskServer, token: str = people.OAUTH_TOKEN) -> Any:
    session = requests.Session()
    # Links to further pages go through the adapter as well.
    zendesk.state.url = "https://sandbox.zendesk.com"
    session.mount("https://sandbox.zendesk.com", ToSandbox(zendesk.url))
    return Zenpy(subdomain="sandbox", oauth_token=token, session=session)


async def test_zenpy_reads_tickets_people_and_organizations(zendesk: ZendeskServer) -> None:
    api = client(zendesk)
    ticket = await asyncio.to_thread(api.tickets, id=people.QUOTES)
    assert ticket.subject == 'Export fails with "token < 10 && retries > 3"'
    tickets = await asyncio.to_thread(lambda: list(api.tickets(ids=[people.GRINDER, people.LONG, 999_999])))
    assert [each.id for each in tickets] == [people.GRINDER, people.LONG]
    me = await asyncio.to_thread(api.users.me)
    assert me.email == "ada@example.com"
    users = await asyncio.to_thread(lambda: list(api.users(ids=[people.MIRA, people.TOMAS])))
    assert [each.notes is None for each in users] == [False, True]
    organization = await asyncio.to_thread(api.organizations, id=people.HARBOUR_COFFEE)
    assert organization.name == "Harbour Coffee"


async def test_zenpy_reads_comments_audits_and_the_export(zendesk: ZendeskServer) -> None:
    api = client(zendesk)
    bodies = await asyncio.to_thread(lambda: [each.body for each in api.tickets.comments(people.MARKUP)])
    assert len(bodies) == 2
    audits = await asyncio.to_thread(lambda: [each.id for each in api.tickets.audits(people.MARKUP)])
    assert len(audits) == 2
    exported = await asyncio.to_thread(lambda: {each.id for each in api.tickets.incremental(start_time=0)})
    assert exported == set(people.SAMPLE_TICKETS)
    events = await asyncio.to_thread(lambda: [each.ticket_id for each in api.tickets.events(start_time=0)])
    assert set(events) == set(people.SAMPLE_TICKETS)


async def test_zenpy_sees_refusals_as_its_own_errors(zendesk: ZendeskServer) -> None:
    with pytest.raises(RecordNotFoundException):
        await asyncio.to_thread(client(zendesk).tickets, id=999_999)
    with pytest.raises(APIException) as refusal:
        await asyncio.to_thread(client(zendesk, "wrong").tickets, id=people.GRINDER)
    assert refusal.value.response.status_code == 401
    zendesk.state.faults.append(Fault("tickets", "status", status=503))
    with pytest.raises(requests.HTTPError) as broken:
        await asyncio.to_thread(client(zendesk).tickets, id=people.GRINDER)
    assert broken.value.response.status_code == 503


async def test_requests_sees_dropped_and_slow_answers(zendesk: ZendeskServer) -> None:
    address = f"{zendesk.url}/api/v2/users/me"
    zendesk.state.faults.append(Fault("*", "drop"))
    with pytest.raises(requests.ConnectionError):
        await asyncio.to_thread(requests.get, address, timeout=5)
    zendesk.state.faults.append(Fault("*", "slow", delay=1.0))
    with pytest.raises(requests.Timeout):
        await asyncio.to_thread(requests.get, address, timeout=0.1)


async def test_zenpy_changes_a_ticket(zendesk: ZendeskServer) -> None:
    def give() -> None:
        api = client(zendesk)
        ticket = api.tickets(id=people.GRINDER)
        ticket.assignee_id = people.NOOR
        api.tickets.update(ticket)

    await asyncio.to_thread(give)
    assert zendesk.state.tickets[people.GRINDER]["assignee_id"] == people.NOOR
