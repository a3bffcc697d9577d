"""The bot is invited to a channel, or leaves it."""

from __future__ import annotations

import logging
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from zendesk_bridge.bridge import Bridge

log = logging.getLogger(__name__)


def register(app: AsyncApp, bridge: Bridge) -> None:
    """Registers the listeners."""

    @app.event("member_joined_channel")
    async def joined(event: dict[str, Any], context: AsyncBoltContext) -> None:
        if event.get("user") == context.bot_user_id:
            log.info("invited to channel %s", event["channel"])
            await bridge.invited(event["channel"])

    @app.event("member_left_channel")
    async def left(event: dict[str, Any], context: AsyncBoltContext) -> None:
        if event.get("user") == context.bot_user_id:
            log.info("left channel %s", event["channel"])
