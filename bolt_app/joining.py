"""Joins public channels by itself, where the settings say so: then nobody needs to invite the app there."""

from __future__ import annotations

import contextlib
import logging

from bolt_app.directory import CHANNELS_A_PAGE, Directory, channel_name
from bolt_app.paging import pages
from bolt_app.records import channels_in
from bolt_app.single_flight import SingleFlight
from bolt_app.surfaces import Call
from zendesk_bridge.flows.errors import NeedsInvite, Permanent

log = logging.getLogger(__name__)

_ADD_SCOPE = "Or add the optional scope channels:join to the Slack app, and install it again."


class Joining:
    """Joins public channels."""

    def __init__(self, call: Call, directory: Directory) -> None:
        self._call = call
        self._directory = directory
        self._flights = SingleFlight()
        self._warned = False

    def close(self) -> None:
        """Ends what is under way."""
        self._flights.cancel()

    async def join(self, channel: str, refusal: NeedsInvite) -> None:
        """Joins a channel, given by its id or as `#name`.

        Raises:
            NeedsInvite: it cannot be joined: it is private, or not there, or the app lacks the scope.
            ConnectorError: Slack did not answer.
        """
        id = channel if not channel.startswith("#") else await self._public_id(channel)
        if id is None:
            raise refusal
        try:
            await self._call("conversations.join", "POST", channel=id)
        except (Permanent, NeedsInvite) as problem:
            if problem.code != "missing_scope":
                raise refusal from problem
            if not self._warned:
                self._warned = True
                log.warning("CONNECTOR_JOIN_PUBLIC_CHANNELS needs the scope channels:join. %s", _ADD_SCOPE)
            hint = f"{refusal.hint} {_ADD_SCOPE}"
            raise NeedsInvite(refusal.code, refusal.message, channel=refusal.channel, hint=hint) from problem
        log.info("joined channel %s", id)
        if channel.startswith("#"):
            await self._directory.learn_channel(channel, id)

    async def _public_id(self, channel: str) -> str | None:
        names = await self._flights.do("channels", self._public_channels)
        return names.get(channel_name(channel))

    async def _public_channels(self) -> dict[str, str]:
        """The ids of the workspace's public channels by name."""
        found: dict[str, str] = {}
        asked = pages(
            self._call, "conversations.list", types="public_channel", exclude_archived=True, limit=CHANNELS_A_PAGE
        )
        async with contextlib.aclosing(asked):
            async for page in asked:
                found |= {channel_name(each.name): each.id for each in channels_in(page)}
        return found
