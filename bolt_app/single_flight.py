"""Does a piece of work once where several want it at the same moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from zendesk_bridge.flows.errors import Paced

T = TypeVar("T")


class SingleFlight:
    """Pieces of work under way, by key. Who comes late waits for the first one's result, or gets its error.

    Where the first one would have to wait long for its turn, the next one tries: each must be in the queue itself.
    """

    def __init__(self) -> None:
        self._flights: dict[object, asyncio.Task[Any]] = {}

    async def do(self, key: object, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the work; it goes on for the others if one of those who wait is cancelled."""
        # One that has landed is not waited for: that would give nobody else a turn, and it would never be taken away.
        while (flight := self._flights.get(key)) is not None and not flight.done():
            with contextlib.suppress(Paced):
                joined: T = await asyncio.shield(flight)
                return joined
        flight = self._flights[key] = asyncio.create_task(work())
        flight.add_done_callback(lambda done: self._landed(key, done))
        result: T = await asyncio.shield(flight)
        return result

    def cancel(self) -> None:
        """Ends all work under way."""
        for flight in list(self._flights.values()):
            flight.cancel()

    def _landed(self, key: object, flight: asyncio.Task[Any]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # nobody may be waiting any more; asyncio complains about errors nobody saw
