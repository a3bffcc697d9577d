"""The methods with which an app comes into a workspace and leaves it: a code for a token, and the token's end."""

import secrets
from dataclasses import replace
from typing import Any

from bolt_app.sandbox import payloads
from bolt_app.sandbox.grants import Code, Ended, Grant, Workspace, grant_of
from bolt_app.sandbox.people import APP_ID, BOT_USER_ID, TEAM_ID
from bolt_app.sandbox.state import SlackState
from bolt_app.sandbox.web_call import RefusalError, WebCall

CODE_SECONDS = 600


def oauth_access(call: WebCall) -> dict[str, Any]:
    """oauth.v2.access"""
    _check_client(call)
    grant_type = call.text("grant_type") or "authorization_code"
    if grant_type == "refresh_token":
        # The app's tokens do not rotate, so no refresh token is one.
        raise RefusalError("invalid_refresh_token")
    if grant_type != "authorization_code":
        raise RefusalError("invalid_grant_type")
    if call.text("code_verifier"):
        raise RefusalError("pkce_not_allowed")
    grant = _install(call.served, _take_code(call))
    return {
        "access_token": grant.token,
        "token_type": "bot",
        "scope": ",".join(sorted(grant.scopes)),
        "bot_user_id": grant.workspace.bot_user_id,
        "app_id": APP_ID,
        "team": {"id": grant.workspace.id, "name": grant.workspace.name},
        "enterprise": None,
        "authed_user": {"id": grant.user},
        "is_enterprise_install": False,
    }


def revoke(call: WebCall) -> dict[str, Any]:
    """auth.revoke"""
    if call.flag("test"):
        return {"revoked": False}
    _end(call.served, call.granted.workspace, [call.granted.token], "token_revoked")
    return {"revoked": True}


def uninstall(call: WebCall) -> dict[str, Any]:
    """apps.uninstall"""
    _check_client(call)
    workspace = call.granted.workspace
    _end(call.served, workspace, _tokens(call.served, workspace), "account_inactive")
    return {}


def _check_client(call: WebCall) -> None:
    given, state = call.client, call.served
    if given.id != state.client_id:
        raise RefusalError("invalid_client_id")
    if given.secret != state.client_secret:
        raise RefusalError("bad_client_secret")


def _take_code(call: WebCall) -> Code:
    state = call.served
    code = state.codes.get(call.text("code"))
    if code is None or code.client_id != call.client.id:
        raise RefusalError("invalid_code")
    if code.used:
        raise RefusalError("code_already_used")
    # Slack does not say whether a code outlives an attempt that fails after this point.
    code.used = True
    if state.clock() - code.at > CODE_SECONDS:
        raise RefusalError("invalid_code")
    # It has to be sent if, and only if, it was in the first request.
    if (call.text("redirect_uri") or None) != code.redirect_uri:
        raise RefusalError("bad_redirect_uri")
    return code


def _install(state: SlackState, code: Code) -> Grant:
    """One token in each workspace: installed again, it stays the same and has the scopes of both times."""
    team = code.workspace.id
    before = next((grant for grant in state.tokens.values() if grant.workspace.id == team), None)
    # A token of an earlier installation is unknown once there is a new one; bolt-python#1029.
    for token, ended in state.ended_tokens.items():
        if ended.workspace.id == team:
            state.ended_tokens[token] = replace(ended, error="invalid_auth")
    grant = Grant(
        token=before.token if before else f"xoxb-{secrets.randbelow(10**12):012d}-{secrets.token_hex(12)}",
        workspace=code.workspace,
        scopes=code.scopes | (before.scopes if before else frozenset()),
        user=code.user,
    )
    state.tokens[grant.token] = grant
    return grant


def _tokens(state: SlackState, workspace: Workspace) -> list[str]:
    """The app's tokens in a workspace."""
    grants = [grant_of(state, token) for token in (*state.tokens, state.bot_token)]
    return [grant.token for grant in grants if grant is not None and grant.workspace.id == workspace.id]


def _end(state: SlackState, workspace: Workspace, tokens: list[str], error: str) -> None:
    """Tokens end. With the last of them the app is out of the workspace; bolt-js#1347 and #1965."""
    for token in tokens:
        state.tokens.pop(token, None)
        state.ended_tokens[token] = Ended(workspace=workspace, error=error)
    if not _tokens(state, workspace):
        # Slack may send the two in this order; bolt-js#673.
        state.unsent_events.append(payloads.app_uninstalled(state, workspace))
        if workspace.id == TEAM_ID:
            _leave_channels(state)
    state.unsent_events.append(payloads.tokens_revoked(state, workspace))


def _leave_channels(state: SlackState) -> None:
    """The bot is deactivated with its app, and has to be invited again when that comes back."""
    for channel in state.channels.values():
        if channel.has_bot and not channel.is_im:
            channel.members.remove(BOT_USER_ID)
