"""Notices that somebody set the clock, by the one that nobody can set."""

from __future__ import annotations

import time

from zendesk_bridge.flows.model import utc_now

#: What clocks drift apart, or are slewed, between two looks, in seconds.
TOLERANCE = 5.0


class ClockWatch:
    """Compares the clock on the wall with the one that only runs."""

    def __init__(self) -> None:
        self._apart = self._now_apart()

    def jumped(self) -> float:
        """Seconds by which the clock was set since the last look: forward above 0, back below, else 0."""
        now = self._now_apart()
        by = now - self._apart
        if abs(by) <= TOLERANCE:
            return 0.0
        self._apart = now
        return by

    def _now_apart(self) -> float:
        return utc_now().timestamp() - time.monotonic()
