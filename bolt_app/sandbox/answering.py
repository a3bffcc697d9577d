"""How the sandbox answers one Web API call: token, limits, scopes and arguments first, then the method itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bolt_app.sandbox.grants import Grant, grant_of
from bolt_app.sandbox.methods import method_named
from bolt_app.sandbox.state import SlackState
from bolt_app.sandbox.web_call import Client, LimitedError, Method, RefusalError, TokenKind, WebCall, check_errors


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back to the caller."""

    body: dict[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def error(self) -> str | None:
        """The error code, or None if it worked."""
        return None if self.body.get("ok") else str(self.body.get("error"))


@dataclass(frozen=True, kw_only=True)
class Received:
    """A call as it came in over HTTP."""

    name: str
    # From query and form.
    fields: Mapping[str, Any]
    # From a JSON body.
    json_fields: Mapping[str, Any]
    token: str | None
    host: str
    # From HTTP Basic or the form.
    client: Client = field(default_factory=Client)
    # A problem with the request itself, found while it was read.
    error: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """All that was sent, wherever it stood."""
        return {**self.fields, **self.json_fields}


def answer(state: SlackState, received: Received, new_ticket: Callable[[], str]) -> Answer:
    """Does what was asked, or says why not."""
    method = method_named(received.name)
    if method is None:
        return refused("unknown_method", req_method=received.name)
    if received.error is not None:
        return refused(received.error)
    warnings = list(received.warnings)
    if state.token_error is not None and received.token and method.token != "none":  # noqa: S105
        # Set by whoever plays with the sandbox, so it may be a code the sandbox itself never gives.
        return refused(state.token_error)
    grant: Grant | None = None
    headers: Mapping[str, str] = {}
    try:
        token, grant = _authenticate(state, received.token, method)
        headers = _scope_headers(method, token, grant)
        if state.limits is not None:
            wait = state.limits.refuse_call(method.name, method.tier, state.clock())
            if wait is not None:
                raise LimitedError(wait)
        _check_scopes(method, grant)
        # Slack ignores a JSON body where a method is not documented to take one.
        arguments = received.arguments if method.takes_json else dict(received.fields)
        _check_required(method, arguments)
        call = WebCall(
            state=state.inside(grant.workspace.id) if grant else state,
            served=state,
            method=method,
            arguments=arguments,
            token=token,
            grant=grant,
            client=received.client,
            warnings=warnings,
            host=received.host,
            new_ticket=new_ticket,
        )
        body = {"ok": True, **method.does(call)}
    except RefusalError as refusal:
        return refused(check_errors(method, refusal.code), headers=headers, **refusal.more)
    except LimitedError as limited:
        return rate_limited(limited.retry_after)
    if warnings:
        body["warning"] = ",".join(warnings)
        body["response_metadata"] = {**body.get("response_metadata", {}), "warnings": warnings}
    return Answer(body=body, headers=headers)


def refused(code: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
    """An answer that says no."""
    return Answer(body={"ok": False, "error": code, **more}, headers=headers or {})


def rate_limited(retry_after: int) -> Answer:
    """An answer that says later."""
    return Answer(body={"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": str(retry_after)})


def _authenticate(state: SlackState, token: str | None, method: Method) -> tuple[TokenKind, Grant | None]:
    if method.token == "none":  # noqa: S105
        return "none", None
    if not token:
        raise RefusalError("not_authed")
    grant = grant_of(state, token)
    if grant is None and token != state.app_token:
        ended = state.ended_tokens.get(token)
        raise RefusalError("invalid_auth" if ended is None else ended.error)
    kind: TokenKind = "app" if grant is None else "bot"
    if kind != method.token and method.name != "auth.test":
        raise RefusalError("not_allowed_token_type")
    return kind, grant


def _check_scopes(method: Method, grant: Grant | None) -> None:
    if grant is not None and method.scopes and not grant.scopes.intersection(method.scopes):
        raise RefusalError("missing_scope", needed=",".join(method.scopes), provided=",".join(sorted(grant.scopes)))


def _check_required(method: Method, arguments: Mapping[str, Any]) -> None:
    missing = [name for name in method.required if arguments.get(name) in (None, "")]
    if missing:
        messages = [f"[ERROR] missing required field: {name}" for name in missing]
        raise RefusalError("invalid_arguments", response_metadata={"messages": messages})


def _scope_headers(method: Method, token: TokenKind, grant: Grant | None) -> dict[str, str]:
    if token == "none":  # noqa: S105
        return {}
    headers = {"x-oauth-scopes": ",".join(sorted(grant.scopes)) if grant else "connections:write"}
    if method.scopes:
        headers["x-accepted-oauth-scopes"] = ",".join(method.scopes)
    return headers
