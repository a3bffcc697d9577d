"""Connections to the services: who we are there, whether they answer, and that a broken one is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterable

from zendesk_bridge.flows.catalog import Connector, Identity
from zendesk_bridge.flows.errors import ConnectorError, Credentials, Permanent, StorageError, Uncertain
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import rfc3339, utc_now

log = logging.getLogger(__name__)

OK = "ok"
CHECKING = "checking"
#: Nobody has connected the service yet: nothing is broken.
NOT_CONNECTED = "not_connected"

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
    ) -> None:
        """
        Args:
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
        self._just_broke: dict[str, Credentials] = {}
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
        self._status[problem.service] = problem.code
        self._just_broke[problem.service] = problem
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
            for service, problem in self._just_broke.items():
                await self._store(service, problem.code, problem.message, None)
            self._just_broke = {}
            await asyncio.sleep(self._every)

    async def _check(self, connector: Connector) -> None:
        service = connector.service
        try:
            identity = await connector.identify()
        except ConnectorError as problem:
            if self._status[service] != problem.code:
                log.warning("%s: %s. %s", connector.title, problem.message, problem.hint)
            self._status[service] = problem.code
            await self._store(service, problem.code, problem.message, None)
            if isinstance(problem, Credentials):
                if service in self._broken:  # for the second time: it is no blink
                    await self._announce(connector, problem)
                self._broken.add(service)
            return
        except Exception:
            log.exception("checking the connection to %s met a defect of this software", service)
            self._status[service] = "internal"
            return
        log.info("%s: connected to %s as %s", connector.title, identity.account, identity.connected_by)
        self._status[service] = OK
        self._broken.discard(service)
        await self._store(service, OK, None, identity)
        try:
            await self._mended(service)
        except ConnectorError as problem:
            log.warning("the runs that wait for %s are told later: %s", connector.title, problem.message)
            self._status[service] = CHECKING

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
        now = rfc3339(utc_now())

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute("select * from connections where service = ?", (service,)).fetchone()
            account = identity.account if identity else (row["account"] if row else None)
            same = row is not None and row["account"] == account
            since = row["since"] if same and row["since"] else (now if identity else None)
            who = identity.connected_by if identity else (row["connected_by"] if row else None)
            scopes = json.dumps(identity.scopes) if identity else (row["scopes"] if row else "[]")
            told = row["told_at"] if row and not identity else None
            connection.execute(
                "insert or replace into connections(service, account, connected_by, since, scopes, status, message,"
                " checked_at, told_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (service, account, who, since, scopes, status, message, now, told),
            )

        try:
            await self._journal.write(work)
        except StorageError as problem:
            log.warning("the connection's state was not stored: %s", problem.message)


def _told_at(connection: sqlite3.Connection, service: str) -> str | None:
    row = connection.execute("select told_at from connections where service = ?", (service,)).fetchone()
    return None if row is None else row["told_at"]


def _set_told(connection: sqlite3.Connection, service: str) -> None:
    connection.execute("update connections set told_at = ? where service = ?", (rfc3339(utc_now()), service))
