"""Slack's side of a running connector, over HTTP or over Socket Mode: types, presses, submits, and sees what comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bolt_app.sandbox import SlackDelivery, SlackServer, payloads
from bolt_app.sandbox.blocks import check_blocks
from bolt_app.sandbox.people import SUPPORT
from bolt_app.server import Connector

SIGNING_SECRET = "slack signing secret"


@dataclass(kw_only=True)
class Drive:
    """What somebody in Slack does, and what they see. Whatever the app shows is checked against Slack's limits."""

    slack: SlackServer
    connector: Connector
    socket_mode: bool
    _seen: int = field(default=0)

    async def command(self, text: str, user_id: str, channel_id: str = SUPPORT.id) -> dict[str, Any]:
        """Types the slash command; returns what it is acknowledged with."""
        if self.socket_mode:
            return checked(await self.slack.socket_command(text, user_id, channel_id))
        answered = await self._delivery().command(text, user_id, channel_id)
        assert answered.status == 200
        return checked(_message(answered.body))

    async def press(self, action_id: str, user_id: str, *, value: str = "", **where: Any) -> None:
        """Presses a button; `where` is `view_id`, or `channel_id` and `message_ts`."""
        where = where or {"channel_id": SUPPORT.id, "message_ts": "1.000100"}
        payload = payloads.block_action(self.slack.state, action_id, user_id, value=value, **where)
        assert await self._interact(payload) == {}

    async def submit(self, view_id: str, user_id: str, values: dict[str, Any]) -> dict[str, Any]:
        """Submits a modal; returns how it is answered. A view in the answer takes the place of the modal."""
        payload = payloads.view_submission(self.slack.state, view_id, user_id, values)
        answer = await self._interact(payload)
        if answer.get("response_action") == "update":
            view = self.slack.state.views[view_id]
            assert answer["view"]["type"] == "modal"
            check_blocks(answer["view"]["blocks"], most=100)
            view.content = answer["view"]
        return answer

    async def event(self, event: dict[str, Any], **how: Any) -> None:
        """Delivers an event."""
        if self.socket_mode:
            assert await self.slack.socket_event(event) == {}
        else:
            assert (await self._delivery().event(event, **how)).status == 200

    async def response(self) -> dict[str, Any]:
        """The next answer that comes after the acknowledgement."""
        await until(lambda: len(self.slack.state.responses) > self._seen)
        self._seen += 1
        return checked(dict(self.slack.state.responses[self._seen - 1].body))

    async def view(self, holds: Callable[[str], bool] = lambda text: True) -> tuple[str, dict[str, Any]]:
        """The newest modal, once it holds what is wanted: its id and its content."""
        await until(lambda: bool(self.slack.state.views) and holds(json.dumps(self._newest()[1], ensure_ascii=False)))
        return self._newest()

    def _newest(self) -> tuple[str, dict[str, Any]]:
        view = list(self.slack.state.views.values())[-1]
        return view.id, view.content

    async def _interact(self, payload: dict[str, Any]) -> dict[str, Any]:
        if self.socket_mode:
            return await self.slack.socket_interaction(payload)
        answered = await self._delivery().interaction(payload)
        assert answered.status == 200
        return _message(answered.body)

    def _delivery(self) -> SlackDelivery:
        return SlackDelivery(SIGNING_SECRET, f"{self.connector.url}/slack/events", self.slack.state)


async def until(holds: Callable[[], bool], within: float = 30.0) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def checked(message: dict[str, Any]) -> dict[str, Any]:
    """A message, if Slack would take it."""
    if message.get("blocks"):
        check_blocks(message["blocks"])
        assert message["text"]
    return message


def words(content: object) -> str:
    """All that somebody reads in blocks, a view or a message."""
    return json.dumps(content, ensure_ascii=False)


def _message(body: str) -> dict[str, Any]:
    if not body:
        return {}
    try:
        message = json.loads(body)
    except ValueError:
        return {"text": body}
    return message if isinstance(message, dict) else {}
