"""Talks to Zendesk. The only module that imports zenpy, and the only place where a blocking call is made."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from zenpy import Zenpy
from zenpy.lib.exception import ZenpyException

from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.flows.catalog import Identity
from zendesk_bridge.flows.errors import ConnectorError, Credentials, Permanent, Transient, Uncertain
from zendesk_bridge.flows.model import from_json
from zendesk_bridge.pacing import ZendeskPacing, lane_of
from zendesk_bridge.session import AUTHORIZATION, THREADS, TOTAL_SECONDS, Session
from zendesk_bridge.tokens import (
    MANAGING,
    READING,
    Pair,
    StoredTokens,
    lacks,
    lifetime_of,
    pair_from,
    renewed_after,
)
from zendesk_bridge.zendesk_errors import TOKEN_PATH, credentials

log = logging.getLogger(__name__)

T = TypeVar("T")

#: What the connector asks Zendesk for to read, and to make its webhook.
SCOPE = "read"
MANAGING_SCOPE = " ".join((SCOPE, *MANAGING))
#: What is sent beside tickets. https://developer.zendesk.com/documentation/ticketing/using-the-zendesk-api/side_loading/
COMPANY = "users,organizations,metric_sets"
EVENTS_PATH = "/api/v2/incremental/ticket_events.json"


@dataclass(frozen=True, kw_only=True)
class _Token:
    header: str = field(repr=False)
    # By the clock that nobody sets.
    renew_at: float
    # Where it is of such.
    pair: Pair | None = field(default=None, repr=False)


class ZendeskClient:
    """An account at Zendesk. Every method may raise Transient, Uncertain, Permanent or Credentials."""

    def __init__(
        self,
        settings: ZendeskSettings,
        *,
        observe: Callable[[str, str], None] = lambda endpoint, outcome: None,
        stored: StoredTokens | None = None,
    ) -> None:
        """
        Args:
            stored: where the tokens are that an admin's consent gave.
        """
        self.settings = settings
        self._stored = stored
        self.pacing = ZendeskPacing()
        self._session = Session(settings, observe, self.pacing)
        self._zenpy = Zenpy(subdomain=self._session.subdomain, session=self._session, timeout=TOTAL_SECONDS)
        self._zenpy.disable_caching()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="zendesk")
        self._turns = asyncio.Semaphore(THREADS)
        self._token: _Token | None = None
        # What the webhook is managed with, where the client authenticates by itself.
        self._managing: _Token | None = None
        self._renewal = asyncio.Lock()
        self._obtaining: asyncio.Task[_Token] | None = None
        # When a token was last asked for in vain, and why.
        self._refused: tuple[float, ConnectorError] | None = None
        #: The scope that Zendesk granted; None where it does not say.
        self.granted: str | None = None

    async def close(self) -> None:
        """Ends the threads and connections."""
        self.pacing.scheduler.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    async def ticket(self, ticket_id: str) -> dict[str, Any]:
        """`GET /api/v2/tickets/{id}` with its people, organization and metric set beside it: the whole answer."""
        return await self._get(f"/api/v2/tickets/{_number(ticket_id)}.json", {"include": COMPANY})

    async def show_tickets(self, ticket_ids: Sequence[str]) -> dict[str, Any]:
        """`GET /api/v2/tickets/show_many` for 100 ids at most, with the same beside them: the whole answer.

        Tickets that are not there are left out.
        https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/#show-multiple-tickets
        """
        asked = {"ids": _numbers(ticket_ids), "include": COMPANY}
        answer = await self._get("/api/v2/tickets/show_many.json", asked)
        _list_of(answer, "tickets")
        return answer

    async def ticket_metrics(self, ticket_id: str) -> dict[str, Any]:
        """`GET /api/v2/tickets/{id}/metrics`: the metric set of a ticket."""
        return _part(await self._get(f"/api/v2/tickets/{_number(ticket_id)}/metrics.json"), "ticket_metric")

    async def comments(self, ticket_id: str, *, size: int, after: str | None = None) -> dict[str, Any]:
        """`GET /api/v2/tickets/{id}/comments`, newest first, with who wrote them beside them: one page, whole.

        Args:
            size: how many, 100 at most.
            after: the page before's `meta.after_cursor`.
        """
        asked = {"sort": "-created_at", "include": "users", "page[size]": str(size)}
        if after is not None:
            asked["page[after]"] = after
        return await self._get(f"/api/v2/tickets/{_number(ticket_id)}/comments.json", asked)

    async def user(self, user_id: str) -> dict[str, Any]:
        """`GET /api/v2/users/{id}`: the user."""
        return _part(await self._get(f"/api/v2/users/{_number(user_id)}.json"), "user")

    async def organization(self, organization_id: str) -> dict[str, Any]:
        """`GET /api/v2/organizations/{id}`: the organization."""
        return _part(await self._get(f"/api/v2/organizations/{_number(organization_id)}.json"), "organization")

    async def tickets(self, ticket_ids: Sequence[str]) -> list[dict[str, Any]]:
        """`GET /api/v2/tickets/show_many` for 100 ids at most: the tickets there are, in any order.

        https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/#show-multiple-tickets
        """
        return await self._show_many("tickets", ticket_ids)

    async def show_users(self, user_ids: Sequence[str]) -> list[dict[str, Any]]:
        """`GET /api/v2/users/show_many` for 100 ids at most: the users there are, in any order."""
        return await self._show_many("users", user_ids)

    async def show_organizations(self, organization_ids: Sequence[str]) -> list[dict[str, Any]]:
        """`GET /api/v2/organizations/show_many` for 100 ids at most: the organizations there are, in any order."""
        return await self._show_many("organizations", organization_ids)

    async def _show_many(self, kind: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        return _list_of(await self._get(f"/api/v2/{kind}/show_many.json", {"ids": _numbers(ids)}), kind)

    async def ticket_events(self, start_time: int, *, ai_agents: bool = False) -> dict[str, Any]:
        """`GET /api/v2/incremental/ticket_events`: one page of what was done to tickets since a time. Admins only.

        Args:
            start_time: seconds since 1970, more than a minute ago; else Transient `too_recent`.
            ai_agents: also tickets that an AI agent handles.

        https://developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports/
        """
        try:
            if ai_agents:  # zenpy cannot ask for those
                return await self._get(EVENTS_PATH, {"start_time": str(start_time), "support_type_scope": "all"})
            return await self._authorized(lambda: self._events(start_time), lane_of("GET", EVENTS_PATH))
        except Permanent as problem:
            if "toorecent" in problem.message.replace(" ", "").lower():
                raise Transient("too_recent", problem.message, hint="Check this machine's clock.") from problem
            raise

    def _events(self, start_time: int) -> dict[str, Any]:
        try:
            # The page alone: zenpy's way to the next one stops five minutes before now, and counts in local time.
            page: dict[str, Any] = self._zenpy.tickets.events(start_time=start_time)._response_json
        except (ZenpyException, AttributeError, LookupError, TypeError, ValueError) as problem:
            raise Uncertain("unexpected_answer", "Zendesk answered without ticket events") from problem
        return page

    async def identity(self) -> Identity:
        """Who the connector is at Zendesk. Raises Credentials where Zendesk answers as to an anonymous visitor."""
        user = await self._authorized(self._me)
        return self._identity_of(user, self.granted or "")

    def _identity_of(self, user: Any, scope: str) -> Identity:
        if not user.id:
            raise credentials("anonymous", "Zendesk took the connector for an anonymous visitor")
        return Identity(
            account=urlsplit(self.settings.agent_base).netloc,
            connected_by=str(user.email or user.name or user.id),
            scopes=scope.split(),
        )

    def _me(self) -> Any:
        try:
            user = self._zenpy.users.me()
            if not hasattr(user, "id"):  # zenpy hands on what is no JSON
                raise ValueError("no user")
            return user
        except (ZenpyException, AttributeError, LookupError, TypeError, ValueError) as problem:
            raise Uncertain("unexpected_answer", "Zendesk did not say who the connector is") from problem

    async def _get(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One GET, its JSON object as the answer."""
        lane = lane_of("GET", path)
        return await self._authorized(lambda: _json_object(self._session.read(path, parameters or {})), lane)

    async def _authorized(self, work: Callable[[], T], lane: str | None = None) -> T:
        """Runs a call off the event loop, paced, with a good token; after a 401 once more with a new one.

        Args:
            lane: the call's lane, as `lane_of` says.
        """
        if not self.settings.connected:
            raise Credentials(
                "not_connected",
                "Zendesk is not connected yet",
                service="zendesk",
                hint="Set ZENDESK_SUBDOMAIN and ZENDESK_CLIENT_ID, and restart.",
            )
        token = await self._current()
        try:
            async with self.pacing.paced(lane):
                return await self._in_thread(work)
        except Credentials:
            if not self._renewable:
                raise
        await self._current(instead_of=token)
        async with self.pacing.paced(lane):
            return await self._in_thread(work)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Runs a blocking call off the event loop, for ten seconds at most."""
        try:
            async with self._turns, asyncio.timeout(TOTAL_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work)
        except TimeoutError as problem:
            raise Uncertain("timeout", f"Zendesk did not answer within {TOTAL_SECONDS:.0f} s") from problem

    @property
    def _renewable(self) -> bool:
        return self.settings.has_own_rights or self.settings.needs_consent

    async def _current(self, instead_of: _Token | None = None) -> _Token:
        """A token that is good for a while; renewed once for everybody who needs it."""
        token = self._token
        if token is not None and token is not instead_of and time.monotonic() < token.renew_at:
            return token
        asked = time.monotonic()
        async with self._renewal:
            if self._refused is not None and self._refused[0] >= asked:
                raise self._refused[1]  # while this one waited, another tried in vain
            token = self._token
            if token is not None and token is not instead_of and time.monotonic() < token.renew_at:
                return token
            try:
                token = self._token = await self._obtain_to_the_end(instead_of is not None)
            except ConnectorError as problem:
                self._refused = (time.monotonic(), problem)
                raise
            self._session.authorization = token.header
            return token

    async def _obtain_to_the_end(self, refused: bool) -> _Token:
        """Goes on also where its caller gives up: Zendesk's answer to a renewal is the only copy."""
        if self._obtaining is None or self._obtaining.done():
            self._obtaining = asyncio.create_task(self._obtain(refused))
            self._obtaining.add_done_callback(_seen)
        return await asyncio.shield(self._obtaining)

    async def settle(self) -> None:
        """Waits for a renewal under way."""
        if self._obtaining is not None:
            await asyncio.gather(self._obtaining, return_exceptions=True)

    @asynccontextmanager
    async def without_renewals(self) -> AsyncGenerator[None]:
        """Within it no renewal is under way."""
        async with self._renewal:
            await self.settle()
            yield

    def forget_token(self) -> None:
        """Goes on with another token: the account was connected anew, or disconnected."""
        self._token = self._managing = self._refused = self.granted = None
        self._session.authorization = None

    async def keep_fresh(self) -> None:
        """Renews the tokens of a consent before they expire, for as long as it runs: idle ones would die unnoticed."""
        while True:
            pause = 60.0
            with contextlib.suppress(ConnectorError):
                if self.settings.needs_consent:
                    pause = (await self._current()).renew_at - time.monotonic()
            await asyncio.sleep(min(max(pause, 1.0), 60.0))

    async def exchange(self, code: str, *, verifier: str, redirect: str, connected_at: str, asked: str) -> Pair:
        """The tokens for the code that a consent gave. https://developer.zendesk.com/api-reference/ticketing/oauth/"""
        body = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": redirect}
        return pair_from(await self._ask_for_token(body), self.settings, connected_at, asked)

    async def identity_with(self, pair: Pair) -> Identity:
        """Who these tokens are good for, before they are used for anything else."""

        def work() -> Any:
            AUTHORIZATION.set(f"Bearer {pair.access}")
            return self._me()

        return self._identity_of(await self._in_thread(work), pair.scope)

    async def revoke(self, pair: Pair | None = None) -> None:
        """Ends tokens; those in use where none are given.

        https://developer.zendesk.com/api-reference/ticketing/oauth/oauth_tokens/
        """
        header = f"Bearer {pair.access}" if pair else None

        def work() -> None:
            AUTHORIZATION.set(header)
            self._session.delete(f"{self._session.own}/api/v2/oauth/tokens/current.json")

        await (self._in_thread(work) if pair else self._authorized(work))

    async def visit(self) -> None:
        """Asks without any credentials: whether there is a Zendesk at all."""
        await self._in_thread(
            lambda: _json_object(self._session.get(f"{self._session.own}/api/v2/users/me.json", auth=_nobody))
        )

    async def manage(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A call that manages webhooks and triggers, with the rights for it; an empty answer is {}."""
        try:
            return await self._manage(verb, path, body)
        except Credentials:
            if self._managing is None:
                raise
        self._managing = None  # it was ended at Zendesk
        return await self._manage(verb, path, body)

    async def _manage(self, verb: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        header = await self._managing_header()

        def work() -> dict[str, Any]:
            AUTHORIZATION.set(header)
            response = self._session.request(verb, self._session.own + path, json=body)
            return _json_object(response) if response.content else {}

        return await self._authorized(work, lane_of(verb, path))

    async def _managing_header(self) -> str | None:
        """What to authenticate with beyond the usual; None where the usual token will do."""
        if not self.settings.has_own_rights:
            return None
        token = self._managing
        if token is None or time.monotonic() >= token.renew_at:
            answer = await self._ask_for_token({"grant_type": "client_credentials", "scope": MANAGING_SCOPE})
            token = self._managing = _token_in(answer)
        return token.header

    async def _ask_for_token(self, body: Mapping[str, str]) -> dict[str, Any]:
        settings = self.settings
        asked = {**body, "client_id": settings.client_id or ""}
        if settings.client_secret is not None:
            asked["client_secret"] = settings.client_secret.get_secret_value()
        return await self._in_thread(
            lambda: _json_object(self._session.post(self._session.own + TOKEN_PATH, json=asked))
        )

    async def _obtain(self, refused: bool) -> _Token:
        settings = self.settings
        if settings.oauth_token:
            return _Token(header=f"Bearer {settings.oauth_token.get_secret_value()}", renew_at=float("inf"))
        if settings.needs_consent:
            return await self._of_consent(refused)
        if not settings.has_own_rights:
            assert settings.api_token is not None
            pair = f"{settings.email}/token:{settings.api_token.get_secret_value()}"
            return _Token(header=f"Basic {b64encode(pair.encode()).decode()}", renew_at=float("inf"))
        answer = await self._ask_for_token({"grant_type": "client_credentials", "scope": SCOPE})
        token = _token_in(answer)
        self._note_scope(str(answer.get("scope") or SCOPE))
        return token

    def _note_scope(self, granted: str) -> None:
        self.granted = granted
        missing = lacks(granted, READING)
        if missing:
            raise credentials(
                "scope_not_granted", f"Zendesk granted the scope {granted!r}, which lacks {', '.join(missing)}"
            )

    async def _of_consent(self, refused: bool) -> _Token:
        """The stored token, renewed where that is due."""
        if self._stored is None:
            raise Credentials("not_connected", "Zendesk is not connected yet", service="zendesk")
        used = self._token.pair if self._token is not None else None
        pair = await self._stored.current(self.settings, self._ask_for_token, used, refused=refused)
        self._note_scope(pair.scope)
        left = max(pair.renew_at - time.time(), 1.0)
        return _Token(header=f"Bearer {pair.access}", renew_at=time.monotonic() + left, pair=pair)


def _seen(task: asyncio.Task[Any]) -> None:
    """Whoever asked may be gone; asyncio complains about errors nobody saw."""
    if not task.cancelled():
        task.exception()


def _token_in(answer: Mapping[str, Any]) -> _Token:
    access = answer.get("access_token")
    if not isinstance(access, str) or not access:
        raise Uncertain("no_token", "Zendesk answered without an access token")
    return _Token(header=f"Bearer {access}", renew_at=time.monotonic() + renewed_after(lifetime_of(answer)))


def _nobody(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authenticates as nobody, where the session would as somebody."""
    return prepared


def _number(value: str) -> str:
    if not value.isdigit():
        raise Permanent("invalid_id", f"{value[:40]!r} is no Zendesk id", hint="Zendesk ids are whole numbers.")
    return value


def _numbers(values: Sequence[str]) -> str:
    return ",".join(_number(each) for each in values)


def _list_of(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    listed = answer.get(name)
    if not isinstance(listed, list):
        raise Uncertain("unexpected_answer", f"Zendesk answered without {name!r}")
    return [each for each in listed if isinstance(each, dict)]


def _part(answer: dict[str, Any], name: str) -> dict[str, Any]:
    part = answer.get(name)
    if not isinstance(part, dict):
        raise Uncertain("unexpected_answer", f"Zendesk answered without {name!r}")
    return part


def _json_object(response: requests.Response) -> dict[str, Any]:
    try:
        answer = from_json(response.content)
    except (ValueError, RecursionError) as problem:
        raise Uncertain("unexpected_answer", "Zendesk's answer is no JSON") from problem
    if not isinstance(answer, dict):
        raise Uncertain("unexpected_answer", "Zendesk's answer is no JSON object")
    return answer
