"""The bot is mentioned in a channel."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging

from slack_bolt.async_app import AsyncApp

from bolt_app.inbox import Delivery
from bolt_app.listeners.membership import happened_at
from bolt_app.parts import Parts
from bolt_app.roles import REFUSED, Role
from bolt_app.views.help import mention_help, sentence
from zendesk_bridge.bridge import Membership

log = logging.getLogger(__name__)

#: A mention up to so long after the app was invited is the invitation itself, in seconds. Slack asks whoever mentions
#: an app that is not in the channel whether to invite it, and then delivers the mention as well.
SAME_GESTURE = 10.0
#: How long a mention waits for the news that the app was invited, in seconds: which comes first is anybody's guess.
NEWS_WITHIN = 3.0


def register(app: AsyncApp, parts: Parts) -> None:
    """Registers the listener."""

    async def mentioned(delivery: Delivery) -> None:
        event = delivery.event
        channel, user = str(event["channel"]), event.get("user")
        if not isinstance(user, str) or event.get("bot_id"):
            return  # an app has nobody to help
        membership = await _membership(parts, channel)
        if membership is None or membership.left_at is not None:
            # It has been there since before anybody recorded it.
            await parts.bridge.channels.found(channel, happened_at(event))
        elif _is_invitation(membership, user, happened_at(event)):
            return
        thread = str(event.get("thread_ts") or event["ts"])
        if await parts.roles.of(user) is Role.NOBODY:
            await delivery.settle()
            await parts.slack.surfaces.whisper(channel, user, sentence(REFUSED), thread_ts=thread)
            return
        await parts.slack.thread_parent(channel, thread)  # asked for while it can be done again
        await delivery.settle()
        await parts.slack.post(channel, mention_help()["text"], thread_ts=thread)

    app.event("app_mention")(parts.inbox.listener(mentioned))


async def _membership(parts: Parts, channel: str) -> Membership | None:
    """What is known of the channel; where it seems that the app is not in it, a moment later."""
    until = asyncio.get_running_loop().time() + NEWS_WITHIN
    while True:
        known = await parts.bridge.channels.get(channel)
        if (known is not None and known.left_at is None) or asyncio.get_running_loop().time() >= until:
            return known
        await asyncio.sleep(0.1)


def _is_invitation(membership: Membership, user: str, at: dt.datetime) -> bool:
    late = (at - membership.joined_at).total_seconds()
    return membership.joined_by == user and late <= SAME_GESTURE
