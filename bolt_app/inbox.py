"""Slack's events: on disk before they are acknowledged, dealt with once, and again after a crash or an outage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.response import BoltResponse

from zendesk_bridge.bridge import Incoming, OpenEvent
from zendesk_bridge.flows.errors import ConnectorError, Credentials, StorageError, Transient, Uncertain

log = logging.getLogger(__name__)

#: How often it is looked whether something is to be dealt with again, in seconds.
LOOK_EVERY = 5.0
#: How long what is under way may take when the process ends, in seconds.
GRACE = 5.0

Next = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Delivery:
    """One event of Slack's."""

    event: dict[str, Any]
    # The event's envelope.
    body: dict[str, Any]
    # Call it before something that must not happen twice: from then on the event is dealt with again only where the
    # handler raises an error by which nothing happened.
    settle: Callable[[], Awaitable[None]]


Handle = Callable[[Delivery], Awaitable[None]]
Listener = Callable[[dict[str, Any], dict[str, Any]], Awaitable[None]]


class Inbox:
    """Records events, hands them to their listeners, and hands them out again where that did not work."""

    def __init__(self, incoming: Incoming, look_every: float = LOOK_EVERY) -> None:
        self._incoming = incoming
        self._look_every = look_every
        self._under_way: dict[str, asyncio.Task[Any]] = {}
        self._left: list[OpenEvent] = []
        # Those that are dealt with again, on their way to their listeners.
        self._handed_out: set[str] = set()
        self._looking: asyncio.Task[None] | None = None

    async def record(self, body: dict[str, Any], next: Next) -> BoltResponse | None:
        """The app's global middleware. What cannot be stored raises StorageError: Slack then sends it again."""
        event_id = body.get("event_id")
        if body.get("type") != "event_callback" or not isinstance(event_id, str):
            await next()
            return None
        if event_id not in self._handed_out:
            # The verification token is none of ours to keep.
            payload = {name: value for name, value in body.items() if name != "token"}
            if not await self._incoming.record(event_id, str(body.get("event", {}).get("type")), payload):
                log.info("Slack sent event %s again", event_id)
                return BoltResponse(status=200)
        await next()
        return None

    def listener(self, handle: Handle) -> Listener:
        """What Bolt calls with an event after it is acknowledged."""

        async def deal(body: dict[str, Any], event: dict[str, Any]) -> None:
            event_id = str(body.get("event_id"))
            task = asyncio.current_task()
            assert task is not None
            self._under_way[event_id] = task
            try:
                await self._deal(handle, event_id, body, event)
            except ConnectorError as problem:
                log.warning("what became of Slack's event %s is not stored: %s", event_id, problem.message)
            finally:
                self._under_way.pop(event_id, None)

        return deal

    async def _deal(self, handle: Handle, event_id: str, body: dict[str, Any], event: dict[str, Any]) -> None:
        settled = False

        async def settle() -> None:
            nonlocal settled
            settled = True
            await self._incoming.settle(event_id)

        try:
            await handle(Delivery(event=event, body=body, settle=settle))
        except ConnectorError as problem:
            refused = isinstance(problem, Transient | Credentials)
            if refused or (isinstance(problem, Uncertain | StorageError) and not settled):
                log.info("Slack's event %s is dealt with later: %s", event.get("type"), problem.message)
                payload = {name: value for name, value in body.items() if name != "token"}
                await self._incoming.try_again(event_id, payload, problem.message)
                return
            log.warning("Slack's event %s: %s", event.get("type"), problem.message)
        except Exception:
            log.exception("Slack's event %s met a defect of this software", event.get("type"))
        if not settled:
            await self._incoming.settle(event_id)

    async def open(self) -> None:
        """Finds what an earlier process left. To be called before events come. Raises StorageError."""
        self._left = await self._incoming.left()

    def start(self, app: AsyncApp) -> None:
        """Deals with what an earlier process left, and from then on with what did not work."""
        self._looking = asyncio.create_task(self._look(app), name="inbox")

    async def stop(self) -> None:
        """Lets what is under way end; what does not is dealt with after the next start."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None
        tasks = list(self._under_way.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _look(self, app: AsyncApp) -> None:
        while True:
            try:
                left, self._left = self._left, []
                for each in left or await self._incoming.due():
                    await self._hand_out(app, each)
            except ConnectorError as problem:
                log.warning("Slack's events are dealt with later: %s", problem.message)
            except Exception:
                log.exception("dealing with Slack's events met a defect of this software")
            await asyncio.sleep(self._look_every)

    async def _hand_out(self, app: AsyncApp, each: OpenEvent) -> None:
        if each.id in self._under_way:
            return
        self._handed_out.add(each.id)
        try:
            # As over Socket Mode: nobody has signed it anew.
            await app.async_dispatch(AsyncBoltRequest(body=each.payload, mode="socket_mode"))
        finally:
            self._handed_out.discard(each.id)
