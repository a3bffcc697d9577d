"""Talks to Slack: the only place that calls its Web API, and where Slack's errors become ours."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bolt_app.directory import Directory, Memory
from bolt_app.joining import Joining
from bolt_app.pacing import POSTS_A_MINUTE, SlackPacing
from bolt_app.paging import pages
from bolt_app.records import (
    EVENT_TYPE,
    Message,
    Posted,
    SlackIdentity,
    SlackPerson,
    identity_from,
    messages_in,
    person_from,
    posted_from,
    with_ts,
)
from bolt_app.searching import Searching
from bolt_app.session import Redirected, has_left, open_session, proxy_for
from bolt_app.single_flight import SingleFlight
from bolt_app.slack_errors import ADDRESS_HINT, translate, translate_answer
from bolt_app.surfaces import Surfaces
from bolt_app.text import fit
from bolt_app.web import Web
from zendesk_bridge.flows.catalog import Once
from zendesk_bridge.flows.errors import ConnectorError, Credentials, NeedsInvite, Permanent, Transient, Uncertain

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How far before its beginning a post is looked for: clocks differ. In seconds.
CLOCK_SKEW = 120.0
#: How many threads the client remembers the parents of.
PARENTS = 10_000
#: What a direct message to somebody is refused with whose id or channel is not (any more) what was remembered.
OUTDATED = ("channel_not_found", "user_not_found", "user_disabled")


class SlackClient:
    """Slack's Web API as flows need it: every post sent once, every error one of ours.

    All methods raise ConnectorError: Transient, Uncertain, Permanent, NeedsInvite or Credentials.
    """

    def __init__(
        self,
        *,
        token: str | None,
        base_url: str = "https://slack.com/api/",
        memory: Memory,
        observe: Callable[[str, str], None] = lambda method, outcome: None,
        total_seconds: float = 10.0,
        connect_seconds: float = 5.0,
        page_size: int = 200,
        posts_a_minute: int = POSTS_A_MINUTE,
        joins: bool = False,
    ) -> None:
        """
        Args:
            observe: called once a call with the method and "ok" or the error's code.
            page_size: messages asked for at a time; apps that Slack limits get 15.
            posts_a_minute: messages in the whole workspace; 0: they are not paced.
            joins: whether the app joins public channels it is needed in.
        """
        quiet = log.getChild("sdk")
        quiet.setLevel(logging.INFO)  # at DEBUG the SDK writes messages and e-mail addresses
        # Retries are the engine's: the SDK's own would post twice.
        self.web = Web(token=token, base_url=base_url, retry_handlers=[], logger=quiet)
        self.web.proxy = proxy_for(base_url)
        self._directory = Directory(self._call, memory, self._team)
        self._joining = Joining(self._call, self._directory) if joins else None
        self._observe = observe
        self._total_seconds = total_seconds
        self._connect_seconds = connect_seconds
        self._page_size = page_size
        self._identity: SlackIdentity | None = None
        self._flights = SingleFlight()
        self.pacing = SlackPacing(posts_a_minute)
        self._searching = Searching(self._call, self.pacing.admit, self.identity, page_size)
        #: What people see of the app beside messages.
        self.surfaces = Surfaces(self._call)
        # In an ordinary dictionary, finding the oldest takes the longer the more of them were dropped.
        self._parents: OrderedDict[tuple[str, str], str] = OrderedDict()
        # The time that Slack told last, and how far our clock is ahead of it, in seconds.
        self._told: str | None = None
        self._ahead = 0.0

    async def start(self) -> None:
        """Opens the session that all calls share; calls nothing."""
        self.web.session = open_session(total_seconds=self._total_seconds, connect_seconds=self._connect_seconds)

    async def close(self) -> None:
        """Closes the session."""
        self._flights.cancel()
        self._searching.close()
        self._directory.close()
        if self._joining is not None:
            self._joining.close()
        self.pacing.scheduler.close()
        if self.web.session is not None:
            await self.web.session.close()

    def use_token(self, token: str | None) -> None:
        """Goes on with another token: the app was connected anew, or disconnected."""
        self.web.token = token.strip() if token else None
        self._identity = None

    async def identity(self, *, anew: bool = False) -> SlackIdentity:
        """Who the app is (auth.test), remembered until it is asked `anew`."""
        token = self.web.token
        known = self._identity
        if known is None or anew:
            known = identity_from(await self._flights.do(("auth.test", token), lambda: self._call("auth.test", "POST")))
            if self.web.token == token:
                self._identity = known
        return known

    # Connecting

    async def exchange(self, code: str, *, client_id: str, client_secret: str, redirect: str) -> AsyncSlackResponse:
        """The bot token for the code that a consent gave (oauth.v2.access).

        https://docs.slack.dev/reference/methods/oauth.v2.access
        """
        given = {"client_id": client_id, "client_secret": client_secret, "code": code, "redirect_uri": redirect}
        return await self._answer("oauth.v2.access", "", lambda: self.nobody().oauth_v2_access(**given))

    async def identity_with(self, token: str) -> SlackIdentity:
        """Who the app is with a token that is not in use yet (auth.test)."""
        return identity_from(await self._answer("auth.test", "", lambda: self.nobody().auth_test(token=token)))

    async def person_with(self, token: str, user_id: str) -> SlackPerson:
        """Somebody, asked for with a token that is not in use yet (users.info)."""
        return person_from(
            await self._answer("users.info", user_id, lambda: self.nobody().users_info(token=token, user=user_id))
        )

    async def revoke(self, token: str) -> None:
        """Ends a token (auth.revoke)."""
        await self._answer("auth.revoke", "", lambda: self.nobody().auth_revoke(token=token))

    def nobody(self) -> AsyncWebClient:
        """The same client without the token in use, on the session there is."""
        web = self.web
        nobody = AsyncWebClient(base_url=web.base_url, session=web.session, retry_handlers=[], logger=web.logger)
        nobody.proxy = web.proxy  # given as None, the SDK would look for one that NO_PROXY rules out
        return nobody

    async def _team(self) -> str:
        return (await self.identity()).team_id

    # Channels

    async def channel_id(self, channel: str) -> str:
        """The id of a channel that is given by its id or as `#name`. NeedsInvite where the app is in none of it."""
        with _nothing_posted_yet:
            return await self._directory.channel_id(channel)

    async def in_channel(self, channel: str, work: Callable[[str], Awaitable[T]]) -> T:
        """Does something in a channel that is given by its id or as `#name`. Joins a public one, if it is to.

        The name may belong to another channel than is remembered: where Slack does not let the app into that one, it
        is looked up anew.

        Args:
            work: takes the channel's id; what raises NeedsInvite has changed nothing.
        """
        try:
            return await self._in_own_channel(channel, work)
        except NeedsInvite as problem:
            if self._joining is None:
                raise
            with _nothing_posted_yet:
                await self._joining.join(channel, problem)
        return await self._in_own_channel(channel, work)

    async def _in_own_channel(self, channel: str, work: Callable[[str], Awaitable[T]]) -> T:
        id = await self.channel_id(channel)
        try:
            return await work(id)
        except NeedsInvite:
            await self._directory.forget_channel(channel, id)
            anew = await self.channel_id(channel)
            if anew == id:
                raise
        return await work(anew)

    # Messages

    async def post(
        self,
        channel: str,
        text: str,
        *,
        thread_ts: str | None = None,
        once: Once | None = None,
        person: str | None = None,
    ) -> Posted:
        """Posts a message. Links in it are not unfolded: ticket text must not fetch things into a channel.

        Args:
            channel: a channel's id, or a person's.
            text: Slack text, values in it escaped already.
            thread_ts: the ts of any message of the thread.
            once: marks the message, so that `find_posted` finds it.
            person: whose direct messages the channel is, if it is known: their posts are paced together.
        """
        text = fit(text)
        with _nothing_posted_yet:
            identity = await self.identity()
            # Slack puts a reply to a reply into the channel.
            parent = await self.thread_parent(channel, thread_ts) if thread_ts else None
        answer = await self._call(
            "chat.postMessage",
            "POST",
            lane=person or channel,
            channel=channel,
            text=text,
            thread_ts=parent,
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": EVENT_TYPE, "event_payload": {"key": once.key}} if once else None,
        )
        message = answer.get("message") or {}
        where, ts = answer.get("channel"), answer.get("ts")
        if not isinstance(where, str) or not isinstance(ts, str) or not isinstance(message, dict):
            raise Uncertain("broken_answer", "Slack's answer to chat.postMessage has no channel and ts")
        self._learn_parent(where, ts, parent or ts)
        return posted_from(identity, where, {"ts": ts, "text": text, **message}, person)

    async def find_posted(self, channel: str, once: Once, *, thread_ts: str | None = None) -> Posted | None:
        """The message that was posted with this mark, or None if Slack does not show it (yet).

        Args:
            channel: a channel's id.
            thread_ts: if it was a reply, the ts of any message of the thread: history does not show replies.
        """
        identity = await self.identity()
        parent = await self.thread_parent(channel, thread_ts) if thread_ts else None
        found = await self._searching.find(channel, parent, once.key, once.begun_at - self._ahead - CLOCK_SKEW)
        return posted_from(identity, channel, found) if found else None

    async def message(self, channel: str, ts: str) -> Message:
        """The message with exactly that ts, in the channel or in one of its threads; Permanent `message_not_found`."""
        window: dict[str, Any] = {"latest": ts, "oldest": ts, "inclusive": True, "limit": 1}
        found = with_ts(messages_in(await self._call("conversations.history", channel=channel, **window)), ts)
        if found is None:
            found = await self._one_of_thread(channel, ts)  # history shows no replies
        if found is None:
            raise translate("message_not_found", "conversations.history", channel=channel)
        return found

    async def thread(self, channel: str, ts: str, *, only: str | None = None) -> list[Message]:
        """A thread's messages, oldest first, the parent among them. `ts` may be that of any of them.

        Args:
            only: the ts of the one reply that is wanted; Permanent `message_not_found` if it is not in the thread.
        """
        found: dict[str, Message] = {}  # each page repeats the parent
        window = {"oldest": only, "latest": only, "inclusive": True} if only else {}
        asked = pages(self._call, "conversations.replies", channel=channel, ts=ts, limit=self._page_size, **window)
        async with contextlib.aclosing(asked):
            async for page in asked:
                found.update({str(message.get("ts")): message for message in messages_in(page)})
        parent = found.get(ts, {}).get("thread_ts") or ts
        if parent != ts:
            return await self.thread(channel, parent, only=only)
        if only is None:
            return list(found.values())
        if only not in found:
            raise translate("message_not_found", "conversations.replies", channel=channel)
        return [found[only]]

    async def thread_parent(self, channel: str, ts: str) -> str:
        """The ts to reply to: that of the parent, also where `ts` is a reply's."""
        known = self._parents.get((channel, ts))
        if known is None:
            first = await self._one_of_thread(channel, ts)
            if first is None:
                raise translate("thread_not_found", "conversations.replies", channel=channel)
            known = str(first.get("thread_ts") or ts)
            self._learn_parent(channel, ts, known)
        return known

    async def _one_of_thread(self, channel: str, ts: str) -> Message | None:
        """The message with exactly that ts, a parent or a reply; None if there is none."""
        try:
            answer = await self._call("conversations.replies", channel=channel, ts=ts, limit=1)
        except Permanent as problem:
            if problem.code != "thread_not_found":
                raise
            return None
        return with_ts(messages_in(answer), ts)

    async def reaction(self, channel: str, name: str, timestamp: str) -> None:
        """Adds an emoji to a message, unless the app has done so already."""
        try:
            await self._call(
                "reactions.add", "POST", channel=channel, name=name.strip().strip(":"), timestamp=timestamp
            )
        except Permanent as problem:
            if problem.code != "already_reacted":
                raise

    # People

    async def user(self, user_id: str) -> SlackPerson:
        """Somebody by their Slack id."""
        return person_from(await self._call("users.info", user=user_id))

    async def user_by_email(self, email: str) -> SlackPerson:
        """Somebody by e-mail address. Slack finds active accounts only; the id is remembered for a day."""
        return await self._directory.person(email)

    async def open_dm(self, user_id: str) -> str:
        """The id of the app's direct messages with somebody; asking again changes nothing."""
        return await self._flights.do(("direct messages", user_id), lambda: self._open_dm(user_id))

    async def _open_dm(self, user_id: str) -> str:
        answer = await self._call("conversations.open", "POST", users=user_id)
        channel = str((answer.get("channel") or {}).get("id") or "")
        if not channel:
            raise Uncertain("broken_answer", "Slack's answer to conversations.open has no channel")
        await self._directory.learn_direct_channel(user_id, channel)
        return channel

    async def post_to_person(
        self, email: str, text: str, *, thread_ts: str | None = None, once: Once | None = None
    ) -> Posted:
        """Posts a direct message. What is remembered of the person may be outdated: then they are looked up anew."""
        try:
            return await self._post_to_known(email, text, thread_ts, once)
        except Permanent as problem:
            if problem.code not in OUTDATED:
                raise
            log.info("looking somebody up anew: Slack answered %s to a direct message", problem.code)
        return await self._post_to_known(email, text, thread_ts, once)

    async def find_posted_to_person(self, email: str, once: Once, *, thread_ts: str | None = None) -> Posted | None:
        """The direct message that was posted with this mark, or None."""
        user_id = await self._directory.person_id(email)
        channel = await self._directory.direct_channel(user_id) or await self.open_dm(user_id)
        found = await self.find_posted(channel, once, thread_ts=thread_ts)
        return found and replace(found, user_id=user_id)

    async def _post_to_known(self, email: str, text: str, thread_ts: str | None, once: Once | None) -> Posted:
        with _nothing_posted_yet:
            user_id = await self._directory.person_id(email)
            known = await self._directory.direct_channel(user_id)
        try:
            if thread_ts and known is None:
                with _nothing_posted_yet:
                    known = await self.open_dm(user_id)
            # To a person's id Slack posts as well, and answers with the channel.
            posted = await self.post(known or user_id, text, thread_ts=thread_ts, once=once, person=user_id)
        except Permanent as problem:
            if problem.code in OUTDATED:
                await self._directory.forget_person(email, user_id)
            raise
        if posted.channel != known:
            await self._directory.learn_direct_channel(user_id, posted.channel)
        return posted

    # Calling

    async def _call(
        self,
        method: str,
        verb: Literal["GET", "POST"] = "GET",
        *,
        lane: str = "",
        is_admitted: bool = False,
        **arguments: Any,
    ) -> AsyncSlackResponse:
        if not is_admitted:
            await self.pacing.admit(method, lane)
        outcome = "cancelled"
        try:
            given = {name: value for name, value in arguments.items() if value is not None}
            answer = await self._send(method, verb, given)
            outcome = "ok"
            self._note_clock(answer.headers)
            return answer
        except ConnectorError as problem:
            outcome = problem.code
            if isinstance(problem, Credentials):
                self._identity = None
            if isinstance(problem, Transient) and problem.limit:
                self.pacing.refused(method, lane, problem)
            raise
        finally:
            self._observe(method, outcome)

    async def _send(self, method: str, verb: Literal["GET", "POST"], arguments: dict[str, Any]) -> AsyncSlackResponse:
        if not self.web.token:
            raise translate("not_authed", method)
        about = arguments.get("channel") or arguments.get("users") or arguments.get("user") or ""
        given: dict[str, Any] = {"http_verb": "GET", "params": arguments} if verb == "GET" else {"json": arguments}
        return await self._answer(method, about, lambda: self.web.api_call(method, **given))

    async def _answer(
        self, method: str, about: str, call: Callable[[], Awaitable[AsyncSlackResponse]]
    ) -> AsyncSlackResponse:
        """Slack's answer, or one of our errors. `about`: the channel or person that the call is about."""
        if self.web.session is None or self.web.session.closed:
            raise RuntimeError("the Slack client is not started")
        has_left.set(False)
        try:
            return await call()
        except SlackApiError as problem:
            # A body that is no JSON arrives as aiohttp's own answer, which calls the status otherwise.
            answer: Any = problem.response
            raise translate_answer(
                method,
                about,
                status=int(getattr(answer, "status_code", 0) or getattr(answer, "status", 0)),
                retry_after=answer.headers.get("Retry-After"),
                body=getattr(answer, "data", None),
            ) from problem
        except Redirected as problem:
            raise Transient("redirected", f"Something redirected {method}", hint=ADDRESS_HINT) from problem
        except aiohttp.InvalidURL as problem:
            raise Permanent("bad_address", "SLACK_API_URL is no address", hint=ADDRESS_HINT) from problem
        except TimeoutError as problem:
            raise self._unanswered("timeout", f"Slack did not answer {method} in time") from problem
        except aiohttp.ClientConnectorError as problem:
            raise self._unanswered("unreachable", f"Slack cannot be reached for {method}") from problem
        except (aiohttp.ClientError, OSError) as problem:
            raise self._unanswered("no_answer", f"The connection broke before Slack answered {method}") from problem
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as problem:
            # How the SDK fails on an answer that is no JSON object.
            raise self._unanswered("broken_answer", f"What answered {method} is not Slack") from problem

    def _note_clock(self, headers: Mapping[str, str]) -> None:
        told = headers.get("Date")
        if told == self._told or told is None:
            return
        self._told = told
        with contextlib.suppress(ValueError):
            self._ahead = max(0.0, time.time() - parsedate_to_datetime(told).timestamp())

    def _unanswered(self, code: str, message: str) -> Transient | Uncertain:
        """Whether it may have happened is a matter of whether anything was sent."""
        if has_left.get():
            return Uncertain(code, message, hint=ADDRESS_HINT)
        return Transient(code, message, hint=ADDRESS_HINT)

    def _learn_parent(self, channel: str, ts: str, parent: str) -> None:
        if len(self._parents) >= PARENTS:
            self._parents.popitem(last=False)
        self._parents[channel, ts] = parent


class _NothingPostedYet:
    """Within it: what goes wrong before a post leaves nothing to look for."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, Uncertain):
            raise Transient(problem.code, problem.message, hint=problem.hint) from problem


_nothing_posted_yet = _NothingPostedYet()
