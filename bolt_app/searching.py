"""Looks for messages that may have been posted: one reading of a conversation serves all who ask meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bolt_app.paging import pages
from bolt_app.records import Message, SlackIdentity, is_own, mark_of, messages_in
from bolt_app.single_flight import SingleFlight

#: How long a reading waits for others to join, in seconds: after a sudden end all of them ask within a moment.
GATHERS_FOR = 0.1


class Call(Protocol):
    """Calls a method of Slack's."""

    async def __call__(self, method: str, *, is_admitted: bool = False, **arguments: Any) -> AsyncSlackResponse:
        """The answer. `is_admitted`: the call has waited its turn already. Raises ConnectorError."""


class _Search:
    """A reading of a conversation that has not left yet: a channel, or a thread in it."""

    def __init__(self, channel: str, parent: str | None) -> None:
        self.channel = channel
        self.parent = parent
        # What is looked for, and since when.
        self.wanted: dict[str, float] = {}


class Searching:
    """Finds posted messages by their marks. After a sudden end, many are looked for in few conversations at once."""

    def __init__(
        self,
        call: Call,
        admit: Callable[[str, str, object], Awaitable[None]],
        identity: Callable[[], Awaitable[SlackIdentity]],
        page_size: int,
    ) -> None:
        """
        Args:
            admit: waits until a call of a method may leave.
            page_size: messages asked for at a time.
        """
        self._call = call
        self._admit = admit
        self._identity = identity
        self._page_size = page_size
        self._flights = SingleFlight()
        # Those that can still be joined: what was sent before somebody asks is no answer to them.
        self._joinable: dict[tuple[str, str | None], _Search] = {}

    def close(self) -> None:
        """Ends what is under way."""
        self._flights.cancel()

    async def find(self, channel: str, parent: str | None, key: str, since: float) -> Message | None:
        """The app's own message with that mark, or None if Slack does not show it (yet). Raises ConnectorError.

        Args:
            channel: its id.
            parent: the ts of the thread's first message, if it was a reply: history does not show replies.
            since: the earliest time it may have been posted, in Unix seconds.
        """
        search = self._joinable.setdefault((channel, parent), _Search(channel, parent))
        search.wanted[key] = since
        found = await self._flights.do(search, lambda: self._read(search))
        return found.get(key)

    async def _read(self, search: _Search) -> dict[str, Message]:
        """The messages found, by their marks."""
        place = search.channel, search.parent
        method = "conversations.history" if search.parent is None else "conversations.replies"
        try:
            identity = await self._identity()
            await self._admit(method, "", place)
            await asyncio.sleep(GATHERS_FOR)
        finally:
            if self._joinable.get(place) is search:
                del self._joinable[place]
        missing = set(search.wanted)
        is_admitted = True

        async def call(method: str, **arguments: Any) -> AsyncSlackResponse:
            nonlocal is_admitted
            first, is_admitted = is_admitted, False
            return await self._call(method, is_admitted=first, **arguments)

        found: dict[str, Message] = {}
        window = {"oldest": f"{max(min(search.wanted.values()), 0):.6f}", "limit": self._page_size}
        asked = pages(call, method, channel=search.channel, ts=search.parent, include_all_metadata=True, **window)
        async with contextlib.aclosing(asked):
            async for page in asked:
                for message in messages_in(page):
                    key = mark_of(message)
                    if key in missing and is_own(message, identity):
                        found[key] = message
                        missing.discard(key)
                if not missing:
                    break
        return found
