"""The bot is invited to a channel, or leaves it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from zendesk_bridge.bridge import Bridge

log = logging.getLogger(__name__)


def register(app: AsyncApp, bridge: Bridge) -> None:
    """Registers the listeners."""

    async def store(
        event: dict[str, Any],
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[object]],
    ) -> None:
        if event.get("user") == context.bot_user_id:
            log.info("invited to channel %s", event["channel"])
            await bridge.invited(event["channel"])
        await next()

    # In a middleware, which runs before the acknowledgement: Slack sends again what could not be stored.
    @app.event("member_joined_channel", middleware=[store])
    async def joined() -> None:
        pass

    @app.event("member_left_channel")
    async def left(event: dict[str, Any], context: AsyncBoltContext) -> None:
        if event.get("user") == context.bot_user_id:
            log.info("left channel %s", event["channel"])
