"""Does a piece of work once where several want it at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class SingleFlight:
    """Pieces of work under way, by key. Who comes late waits for the first one's result, or gets its error."""

    def __init__(self) -> None:
        self._flights: dict[object, asyncio.Task[Any]] = {}

    async def do(self, key: object, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the work; it goes on for the others if one of those who wait is cancelled."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(work())
            flight.add_done_callback(lambda done: self._landed(key, done))
        result: T = await asyncio.shield(flight)
        return result

    def cancel(self) -> None:
        """Ends all work under way."""
        for flight in list(self._flights.values()):
            flight.cancel()

    def _landed(self, key: object, flight: asyncio.Task[Any]) -> None:
        self._flights.pop(key, None)
        if not flight.cancelled():
            flight.exception()  # nobody may be waiting any more; asyncio complains about errors nobody saw
