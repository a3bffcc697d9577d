"""Runs that make paced calls, without the engine around them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from zendesk_bridge.flows.context import Context, working_on
from zendesk_bridge.flows.errors import Paced


class Runs:
    """Runs that make one call each: those that would wait long end, and begin again when they are woken."""

    def __init__(self, admit: Callable[[str], Awaitable[None]]) -> None:
        """
        Args:
            admit: returns when a call in a lane may leave; or raises Paced, and `wake` is called later.
        """
        self._admit = admit
        #: When each call left, the run, and the lane.
        self.left: list[tuple[float, str, str]] = []
        self.at_once = self.most_at_once = 0
        self._lanes: dict[str, str | Callable[[], str]] = {}
        self._since: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._paced: set[str] = set()
        self._enough = 1_000_000
        self._done = asyncio.Event()

    def start(self, name: str, lane: str | Callable[[], str], *, since: float = 0.0) -> None:
        self._lanes[name], self._since[name] = lane, since
        self.wake(name)

    def wake(self, name: str) -> None:
        task = asyncio.get_running_loop().create_task(self._call(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self, name: str) -> None:
        working_on.set(Context(run=name, step="step", resumed=name in self._paced, since=self._since[name]))
        lane = self._lanes[name]
        lane = lane if isinstance(lane, str) else lane()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._admit(lane)
            self.left.append((asyncio.get_running_loop().time(), name, lane))
            if len(self.left) >= self._enough:
                self._done.set()
        except Paced:
            self._paced.add(name)
        finally:
            self.at_once -= 1

    async def until(self, count: int) -> None:
        self._enough = count
        await self._done.wait()
