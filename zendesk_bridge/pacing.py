"""How fast Zendesk may be called: the account's budget, which the company's other tools use too, and the exports' own.

https://developer.zendesk.com/api-reference/introduction/rate-limits/
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar

from zendesk_bridge.flows.limits import Limit, Told, Unlimited
from zendesk_bridge.flows.pacing import Numbers, Pool, Scheduler, turn

ACCOUNT = "account"
#: The lanes that Zendesk counts apart, besides the account's budget.
INCREMENTAL, UPDATES = "incremental", "updates"

#: Calls a minute until Zendesk names the account's budget: the smallest plan's.
ASSUMED = 200
#: Zendesk's limits of those lanes, in calls a minute, and the part that is kept for others.
LANES = {INCREMENTAL: (10, 0.4), UPDATES: (100, 0.1)}
#: Which call the current one is: of the account, and of its lane.
_numbers: ContextVar[Numbers] = ContextVar("numbers", default=(0, 0))
_ENDPOINT = re.compile(r"(total|remaining|resets)=(\d+)")
_ENDPOINT_HEADERS = {INCREMENTAL: "zendesk-ratelimit-incremental-exports"}


def lane_of(method: str, path: str) -> str | None:
    """The lane of a call; None where it is an ordinary one."""
    if path.startswith("/api/v2/incremental/"):
        return INCREMENTAL
    return UPDATES if method == "PUT" and path.startswith("/api/v2/tickets/") else None


class ZendeskPacing:
    """Paces the calls of one account."""

    def __init__(self) -> None:
        self._limit = Told(ASSUMED, is_optional=True)
        self._pool = Pool(ACCOUNT, self._limit, _lane_limit)
        self.scheduler = Scheduler({ACCOUNT: self._pool})
        self._loop: asyncio.AbstractEventLoop | None = None

    @asynccontextmanager
    async def paced(self, lane: str | None) -> AsyncGenerator[None]:
        """Within it a call may be made: waits until it may leave. Raises Paced where that takes long.

        Args:
            lane: of `lane_of`. In the lane of all ordinary calls new runs and waiting ones take turns.
        """
        self._loop = asyncio.get_running_loop()
        numbers = await self._pool.admit(lane or turn(), "A call to Zendesk")
        reset = _numbers.set(numbers)
        try:
            yield
        finally:
            _numbers.reset(reset)

    def heard(self, lane: str | None, status: int, headers: Mapping[str, str], retry_after: float) -> None:
        """Takes from an answer what it says of the budgets. May be called in any thread, in the context of the call.

        Args:
            headers: of the answer, their names in any case.
            retry_after: seconds to wait where the status is 429.
        """
        told = {name.lower(): value for name, value in headers.items()}
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._learn, lane, status, told, retry_after, _numbers.get())

    def _learn(
        self, lane: str | None, status: int, told: Mapping[str, str], retry_after: float, numbers: Numbers
    ) -> None:
        now = asyncio.get_running_loop().time()
        total, left, resets = _account(told)
        self._limit.answered(now, numbers[0], total, left, resets)
        apart, its_left = self._apart(lane), None
        if apart is not None:
            its_total, its_left, its_resets = _endpoint(told, lane)
            apart.answered(now, numbers[1], its_total, its_left, its_resets)
        if status == 429:
            its_own = apart is not None and (its_left == 0 or (left or 0) > 0)
            (apart if apart is not None and its_own else self._limit).refused(now, retry_after)
        self._pool.refresh()

    def _apart(self, lane: str | None) -> Told | None:
        limit = self._pool.lane(lane) if lane in LANES else None
        return limit if isinstance(limit, Told) else None


def _lane_limit(lane: str) -> Limit:
    return Told(*LANES[lane]) if lane in LANES else Unlimited()


def _account(told: Mapping[str, str]) -> tuple[int | None, int | None, float | None]:
    """Calls a minute, calls left, seconds until the budget is renewed; Zendesk has three sets of names for them."""
    total = _number(told, "ratelimit-limit", "rate-limit-limit", "rate-limit", "x-rate-limit")
    left = _number(told, "ratelimit-remaining", "rate-limit-remaining", "x-rate-limit-remaining")
    return total, left, _number(told, "ratelimit-reset", "rate-limit-reset")


def _endpoint(told: Mapping[str, str], lane: str | None) -> tuple[int | None, int | None, float | None]:
    """The same of an endpoint's own budget: `total=10; remaining=9; resets=2`."""
    prefix = _ENDPOINT_HEADERS.get(lane or "")
    text = next((value for name, value in told.items() if prefix and name.startswith(prefix)), "")
    parts = {name: int(number) for name, number in _ENDPOINT.findall(text)}
    return parts.get("total"), parts.get("remaining"), parts.get("resets")


def _number(told: Mapping[str, str], *names: str) -> int | None:
    return next((int(told[name]) for name in names if told.get(name, "").isdigit()), None)
