"""What is sent, and what is counted and measured of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Load:
    """Events that are sent."""

    events: int
    # So many are outstanding at a time, until their messages arrive, or until they are answered where it is a burst.
    outstanding: int = 1
    burst: bool = False
    # So many a second, whatever is outstanding.
    rate: float = 0.0
    # How many seconds of silence mean that nothing comes any more.
    patience: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was counted and measured. Times are in milliseconds, by percentile ("p50", "p95", "p99", "max")."""

    accepted: int
    exactly_once: int
    lost: int
    duplicated: int
    seconds: float
    # Sent until the message reached Slack; sent until it was answered.
    to_message: dict[str, float]
    to_answer: dict[str, float]
    # Of each event.
    cpu_ms: float
    zendesk_calls: float
    slack_calls: float
    # 429s that the services gave.
    refused: int

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.exactly_once / self.seconds if self.seconds else 0.0


def percentiles(seconds: Iterable[float]) -> dict[str, float]:
    """Percentiles of times, in milliseconds."""
    taken = sorted(each * 1000 for each in seconds)
    if not taken:
        return dict.fromkeys(("p50", "p95", "p99", "max"), float("nan"))
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: taken[min(int(len(taken) * share), len(taken) - 1)] for name, share in at.items()}
