"""The bot is mentioned in a channel."""

from __future__ import annotations

import logging

from slack_bolt.async_app import AsyncApp

from zendesk_bridge.bridge import Bridge

log = logging.getLogger(__name__)


def register(app: AsyncApp, bridge: Bridge) -> None:
    """Registers the listener."""

    @app.event("app_mention")
    async def mentioned() -> None:
        log.info("the bot was mentioned")
