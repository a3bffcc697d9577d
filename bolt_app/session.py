"""Opens connections to Slack: with short timeouts, through the proxy if there is one, and never redirected."""

from __future__ import annotations

import asyncio
import json
import weakref
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

#: Statuses that aiohttp would follow.
REDIRECTS = (301, 302, 303, 307, 308)


class Redirected(aiohttp.ClientError):
    """Slack's API never redirects: whoever does must not get the token."""


class Sent:
    """Knows whether a task's current call has left this machine, which is what an error leaves in doubt or not."""

    def __init__(self) -> None:
        self._tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def nothing(self) -> None:
        """The task that runs begins a call."""
        self._tasks.discard(_task())

    def something(self) -> bool:
        """Whether the call of the task that runs has left."""
        return _task() in self._tasks

    def note(self) -> None:
        """The call of the task that runs leaves now."""
        self._tasks.add(_task())


def open_session(sent: Sent, *, total_seconds: float, connect_seconds: float) -> aiohttp.ClientSession:
    """A session for all calls to Slack."""

    # aiohttp's own tracing would tell the same, and costs a fifth of a call.
    class Request(aiohttp.ClientRequest):
        async def send(self, *args: Any, **options: Any) -> aiohttp.ClientResponse:
            sent.note()
            return await super().send(*args, **options)

    return aiohttp.ClientSession(
        # Of connecting alone: a limit for having a connection would start a clock with each call.
        timeout=aiohttp.ClientTimeout(total=total_seconds, sock_connect=connect_seconds),
        connector=aiohttp.TCPConnector(limit=0),
        json_serialize=_json,
        request_class=Request,
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


def _json(content: Any) -> str:
    try:
        return orjson.dumps(content).decode()
    except TypeError:  # halves of characters, which Slack takes escaped
        return json.dumps(content)


def _task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
