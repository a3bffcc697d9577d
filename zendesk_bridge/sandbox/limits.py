"""How many requests a minute the sandbox lets through, and the headers that say how many are left."""

import math
from dataclasses import dataclass

WINDOW_SECONDS = 60


@dataclass
class Bucket:
    """A count of requests within the current minute."""

    minute: int = -1
    used: int = 0

    def take(self, now: float, total: int) -> "Level":
        """Counts one request, if there is room for it."""
        minute = int(now // WINDOW_SECONDS)
        if minute != self.minute:
            self.minute, self.used = minute, 0
        allowed = self.used < total
        if allowed:
            self.used += 1
        resets = max(1, math.ceil((minute + 1) * WINDOW_SECONDS - now))
        return Level(allowed=allowed, total=total, remaining=max(0, total - self.used), resets=resets)


@dataclass(frozen=True, kw_only=True)
class Level:
    """What a bucket says to one request."""

    allowed: bool
    total: int
    remaining: int
    # Whole seconds until the minute is over.
    resets: int

    def account_headers(self, newer_names: bool) -> dict[str, str]:
        """The account's headers; Zendesk renamed the second set in 2024, and sends one of the two."""
        total, remaining, resets = str(self.total), str(self.remaining), str(self.resets)
        headers = {"X-Rate-Limit": total, "X-Rate-Limit-Remaining": remaining}
        if newer_names:
            return headers | {"ratelimit-limit": total, "ratelimit-remaining": remaining, "ratelimit-reset": resets}
        return headers | {"rate-limit": total, "rate-limit-remaining": remaining, "rate-limit-reset": resets}

    def endpoint_header(self) -> str:
        """The value of an endpoint's own header, `total=10; remaining=9; resets=2`."""
        return f"total={self.total}; remaining={self.remaining}; resets={self.resets}"
