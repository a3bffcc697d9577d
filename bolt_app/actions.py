"""The Slack actions: one function each."""

from __future__ import annotations

import re
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, Field

from bolt_app.client import SlackClient
from bolt_app.directory import check_channel
from bolt_app.records import Message, Posted
from bolt_app.text import (
    Markup,
    OptionalSlackTs,
    SlackMarkup,
    SlackText,
    SlackTs,
    is_person_id,
    permalink,
    plain,
)
from zendesk_bridge.flows.catalog import FieldsOf, Function, Once, action
from zendesk_bridge.flows.errors import Permanent


def _optional_channel(value: str | None) -> str | None:
    return None if value is None else check_channel(value)


def _email(value: str) -> str:
    email = value.strip()
    name, at, domain = email.rpartition("@")
    if not (name and at and domain) or not email.isprintable() or " " in email:
        raise ValueError(f"{email[:80]!r} is not an e-mail address")
    return email


def _optional_email(value: str | None) -> str | None:
    return None if value is None else _email(value)


def _optional_person(value: str | None) -> str | None:
    if value is not None and not is_person_id(value.strip()):
        raise ValueError(f"{value[:40]!r} is not a person's Slack id such as U024BE7LH")
    return value and value.strip()


def _emoji(value: str) -> str:
    name = value.strip().strip(":")
    if not _EMOJI.fullmatch(name):
        raise ValueError(f"{value[:40]!r} is not the name of an emoji, such as eyes or white_check_mark")
    return value


# Letters of any language, and perhaps a tone of skin; an emoji itself is no name.
_EMOJI = re.compile(r"[^\W]['\w+.&-]*(::skin-tone-[2-6])?|[+-]1(::skin-tone-[2-6])?")


class _Resolved:
    """Marks an input that names a channel."""

    async def look_up(self, client: SlackClient, value: str) -> str:
        """The channel's id."""
        return await client.channel_id(value)


Channel = Annotated[
    str,
    AfterValidator(check_channel),
    _Resolved(),
    Field(description="The channel's name (#support) or id (C…, G… or D…). The app must be in it."),
]
OptionalChannel = Annotated[
    str | None,
    AfterValidator(_optional_channel),
    _Resolved(),
    Field(description="The channel's name (#support) or id (C…, G… or D…). Either this or `email`."),
]
Email = Annotated[str, AfterValidator(_email), Field(description="The e-mail address of the person's Slack account.")]
OptionalEmail = Annotated[
    str | None,
    AfterValidator(_optional_email),
    Field(description="The e-mail address of the person's Slack account. Give this or the other way to name them."),
]
Text = Annotated[
    SlackText,
    Field(description="The message. Slack's formatting works in what you write; inserted values appear literally."),
]


class PostedMessage(BaseModel):
    """A message in a channel."""

    channel: str = Field(description="The id of the channel the message is in.")
    ts: str = Field(description="The message's ts, which names it within its channel.")
    ok: bool = Field(default=True, description="Whether Slack took the message: true.")
    permalink: str = Field(description="The address of the message.")


class DirectMessage(PostedMessage):
    """A direct message."""

    user_id: str = Field(description="The Slack id of the person who got it.")
    message: dict[str, Any] = Field(description="The message as Slack answered it.")


class Reply(PostedMessage):
    """A message in a thread, or the one that opens it."""

    thread_ts: str = Field(description="The ts of the thread's first message: give it to the next reply.")


# What was posted is known field by field: nobody need look at it again.
PostedFields = Annotated[dict[str, Any], FieldsOf(PostedMessage)]
DirectFields = Annotated[dict[str, Any], FieldsOf(DirectMessage)]
ReplyFields = Annotated[dict[str, Any], FieldsOf(Reply)]


class ThreadMessage(BaseModel):
    """One message of a thread."""

    ts: str = Field(description="The message's ts.")
    user: str | None = Field(description="The Slack id of whoever wrote it; empty for some apps.")
    text: str = Field(description="The text as it was typed.")
    markup: str = Field(description="The text as Slack stores it, with &amp;, &lt; and &gt;.")
    permalink: str = Field(description="The address of the message.")


class ThreadMessages(BaseModel):
    """The messages of a thread."""

    messages: list[ThreadMessage] = Field(
        description="Oldest first, the thread's first message among them: each has ts, user, text, markup, permalink."
    )


class Reaction(BaseModel):
    """A reaction to a message."""

    success: bool = Field(description="True: the message has the reaction.")


class FetchedMessage(BaseModel):
    """A message."""

    text: str = Field(description="The text as it was typed.")
    user: str | None = Field(description="The Slack id of whoever wrote it; empty for some apps.")
    markup: str = Field(description="The text as Slack stores it, with &amp;, &lt; and &gt;.")
    ts: str = Field(description="The message's ts.")
    thread_ts: str | None = Field(description="The ts of the thread's first message, if it is in a thread.")
    reactions: list[dict[str, Any]] = Field(description="Reactions, each with name, count and users.")
    files: list[dict[str, Any]] = Field(description="Files, as Slack describes them.")
    edited: bool = Field(description="Whether it was changed after it was sent.")
    permalink: str = Field(description="The address of the message.")


class FoundUser(BaseModel):
    """Somebody in the workspace."""

    display_name: str = Field(description="The name shown beside their messages.")
    email: str | None = Field(description="The e-mail address; empty for apps.")
    real_name: str = Field(description="The full name.")
    user_id: str = Field(description="The Slack id (U…).")
    mention: Markup = Field(description="Mentions and notifies them when it is part of a message.")


def _looks_up(find: object) -> Function:
    """The catalog's word for a function; one that finds nothing answers None."""
    return cast(Function, find)


async def _find_in_channel(slack: SlackClient, *, channel: str, message: str, once: Once) -> PostedFields | None:
    found = await slack.find_posted(await slack.channel_id(channel), once)
    return _posted_message(found) if found else None


@action("create", find=_looks_up(_find_in_channel))
async def post_message_to_channel(
    slack: SlackClient, *, channel: Channel, message: Text, once: Once | None = None
) -> PostedFields:
    """Posts a message in a public or private channel.

    The app must be in the channel: until somebody types `/invite @Zendesk Connector` there, the run waits and then
    goes on by itself. A channel that is renamed may be found by its old name for up to a day; its id never changes.
    Links are not unfolded. Text beyond 40,000 characters is cut, visibly.
    https://docs.slack.dev/reference/methods/chat.postMessage
    """
    return _posted_message(await slack.in_channel(channel, lambda id: slack.post(id, message, once=once)))


async def _find_direct(slack: SlackClient, *, email: str, message: str, once: Once) -> DirectFields | None:
    found = await slack.find_posted_to_person(email, once)
    return _direct_message(found) if found else None


@action("create", find=_looks_up(_find_direct), aliases=("post_direct_message",))
async def send_direct_message(
    slack: SlackClient, *, email: Email, message: Text, once: Once | None = None
) -> DirectFields:
    """Sends one person a direct message from the app.

    The person is found by the e-mail address of their Slack account. Slack finds active accounts only: for anybody
    else the step fails with `users_not_found`. Links are not unfolded.
    https://docs.slack.dev/reference/methods/users.lookupByEmail
    """
    return _direct_message(await slack.post_to_person(email, message, once=once))


async def _find_reply(
    slack: SlackClient,
    *,
    message: str,
    once: Once,
    channel: str | None = None,
    email: str | None = None,
    thread_ts: str | None = None,
) -> ReplyFields | None:
    if email is not None:
        found = await slack.find_posted_to_person(email, once, thread_ts=thread_ts)
    else:
        found = await slack.find_posted(await slack.channel_id(channel or ""), once, thread_ts=thread_ts)
    return _reply(found) if found else None


@action("create", find=_looks_up(_find_reply), either=("channel", "email"))
async def reply_in_thread(
    slack: SlackClient,
    *,
    message: Text,
    channel: OptionalChannel = None,
    email: OptionalEmail = None,
    thread_ts: Annotated[
        OptionalSlackTs,
        Field(description="The ts of any message of the thread. Without it the message opens a thread."),
    ] = None,
    once: Once | None = None,
) -> ReplyFields:
    """Replies in a thread of a channel or of direct messages, or opens one.

    Give either `channel` or `email`. Where `thread_ts` is the ts of a reply, the answer goes to the same thread: it
    is never misplaced into the channel. The app must be in the channel, else the run waits for its invitation.
    https://docs.slack.dev/reference/methods/chat.postMessage
    """
    _one_of(channel=channel, email=email)
    if email is not None:
        return _reply(await slack.post_to_person(email, message, thread_ts=thread_ts, once=once))
    return _reply(
        await slack.in_channel(channel or "", lambda id: slack.post(id, message, thread_ts=thread_ts, once=once))
    )


@action("read")
async def fetch_thread_messages(
    slack: SlackClient,
    *,
    channel: Channel,
    thread_ts: Annotated[SlackTs, Field(description="The ts of the thread's first message, or of any other in it.")],
    reply_ts: Annotated[OptionalSlackTs, Field(description="The ts of one reply: only that one is fetched.")] = None,
) -> ThreadMessages:
    """Fetches all messages of a thread, or one reply.

    `text` is plain, so that it can be inserted into another message as it was typed. The app must be in the channel.
    https://docs.slack.dev/reference/methods/conversations.replies
    """

    async def fetch(where: str) -> ThreadMessages:
        messages = await slack.thread(where, thread_ts, only=reply_ts)
        workspace = (await slack.identity()).url
        return ThreadMessages(
            messages=[
                ThreadMessage(
                    ts=message["ts"],
                    user=message.get("user"),
                    text=plain(_text(message)),
                    markup=_text(message),
                    permalink=permalink(workspace, where, message["ts"], message.get("thread_ts")),
                )
                for message in messages
            ]
        )

    return await slack.in_channel(channel, fetch)


@action("set")
async def add_reaction(
    slack: SlackClient,
    *,
    channel: Channel,
    name: Annotated[
        str,
        AfterValidator(_emoji),
        Field(description="The emoji's name, with or without colons: eyes, :white_check_mark:."),
    ],
    timestamp: Annotated[SlackTs, Field(description="The message's ts.")],
) -> Reaction:
    """Adds an emoji reaction to a message, in the app's name.

    A reaction that the app has added already counts as success. The app must be in the channel.
    https://docs.slack.dev/reference/methods/reactions.add
    """
    await slack.in_channel(channel, lambda id: slack.reaction(id, name, timestamp))
    return Reaction(success=True)


@action("read")
async def fetch_message(
    slack: SlackClient,
    *,
    channel: Channel,
    timestamp: Annotated[SlackTs, Field(description="The message's ts.")],
) -> FetchedMessage:
    """Fetches a message with its details, also one in a thread.

    Where there is no message with exactly that ts, the step fails with `message_not_found`. `text` is plain, so that
    it can be inserted into another message as it was typed. The app must be in the channel.
    https://docs.slack.dev/reference/methods/conversations.history
    """

    async def fetch(where: str) -> FetchedMessage:
        message = await slack.message(where, timestamp)
        workspace = (await slack.identity()).url
        return FetchedMessage(
            text=plain(_text(message)),
            user=message.get("user"),
            markup=_text(message),
            ts=message["ts"],
            thread_ts=message.get("thread_ts"),
            reactions=message.get("reactions") or [],
            files=message.get("files") or [],
            edited=bool(message.get("edited")),
            permalink=permalink(workspace, where, message["ts"], message.get("thread_ts")),
        )

    return await slack.in_channel(channel, fetch)


@action("read", either=("user_id", "email"))
async def find_user(
    slack: SlackClient,
    *,
    user_id: Annotated[
        str | None,
        AfterValidator(_optional_person),
        Field(description="The person's Slack id (U…). Either this or `email`."),
    ] = None,
    email: OptionalEmail = None,
) -> FoundUser:
    """Finds somebody in the workspace by Slack id or by e-mail address.

    Give one of the two. By e-mail address Slack finds active accounts only; for anybody else the step fails with
    `users_not_found`. https://docs.slack.dev/reference/methods/users.info
    """
    _one_of(user_id=user_id, email=email)
    person = await (slack.user_by_email(email) if email is not None else slack.user(user_id or ""))
    return FoundUser(
        display_name=person.display_name,
        email=person.email,
        real_name=person.real_name,
        user_id=person.id,
        mention=SlackMarkup(f"<@{person.id}>"),
    )


ACTIONS = (
    post_message_to_channel,
    send_direct_message,
    reply_in_thread,
    fetch_thread_messages,
    add_reaction,
    fetch_message,
    find_user,
)


def _one_of(**inputs: str | None) -> None:
    given = [name for name, value in inputs.items() if value]
    if len(given) != 1:
        names = " and ".join(inputs)
        what = f"both {names} are given" if given else f"{names} are both empty"
        raise Permanent("invalid_input", f"Of the inputs, {what}", hint=f"Give exactly one of {names}.")


def _text(message: Message) -> str:
    return str(message.get("text") or "")


def _posted_message(posted: Posted) -> PostedFields:
    return {"channel": posted.channel, "ts": posted.ts, "ok": True, "permalink": posted.permalink}


def _direct_message(posted: Posted) -> DirectFields:
    return {**_posted_message(posted), "user_id": posted.user_id or "", "message": posted.message}


def _reply(posted: Posted) -> ReplyFields:
    return {**_posted_message(posted), "thread_ts": posted.thread_ts or posted.ts}
