"""Who may have webhooks in the sandbox, how many, subscribed to what; and the test request before anything happens."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from zendesk_bridge.sandbox import ZendeskServer, people, webhooks
from zendesk_bridge.sandbox.tokens import Token

EVENTS = [f"zen:event-type:ticket.{name}" for name in ("agent_assignment_changed", "status_changed", "comment_added")]
WEBHOOK = {
    "name": "Connector",
    "endpoint": "https://connector.example/zendesk/events",
    "http_method": "POST",
    "request_format": "json",
    "status": "active",
}


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskServer]:
    async with ZendeskServer() as server:
        yield server


async def call(
    zendesk: ZendeskServer, method: str, path: str, bearer: str = people.OAUTH_TOKEN, **sent: Any
) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {bearer}"}) as session,
        session.request(method, f"{zendesk.url}/api/v2/{path}", **sent) as answer,
    ):
        return answer.status, await answer.json() if answer.status != 204 else None


async def made(zendesk: ZendeskServer, **fields: Any) -> tuple[int, Any]:
    return await call(zendesk, "POST", "webhooks", json={"webhook": WEBHOOK | fields})


async def test_agents_may_not_manage_webhooks_whatever_their_scope(zendesk: ZendeskServer) -> None:
    zendesk.state.tokens["agents"] = Token(
        value="agents", client_id=people.CLIENT_ID, user_id=people.BEN, scope="read write", expires_at=None
    )
    for method, path in (("GET", "webhooks"), ("POST", "webhooks"), ("POST", "webhooks/test")):
        status, answer = await call(zendesk, method, path, "agents", json={"webhook": WEBHOOK})
        assert (status, answer["error"]["title"]) == (403, "Forbidden")


async def test_an_account_can_refuse_events_but_take_triggers(zendesk: ZendeskServer) -> None:
    zendesk.state.refuses_event_subscriptions = True
    status, answer = await made(zendesk, subscriptions=EVENTS)
    assert (status, set(answer["errors"][0])) == (400, {"code", "title", "detail"})
    assert (await made(zendesk, subscriptions=["conditional_ticket_events"]))[0] == 201


async def test_a_trial_has_ten_webhooks_at_most(zendesk: ZendeskServer) -> None:
    zendesk.state.most_webhooks = 10
    statuses = [(await made(zendesk))[0] for _ in range(11)]
    assert statuses == [201] * 10 + [403]
    assert len(zendesk.state.webhooks) == 10


async def test_a_webhook_takes_several_events_and_can_change_them(zendesk: ZendeskServer, inbox: Any) -> None:
    _, answer = await made(zendesk, endpoint=inbox.url, subscriptions=EVENTS[:1])
    path = f"webhooks/{answer['webhook']['id']}"
    status, answer = await call(zendesk, "PATCH", path, json={"webhook": {"subscriptions": EVENTS}})
    assert (status, answer["webhook"]["subscriptions"]) == (200, EVENTS)
    await zendesk.assign(people.GRINDER, people.NOOR)
    assert sorted(json.loads(text)["type"] for text in inbox.texts) == sorted(EVENTS[:2])
    for wrong in (["zen:event-type:ticket.assigned"], ["conditional_ticket_events"], [*EVENTS, "ticket.created"]):
        assert (await call(zendesk, "PATCH", path, json={"webhook": {"subscriptions": wrong}}))[0] == 400
    assert (await call(zendesk, "GET", path))[1]["webhook"]["subscriptions"] == EVENTS


async def test_a_put_wants_the_whole_webhook(zendesk: ZendeskServer) -> None:
    _, answer = await made(zendesk, subscriptions=EVENTS)
    path = f"webhooks/{answer['webhook']['id']}"
    assert (await call(zendesk, "PUT", path, json={"webhook": {"name": "Other"}}))[0] == 400
    assert (await call(zendesk, "PUT", path, json={"webhook": WEBHOOK | {"name": "Other"}}))[0] == 204
    assert (await call(zendesk, "GET", path))[1]["webhook"]["name"] == "Other"


@pytest.mark.parametrize("wrong", [{"endpoint": "http://connector.example/"}, {"endpoint": "https://["}, {"name": ""}])
async def test_a_webhook_that_cannot_work_is_not_made(zendesk: ZendeskServer, wrong: dict[str, str]) -> None:
    status, answer = await made(zendesk, **wrong)
    assert (status, answer["errors"][0]["code"]) == (400, "InvalidWebhook")


def assert_signed(secret: str, headers: dict[str, str], body: bytes) -> None:
    timestamp = headers["X-Zendesk-Webhook-Signature-Timestamp"]
    assert headers["X-Zendesk-Webhook-Signature"] == webhooks.signature(secret, timestamp, body)


async def test_a_test_of_an_existing_webhook_is_signed_with_its_secret(zendesk: ZendeskServer, inbox: Any) -> None:
    webhook = zendesk.state.add_webhook(inbox.url, secret="its own secret")
    inbox.status = 202
    status, answer = await call(
        zendesk, "POST", f"webhooks/test?webhook_id={webhook['id']}", json={"request": {"payload": {"a": "ü"}}}
    )
    assert (status, answer["response"]["status"], answer["response"]["payload"]) == (200, 202, "taken")
    assert {"key": "X-Inbox", "value": "yes"} in answer["response"]["headers"]
    ((method, headers, body),) = inbox.got
    assert (method, json.loads(body), headers["x-zendesk-webhook-id"]) == ("POST", {"a": "ü"}, webhook["id"])
    assert_signed("its own secret", headers, body)


async def test_a_test_needs_no_body_and_then_sends_none(zendesk: ZendeskServer, inbox: Any) -> None:
    webhook = zendesk.state.add_webhook(inbox.url, secret="its own secret")
    status, answer = await call(zendesk, "POST", f"webhooks/test?webhook_id={webhook['id']}")
    assert (status, answer["response"]["status"], inbox.texts) == (200, 200, [""])
    assert_signed("its own secret", *inbox.got[0][1:])


async def test_a_test_before_the_webhook_is_made_is_signed_with_the_secret_everybody_knows(
    zendesk: ZendeskServer, inbox: Any
) -> None:
    asked = {"endpoint": inbox.url, "http_method": "PUT", "request_format": "json", "payload": "{}"}
    status, answer = await call(zendesk, "POST", "webhooks/test", json={"request": asked})
    assert (status, answer["response"]["status"]) == (200, 200)
    ((method, headers, body),) = inbox.got
    assert (method, body, "x-zendesk-webhook-id" in headers) == ("PUT", b"{}", False)
    assert_signed("dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==", headers, body)


async def test_a_test_that_reaches_nobody_says_so_in_its_answer(zendesk: ZendeskServer) -> None:
    asked = {"request": {"endpoint": "http://127.0.0.1:1/", "payload": "{}"}}
    status, answer = await call(zendesk, "POST", "webhooks/test", json=asked)
    assert (status, answer) == (200, {"response": {"status": 502, "headers": [], "payload": ""}})


async def test_a_test_of_nothing_is_refused(zendesk: ZendeskServer) -> None:
    for path, sent, expected in (
        ("webhooks/test?webhook_id=01UNKNOWN", {}, 404),
        ("webhooks/test", {}, 400),
        ("webhooks/test", {"request": "all"}, 400),
        ("webhooks/test", {"request": {"endpoint": "http://connector.example/"}}, 400),
    ):
        status, answer = await call(zendesk, "POST", path, json=sent)
        assert (status, "errors" in answer) == (expected, True)
