"""A Slack workspace in memory: who is in it, what was said, and what the sandbox was asked to do wrong."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bolt_app.sandbox import payloads
from bolt_app.sandbox.grants import Code, Ended, Grant
from bolt_app.sandbox.limits import Limits
from bolt_app.sandbox.people import (
    ADA,
    BOT_SCOPES,
    BOT_USER_ID,
    CAST,
    CHANNELS,
    OPTIONAL_SCOPES,
    TEAM_DOMAIN,
    TEAM_ID,
    Person,
)
from bolt_app.sandbox.records import Call, Channel, Ephemeral, Fault, Message, Response, ResponseUrl, View


@dataclass(kw_only=True)
class Trigger:
    """A trigger id handed out with a command or a button press: good for one modal, for three seconds."""

    user: str
    at: float
    used: bool = False


class SlackState:
    """A workspace that starts with the sample people and channels, and remembers all that happens.

    Change it directly in a test (`state.faults.append(...)`, `state.bot_scopes.discard("im:write")`), act in it as
    a person would (`say`, `invite`), and look at what the app did (`posted`, `messages_to`, `calls`).
    """

    def __init__(
        self,
        *,
        people: Iterable[Person] | None = None,
        bot_token: str = "xoxb-sandbox",  # noqa: S107 - the sandbox's own, good for nothing else
        app_token: str = "xapp-sandbox",  # noqa: S107
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.bot_token = bot_token
        self.app_token = app_token
        self.bot_scopes: set[str] = set(BOT_SCOPES)
        self.clock = clock
        # The app as Slack has it registered.
        self.client_id = "sandbox-slack-client"
        self.client_secret = "sandbox-slack-secret"  # noqa: S105
        # Where Slack may send people back to; empty: anywhere.
        self.redirect_urls: set[str] = set()
        # What the app may ask for.
        self.app_scopes: set[str] = {*BOT_SCOPES, *OPTIONAL_SCOPES}
        # Without an installation the app is unknown: `bot_token` is good for nothing.
        self.requires_install = False
        # Who presses Allow, and what they leave out of it.
        self.consenting_user = ADA.id
        self.declined_scopes: set[str] = set()
        # Workspaces that can be chosen beside this one, by id and name. Nobody is in them, and nothing.
        self.other_workspaces: list[tuple[str, str]] = []
        self.codes: dict[str, Code] = {}
        # Tokens that installations were given; `bot_token` is not among them.
        self.tokens: dict[str, Grant] = {}
        self.ended_tokens: dict[str, Ended] = {}
        # Events that Slack would send the app about its tokens, for a test to deliver.
        self.unsent_events: list[dict[str, Any]] = []
        self.people: dict[str, Person] = {person.id: person for person in (CAST if people is None else people)}
        self.channels: dict[str, Channel] = {
            sample.id: Channel(
                id=sample.id,
                name=sample.name,
                is_private=sample.is_private,
                is_archived=sample.is_archived,
                members=[member for member in sample.members if member in self.people],
            )
            for sample in CHANNELS
        }
        self.custom_emoji: set[str] = set()
        self.ephemerals: list[Ephemeral] = []
        self.views: dict[str, View] = {}
        self.homes: dict[str, View] = {}
        self.home_tab_enabled = True
        self.messages_tab_enabled = True
        self.responses: list[Response] = []
        self.response_urls: dict[str, ResponseUrl] = {}
        self.triggers: dict[str, Trigger] = {}
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        # Switch on with `state.limits = Limits()`.
        self.limits: Limits | None = None
        # Answered to every call while it is set: invalid_auth, account_inactive, token_revoked, …
        self.token_error: str | None = None
        # Messages younger than this many seconds are not yet in history and replies.
        self.history_lag = 0.0
        # Called with each message the app posts; events are set by it.
        self.on_message: list[Callable[[Message], None] | asyncio.Event] = []
        # Where the server that serves this state listens, once it does.
        self.address: str | None = None
        self._elsewhere: dict[str, SlackState] = {}
        self._direct: dict[str, Channel] = {}
        self._last_ts = (0, 0)
        self._last_id = 0
        self._posted: list[Message] = []
        self._taken = 0
        self._waiting: list[asyncio.Future[None]] = []

    # Acting in the workspace

    def add_person(self, name: str, email: str | None = None, **details: Any) -> Person:
        """Adds a colleague; `details` are the other fields of `Person`."""
        details.setdefault("real_name", name.replace(".", " ").title())
        details.setdefault("id", self.make_id("U"))
        person = Person(name=name, email=email, **details)
        self.people[person.id] = person
        return person

    def add_channel(
        self, name: str, *, is_private: bool = False, with_bot: bool = True, members: Iterable[str] = ()
    ) -> Channel:
        """Adds a channel, with the bot in it unless `with_bot` is false."""
        joined = [*members, *([BOT_USER_ID] if with_bot else [])]
        channel = Channel(id=self.make_id("C"), name=name, is_private=is_private, members=joined)
        self.channels[channel.id] = channel
        return channel

    def direct_channel(self, user_id: str) -> Channel | None:
        """The direct messages between the bot and that person, if they exist already."""
        return self._direct.get(user_id)

    def open_direct(self, user_id: str) -> Channel:
        """The direct messages between the bot and that person, made if need be."""
        channel = self.direct_channel(user_id)
        if channel is None:
            channel = Channel(id=self.make_id("D"), is_private=True, im_with=user_id, members=[user_id, BOT_USER_ID])
            self.channels[channel.id] = self._direct[user_id] = channel
        return channel

    def say(self, user_id: str, channel_id: str, text: str, *, thread_ts: str | None = None) -> Message:
        """A person writes something; to a thread with `thread_ts`."""
        channel = self.channels[channel_id]
        if user_id not in channel.members:
            raise ValueError(f"{user_id} is not in {channel_id}")
        return self.add_message(
            Message(
                channel=channel_id, ts=self.next_ts(), user=user_id, text=text, at=self.clock(), thread_ts=thread_ts
            )
        )

    def invite(self, channel_id: str, inviter: str | None = None) -> dict[str, Any]:
        """Makes the bot a member; returns the `member_joined_channel` payload that Slack would now deliver.

        Without an inviter it is the bot that joined by itself.
        """
        channel = self.channels[channel_id]
        if not channel.has_bot:
            channel.members.append(BOT_USER_ID)
        subtype = "group_join" if channel.is_private else "channel_join"
        notice = Message(
            channel=channel_id,
            ts=self.next_ts(),
            user=BOT_USER_ID,
            text=f"<@{BOT_USER_ID}> has joined the channel",
            at=self.clock(),
            subtype=subtype,
            inviter=inviter,
        )
        self.add_message(notice)
        return payloads.member_joined(self, channel, notice.ts, inviter)

    def remove(self, channel_id: str) -> dict[str, Any]:
        """Takes the bot out of a channel; returns the `member_left_channel` payload that Slack would deliver."""
        channel = self.channels[channel_id]
        channel.members.remove(BOT_USER_ID)
        return payloads.member_left(self, channel)

    def delete_message(self, channel_id: str, ts: str) -> None:
        """A message disappears, as when somebody deletes it."""
        channel = self.channels[channel_id]
        channel.messages = [message for message in channel.messages if message.ts != ts]

    # Looking at it

    def posted(self, channel_id: str | None = None) -> list[Message]:
        """What the app posted, oldest first; in one channel if it is named."""
        return [message for message in self._posted if channel_id in (None, message.channel)]

    def messages_to(self, user_id: str) -> list[Message]:
        """The direct messages the app sent to that person, oldest first."""
        channel = self.direct_channel(user_id)
        return [] if channel is None else self.posted(channel.id)

    def thread(self, channel_id: str, ts: str) -> list[Message]:
        """A parent and its replies, oldest first."""
        channel = self.channels[channel_id]
        parent = channel.message(ts)
        return ([parent] if parent else []) + channel.replies(ts)

    def calls_to(self, method: str) -> list[Call]:
        """The calls of one method, oldest first."""
        return [call for call in self.calls if call.method == method]

    async def next_message(self, timeout: float = 5.0) -> Message:  # noqa: ASYNC109 - what a caller wants to say
        """The next message the app posts that this method has not returned yet; TimeoutError if none comes."""
        async with asyncio.timeout(timeout):
            while self._taken >= len(self._posted):
                arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(arrival)
                await arrival
        self._taken += 1
        return self._posted[self._taken - 1]

    def person_with_email(self, email: str) -> Person | None:
        """Whoever has that address, in capitals or not; also someone deactivated."""
        wanted = email.strip().casefold()
        return next((person for person in self.people.values() if (person.email or "").casefold() == wanted), None)

    def channel_named(self, name: str) -> Channel | None:
        """The channel of that name."""
        return next((channel for channel in self.channels.values() if channel.name and channel.name == name), None)

    def permalink(self, message: Message) -> str:
        """The address at which people find a message."""
        address = f"https://{TEAM_DOMAIN}.slack.com/archives/{message.channel}/p{message.ts.replace('.', '')}"
        return f"{address}?thread_ts={message.thread_ts}&cid={message.channel}" if message.thread_ts else address

    def shown(self, message: Message, *, full_metadata: bool = False) -> dict[str, Any]:
        """Slack's message object, with what it says about the thread around the message."""
        shown = message.as_slack(full_metadata=full_metadata)
        channel = self.channels[message.channel]
        if message.thread_ts:
            parent = channel.message(message.thread_ts)
            return shown | ({"parent_user_id": parent.user} if parent else {})
        # The newest has no replies yet; a busy channel is not searched for them with every post.
        replies = [] if channel.messages and channel.messages[-1] is message else channel.replies(message.ts)
        if not replies:
            return shown
        writers = list(dict.fromkeys(reply.user for reply in replies))
        return shown | {
            "thread_ts": message.ts,
            "reply_count": len(replies),
            "reply_users_count": len(writers),
            "latest_reply": replies[-1].ts,
            "reply_users": writers[:5],
            "is_locked": False,
            "subscribed": False,
        }

    # Used by the methods and the server

    def inside(self, team_id: str) -> "SlackState":
        """What a token of that workspace sees: this state, or another that is empty."""
        if team_id == TEAM_ID:
            return self
        if team_id not in self._elsewhere:
            other = self._elsewhere[team_id] = SlackState(people=(), clock=self.clock)
            other.channels.clear()
        return self._elsewhere[team_id]

    def take_fault(self, method: str) -> Fault | None:
        """The first fault that waits for a call of this method; it is used up by one."""
        for fault in self.faults:
            if fault.times > 0 and fault.method in ("*", method):
                fault.times -= 1
                return fault
        return None

    def take_response(self, key: str, body: dict[str, Any]) -> bool:
        """Notes what was sent to a response_url; False if that address is unknown, used up or too old."""
        known = self.response_urls.get(key)
        if known is None or known.uses_left < 1 or self.clock() - known.at > 1800:
            return False
        known.uses_left -= 1
        self.responses.append(Response(user=known.user, channel=known.channel, body=body))
        return True

    def add_message(self, message: Message) -> Message:
        """Puts a message where it belongs and tells whoever waits for it."""
        self.channels[message.channel].messages.append(message)
        if message.from_bot:
            self._posted.append(message)
            for listener in self.on_message:
                if isinstance(listener, asyncio.Event):
                    listener.set()
                else:
                    listener(message)
            waiting, self._waiting = self._waiting, []
            for arrival in waiting:
                if not arrival.done():
                    arrival.set_result(None)
        return message

    def next_ts(self) -> str:
        """A ts later than every other. The last six digits count, they are no fraction of a second: `….000100`."""
        second, count = int(self.clock()), 100
        if second <= self._last_ts[0]:
            second, count = self._last_ts[0], self._last_ts[1] + 100
            if count > 999_999:
                second, count = second + 1, 100
        self._last_ts = (second, count)
        return f"{second}.{count:06d}"

    def make_id(self, letter: str) -> str:
        """A new id of Slack's shape, as `D0SB000001`."""
        self._last_id += 1
        return f"{letter}0SB{self._last_id:06d}"

    def issue_trigger(self, user_id: str) -> str:
        """A trigger id, as commands and button presses carry it."""
        self._last_id += 1
        trigger_id = f"{self._last_id}.{int(self.clock())}.{'5a' * 16}"
        self.triggers[trigger_id] = Trigger(user=user_id, at=self.clock())
        return trigger_id

    def issue_response_url(self, user_id: str, channel_id: str) -> str:
        """An address that answers a command or a button press. It only works while a server serves this state."""
        self._last_id += 1
        key = f"r{self._last_id}"
        self.response_urls[key] = ResponseUrl(user=user_id, channel=channel_id, at=self.clock())
        return f"{self.address or 'http://127.0.0.1:9'}/response/{key}"
