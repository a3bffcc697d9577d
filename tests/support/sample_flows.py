"""Flows over the far side in memory, and what its services refuse: shared by the tests of the engine."""

from __future__ import annotations

from typing import Any

from zendesk_bridge.flows.errors import Credentials, NeedsInvite

READ = {"key": "a", "action": "far.look"}
MAKE = {"key": "message", "action": "far.make"}
FLOW = (
    {"key": "one", "action": "far.look"},
    {"key": "first", "action": "far.make", "inputs": {"what": "first {{ one.value }}"}},
    {"key": "two", "action": "far.look"},
    {"key": "second", "action": "far.make", "inputs": {"what": "second {{ two.value }}"}},
    {"key": "sign", "action": "far.mark"},
)
UNINVITED = NeedsInvite("not_in_channel", "The app is not in C1", channel="C1")
REVOKED = Credentials("token_revoked", "The token was revoked", service="far", hint="Connect again.")


async def settled(engine: Any, run: str) -> None:
    """Until the run is a row alone."""
    await engine.see(lambda: run not in engine.runner._known)
