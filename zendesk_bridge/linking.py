"""Connects the Zendesk account: by an admin's consent, or by the OAuth client alone; and makes the webhook."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.client import MANAGING_SCOPE, SCOPE, ZendeskClient
from zendesk_bridge.connections import Connections
from zendesk_bridge.flows.catalog import Identity
from zendesk_bridge.flows.errors import ConnectorError, Permanent, Uncertain
from zendesk_bridge.flows.model import rfc3339, utc_now
from zendesk_bridge.subscription import Subscription
from zendesk_bridge.tokens import READING, StoredTokens, authorize_address, lacks, new_verifier
from zendesk_bridge.zendesk_errors import credentials

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Linked:
    """A connected account, for people to see."""

    account: str
    connected_by: str
    scopes: list[str]
    # What was done about the webhook, or why nothing was.
    webhook: list[str]
    # What the admin may do by hand instead; empty where nothing is to be done.
    clicks: list[str]

    def as_json(self) -> dict[str, Any]:
        """The same, as a command answers it."""
        return {"service": "zendesk", **vars(self)}


class Linking:
    """Connects and disconnects the account."""

    def __init__(
        self,
        settings: ZendeskSettings,
        client: ZendeskClient,
        tokens: StoredTokens,
        subscription: Subscription,
        connections: Connections,
        public_url: str | None,
    ) -> None:
        self._settings = settings
        self._client = client
        self._tokens = tokens
        self._subscription = subscription
        self._connections = connections
        #: What an admin is asked to consent to: reading, and the webhook where it can be made.
        self.scope = MANAGING_SCOPE if public_url else SCOPE

    @property
    def needs_consent(self) -> bool:
        """Whether somebody has to consent in a browser."""
        return self._settings.needs_consent

    @property
    def account(self) -> str:
        """The account's address, for people."""
        return self._settings.agent_base

    def address(self, *, redirect: str, state: str) -> tuple[str, str]:
        """The page at Zendesk that asks for consent, and the secret of PKCE that `finish` needs."""
        verifier = new_verifier()
        asked = authorize_address(self._settings, redirect=redirect, scope=self.scope, state=state, verifier=verifier)
        return asked, verifier

    async def look(self) -> None:
        """Raises ConnectorError where there is no Zendesk at the address that is set."""
        try:
            await self._client.visit()
        except (Permanent, Uncertain) as problem:
            if problem.code not in ("unexpected_answer", "not_found", "invalid_endpoint", "forbidden"):
                raise
            raise ConnectorError(
                "no_account",
                f"There is no Zendesk account at {self._settings.base}",
                hint="Check ZENDESK_SUBDOMAIN: `acme` where your Zendesk is acme.zendesk.com.",
            ) from problem

    async def finish(self, code: str, *, verifier: str, redirect: str) -> Linked:
        """Takes the code that a consent gave. Nothing is kept before it is seen to work. Raises ConnectorError."""
        pair = await self._client.exchange(
            code, verifier=verifier, redirect=redirect, connected_at=rfc3339(utc_now()), asked=self.scope
        )
        missing = lacks(pair.scope, READING)
        try:
            if missing:
                raise credentials(
                    "scope_not_granted", f"Zendesk granted {pair.scope!r}, which lacks {', '.join(missing)}"
                )
            identity = await self._client.identity_with(pair)
        except ConnectorError:
            with contextlib.suppress(ConnectorError):
                await self._client.revoke(pair)
            raise
        try:
            async with self._client.without_renewals():
                old = await self._tokens.peek(self._settings)
                await self._tokens.save(pair)
                self._client.forget_token()
        except ConnectorError:
            with contextlib.suppress(ConnectorError):
                await self._client.revoke(pair)
            raise
        if old is not None:
            with contextlib.suppress(ConnectorError):
                await self._client.revoke(old)
        log.info("Zendesk: connected to %s as %s", identity.account, identity.connected_by)
        await self._connections.check("zendesk")
        return await self._linked(identity)

    async def connect(self) -> Linked:
        """Connects by what the settings have, without anybody's consent. Raises ConnectorError."""
        identity = await self._client.identity()
        await self._connections.check("zendesk")
        return await self._linked(identity)

    async def _linked(self, identity: Identity) -> Linked:
        clicks: list[str] = []
        try:
            webhook = await self._subscription.ensure()
        except ConnectorError as problem:
            log.warning("the webhook at Zendesk was not made: %s", problem.message)
            webhook = [f"{problem.message}. {problem.hint}".strip()]
            clicks = [] if problem.code == "test_failed" else self._subscription.clicks()
        return Linked(
            account=identity.account,
            connected_by=identity.connected_by,
            scopes=identity.scopes,
            webhook=webhook,
            clicks=clicks,
        )

    async def disconnect(self) -> list[str]:
        """Removes what was made at Zendesk, and forgets the tokens; returns what was done. Raises ConnectorError."""
        done = []
        try:
            done += await self._subscription.remove()
        except ConnectorError as problem:
            made = f"the webhook could not be removed ({problem.message}): remove “Zendesk Connector” in Admin Center"
            log.warning("%s", made)
            done.append(made)
            await self._subscription.forget()
        if self.needs_consent:
            with contextlib.suppress(ConnectorError):
                await self._client.revoke()
                done.append("the tokens were revoked")
            await self._tokens.drop()
            self._client.forget_token()
            await self._connections.forget("zendesk")
        else:
            done.append("the account stays connected: its settings are in the environment")
        return done
