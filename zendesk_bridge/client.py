"""Talks to Zendesk. The only module that imports zenpy, and the only place where a blocking call is made."""

from __future__ import annotations

import asyncio
import logging
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from zenpy import Zenpy
from zenpy.lib.exception import ZenpyException

from zendesk_bridge.flows.catalog import Identity
from zendesk_bridge.flows.errors import ConnectorError, Credentials, Permanent, Transient, Uncertain

log = logging.getLogger(__name__)

T = TypeVar("T")

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0
THREADS = 16
#: The longest body that is read, in bytes. Exports of a thousand tickets have a few million.
LARGEST_ANSWER = 64 * 1024 * 1024
#: What the connector asks Zendesk for.
SCOPE = "read"
TOKEN_PATH = "/oauth/tokens"  # noqa: S105 - a path


@dataclass(frozen=True, kw_only=True)
class ZendeskSettings:
    """Where the account is and how to authenticate: an OAuth client, a token made elsewhere, or an API token."""

    subdomain: str | None = None
    api_url: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = field(default=None, repr=False)
    oauth_token: SecretStr | None = field(default=None, repr=False)
    email: str | None = None
    api_token: SecretStr | None = field(default=None, repr=False)

    @property
    def base(self) -> str:
        """The API's address, without a path."""
        return (self.api_url or f"https://{self.subdomain}.zendesk.com").rstrip("/")

    @property
    def agent_base(self) -> str:
        """The address of the pages that agents work in."""
        return f"https://{self.subdomain}.zendesk.com" if self.subdomain else self.base

    @property
    def has_account(self) -> bool:
        """Whether it is known where the account is."""
        return bool(self.subdomain or self.api_url)

    @property
    def has_credentials(self) -> bool:
        """Whether there is a way to authenticate."""
        ways = (
            self.client_id and self.client_secret,
            self.oauth_token,
            self.email and self.api_token,
        )
        return any(bool(way) for way in ways)

    @property
    def connected(self) -> bool:
        """Whether there is an account and a way to authenticate."""
        return self.has_account and self.has_credentials


@dataclass(frozen=True, kw_only=True)
class _Token:
    header: str
    renew_at: float


class _Adapter(HTTPAdapter):
    """Sends what is meant for the account's own address to the configured one; zenpy sees the account's."""

    def __init__(self, own: str, base: str) -> None:
        super().__init__(max_retries=0, pool_maxsize=THREADS)
        self._own = own
        self._base = base

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        deadline = time.monotonic() + TOTAL_SECONDS
        sent = request.copy()
        sent.url = self._base + (request.url or "").removeprefix(self._own)
        response = super().send(sent, *args, **{**options, "stream": True})
        response._content = _read(response, deadline)
        response._content_consumed = True  # type: ignore[attr-defined]
        response.url, response.request = request.url or "", request
        return response


def _read(response: requests.Response, deadline: float) -> bytes:
    """A body, within the time and size a call may take: requests itself bounds only the pauses between bytes."""
    body = bytearray()
    try:
        while chunk := response.raw.read1(65_536, decode_content=True):
            body += chunk
            if time.monotonic() > deadline or len(body) > LARGEST_ANSWER:
                raise requests.ReadTimeout("the answer took too long, or is too large", response=response)
    except urllib3.exceptions.ReadTimeoutError as problem:
        raise requests.ReadTimeout(problem, response=response) from problem
    except urllib3.exceptions.HTTPError as problem:
        raise requests.ConnectionError(problem, response=response) from problem
    finally:
        response.raw.release_conn()
    return bytes(body)


class _Session(requests.Session):
    """zenpy's session: sends to the configured account only, and raises our errors before zenpy sees an answer."""

    #: Tells zenpy that credentials are in place.
    authorized = True

    def __init__(self, settings: ZendeskSettings, observe: Callable[[str, str], None]) -> None:
        super().__init__()
        self.own = f"https://{settings.subdomain or 'account'}.zendesk.com"
        self._base = settings.base
        # A proxy that the environment names does not reach this machine.
        self.trust_env = urlsplit(settings.base).hostname not in ("127.0.0.1", "localhost", "::1")
        self._observe = observe
        self.authorization: str | None = None
        self.adapters.clear()
        self.mount(f"{self.own}/", _Adapter(self.own, settings.base))
        self.hooks["response"].append(_raise_for)
        self.auth = self._authorize
        self.headers["Accept"] = "application/json"

    def _authorize(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.authorization and not (prepared.url or "").endswith(TOKEN_PATH):
            prepared.headers["Authorization"] = self.authorization
        return prepared

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        address = url.decode() if isinstance(url, bytes) else url
        if address.startswith(f"{self._base}/"):
            address = self.own + address.removeprefix(self._base)
        if not address.startswith(f"{self.own}/"):
            raise Permanent("foreign_address", f"Zendesk pointed to another host: {urlsplit(address).netloc}")
        options["allow_redirects"] = False
        options["timeout"] = (CONNECT_SECONDS, TOTAL_SECONDS)
        endpoint = endpoint_of(urlsplit(address).path)
        try:
            response = super().request(method, address, *args, **options)
        except requests.RequestException as problem:
            error = _translated(problem)
            self._observe(endpoint, error.code)
            raise error from problem
        except ConnectorError as problem:
            self._observe(endpoint, problem.code)
            raise
        self._observe(endpoint, "ok")
        return response


class ZendeskClient:
    """An account at Zendesk. Every method may raise Transient, Uncertain, Permanent or Credentials."""

    def __init__(
        self, settings: ZendeskSettings, *, observe: Callable[[str, str], None] = lambda endpoint, outcome: None
    ) -> None:
        self.settings = settings
        self._session = _Session(settings, observe)
        self._zenpy = Zenpy(subdomain=settings.subdomain or "account", session=self._session, timeout=TOTAL_SECONDS)
        self._zenpy.disable_caching()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="zendesk")
        self._turns = asyncio.Semaphore(THREADS)
        self._token: _Token | None = None
        self._renewal = asyncio.Lock()
        # When a token was last asked for in vain, and why.
        self._refused: tuple[float, ConnectorError] | None = None
        #: The scope that Zendesk granted; None where it does not say.
        self.granted: str | None = None

    async def close(self) -> None:
        """Ends the threads and connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    async def ticket(self, ticket_id: str) -> dict[str, Any]:
        """`GET /api/v2/tickets/{id}` with its metric set beside it or inside: the whole answer."""
        return await self._get(f"/api/v2/tickets/{_number(ticket_id)}.json", {"include": "metric_sets"})

    async def ticket_metrics(self, ticket_id: str) -> dict[str, Any]:
        """`GET /api/v2/tickets/{id}/metrics`: the metric set of a ticket."""
        return _part(await self._get(f"/api/v2/tickets/{_number(ticket_id)}/metrics.json"), "ticket_metric")

    async def user(self, user_id: str) -> dict[str, Any]:
        """`GET /api/v2/users/{id}`: the user."""
        return _part(await self._get(f"/api/v2/users/{_number(user_id)}.json"), "user")

    async def organization(self, organization_id: str) -> dict[str, Any]:
        """`GET /api/v2/organizations/{id}`: the organization."""
        return _part(await self._get(f"/api/v2/organizations/{_number(organization_id)}.json"), "organization")

    async def identity(self) -> Identity:
        """Who the connector is at Zendesk. Raises Credentials where Zendesk answers as to an anonymous visitor."""
        user = await self._authorized(self._me)
        if not user.id:
            raise _credentials("anonymous", "Zendesk took the connector for an anonymous visitor")
        return Identity(
            account=urlsplit(self.settings.agent_base).netloc,
            connected_by=str(user.email or user.name or user.id),
            scopes=(self.granted or "").split(),
        )

    def _me(self) -> Any:
        try:
            return self._zenpy.users.me()
        except (ZenpyException, AttributeError, LookupError, TypeError, ValueError) as problem:
            raise Uncertain("unexpected_answer", "Zendesk did not say who the connector is") from problem

    async def _get(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One GET, its JSON object as the answer."""
        address = self._session.own + path
        return await self._authorized(lambda: _json_object(self._session.get(address, params=parameters)))

    async def _authorized(self, work: Callable[[], T]) -> T:
        """Runs a call off the event loop with a good token; after a 401 once more with a new one."""
        if not self.settings.connected:
            raise Credentials(
                "not_connected",
                "Zendesk is not connected yet",
                service="zendesk",
                hint="Set ZENDESK_SUBDOMAIN, ZENDESK_CLIENT_ID and ZENDESK_CLIENT_SECRET, and restart.",
            )
        token = await self._current()
        try:
            return await self._in_thread(work)
        except Credentials:
            if not self._renewable:
                raise
        await self._current(instead_of=token)
        return await self._in_thread(work)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Runs a blocking call off the event loop, for ten seconds at most."""
        try:
            async with self._turns, asyncio.timeout(TOTAL_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as problem:
            raise Uncertain("timeout", f"Zendesk did not answer within {TOTAL_SECONDS:.0f} s") from problem

    @property
    def _renewable(self) -> bool:
        settings = self.settings
        return bool(settings.client_id and settings.client_secret and not settings.oauth_token)

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
                token = self._token = await self._obtain()
            except ConnectorError as problem:
                self._refused = (time.monotonic(), problem)
                raise
            self._session.authorization = token.header
            return token

    async def _obtain(self) -> _Token:
        settings = self.settings
        if settings.oauth_token:
            return _Token(header=f"Bearer {settings.oauth_token.get_secret_value()}", renew_at=float("inf"))
        if not self._renewable:
            assert settings.api_token is not None
            pair = f"{settings.email}/token:{settings.api_token.get_secret_value()}"
            return _Token(header=f"Basic {b64encode(pair.encode()).decode()}", renew_at=float("inf"))
        assert settings.client_secret is not None
        body = {
            "grant_type": "client_credentials",
            "client_id": settings.client_id,
            "client_secret": settings.client_secret.get_secret_value(),
            "scope": SCOPE,
        }
        answer = await self._in_thread(
            lambda: _json_object(self._session.post(self._session.own + TOKEN_PATH, json=body))
        )
        access = answer.get("access_token")
        if not isinstance(access, str) or not access:
            raise Uncertain("no_token", "Zendesk answered without an access token")
        self.granted = str(answer.get("scope") or SCOPE)
        if SCOPE not in self.granted.split():
            raise _credentials(
                "scope_not_granted", f"Zendesk granted the scope {self.granted!r} where {SCOPE!r} was asked for"
            )
        lifetime = float(answer.get("expires_in") or 1800)
        # Renewed before it expires, so that no call meets an expired one: at 90 %, a minute before at the latest.
        return _Token(header=f"Bearer {access}", renew_at=time.monotonic() + max(min(lifetime * 0.9, lifetime - 60), 1))


def endpoint_of(path: str) -> str:
    """A path without its ids: what metrics count by."""
    parts = path.removesuffix(".json").split("/")
    return "/".join("{id}" if part.isdigit() else part for part in parts)


def _number(value: str) -> str:
    if not value.isdigit():
        raise Permanent("invalid_id", f"{value[:40]!r} is no Zendesk id", hint="Zendesk ids are whole numbers.")
    return value


def _part(answer: dict[str, Any], name: str) -> dict[str, Any]:
    part = answer.get(name)
    if not isinstance(part, dict):
        raise Uncertain("unexpected_answer", f"Zendesk answered without {name!r}")
    return part


def _json_object(response: requests.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError as problem:
        raise Uncertain("unexpected_answer", "Zendesk's answer is no JSON") from problem
    if not isinstance(answer, dict):
        raise Uncertain("unexpected_answer", "Zendesk's answer is no JSON object")
    return answer


def _credentials(code: str, message: str) -> Credentials:
    return Credentials(
        code,
        message,
        service="zendesk",
        hint="Check the OAuth client in Admin Center > Apps and integrations > APIs > OAuth clients, and the settings.",
    )


def _translated(problem: requests.RequestException) -> ConnectorError:
    """What happens next after a call that got no answer."""
    name = type(problem).__name__
    if isinstance(problem, requests.ConnectTimeout):
        return Transient("connect_timeout", "Zendesk cannot be reached")
    if isinstance(problem, requests.ConnectionError):
        # urllib3's own words for "nothing was sent": it never had a connection.
        reason = repr(problem.args[0] if problem.args else problem)
        if "NewConnectionError" in reason or "NameResolutionError" in reason or "ConnectTimeoutError" in reason:
            return Transient("unreachable", "Zendesk cannot be reached")
    return Uncertain("no_answer", f"The connection to Zendesk broke ({name})")


def _raise_for(response: requests.Response, *args: Any, **options: Any) -> None:
    """Turns a refusal into an error that says what happens next. Runs before zenpy's own waiting and raising."""
    status = response.status_code
    if 200 <= status < 300:
        return
    detail = _detail(response)
    if status == 429:
        raise Transient("rate_limit", "Zendesk's rate limit is used up", retry_after=_retry_after(response), limit=True)
    if status >= 500:
        raise Uncertain("unavailable", f"Zendesk is not available ({status})")
    if status == 401 or (status == 400 and response.url.endswith(TOKEN_PATH)):
        raise _credentials("unauthorized", f"Zendesk refused the credentials: {detail or status}")
    if status == 404 and "InvalidEndpoint" in detail:
        raise Permanent("invalid_endpoint", "Zendesk does not know this address", hint="Check ZENDESK_SUBDOMAIN.")
    codes = {
        403: ("forbidden", "The connector's user may not see or do this. Give its role the right in Admin Center."),
        404: ("not_found", "It may have been deleted, or the id is wrong."),
        422: ("unprocessable", "Check the inputs of the step."),
    }
    code, hint = codes.get(status, (f"http_{status}", "Check the inputs of the step and the settings."))
    raise Permanent(code, f"Zendesk answered {status}: {detail}" if detail else f"Zendesk answered {status}", hint=hint)


def _retry_after(response: requests.Response) -> float:
    for name in ("retry-after", "rate-limit-reset", "ratelimit-reset"):
        value = response.headers.get(name, "")
        if value.isdigit():
            return float(value)
    return 60.0


def _detail(response: requests.Response) -> str:
    """The words of an error in any of Zendesk's four shapes."""
    try:
        body = response.json()
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    if isinstance(error, dict):
        words = [str(error.get(name)) for name in ("title", "message") if error.get(name)]
    elif isinstance(error, str):
        words = [error, *(str(body[name]) for name in ("description", "error_description") if body.get(name))]
    else:
        errors = body.get("errors")
        words = [str(each.get("detail") or each.get("title")) for each in errors or () if isinstance(each, dict)]
    return ": ".join(words)[:300]
