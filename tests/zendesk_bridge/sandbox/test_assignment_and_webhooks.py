"""Assigning a ticket in the Zendesk sandbox, and the signed webhooks that tell of it."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from zendesk_bridge.sandbox import ZendeskServer, people, webhooks

SECRET = "dGhpc19zZWNyZXRfaXNfdXNlZF9hc190ZXh0"


@dataclass
class Receiver:
    """Takes webhooks and answers as told."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        return web.Response(status=status, headers=headers)

    @property
    def events(self) -> list[Any]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/zendesk/events", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/zendesk/events"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def zendesk(receiver: Receiver) -> AsyncIterator[ZendeskServer]:
    async with ZendeskServer() as server:
        server.state.add_webhook(receiver.url, secret=SECRET)
        yield server


async def test_an_assignment_reaches_the_webhook_in_the_documented_form(
    zendesk: ZendeskServer, receiver: Receiver
) -> None:
    event, deliveries = await zendesk.assign(people.MARKUP, people.NOOR)
    assert [delivery.statuses for delivery in deliveries] == [(200,)]
    assert receiver.events == [event]
    assert event["event"] == {"previous": str(people.BEN), "current": str(people.NOOR)}
    assert event["type"] == "zen:event-type:ticket.agent_assignment_changed"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", event["time"])
    detail = event["detail"]
    assert (detail["id"], detail["status"], detail["priority"]) == (str(people.MARKUP), "OPEN", "NORMAL")
    assert detail["subject"] == "Charged twice: A&B <b>wholesale</b> order"
    assert detail["organization_id"] is None


async def test_the_signature_covers_the_time_and_the_raw_body(zendesk: ZendeskServer, receiver: Receiver) -> None:
    zendesk.state.pretty_bodies = True
    await zendesk.assign(people.UNICODE, people.NOOR)
    ((headers, body),) = receiver.got
    assert b"\n  " in body
    signed = headers["X-Zendesk-Webhook-Signature-Timestamp"].encode() + body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["X-Zendesk-Webhook-Signature"] == expected
    names = {name.lower() for name in headers}
    assert {"x-zendesk-webhook-id", "x-zendesk-webhook-invocation-id", "x-zendesk-account-id"} <= names


def test_the_signature_agrees_with_a_public_test_vector() -> None:
    body = b'{"event":"ticket.updated","id":123}'
    secret = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="
    assert webhooks.signature(secret, "2021-03-25T05:09:27Z", body) == "S/RDdU2ERmj7LHDDoWJ2onPYH+t7/f2+LTM4dL7UiLM="


async def test_a_new_ticket_that_is_assigned_is_opened_and_gets_its_agents_group(zendesk: ZendeskServer) -> None:
    await zendesk.assign(people.GRINDER, people.NOOR)
    ticket, metrics = zendesk.state.tickets[people.GRINDER], zendesk.state.metric_sets[people.GRINDER]
    assert (ticket["status"], ticket["group_id"], ticket["assignee_id"]) == ("open", people.SUPPORT, people.NOOR)
    assert metrics["status_updated_at"] == metrics["initially_assigned_at"] == ticket["updated_at"]
    changed = {event["field_name"]: event for event in zendesk.state.updates[-1].audit["events"]}
    assert set(changed) == {"assignee_id", "group_id", "status"}
    assert changed["assignee_id"]["previous_value"] is None


@pytest.mark.parametrize("form", [None, "", "0"])
async def test_nobody_is_written_in_the_form_asked_for(zendesk: ZendeskServer, receiver: Receiver, form: Any) -> None:
    zendesk.state.absent_id_form = form
    await zendesk.assign(people.MARKUP, None)
    (event,) = receiver.events
    assert event["event"] == {"previous": str(people.BEN), "current": form}
    assert event["detail"]["assignee_id"] == form


async def test_a_repeated_delivery_is_the_same_event_under_another_invocation(
    zendesk: ZendeskServer, receiver: Receiver
) -> None:
    event, _ = await zendesk.assign(people.GRINDER, people.NOOR)
    (again,) = await zendesk.deliver(event)
    assert again.status == 200
    assert receiver.events == [event, event]
    assert len({headers["x-zendesk-webhook-invocation-id"] for headers, _ in receiver.got}) == 2


async def test_nothing_is_sent_when_not_asked_or_not_subscribed_or_inactive(
    zendesk: ZendeskServer, receiver: Receiver
) -> None:
    assert (await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)).deliveries == ()
    (webhook,) = zendesk.state.webhooks.values()
    webhook["subscriptions"] = ["zen:event-type:ticket.created"]
    assert (await zendesk.assign(people.GRINDER, people.BEN)).deliveries == ()
    webhook.update(status="inactive", subscriptions=[people.ASSIGNMENT_CHANGED])
    assert (await zendesk.assign(people.GRINDER, people.LIN)).deliveries == ()
    assert receiver.got == []


async def test_a_ticket_made_with_an_agent_is_told_of_as_assigned_from_nobody(
    zendesk: ZendeskServer, receiver: Receiver
) -> None:
    await zendesk.create_ticket("Hi", "There", requester_id=people.TOMAS, assignee_id=people.BEN)
    assert [event["event"] for event in receiver.events] == [{"previous": None, "current": str(people.BEN)}]


async def test_assignments_that_zendesk_would_refuse_are_refused(zendesk: ZendeskServer) -> None:
    with pytest.raises(LookupError):
        await zendesk.assign(999_999, people.NOOR)
    with pytest.raises(LookupError):
        await zendesk.assign(people.GRINDER, 5)
    with pytest.raises(ValueError, match="not an active agent"):
        await zendesk.assign(people.GRINDER, people.TOMAS)
    with pytest.raises(ValueError, match="already"):
        await zendesk.assign(people.MARKUP, people.BEN)


@pytest.mark.parametrize(
    ("answers", "statuses"),
    [
        ([(409, {}), (409, {}), (409, {}), (409, {}), (200, {})], (409, 409, 409, 409)),
        ([(503, {"Retry-After": "5"}), (200, {})], (503, 200)),
        ([(429, {"Retry-After": "60"}), (200, {})], (429,)),
        ([(503, {}), (200, {})], (503,)),
        ([(500, {}), (200, {})], (500,)),
        ([(401, {}), (200, {})], (401,)),
    ],
)
async def test_deliveries_are_tried_again_as_zendesk_does(
    zendesk: ZendeskServer, receiver: Receiver, answers: list[Any], statuses: tuple[int, ...]
) -> None:
    zendesk.state.webhook_retries, zendesk.state.webhook_retry_pause = True, 0
    receiver.answers = answers
    _, (delivery,) = await zendesk.assign(people.GRINDER, people.NOOR)
    assert delivery.statuses == statuses
    assert len({headers["x-zendesk-webhook-invocation-id"] for headers, _ in receiver.got}) == 1


async def test_a_receiver_that_is_not_there_counts_as_no_answer(zendesk: ZendeskServer) -> None:
    (webhook,) = zendesk.state.webhooks.values()
    webhook["endpoint"] = "http://127.0.0.1:9/nobody"
    _, (delivery,) = await zendesk.assign(people.GRINDER, people.NOOR)
    assert delivery.status is None


async def test_a_webhook_made_over_the_api_gets_events_signed_with_its_secret(
    zendesk: ZendeskServer, receiver: Receiver
) -> None:
    zendesk.state.webhooks.clear()
    made = {
        "name": "Connector",
        "status": "active",
        "endpoint": receiver.url,
        "http_method": "POST",
        "request_format": "json",
        "subscriptions": [people.ASSIGNMENT_CHANGED],
    }
    headers = {"Authorization": f"Bearer {people.OAUTH_TOKEN}"}
    async with aiohttp.ClientSession(zendesk.url, headers=headers) as session:
        async with session.post("/api/v2/webhooks", json={"webhook": made}) as answer:
            assert answer.status == 201
            id = (await answer.json())["webhook"]["id"]
        async with session.get(f"/api/v2/webhooks/{id}/signing_secret") as answer:
            secret = (await answer.json())["signing_secret"]["secret"]
        await zendesk.assign(people.GRINDER, people.NOOR)
        ((sent, body),) = receiver.got
        at = sent["X-Zendesk-Webhook-Signature-Timestamp"]
        assert sent["X-Zendesk-Webhook-Signature"] == webhooks.signature(secret, at, body)
        async with session.get("/api/v2/webhooks?filter[name_contains]=connect") as answer:
            assert [each["id"] for each in (await answer.json())["webhooks"]] == [id]
        async with session.delete(f"/api/v2/webhooks/{id}") as answer:
            assert answer.status == 204
        async with session.get(f"/api/v2/webhooks/{id}") as answer:
            assert answer.status == 404
            assert "errors" in await answer.json()
        for wrong in (
            {"endpoint": "http://example.com"},
            {"http_method": "GET"},
            {"subscriptions": ["ticket.created"]},
        ):
            async with session.post("/api/v2/webhooks", json={"webhook": made | wrong}) as answer:
                assert answer.status == 400


async def test_an_assignment_over_the_api_is_told_of_too(zendesk: ZendeskServer, receiver: Receiver) -> None:
    headers = {"Authorization": f"Bearer {people.OAUTH_TOKEN}"}
    change = {"ticket": {"assignee_id": people.NOOR}}
    async with (
        aiohttp.ClientSession(zendesk.url, headers=headers) as session,
        session.put(f"/api/v2/tickets/{people.GRINDER}.json", json=change) as answer,
    ):
        assert (await answer.json())["ticket"]["status"] == "open"
    await zendesk.settle()
    assert [event["event"]["current"] for event in receiver.events] == [str(people.NOOR)]


async def test_a_late_delivery_is_signed_with_its_own_time(zendesk: ZendeskServer, receiver: Receiver) -> None:
    event, _ = await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    await zendesk.deliver(event, signed_at=1_700_000_000)
    ((headers, body),) = receiver.got
    assert headers["X-Zendesk-Webhook-Signature-Timestamp"] == "2023-11-14T22:13:20Z"
    assert headers["X-Zendesk-Webhook-Signature"] == webhooks.signature(SECRET, "2023-11-14T22:13:20Z", body)


async def test_times_of_the_assignee_move_only_when_the_assignee_writes(zendesk: ZendeskServer) -> None:
    await zendesk.assign(people.GRINDER, people.NOOR, actor_id=people.ADA)
    metrics = zendesk.state.metric_sets[people.GRINDER]
    assert metrics["assignee_updated_at"] is None
    await zendesk.assign(people.GRINDER, people.BEN, actor_id=people.BEN)
    assert metrics["assignee_updated_at"] == zendesk.state.tickets[people.GRINDER]["updated_at"]


async def test_the_events_beside_an_assignment_go_to_those_who_want_them(
    zendesk: ZendeskServer, receiver: Receiver
) -> None:
    zendesk.state.tags_as_text = True
    (webhook,) = zendesk.state.webhooks.values()
    webhook["subscriptions"] = [f"zen:event-type:ticket.{name}" for name in ("status_changed", "comment_added")]
    await zendesk.assign(people.GRINDER, people.NOOR)
    (event,) = receiver.events
    assert event["event"] == {"previous": "NEW", "current": "OPEN"}
    assert event["detail"]["tags"] == "grinder hardware"


async def test_a_receiver_that_mostly_fails_is_cut_off_for_five_seconds(
    zendesk: ZendeskServer, receiver: Receiver
) -> None:
    now = 1_790_000_000.0
    zendesk.state.clock = lambda: now
    zendesk.state.webhook_circuit_breaker = True
    receiver.answers = [(403, {})] * 10
    event, _ = await zendesk.assign(people.GRINDER, people.NOOR)
    for _ in range(9):
        await zendesk.deliver(event)
    (lost,) = await zendesk.deliver(event)
    assert (lost.statuses, len(receiver.got)) == ((), 10)
    now += 5
    (sent,) = await zendesk.deliver(event)
    assert sent.statuses == (200,)


@pytest.mark.parametrize(("with_seconds", "stamp"), [(False, r"T\d\d:\d\dZ"), (True, r"T\d\d:\d\d:\d\dZ")])
async def test_a_zendesk_trigger_sends_its_own_text_with_the_placeholders_filled_in(
    zendesk: ZendeskServer, receiver: Receiver, with_seconds: bool, stamp: str
) -> None:
    zendesk.state.webhooks.clear()
    zendesk.state.trigger_times_have_seconds = with_seconds
    body = '{"t": "{{ticket.id}}", "a": "{{ ticket.assignee.id }}", "at": "{{ticket.updated_at_with_timestamp}}"}'
    webhook = zendesk.state.add_trigger(receiver.url, body, secret=SECRET)
    assert webhook["subscriptions"] == ["conditional_ticket_events"]
    await zendesk.assign(people.MARKUP, people.NOOR)
    await zendesk.assign(people.MARKUP, None)
    given, taken = receiver.events
    assert (given["t"], given["a"], taken["a"]) == (str(people.MARKUP), str(people.NOOR), "")
    assert re.search(rf"\d{stamp}$", given["at"])
    headers, sent = receiver.got[0]
    expected = webhooks.signature(SECRET, headers["X-Zendesk-Webhook-Signature-Timestamp"], sent)
    assert headers["X-Zendesk-Webhook-Signature"] == expected


async def test_a_zendesk_trigger_for_assignments_tells_of_nothing_else(
    zendesk: ZendeskServer, receiver: Receiver
) -> None:
    zendesk.state.webhooks.clear()
    zendesk.state.add_trigger(receiver.url, "{}", secret=SECRET)
    await zendesk.create_ticket("Without an agent", "…", requester_id=people.MIRA)
    assert receiver.got == []
    await zendesk.create_ticket("With an agent", "…", requester_id=people.MIRA, assignee_id=people.NOOR)
    assert len(receiver.got) == 1
