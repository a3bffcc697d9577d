"""Records of what Zendesk answers: the same by the short way as by pydantic's, with the same words in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zendesk_bridge import records
from zendesk_bridge.flows.errors import Permanent
from zendesk_bridge.records import (
    Organization,
    Record,
    Ticket,
    User,
    id_text,
    organization_from,
    ticket_from,
    user_from,
)

BASE = "https://harbour.zendesk.com"
SEEDED = settings(derandomize=True, deadline=None, max_examples=250)
MADE_FROM: dict[str, dict[str, Any]] = {
    "via": {"channel": "email"},
    "satisfaction_rating": {"score": "GOOD"},
    "custom_fields": [{"id": 360001, "value": "E7"}, {"value": 1}, 5],
    "domain_names": ["a.example"],
}

atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("\ud800")
odd = st.recursive(
    atoms | st.sampled_from([0, "0", "", 9001, 2**63, 10**400, "OPEN", "a b", b"x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def answers(model: type[Record]) -> st.SearchStrategy[dict[str, Any]]:
    """Answers with most fields of a model null or missing, and some that are odd."""
    names = st.sampled_from(sorted({*model.model_fields, "id", *MADE_FROM}))
    given_values = st.dictionaries(names, odd, max_size=5)
    usual = st.fixed_dictionaries({}, optional={name: st.just(value) for name, value in MADE_FROM.items()})
    return st.tuples(usual, given_values, st.booleans()).map(
        lambda parts: {**({"id": 4021} if parts[2] else {}), **parts[0], **parts[1]}
    )


def outcome(make: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What came of it, and what was logged."""
    with mock.patch.object(records.log, "warning") as warning:
        try:
            made: Any = [(name, type(value), repr(value)) for name, value in make().items()]
        except Permanent as problem:
            made = (problem.code, problem.message)
    return made, [call.args[0] % call.args[1:] for call in warning.call_args_list]


@pytest.mark.parametrize(
    ("model", "make"),
    [
        (Ticket, lambda answer: ticket_from(answer, {"assignee_updated_at": answer.get("updated_at")}, BASE)),
        (User, lambda answer: user_from(answer, BASE)),
        (Organization, lambda answer: organization_from(answer, BASE)),
    ],
)
def test_an_answer_gives_the_same_record_and_the_same_log_by_either_way(
    model: type[Record], make: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    @SEEDED
    @given(answers(model))
    def agree(answer: dict[str, Any]) -> None:
        found = outcome(lambda: make(answer))
        with mock.patch.object(records, "taken", return_value=None):
            assert outcome(lambda: make(answer)) == found

    agree()


def test_odd_values_are_left_out_and_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        user = user_from({"id": 7, "name": ["Ada"], "active": "perhaps", "alias": "ada", "tags": [["vip"]]}, BASE)
    assert (user["name"], user["active"], user["alias"], user["tags"]) == (None, None, "ada", [])
    assert caplog.messages == ["User: odd values are left out: active, name, tags"]


@given(st.text(max_size=5) | st.sampled_from(["0", "00", " 0 ", "٣", "²", " 7", "\ud800", "-1"]))
@settings(derandomize=True)
def test_a_text_with_an_id_is_that_id_without_blanks(text: str) -> None:
    bare = text.strip()
    assert id_text(text) == (None if bare in ("", "0") else bare)
