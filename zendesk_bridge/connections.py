"""Connections to the services: who we are there, whether they answer, and that a broken one is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable

from zendesk_bridge.flows.catalog import Connector, Identity
from zendesk_bridge.flows.errors import ConnectorError, Credentials, Permanent, StorageError, Transient, Uncertain
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import rfc3339, utc_now

log = logging.getLogger(__name__)

OK = "ok"
CHECKING = "checking"
#: Nobody has connected the service yet: nothing is broken.
NOT_CONNECTED = "not_connected"
#: So many calls without an answer, one after the other, are an outage.
OUTAGE_AFTER = 3

#: Sends somebody who looks after flows a message. Raises ConnectorError where it cannot.
Tell = Callable[[str], Awaitable[None]]


async def _tell_nobody(text: str) -> None:
    """Where there is no way to tell anybody, the log must do."""


class Connections:
    """Keeps the state of each connection; what is broken is tried again until it answers."""

    def __init__(
        self,
        connectors: Iterable[Connector],
        journal: Journal,
        mended: Callable[[str], Awaitable[None]],
        every: float,
        tell: Tell = _tell_nobody,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            changed: called when a connection has another state than before.
            mended: called with a service that answers again.
            every: seconds between two tries of a broken connection.
            tell: tells whoever looks after flows, once a time that a connection breaks.
        """
        self._connectors = {connector.service: connector for connector in connectors}
        self._journal = journal
        self._mended = mended
        self._every = every
        self._tell = tell
        self._status = dict.fromkeys(self._connectors, CHECKING)
        self._broken: set[str] = set()
        self._unanswered: dict[str, int] = defaultdict(int)
        self._checking: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._changed = changed
        self._poke = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def statuses(self) -> dict[str, str]:
        """One word a service: ok, checking, not_connected, or the code of what is wrong."""
        return dict(self._status)

    def is_broken(self, service: str) -> bool:
        """Whether calls to the service are in vain for now."""
        return service in self._broken

    def broke(self, problem: Credentials) -> None:
        """Notes that a service refused our credentials."""
        if problem.service not in self._broken:
            log.error("the connection to %s is broken: %s. %s", problem.service, problem.message, problem.hint)
        self._broken.add(problem.service)
        self._note(problem.service, problem)

    def answered(self, service: str, problem: BaseException | None) -> None:
        """Notes how a call to a service ended: some in a row without any answer are an outage, until one has one."""
        if problem is None and self._status[service] == OK and not self._unanswered[service]:
            return  # as nearly always
        if isinstance(problem, asyncio.CancelledError):
            return  # which says nothing of the service
        lost = isinstance(problem, Transient | Uncertain) and not getattr(problem, "limit", False)
        self._unanswered[service] = self._unanswered[service] + 1 if lost else 0
        if service in self._broken:
            return
        if lost and self._unanswered[service] >= OUTAGE_AFTER and self._status[service] == OK:
            assert isinstance(problem, ConnectorError)
            log.warning("%s does not answer: %s", service.capitalize(), problem.message)
            self._note(service, problem)
        elif problem is None and self._status[service] not in (OK, CHECKING, NOT_CONNECTED):
            self._note(service, None)

    def _note(self, service: str, problem: ConnectorError | None) -> None:
        self._write(service, problem.code if problem else OK, _words(problem) if problem else None, None)
        self._set(service, problem.code if problem else OK)

    def _set(self, service: str, status: str) -> None:
        if self._status[service] != status:
            self._status[service] = status
            self._changed()
            if status != OK:
                self._poke.set()

    async def start(self) -> None:
        """Starts checking."""
        self._task = asyncio.create_task(self._check_all(), name="connections")

    async def stop(self) -> None:
        """Stops checking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _check_all(self) -> None:
        while True:
            for service, connector in self._connectors.items():
                if self._status[service] != OK:
                    await self._check(connector)
            self._poke.clear()
            if all(status == OK for status in self._status.values()):
                await self._poke.wait()
            await asyncio.sleep(self._every)

    async def check(self, service: str) -> None:
        """Asks one service now, however long it takes: it was connected, or disconnected."""
        await self._check(self._connectors[service])

    async def forget(self, service: str) -> None:
        """Forgets the account of a service: it was disconnected. Raises StorageError."""
        await self._journal.write(
            lambda connection: connection.execute("delete from connections where service = ?", (service,)) and None
        )
        await self.check(service)

    async def check_now(self, within: float) -> None:
        """Asks every service now, and waits so many seconds at most; what takes longer is noted when it comes."""
        checks = [asyncio.create_task(self._check(connector)) for connector in self._connectors.values()]
        if self._task is not None and checks:
            await asyncio.wait(checks, timeout=within)

    async def _check(self, connector: Connector) -> None:
        async with self._checking[connector.service]:
            await self._ask(connector)

    async def _ask(self, connector: Connector) -> None:
        service = connector.service
        try:
            identity = await connector.identify()
        except ConnectorError as problem:
            if self._status[service] != problem.code:
                log.warning("%s: %s. %s", connector.title, problem.message, problem.hint)
            self._set(service, problem.code)
            await self._store(service, problem.code, _words(problem), None)
            if isinstance(problem, Credentials):
                if service in self._broken:  # for the second time: it is no blink
                    await self._announce(connector, problem)
                self._broken.add(service)
            return
        except Exception:
            log.exception("checking the connection to %s met a defect of this software", service)
            self._set(service, "internal")
            return
        if self._status[service] != OK:
            log.info("%s: connected to %s as %s", connector.title, identity.account, identity.connected_by)
        self._broken.discard(service)
        await self._store(service, OK, None, identity)
        self._set(service, OK)
        try:
            await self._mended(service)
        except ConnectorError as problem:
            log.warning("the runs that wait for %s are told later: %s", connector.title, problem.message)
            self._set(service, CHECKING)

    async def _announce(self, connector: Connector, problem: Credentials) -> None:
        """Tells somebody, once, also where the process is started anew meanwhile. What is not told is told later."""
        service = connector.service
        if problem.code == NOT_CONNECTED:
            return
        try:
            if await self._journal.read(lambda connection: _told_at(connection, service)) is not None:
                return
            # What may have arrived, or never will, is not tried again: rather once too few than twice.
            with contextlib.suppress(Uncertain, Permanent):
                await self._tell(
                    f"The connection to {connector.title} is broken: {problem.message}.\n{problem.hint}\n"
                    "Runs that need it wait, and go on by themselves when it is mended."
                )
            await self._journal.write(lambda connection: _set_told(connection, service))
        except ConnectorError as reason:
            log.info("that the connection to %s is broken is told later: %s", connector.title, reason.message)

    async def _store(self, service: str, status: str, message: str | None, identity: Identity | None) -> None:
        try:
            await self._write(service, status, message, identity)
        except StorageError as problem:
            log.warning("the connection's state was not stored: %s", problem.message)

    def _write(self, service: str, status: str, message: str | None, identity: Identity | None) -> asyncio.Future[None]:
        now = rfc3339(utc_now())

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute("select * from connections where service = ?", (service,)).fetchone()
            account = identity.account if identity else (row["account"] if row else None)
            same = row is not None and row["account"] == account
            since = row["since"] if same and row["since"] else (now if identity else None)
            who = identity.connected_by if identity else (row["connected_by"] if row else None)
            scopes = json.dumps(identity.scopes) if identity else (row["scopes"] if row else "[]")
            acts_as = (identity.acts_as or who) if identity else (row["acts_as"] if row else None)
            is_failure = status not in (OK, NOT_CONNECTED)
            kept = {name: row[name] if row else None for name in ("told_at", "ok_at", "failed_at", "failure")}
            if identity:
                kept["told_at"] = None
            if status == OK:
                kept["ok_at"] = now
            elif is_failure:
                kept["failed_at"], kept["failure"] = now, f"{status}: {message}"
            connection.execute(
                "insert or replace into connections(service, account, connected_by, since, scopes, status, message,"
                " checked_at, acts_as, told_at, ok_at, failed_at, failure)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (service, account, who, since, scopes, status, message, now, acts_as, *kept.values()),
            )

        return self._journal.write(work)


def _words(problem: ConnectorError) -> str:
    return f"{problem.message}. {problem.hint}" if problem.hint else problem.message


def _told_at(connection: sqlite3.Connection, service: str) -> str | None:
    row = connection.execute("select told_at from connections where service = ?", (service,)).fetchone()
    return None if row is None else row["told_at"]


def _set_told(connection: sqlite3.Connection, service: str) -> None:
    connection.execute("update connections set told_at = ? where service = ?", (rfc3339(utc_now()), service))
