"""Reads what Slack hands out page by page: https://docs.slack.dev/apis/web-api/pagination"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from slack_sdk.web.async_slack_response import AsyncSlackResponse


class Call(Protocol):
    """Calls a method of Slack's; arguments that are None are left out."""

    async def __call__(self, method: str, **arguments: Any) -> AsyncSlackResponse:
        """The answer. Raises ConnectorError."""


async def pages(call: Call, method: str, **arguments: Any) -> AsyncGenerator[AsyncSlackResponse, None]:
    """Every page of a list."""
    cursor = None
    while True:
        answer = await call(method, cursor=cursor, **arguments)
        yield answer
        following = (answer.get("response_metadata") or {}).get("next_cursor")
        if not following or following == cursor:
            return
        cursor = following
