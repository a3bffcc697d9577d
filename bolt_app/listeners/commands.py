"""The slash command `/action-flows`."""

from __future__ import annotations

import logging
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from zendesk_bridge.bridge import Bridge

log = logging.getLogger(__name__)


def register(app: AsyncApp, bridge: Bridge) -> None:
    """Registers the listener."""

    @app.command("/action-flows")
    async def action_flows(ack: AsyncAck, command: dict[str, Any]) -> None:
        await ack("This command cannot do anything yet. On its host, `zendesk-connector flows list` shows the flows.")
        log.info("/action-flows was used")
