"""Limits of a service: how many calls it takes, by the clock that nobody sets. They count; a scheduler waits."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

#: Seconds added to a minute: calls that leave at even paces do not arrive so.
SLACK = 2.0
MINUTE = 60.0


class Limit(Protocol):
    """What a scheduler needs of a limit. Times are seconds of the event loop's clock."""

    def wait(self, now: float) -> float:
        """Seconds until one more call may leave; 0 where it may leave now."""

    def take(self, now: float) -> int:
        """Counts a call that leaves; returns its number, where the limit needs to know it again."""

    def rate(self) -> float:
        """Calls a second in the long run, for guesses of how long the last in a queue waits."""

    def left(self, now: float) -> float:
        """Calls that may leave now."""


class Unlimited:
    """No limit."""

    def wait(self, now: float) -> float:
        return 0.0

    def take(self, now: float) -> int:
        return 0

    def rate(self) -> float:
        return math.inf

    def left(self, now: float) -> float:
        return math.inf


class PerMinute:
    """At most so many calls in any minute. Lowered where the service refuses all the same, and raised again slowly."""

    def __init__(self, most: int) -> None:
        self._normal = most
        self._most = most
        self._taken: deque[float] = deque()
        self._paused_until = -math.inf
        self._lowered_at = -math.inf

    def wait(self, now: float) -> float:
        self._forget(now)
        free_at = self._taken[-self._most] + MINUTE + SLACK if len(self._taken) >= self._most else now
        return max(free_at, self._paused_until, now) - now

    def take(self, now: float) -> int:
        self._taken.append(now)
        return 0

    def rate(self) -> float:
        return self._most / (MINUTE + SLACK)

    def left(self, now: float) -> float:
        self._forget(now)
        return 0.0 if now < self._paused_until else max(0, self._most - len(self._taken))

    def refused(self, now: float, seconds: float) -> None:
        """The service took fewer: waits as it says, and goes on with nine tenths of what it took, or half the limit."""
        self._forget(now)
        if self._taken:
            self._taken.pop()  # the one that was refused
        self._paused_until = max(self._paused_until, now + seconds)
        if now > self._lowered_at + 1:  # several calls under way are refused for one reason
            took = int(len(self._taken) * 0.9)
            # One of a few calls is refused for other reasons than their number.
            self._most = max(1, min(self._most, took) if took > self._most // 4 else self._most // 2)
        self._lowered_at = now

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] <= now - MINUTE - SLACK:
            self._taken.popleft()
        while self._most < self._normal and now > max(self._lowered_at, self._paused_until) + MINUTE:
            self._most = min(self._normal, self._most + max(1, self._most // 4))
            self._lowered_at = max(self._lowered_at, self._paused_until) + MINUTE


class Steady:
    """So many calls a second, with short bursts."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._counted_at = -math.inf
        self._paused_until = -math.inf
        #: When the last call left, and the one before it.
        self.taken_at = self.taken_before = -math.inf

    def wait(self, now: float) -> float:
        self._count(now)
        missing = max(0.0, 1 - self._tokens) / self._per_second
        # Adding up fractions never quite makes one.
        return max(missing if missing > 1e-6 else 0.0, self._paused_until - now)

    def take(self, now: float) -> int:
        self._count(now)
        self._tokens -= 1
        self.taken_before, self.taken_at = self.taken_at, now
        return 0

    def rate(self) -> float:
        return self._per_second

    def left(self, now: float) -> float:
        self._count(now)
        return 0.0 if now < self._paused_until else max(0.0, self._tokens)

    def refused(self, now: float, seconds: float) -> None:
        """The service took fewer: waits as it says, and begins without a burst."""
        self._count(now)
        self._paused_until = max(self._paused_until, now + seconds)
        self._tokens = min(self._tokens, 1.0)
        self._counted_at = self._paused_until

    def is_idle(self, now: float) -> bool:
        """Whether nothing is left to remember of it."""
        self._count(now)
        return self._tokens >= self._burst and now >= self._paused_until

    def _count(self, now: float) -> None:
        if now > self._counted_at:
            if math.isfinite(self._counted_at):
                self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._per_second)
            self._counted_at = now


class Told:
    """A budget a minute that others use too: the service says with each answer how much of it is left.

    A burst may use half of it; the rest is used evenly until the minute ends, and a part of it never. So there is
    something left for others at any time, and what they take is not taken a second time.
    """

    def __init__(self, assumed: int, kept: float = 0.1, *, is_optional: bool = False) -> None:
        """
        Args:
            assumed: the budget until the service names it.
            kept: the part of it that is left to others in any case.
            is_optional: whether there is none where the service answers without naming it.
        """
        self._is_optional = is_optional
        self._total = assumed
        self._kept = kept
        self._left = assumed
        self._is_told = False
        # Whether the service answered, and said nothing of a budget.
        self._is_silent = False
        self._ends = -math.inf
        self._paused_until = -math.inf
        # Calls that left so far.
        self._taken = 0
        # The newest call whose answer told of the budget; what older answers tell does not count.
        self._told_of = 0

    def wait(self, now: float) -> float:
        self._turn(now)
        if self._is_silent:
            return max(self._paused_until, now) - now
        least, most = self._total * self._kept, self._total * max(0.5, self._kept)
        free_at = now
        if self._left <= least:
            free_at = self._ends
        elif self._left <= most:
            free_at = self._ends - MINUTE * (self._left - least) / (most - least)
        return max(free_at, self._paused_until, now) - now

    def take(self, now: float) -> int:
        self._turn(now)
        if not math.isfinite(self._ends):
            self._ends = now + MINUTE
        self._left -= 1
        self._taken += 1
        return self._taken

    def rate(self) -> float:
        return max(1.0, self._total * (1 - self._kept)) / MINUTE

    def left(self, now: float) -> float:
        self._turn(now)
        if now < self._paused_until:
            return 0.0
        return math.inf if self._is_silent else max(0.0, self._left - self._total * self._kept)

    def answered(self, now: float, number: int, total: int | None, left: int | None, resets: float | None) -> None:
        """An answer came that says something of the budget.

        Args:
            number: the call's, as `take` returned it: those that left after it may not be counted yet.
            total: calls a minute.
            left: calls left.
            resets: seconds until the budget is renewed.
        """
        self._turn(now)
        if number < self._told_of:
            return
        self._is_silent = self._is_optional and total is None and left is None
        if total is not None and total > 0:
            if not self._is_told:
                self._left += total - self._total  # what was assumed was only that
            self._total = total
        if resets is not None:
            ends = now + resets + 0.5
            # A minute that ends much later than thought is another one.
            if ends > self._ends + MINUTE / 2:
                self._begin(ends)
            self._ends = min(self._ends, ends) if self._is_told else ends
        if left is not None:
            # The service's word counts, not our arithmetic: it may count otherwise.
            self._is_told, self._told_of = True, number
            self._left = left - (self._taken - number)

    def refused(self, now: float, seconds: float) -> None:
        """The budget is used up: nothing leaves for so long, and no longer, whatever the arithmetic says."""
        self._left = 0
        self._paused_until = self._ends = max(self._paused_until, now + seconds)

    def _turn(self, now: float) -> None:
        if math.isfinite(self._ends) and now >= self._ends:
            self._begin(self._ends + MINUTE * (1 + (now - self._ends) // MINUTE))
            self._told_of = self._taken

    def _begin(self, ends: float) -> None:
        self._is_told = False
        self._left = self._total
        self._ends = ends
