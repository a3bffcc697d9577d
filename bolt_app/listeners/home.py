"""The app's Home tab is opened."""

from __future__ import annotations

import logging

from slack_bolt.async_app import AsyncApp

from bolt_app.inbox import Delivery
from bolt_app.parts import Parts
from zendesk_bridge.flows.errors import ConnectorError

log = logging.getLogger(__name__)


def register(app: AsyncApp, parts: Parts) -> None:
    """Registers the listener."""

    async def opened(delivery: Delivery) -> None:
        if delivery.event.get("tab") != "home":
            return
        try:
            await parts.homes.opened(str(delivery.event.get("user")))
        except ConnectorError as problem:
            # Shown later, it would be shown to somebody who is gone.
            log.warning("a Home tab cannot be shown: %s", problem.message)

    app.event("app_home_opened")(parts.inbox.listener(opened))
