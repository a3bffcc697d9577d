"""The Zendesk actions: what flows see of tickets, users and organizations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.actions import look_up_organization, look_up_ticket, look_up_user
from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.flows.catalog import Wanted
from zendesk_bridge.flows.errors import Permanent
from zendesk_bridge.reads import Reads
from zendesk_bridge.records import Organization, Ticket, User, ticket_from, user_from
from zendesk_bridge.sandbox import ZendeskServer, people

ALL = Wanted(frozenset({"latest_agent_update"}))
COMMENT = Wanted(frozenset({"latest_agent_comment"}))
UPDATED = "2026-11-21T09:00:00Z"


@pytest.fixture
async def reads(zendesk: ZendeskServer) -> AsyncIterator[Reads]:
    settings = ZendeskSettings(subdomain="harbour", api_url=zendesk.url, oauth_token=SecretStr(people.OAUTH_TOKEN))
    client = ZendeskClient(settings)
    reads = Reads(client)
    yield reads
    reads.close()
    await client.close()


async def test_a_ticket_has_its_fields_its_custom_fields_and_the_agents_page(
    zendesk: ZendeskServer, reads: Reads
) -> None:
    zendesk.state.tickets[people.GRINDER]["custom_fields"] = [
        {"id": 360001, "value": "E7"},
        {"id": 360002, "value": None},
    ]
    ticket = await look_up_ticket(reads, ticket_id="101", wanted=Wanted())
    assert ticket["ticket_id"] == "101"
    assert ticket["subject"] == "The grinder won't start after cleaning"
    assert (ticket["status"], ticket["priority"], ticket["type"]) == ("new", "high", "problem")
    assert ticket["tags"] == ["grinder", "hardware"]
    assert ticket["requester_id"] == str(people.MIRA)
    assert ticket["assignee_id"] is None
    assert ticket["url"] == "https://harbour.zendesk.com/agent/tickets/101"
    assert ticket["custom_fields"] == {"360001": "E7", "360002": None}


@pytest.mark.parametrize("inside", [False, True])
async def test_the_latest_agent_update_is_read_beside_the_ticket_and_inside_it(
    zendesk: ZendeskServer, reads: Reads, inside: bool
) -> None:
    zendesk.state.metric_sets[people.GRINDER]["assignee_updated_at"] = UPDATED
    zendesk.state.metric_set_inside_ticket = inside
    ticket = await look_up_ticket(reads, ticket_id="101", wanted=ALL)
    assert ticket["latest_agent_update"] == UPDATED
    assert len(zendesk.state.calls) == 1


async def test_a_metric_set_that_was_left_out_is_fetched_only_where_the_flow_uses_it(
    zendesk: ZendeskServer, reads: Reads
) -> None:
    zendesk.state.metric_sets[people.GRINDER]["assignee_updated_at"] = UPDATED
    zendesk.state.leave_out.add("metric_sets")
    assert (await look_up_ticket(reads, ticket_id="101", wanted=Wanted()))["latest_agent_update"] is None
    assert len(zendesk.state.calls) == 1
    assert (await look_up_ticket(reads, ticket_id="101", wanted=ALL))["latest_agent_update"] == UPDATED
    assert len(zendesk.state.calls) == 3


async def test_a_null_update_is_an_answer_and_not_fetched_again(zendesk: ZendeskServer, reads: Reads) -> None:
    ticket = await look_up_ticket(reads, ticket_id="101", wanted=ALL)
    assert ticket["latest_agent_update"] is None
    assert len(zendesk.state.calls) == 1


def comment(zendesk: ZendeskServer, author: int, body: str, *, public: bool = True) -> dict[str, Any]:
    """Somebody's comment on the ticket about the grinder; the record of it."""
    state = zendesk.state
    state.record_update(
        state.tickets[people.GRINDER], author, [], channel="web", at=state.clock(), body=body, public=public
    )
    return state.comments[people.GRINDER][-1]


async def latest(reads: Reads) -> str | None:
    return (await look_up_ticket(reads, ticket_id="101", wanted=COMMENT))["latest_agent_comment"]


async def test_the_latest_agent_comment_is_the_newest_public_one_by_an_agent_or_admin(
    zendesk: ZendeskServer, reads: Reads
) -> None:
    assert await latest(reads) is None, "a customer's words are not an agent's"
    comment(zendesk, people.BEN, "Have you tried <b>water</b> & salt?")
    comment(zendesk, people.NOOR, "Replace E7,\nplease.")
    comment(zendesk, people.MIRA, "Thank you!")
    comment(zendesk, people.BEN, "She is nervous", public=False)
    assert await latest(reads) == "Replace E7,\nplease."
    comment(zendesk, people.ADA, "Sent.")
    assert await latest(reads) == "Sent."


async def test_the_sample_ticket_with_an_answer_shows_it(reads: Reads) -> None:
    ticket = await look_up_ticket(reads, ticket_id=str(people.MARKUP), wanted=COMMENT)
    assert ticket["latest_agent_comment"] == "We found the doubled invoice & are refunding it."


async def test_comments_are_fetched_only_where_the_flow_uses_them(zendesk: ZendeskServer, reads: Reads) -> None:
    comment(zendesk, people.NOOR, "Sent.")
    assert (await look_up_ticket(reads, ticket_id="101", wanted=ALL))["latest_agent_comment"] is None
    assert len(zendesk.state.calls) == 1
    assert await latest(reads) == "Sent."
    assert len(zendesk.state.calls) == 3


async def test_a_comment_without_plain_text_gives_its_body(zendesk: ZendeskServer, reads: Reads) -> None:
    comment(zendesk, people.NOOR, "Sent.")["plain_body"] = ""
    assert await latest(reads) == "Sent."
    comment(zendesk, people.NOOR, "")
    assert await latest(reads) is None, "a comment that is only an attachment has no text"


async def test_an_agents_comment_on_a_later_page_is_found_and_the_hundred_newest_are_enough(
    zendesk: ZendeskServer, reads: Reads
) -> None:
    comment(zendesk, people.NOOR, "Sent.")
    for number in range(99):
        comment(zendesk, people.MIRA, f"Where is it? ({number})")
    assert await latest(reads) == "Sent."
    assert len(zendesk.state.calls) == 1 + 4
    comment(zendesk, people.MIRA, "Where is it?")
    assert await latest(reads) is None
    assert len(zendesk.state.calls) == 2 * (1 + 4)


async def test_authors_who_are_not_beside_their_comments_are_asked_for_a_few_and_once_each(
    zendesk: ZendeskServer, reads: Reads
) -> None:
    zendesk.state.leave_out.add("users")
    comment(zendesk, people.NOOR, "Sent.")
    comment(zendesk, people.MIRA, "Thank you!")
    comment(zendesk, people.MIRA, "And another thing")
    comment(zendesk, -1, "This request was closed")
    assert await latest(reads) == "Sent."
    asked = [call.path for call in zendesk.state.calls if "/users/" in call.path]
    assert [int(path.rpartition("/")[2].removesuffix(".json")) for path in asked] == [people.MIRA, people.NOOR]
    for gone in range(1, 11):
        comment(zendesk, gone, "x")
    zendesk.state.calls.clear()
    assert await latest(reads) is None
    assert len(zendesk.state.calls) == 1 + 1 + 5


async def test_a_person_and_an_organization_have_their_fields(zendesk: ZendeskServer, reads: Reads) -> None:
    zendesk.state.users[people.MIRA]["user_fields"] = {"tier": "gold"}
    user = await look_up_user(reads, user_id=str(people.MIRA), wanted=Wanted())
    assert (user["name"], user["role"], user["iana_time_zone"]) == ("Mira Castellan", "end-user", "Europe/Lisbon")
    assert user["notes"] == "Buyer for <wholesale> & retail; prefers e-mail"
    assert user["organization_id"] == str(people.HARBOUR_COFFEE)
    assert user["user_fields"] == {"tier": "gold"}
    assert user["url"] == f"https://harbour.zendesk.com/agent/users/{people.MIRA}"
    organization = await look_up_organization(reads, organization_id=user["organization_id"], wanted=Wanted())
    assert (organization["name"], organization["domains"]) == ("Harbour Coffee", ["harbourcoffee.example"])


async def test_absent_fields_are_null_for_flows(zendesk: ZendeskServer, reads: Reads) -> None:
    zendesk.state.absent_fields["user"] = {"notes", "iana_time_zone", "tags", "user_fields"}
    user = await look_up_user(reads, user_id=str(people.MIRA), wanted=Wanted())
    assert (user["notes"], user["iana_time_zone"], user["tags"], user["user_fields"]) == (None, None, [], {})


async def test_what_is_not_there_is_permanent(reads: Reads) -> None:
    for look_up in (
        look_up_ticket(reads, ticket_id="999", wanted=ALL),
        look_up_user(reads, user_id="999", wanted=ALL),
        look_up_organization(reads, organization_id="999", wanted=ALL),
    ):
        with pytest.raises(Permanent) as caught:
            await look_up
        assert caught.value.code == "not_found"


@pytest.mark.parametrize("none", [None, 0, "0", "", " "])
def test_ids_that_mean_nobody_are_null(none: object) -> None:
    ticket = ticket_from({"id": 7, "assignee_id": none, "collaborator_ids": [none, 5]}, None, "https://x.zendesk.com")
    assert ticket["assignee_id"] is None
    assert ticket["collaborator_ids"] == ["5"]


def test_upper_case_words_become_lower_case() -> None:
    ticket = ticket_from({"id": 7, "status": "OPEN", "priority": "URGENT", "type": ""}, None, "https://x.zendesk.com")
    assert (ticket["status"], ticket["priority"], ticket["type"]) == ("open", "urgent", None)


def test_an_answer_that_is_no_ticket_is_permanent_and_an_odd_field_is_left_out() -> None:
    with pytest.raises(Permanent, match="no id"):
        ticket_from({"subject": "no id"}, None, "https://x.zendesk.com")
    odd = {"id": 1, "name": "Ada", "active": "perhaps", "tags": [None, "vip"], "user_fields": 3}
    user = user_from(odd, "https://x.zendesk.com")
    assert (user["name"], user["active"], user["tags"], user["user_fields"]) == ("Ada", None, ["vip"], {})
    ticket = ticket_from({"id": 7, "follower_ids": 5, "has_incidents": "x"}, None, "https://x.zendesk.com")
    assert (ticket["follower_ids"], ticket["has_incidents"]) == ([], None)


def test_every_output_says_what_it_is() -> None:
    for model in (Ticket, User, Organization):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no description"
