"""The app's installation in a workspace: connected over OAuth, kept encrypted, pinned to the first workspace."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from logging import Logger
from typing import Any
from urllib.parse import urlencode, urlsplit

from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bolt_app.client import SlackClient
from bolt_app.scopes import missing, scopes
from bolt_app.settings import Settings
from zendesk_bridge.bridge import Bridge, Vault
from zendesk_bridge.flows.errors import ConnectorError, Credentials, Permanent, StorageError, Transient, Uncertain

log = logging.getLogger(__name__)

#: The name in the vault.
NAME = "slack"
CONNECT = "Run `zendesk-connector connections connect slack`."
AGAIN = "Try again in a while: `zendesk-connector connections connect slack` makes a new link."
#: What to do where Slack does not take the code, by its code.
EXCHANGE_HINTS = {
    "bad_client_secret": "Set SLACK_CLIENT_SECRET to what Basic Information > App Credentials has, and restart.",
    "invalid_client_id": "Set SLACK_CLIENT_ID to what Basic Information > App Credentials has, and restart.",
    "bad_redirect_uri": "Add {redirect} under OAuth & Permissions > Redirect URLs, and connect again.",
    "invalid_code": f"The consent took too long, or was used already. {CONNECT}",
    "code_already_used": f"The consent was used already. {CONNECT}",
}
#: Under which name an installation has who made it.
BY = "connected_by"
#: What is remembered of a workspace, and wrong in another.
REMEMBERED = ("slack_user", "slack_dm", "slack_channel", "home_viewer")


class InstallationStore(AsyncInstallationStore):
    """The one installation there is, in the vault: encrypted, in the connector's own database.

    https://docs.slack.dev/tools/python-slack-sdk/oauth
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    @property
    def logger(self) -> Logger:
        """Where the SDK logs."""
        return log

    async def async_save(self, installation: Installation) -> None:
        """Keeps the installation; it is on disk when this returns."""
        await self._vault.put(NAME, _plain(installation.to_dict()))

    async def async_save_bot(self, bot: Bot) -> None:
        """A bot alone is no installation: `async_save` keeps it as well."""

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """The installation of a workspace."""
        found = await self.current()
        return found if found is not None and found.team_id == team_id else None

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        """The bot of a workspace."""
        found = await self.async_find_installation(enterprise_id=enterprise_id, team_id=team_id)
        return found.to_bot() if found is not None else None

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Part of `async_delete_installation`."""

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Forgets the installation of a workspace."""
        if await self.async_find_installation(enterprise_id=enterprise_id, team_id=team_id) is not None:
            await self._vault.drop(NAME)

    async def current(self) -> Installation | None:
        """The installation, whichever workspace it is of. Raises ConnectorError."""
        value = await self._vault.get(NAME)
        if not value:
            return None
        by = value.pop(BY, None)  # the SDK writes custom values among the others
        try:
            return Installation(**value, custom_values={BY: by} if by else {})
        except TypeError:
            log.warning("what is kept of the Slack connection is of another version of the SDK: connect anew")
            return None


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What a consent led to, for people to see."""

    account: str
    connected_by: str
    scopes: list[str]
    missing: list[str]
    # The titles of the actions that flows have now.
    actions: list[str]

    def as_json(self) -> dict[str, Any]:
        """The same, as a command answers it."""
        return {"service": "slack", **vars(self)}


class Installer:
    """Installs the app, takes it out, and knows whose token is in use."""

    def __init__(self, settings: Settings, slack: SlackClient, bridge: Bridge) -> None:
        self._settings = settings
        self._slack = slack
        self._bridge = bridge
        self.store = InstallationStore(bridge.vault)
        #: Who installed it; None where the token is a setting.
        self.connected_by: str | None = None
        # One at a time: the first workspace is pinned, and no token is forgotten.
        self._turn = asyncio.Lock()

    @property
    def is_possible(self) -> bool:
        """Whether the settings allow it: a client, and no token that wins over it."""
        has_client = self._settings.slack_client_id and self._settings.slack_client_secret
        return bool(has_client) and self._settings.slack_bot_token is None

    def check(self) -> None:
        """Raises ConnectorError where the settings do not allow it."""
        if self._settings.slack_bot_token is not None:
            raise ConnectorError(
                "token_is_set",
                "SLACK_BOT_TOKEN is set, and wins over a connection made in the browser",
                hint="Take it out of the settings and restart to connect over OAuth.",
            )
        if not self.is_possible:
            raise ConnectorError(
                "no_client",
                "SLACK_CLIENT_ID and SLACK_CLIENT_SECRET are not set",
                hint="Basic Information > App Credentials in the Slack app's settings has both.",
            )

    @property
    def scopes(self) -> dict[str, str]:
        """What is asked for, and why."""
        return scopes(joins=self._settings.connector_join_public_channels)

    @property
    def home(self) -> str:
        """Where consent is asked for: scheme and host."""
        address = urlsplit(self._settings.slack_api_url)
        return f"{address.scheme}://{address.netloc}"

    def address(self, *, redirect: str, state: str) -> str:
        """The page at Slack that asks for consent. https://docs.slack.dev/authentication/installing-with-oauth"""
        asked = {
            "client_id": self._settings.slack_client_id or "",
            "scope": ",".join(self.scopes),
            "redirect_uri": redirect,
            "state": state,
        }
        return f"{self.home}/oauth/v2/authorize?{urlencode(asked)}"

    async def load(self) -> None:
        """Goes on with the installation that is kept, unless the settings have a token.

        Raises Credentials where it cannot be decrypted; StorageError.
        """
        if self._settings.slack_bot_token is not None:
            return
        try:
            found = await self.store.current()
        except StorageError:
            raise
        except ConnectorError as problem:  # the key is another
            raise Credentials(problem.code, problem.message, service="slack", hint=problem.hint) from problem
        self._slack.use_token(found.bot_token if found else None)
        self.connected_by = _by(found) if found else None

    async def finish(self, code: str, *, redirect: str) -> Installed:
        """Takes the code that a consent gave. Nothing is kept before it is seen to work. Raises ConnectorError."""
        async with self._turn:
            installation = await self._install(code, redirect)
        log.info("Slack: connected to %s by %s", installation.team_name, _by(installation))
        await self._bridge.connections.check("slack")
        granted = list(installation.bot_scopes or ())
        return Installed(
            account=str(installation.team_name or installation.team_id),
            connected_by=_by(installation),
            scopes=granted,
            missing=missing(granted, joins=self._settings.connector_join_public_channels),
            actions=[each.title for each in self._bridge.catalog.actions.values() if each.service == "slack"],
        )

    async def _install(self, code: str, redirect: str) -> Installation:
        secret = self._settings.slack_client_secret
        try:
            answer = await self._slack.exchange(
                code,
                client_id=self._settings.slack_client_id or "",
                client_secret=secret.get_secret_value() if secret else "",
                redirect=redirect,
            )
        except ConnectorError as problem:
            hint = EXCHANGE_HINTS.get(problem.code, AGAIN).format(redirect=redirect)
            raise ConnectorError(problem.code, problem.message, hint=hint) from problem
        try:
            installation = await self._checked(answer)
            await self.store.async_save(installation)
        except BaseException as problem:
            await self._give_back(answer.get("access_token"))
            if isinstance(problem, Transient | Uncertain | Credentials | Permanent):  # said of calls that runs make
                raise ConnectorError(problem.code, problem.message, hint=AGAIN) from problem
            raise
        self._slack.use_token(installation.bot_token)
        self.connected_by = _by(installation)
        return installation

    async def _give_back(self, token: object) -> None:
        """Ends a token that is not kept. Installing again gives the one in use once more: that one stays."""
        kept = None
        with contextlib.suppress(ConnectorError):
            kept = await self.store.current()
        if not isinstance(token, str) or not token or token in (self._slack.web.token, kept and kept.bot_token):
            return
        with contextlib.suppress(ConnectorError):
            await self._slack.revoke(token)

    async def _pinned(self) -> Installation | None:
        """The installation that is kept; None where it cannot be decrypted any more."""
        try:
            return await self.store.current()
        except StorageError:
            raise
        except ConnectorError as problem:
            log.warning("%s. Another workspace can be connected.", problem.message)
            return None

    async def _checked(self, answer: AsyncSlackResponse) -> Installation:
        team, token = answer.get("team") or {}, answer.get("access_token")
        installer = answer.get("authed_user") or {}
        if not isinstance(installer, dict) or not isinstance(answer.get("scope") or "", str):
            raise ConnectorError("broken_answer", "Slack's answer to oauth.v2.access is not as documented", hint=AGAIN)
        if answer.get("is_enterprise_install") or not isinstance(team, dict) or not team.get("id"):
            raise ConnectorError(
                "organization",
                "The app was installed for a whole organization",
                hint="Connect again, and choose one workspace on Slack's page.",
            )
        if not isinstance(token, str) or not token:
            raise ConnectorError("no_token", "Slack's answer has no bot token", hint=CONNECT)
        pinned = await self._pinned()
        if pinned is not None and pinned.team_id != team["id"]:
            raise ConnectorError(
                "wrong_workspace",
                f"This connector belongs to the workspace {pinned.team_name or pinned.team_id}, and you chose "
                f"{team.get('name') or team['id']}",
                hint="Connect again and choose that one. To move to another workspace, first run "
                "`zendesk-connector connections disconnect slack`.",
            )
        identity = await self._slack.identity_with(token)
        if identity.team_id != team["id"]:
            raise ConnectorError("wrong_workspace", "Slack's token is of another workspace", hint=CONNECT)
        installation = Installation(
            app_id=answer.get("app_id"),
            team_id=team["id"],
            team_name=team.get("name"),
            bot_token=token,
            bot_id=identity.bot_id,
            bot_user_id=answer.get("bot_user_id") or identity.user_id,
            bot_scopes=str(answer.get("scope") or ""),
            user_id=str(installer.get("id") or ""),
            token_type=answer.get("token_type"),
        )
        with contextlib.suppress(ConnectorError):  # an id will do
            person = await self._slack.person_with(token, installation.user_id)
            installation.set_custom_value(BY, f"{person.real_name or person.display_name} ({person.id})")
        return installation

    async def disconnect(self) -> list[str]:
        """Ends the installation's token and forgets it, and what is remembered of the workspace."""
        if self._settings.slack_bot_token is not None:
            raise ConnectorError(
                "token_is_set",
                "SLACK_BOT_TOKEN is set: there is no stored connection to take out",
                hint="Take it out of the settings and restart.",
            )
        async with self._turn:
            done = await self._forget()
            await self._bridge.memory.forget_all(REMEMBERED)
            self._slack.use_token(None)
            self.connected_by = None
        await self._bridge.connections.forget("slack")
        return done or ["nothing was connected"]

    async def _forget(self) -> list[str]:
        """Ends the token that is kept, and drops it; returns what was done."""
        try:
            found = await self.store.current()
        except StorageError:
            raise
        except ConnectorError as problem:
            await self._bridge.vault.drop(NAME)
            return [f"the token could not be revoked: {problem.message}", "what was kept is forgotten"]
        if found is None:
            return []
        try:
            await self._slack.revoke(found.bot_token or "")
            ended = "the token was revoked"
        except ConnectorError as problem:
            ended = f"the token could not be revoked: {problem.message}"
        await self._bridge.vault.drop(NAME)
        return [ended, f"{found.team_name or found.team_id} is forgotten: another workspace can be connected"]


def _by(installation: Installation) -> str:
    """Who installed it: their name and Slack id, or the id alone."""
    return str(installation.get_custom_value(BY) or installation.user_id)


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold: the SDK keeps times as dates in places."""
    return {name: each.isoformat() if hasattr(each, "isoformat") else each for name, each in value.items()}
