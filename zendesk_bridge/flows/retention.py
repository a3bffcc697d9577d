"""How long the history is kept: what is older is deleted, a little at a time, so that events are never held up."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from zendesk_bridge.flows.errors import StorageError
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import rfc3339, utc_now

log = logging.getLogger(__name__)

#: After the start, and then between two rounds, in seconds.
FIRST_AFTER, EVERY = 60.0, 3600.0
#: Rows that one write deletes at most, and the pause after it, in seconds. A run and its steps go together, however
#: many they are: half of a run could be tried again, and would do twice what it had done.
ROWS_AT_ONCE, PAUSE = 200, 0.05
#: How long the answer to a command is kept, in days.
REQUESTS_DAYS = 7.0

#: The condition for runs that have ended; of all others nothing is ever deleted.
ENDED = "status in ('succeeded', 'failed', 'cancelled')"
_EXPIRED = (
    "(status in ('succeeded', 'cancelled') and finished_at < :ended) or (status = 'failed' and finished_at < :failed)"
)


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How long ended runs are kept, in days."""

    days: float = 30.0
    failed_days: float = 90.0


@dataclass(frozen=True, kw_only=True)
class Aged:
    """Rows of a table that go when they are older than so many days."""

    table: str
    # In SQL; `:before` is the time in question.
    condition: str
    days: float


class Retention:
    """Deletes what is older than it is kept: soon after the start, and then every hour."""

    def __init__(
        self,
        journal: Journal,
        keep: Keep,
        aged: Iterable[Aged] = (),
        *,
        first_after: float = FIRST_AFTER,
        every: float = EVERY,
    ) -> None:
        """
        Args:
            aged: rows that belong to the engine's user.
        """
        self._journal = journal
        self._keep = keep
        self._aged = (
            Aged(table="requests", condition="answer is not null and at < :before", days=REQUESTS_DAYS),
            *aged,
        )
        self._first_after = first_after
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the rounds."""
        self._task = asyncio.create_task(self._go_round(), name="retention")

    async def stop(self) -> None:
        """Stops at once; what is left to be deleted is deleted after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _go_round(self) -> None:
        pause = self._first_after
        while True:
            await asyncio.sleep(pause)
            try:
                await self.sweep()
            except StorageError as problem:
                log.warning("what is older than it is kept cannot be deleted now: %s", problem.message)
            except Exception:
                log.exception("deleting what is older than it is kept met a defect of this software")
            pause = self._every

    async def sweep(self) -> Counter[str]:
        """Deletes all that is too old by now; returns how many rows of each table. Raises StorageError."""
        times = {"ended": _before(self._keep.days), "failed": _before(self._keep.failed_days)}
        deleted = await delete_runs(self._journal, _EXPIRED, times)
        for each in self._aged:
            deleted += await _delete_rows(self._journal, each)
        if deleted:
            counts = ", ".join(f"{table}: {count}" for table, count in deleted.items())
            log.info("deleted what is older than it is kept (rows of %s)", counts)
        return deleted


async def delete_runs(journal: Journal, condition: str, values: Mapping[str, Any]) -> Counter[str]:
    """Deletes the runs that a condition in SQL selects, with their steps and signals, and events no run needs any more.

    Args:
        condition: must not select runs that have not ended.

    Returns:
        How many rows of each table.

    Raises:
        StorageError: the rest is still there.
    """
    deleted: Counter[str] = Counter()
    after = 0
    while numbers := await journal.read(partial(_next_runs, condition=condition, values={**values, "after": after})):
        deleted += await journal.write(partial(_delete_runs, condition=condition, values=values, numbers=numbers))
        after = numbers[-1]
        await asyncio.sleep(PAUSE)
    return deleted


def _next_runs(connection: sqlite3.Connection, condition: str, values: Mapping[str, Any]) -> list[int]:
    rows = connection.execute(
        # One row is the run's own, one the event's.
        f"select number, 2 + (select count(*) from steps where run_id = runs.id)"  # noqa: S608
        f" + (select count(*) from signals where run_id = runs.id)"
        f" from runs where number > :after and ({condition}) order by number limit {ROWS_AT_ONCE}",
        values,
    ).fetchall()
    numbers: list[int] = []
    total = 0
    for number, count in rows:
        total += count
        if numbers and total > ROWS_AT_ONCE:
            break
        numbers.append(number)
    return numbers


def _delete_runs(
    connection: sqlite3.Connection, condition: str, values: Mapping[str, Any], numbers: list[int]
) -> Counter[str]:
    deleted: Counter[str] = Counter()
    for number in numbers:
        run = connection.execute(
            # It may have been tried again since it was found.
            f"select id, event_id from runs where number = :number and ({condition})",  # noqa: S608
            {**values, "number": number},
        ).fetchone()
        if run is None:
            continue
        for table, sql, value in (
            ("runs", "delete from runs where number = ?", number),
            ("steps", "delete from steps where run_id = ?", run["id"]),
            ("signals", "delete from signals where run_id = ?", run["id"]),
            (
                "events",
                "delete from events where id = ? and not exists (select 1 from runs where event_id = events.id)",
                run["event_id"],
            ),
        ):
            deleted[table] += connection.execute(sql, (value,)).rowcount
    return +deleted


async def _delete_rows(journal: Journal, aged: Aged) -> Counter[str]:
    deleted: Counter[str] = Counter()
    values = {"before": _before(aged.days), "after": 0}
    while rows := await journal.read(partial(_next_rows, aged=aged, values=values)):
        deleted[aged.table] += await journal.write(partial(_delete_some, aged=aged, rows=rows, values=values))
        values = {**values, "after": rows[-1]}
        await asyncio.sleep(PAUSE)
    return deleted


def _next_rows(connection: sqlite3.Connection, aged: Aged, values: Mapping[str, Any]) -> list[int]:
    found = connection.execute(
        f"select rowid from {aged.table} where rowid > :after and ({aged.condition})"  # noqa: S608
        f" order by rowid limit {ROWS_AT_ONCE}",
        values,
    )
    return [row[0] for row in found]


def _delete_some(connection: sqlite3.Connection, aged: Aged, rows: list[int], values: Mapping[str, Any]) -> int:
    sql = f"delete from {aged.table} where rowid = :row and ({aged.condition})"  # noqa: S608
    return sum(connection.execute(sql, {**values, "row": row}).rowcount for row in rows)


def _before(days: float) -> str:
    """The time so many days ago, as the tables have it."""
    try:
        return rfc3339(utc_now() - dt.timedelta(days=days))
    except OverflowError:
        return ""  # for ever
