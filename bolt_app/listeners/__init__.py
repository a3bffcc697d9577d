"""What Slack tells us: one module a surface, each with `register(app, bridge)`."""

from __future__ import annotations

from slack_bolt.async_app import AsyncApp

from bolt_app.listeners import commands, home, installation, membership, mentions
from zendesk_bridge.bridge import Bridge

SURFACES = (commands, home, installation, membership, mentions)


def register_listeners(app: AsyncApp, bridge: Bridge) -> None:
    """Registers every surface."""
    for surface in SURFACES:
        surface.register(app, bridge)
