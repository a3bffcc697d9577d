"""One chaos run from a seed to its audit: for the test and for the command."""

from __future__ import annotations

import logging
from pathlib import Path

from chaos_audit import Audit
from chaos_play import Storm
from chaos_weather import Pace, plan

from bolt_app.sandbox import SlackServer
from zendesk_bridge.sandbox import ZendeskServer


async def storm(
    folder: Path, *, seed: int, kills: int, events: int, agents: int, pace: Pace, families: frozenset[str]
) -> Audit:
    """Plays the weather of a seed in an empty folder, and looks at what is left."""
    # That callers of the sandboxes are gone in the middle of a request is the point.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    async with SlackServer() as slack, ZendeskServer() as zendesk:
        spells = plan(seed, kills, events, agents, pace, families)
        played = Storm(folder, slack, zendesk, spells, pace, families, agents)
        try:
            await played.play()
            return Audit(played)
        finally:
            await played.host.close()
