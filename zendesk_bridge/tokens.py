"""The tokens that an admin's consent gave us at Zendesk, kept so that a renewal never loses them unnoticed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.flows.errors import ConnectorError, Credentials, Locked, StorageError, Transient, Uncertain
from zendesk_bridge.vault import Vault

log = logging.getLogger(__name__)

#: Asks Zendesk for a token; takes what is particular to the grant.
Ask = Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]

#: The name in the vault.
NAME = "zendesk"
#: What reading takes: a token may have the wide scope or the narrow ones.
READING = ("tickets:read", "users:read", "organizations:read")
#: What making the webhook takes besides.
MANAGING = ("webhooks:write", "triggers:write")
AUTHORIZE_PATH = "/oauth/authorizations/new"
#: How often who must not renew looks whether it is done, and for how long; how soon a vain try is repeated. In seconds.
LOOK_EVERY, LOOK_FOR, TRY_AGAIN = 0.25, 5.0, 30.0
CONNECT = "Run `zendesk-connector connections connect zendesk`."


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An access token and the refresh token that gets the next one, once."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    scope: str
    # Unix seconds.
    expires_at: float
    # From when on it is to be renewed.
    renew_at: float
    # The client and the account it belongs to.
    client_id: str
    base: str
    connected_at: str
    # Whether a renewal was begun whose answer is not kept: Zendesk may have deleted this pair.
    is_spent: bool = False

    def fits(self, settings: ZendeskSettings) -> bool:
        """Whether it is of the client and the account that are set."""
        return (self.client_id, self.base) == (settings.client_id, settings.base)


def pair_from(answer: Mapping[str, Any], settings: ZendeskSettings, connected_at: str, asked: str) -> Pair:
    """The pair in an answer of `/oauth/tokens`. Raises Uncertain where there is none."""
    access, refresh = answer.get("access_token"), answer.get("refresh_token")
    if not isinstance(access, str) or not access:
        raise Uncertain("no_token", "Zendesk answered without an access token")
    endless = not refresh and not answer.get("expires_in")
    lifetime = math.inf if endless else lifetime_of(answer)
    now = time.time()
    return Pair(
        access=access,
        refresh=refresh if isinstance(refresh, str) and refresh else None,
        scope=str(answer.get("scope") or asked),
        expires_at=now + lifetime,
        renew_at=now + renewed_after(lifetime),
        client_id=settings.client_id or "",
        base=settings.base,
        connected_at=connected_at,
    )


def lifetime_of(answer: Mapping[str, Any]) -> float:
    """Seconds that a token lives; half an hour where Zendesk does not say."""
    try:
        return float(answer.get("expires_in") or 1800)
    except (TypeError, ValueError):
        return 1800.0


def renewed_after(lifetime: float) -> float:
    """When a token is renewed, so that no call meets an expired one: at 90 %, a minute before at the latest."""
    return max(min(lifetime * 0.9, lifetime - 60), 1)


def lacks(granted: str, needed: tuple[str, ...]) -> list[str]:
    """The scopes that are needed and not granted; `read` and `write` grant each of their kind."""
    have = set(granted.replace(",", " ").split())
    return [each for each in needed if each not in have and each.partition(":")[2] not in have]


def authorize_address(settings: ZendeskSettings, *, redirect: str, scope: str, state: str, verifier: str) -> str:
    """Where an admin is asked for consent. https://datatracker.ietf.org/doc/html/rfc7636"""
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": settings.client_id or "",
        "redirect_uri": redirect,
        "scope": scope,
        "state": state,
        "code_challenge": digest,
        "code_challenge_method": "S256",
    }
    return f"{settings.base}{AUTHORIZE_PATH}?{urlencode(asked)}"


def new_verifier() -> str:
    """A secret of PKCE."""
    return secrets.token_urlsafe(48)


class StoredTokens:
    """The pair in the vault."""

    def __init__(self, vault: Vault, exclusively: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """
        Args:
            exclusively: within it nobody else renews the pair. Raises Locked where another process may.
        """
        self._vault = vault
        self._exclusively = exclusively
        # Renewed, and not kept yet: the database did not take it.
        self._unsaved: Pair | None = None

    async def current(self, settings: ZendeskSettings, ask: Ask, used: Pair | None, *, refused: bool = False) -> Pair:
        """A pair whose access token is good, renewed if that is due. Raises Credentials where it cannot be.

        Args:
            ask: asks for a token; takes what is particular to the grant.
            used: the pair used so far, which is due, or was refused.
        """
        try:
            async with self._exclusively():
                return await self._current(settings, ask, used, refused)
        except Locked:
            return await self._renewed_elsewhere(settings, used)

    async def _current(self, settings: ZendeskSettings, ask: Ask, used: Pair | None, refused: bool) -> Pair:
        if self._unsaved is not None:
            await self.save(self._unsaved)
        pair = await self.load(settings)
        is_due = used is not None and used.access == pair.access
        was_refused = refused and is_due
        if not pair.is_spent and not is_due and time.time() < pair.renew_at:
            return pair
        if pair.refresh is None and not was_refused and time.time() < pair.expires_at:
            return pair
        try:
            return await self._renew(pair, settings, ask)
        except (Transient, Uncertain) as problem:
            if was_refused or time.time() >= pair.expires_at:
                raise
            log.warning("the tokens of the Zendesk connection are renewed later: %s", problem.message)
            return replace(pair, renew_at=time.time() + TRY_AGAIN)

    async def _renew(self, pair: Pair, settings: ZendeskSettings, ask: Ask) -> Pair:
        """Spends the refresh token. Zendesk deletes the old pair: what replaces it is kept before it is used."""
        if pair.refresh is None:
            raise Credentials("expired", "The connection to Zendesk has expired", service="zendesk", hint=CONNECT)
        if not pair.is_spent:
            await self._vault.put(NAME, vars(replace(pair, is_spent=True)))
        try:
            answer = await ask({"grant_type": "refresh_token", "refresh_token": pair.refresh})
        except Credentials as problem:
            what = (
                "The renewal of Zendesk's tokens was interrupted, and the old ones are used up"
                if pair.is_spent
                else f"Zendesk does not renew the tokens of this connection: {problem.message}"
            )
            raise Credentials("reconnect", what, service="zendesk", hint=CONNECT) from problem
        renewed = self._unsaved = pair_from(answer, settings, pair.connected_at, pair.scope)
        await self.save(renewed)
        log.info("the tokens of the Zendesk connection were renewed")
        return renewed

    async def _renewed_elsewhere(self, settings: ZendeskSettings, used: Pair | None) -> Pair:
        """The stored pair where another process renews it."""
        deadline = time.monotonic() + LOOK_FOR
        while True:
            pair = await self.load(settings)
            if time.time() < pair.expires_at and (used is None or used.access != pair.access):
                return pair
            if time.monotonic() >= deadline:
                raise Transient("renewing", "The running connector has not renewed Zendesk's tokens yet")
            await asyncio.sleep(LOOK_EVERY)

    async def load(self, settings: ZendeskSettings) -> Pair:
        """The pair. Raises Credentials where there is none for this client and account; StorageError."""
        try:
            value = await self._vault.get(NAME)
        except StorageError:
            raise
        except ConnectorError as problem:  # the key is another
            raise Credentials(problem.code, problem.message, service="zendesk", hint=problem.hint) from problem
        try:
            pair = Pair(**value) if value else None
        except TypeError:
            pair = None  # of another version
        if pair is None or not pair.fits(settings):
            what = "another account or OAuth client is connected" if pair else "Zendesk is not connected yet"
            raise Credentials("not_connected", what, service="zendesk", hint=CONNECT)
        return pair

    async def peek(self, settings: ZendeskSettings) -> Pair | None:
        """The pair, where there is one."""
        try:
            return await self.load(settings)
        except ConnectorError:
            return None

    async def save(self, pair: Pair) -> None:
        """Keeps a pair; it is on disk when this returns. Raises StorageError."""
        await self._vault.put(NAME, vars(pair))
        self._unsaved = None

    async def drop(self) -> None:
        """Forgets the pair. Raises StorageError."""
        self._unsaved = None
        await self._vault.drop(NAME)
