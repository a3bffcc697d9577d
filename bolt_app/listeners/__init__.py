"""What Slack tells us: one module a surface, each with `register(app, bridge)`."""

from __future__ import annotations

import logging
import re
from typing import Any

from slack_bolt.async_app import AsyncApp

from bolt_app.listeners import commands, home, installation, membership, mentions
from zendesk_bridge.bridge import Bridge

log = logging.getLogger(__name__)

SURFACES = (commands, home, installation, membership, mentions)


def register_listeners(app: AsyncApp, bridge: Bridge) -> None:
    """Registers every surface."""
    for surface in SURFACES:
        surface.register(app, bridge)

    @app.event(re.compile(".*"))
    async def unknown(event: dict[str, Any]) -> None:
        # Acknowledged all the same: Slack stops sending to an app that refuses too often.
        log.info("Slack sent an event that this version does not use: %s", event.get("type"))
