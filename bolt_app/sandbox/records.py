"""What the sandbox remembers: messages, channels, calls it answered, and faults it was told to play."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bolt_app.sandbox.people import APP_ID, APP_NAME, BOT_ID, BOT_USER_ID, JOINED_AT, TEAM_ID

TS_SHAPE = re.compile(r"^\d{1,12}\.\d{6}$")

FaultKind = Literal[
    "error", "rate_limited", "http", "http_after", "drop", "drop_after", "slow", "slow_after", "half_body"
]


def is_ts(value: str) -> bool:
    """Whether a text has the shape of a message's `ts`."""
    return TS_SHAPE.match(value) is not None


@dataclass(kw_only=True)
class Message:
    """One message in a channel, a direct message or a thread."""

    channel: str
    ts: str
    user: str
    # As it was sent: entities such as `&amp;` stay entities.
    text: str
    # When it arrived, by the state's clock; `ts` is coarser.
    at: float
    blocks: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    # The parent's ts, in a reply; None in a parent.
    thread_ts: str | None = None
    # A reply that is shown in the channel as well.
    broadcast: bool = False
    subtype: str | None = None
    inviter: str | None = None
    username: str | None = None
    edited_at: str | None = None
    # Emoji name to the people who reacted, in the order they did.
    reactions: dict[str, list[str]] = field(default_factory=dict)

    @property
    def from_bot(self) -> bool:
        """Whether the app posted it (notices that the bot joined are not posts)."""
        return self.user == BOT_USER_ID and self.subtype not in ("channel_join", "group_join")

    def as_slack(self, *, full_metadata: bool) -> dict[str, Any]:
        """Slack's message object. Without `full_metadata`, of metadata only the event type is shown."""
        shown: dict[str, Any] = {"type": "message", "user": self.user, "ts": self.ts, "text": self.text}
        subtype = "thread_broadcast" if self.broadcast else self.subtype
        if subtype:
            shown["subtype"] = subtype
        if self.inviter:
            shown["inviter"] = self.inviter
        if self.from_bot:
            shown |= {"bot_id": BOT_ID, "app_id": APP_ID, "team": TEAM_ID, "bot_profile": bot_profile()}
        elif not subtype:
            shown["team"] = TEAM_ID
        if self.username:
            shown["username"] = self.username
        if self.blocks:
            shown["blocks"] = self.blocks
        if self.attachments:
            shown["attachments"] = self.attachments
        if self.thread_ts:
            shown["thread_ts"] = self.thread_ts
        if self.edited_at:
            shown["edited"] = {"user": self.user, "ts": self.edited_at}
        if self.reactions:
            shown["reactions"] = [
                {"name": name, "users": list(users), "count": len(users)} for name, users in self.reactions.items()
            ]
        if self.metadata is not None:
            shown["metadata"] = dict(self.metadata) if full_metadata else {"event_type": self.metadata["event_type"]}
        return shown


def bot_profile() -> dict[str, Any]:
    """How Slack describes the posting bot inside a message."""
    return {
        "id": BOT_ID,
        "app_id": APP_ID,
        "user_id": BOT_USER_ID,
        "name": APP_NAME,
        "icons": {"image_36": "", "image_48": "", "image_72": ""},
        "deleted": False,
        "updated": JOINED_AT,
        "team_id": TEAM_ID,
    }


@dataclass(kw_only=True)
class Channel:
    """A public or private channel, or the direct messages between the bot and one person."""

    id: str
    # Empty for direct messages.
    name: str = ""
    is_private: bool = False
    is_archived: bool = False
    # The person at the other end, for direct messages.
    im_with: str | None = None
    members: list[str] = field(default_factory=list)
    # Oldest first, replies among them.
    messages: list[Message] = field(default_factory=list)

    @property
    def is_im(self) -> bool:
        return self.im_with is not None

    @property
    def has_bot(self) -> bool:
        return BOT_USER_ID in self.members

    @property
    def kind(self) -> Literal["channels", "groups", "im"]:
        """The first half of the scopes that concern it, as in `groups:history`."""
        return "im" if self.is_im else "groups" if self.is_private else "channels"

    def message(self, ts: str) -> Message | None:
        """The message with that ts, parent or reply."""
        # From the end: what is asked for is mostly recent.
        return next((message for message in reversed(self.messages) if message.ts == ts), None)

    def replies(self, ts: str) -> list[Message]:
        """The replies in a thread, oldest first, without the parent."""
        return [message for message in self.messages if message.thread_ts == ts]

    def as_slack(self, *, with_members: bool = False) -> dict[str, Any]:
        """Slack's conversation object."""
        common = {"id": self.id, "created": JOINED_AT, "is_archived": self.is_archived, "is_org_shared": False}
        if self.im_with is not None:
            return common | {"is_im": True, "user": self.im_with, "is_user_deleted": False, "priority": 0}
        note = {"value": "", "creator": "", "last_set": 0}
        shown: dict[str, Any] = common | {
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": True,
            "is_group": False,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "is_general": False,
            "is_shared": False,
            "is_ext_shared": False,
            "is_pending_ext_shared": False,
            "is_member": self.has_bot,
            "pending_shared": [],
            "shared_team_ids": [TEAM_ID],
            "context_team_id": TEAM_ID,
            "creator": self.members[0] if self.members else "",
            "unlinked": 0,
            "updated": JOINED_AT * 1000,
            "topic": dict(note),
            "purpose": dict(note),
            "previous_names": [],
        }
        if with_members:
            shown["num_members"] = len(self.members)
        return shown


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call the sandbox received, and how it ended."""

    method: str
    # Everything that was sent, from query, form and JSON together; never the token.
    arguments: Mapping[str, Any]
    verb: str
    # The error code Slack answered, or None. What a fault did shows in `fault`.
    error: str | None
    status: int
    at: float
    fault: FaultKind | None = None

    @property
    def ok(self) -> bool:
        """Whether the caller was told that it worked."""
        return self.error is None and self.status == 200 and self.fault not in ("drop", "drop_after", "half_body")


@dataclass(kw_only=True)
class Fault:
    """Something that goes wrong with the next `times` calls of a method ("*": of any).

    `error` answers the code in `error`; `rate_limited` answers 429 with `retry_after`; `http` answers `status` with a
    page of HTML; `drop` closes the connection: in these four nothing is done. `http_after` and `drop_after` do it and
    then answer `status`, or nothing; `half_body` does it and breaks off in the middle of the answer; `slow_after` does
    it and answers `delay` seconds later; `slow` waits that long before doing it (as every other kind does if a `delay`
    is given).
    """

    method: str
    kind: FaultKind
    times: int = 1
    error: str | None = None
    status: int = 500
    # Of the HTML page; some proxies label theirs text/plain or application/json, and clients then behave otherwise.
    content_type: str = "text/html"
    retry_after: int = 1
    delay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Ephemeral:
    """A message only one person saw."""

    channel: str
    user: str
    ts: str
    text: str
    blocks: tuple[dict[str, Any], ...] = ()
    thread_ts: str | None = None


@dataclass(kw_only=True)
class View:
    """A modal or a Home tab as it stands."""

    id: str
    # As the app sent it.
    content: dict[str, Any]
    hash: str
    user: str


@dataclass(kw_only=True)
class ResponseUrl:
    """An address that answers a command or a button press: five times, within half an hour."""

    user: str
    channel: str
    at: float
    uses_left: int = 5


@dataclass(frozen=True, kw_only=True)
class Response:
    """What the app sent to the response_url of a command or a button."""

    user: str
    channel: str
    body: Mapping[str, Any]
