"""How often Slack lets an app call each method, so that the sandbox can refuse as the real service does."""

import math
from collections import deque
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Limits:
    """Slack's published limits: calls a minute by tier, and one post a second in a channel with short bursts.

    https://docs.slack.dev/apis/web-api/rate-limits/. Slack says a workspace has a cap on posts too, but not which
    one: `posts_a_minute` sets it.
    """

    tiers: dict[str, int] = field(default_factory=lambda: {"t1": 1, "t2": 20, "t3": 50, "t4": 100})
    channel_posts_a_second: float = 1.0
    channel_burst: int = 3
    posts_a_minute: int | None = None
    _recent: dict[str, deque[float]] = field(default_factory=dict, repr=False)
    # Channel -> posts it may still take, and when that was counted.
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    def refuse_call(self, method: str, tier: str | None, now: float) -> int | None:
        """Counts a call. Seconds to wait if it is one too many, else None."""
        allowed = self.tiers.get(tier or "")
        return None if allowed is None else self._a_minute(method, allowed, now)

    def refuse_post(self, channel: str, now: float) -> int | None:
        """Counts a post. Seconds to wait if it is one too many, else None."""
        left, counted_at = self._buckets.get(channel, (float(self.channel_burst), now))
        left = min(float(self.channel_burst), left + (now - counted_at) * self.channel_posts_a_second)
        # Not counting in floating point would refuse the post that comes after exactly one second.
        if left < 1 - 1e-6:
            self._buckets[channel] = (left, now)
            return max(1, math.ceil((1 - left) / self.channel_posts_a_second))
        if self.posts_a_minute is not None:
            wait = self._a_minute("posts", self.posts_a_minute, now)
            if wait is not None:
                return wait
        self._buckets[channel] = (left - 1, now)
        return None

    def _a_minute(self, key: str, allowed: int, now: float) -> int | None:
        recent = self._recent.setdefault(key, deque())
        while recent and recent[0] <= now - 60:
            recent.popleft()
        if len(recent) >= allowed:
            return max(1, math.ceil(recent[0] + 60 - now))
        recent.append(now)
        return None
