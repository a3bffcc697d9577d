"""Who has which e-mail address, and which channel has which name: asked of Slack once, and remembered for a day."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Protocol

from bolt_app.paging import Call, pages
from bolt_app.records import SlackPerson, channels_in, people_in, person_from
from bolt_app.single_flight import SingleFlight
from bolt_app.slack_errors import no_such_channel
from bolt_app.text import is_channel_id, is_person_id
from zendesk_bridge.flows.context import Context, working_on
from zendesk_bridge.flows.errors import ConnectorError

log = logging.getLogger(__name__)

#: How long an address is taken to belong to the same person, and a name to the same channel, in seconds.
KNOWN_FOR = 86_400.0
#: How many channels are asked for at a time: Slack recommends no more.
CHANNELS_A_PAGE = 200
#: From so many unknown addresses at the same moment on, people are listed: 50 can be looked up by address a minute, and
#: each page has 200.
MANY = 20
PEOPLE_A_PAGE = 200
#: So many pages and no more: in a very large workspace, looking up each address is sooner done.
PEOPLE_PAGES = 15
#: No id is shorter: what is, is a name in capitals.
ID_LENGTH = 9
#: https://docs.slack.dev/reference/methods/conversations.create
NAME_LENGTH = 80
# What Slack allows in no channel's name: spaces, and ASCII's punctuation but - and _.
_NOT_IN_NAMES = re.compile(r"[\s\x00-,./:-@\[-^`{-\x7f]")


def channel_name(text: str) -> str:
    """A channel's name as Slack has it, without `#`: `#General` is `general`."""
    return unicodedata.normalize("NFC", text.removeprefix("#")).lower()


def check_channel(value: str) -> str:
    """A channel as the client takes it: its id, or `#name`. Raises ValueError with a sentence for the flow's author."""
    channel = value.strip()
    shown = repr(channel[:80])
    if not channel.removeprefix("#"):
        raise ValueError("a channel's name such as #support, or its id such as C024BE91L, is needed")
    is_id = len(channel) >= ID_LENGTH
    if is_id and is_channel_id(channel):
        return channel
    if "@" in channel or (is_id and is_person_id(channel)):
        raise ValueError(f"{shown} is a person, not a channel: send them a direct message instead")
    name = channel_name(channel)
    if len(name) > NAME_LENGTH or not name.isprintable() or _NOT_IN_NAMES.search(name):
        raise ValueError(f"{shown} is no channel's name, such as #support, and no id, such as C024BE91L")
    return f"#{name}"


class Memory(Protocol):
    """Remembers what was learned of people and channels, across restarts."""

    async def recall(self, kind: str, key: str, max_age: float | None = None) -> str | None:
        """What was remembered, unless it is older than `max_age` seconds."""

    async def remember(self, kind: str, key: str, value: str) -> None:
        """Keeps a value."""

    async def forget(self, kind: str, key: str) -> None:
        """Drops a value."""


class Directory:
    """Finds people by e-mail address and channels by name. What many look up at once is asked for once."""

    def __init__(self, call: Call, memory: Memory, team: Callable[[], Awaitable[str]]) -> None:
        """
        Args:
            team: finds the id of the app's own workspace.
        """
        self._call = call
        self._team = team
        self._memory = memory
        self._flights = SingleFlight()
        # Whoever is looked up at this moment, and what a list said of them.
        self._unknown: dict[str, SlackPerson | None] = {}

    def close(self) -> None:
        """Ends what is under way."""
        self._flights.cancel()

    # People

    async def person(self, email: str) -> SlackPerson:
        """Somebody by e-mail address; Slack finds active accounts only."""
        key = email.strip().lower()
        return await self._flights.do(("look up", key), lambda: self._look_up(key))

    async def person_id(self, email: str) -> str:
        """The id of whoever has that address."""
        key = email.strip().lower()
        return await self._memory.recall("slack_user", key, KNOWN_FOR) or (await self.person(key)).id

    async def direct_channel(self, user_id: str) -> str | None:
        """The channel of the app's direct messages with somebody, if it is remembered."""
        return await self._memory.recall("slack_dm", user_id)

    async def learn_direct_channel(self, user_id: str, channel: str) -> None:
        """Remembers the channel of the app's direct messages with somebody."""
        await self._teach("slack_dm", user_id, channel)

    async def forget_person(self, email: str, user_id: str) -> None:
        """Drops what is remembered of somebody: it is not so any more."""
        await self._memory.forget("slack_user", email.strip().lower())
        await self._memory.forget("slack_dm", user_id)

    async def _look_up(self, email: str) -> SlackPerson:
        self._unknown[email] = None
        try:
            await asyncio.sleep(0)  # who is asked for at the same moment counts as well
            if len(self._unknown) >= MANY:
                await self._flights.do("people", self._list_people)
            person = self._unknown[email]
        finally:
            del self._unknown[email]
        if person is None:
            person = person_from(await self._call("users.lookupByEmail", email=email))
        await self._teach("slack_user", email, person.id)
        return person

    async def _list_people(self) -> None:
        """Finds those who are unknown among everybody. https://docs.slack.dev/reference/methods/users.list"""
        working_on.set(Context())  # it is no run's own
        log.info("%d people are looked up in the list of everybody", len(self._unknown))
        asked = pages(self._call, "users.list", limit=PEOPLE_A_PAGE)
        left = PEOPLE_PAGES
        try:
            team = await self._team()
            async with contextlib.aclosing(asked):
                async for page in asked:
                    for person in people_in(page):
                        email = (person.email or "").lower()
                        # Somebody of a connected workspace may have the same address.
                        is_own = team in person.teams and not (person.is_nobody or person.is_stranger)
                        if is_own and email in self._unknown and self._unknown[email] is None:
                            self._unknown[email] = person
                    left -= 1
                    if not left or all(self._unknown.values()):
                        return
        except ConnectorError as problem:
            log.warning("people cannot be listed, and are looked up one by one: %s", problem.message)
        except (AttributeError, TypeError, ValueError):
            log.exception("the list of people cannot be read, and they are looked up one by one")

    # Channels

    async def channel_id(self, channel: str) -> str:
        """The id of a channel that is given by its id or as `#name`. Raises NeedsInvite if the app is in none of it."""
        if not channel.startswith("#"):
            return channel
        name = channel_name(channel)
        asked = time.monotonic()
        while True:
            known = await self._memory.recall("slack_channel", name, KNOWN_FOR)
            if known is not None:
                return known
            began, channels = await self._flights.do("channels", self._own_channels)
            if name in channels:
                return channels[name]
            if began >= asked:
                raise no_such_channel(channel)
            # The list may be from before the invitation that woke the run: this one asks anew.

    async def learn_channel(self, channel: str, id: str) -> None:
        """Remembers the id of a channel that is given as `#name`."""
        await self._teach("slack_channel", channel_name(channel), id)

    async def forget_channel(self, channel: str, id: str) -> None:
        """Drops what is remembered of a name, unless another id was learned since."""
        name = channel_name(channel)
        if await self._memory.recall("slack_channel", name) == id:
            await self._memory.forget("slack_channel", name)

    async def _own_channels(self) -> tuple[float, dict[str, str]]:
        """When it was asked, and the ids by name of the channels the app is in: it can read and react in no others.

        users.conversations rather than conversations.list, which is slower (tier 2) and goes through every public
        channel of the workspace: https://docs.slack.dev/reference/methods/users.conversations
        """
        began = time.monotonic()
        found: dict[str, str] = {}
        archived: dict[str, str] = {}
        asked = pages(self._call, "users.conversations", types="public_channel,private_channel", limit=CHANNELS_A_PAGE)
        async with contextlib.aclosing(asked):
            async for page in asked:
                for channel in channels_in(page):
                    name = channel_name(channel.name)
                    if channel.is_archived:
                        archived[name] = channel.id
                        continue
                    found[name] = channel.id
                    # At once: where a later page has to wait, what was seen is not asked for again.
                    await self._teach("slack_channel", name, channel.id)
        # An archived channel is found as well: that it is archived says more than that it is not there.
        return began, archived | found

    async def _teach(self, kind: str, key: str, value: str) -> None:
        """Remembers, if it can: after a post nothing may look as if the post had failed."""
        try:
            await self._memory.remember(kind, key, value)
        except ConnectorError as problem:
            log.warning("could not remember a %s: %s", kind, problem.message)
