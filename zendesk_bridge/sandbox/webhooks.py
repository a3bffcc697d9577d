"""Webhooks leaving the sandbox: signed as Zendesk signs them, and tried again where Zendesk would."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import uuid
from dataclasses import dataclass

import aiohttp

from zendesk_bridge.sandbox import people, records, triggers
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.state import ZendeskState

# Signs the tests of webhooks that do not exist yet; the same in every account, from Zendesk's documentation.
TESTING_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="  # noqa: S105
CONTENT_TYPES = {
    "json": "application/json; charset=utf-8",
    "xml": "application/xml; charset=utf-8",
    "form_encoded": "application/x-www-form-urlencoded; charset=utf-8",
}
PLACEHOLDER = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
# Times a delivery is tried again, by what came of it; nothing else is tried again.
TIMEOUT_RETRIES = 5
CONFLICT_RETRIES = 3
BUSY_RETRIES = 5
LONGEST_WAIT = 60.0
# The circuit breaker: within five minutes, this share of failures or this many of them. Zendesk does not say how few
# tries can trip it; ten is our guess.
BREAKER_WINDOW, BREAKER_SECONDS = 300.0, 5.0
BREAKER_SHARE, BREAKER_MOST_FAILURES, BREAKER_LEAST_TRIES = 0.7, 1000, 10


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event sent to one webhook."""

    webhook_id: str
    invocation_id: str
    # What each try was answered; None: no answer (refused, dropped, or slower than the timeout). Empty: the circuit was
    # broken, nothing was sent.
    statuses: tuple[int | None, ...]

    @property
    def status(self) -> int | None:
        """The last answer; None if there was none."""
        return self.statuses[-1] if self.statuses else None


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`base64(HMAC_SHA256(secret, TIMESTAMP + BODY))`; the secret is used as the text it is."""
    return base64.b64encode(hmac.digest(secret.encode(), timestamp.encode() + body, hashlib.sha256)).decode()


def filled_in(state: ZendeskState, text: str, event: Record) -> bytes:
    """What a Zendesk trigger on a change of the assignee sends: its JSON text with the placeholders filled in."""
    detail = event["detail"]
    values = {
        "ticket.id": detail["id"],
        "ticket.title": detail["subject"] or "",
        "ticket.requester.id": detail["requester_id"],
        "ticket.assignee.id": "" if detail["assignee_id"] in (None, "0") else detail["assignee_id"],
        "ticket.updated_at_with_timestamp": detail["updated_at"]
        if state.trigger_times_have_seconds
        else f"{detail['updated_at'][:16]}Z",
        "current_user.id": detail["actor_id"],
    }
    # What has no value is empty, and so is what does not exist. Nothing is escaped: a title can break the JSON.
    return PLACEHOLDER.sub(lambda found: values.get(found[1], ""), text).encode()


def body_of(state: ZendeskState, event: Record) -> bytes:
    """The bytes sent; real bodies come compact and pretty-printed, so nobody may rely on either."""
    if state.pretty_bodies:
        return json.dumps(event, indent=2, ensure_ascii=False).encode()
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def signed_headers(
    state: ZendeskState,
    webhook_id: str | None,
    body: bytes,
    at: float,
    invocation_id: str,
    request_format: str = "json",
) -> dict[str, str]:
    """The headers of one delivery; without a webhook, those of a test before it is made."""
    timestamp = records.stamp(at)
    secret = TESTING_SECRET if webhook_id is None else state.webhook_secrets[webhook_id]
    headers = {
        "Content-Type": CONTENT_TYPES[request_format],
        "User-Agent": "Zendesk Webhook",
        "X-Zendesk-Webhook-Signature": signature(secret, timestamp, body),
        "X-Zendesk-Webhook-Signature-Timestamp": timestamp,
        "x-zendesk-webhook-invocation-id": invocation_id,
        "x-zendesk-account-id": str(state.account_id),
    }
    return headers if webhook_id is None else headers | {"x-zendesk-webhook-id": webhook_id}


async def deliver(
    state: ZendeskState, session: aiohttp.ClientSession, event: Record, signed_at: float | None = None
) -> tuple[Delivery, ...]:
    """Sends an event to every active webhook that subscribes to it or that a trigger notifies, all at once."""
    at = state.clock() if signed_at is None else signed_at
    told = _told(state, event)
    return tuple(await asyncio.gather(*(_send(state, session, webhook, body, at) for webhook, body in told)))


def _told(state: ZendeskState, event: Record) -> list[tuple[Record, bytes]]:
    told = []
    for webhook in state.webhooks.values():
        if webhook["id"] in state.trigger_bodies:
            if event["type"] == people.ASSIGNMENT_CHANGED:
                told.append((webhook, filled_in(state, state.trigger_bodies[webhook["id"]], event)))
        elif event["type"] in webhook["subscriptions"]:
            told.append((webhook, body_of(state, event)))
    for webhook_id, text in triggers.set_off(state, event):
        if webhook_id in state.webhooks:
            told.append((state.webhooks[webhook_id], filled_in(state, text, event)))
    return [(webhook, body) for webhook, body in told if webhook["status"] == "active"]


async def try_out(
    state: ZendeskState, session: aiohttp.ClientSession, webhook: Record, webhook_id: str | None, payload: str
) -> Record:
    """Sends one test request, and returns what came of it in the form Zendesk shows: status, headers, payload.

    A receiver that is too slow counts as status 504; one that cannot be reached as 502, which is our guess.
    """
    body = payload.encode()
    headers = signed_headers(
        state, webhook_id, body, state.clock(), uuid.uuid4().hex, request_format=webhook["request_format"]
    )
    timeout = aiohttp.ClientTimeout(total=state.webhook_timeout)
    try:
        async with session.request(
            webhook["http_method"],
            webhook["endpoint"],
            data=body,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
        ) as answer:
            shown = [{"key": name, "value": value} for name, value in answer.headers.items()]
            return {"status": answer.status, "headers": shown, "payload": await answer.text(errors="replace")}
    except TimeoutError:
        return {"status": 504, "headers": [], "payload": ""}
    except aiohttp.ClientError:
        return {"status": 502, "headers": [], "payload": ""}


async def _send(
    state: ZendeskState, session: aiohttp.ClientSession, webhook: Record, body: bytes, at: float
) -> Delivery:
    invocation_id = uuid.uuid4().hex
    # Tries after the first carry the first one's signature and time: whether Zendesk signs anew is not documented.
    headers = signed_headers(state, webhook["id"], body, at, invocation_id)
    statuses: list[int | None] = []
    if state.webhook_circuit_breaker and state.clock() < state.webhook_cut_off.get(webhook["id"], 0.0):
        return Delivery(webhook_id=webhook["id"], invocation_id=invocation_id, statuses=())
    while True:
        status, wait, timed_out = await _try(state, session, webhook["endpoint"], body, headers)
        statuses.append(status)
        _count(state, webhook["id"], failed=status is None or status >= 400)
        if not state.webhook_retries or not _again(status, wait, timed_out, len(statuses) - 1):
            return Delivery(webhook_id=webhook["id"], invocation_id=invocation_id, statuses=tuple(statuses))
        pause = state.webhook_retry_pause
        if pause is None:
            pause = wait if wait is not None else 2.0 ** (len(statuses) - 1)
        await asyncio.sleep(pause)


async def _try(
    state: ZendeskState, session: aiohttp.ClientSession, endpoint: str, body: bytes, headers: dict[str, str]
) -> tuple[int | None, float | None, bool]:
    timeout = aiohttp.ClientTimeout(total=state.webhook_timeout)
    try:
        async with session.post(endpoint, data=body, headers=headers, timeout=timeout, allow_redirects=False) as answer:
            return answer.status, _seconds(answer.headers.get("Retry-After")), False
    except TimeoutError:
        return None, None, True
    except aiohttp.ClientError:
        return None, None, False


def _count(state: ZendeskState, webhook_id: str, *, failed: bool) -> None:
    if not state.webhook_circuit_breaker:
        return
    now = state.clock()
    tries = [each for each in state.webhook_tries.get(webhook_id, ()) if each[0] > now - BREAKER_WINDOW]
    tries.append((now, failed))
    state.webhook_tries[webhook_id] = tries
    failures = sum(failed for _, failed in tries)
    mostly = len(tries) >= BREAKER_LEAST_TRIES and failures / len(tries) >= BREAKER_SHARE
    if failed and (mostly or failures > BREAKER_MOST_FAILURES):
        state.webhook_cut_off[webhook_id] = now + BREAKER_SECONDS


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _again(status: int | None, wait: float | None, timed_out: bool, retries: int) -> bool:
    if timed_out:
        return retries < TIMEOUT_RETRIES
    if status == 409:
        return retries < CONFLICT_RETRIES
    return status in (429, 503) and wait is not None and wait < LONGEST_WAIT and retries < BUSY_RETRIES
