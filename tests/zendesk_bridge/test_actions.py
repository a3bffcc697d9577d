"""The Zendesk actions: what flows see of tickets, users and organizations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from zendesk_bridge.actions import look_up_organization, look_up_ticket, look_up_user
from zendesk_bridge.client import ZendeskClient, ZendeskSettings
from zendesk_bridge.flows.catalog import Wanted
from zendesk_bridge.flows.errors import Permanent
from zendesk_bridge.records import Organization, Ticket, User, metrics_of, ticket_from, user_from
from zendesk_bridge.sandbox import ZendeskServer, people

ALL = Wanted(frozenset({"latest_agent_update"}))
UPDATED = "2026-11-21T09:00:00Z"


@pytest.fixture
async def client(zendesk: ZendeskServer) -> AsyncIterator[ZendeskClient]:
    settings = ZendeskSettings(subdomain="harbour", api_url=zendesk.url, oauth_token=SecretStr(people.OAUTH_TOKEN))
    client = ZendeskClient(settings)
    yield client
    await client.close()


async def test_a_ticket_has_its_fields_its_custom_fields_and_the_agents_page(
    zendesk: ZendeskServer, client: ZendeskClient
) -> None:
    zendesk.state.tickets[people.GRINDER]["custom_fields"] = [
        {"id": 360001, "value": "E7"},
        {"id": 360002, "value": None},
    ]
    ticket = await look_up_ticket(client, ticket_id="101", wanted=Wanted())
    assert ticket.ticket_id == "101"
    assert ticket.subject == "The grinder won't start after cleaning"
    assert (ticket.status, ticket.priority, ticket.type) == ("new", "high", "problem")
    assert ticket.tags == ["grinder", "hardware"]
    assert ticket.requester_id == str(people.MIRA)
    assert ticket.assignee_id is None
    assert ticket.url == "https://harbour.zendesk.com/agent/tickets/101"
    assert ticket.custom_fields == {"360001": "E7", "360002": None}


@pytest.mark.parametrize("inside", [False, True])
async def test_the_latest_agent_update_is_read_beside_the_ticket_and_inside_it(
    zendesk: ZendeskServer, client: ZendeskClient, inside: bool
) -> None:
    zendesk.state.metric_sets[people.GRINDER]["assignee_updated_at"] = UPDATED
    zendesk.state.metric_set_inside_ticket = inside
    ticket = await look_up_ticket(client, ticket_id="101", wanted=ALL)
    assert ticket.latest_agent_update == UPDATED
    assert len(zendesk.state.calls) == 1


async def test_a_metric_set_that_was_left_out_is_fetched_only_where_the_flow_uses_it(
    zendesk: ZendeskServer, client: ZendeskClient
) -> None:
    zendesk.state.metric_sets[people.GRINDER]["assignee_updated_at"] = UPDATED
    zendesk.state.leave_out.add("metric_sets")
    assert (await look_up_ticket(client, ticket_id="101", wanted=Wanted())).latest_agent_update is None
    assert len(zendesk.state.calls) == 1
    assert (await look_up_ticket(client, ticket_id="101", wanted=ALL)).latest_agent_update == UPDATED
    assert len(zendesk.state.calls) == 3


async def test_a_null_update_is_an_answer_and_not_fetched_again(zendesk: ZendeskServer, client: ZendeskClient) -> None:
    ticket = await look_up_ticket(client, ticket_id="101", wanted=ALL)
    assert ticket.latest_agent_update is None
    assert len(zendesk.state.calls) == 1


async def test_a_person_and_an_organization_have_their_fields(zendesk: ZendeskServer, client: ZendeskClient) -> None:
    zendesk.state.users[people.MIRA]["user_fields"] = {"tier": "gold"}
    user = await look_up_user(client, user_id=str(people.MIRA))
    assert (user.name, user.role, user.iana_time_zone) == ("Mira Castellan", "end-user", "Europe/Lisbon")
    assert user.notes == "Buyer for <wholesale> & retail; prefers e-mail"
    assert user.organization_id == str(people.HARBOUR_COFFEE)
    assert user.user_fields == {"tier": "gold"}
    assert user.url == f"https://harbour.zendesk.com/agent/users/{people.MIRA}"
    organization = await look_up_organization(client, organization_id=user.organization_id)
    assert (organization.name, organization.domains) == ("Harbour Coffee", ["harbourcoffee.example"])


async def test_absent_fields_are_null_for_flows(zendesk: ZendeskServer, client: ZendeskClient) -> None:
    zendesk.state.absent_fields["user"] = {"notes", "iana_time_zone", "tags", "user_fields"}
    user = await look_up_user(client, user_id=str(people.MIRA))
    assert (user.notes, user.iana_time_zone, user.tags, user.user_fields) == (None, None, [], {})


async def test_what_is_not_there_is_permanent(client: ZendeskClient) -> None:
    for look_up in (
        look_up_ticket(client, ticket_id="999", wanted=ALL),
        look_up_user(client, user_id="999"),
        look_up_organization(client, organization_id="999"),
    ):
        with pytest.raises(Permanent) as caught:
            await look_up
        assert caught.value.code == "not_found"


@pytest.mark.parametrize("none", [None, 0, "0", "", " "])
def test_ids_that_mean_nobody_are_null(none: object) -> None:
    ticket = ticket_from({"id": 7, "assignee_id": none, "collaborator_ids": [none, 5]}, None, "https://x.zendesk.com")
    assert ticket.assignee_id is None
    assert ticket.collaborator_ids == ["5"]


def test_upper_case_words_become_lower_case() -> None:
    ticket = ticket_from({"id": 7, "status": "OPEN", "priority": "URGENT", "type": ""}, None, "https://x.zendesk.com")
    assert (ticket.status, ticket.priority, ticket.type) == ("open", "urgent", None)


def test_metrics_of_another_ticket_are_not_taken() -> None:
    assert metrics_of({"ticket": {"id": 7}, "metric_sets": [{"ticket_id": 8}]}) is None


def test_an_answer_that_is_no_ticket_is_permanent_and_an_odd_field_is_left_out() -> None:
    with pytest.raises(Permanent, match="no id"):
        ticket_from({"subject": "no id"}, None, "https://x.zendesk.com")
    odd = {"id": 1, "name": "Ada", "active": "perhaps", "tags": [None, "vip"], "user_fields": 3}
    user = user_from(odd, "https://x.zendesk.com")
    assert (user.name, user.active, user.tags, user.user_fields) == ("Ada", None, ["vip"], {})
    ticket = ticket_from({"id": 7, "follower_ids": 5, "has_incidents": "x"}, None, "https://x.zendesk.com")
    assert (ticket.follower_ids, ticket.has_incidents) == ([], None)


def test_every_output_says_what_it_is() -> None:
    for model in (Ticket, User, Organization):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no description"
