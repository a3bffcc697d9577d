"""A bridge that polls quickly: shared by the tests of the poller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from polling import QUICK_POLLS, StartBridge, flow_file, open_up

from bolt_app.settings import Settings
from zendesk_bridge.bridge import Bridge, Timing
from zendesk_bridge.sandbox import ZendeskServer


@pytest.fixture
async def start_bridge(settings: Settings, zendesk: ZendeskServer, tmp_path: Path) -> AsyncIterator[StartBridge]:
    """Starts bridges with quick polls and one flow that starts on every assignment; stops them in the end."""
    open_up(zendesk)
    own = replace(
        settings.bridge(),
        flows=flow_file(tmp_path / "flows"),
        polling=QUICK_POLLS,
        timing=Timing(retry_first=0.02, retry_longest=0.1),
    )
    async with AsyncExitStack() as exits:

        async def start(**changes: Any) -> Bridge:
            bridge = Bridge(replace(own, **changes))
            await bridge.start()
            exits.push_async_callback(bridge.stop)
            return bridge

        yield start
