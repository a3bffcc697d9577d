"""The app is uninstalled, or its tokens are revoked."""

from __future__ import annotations

import logging

from slack_bolt.async_app import AsyncApp

from bolt_app.inbox import Delivery
from bolt_app.parts import Parts

log = logging.getLogger(__name__)


def register(app: AsyncApp, parts: Parts) -> None:
    """Registers the listeners. Slack is asked at once whether the connection still works."""

    async def uninstalled(delivery: Delivery) -> None:
        log.warning("the app was uninstalled from the workspace")
        await parts.bridge.connections.check_now(0)

    async def revoked(delivery: Delivery) -> None:
        log.warning("tokens of the app were revoked")
        await parts.bridge.connections.check_now(0)

    app.event("app_uninstalled")(parts.inbox.listener(uninstalled))
    app.event("tokens_revoked")(parts.inbox.listener(revoked))
