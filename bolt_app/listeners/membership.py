"""The bot is invited to a channel, or leaves it."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from slack_bolt.async_app import AsyncApp

from bolt_app.inbox import Delivery
from bolt_app.parts import Parts
from bolt_app.posting_here import posting_in
from bolt_app.roles import REFUSED, Role
from bolt_app.views.help import welcome
from zendesk_bridge.flows.errors import ConnectorError, Credentials, Transient

log = logging.getLogger(__name__)


def register(app: AsyncApp, parts: Parts) -> None:
    """Registers the listeners."""

    async def joined(delivery: Delivery) -> None:
        if not await is_own(parts, delivery):
            return
        event = delivery.event
        channel, inviter = str(event["channel"]), event.get("inviter")
        log.info("invited to channel %s", channel)
        await parts.bridge.channels.joined(channel, inviter, happened_at(event))
        await parts.bridge.invited(channel)
        if isinstance(inviter, str):
            await _welcome(parts, delivery, channel, inviter)

    async def left(delivery: Delivery) -> None:
        if await is_own(parts, delivery):
            log.info("left channel %s", delivery.event["channel"])
            await parts.bridge.channels.left(str(delivery.event["channel"]), happened_at(delivery.event))

    app.event("member_joined_channel")(parts.inbox.listener(joined))
    app.event("member_left_channel")(parts.inbox.listener(left))


async def is_own(parts: Parts, delivery: Delivery) -> bool:
    """Whether an event is about the app itself. Raises ConnectorError where that cannot be known now."""
    user = delivery.event.get("user")
    told = {each.get("user_id") for each in delivery.body.get("authorizations") or () if each.get("is_bot")}
    return user in told if told else user == (await parts.slack.identity()).user_id


def happened_at(event: dict[str, Any]) -> dt.datetime:
    """When an event happened, by Slack's clock."""
    return dt.datetime.fromtimestamp(float(event.get("event_ts") or event["ts"]), dt.UTC)


async def _welcome(parts: Parts, delivery: Delivery, channel: str, inviter: str) -> None:
    """Tells whoever invited the app what it does there: once, however often Slack reports it."""
    words = await _words(parts, channel, inviter)
    if not await parts.bridge.channels.take_welcome(channel):
        return
    await delivery.settle()
    try:
        await parts.slack.surfaces.whisper(channel, inviter, words)
    except (Transient, Credentials):
        await parts.bridge.channels.give_back_welcome(channel)
        raise


async def _words(parts: Parts, channel: str, inviter: str) -> dict[str, Any]:
    if await parts.roles.of(inviter) is Role.NOBODY:
        return {"text": REFUSED}
    try:
        described = await parts.slack.surfaces.channel(channel)
    except (Transient, Credentials):
        raise
    except ConnectorError as problem:
        log.warning("the name of channel %s cannot be read: %s", channel, problem.message)
        return welcome(channel_name=None, posting=[], choosing=0)
    posting = posting_in(described, parts.bridge.active_flows())
    return welcome(channel_name=described.name, posting=posting.flows, choosing=posting.choosing)
