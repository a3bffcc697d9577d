"""What Slack tells us: one module a surface, each with `register(app, parts)`."""

from __future__ import annotations

import logging
import re

from slack_bolt.async_app import AsyncApp

from bolt_app.inbox import Delivery
from bolt_app.listeners import buttons, commands, home, installation, membership, mentions, testing
from bolt_app.parts import Parts

log = logging.getLogger(__name__)

SURFACES = (buttons, commands, home, installation, membership, mentions, testing)


def register_listeners(app: AsyncApp, parts: Parts) -> None:
    """Registers every surface."""
    app.middleware(parts.inbox.record)
    for surface in SURFACES:
        surface.register(app, parts)

    async def unknown(delivery: Delivery) -> None:
        # Acknowledged all the same: Slack stops sending to an app that refuses too often.
        log.info("Slack sent an event that this version does not use: %s", delivery.event.get("type"))

    app.event(re.compile(".*"))(parts.inbox.listener(unknown))
