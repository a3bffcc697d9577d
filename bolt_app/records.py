"""What Slack answers, as the rest of the connector sees it: who the app is, people, channels, posted messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bolt_app.text import permalink

#: Marks the messages that a flow posted, so that they can be found again.
EVENT_TYPE = "zendesk_connector"

#: A message as Slack has it: https://docs.slack.dev/reference/events/message
Message = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SlackIdentity:
    """Who the app is, and in which workspace."""

    team: str
    team_id: str
    # "https://acme.slack.com/"
    url: str
    user_id: str
    bot_id: str | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SlackPerson:
    """Somebody in the workspace."""

    id: str
    display_name: str
    real_name: str
    # None where the app lacks `users:read.email`, and for apps.
    email: str | None
    # The workspaces the person belongs to; several in an organization.
    teams: frozenset[str] = frozenset()
    is_admin: bool = False
    # Of one channel, or of some; or a stranger.
    is_guest: bool = False
    # Of another workspace that shares a channel with this one.
    is_stranger: bool = False
    # An app, or an account that is switched off.
    is_nobody: bool = False


@dataclass(frozen=True, kw_only=True)
class SlackChannel:
    """A public or private channel."""

    id: str
    name: str
    is_archived: bool


@dataclass(frozen=True, kw_only=True)
class Posted:
    """A message that is in Slack."""

    channel: str
    ts: str
    # The parent's ts, in a reply.
    thread_ts: str | None
    permalink: str
    # As Slack answered.
    message: Message = field(repr=False)
    # To whom, in direct messages.
    user_id: str | None = None


def identity_from(answer: AsyncSlackResponse) -> SlackIdentity:
    """Who the app is, from an answer of auth.test; its scopes are in a header."""
    scopes = str(answer.headers.get("x-oauth-scopes") or "").replace(" ", "")
    return SlackIdentity(
        team=answer.get("team") or "",
        team_id=answer.get("team_id") or "",
        url=answer.get("url") or "",
        user_id=answer.get("user_id") or "",
        bot_id=answer.get("bot_id"),
        scopes=tuple(scope for scope in scopes.split(",") if scope),
    )


def channels_in(answer: AsyncSlackResponse) -> list[SlackChannel]:
    """The channels of an answer's page, those without a name left out."""
    return [
        SlackChannel(id=str(each["id"]), name=str(each["name"]), is_archived=bool(each.get("is_archived")))
        for each in answer.get("channels") or []
        if isinstance(each, dict) and each.get("id") and each.get("name")
    ]


def channel_from(answer: AsyncSlackResponse) -> SlackChannel:
    """A channel, from an answer with one in it."""
    channel = answer.get("channel") or {}
    name, archived = str(channel.get("name") or ""), bool(channel.get("is_archived"))
    return SlackChannel(id=str(channel.get("id") or ""), name=name, is_archived=archived)


def messages_in(answer: AsyncSlackResponse) -> list[Message]:
    """The messages of an answer's page."""
    return [message for message in answer.get("messages") or [] if isinstance(message, dict)]


def with_ts(messages: list[Message], ts: str) -> Message | None:
    """The message with exactly that ts; Slack answers with a neighbour where there is none."""
    return next((message for message in messages if message.get("ts") == ts), None)


def mark_of(message: Message) -> str | None:
    """The key that a message was posted under."""
    metadata = message.get("metadata") or {}
    key = (metadata.get("event_payload") or {}).get("key")
    return key if metadata.get("event_type") == EVENT_TYPE and isinstance(key, str) else None


def is_own(message: Message, identity: SlackIdentity) -> bool:
    """Whether the app wrote it: anybody may copy a mark."""
    return message.get("user") == identity.user_id or (
        identity.bot_id is not None and message.get("bot_id") == identity.bot_id
    )


def posted_from(identity: SlackIdentity, channel: str, message: Message, person: str | None = None) -> Posted:
    """A message of the app's, with its address. `person`: to whom, in direct messages."""
    ts, thread_ts = str(message["ts"]), message.get("thread_ts")
    return Posted(
        channel=channel,
        ts=ts,
        thread_ts=thread_ts,
        permalink=permalink(identity.url, channel, ts, thread_ts),
        message=message,
        user_id=person,
    )


def person_from(answer: AsyncSlackResponse) -> SlackPerson:
    """Somebody, from an answer with a user in it."""
    return person_of(answer.get("user") or {})


def people_in(answer: AsyncSlackResponse) -> list[SlackPerson]:
    """The people on a page of users.list."""
    return [person_of(each) for each in answer.get("members") or () if isinstance(each, dict)]


def person_of(user: dict[str, Any]) -> SlackPerson:
    """Somebody: https://docs.slack.dev/reference/objects/user-object"""
    profile = user.get("profile") or {}
    enterprise = user.get("enterprise_user") or {}
    real_name = user.get("real_name") or profile.get("real_name") or user.get("name") or ""
    return SlackPerson(
        id=user.get("id") or "",
        # Empty where somebody has not chosen one; Slack then shows the real name.
        display_name=profile.get("display_name") or real_name,
        real_name=real_name,
        email=profile.get("email"),
        teams=frozenset(str(team) for team in (user.get("team_id"), *(enterprise.get("teams") or ())) if team),
        is_admin=any(user.get(name) is True for name in ("is_admin", "is_owner", "is_primary_owner")),
        is_guest=any(user.get(name) is True for name in ("is_restricted", "is_ultra_restricted", "is_stranger")),
        is_stranger=user.get("is_stranger") is True,
        is_nobody=any(user.get(name) is True for name in ("is_bot", "deleted", "is_workflow_bot")),
    )
