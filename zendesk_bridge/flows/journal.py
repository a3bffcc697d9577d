"""The journal: one file, one process that writes it, one thread that commits whatever is queued together."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from zendesk_bridge.flows.errors import ConnectorError, Locked, StorageError
from zendesk_bridge.flows.tables import migrate, require_current

log = logging.getLogger(__name__)

#: How often a held lock is tried, and the pause between, in seconds.
LOCK_TRIES, LOCK_PAUSE = 5, 0.05

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
_Entry = tuple[Work[Any], "asyncio.Future[Any]"]


class Lock:
    """The right to write a database: a lock on a file beside it that dies with its process."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.path = database.with_name(database.name + ".lock")
        self._descriptor: int | None = None

    def take(self) -> None:
        """Takes the lock. Raises Locked, naming the process that holds it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as problem:
            raise StorageError(f"{self.path} cannot be opened: {problem.strerror}") from problem
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise Locked(str(self._database), holder) from problem
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Lets go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def connect(path: Path) -> sqlite3.Connection:
    """Opens a connection for writing. Raises StorageError."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as problem:
        raise StorageError(f"{path} cannot be opened: {problem}") from problem
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma foreign_keys = off")
    except sqlite3.Error as problem:
        connection.close()
        raise StorageError(f"{path} cannot be opened: {problem}") from problem
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Opens a connection that only reads. Raises StorageError where the file is missing or of another version."""
    if not path.exists():
        raise StorageError(f"there is no database {path}", hint="Start `zendesk-connector serve` once.")
    connection = connect(path)
    try:
        require_current(connection)
        connection.execute("pragma query_only = on")
    except sqlite3.Error as problem:
        connection.close()
        raise StorageError(f"{path} cannot be read: {problem}") from problem
    except StorageError:
        connection.close()
        raise
    return connection


class Journal:
    """Writes in groups: everything that is queued goes into one transaction, fsynced, and then its callers wake."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Commits made so far: a counted figure for tests and the benchmark.
        self.commits = 0
        self._lock = Lock(path)
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._taking = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Takes the lock, brings the tables up to date, starts the writer. Raises Locked, StorageError."""
        self._loop = asyncio.get_running_loop()
        await self._take_lock()
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        try:
            await self._loop.run_in_executor(self._readers, self._connect)
        except BaseException:
            await self._let_go()
            raise
        self._thread = threading.Thread(target=self._write_batches, name="journal-writer", daemon=True)
        self._thread.start()
        self._taking = True

    async def _take_lock(self) -> None:
        """Somebody who only asks whether the database is held holds it for a moment."""
        for _ in range(LOCK_TRIES):
            try:
                return self._lock.take()
            except Locked:
                await asyncio.sleep(LOCK_PAUSE)
        return self._lock.take()

    def _connect(self) -> None:
        if self.path.exists():
            with suppress(OSError):  # it may be somebody else's, and readable all the same
                self.path.chmod(0o600)
        self._writer = connect(self.path)
        try:
            migrate(self._writer)
            self._reader = connect_to_read(self.path)
        except sqlite3.Error as problem:
            raise StorageError(f"{self.path} cannot be used: {problem}") from problem

    async def close(self) -> None:
        """Commits what is queued and lets go of the file."""
        if self._thread is not None:
            self._taking = False  # nothing may come to stand behind the end of the queue
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        await self._let_go()

    async def _let_go(self) -> None:
        if self._readers is not None:
            await asyncio.to_thread(self._readers.shutdown)
            self._readers = None
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None
        self._lock.release()

    def write(self, work: Work[T]) -> asyncio.Future[T]:
        """Queues work for the next transaction. The future ends once it is committed; it may be left unawaited.

        Raises (through the future):
            StorageError: nothing of this work was stored.
            Exception: what the work itself raised; nothing of it was stored either.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_note_failure)
        if not self._taking:
            future.set_exception(_closed(self.path))
        else:
            self._queue.put((work, future))
        return future

    async def read(self, work: Work[T]) -> T:
        """Runs work on the reading connection, off the event loop. Raises StorageError."""
        reader = self._reader
        if reader is None or self._readers is None:
            raise _closed(self.path)

        def guarded() -> T:
            try:
                return work(reader)
            except sqlite3.Error as problem:
                raise StorageError(f"{self.path} cannot be read: {problem}") from problem

        return await asyncio.get_running_loop().run_in_executor(self._readers, guarded)

    def _write_batches(self) -> None:
        assert self._loop is not None
        going = True
        while going:
            batch: list[_Entry] = []
            entry = self._queue.get()
            while True:
                if entry is None:
                    going = False
                    break
                batch.append(entry)
                try:
                    entry = self._queue.get_nowait()
                except queue.Empty:
                    break
            results = self._commit_together(batch) if batch else []
            if results and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_deliver, results)

    def _commit_together(self, batch: list[_Entry]) -> list[tuple[asyncio.Future[Any], Any]]:
        try:
            return self._commit(batch)
        except Exception as problem:
            if len(batch) == 1:
                return [(batch[0][1], _translated(problem, self.path))]
        # One bad piece of work must not take the others with it.
        return [result for entry in batch for result in self._commit_together([entry])]

    def _commit(self, batch: list[_Entry]) -> list[tuple[asyncio.Future[Any], Any]]:
        assert self._writer is not None
        try:
            self._writer.execute("begin immediate")
        except sqlite3.Error as problem:
            # No work is to blame. Tried one by one, each would wait for the lock by itself.
            return [(future, _translated(problem, self.path)) for _, future in batch]
        try:
            results = [(future, work(self._writer)) for work, future in batch]
            self._writer.execute("commit")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("rollback")
            raise
        self.commits += 1
        return results


def _translated(problem: Exception, path: Path) -> Exception:
    """What the caller gets; a defect in its own work is none of the database's."""
    return StorageError(f"{path} cannot be written: {problem}") if isinstance(problem, sqlite3.Error) else problem


def _closed(path: Path) -> StorageError:
    return StorageError(f"{path} is closed", hint="It is open while `zendesk-connector serve` runs.")


def _deliver(results: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in results:
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


def _note_failure(future: asyncio.Future[Any]) -> None:
    """Looks at the exception, so that work nobody awaits does not fail in silence."""
    if future.cancelled():
        return
    problem = future.exception()
    if isinstance(problem, StorageError) or not isinstance(problem, ConnectorError | None):
        log.error("not stored: %s", problem, exc_info=None if isinstance(problem, StorageError) else problem)
