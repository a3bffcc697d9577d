"""Requests to the process that holds the database: a command writes one, the holder applies and answers it."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from zendesk_bridge.flows.errors import ConnectorError, StorageError
from zendesk_bridge.flows.journal import Journal, connect
from zendesk_bridge.flows.model import rfc3339, utc_now
from zendesk_bridge.flows.tables import require_current

log = logging.getLogger(__name__)

#: How often the holder looks for requests, in seconds.
LOOK_EVERY = 0.25
#: How long a command waits for its answer, in seconds.
ANSWER_WITHIN = 5.0

Answer = dict[str, Any]
Handler = Callable[[str, Mapping[str, Any], str], Awaitable[Answer]]


def send(path: Path, verb: str, args: Mapping[str, Any], by: str) -> Answer:
    """Asks the process that holds the database to do something. Blocks.

    Returns:
        Its answer.

    Raises:
        ConnectorError: it refused, with its code, message and hint; or `no_answer` after five seconds.
    """
    connection = connect(path)
    try:
        require_current(connection)
        cursor = connection.execute(
            "insert into requests(verb, args, by, at) values (?, ?, ?, ?)",
            (verb, json.dumps(dict(args)), by, rfc3339(utc_now())),
        )
        deadline = time.monotonic() + ANSWER_WITHIN
        while time.monotonic() < deadline:
            row = connection.execute("select answer from requests where id = ?", (cursor.lastrowid,)).fetchone()
            if row is not None and row["answer"] is not None:
                return _read(json.loads(row["answer"]))
            time.sleep(0.05)
    except sqlite3.Error as problem:
        raise StorageError(f"{path} cannot be written: {problem}") from problem
    finally:
        connection.close()
    raise ConnectorError(
        "no_answer",
        f"The running process did not answer within {ANSWER_WITHIN:.0f} s",
        hint="The request stays; it is applied when that process gets to it.",
    )


def _read(answer: Any) -> Answer:
    if "error" in answer:
        error = answer["error"]
        raise ConnectorError(error["code"], error["message"], hint=error["hint"])
    result: Answer = answer["result"]
    return result


class Desk:
    """Looks for requests, and has them answered one after the other."""

    def __init__(self, journal: Journal, handle: Handler) -> None:
        self._journal = journal
        self._handle = handle
        self._seen: int | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts looking; what waits already is answered first."""
        self._task = asyncio.create_task(self._look(), name="requests")

    async def stop(self) -> None:
        """Stops looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            try:
                for number, verb, args, by in await self._journal.write(self._open_requests):
                    await self._answer(number, verb, args, by)
            except StorageError as problem:
                log.warning("requests cannot be read: %s", problem.message)
            await asyncio.sleep(LOOK_EVERY)

    def _open_requests(self, connection: sqlite3.Connection) -> list[tuple[int, str, dict[str, Any], str]]:
        """Requests without an answer. Runs on the writing connection, whose data_version other writers move."""
        version = connection.execute("pragma data_version").fetchone()[0]
        if version == self._seen:
            return []
        self._seen = version
        rows = connection.execute("select id, verb, args, by from requests where answered_at is null order by id")
        return [(row["id"], row["verb"], json.loads(row["args"]), row["by"]) for row in rows]

    async def _answer(self, number: int, verb: str, args: Mapping[str, Any], by: str) -> None:
        try:
            answer: Answer = {"result": await self._handle(verb, args, by)}
        except ConnectorError as problem:
            answer = {"error": problem.as_json()}
        except Exception:
            log.exception("request %s (%s) met a defect of this software", number, verb)
            answer = {"error": {"code": "internal", "message": "A defect of this software", "hint": "See the log."}}
        log.info("request %s by %s: %s", verb, by, "refused" if "error" in answer else "done")

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "update requests set answered_at = ?, answer = ? where id = ?",
                (rfc3339(utc_now()), json.dumps(answer), number),
            )

        await self._journal.write(work)
