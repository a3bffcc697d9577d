"""zenpy's way to Zendesk: one account, short timeouts, answers of bounded size, and no redirect followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.flows.errors import ConnectorError, Permanent
from zendesk_bridge.pacing import ZendeskPacing, lane_of
from zendesk_bridge.zendesk_errors import TOKEN_PATH, raise_for, retry_after, translated

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0
#: Calls under way at once.
THREADS = 16
#: What a single call authenticates with, where it is not what all do.
AUTHORIZATION: ContextVar[str | None] = ContextVar("authorization", default=None)
#: The longest body that is read, in bytes. Exports of a thousand tickets have a few million.
LARGEST_ANSWER = 64 * 1024 * 1024


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
    body, is_whole = bytearray(), False
    try:
        while chunk := response.raw.read1(65_536, decode_content=True):
            body += chunk
            if time.monotonic() > deadline or len(body) > LARGEST_ANSWER:
                raise requests.ReadTimeout("the answer took too long, or is too large", response=response)
    except urllib3.exceptions.ReadTimeoutError as problem:
        raise requests.ReadTimeout(problem, response=response) from problem
    except urllib3.exceptions.HTTPError as problem:
        raise requests.ConnectionError(problem, response=response) from problem
    else:
        is_whole = True
    finally:
        if not is_whole:
            response.raw.close()  # what is left of it is for nobody, and must not be the next call's answer
        response.raw.release_conn()
    return bytes(body)


class Session(requests.Session):
    """zenpy's session: sends to the configured account only, and raises our errors before zenpy sees an answer."""

    #: Tells zenpy that credentials are in place.
    authorized = True

    def __init__(self, settings: ZendeskSettings, observe: Callable[[str, str], None], pacing: ZendeskPacing) -> None:
        super().__init__()
        # As requests writes addresses; one that began otherwise would be sent somewhere else.
        self.subdomain = (settings.subdomain or "account").lower()
        self.own = f"https://{self.subdomain}.zendesk.com"
        self._base = settings.base
        # A proxy that the environment names does not reach this machine.
        self.trust_env = urlsplit(settings.base).hostname not in ("127.0.0.1", "localhost", "::1")
        self._observe = observe
        self.authorization: str | None = None
        self.adapters.clear()
        self.mount(f"{self.own}/", _Adapter(self.own, settings.base))
        self._pacing = pacing
        self.hooks["response"] += [self._heard, partial(raise_for, hide=self._hide)]
        secrets = (settings.client_secret, settings.oauth_token, settings.api_token)
        self._secrets = [each.get_secret_value() for each in secrets if each]
        self.auth = self._authorize
        self.headers["Accept"] = "application/json"
        # Proxies and certificates, as the environment names them.
        self._environment = dict[str, Any](self.merge_environment_settings(f"{self.own}/", {}, None, None, None))

    def read(self, path: str, parameters: Mapping[str, str]) -> requests.Response:
        """A GET of the account, as nearly all calls are.

        It is prepared by hand: what `get` looks after for any address and anybody's settings takes as long as the call.
        """
        prepared = requests.PreparedRequest()
        prepared.method = "GET"
        prepared.url = f"{self.own}{path}?{urlencode(parameters)}" if parameters else self.own + path
        prepared.prepare_headers(self.headers)
        self._authorize(prepared)
        return self._observed(path, lambda: self._sent(prepared))

    def _sent(self, prepared: requests.PreparedRequest) -> requests.Response:
        adapter = self.get_adapter(prepared.url or "")
        response = adapter.send(prepared, timeout=(CONNECT_SECONDS, TOTAL_SECONDS), **self._environment)
        for hook in self.hooks["response"]:
            hook(response)
        return response

    def _heard(self, response: requests.Response, *args: Any, **options: Any) -> None:
        lane = lane_of(response.request.method or "", urlsplit(response.url).path)
        self._pacing.heard(lane, response.status_code, response.headers, retry_after(response))

    def _hide(self, text: str) -> str:
        """Somebody else's words, which may repeat what they were sent, without what must not be shown."""
        used = (self.authorization, AUTHORIZATION.get())
        for secret in (*self._secrets, *((each or "").partition(" ")[2] for each in used)):
            text = text.replace(secret, "***") if len(secret) > 3 else text
        return text

    def _authorize(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        authorization = AUTHORIZATION.get() or self.authorization
        if authorization and not (prepared.url or "").endswith(TOKEN_PATH):
            prepared.headers["Authorization"] = authorization
        return prepared

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        address = url.decode() if isinstance(url, bytes) else url
        if address.startswith(f"{self._base}/"):
            address = self.own + address.removeprefix(self._base)
        if not address.startswith(f"{self.own}/"):
            raise Permanent("foreign_address", f"Zendesk pointed to another host: {urlsplit(address).netloc}")
        options["allow_redirects"] = False
        options["timeout"] = (CONNECT_SECONDS, TOTAL_SECONDS)
        send = super().request
        return self._observed(urlsplit(address).path, lambda: send(method, address, *args, **options))

    def _observed(self, path: str, send: Callable[[], requests.Response]) -> requests.Response:
        """An answer, counted. Raises our errors."""
        endpoint = endpoint_of(path)
        try:
            response = send()
        except requests.RequestException as problem:
            error = translated(problem)
            self._observe(endpoint, error.code)
            raise error from problem
        except ConnectorError as problem:
            self._observe(endpoint, problem.code)
            raise
        self._observe(endpoint, "ok")
        return response


def endpoint_of(path: str) -> str:
    """A path without its ids: what metrics count by."""
    parts = path.removesuffix(".json").split("/")
    return "/".join("{id}" if part.isdigit() else part for part in parts)
