"""What flows look up in Zendesk: one request at a time for each kind of thing, with all that was asked for meanwhile.

A look-up is served by a request that was sent after its event arrived, never by an older one. A ticket comes with its
people, its organization and its metric set, so that the look-ups after it mostly need no request.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.flows.context import Context, working_on
from zendesk_bridge.flows.errors import ConnectorError, Permanent, Uncertain

log = logging.getLogger(__name__)

#: Zendesk takes no more ids in one request.
MOST = 100
#: How long an answer is kept for the look-ups that come after it, in seconds.
KEPT_FOR = 10.0
#: Answers that are kept of each kind.
KEPT = 1_000

TICKETS, USERS, ORGANIZATIONS = "tickets", "users", "organizations"
KINDS = (TICKETS, USERS, ORGANIZATIONS)
#: What Zendesk answers to a request that one of its ids may have broken.
_BROKEN = "unavailable"
#: What becomes of a request that was too large to be answered in time.
_TOO_LARGE = ("timeout", "no_answer")

Answer = Mapping[str, Any]


class Found(NamedTuple):
    """Something Zendesk answered."""

    answer: Answer
    # When it was asked for, by the clock that nobody sets.
    asked_at: float
    # Whether it was asked for by itself: what is absent then is not there.
    whole: bool
    # Of a ticket: its metric set, where Zendesk sent it.
    metrics: Answer | None = None


Seat = asyncio.Future[Found]


@dataclass(eq=False)
class _Line:
    """What is asked for of one kind."""

    waiting: dict[str, Seat] = field(default_factory=dict)
    kept: OrderedDict[str, Found] = field(default_factory=OrderedDict)
    # How many ids a request may have: fewer where larger ones were not answered.
    most: int = MOST
    under_way: asyncio.Task[None] | None = None


class Reads:
    """Looks things up for all runs of an account together. Methods raise what the client raises."""

    def __init__(self, zendesk: ZendeskClient, missed: Callable[[str], None] = lambda kind: None) -> None:
        """
        Args:
            missed: told of each time that something beside a ticket was not enough: `users`, `organizations`,
                `metric_sets`.
        """
        self.zendesk = zendesk
        self.missed = missed
        self._lines = {kind: _Line() for kind in KINDS}
        # The ticket that each run asks for just now.
        self._asked_by: dict[str, Seat] = {}
        self._sweep: asyncio.TimerHandle | None = None

    async def ticket(self, ticket_id: str) -> Found:
        """A ticket. Permanent `not_found` where Zendesk has none of that number."""
        run = working_on.get().run
        seat = self._seat(TICKETS, ticket_id, frozenset())
        if isinstance(seat, Found):
            return seat
        if run is None:
            return await asyncio.shield(seat)
        self._asked_by[run] = seat
        try:
            return await asyncio.shield(seat)
        finally:
            if self._asked_by.get(run) is seat:
                del self._asked_by[run]

    async def user(self, user_id: str, needed: frozenset[str] = frozenset()) -> Answer:
        """A user with at least these fields, as far as Zendesk has them."""
        return await self._beside_ticket(USERS, user_id, needed)

    async def organization(self, organization_id: str, needed: frozenset[str] = frozenset()) -> Answer:
        """An organization with at least these fields, as far as Zendesk has them."""
        return await self._beside_ticket(ORGANIZATIONS, organization_id, needed)

    def close(self) -> None:
        """Ends what is under way."""
        if self._sweep is not None:
            self._sweep.cancel()
        for line in self._lines.values():
            if line.under_way is not None:
                line.under_way.cancel()

    async def _beside_ticket(self, kind: str, id: str, needed: frozenset[str]) -> Answer:
        ticket = self._asked_by.get(working_on.get().run or "")
        if ticket is not None:
            # It is most likely beside the ticket that the same run asks for just now.
            await asyncio.wait([ticket])
        seat = self._seat(kind, id, needed)
        return (seat if isinstance(seat, Found) else await asyncio.shield(seat)).answer

    def _seat(self, kind: str, id: str, needed: frozenset[str]) -> Found | Seat:
        """What is known already and new enough, or a seat in the next request."""
        line = self._lines[kind]
        known = line.kept.get(id)
        if known is not None and known.asked_at >= _since():
            if known.whole or needed <= known.answer.keys():
                return known
            self.missed(kind)
        seat = line.waiting.get(id)
        if seat is None:
            seat = line.waiting[id] = asyncio.get_running_loop().create_future()
        if line.under_way is None:
            # The request is nobody's own: it waits for its turn by itself, and goes on if one of them is cancelled.
            before = working_on.set(Context())
            line.under_way = asyncio.create_task(self._ask_for_all(kind, line), name=f"look up {kind}")
            working_on.reset(before)
        return seat

    async def _ask_for_all(self, kind: str, line: _Line) -> None:
        seats: dict[str, Seat] = {}
        try:
            while line.waiting:
                ids = list(line.waiting)[: line.most]
                seats = {id: line.waiting.pop(id) for id in ids}
                try:
                    await self._ask(kind, line, seats)
                except Exception as problem:
                    if not isinstance(problem, ConnectorError):
                        log.exception("looking up %s met a defect of this software", kind)
                    _refuse(seats.values(), problem)
        finally:
            line.under_way = None
            for seat in (*seats.values(), *line.waiting.values()):  # the process ends
                seat.cancel()
            line.waiting.clear()

    async def _ask(self, kind: str, line: _Line, seats: Mapping[str, Seat]) -> None:
        """One request for some ids."""
        asked_at = time.monotonic()
        if len(seats) == 1:
            ((id, seat),) = seats.items()
            self._give(line, id, seat, await self._alone(kind, id, asked_at))
            return
        try:
            found = await self._together(kind, list(seats), asked_at)
        except (Permanent, Uncertain) as problem:
            if problem.code in _TOO_LARGE:
                line.most = max(1, len(seats) // 2)
                raise
            if isinstance(problem, Uncertain) and problem.code != _BROKEN:
                raise
            await self._split(kind, line, seats, problem)
            return
        line.most = min(MOST, line.most * 2)
        missing = []
        for id, seat in seats.items():
            if id in found:
                self._give(line, id, seat, found[id])
            else:
                # Zendesk says why, or has it after all.
                missing.append(self._ask_or_refuse(kind, line, {id: seat}))
        await asyncio.gather(*missing)

    async def _split(self, kind: str, line: _Line, seats: Mapping[str, Seat], problem: ConnectorError) -> None:
        """After a refusal that one of the ids may be to blame for: it shall not fail the others.

        Raises:
            ConnectorError: it is all of them.
        """
        log.info("%d %s are asked for in smaller numbers: %s", len(seats), kind, problem.message)
        ids = list(seats)
        asked_at = time.monotonic()
        both = await asyncio.gather(
            *(self._alone(kind, id, asked_at) for id in (ids[0], ids[-1])), return_exceptions=True
        )
        if all(isinstance(each, ConnectorError) and each.code == problem.code for each in both):
            raise problem
        for id, each in zip((ids[0], ids[-1]), both, strict=True):
            if isinstance(each, Found):
                self._give(line, id, seats[id], each)
            else:
                _refuse([seats[id]], each if isinstance(each, Exception) else problem)
        rest = ids[1:-1]
        for half in (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
            if half:
                await self._ask_or_refuse(kind, line, {id: seats[id] for id in half})

    async def _ask_or_refuse(self, kind: str, line: _Line, seats: Mapping[str, Seat]) -> None:
        try:
            await self._ask(kind, line, seats)
        except ConnectorError as problem:
            _refuse(seats.values(), problem)

    def _give(self, line: _Line, id: str, seat: Seat, found: Found) -> None:
        self._keep(line, id, found)
        if not seat.done():
            seat.set_result(found)

    async def _together(self, kind: str, ids: Sequence[str], asked_at: float) -> dict[str, Found]:
        if kind == TICKETS:
            return self._with_company(await self.zendesk.show_tickets(ids), asked_at)
        show = self.zendesk.show_users if kind == USERS else self.zendesk.show_organizations
        return {str(each.get("id")): Found(answer=each, asked_at=asked_at, whole=True) for each in await show(ids)}

    async def _alone(self, kind: str, id: str, asked_at: float) -> Found:
        if kind == TICKETS:
            answer = await self.zendesk.ticket(id)
            ticket = answer.get("ticket")
            if not isinstance(ticket, dict):
                raise Permanent("not_found", f"Zendesk has no ticket {id}")
            found = self._with_company({**answer, "tickets": [ticket]}, asked_at)
            return next(iter(found.values()))
        show = self.zendesk.user if kind == USERS else self.zendesk.organization
        return Found(answer=await show(id), asked_at=asked_at, whole=True)

    def _with_company(self, answer: Answer, asked_at: float) -> dict[str, Found]:
        """The tickets of an answer; what is beside them is kept for the look-ups after theirs."""
        for kind in (USERS, ORGANIZATIONS):
            for each in _those(answer, kind):
                self._keep(self._lines[kind], str(each.get("id")), Found(answer=each, asked_at=asked_at, whole=False))
        metrics = {str(each.get("ticket_id")): each for each in _those(answer, "metric_sets")}
        found = {}
        for ticket in _those(answer, TICKETS):
            id, inside = str(ticket.get("id")), ticket.get("metric_set")
            own = inside if isinstance(inside, dict) else metrics.get(id)
            found[id] = Found(answer=ticket, metrics=own, asked_at=asked_at, whole=True)
        return found

    def _keep(self, line: _Line, id: str, found: Found) -> None:
        line.kept[id] = found
        line.kept.move_to_end(id)
        if len(line.kept) > KEPT:
            line.kept.popitem(last=False)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(KEPT_FOR, self._forget)

    def _forget(self) -> None:
        """Lets go of what is not needed any more: an account's tickets are much to keep."""
        self._sweep = None
        before, left = time.monotonic() - KEPT_FOR, 0
        for line in self._lines.values():
            while line.kept and next(iter(line.kept.values())).asked_at < before:
                line.kept.popitem(last=False)
            left += len(line.kept)
        if left:
            self._sweep = asyncio.get_running_loop().call_later(KEPT_FOR / 2, self._forget)


def _since() -> float:
    """When the event of the current work arrived; now, where there is none."""
    since = working_on.get().arrived
    return time.monotonic() if since is None else since


def _those(answer: Answer, name: str) -> list[dict[str, Any]]:
    listed = answer.get(name)
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _refuse(seats: Iterable[Seat], problem: Exception) -> None:
    for seat in seats:
        if not seat.done():
            seat.set_exception(problem)
            seat.exception()  # nobody may be waiting any more; asyncio complains about errors nobody saw
