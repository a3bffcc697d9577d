"""The app's Home tab, and buttons pressed in it."""

from __future__ import annotations

import logging
import re

from slack_bolt.async_app import AsyncAck, AsyncApp

from zendesk_bridge.bridge import Bridge

log = logging.getLogger(__name__)


def register(app: AsyncApp, bridge: Bridge) -> None:
    """Registers the listeners. The tab shows nothing yet."""

    @app.event("app_home_opened")
    async def opened() -> None:
        log.info("the Home tab was opened")

    @app.action(re.compile(".*"))
    async def pressed(ack: AsyncAck) -> None:
        await ack()
        log.info("a button was pressed that this version does not know")
