"""The sample payloads: they have the keys the sandbox sends, and each load is a fresh copy."""

import pytest

from zendesk_bridge import samples
from zendesk_bridge.sandbox import ZendeskServer, ZendeskState, people


def test_samples_have_the_keys_of_the_sandboxs_records() -> None:
    state = ZendeskState()
    for name, record in (
        ("ticket", state.tickets[people.GRINDER]),
        ("user", state.users[people.MIRA]),
        ("organization", state.organizations[people.HARBOUR_COFFEE]),
    ):
        assert set(samples.load(name)[name]) == set(record)


async def test_the_sample_event_has_the_keys_of_the_sandboxs_event() -> None:
    async with ZendeskServer() as zendesk:
        event, _ = await zendesk.assign(people.GRINDER, people.NOOR)
    sample = samples.load("ticket_agent_assignment_changed")
    assert (set(sample), set(sample["detail"]), set(sample["event"])) == (
        set(event),
        set(event["detail"]),
        set(event["event"]),
    )


def test_a_sample_can_be_changed_without_changing_the_next() -> None:
    samples.load("user")["user"]["name"] = "Somebody else"
    assert samples.load("user")["user"]["name"] == "Mira Castellan"


def test_an_unknown_sample_is_refused_by_name() -> None:
    with pytest.raises(LookupError, match="There is no sample"):
        samples.load("../x")
