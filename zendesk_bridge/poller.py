"""Asks Zendesk every minute what was assigned, so that nothing is missed that a webhook did not bring."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from zendesk_bridge import assignments, triggers
from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.flows import store
from zendesk_bridge.flows.errors import ConnectorError, Credentials, Paced, Permanent, Transient, Uncertain
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import Event

log = logging.getLogger(__name__)

OK = "ok"
#: The cursor's name in the database: seconds since 1970 of the last ticket event that was read.
CURSOR = "zendesk_ticket_events"
#: Ticket events on a full page, and tickets that one call can ask for.
EVENTS_A_PAGE, TICKETS_A_CALL = 1000, 100
#: How far back the first poll of all looks at most, in seconds.
FIRST_LOOK_BACK = 3600.0
#: The longest pause before something that should go well again is tried again, in seconds.
LONGEST_PAUSE = 60.0
#: The shortest wait where Zendesk says how long, in seconds: it may say 0.
SHORTEST_WAIT = 0.5


@dataclass(frozen=True, kw_only=True)
class Polling:
    """How Zendesk is asked what happened. Times in seconds."""

    # Between two pages when nothing more is there; 0: never.
    every: float = 60.0
    # Between two pages while more follow: the whole account has ten calls a minute, and others want some.
    catch_up: float = 10.0
    # How old the time must be that is asked for: a minute, which Zendesk wants, and what its clock may be behind.
    margin: float = 65.0
    # How soon it is tried again where Zendesk does not allow it.
    refused: float = 600.0
    # Whether tickets count that an AI agent handles.
    ai_agent_tickets: bool = False


class Poller:
    """Reads the incremental export of ticket events from where it stopped last, page by page, as long as it runs."""

    def __init__(
        self,
        zendesk: ZendeskClient,
        journal: Journal,
        polling: Polling,
        *,
        handle: Callable[[Event], Awaitable[bool]],
        is_awaited: Callable[[Event], bool],
        broke: Callable[[Credentials], None] = lambda problem: None,
        wanted_since: Callable[[], float] = time.time,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            handle: stores an event and what it starts; raises StorageError where that is not on disk.
            is_awaited: whether a flow starts on such an event.
            broke: told when Zendesk refused our credentials.
            wanted_since: when the first flow was switched on, in seconds since 1970: the first poll of all begins
                there, an hour back at most.
            changed: called when polling begins to fail, or works again.
        """
        self._wanted_since = wanted_since
        self._zendesk = zendesk
        self._journal = journal
        self._polling = polling
        self._handle = handle
        self._is_awaited = is_awaited
        self._broke = broke
        self._changed = changed
        #: `ok`, or the code of what is wrong.
        self.state = OK
        self._cursor: int | None = None
        # What was known in full, in seconds since 1970; None before the first page.
        self._read_until: float | None = None
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def lag(self) -> float | None:
        """How far behind now the polls are, in seconds: about a minute where all is well; None before the first."""
        return None if self._read_until is None else max(time.time() - self._read_until, 0.0)

    def start(self) -> None:
        """Starts polling."""
        self._task = asyncio.create_task(self._poll(), name="poller")

    async def stop(self) -> None:
        """Stops at once: a page that is not over is read again the next time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _poll(self) -> None:
        while True:
            pause = await self._take_turn()
            await asyncio.sleep(pause)

    async def _take_turn(self) -> float:
        """Reads a page if it is time; returns when to look again, in seconds."""
        try:
            pause = await self._read_next()
        except ConnectorError as problem:
            return self._failed(problem)
        except Exception:
            log.exception("polling Zendesk met a defect of this software")
            self._set("internal")
            return self._growing()
        if self.state != OK:
            log.info("polling Zendesk works again")
        self._set(OK)
        self._failures = 0
        return pause

    def _set(self, state: str) -> None:
        if self.state != state:
            self.state = state
            self._changed()

    def _failed(self, problem: ConnectorError) -> float:
        if isinstance(problem, Credentials):
            self._broke(problem)
        wait = problem.retry_after if isinstance(problem, Transient) else None
        if not isinstance(problem, Paced):
            if self.state != problem.code:
                log.warning("Zendesk cannot be polled: %s. %s", problem.message, _hint(problem))
            self._set(problem.code)
        if wait is not None:
            return max(wait, SHORTEST_WAIT)
        return self._polling.refused if isinstance(problem, Permanent) else self._growing()

    def _growing(self) -> float:
        self._failures += 1
        return float(min(self._polling.catch_up * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE))

    async def _read_next(self) -> float:
        """Reads the next page, if there can be one; returns when the one after that is due. Raises ConnectorError."""
        if self._cursor is None:
            first = str(int(max(min(time.time(), self._wanted_since()), time.time() - FIRST_LOOK_BACK)))
            self._cursor = int(await self._journal.write(partial(store.cursor_or_new, name=CURSOR, value=first)))
        too_soon = self._cursor + self._polling.margin - time.time()
        if too_soon > 0:
            # Ours may be the clock that is wrong, and be set right.
            return min(too_soon, LONGEST_PAUSE)
        asked_at = time.time()
        page = await self._zendesk.ticket_events(self._cursor, ai_agents=self._polling.ai_agent_tickets)
        audits, end, more = _read(page)
        await self._accept(triggers.parse_audits(audits))
        await self._advance(self._cursor, end, more)
        if more:
            self._read_until = float(self._cursor)
            return self._polling.catch_up
        self._read_until = max(self._cursor, asked_at - self._polling.margin)
        return max(self._polling.every, self._polling.catch_up)

    async def _advance(self, before: int, end: int | None, more: bool) -> None:
        """Moves the cursor behind what is stored. Raises StorageError."""
        cursor = max(before, end or 0)
        if more and cursor == before:
            cursor += 1  # all of that second was on the page, which would only come again
        if cursor != before:
            await self._journal.write(partial(store.put_cursor, name=CURSOR, value=str(cursor)))
            self._cursor = cursor

    async def _accept(self, events: list[Event]) -> None:
        """Hands on, in order, what nobody reported yet and a flow may start on. Raises ConnectorError."""
        awaited = [
            (event, sighting)
            for event in events
            if self._is_awaited(event) and (sighting := triggers.identify(event)) is not None
        ]
        if not awaited:
            return
        sightings = [sighting for _, sighting in awaited]
        new = await self._journal.write(partial(assignments.are_new, sightings=sightings))
        tickets = await self._tickets([event for (event, _), is_new in zip(awaited, new, strict=True) if is_new])
        for (event, sighting), is_new in zip(awaited, new, strict=True):
            if is_new:
                ticket = tickets.get(event.data["ticket_id"])
                await self._hand_on(event if ticket is None else triggers.with_ticket(event, ticket))
            else:
                await self._journal.write(sighting)

    async def _hand_on(self, event: Event) -> None:
        try:
            await self._handle(event)
        except ConnectorError:
            raise
        except Exception:
            # Read again it would fail again, and hold up all that follow.
            log.exception("event %s (%s) met a defect of this software and is left out", event.id, event.subject)

    async def _tickets(self, events: list[Event]) -> Mapping[str, dict[str, Any]]:
        """The tickets of some events as they are now, by id; without those that are gone. Raises ConnectorError."""
        ids = list(dict.fromkeys(event.data["ticket_id"] for event in events))
        found = {}
        for start in range(0, len(ids), TICKETS_A_CALL):
            for ticket in await self._zendesk.tickets(ids[start : start + TICKETS_A_CALL]):
                found[str(ticket.get("id"))] = ticket
        return found


def _read(page: Mapping[str, Any]) -> tuple[list[Any], int | None, bool]:
    """A page's audits, the time of the last in seconds since 1970, and whether more follow. Raises Uncertain."""
    audits, end, over = page.get("ticket_events"), page.get("end_time"), page.get("end_of_stream")
    if not isinstance(audits, list):
        raise Uncertain("unexpected_answer", "Zendesk answered without ticket events")
    if not isinstance(over, bool):
        over = len(audits) < EVENTS_A_PAGE or not page.get("next_page")
    if isinstance(end, str) and end.isdecimal():
        end = int(end)
    return audits, int(end) if isinstance(end, int | float) else None, not over


def _hint(problem: ConnectorError) -> str:
    if problem.code == "forbidden":
        return "Only admins may read ticket events: use an admin's OAuth client, or set ZENDESK_POLL_SECONDS=0."
    return problem.hint
