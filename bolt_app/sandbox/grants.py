"""What an app may do where: workspaces, the consent somebody gave there, and the token that came of it."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bolt_app.sandbox.people import BOT_ID, BOT_USER_ID, TEAM_DOMAIN, TEAM_ID, TEAM_NAME

if TYPE_CHECKING:
    from bolt_app.sandbox.state import SlackState

HERE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A workspace the app can be installed in."""

    id: str
    name: str
    domain: str
    # The app's bot is another user in each workspace.
    bot_user_id: str
    bot_id: str

    @property
    def url(self) -> str:
        """Where its people find it."""
        return f"https://{self.domain}.slack.com/"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A bot token, and what may be done with it."""

    token: str
    workspace: Workspace
    scopes: frozenset[str]
    # Whoever consented, by the id they have in that workspace.
    user: str


@dataclass(kw_only=True)
class Code:
    """What the app gets when somebody has consented, to be changed into a token."""

    client_id: str
    # As it was in the request; None if the app left it to Slack.
    redirect_uri: str | None
    workspace: Workspace
    scopes: frozenset[str]
    user: str
    at: float
    used: bool = False


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A token that was good once."""

    workspace: Workspace
    # What Slack answers to it.
    error: str


SANDBOX = Workspace(id=TEAM_ID, name=TEAM_NAME, domain=TEAM_DOMAIN, bot_user_id=BOT_USER_ID, bot_id=BOT_ID)


def workspaces(state: SlackState) -> list[Workspace]:
    """Where the app can be installed; the sandbox's own workspace comes first."""
    return [SANDBOX, *(_elsewhere(team_id, name) for team_id, name in state.other_workspaces)]


def _elsewhere(team_id: str, name: str) -> Workspace:
    rest = team_id[1:]
    domain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or team_id.lower()
    return Workspace(id=team_id, name=name, domain=domain, bot_user_id=f"UB{rest}", bot_id=f"BB{rest}")


def grant_of(state: SlackState, token: str) -> Grant | None:
    """What a token is good for; None if it is no bot token of the app's."""
    if token in state.tokens:
        return state.tokens[token]
    if token != state.bot_token or token in state.ended_tokens or state.requires_install:
        return None
    return Grant(token=token, workspace=SANDBOX, scopes=frozenset(state.bot_scopes), user=state.consenting_user)


def redirect_allowed(state: SlackState, uri: str) -> bool:
    """Whether Slack would send people back to that address.

    Slack demands https. Plain http is let through to this machine, since apps under test listen there. Slack takes
    addresses below a registered one too; here they have to be the same.
    https://docs.slack.dev/authentication/installing-with-oauth
    """
    if state.redirect_urls and uri not in state.redirect_urls:
        return False
    try:
        address = urlsplit(uri)
    except ValueError:
        return False
    schemes = ("https", "http") if address.hostname in HERE else ("https",)
    return bool(address.hostname) and not address.fragment and address.scheme in schemes


def issue_code(state: SlackState, workspace: Workspace, asked: frozenset[str], redirect_uri: str | None) -> str:
    """Somebody consents, to all but the declined scopes; the code that the app is told."""
    code = f"{secrets.randbelow(10**10):010d}.{secrets.randbelow(10**13):013d}.{secrets.token_hex(32)}"
    state.codes[code] = Code(
        client_id=state.client_id,
        redirect_uri=redirect_uri,
        workspace=workspace,
        scopes=asked - state.declined_scopes,
        # People have another id in each workspace.
        user=state.consenting_user if workspace.id == TEAM_ID else f"UP{workspace.id[1:]}",
        at=state.clock(),
    )
    return code
