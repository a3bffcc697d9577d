"""Why a run stops before its last step: it waits, it is ended, the process ends, another pass of a loop has failed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The engine's waits, in seconds."""

    # When to look for a message of which nobody knows whether it was sent, counted from its first sending.
    looks: tuple[float, ...] = (15.0, 45.0)
    # The first wait after an outage; it doubles up to the longest.
    retry_first: float = 1.0
    retry_longest: float = 60.0
    # How long after its turn a run looks again that nobody woke.
    turn_margin: float = 5.0
    # How long a run waits for one thing before it fails.
    patience: float = 7 * 86_400.0
    # What a run has read is read anew after it waited for a person or a connection, if it is older than this;
    # ten times as old where it merely waited for an answer.
    fresh_for: float = 60.0


class Suspended(Exception):
    """A run stops here and goes on later."""

    def __init__(
        self,
        *,
        until: dt.datetime | None,
        waiting_for: str | None = None,
        error: dict[str, str] | None = None,
        note: str | None = None,
    ) -> None:
        super().__init__(waiting_for or "time")
        self.until = until
        self.waiting_for = waiting_for
        self.error = error
        self.note = note

    def again(self, until: dt.datetime) -> Suspended:
        """The same, until another moment."""
        return Suspended(until=until, waiting_for=self.waiting_for, error=self.error, note=self.note)


class Halted(Exception):
    """A pass of a loop goes no further: another has failed, or has ended the run."""


class Stopping(Exception):
    """The process ends: the run stays as it is and goes on after the next start."""


class Ended(Exception):
    """The run ends here, as succeeded."""

    def __init__(self, note: str) -> None:
        super().__init__(note)
        self.note = note
