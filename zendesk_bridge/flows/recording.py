"""The rows of one run on their way to the journal: in order, in as few writes as will do, never with a hole."""

from __future__ import annotations

import asyncio
import sqlite3

from zendesk_bridge.flows import store
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import Run, StepRun

#: How long the record of a read, or of a run's start, may wait for a write that it can share, in seconds.
READS_RECORDED_WITHIN = 0.5


class Recording:
    """What is recorded of a run while it goes on."""

    def __init__(self, run: Run, journal: Journal, *, has_started: bool) -> None:
        """
        Args:
            has_started: whether it is stored that the run has started; else that is stored with its first rows.
        """
        self._run = run
        self._journal = journal
        # Rows that wait for the next write, whether the run's own does too, and when that is at the latest.
        self._pending: list[store.Row] = []
        self._has_started = has_started
        self._latest: asyncio.Handle | None = None
        # Rows in writes that are not known to be committed.
        self._queued: list[tuple[list[store.Row], asyncio.Future[None]]] = []
        #: Whether passes of a loop record in it at the same time. They wait for each other's writes.
        self.is_shared = False
        if not has_started:
            self.soon(reads_only=True)

    def put(self, step: StepRun, outputs: str | None = None) -> None:
        """Keeps a step's state for the next write.

        Args:
            outputs: the step's outputs as JSON, where they are at hand.
        """
        self._pending.append(store.step_row(self._run.id, step, outputs))

    def soon(self, *, reads_only: bool) -> None:
        """Lets the rows wait for a write that they can share: the run's end, if that comes at once, or the next effect.

        Args:
            reads_only: whether they may wait a moment: what was read may be read again.
        """
        if reads_only and self._latest is not None:
            return
        self.close()
        loop = asyncio.get_running_loop()
        self._latest = loop.call_later(READS_RECORDED_WITHIN, self.now) if reads_only else loop.call_soon(self.now)

    def now(self) -> None:
        """Queues the rows that wait, and again those whose write has failed.

        Writes are committed in order, so a later durable one covers this one.
        """
        self.close()
        failed = [row for rows, future in self._queued if _has_failed(future) for row in rows]
        self._queued = [(rows, future) for rows, future in self._queued if not _has_failed(future)]
        rows = [*failed, *self._pending]
        after = next((queued[-1] for queued, _ in reversed(self._queued) if queued), None)
        start = None if self._has_started else store.run_row(self._run)
        self._pending, self._has_started = [], True

        def work(connection: sqlite3.Connection) -> None:
            store.put_steps(connection, rows, after=after)
            if start is not None:
                store.update_run_row(connection, start)

        self._queued.append((rows, self._journal.write(work)))

    def flush(self) -> None:
        """Queues the rows that wait, if there are any."""
        if self._pending:
            self.now()

    async def durably(self, step: StepRun) -> None:
        """Stores a step's state and all before it; returns when it is on disk. Raises StorageError."""
        self.put(step)
        self.now()
        for _, future in list(self._queued):
            # Where somebody is cancelled, the others must not be.
            await (asyncio.shield(future) if self.is_shared else future)
        self._queued = [(rows, future) for rows, future in self._queued if not _is_stored(future)]

    def rest(self) -> list[store.Row]:
        """The rows not known to be stored, in order. The run's own state is stored with them, or not at all."""
        self.close()
        queued = [row for rows, future in self._queued if not _is_stored(future) for row in rows]
        return [*queued, *self._pending]

    def close(self) -> None:
        """Lets nothing be written later by itself."""
        if self._latest is not None:
            self._latest.cancel()
            self._latest = None


def _has_failed(future: asyncio.Future[None]) -> bool:
    return future.done() and not _is_stored(future)


def _is_stored(future: asyncio.Future[None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
