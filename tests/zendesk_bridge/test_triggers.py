"""Zendesk's webhook: the signature, the body, the event in it."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from zendesk_bridge.flows.model import from_json, parse_time
from zendesk_bridge.samples import load
from zendesk_bridge.triggers import (
    SIGNATURE,
    TIMESTAMP,
    NotAnObject,
    assignment_of,
    parse_audits,
    parse_webhook,
    refusal,
    with_ticket,
)

NOW = dt.datetime(2026, 1, 31, 12, 0, tzinfo=dt.UTC)


def signed(secret: str, body: bytes, at: str) -> CIMultiDict[str]:
    digest = hmac.new(secret.encode(), at.encode() + body, hashlib.sha256).digest()
    return CIMultiDict({SIGNATURE: base64.b64encode(digest).decode(), TIMESTAMP: at})


def verify(secret: str | None, headers: CIMultiDict[str], body: bytes, max_age: float, now: dt.datetime) -> bool:
    return refusal(secret, headers, body, max_age, now) is None


def body_with(**changes: Any) -> bytes:
    message = load("ticket_agent_assignment_changed")
    message["detail"] |= changes.pop("detail", {})
    message |= changes
    return json.dumps(message).encode()


# The signature


def test_the_documented_signature_is_right() -> None:
    # Source: https://developer.zendesk.com/documentation/webhooks/verifying/
    body, at = b'{"event":"ticket.updated","id":123}', "2021-03-25T05:09:27Z"
    headers = CIMultiDict({SIGNATURE: "S/RDdU2ERmj7LHDDoWJ2onPYH+t7/f2+LTM4dL7UiLM=", TIMESTAMP: at})
    secret = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="
    assert verify(secret, headers, body, 3600, parse_time(at))


def test_the_secret_is_used_as_text_and_not_decoded() -> None:
    secret = base64.b64encode(b"decoded").decode()
    at = "2026-01-31T12:00:00Z"
    assert not verify(secret, signed("decoded", b"{}", at), b"{}", 3600, NOW)


@pytest.mark.parametrize(("seconds", "good"), [(0, True), (-3600, True), (-3601, False), (300, True), (301, False)])
def test_a_signature_may_be_an_hour_old_and_five_minutes_ahead(seconds: int, good: bool) -> None:
    at = (NOW + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert verify("s", signed("s", b"{}", at), b"{}", 3600, NOW) is good


@pytest.mark.parametrize(
    "change",
    [
        {SIGNATURE: ""},
        {SIGNATURE: "not base64 !"},
        {SIGNATURE: "é"},
        {TIMESTAMP: ""},
        {TIMESTAMP: "yesterday"},
        {TIMESTAMP: "2026-01-31T12:00:01Z"},
        {TIMESTAMP: "\udcff"},
        {TIMESTAMP: "0001-01-01T00:00:00+14:00"},
    ],
)
def test_a_missing_or_wrong_header_is_refused(change: dict[str, str]) -> None:
    headers = signed("s", b"{}", "2026-01-31T12:00:00Z")
    headers.update(change)
    assert not verify("s", headers, b"{}", 3600, NOW)


def test_a_changed_body_another_secret_or_none_is_refused() -> None:
    headers = signed("s", b"{}", "2026-01-31T12:00:00Z")
    assert verify("s", headers, b"{}", 3600, NOW)
    assert not verify("s", headers, b"{ }", 3600, NOW)
    assert not verify("t", headers, b"{}", 3600, NOW)
    assert not verify(None, headers, b"{}", 3600, NOW)
    assert not verify("", headers, b"{}", 3600, NOW)


# The body


def test_an_assignment_has_its_variables() -> None:
    event = parse_webhook(body_with())
    assert event is not None
    message = load("ticket_agent_assignment_changed")
    assert event.id == message["id"]
    assert event.type == "zendesk.ticket_agent_assignment_changed"
    assert event.data["ticket_id"] == message["detail"]["id"]
    assert event.data["assignee_id"] == message["event"]["current"]
    assert event.data["status"] == message["detail"]["status"].lower()
    assert event.occurred_at.tzinfo is not None


def test_a_pretty_printed_body_is_the_same_event() -> None:
    pretty = json.dumps(json.loads(body_with()), indent=4).encode()
    assert parse_webhook(pretty) == parse_webhook(body_with())


@pytest.mark.parametrize("nobody", ["0", "", None, 0])
def test_nobody_is_null_however_zendesk_says_it(nobody: object) -> None:
    event = parse_webhook(body_with(event={"previous": nobody, "current": nobody}))
    assert event is not None
    assert (event.data["assignee_id"], event.data["previous_assignee_id"]) == (None, None)


def test_a_change_without_current_takes_the_tickets_assignee() -> None:
    event = parse_webhook(body_with(event={}, detail={"assignee_id": "42"}))
    assert event is not None
    assert event.data["assignee_id"] == "42"


def test_ids_as_numbers_and_tags_as_one_text_are_understood() -> None:
    event = parse_webhook(body_with(detail={"id": 77, "requester_id": 5, "tags": "vip urgent", "priority": "URGENT"}))
    assert event is not None
    assert (event.data["ticket_id"], event.data["requester_id"]) == ("77", "5")
    assert (event.data["tags"], event.data["priority"]) == (["vip", "urgent"], "urgent")


@pytest.mark.parametrize("name", ["priority", "type", "tags", "via", "external_id", "custom_status", "updated_at"])
def test_what_may_be_missing_may_be_missing(name: str) -> None:
    message = load("ticket_agent_assignment_changed")
    message["detail"].pop(name, None)
    assert parse_webhook(json.dumps(message).encode()) is not None


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "zen:event-type:ticket.created", "id": "1", "detail": {"id": "1"}}',
        b"{}",
        b'{"type": 7}',
        b'{"type": "zen:event-type:ticket.agent_assignment_changed"}',
        b'{"type": "zen:event-type:ticket.agent_assignment_changed", "id": "x", "detail": {"id": "../1"}}',
        b'{"type": "zen:event-type:ticket.agent_assignment_changed", "id": "x", "detail": [], "event": 3}',
    ],
)
def test_an_object_that_is_no_event_we_know_is_nothing(body: bytes) -> None:
    assert parse_webhook(body) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"3", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(NotAnObject):
        parse_webhook(body)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    detail=st.dictionaries(
        st.sampled_from(["id", "assignee_id", "tags", "status", "via", "updated_at", "is_public", "subject"]), _json
    ),
    event=_json,
    time=_json,
    id=_json,
)
def test_no_odd_value_breaks_the_parser(detail: Any, event: Any, time: Any, id: Any) -> None:
    message = {
        "type": "zen:event-type:ticket.agent_assignment_changed",
        "id": id,
        "time": time,
        "detail": {"id": "7", **detail},
        "event": event,
    }
    found = parse_webhook(json.dumps(message).encode())
    plain = isinstance(id, str) and 0 < len(id) <= 200 and time is None
    if plain and not {"id", "updated_at"} & set(detail):
        assert found is not None, "nothing but its id is needed"
    assert found is None or found.data["ticket_id"].isdigit()


@pytest.mark.parametrize(
    "odd",
    [
        {"tags": [None]},
        {"tags": 5},
        {"is_public": "maybe"},
        {"external_id": {"a": 1}},
        {"status": {"a": 1}},
        {"subject": True},
        {"via": "mail"},
        {"requester_id": [1]},
        {"updated_at": 5},
    ],
)
def test_an_odd_field_does_not_lose_the_event(odd: dict[str, Any]) -> None:
    event = parse_webhook(body_with(detail=odd))
    assert event is not None
    assert event.data["ticket_id"] == load("ticket_agent_assignment_changed")["detail"]["id"]


@pytest.mark.parametrize("change", [None, "x", 3, [], {"current": {"a": 1}}])
def test_an_odd_change_does_not_lose_the_event(change: object) -> None:
    assert parse_webhook(body_with(event=change)) is not None


def test_a_time_at_the_end_of_all_times_is_no_event_and_no_crash() -> None:
    assert parse_webhook(body_with(time="0001-01-01T00:00:00+14:00")) is None


@pytest.mark.parametrize("id", ["x", "x" * 200, "5b0f6a2e-6c1d", "é" * 200, " ", "\x00", 5, 1.5, 2**63])
def test_an_event_has_its_id_as_text(id: object, caplog: pytest.LogCaptureFixture) -> None:
    event = parse_webhook(body_with(id=id))
    assert event is not None
    assert event.id == str(id)
    assert caplog.messages == []


@pytest.mark.parametrize(
    "odd", [{"id": id} for id in ("", "x" * 201, "é" * 201, "\ud800", None, True, [], {})] + [{"id": 5, "detail": "x"}]
)
def test_an_event_without_an_id_or_a_detail_is_named_in_the_log(
    odd: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    message = load("ticket_agent_assignment_changed") | odd
    assert parse_webhook(json.dumps(message).encode()) is None
    assert caplog.messages == [f"an assignment event cannot be read: {list(odd)[-1]}"]


def test_a_live_ticket_becomes_the_event_of_its_assignment() -> None:
    event = assignment_of(load("ticket")["ticket"], "test-1")
    assert event is not None
    assert event.source == "test"
    assert event.data["form_id"] == str(load("ticket")["ticket"]["ticket_form_id"])
    assert event.data["via_channel"] == load("ticket")["ticket"]["via"]["channel"]
    assert event.data["ticket_id"] == str(load("ticket")["ticket"]["id"])
    assert event.data["assignee_id"] == str(load("ticket")["ticket"]["assignee_id"])


# The message of a Zendesk trigger


def notice(**changes: Any) -> bytes:
    return json.dumps(load("zendesk_trigger") | changes).encode()


@pytest.mark.parametrize("assignee", [41700000000229, "41700000000229"])
def test_a_zendesk_triggers_message_is_the_same_event(assignee: object) -> None:
    event = parse_webhook(notice(ticket_id=int(load("zendesk_trigger")["ticket_id"]), assignee_id=assignee))
    assert event is not None
    assert (event.type, event.source) == ("zendesk.ticket_agent_assignment_changed", "webhook")
    assert (event.data["ticket_id"], event.data["assignee_id"]) == ("101", "41700000000229")
    assert (event.data["previous_assignee_id"], event.data["subject"]) == (None, None)
    assert event.occurred_at == parse_time("2026-01-05T08:03:00Z")


@pytest.mark.parametrize("nobody", ["", "0", None, 0])
def test_a_zendesk_trigger_tells_of_nobody_in_any_form(nobody: object) -> None:
    event = parse_webhook(notice(assignee_id=nobody))
    assert event is not None
    assert event.data["assignee_id"] is None


def ids(*messages: tuple[dict[str, Any], str | None]) -> int:
    """How many different events these messages are."""
    events = [parse_webhook(notice(**changes), invocation) for changes, invocation in messages]
    assert None not in events
    return len({event.id for event in events if event is not None})


def test_each_try_of_a_delivery_is_the_same_event() -> None:
    assert ids(({}, "one"), ({}, "one"), ({"assignee_id": 41700000000229}, "one")) == 1


def test_a_time_to_the_second_makes_the_event_whatever_the_delivery() -> None:
    at = {"updated_at": "2026-01-05T08:03:04Z"}
    assert ids((at, "one"), (at, "two"), (at, None)) == 1
    assert ids((at, "one"), ({"updated_at": "2026-01-05T08:03:44Z"}, "one")) == 2
    assert ids((at, "one"), ({**at, "assignee_id": "7"}, "one"), ({**at, "ticket_id": "102"}, "one")) == 3


def test_to_and_fro_within_a_minute_are_told_apart_by_their_deliveries() -> None:
    assert ids(({}, "one"), ({"assignee_id": "7"}, "two"), ({}, "three")) == 3


@pytest.mark.parametrize("stamp", ["", "January 5, 2026", None, 7, "0001-01-01T00:00Z", "9999-12-31T23:59-14:00"])
def test_a_time_that_cannot_be_read_does_not_lose_the_event(stamp: object) -> None:
    odd = {"updated_at": stamp}
    assert ids((odd, "one"), (odd, "one"), (odd, "two")) == 2
    assert ids((odd, None), (odd, None), ({**odd, "ticket_id": "102"}, None)) == 2


def test_a_zendesk_trigger_that_does_not_name_the_agent_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    message = load("zendesk_trigger")
    del message["assignee_id"]
    with caplog.at_level(logging.WARNING):
        assert parse_webhook(json.dumps(message).encode()) is None
    assert "add it to the JSON body" in caplog.text


# The export of ticket events


def audit(*children: Any, **changes: Any) -> dict[str, Any]:
    told = {
        "id": 900,
        "ticket_id": 101,
        "created_at": "2026-01-05T08:03:04Z",
        "timestamp": 1767600184,
        "updater_id": 5,
        "child_events": list(children),
    }
    return {name: value for name, value in (told | changes).items() if value != "left out"}


def change(current: Any = 7, previous: Any = "6", **more: Any) -> dict[str, Any]:
    return {"id": 901, "event_type": "Change", "assignee_id": current, "previous_value": previous, **more}


def test_a_change_of_the_assignee_is_an_assignment() -> None:
    (event,) = parse_audits([audit({"event_type": "Change", "status": "open"}, change())])
    assert (event.id, event.source, event.occurred_at) == ("audit-900", "poll", parse_time("2026-01-05T08:03:04Z"))
    known = {"ticket_id": "101", "assignee_id": "7", "previous_assignee_id": "6", "actor_id": "5"}
    assert known.items() <= event.data.items()


@pytest.mark.parametrize(
    ("child", "found"),
    [
        (change(None), (None, "6")),
        (change("", 6), (None, "6")),
        (change("0", "6"), (None, "6")),
        (change("7", None), ("7", None)),
        (change("7", ""), ("7", None)),
        ({"event_type": "Create", "assignee_id": 7}, ("7", None)),
        ({"event_type": "Change", "assignee_id": 7}, ("7", None)),
        ({"assignee_id": 7, "previous_value": 6}, ("7", "6")),
    ],
)
def test_ids_are_understood_in_any_form(child: dict[str, Any], found: tuple[str | None, str | None]) -> None:
    (event,) = parse_audits([audit(child)])
    assert (event.data["assignee_id"], event.data["previous_assignee_id"]) == found


@pytest.mark.parametrize(
    "child",
    [
        {"event_type": "Create", "assignee_id": None},
        {"event_type": "Create", "assignee_id": ""},
        change("7", 7),
        change(None, "0"),
        {"event_type": "Change", "group_id": 7, "previous_value": 6},
        {"event_type": "Comment", "comment_present": True},
        {"event_type": "Notification", "assignee_id": 7},
        None,
        "x",
    ],
)
def test_what_assigns_nothing_is_no_assignment(child: Any) -> None:
    assert parse_audits([audit(child)]) == []


def test_several_changes_of_one_audit_stay_in_order_under_ids_of_their_own() -> None:
    events = parse_audits([audit(change(7, 6), change(8, 7))])
    assert [(event.id, event.data["assignee_id"]) for event in events] == [("audit-900", "7"), ("audit-900-2", "8")]


def test_a_page_is_read_in_order_of_time() -> None:
    later = audit(change(), id=899, created_at="2026-01-05T08:03:05Z")
    assert [event.id for event in parse_audits([later, audit(change())])] == ["audit-900", "audit-899"]


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "x",
        audit(change(), id="left out"),
        audit(change(), id=None),
        audit(change(), ticket_id=None),
        audit(change(), ticket_id="../1"),
        audit(change(), created_at="yesterday"),
        audit(change(), created_at="left out", timestamp="left out"),
        audit(change(), created_at=None, timestamp=[1]),
        audit(change(), created_at=None, timestamp=1e300),
        audit(change(), created_at=None, timestamp="1e15"),
        audit(change(), created_at="0001-01-01T00:00:00+14:00"),
        audit(change(), child_events=None),
        audit(change(), child_events={"0": change()}),
    ],
)
def test_an_odd_audit_loses_nothing_else_on_the_page(odd: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert [event.id for event in parse_audits([odd, audit(change(), id="7")])] == ["audit-7"]
    assert len(caplog.records) == (0 if isinstance(odd, dict) and not isinstance(odd["child_events"], list) else 1)


@pytest.mark.parametrize("stamp", [1767600184, "1767600184", 1767600184.0])
def test_the_time_may_come_as_seconds(stamp: object) -> None:
    (event,) = parse_audits([audit(change(), created_at="left out", timestamp=stamp)])
    assert event.occurred_at == parse_time("2026-01-05T08:03:04Z")


def test_a_ticket_completes_a_polled_event_and_changes_nothing_the_export_said() -> None:
    (event,) = parse_audits([audit(change())])
    ticket = load("ticket")["ticket"]
    whole = with_ticket(event, ticket)
    assert (whole.id, whole.source, whole.occurred_at) == (event.id, "poll", event.occurred_at)
    for name in ("ticket_id", "assignee_id", "previous_assignee_id", "actor_id", "occurred_at"):
        assert whole.data[name] == event.data[name]
    assert (whole.data["subject"], whole.data["created_at"]) == (ticket["subject"], ticket["created_at"])
    assert whole.data["form_id"] == str(ticket["ticket_form_id"])


@settings(max_examples=200, deadline=None)
@given(page=st.lists(_json, max_size=3), inner=_json, child=st.dictionaries(st.sampled_from(["assignee_id"]), _json))
def test_no_odd_page_breaks_the_reading_of_it(page: list[Any], inner: Any, child: Any) -> None:
    good = audit(change(), id=1)
    assert "audit-1" in [event.id for event in parse_audits([*page, audit(inner, child, created_at=inner), good])]


@pytest.mark.parametrize(
    ("text", "means"),
    [
        (b'{"a": 1, "b": "\\u00e9"}', {"a": 1, "b": "é"}),
        (b'{"cut": "\\ud83d"}', {"cut": "\ud83d"}),
        (b'{"a": NaN, "b": -Infinity}', {"a": None, "b": None}),
    ],
)
def test_json_is_read_also_where_a_strict_reader_refuses_it(text: bytes, means: dict[str, Any]) -> None:
    assert from_json(text) == means
