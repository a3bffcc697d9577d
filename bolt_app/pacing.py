"""How fast Slack may be called: each method by its tier, posts one a second in a channel and so many in a workspace.

https://docs.slack.dev/apis/web-api/rate-limits/
"""

from __future__ import annotations

import asyncio
from collections import deque

from zendesk_bridge.flows.errors import Transient
from zendesk_bridge.flows.limits import PerMinute, Steady
from zendesk_bridge.flows.pacing import Pool, Scheduler, turn

POST = "chat.postMessage"
#: Posts a minute in the whole workspace: Slack has such a limit and does not name it.
POSTS_A_MINUTE = 300
#: Posts that a channel takes at once; Slack tolerates some, and clocks differ.
BURST = 2
#: What Slack refuses within so many seconds after the last post in the same channel, that channel is the reason of.
CHANNEL_TO_BLAME = 1.5
#: Calls a minute of the methods that are called. Others, auth.test among them, are not paced.
TIERS = {
    "conversations.history": 50,
    "conversations.info": 50,
    "conversations.join": 50,
    "conversations.list": 20,
    "conversations.members": 100,
    "conversations.open": 50,
    "conversations.replies": 50,
    "reactions.add": 50,
    "users.conversations": 50,
    "users.info": 100,
    "users.list": 20,
    "users.lookupByEmail": 50,
}


class SlackPacing:
    """Paces the calls to one workspace."""

    def __init__(self, posts_a_minute: int = POSTS_A_MINUTE) -> None:
        """
        Args:
            posts_a_minute: in the whole workspace; less where Slack refuses. 0: posts are not paced, only refused.
        """
        self._paces_posts = posts_a_minute > 0
        self._posts = PerMinute(posts_a_minute)
        self._pool = Pool(POST, self._posts, lambda channel: Steady(1.0, BURST))
        self.scheduler = Scheduler({POST: self._pool})
        # Channels in which posts were refused lately, and when.
        self._refused: deque[tuple[float, str]] = deque(maxlen=10)

    async def admit(self, method: str, channel: str, together: object = None) -> None:
        """Returns when a call may leave. Raises Paced where that takes long.

        Args:
            channel: for a post, the channel or the person it goes to.
            together: for a read, what it is about, where one serves all runs that ask for the same.
        """
        if method == POST:
            if not self._paces_posts:
                return
            await self._pool.admit(channel, f"A message to {channel}")
        elif (pool := self._pool_of(method)) is not None:
            await pool.admit(turn(), f"A call of {method}", together)

    def refused(self, method: str, channel: str, problem: Transient) -> None:
        """Slack said that it was too much: waits as long as it says, and goes on slower."""
        now, seconds = asyncio.get_running_loop().time(), problem.retry_after or 1.0
        pool = self._pool if method == POST else self._pool_of(method)
        if pool is None or (method == POST and not self._paces_posts):
            return
        limit = pool.limit
        if method == POST:
            lane = pool.lane(channel)
            assert isinstance(lane, Steady)
            # The one that was refused is the last; where the one before it is long past, the workspace is the reason.
            others = {each for at, each in self._refused if each != channel and now - at < 10}
            self._refused.append((now, channel))
            to_blame = lane.taken_at - lane.taken_before < CHANNEL_TO_BLAME and not others
            lane.refused(now, seconds)
            if to_blame:
                return
        assert isinstance(limit, PerMinute)
        limit.refused(now, seconds)

    def _pool_of(self, method: str) -> Pool | None:
        most = TIERS.get(method)
        return None if most is None else self.scheduler.pool(method, lambda: Pool(method, PerMinute(most)))
