"""The app is uninstalled, or its tokens are revoked."""

from __future__ import annotations

import logging

from slack_bolt.async_app import AsyncApp

from zendesk_bridge.bridge import Bridge

log = logging.getLogger(__name__)


def register(app: AsyncApp, bridge: Bridge) -> None:
    """Registers the listeners. The connection itself breaks with the first call that Slack refuses."""

    @app.event("app_uninstalled")
    async def uninstalled() -> None:
        log.warning("the app was uninstalled from the workspace")

    @app.event("tokens_revoked")
    async def revoked() -> None:
        log.warning("tokens of the app were revoked")
