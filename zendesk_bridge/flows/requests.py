"""Requests to the process that holds the database: a command writes one, the holder applies and answers it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from zendesk_bridge.flows.errors import ConnectorError, StorageError
from zendesk_bridge.flows.journal import Journal, connect
from zendesk_bridge.flows.model import rfc3339, utc_now
from zendesk_bridge.flows.tables import require_current

log = logging.getLogger(__name__)

#: How often the holder looks for requests, in seconds.
LOOK_EVERY = 0.25
#: Requests that change nothing, and come often: neither the log nor the table keeps them.
LOOKS = ("budgets", "depends", "folder", "outcome")
#: How long a command waits for its answer, in seconds.
ANSWER_WITHIN = 5.0

Answer = dict[str, Any]
Handler = Callable[[str, Mapping[str, Any], str], Awaitable[Answer]]


def send(path: Path, verb: str, args: Mapping[str, Any], by: str, within: float = ANSWER_WITHIN) -> Answer:
    """Asks the process that holds the database to do something. Blocks.

    Returns:
        Its answer.

    Raises:
        ConnectorError: it refused, with its code, message and hint; or `no_answer` after `within` seconds.
    """
    connection = connect(path)
    try:
        require_current(connection)
        cursor = connection.execute(
            "insert into requests(verb, args, by, at) values (?, ?, ?, ?)",
            (verb, json.dumps(dict(args)), by, rfc3339(utc_now())),
        )
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            row = connection.execute("select answer from requests where id = ?", (cursor.lastrowid,)).fetchone()
            if row is not None and row["answer"] is not None:
                if verb in LOOKS:
                    connection.execute("delete from requests where id = ?", (cursor.lastrowid,))
                return _read(json.loads(row["answer"]))
            time.sleep(0.05)
    except sqlite3.Error as problem:
        raise StorageError(f"{path} cannot be written: {problem}") from problem
    finally:
        connection.close()
    raise ConnectorError(
        "no_answer",
        f"The running process did not answer within {within:.0f} s",
        hint="The request stays; it is applied when that process gets to it.",
    )


def _read(answer: Any) -> Answer:
    if "error" in answer:
        error = answer["error"]
        raise ConnectorError(error["code"], error["message"], hint=error["hint"])
    result: Answer = answer["result"]
    return result


class Desk:
    """Looks for requests, and has them answered one after the other. Each is applied once, at most."""

    def __init__(self, journal: Journal, handle: Handler) -> None:
        self._journal = journal
        self._handle = handle
        self._seen: int | None = None
        # Answers that the database did not take yet.
        self._unstored: dict[int, Answer] = {}
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts looking; what waits already is answered first."""
        self._ending.clear()
        self._task = asyncio.create_task(self._look(), name="requests")

    async def stop(self) -> None:
        """Stops looking. What is being applied is applied to its end, within five seconds."""
        if self._task is not None:
            self._ending.set()
            await asyncio.wait([self._task], timeout=ANSWER_WITHIN)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        interrupted = False
        while not self._ending.is_set():
            try:
                if not interrupted:
                    await self._journal.write(_answer_interrupted)
                    interrupted = True
                await self._answer_all()
            except StorageError as problem:
                log.warning("requests cannot be answered: %s", problem.message)
            except Exception:
                log.exception("looking for requests met a defect of this software")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._ending.wait()

    async def _answer_all(self) -> None:
        for number in list(self._unstored):
            await self._store(number)
        version, rows = await self._journal.write(partial(_open_requests, seen=self._seen))
        for number, verb, args, by in rows:
            if self._ending.is_set():
                return
            # Taken before it is applied: a crash in between must not have it applied again.
            await self._journal.write(partial(_take, number=number))
            self._unstored[number] = await self._apply(number, verb, args, by)
            await self._store(number)
        self._seen = version

    async def _apply(self, number: int, verb: str, args: str | None, by: str) -> Answer:
        try:
            answer: Answer = {"result": await self._handle(verb, _arguments(args), by)}
            json.dumps(answer)
        except ConnectorError as problem:
            answer = {"error": problem.as_json()}
        except Exception:
            log.exception("request %s (%s) met a defect of this software", number, verb)
            answer = {"error": {"code": "internal", "message": "A defect of this software", "hint": "See the log."}}
        level = logging.DEBUG if verb in LOOKS else logging.INFO
        log.log(level, "request %s by %s: %s", verb, by, "refused" if "error" in answer else "done")
        return answer

    async def _store(self, number: int) -> None:
        answer = json.dumps(self._unstored[number])
        await self._journal.write(
            lambda connection: (
                connection.execute(
                    "update requests set answered_at = ?, answer = ? where id = ?", (rfc3339(utc_now()), answer, number)
                ).rowcount
            )
        )
        del self._unstored[number]


def _open_requests(
    connection: sqlite3.Connection, seen: int | None
) -> tuple[int, list[tuple[int, str, str | None, str]]]:
    """Requests that nobody took. Runs on the writing connection, whose data_version other writers move."""
    version: int = connection.execute("pragma data_version").fetchone()[0]
    if version == seen:
        return version, []
    rows = connection.execute("select id, verb, args, by from requests where answered_at is null order by id")
    return version, [tuple(row) for row in rows]


def _take(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("update requests set answered_at = ? where id = ?", (rfc3339(utc_now()), number))


def _answer_interrupted(connection: sqlite3.Connection) -> None:
    """Requests that an earlier process took and did not answer: it may have applied them."""
    error = ConnectorError(
        "interrupted",
        "The process stopped while it did this; perhaps it is done",
        hint="Look whether it is, and ask again if not.",
    )
    connection.execute(
        "update requests set answer = ? where answered_at is not null and answer is null",
        (json.dumps({"error": error.as_json()}),),
    )


def _arguments(text: str | None) -> dict[str, Any]:
    try:
        arguments = json.loads(text or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise ConnectorError("bad_request", "The request's args are no JSON object")
    return arguments
