"""Delivers events, slash commands and button presses to the app's address, signed as Slack signs them."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bolt_app.samples import load
from bolt_app.sandbox import payloads
from bolt_app.sandbox.state import SlackState

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What the app answered."""

    status: int
    body: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        """The body, where it is JSON."""
        return json.loads(self.body)


def sign(signing_secret: str, timestamp: str, body: bytes) -> str:
    """Slack's v0 signature over the raw body. https://docs.slack.dev/authentication/verifying-requests-from-slack/"""
    signed = hmac.new(signing_secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256)
    return f"v0={signed.hexdigest()}"


class SlackDelivery:
    """Slack's side of HTTP delivery. Give it the state of the server, so that ids, triggers and answers fit."""

    def __init__(self, signing_secret: str, url: str, state: SlackState | None = None) -> None:
        self.signing_secret = signing_secret
        self.url = url
        self.state = state or SlackState()

    async def event(
        self, event: dict[str, Any], *, retry_num: int | None = None, retry_reason: str = "http_timeout"
    ) -> Delivered:
        """An event, wrapped if it is bare. Slack repeats an unanswered one with `retry_num` 1 to 3, same event id."""
        body = json.dumps(payloads.event_callback(self.state, event)).encode()
        return await self.post(body, "application/json", retry_num=retry_num, retry_reason=retry_reason)

    async def url_verification(self, challenge: str = "3b9c0a7e-sandbox") -> Delivered:
        """The question Slack asks when the address is entered; the app answers with the challenge."""
        asked = {"token": load("app_mention")["token"], "challenge": challenge, "type": "url_verification"}
        return await self.post(json.dumps(asked).encode(), "application/json")

    async def command(self, text: str, user_id: str, channel_id: str, command: str = "/action-flows") -> Delivered:
        """Somebody types a slash command."""
        fields = payloads.slash_command(self.state, text, user_id, channel_id, command)
        return await self.post(urlencode(fields).encode(), FORM)

    async def block_action(self, action_id: str, user_id: str, **where: Any) -> Delivered:
        """Somebody presses a button; `where` as in `payloads.block_action`."""
        return await self.interaction(payloads.block_action(self.state, action_id, user_id, **where))

    async def view_submission(self, view_id: str, user_id: str, values: dict[str, Any]) -> Delivered:
        """Somebody submits a modal."""
        return await self.interaction(payloads.view_submission(self.state, view_id, user_id, values))

    async def interaction(self, payload: dict[str, Any]) -> Delivered:
        """Any interaction payload."""
        return await self.post(urlencode({"payload": json.dumps(payload)}).encode(), FORM)

    async def post(
        self,
        body: bytes,
        content_type: str,
        *,
        retry_num: int | None = None,
        retry_reason: str = "http_timeout",
        timestamp: str | None = None,
        signature: str | None = None,
        timeout: float = 3.0,  # noqa: ASYNC109 - Slack's own patience
    ) -> Delivered:
        """Posts a raw body; a wrong `timestamp` or `signature` shows how the app defends itself.

        Raises TimeoutError if the app does not answer within three seconds, as Slack gives up then.
        """
        # Wall-clock time whatever the state's clock says: the app compares it with its own.
        stamp = timestamp or str(int(time.time()))
        headers = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": signature or sign(self.signing_secret, stamp, body),
        }
        if retry_num is not None:
            headers |= {"X-Slack-Retry-Num": str(retry_num), "X-Slack-Retry-Reason": retry_reason}
        patience = aiohttp.ClientTimeout(total=timeout)
        async with aiohttp.request("POST", self.url, data=body, headers=headers, timeout=patience) as answered:
            return Delivered(status=answered.status, body=await answered.text(), headers=dict(answered.headers))
