"""People by e-mail address: remembered, asked for once, and where many are unknown, found in the list of everybody."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from bolt_app import directory
from bolt_app.client import SlackClient
from bolt_app.directory import MANY
from bolt_app.records import SlackPerson
from bolt_app.sandbox import Fault, SlackServer
from bolt_app.sandbox.people import NOOR
from zendesk_bridge.flows.errors import Permanent

LISTED, LOOKED_UP = "users.list", "users.lookupByEmail"


def calls(slack: SlackServer) -> Counter[str]:
    return Counter(call.method for call in slack.state.calls if call.method != "auth.test")


def crowd(slack: SlackServer, count: int = MANY) -> list[str]:
    """The addresses of so many people who are new in the workspace."""
    for number in range(count):
        slack.state.add_person(f"agent{number}", f"agent{number}@acme.example")
    return [f"agent{number}@acme.example" for number in range(count)]


async def find(client: SlackClient, *emails: str) -> list[SlackPerson | BaseException]:
    return await asyncio.gather(*map(client.user_by_email, emails), return_exceptions=True)


async def test_somebody_is_asked_for_once_by_all_who_want_to_know(slack: SlackServer, client: SlackClient) -> None:
    found = await find(client, *[NOOR.email] * 10)
    assert {person.id for person in found if isinstance(person, SlackPerson)} == {NOOR.id}
    assert calls(slack) == {LOOKED_UP: 1}


async def test_a_few_unknown_addresses_are_looked_up_one_by_one(slack: SlackServer, client: SlackClient) -> None:
    await find(client, *crowd(slack, MANY - 1))
    assert calls(slack) == {LOOKED_UP: MANY - 1}


async def test_many_unknown_addresses_cost_one_list(slack: SlackServer, client: SlackClient) -> None:
    emails = crowd(slack, 50)
    found = await find(client, *(email.upper() for email in emails))
    assert [person.email for person in found if isinstance(person, SlackPerson)] == emails
    assert calls(slack) == {LISTED: 1}


async def test_a_list_is_read_as_far_as_it_is_needed(
    slack: SlackServer, client: SlackClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "PEOPLE_A_PAGE", 10)
    emails = crowd(slack, 100)
    await find(client, *emails[:MANY])
    listed = calls(slack)[LISTED]
    assert MANY / 10 <= listed <= MANY / 10 + 2, "a page may begin with the people who are always there"
    monkeypatch.setattr(directory, "PEOPLE_PAGES", 3)
    slack.state.calls.clear()
    assert all(isinstance(person, SlackPerson) for person in await find(client, *emails[70:95]))
    assert calls(slack) == {LISTED: 3, LOOKED_UP: 25}


async def test_whoever_is_not_in_the_list_fails_alone_and_with_slacks_own_word(
    slack: SlackServer, client: SlackClient
) -> None:
    emails = crowd(slack)
    gone = slack.state.person_with_email(emails[3])
    assert gone is not None
    slack.state.people[gone.id] = replace(gone, deleted=True)
    found = await find(client, *emails, "nobody@acme.example")
    refused = [each for each in found if not isinstance(each, SlackPerson)]
    assert [each.code for each in refused if isinstance(each, Permanent)] == ["users_not_found"] * 2
    assert len(found) == len(refused) + MANY - 1
    assert calls(slack) == {LISTED: 1, LOOKED_UP: 2}


async def test_where_nobody_may_be_listed_everybody_is_looked_up(slack: SlackServer, client: SlackClient) -> None:
    slack.state.faults.append(Fault(method=LISTED, kind="error", error="missing_scope"))
    assert all(isinstance(person, SlackPerson) for person in await find(client, *crowd(slack)))
    assert calls(slack) == {LISTED: 1, LOOKED_UP: MANY}


async def test_somebody_of_another_workspace_with_the_same_address_is_not_taken_from_the_list(
    slack: SlackServer, client: SlackClient
) -> None:
    emails = crowd(slack)
    own = slack.state.person_with_email(emails[0])
    only = slack.state.person_with_email(emails[1])
    assert own is not None
    assert only is not None
    slack.state.people["U0ELSE00001"] = replace(own, id="U0ELSE00001", team_id="T0ELSEWHER")
    slack.state.people[only.id] = replace(only, team_id="T0ELSEWHER")
    found = await find(client, *emails)
    assert [person.id for person in found[:1] if isinstance(person, SlackPerson)] == [own.id]
    assert calls(slack) == {LISTED: 1, LOOKED_UP: 1}, "Slack itself says whether it finds the other"


async def test_a_list_that_cannot_be_read_fails_nobody(
    slack: SlackServer, client: SlackClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(page: object) -> list[SlackPerson]:
        raise AttributeError("'list' object has no attribute 'get'")

    monkeypatch.setattr(directory, "people_in", odd)
    assert all(isinstance(person, SlackPerson) for person in await find(client, *crowd(slack)))
    assert calls(slack) == {LISTED: 1, LOOKED_UP: MANY}
