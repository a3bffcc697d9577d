"""One call of Slack's Web API as a method sees it, how a method refuses it, and what a method declares."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from bolt_app.sandbox.grants import Grant
from bolt_app.sandbox.records import Channel
from bolt_app.sandbox.state import SlackState

# "none": the method asks for the app's id and secret instead.
TokenKind = Literal["bot", "app", "none"]

# Codes any method may answer; https://docs.slack.dev/reference/methods lists them under every method.
COMMON_ERRORS = frozenset(
    {
        "account_inactive",
        "fatal_error",
        "internal_error",
        "invalid_arg_name",
        "invalid_arguments",
        "invalid_auth",
        "invalid_post_type",
        "missing_post_type",
        "missing_scope",
        "not_allowed_token_type",
        "not_authed",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
        "token_revoked",
    }
)

YES_OR_NO = {"1": True, "true": True, "0": False, "false": False, "": False}


class RefusalError(Exception):
    """Slack answers `ok: false`."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


class LimitedError(Exception):
    """Slack answers HTTP 429."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method of the Web API: what it does, and what of Slack's documentation the sandbox knows about it."""

    name: str
    does: "Callable[[WebCall], dict[str, Any]]"
    # Every argument the sandbox reads; reading another is an error in the sandbox.
    arguments: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    # Any one of them lets the call through; methods that depend on the kind of channel then look closer.
    scopes: tuple[str, ...] = ()
    # Codes of its own, beside the common ones; answering another is an error in the sandbox.
    errors: tuple[str, ...] = ()
    # None: Slack calls the limit special.
    tier: str | None = None
    # Whether Slack reads a JSON body; elsewhere it takes query and form only.
    takes_json: bool = False
    token: TokenKind = "bot"  # noqa: S105


@dataclass(frozen=True, kw_only=True)
class Client:
    """Who the caller says it is, in methods that ask for the app's id and secret; empty where nothing was sent."""

    id: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class WebCall:
    """A call that has got past the token, with its arguments."""

    # The workspace the token is of.
    state: SlackState
    # The state that the server serves, which keeps the app's tokens.
    served: SlackState
    method: Method
    # Strings from query and form; whatever JSON held, from JSON.
    arguments: Mapping[str, Any]
    token: TokenKind = "bot"  # noqa: S105
    # What the token is good for; None without a bot token.
    grant: Grant | None = None
    client: Client = Client()
    warnings: list[str] = field(default_factory=list)
    # Where this server is reached, without a path: "127.0.0.1:4000".
    host: str = ""
    # Makes a single-use ticket for a Socket Mode connection.
    new_ticket: Callable[[], str] = lambda: ""

    @property
    def granted(self) -> Grant:
        """What the token is good for, in methods that need a bot token."""
        if self.grant is None:
            raise LookupError(f"{self.method.name} has no bot token")
        return self.grant

    @property
    def scopes(self) -> frozenset[str]:
        """What the token may do."""
        return frozenset() if self.grant is None else self.grant.scopes

    def value(self, name: str) -> Any:
        """An argument as it was sent; None if it was not, or was null."""
        if name not in self.method.arguments:
            raise LookupError(f"{self.method.name} reads {name}, which it does not declare")
        return self.arguments.get(name)

    def text(self, name: str) -> str:
        """An argument as text; empty if it was not sent. A number in JSON has lost its zeros, as at Slack."""
        value = self.value(name)
        return "" if value is None else value if isinstance(value, str) else json.dumps(value)

    def flag(self, name: str) -> bool:
        """A yes or no: true, "true" and "1" are yes."""
        return YES_OR_NO.get(self.text(name).lower(), False)

    def structure(self, name: str) -> Any:
        """An object or a list, sent as such or as JSON in a string; None if it was not sent. ValueError if garbled."""
        value = self.value(name)
        if isinstance(value, str):
            return json.loads(value) if value.strip() else None
        return value

    def limit(self, *, default: int, highest: int) -> int:
        """The page size. Slack's documented bounds are kept strictly."""
        given = self.text("limit")
        if not given:
            return default
        if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= highest:
            documented = "invalid_limit" in self.method.errors
            raise RefusalError("invalid_limit" if documented else "invalid_arguments")
        return int(given)

    def need(self, scope: str) -> None:
        """Refuses if the token lacks a scope."""
        if scope not in self.scopes:
            self.lacks(scope)

    def lacks(self, *needed: str) -> NoReturn:
        """Refuses for want of a scope."""
        raise RefusalError("missing_scope", needed=",".join(needed), provided=",".join(sorted(self.scopes)))

    def visible_channel(self, name: str = "channel", *, scope: str | None = None) -> Channel:
        """The channel named by an argument. A private one the bot is not in does not exist for it.

        `scope` is the second half of a scope whose first half is the kind of channel: "history", "read".
        """
        channel = self.state.channels.get(self.text(name))
        if channel is None or (channel.is_private and not channel.has_bot):
            raise RefusalError("channel_not_found")
        if scope is not None:
            self.need(f"{channel.kind}:{scope}")
        return channel


def check_errors(method: Method, code: str) -> str:
    """The code itself, if Slack documents it for the method."""
    if code not in method.errors and code not in COMMON_ERRORS:
        raise LookupError(f"{method.name} answers {code}, which it does not declare")
    return code
