"""Lets calls to a service leave as fast as it takes them, and no faster. Who must wait for long, waits as a row."""

from __future__ import annotations

import asyncio
import contextlib
import math
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from zendesk_bridge.flows.context import working_on
from zendesk_bridge.flows.errors import Paced
from zendesk_bridge.flows.limits import Limit, Unlimited

#: A call that is guessed to wait no longer than this waits where it is; longer, and its run waits as a row. In seconds.
WAIT_IN_PLACE = 1.0
#: The same for calls that no run makes: nobody would wake them. In seconds.
WAIT_WITHOUT_RUN = 10.0
#: How long a run that was let through may take to come back, in seconds.
RETURN_WITHIN = 30.0
#: Lanes that are remembered although nobody waits in them.
IDLE_LANES = 1_000


#: The numbers of a call, as the limits of its pool and of its lane count.
Numbers = tuple[int, int]


@dataclass(eq=False)
class _Lane:
    name: str
    limit: Limit
    # The one that waits longest first.
    waiters: list[_Waiter] = field(default_factory=list)


@dataclass(eq=False)
class _Waiter:
    key: object
    # Those it wakes; several where one call serves them all.
    runs: set[str]
    lane: _Lane
    # Since when its run waits, and which of those it is.
    place_in_line: tuple[float, int]
    # Set while the caller waits in its place.
    place: asyncio.Future[Numbers] | None = None


class Pool:
    """Calls that share one limit. Lanes in it take turns, so that none holds up another."""

    def __init__(self, name: str, limit: Limit, lane_limit: Callable[[str], Limit] | None = None) -> None:
        """
        Args:
            name: what metrics call it.
            limit: what all lanes have together.
            lane_limit: makes the limit of a lane of its own; none where it is left out.
        """
        self.name = name
        self.limit = limit
        self._lane_limit = lane_limit or (lambda lane: Unlimited())
        self._lanes: dict[str, _Lane] = {}
        # How many lanes there are when those are forgotten of which nothing is left to remember.
        self._prune_at = IDLE_LANES
        # Lanes in which somebody waits, the next to take its turn first.
        self._turns: OrderedDict[str, _Lane] = OrderedDict()
        self._waiting: dict[object, _Waiter] = {}
        # Runs that were let through and are on their way back.
        self._granted: dict[object, tuple[float, Numbers]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        self._came = 0
        #: Called with the id of a run whose turn has come.
        self.wake: Callable[[str], None] = lambda run: None

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return len(self._waiting)

    def lane(self, name: str) -> Limit:
        """A lane's own limit."""
        return self._lane(name).limit

    async def admit(self, lane: str, what: str, together: object = None) -> Numbers:
        """Returns when a call may leave, at once or soon.

        Args:
            what: what waits, for people to read.
            together: what the call is about, where one call serves all runs that ask for the same: they have one turn.

        Raises:
            Paced: it would take long; the run is woken when its turn has come, and is let through then.
        """
        caller = working_on.get()
        own = self._lane(lane)
        # A run that waited finds its place again, also where it counts as another kind of caller now.
        key: object = together or (caller.run, caller.step, "" if isinstance(own.limit, Unlimited) else lane)
        known = self._waiting.get(key)
        if caller.run is None or (known is not None and known.place is not None):
            key, known = object(), None  # a run may make several calls at once
        if (granted := self._granted.pop(key, None)) is not None:
            return granted[1]
        now = _now()
        if now >= self._due:
            self._let_through(now)
        if known is None:
            if not own.waiters and own.limit.wait(now) <= 0 and self.limit.wait(now) <= 0:
                return self._take(own, now)
            self._came += 1
            known = self._queue(_Waiter(key, set(), own, (caller.since, self._came)), now)
        elif (granted := self._granted.pop(key, None)) is not None:
            return granted[1]
        seconds, longest = self._guess(known, now), WAIT_WITHOUT_RUN if caller.run is None else WAIT_IN_PLACE
        if seconds <= longest:
            known.runs.discard(caller.run or "")
            numbers = await self._wait_in_place(known, longest * 2)
            if numbers is not None:
                return numbers
            seconds = self._guess(known, _now())  # the limit has changed meanwhile
        if caller.run is None:
            self._drop(known)
        else:
            known.runs.add(caller.run)
        raise Paced(f"{what} waits its turn, about {seconds:,.0f} s", retry_after=seconds)

    def _queue(self, waiter: _Waiter, now: float) -> _Waiter:
        lane = waiter.lane
        insort(lane.waiters, waiter, key=_place_in_line)
        self._waiting[waiter.key] = waiter
        self._turns.setdefault(lane.name, lane)
        self._look_at(now + max(self.limit.wait(now), lane.limit.wait(now)))
        return waiter

    async def _wait_in_place(self, waiter: _Waiter, seconds: float) -> Numbers | None:
        """Waits for a turn, at most so long; None where it did not come."""
        place = waiter.place = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait([place], timeout=seconds)
        except asyncio.CancelledError:
            self._drop(waiter)
            raise
        finally:
            waiter.place = None
        return place.result() if place.done() else None

    def _guess(self, waiter: _Waiter, now: float) -> float:
        """About how long it takes until a waiter's turn."""
        lane = waiter.lane
        place = bisect_left(lane.waiters, waiter.place_in_line, key=_place_in_line)
        alone = lane.limit.wait(now) + place / lane.limit.rate()
        # Each of the other lanes has a turn before each of ours.
        before = min(len(self._waiting), (place + 1) * len(self._turns)) - 1
        return max(alone, self.limit.wait(now) + before / self.limit.rate())

    def refresh(self) -> None:
        """Looks again who may leave: the limit has changed."""
        if self._waiting:
            self._let_through(_now())

    def _let_through(self, now: float) -> None:
        for key, (at, _) in list(self._granted.items()):
            if now - at <= RETURN_WITHIN:
                break
            del self._granted[key]
        while self._turns and self.limit.wait(now) <= 0:
            name = next((name for name, lane in self._turns.items() if lane.limit.wait(now) <= 0), None)
            if name is None:
                break
            lane = self._turns[name]
            waiter = lane.waiters.pop(0)
            self._turns.move_to_end(name)
            if not lane.waiters:
                del self._turns[name]
            del self._waiting[waiter.key]
            numbers = self._take(lane, now)
            if waiter.place is not None:
                waiter.place.set_result(numbers)
            elif waiter.runs:
                self._granted[waiter.key] = (now, numbers)
            for run in waiter.runs:
                self.wake(run)
        self._due = math.inf
        if self._turns:
            soonest = min(lane.limit.wait(now) for lane in self._turns.values())
            self._look_at(now + max(self.limit.wait(now), soonest))

    def _look_at(self, due: float) -> None:
        """Looks who may leave at that time, if not before."""
        if due < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = asyncio.get_running_loop().call_at(due + 0.001, self._on_time)

    def _on_time(self) -> None:
        self._let_through(_now())

    def _take(self, lane: _Lane, now: float) -> Numbers:
        return self.limit.take(now), lane.limit.take(now)

    def _drop(self, waiter: _Waiter) -> None:
        self._waiting.pop(waiter.key, None)
        with contextlib.suppress(ValueError):
            waiter.lane.waiters.remove(waiter)
        if not waiter.lane.waiters:
            self._turns.pop(waiter.lane.name, None)

    def _lane(self, name: str) -> _Lane:
        lane = self._lanes.get(name)
        if lane is None:
            if len(self._lanes) >= self._prune_at:
                self._prune()
            lane = self._lanes[name] = _Lane(name, self._lane_limit(name))
        return lane

    def _prune(self) -> None:
        """Forgets lanes of which nothing is left to remember."""
        now = _now()
        for name, lane in list(self._lanes.items()):
            if not lane.waiters and getattr(lane.limit, "is_idle", lambda now: False)(now):
                del self._lanes[name]
        # Where most are in use, looking through all of them with each new one would cost more than they do.
        self._prune_at = max(IDLE_LANES, 2 * len(self._lanes))

    def close(self) -> None:
        """Stops watching the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Scheduler:
    """The pools of one service."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._pools = dict(pools)
        self._wake: Callable[[str], None] = lambda run: None

    def wakes(self, wake: Callable[[str], None]) -> None:
        """Says who wakes a run whose turn has come."""
        self._wake = wake
        for pool in self._pools.values():
            pool.wake = wake

    def pool(self, name: str, make: Callable[[], Pool]) -> Pool:
        """The pool of that name, made where there is none yet."""
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = make()
            pool.wake = self._wake
        return pool

    def budgets(self) -> dict[str, float]:
        """Calls that may leave now, by pool."""
        now = _now()
        return {name: pool.limit.left(now) for name, pool in self._pools.items()}

    def waiting(self) -> dict[str, int]:
        """Calls that wait for their turn, by pool."""
        return {name: pool.waiting for name, pool in self._pools.items()}

    def close(self) -> None:
        """Stops watching the clock."""
        for pool in self._pools.values():
            pool.close()


def turn() -> str:
    """The lane of a call that a run makes: runs that go on after a wait take turns with new ones."""
    caller = working_on.get()
    return "service" if caller.run is None else "waiting" if caller.resumed else "new"


def _place_in_line(waiter: _Waiter) -> tuple[float, int]:
    return waiter.place_in_line


def _now() -> float:
    return asyncio.get_running_loop().time()
