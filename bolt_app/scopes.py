"""What the app asks Slack for, and why: as the manifest has it, for the page that asks and for the doctor."""

from __future__ import annotations

from collections.abc import Iterable

#: Each scope, and what it is good for.
SCOPES = {
    "app_mentions:read": "answer when somebody mentions the app",
    "channels:history": "fetch messages and threads; look whether a message was sent",
    "channels:read": "hear that the app was invited to a public channel",
    "chat:write": "post messages and replies",
    "commands": "offer the command /action-flows",
    "groups:history": "the same as channels:history, in private channels it was invited to",
    "groups:read": "the same as channels:read, for private channels",
    "im:history": "look whether a direct message was sent",
    "im:write": "open direct messages",
    "reactions:write": "add reactions",
    "users:read": "find people",
    "users:read.email": "find people by their e-mail address",
}
#: Asked for only where the app joins public channels by itself.
JOIN = {"channels:join": "join public channels that flows post to"}


def scopes(*, joins: bool) -> dict[str, str]:
    """What is asked for, with the reasons."""
    return SCOPES | (JOIN if joins else {})


def missing(granted: Iterable[str], *, joins: bool) -> list[str]:
    """What was not granted and is needed."""
    return sorted(set(scopes(joins=joins)) - set(granted))
