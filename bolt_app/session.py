"""Opens connections to Slack: with short timeouts, through the proxy if there is one, and never redirected."""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

from zendesk_bridge.flows.model import from_json

#: Statuses that aiohttp would follow.
REDIRECTS = (301, 302, 303, 307, 308)


class Redirected(aiohttp.ClientError):
    """Slack's API never redirects: whoever does must not get the token."""


#: Whether the current call of the current task has left this machine, which is what an error leaves in doubt or not.
has_left: ContextVar[bool] = ContextVar("has_left", default=False)


class _Request(aiohttp.ClientRequest):
    # aiohttp's own tracing would tell the same, and costs a fifth of a call.
    async def send(self, *args: Any, **options: Any) -> aiohttp.ClientResponse:
        has_left.set(True)
        return await super().send(*args, **options)


def open_session(*, total_seconds: float, connect_seconds: float) -> aiohttp.ClientSession:
    """A session for all calls to Slack."""
    return aiohttp.ClientSession(
        # Of connecting alone: a limit for having a connection would start a clock with each call.
        timeout=aiohttp.ClientTimeout(total=total_seconds, sock_connect=connect_seconds),
        connector=aiohttp.TCPConnector(limit=0),
        json_serialize=_json,
        request_class=_Request,
        response_class=_Response,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def proxy_for(base_url: str) -> str | None:
    """The proxy that HTTPS_PROXY and its kin name, unless NO_PROXY names the host, which Slack's SDK overlooks."""
    address = urlsplit(base_url)
    host = address.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127.") or proxy_bypass(host):
        return None
    return getproxies().get(address.scheme)


class _Response(aiohttp.ClientResponse):
    """Slack's answer, or that of whoever redirects."""

    async def start(self, *args: Any, **options: Any) -> aiohttp.ClientResponse:
        answer = await super().start(*args, **options)
        if answer.status in REDIRECTS:
            raise Redirected(f"redirected from {answer.url.host}")
        return answer

    async def json(self, **options: Any) -> Any:
        """The body as JSON. Without looking for its encoding where it is as always: UTF-8."""
        if self.content_type == "application/json" and self.charset in (None, "utf-8") and (body := await self.read()):
            return from_json(body)
        return await super().json(**options)


def _json(content: Any) -> str:
    try:
        return orjson.dumps(content).decode()
    except TypeError:  # halves of characters, which Slack takes escaped
        return json.dumps(content)
