"""Wakes runs that wait as rows when their time has come, also where somebody sets the clock."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import sqlite3
from collections.abc import Callable
from functools import partial

from zendesk_bridge.flows import store
from zendesk_bridge.flows.clock import ClockWatch
from zendesk_bridge.flows.errors import StorageError
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import utc_now

log = logging.getLogger(__name__)

#: Waiting runs taken up at once when their time has come.
WAKE_AT_ONCE = 500
#: Where more are due than that: when to look for the others, in seconds.
MORE_DUE_IN = 0.25
#: The clock may jump: nobody sleeps longer than this without looking at it, in seconds.
LONGEST_SLEEP = 30.0
#: How long to leave a database alone that cannot be read, in seconds.
READ_PAUSE = 5.0


class Waker:
    """Looks at the rows when the next one is due, or when it is poked."""

    def __init__(self, journal: Journal, take_up: Callable[[str], None]) -> None:
        """
        Args:
            take_up: goes on with a run.
        """
        self._journal = journal
        self._take_up = take_up
        self._poked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts looking."""
        self._task = asyncio.create_task(self._wake_sleepers(), name="wake-sleepers")

    async def stop(self) -> None:
        """Stops looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def poke(self) -> None:
        """A row has changed: some run may be due."""
        self._poked.set()

    async def _wake_sleepers(self) -> None:
        clock = ClockWatch()
        while True:
            self._poked.clear()
            jumped, now = clock.jumped(), utc_now()
            try:
                if jumped:
                    log.warning("the clock was set %s by %.0f s", "forward" if jumped > 0 else "back", abs(jumped))
                    await self._journal.write(partial(store.clock_was_set, by=jumped, now=now))
                due, wake = await self._journal.read(partial(_sleepers, now=now))
            except Exception as problem:
                # Whatever it is, the others must be woken.
                defect = None if isinstance(problem, StorageError) else problem
                log.warning("sleeping runs cannot be read: %s", problem, exc_info=defect)
                due, wake = [], now + dt.timedelta(seconds=READ_PAUSE)
            for run_id in due:
                self._take_up(run_id)
            if len(due) == WAKE_AT_ONCE:
                wake = now + dt.timedelta(seconds=MORE_DUE_IN)
            sleep = LONGEST_SLEEP if wake is None else (wake - utc_now()).total_seconds()
            try:
                async with asyncio.timeout(min(max(sleep, 0.01), LONGEST_SLEEP)):
                    await self._poked.wait()
            except TimeoutError:
                continue


def _sleepers(connection: sqlite3.Connection, now: dt.datetime) -> tuple[list[str], dt.datetime | None]:
    """The runs that are due, and when the next one will be. Those that are due need no further waking."""
    return store.due_run_ids(connection, now, WAKE_AT_ONCE), store.next_wake(connection, now)
