"""The journal: one file, one process that writes it, one thread that commits whatever is queued together."""

from __future__ import annotations

import asyncio
import contextvars
import fcntl
import logging
import math
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from zendesk_bridge.flows.errors import ConnectorError, Locked, StorageError
from zendesk_bridge.flows.tables import migrate, require_current

log = logging.getLogger(__name__)

#: How often a held lock is tried, and the pause between, in seconds.
LOCK_TRIES, LOCK_PAUSE = 5, 0.05
#: How long a lock of another program is waited for, in seconds. What comes meanwhile waits once more, and Zendesk gives
#: a webhook ten seconds.
PATIENCE = 4.0
#: A file up to this size is looked through at the start, in bytes: that takes a tenth of a second at most.
CHECKED_UP_TO = 64 * 1024 * 1024

DAMAGED = (
    "The file is damaged and was left as it is. Move it away, with the -wal and -shm beside it, and put a copy in its"
    " place that `zendesk-connector backup` made; without one, start with a new file."
)
_HINTS = {
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
    sqlite3.SQLITE_BUSY: "Another program is writing to it, or keeps it locked: end that one.",
    sqlite3.SQLITE_FULL: "The disk is full: make room. A running connector goes on by itself then.",
}

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class _Entry(NamedTuple):
    work: Work[Any]
    future: asyncio.Future[Any]
    # What was worked on: the log says it where the write fails.
    context: contextvars.Context
    # Told what was stored, also where nobody waits for it any more.
    stored: Callable[[Any], None] | None = None
    # Outside of a transaction, by itself.
    alone: bool = False


#: What became of each piece of work: what it returned, or the exception.
_Results = list[tuple[_Entry, Any]]


def storage_error(path: Path, done: str, problem: sqlite3.Error) -> StorageError:
    """What is told of a problem with a database, and what to do about it.

    Args:
        done: what cannot be done: `opened`, `read`, `written`.
    """
    message, hint = f"{path} cannot be {done}: {problem}", _HINTS.get(_code(problem))
    return StorageError(message, hint=hint) if hint else StorageError(message)


def _code(problem: BaseException | None) -> int:
    # The higher bits say more, and only of some. An error of Python's own has no code.
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF


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
        except OSError as problem:
            os.close(descriptor)
            raise StorageError(
                f"{self.path} cannot be locked: {problem.strerror}", hint="Keep the database on a disk of this machine."
            ) from problem
        with suppress(OSError):  # on a full disk nobody is named
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
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    except OSError as problem:
        raise StorageError(f"{path} cannot be opened: {problem.strerror}") from problem
    except sqlite3.Error as problem:
        raise storage_error(path, "opened", problem) from problem
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma foreign_keys = off")
        # What is deleted is overwritten: it was about people.
        connection.execute("pragma secure_delete = on")
    except sqlite3.Error as problem:
        connection.close()
        raise storage_error(path, "opened", problem) from problem
    return connection


def require_there(path: Path) -> None:
    """For those who make no database. Raises StorageError."""
    try:
        if path.exists():
            return
    except OSError as problem:
        raise StorageError(f"{path} cannot be opened: {problem.strerror}") from problem
    raise StorageError(f"there is no database {path}", hint="Start `zendesk-connector serve` once.")


def open_read_only(path: Path) -> sqlite3.Connection:
    """Opens a file that is there and changes nothing of it: nor does closing it. Raises StorageError."""
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as problem:
        raise storage_error(path, "opened", problem) from problem
    connection.row_factory = sqlite3.Row
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Opens a connection that only reads. Raises StorageError where the file is missing or of another version."""
    require_there(path)
    connection = open_read_only(path)
    try:
        require_current(connection)
    except sqlite3.Error as problem:
        connection.close()
        raise storage_error(path, "read", problem) from problem
    except StorageError:
        connection.close()
        raise
    return connection


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Within it all that is read is as it was at one moment, whoever writes meanwhile."""
    connection.execute("begin")
    try:
        yield
    finally:
        if connection.in_transaction:  # some errors end it by themselves
            connection.execute("rollback")


class Journal:
    """Writes in groups: everything that is queued goes into one transaction, fsynced, and then its callers wake."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Commits made so far: a counted figure for tests and the benchmark.
        self.commits = 0
        #: Writes that are not committed yet.
        self.queued = 0
        #: When the last commit was made, as a Unix time; None before the first.
        self.written_at: float | None = None
        self._lock = Lock(path)
        # What one turn of the event loop writes goes to the thread together: waking it costs as much as a write.
        self._gathered: list[_Entry] = []
        self._queue: queue.SimpleQueue[list[_Entry] | None] = queue.SimpleQueue()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._taking = False
        # What is wrong with the file; nothing is written to it any more.
        self._damage: StorageError | None = None
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
        self._damage = None
        try:
            if self.path.is_file():
                with suppress(OSError):  # it may be somebody else's, and readable all the same
                    self.path.chmod(0o600)
                # Before anything is changed. SQLite would write a log that is left beside it over whatever this is.
                _require_header(self.path)
                require_sound(self.path, up_to=CHECKED_UP_TO)
        except OSError as problem:
            raise StorageError(f"{self.path} cannot be opened: {problem.strerror}") from problem
        self._writer = connect(self.path)
        try:
            self._writer.execute("begin immediate")
            self._writer.execute("rollback")
            migrate(self._writer)
            self._reader = connect_to_read(self.path)
        except sqlite3.Error as problem:
            raise storage_error(self.path, "used", problem) from problem

    async def close(self) -> None:
        """Commits what is queued and lets go of the file."""
        if self._thread is not None:
            self._taking = False  # nothing may come to stand behind the end of the queue
            self._hand_over()
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

    def write(self, work: Work[T], stored: Callable[[T], None] | None = None) -> asyncio.Future[T]:
        """Queues work for the next transaction. The future ends once it is committed; it may be left unawaited.

        Args:
            stored: told what the work returned once it is committed, also where the future was cancelled.

        Raises (through the future):
            StorageError: nothing of this work was stored.
            Exception: what the work itself raised; nothing of it was stored either.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Entry(work, future, contextvars.copy_context(), stored))
        return future

    async def compact(self) -> None:
        """Writes the file anew, so that nothing is left of what was deleted. Writes wait as long. Raises StorageError.

        Deleted text is overwritten in its place, but SQLite also leaves old copies behind where it moves rows.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(_Entry(self._compact, future, contextvars.copy_context(), alone=True))
        await future

    def _put(self, entry: _Entry) -> None:
        if not self._taking:
            _end(entry, _closed(self.path))
        elif self._damage is not None:
            _end(entry, StorageError(self._damage.message, hint=self._damage.hint))
        else:
            if not self._gathered:
                entry.future.get_loop().call_soon(self._hand_over)
            self._gathered.append(entry)
            self.queued += 1

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    async def read(self, work: Work[T]) -> T:
        """Runs work on the reading connection, off the event loop, at one moment. Raises StorageError."""
        reader = self._reader
        if reader is None or self._readers is None:
            raise _closed(self.path)

        def guarded() -> T:
            try:
                with snapshot(reader):
                    return work(reader)
            except sqlite3.Error as problem:
                raise self._translated("read", problem) from problem

        return await asyncio.get_running_loop().run_in_executor(self._readers, guarded)

    def _write_batches(self) -> None:
        assert self._loop is not None
        going = True
        while going:
            batch: list[_Entry] = []
            entries = self._queue.get()
            while True:
                if entries is None:
                    going = False
                    break
                batch += entries
                try:
                    entries = self._queue.get_nowait()
                except queue.Empty:
                    break
            together = [each for each in batch if not each.alone]
            results = self._commit_together(together) if together else []
            results += [self._do_alone(each) for each in batch if each.alone]
            if results and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._deliver, results)

    def _deliver(self, results: _Results) -> None:
        self.queued -= len(results)
        for entry, result in results:
            _end(entry, result)

    def _commit_together(self, batch: list[_Entry]) -> _Results:
        try:
            return self._commit(batch)
        except Exception as problem:
            if len(batch) == 1:
                return [(batch[0], self._translated("written", problem))]
        # One bad piece of work must not take the others with it.
        return [result for entry in batch for result in self._commit_together([entry])]

    def _commit(self, batch: list[_Entry]) -> _Results:
        assert self._writer is not None
        try:
            if self._writer.in_transaction:  # it could not be rolled back when it failed
                self._writer.execute("rollback")
            self._writer.execute("begin immediate")
        except sqlite3.Error as problem:
            # No work is to blame. Tried one by one, each would wait for the lock by itself.
            return [(entry, self._translated("written", problem)) for entry in batch]
        try:
            results = [(entry, entry.work(self._writer)) for entry in batch]
            self._writer.execute("commit")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("rollback")
            raise
        self.commits += 1
        self.written_at = time.time()
        return results

    def _do_alone(self, entry: _Entry) -> tuple[_Entry, Any]:
        assert self._writer is not None
        try:
            return entry, entry.work(self._writer)
        except Exception as problem:
            return entry, self._translated("written", problem)

    def _compact(self, connection: sqlite3.Connection) -> None:
        connection.execute("vacuum")
        # The log has the pages as they were before.
        if connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]:
            raise StorageError(
                f"{self.path} cannot be written anew: another program reads it", hint="End that one, and ask again."
            )

    def _translated(self, done: str, problem: Exception) -> Exception:
        """What the caller gets; a defect in its own work is none of the database's."""
        if not isinstance(problem, sqlite3.Error):
            return problem
        error = storage_error(self.path, done, problem)
        if _HINTS.get(_code(problem)) == DAMAGED and self._damage is None:
            # Who goes on writing makes it worse, and what is answered with 200 may not be found again.
            log.error("%s. %s", error.message, error.hint)
            self._damage = error
        return error


def require_sound(path: Path, up_to: float = math.inf) -> None:
    """Looks through a file for damage, if it is not larger than so many bytes. Raises StorageError, OSError."""
    if path.stat().st_size > up_to:
        return
    try:
        with closing(open_read_only(path)) as connection:
            found = connection.execute("pragma quick_check(1)").fetchone()[0]
    except sqlite3.Error as problem:
        raise storage_error(path, "read", problem) from problem
    if found != "ok":
        raise StorageError(f"{path} is damaged: {' '.join(found.split())}", hint=DAMAGED)


def _require_header(path: Path) -> None:
    # Closing the file takes SQLite's own locks on it away: it must not be in use in this process.
    with path.open("rb") as file:
        if file.read(16) not in (b"", b"SQLite format 3\0"):
            raise StorageError(f"{path} cannot be opened: file is not a database", hint=DAMAGED)


def _closed(path: Path) -> StorageError:
    return StorageError(f"{path} is closed", hint="It is open while `zendesk-connector serve` runs.")


def _end(entry: _Entry, result: Any) -> None:
    """Tells whoever wrote what became of it, and the log of what nobody may be waiting for."""
    future = entry.future
    if isinstance(result, Exception):
        if not future.done():
            future.set_exception(result)
            future.exception()  # asyncio complains about errors nobody saw
        entry.context.run(_note_failure, result)
        return
    if entry.stored is not None:
        entry.stored(result)
    if not future.done():
        future.set_result(result)


def _note_failure(problem: Exception) -> None:
    if isinstance(problem, StorageError) or not isinstance(problem, ConnectorError):
        log.error("not stored: %s", problem, exc_info=None if isinstance(problem, StorageError) else problem)
