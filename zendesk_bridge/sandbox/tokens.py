"""Who may come in: the sandbox's OAuth clients, tokens and API tokens, and what each of them is allowed to do."""

import base64
import hashlib
import secrets
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from zendesk_bridge.sandbox.answers import Refused, oauth_error

if TYPE_CHECKING:
    from zendesk_bridge.sandbox.state import ZendeskState

CODE_SECONDS = 120
SHORTEST_TOKEN_SECONDS, LONGEST_TOKEN_SECONDS = 300, 172_800
REFRESH_TOKEN_SECONDS = 30 * 24 * 3600
FIRST_ID = 41_700_000_000_000
CHALLENGE_METHODS = ("S256", "plain")
# Zendesk sends people to https only, except on their own machine.
OWN_MACHINE = ("localhost", "127.0.0.1")


@dataclass(frozen=True, kw_only=True)
class Client:
    """An OAuth client of the account; confidential where it has a secret."""

    identifier: str
    # None: a public client, which must use PKCE.
    secret: str | None
    # The person who made it: tokens of the client-credentials grant act as this one.
    user_id: int
    # None: any scope may be asked for, also one that does not exist.
    scopes: frozenset[str] | None = None
    # What the consent page calls it; None: by its identifier.
    name: str | None = None
    # Where people may be sent after their consent; empty: anywhere.
    redirect_uris: tuple[str, ...] = ()

    @property
    def id(self) -> int:
        """The number other records know it by."""
        return FIRST_ID + zlib.crc32(self.identifier.encode())


@dataclass(frozen=True, kw_only=True)
class Token:
    """An OAuth access token."""

    value: str
    client_id: str
    user_id: int
    scope: str
    # Epoch seconds; None: never.
    expires_at: float | None
    refresh_token: str | None = None
    refresh_expires_at: float | None = None
    # Epoch seconds.
    created_at: float = 0.0

    @property
    def id(self) -> int:
        """The number it is listed by; says nothing of the token itself."""
        return FIRST_ID + zlib.crc32(self.value.encode())


@dataclass(frozen=True, kw_only=True)
class Code:
    """An authorization code, between a person's consent and the token."""

    client_id: str
    user_id: int
    redirect_uri: str
    scope: str
    expires_at: float
    challenge: str | None
    challenge_method: str


def allows(scope: str, resource: str, reading: bool) -> bool:
    """Whether a token's scope admits reading or writing a resource (`tickets`, `users`, …)."""
    verb = "read" if reading else "write"
    return bool({verb, f"{resource}:{verb}"} & set(scope.split()))


def grant(state: "ZendeskState", asked: dict[str, Any]) -> dict[str, Any]:
    """The answer of `POST /oauth/tokens`, or a refusal."""
    client = state.clients.get(str(asked.get("client_id", "")))
    if client is None:
        raise _invalid_client()
    given = asked.get("client_secret")
    if client.secret is not None and not secrets.compare_digest(str(given or "").encode(), client.secret.encode()):
        raise _invalid_client()
    match asked.get("grant_type"):
        case "client_credentials":
            # Only a confidential client can prove who it is without a person.
            if client.secret is None:
                raise oauth_error(400, "unauthorized_client", "Client is not allowed to use this grant.")
            scope = _scope(state, client, asked.get("scope"))
            return _answer(state, _issue(state, client, client.user_id, scope, asked, refreshable=False))
        case "authorization_code":
            code = _redeem(state, client, asked)
            return _answer(state, _issue(state, client, code.user_id, code.scope, asked, refreshable=True))
        case "refresh_token":
            old = _spend(state, client, str(asked.get("refresh_token", "")))
            return _answer(state, _issue(state, client, old.user_id, old.scope, asked, refreshable=True))
        case _:
            raise oauth_error(400, "unsupported_grant_type", "The authorization grant type is not supported.")


def asking_client(state: "ZendeskState", asked: dict[str, str]) -> Client:
    """The client that asks a person for consent; refuses what Zendesk shows an error page for."""
    client = state.clients.get(asked.get("client_id", ""))
    if client is None:
        raise oauth_error(400, "invalid_client", "No such client.")
    if not _may_redirect(client, asked.get("redirect_uri", "")):
        raise oauth_error(400, "invalid_request", "The redirect_uri is not one of this client's redirect URLs.")
    if asked.get("response_type") != "code":
        raise oauth_error(400, "unsupported_response_type", "The response_type must be code.")
    challenge = asked.get("code_challenge")
    if client.secret is None and not challenge:
        raise oauth_error(400, "invalid_request", "A public client must send a code_challenge.")
    if challenge and asked.get("code_challenge_method", "plain") not in CHALLENGE_METHODS:
        raise oauth_error(400, "invalid_request", "The code_challenge_method must be S256 or plain.")
    _scope(state, client, asked.get("scope"))
    return client


def asked_scope(asked: dict[str, str]) -> str:
    """The scope a client asks for. Nothing asked for means everything: the laziest request gets the widest token."""
    return " ".join(asked.get("scope", "").split()) or "read write"


def authorize(state: "ZendeskState", asked: dict[str, str], user_id: int) -> str:
    """A person consents: gives out a code, valid once and for 120 seconds."""
    client = asking_client(state, asked)
    value = secrets.token_urlsafe(24)
    state.codes[value] = Code(
        client_id=client.identifier,
        user_id=user_id,
        redirect_uri=asked["redirect_uri"],
        scope=_scope(state, client, asked.get("scope")),
        expires_at=state.clock() + CODE_SECONDS,
        challenge=asked.get("code_challenge"),
        challenge_method=asked.get("code_challenge_method", "plain"),
    )
    return value


def _may_redirect(client: Client, uri: str) -> bool:
    if client.redirect_uris:
        return uri in client.redirect_uris
    try:
        address = urlsplit(uri)
    except ValueError:
        return False
    secure = address.scheme == "https" or (address.scheme == "http" and address.hostname in OWN_MACHINE)
    return secure and bool(address.hostname) and not address.fragment


def _invalid_client() -> Refused:
    return oauth_error(401, "invalid_client", "Client authentication failed.")


def _scope(state: "ZendeskState", client: Client, asked: object) -> str:
    scope = asked_scope({"scope": str(asked or "")})
    if client.scopes is not None and not set(scope.split()) <= client.scopes:
        raise oauth_error(400, "invalid_scope", "The requested scope is invalid, unknown, or malformed.")
    return scope if state.granted_scope is None else state.granted_scope


def _issue(
    state: "ZendeskState", client: Client, user_id: int, scope: str, asked: dict[str, Any], *, refreshable: bool
) -> Token:
    try:
        seconds = int(asked.get("expires_in", state.token_seconds))
    except (TypeError, ValueError):
        seconds = 0
    if "expires_in" in asked and not SHORTEST_TOKEN_SECONDS <= seconds <= LONGEST_TOKEN_SECONDS:
        raise oauth_error(400, "invalid_request", "expires_in must be between 300 and 172800 seconds.")
    token = Token(
        value=secrets.token_hex(32),
        client_id=client.identifier,
        user_id=user_id,
        scope=scope,
        expires_at=state.clock() + seconds,
        refresh_token=secrets.token_hex(32) if refreshable else None,
        refresh_expires_at=state.clock() + REFRESH_TOKEN_SECONDS if refreshable else None,
        created_at=state.clock(),
    )
    state.tokens[token.value] = token
    return token


def _answer(state: "ZendeskState", token: Token) -> dict[str, Any]:
    answer: dict[str, Any] = {"access_token": token.value, "token_type": "bearer", "scope": token.scope}
    if token.expires_at is not None:
        answer["expires_in"] = int(token.expires_at - state.clock())
    if token.refresh_token is not None and token.refresh_expires_at is not None:
        answer["refresh_token"] = token.refresh_token
        answer["refresh_token_expires_in"] = int(token.refresh_expires_at - state.clock())
    return answer


def _redeem(state: "ZendeskState", client: Client, asked: dict[str, Any]) -> Code:
    # A code is gone after one look, right or wrong, as with the real service.
    code = state.codes.pop(str(asked.get("code", "")), None)
    fits = (
        code is not None
        and code.client_id == client.identifier
        and code.redirect_uri == str(asked.get("redirect_uri", ""))
        and code.expires_at > state.clock()
        and _proves(code, str(asked.get("code_verifier", "")))
    )
    if code is None or not fits:
        raise oauth_error(400, "invalid_grant", "The provided authorization grant is invalid, expired or revoked.")
    return code


def _proves(code: Code, verifier: str) -> bool:
    if code.challenge is None:
        return True
    if code.challenge_method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        verifier = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return secrets.compare_digest(verifier.encode(), code.challenge.encode())


def _spend(state: "ZendeskState", client: Client, refresh_token: str) -> Token:
    # Rotation: the old access token and the old refresh token both end here.
    for token in list(state.tokens.values()):
        if not refresh_token or token.refresh_token != refresh_token or token.client_id != client.identifier:
            continue
        if token.refresh_expires_at is not None and token.refresh_expires_at > state.clock():
            del state.tokens[token.value]
            return token
    raise oauth_error(400, "invalid_grant", "The provided authorization grant is invalid, expired or revoked.")
