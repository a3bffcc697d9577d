"""Somebody with a browser in front of a connector that is connected to nothing yet."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import aiohttp
import pytest
from pydantic import SecretStr

from bolt_app.sandbox import SlackServer
from bolt_app.server import Connector
from zendesk_bridge.sandbox import people

StartConnector = Callable[..., Awaitable[Connector]]

#: What every answer of these routes says, whatever it answers.
ALWAYS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the browser got."""

    url: str
    status: int
    headers: Mapping[str, str]
    html: str
    set_cookie: list[str]

    @property
    def location(self) -> str:
        """Where the browser goes on to."""
        if "Location" in self.headers:
            return urljoin(self.url, self.headers["Location"])
        return unescape(self.html.partition('http-equiv="refresh" content="0;url=')[2].partition('"')[0])

    @property
    def text(self) -> str:
        """What is read on the page."""
        return words(self.html)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._in_style = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.parts.append(data)


def words(html: str) -> str:
    """The words of a page, with single spaces."""
    parser = _Words()
    parser.feed(html)
    return " ".join("".join(parser.parts).split())


def are_safe(answer: Answer) -> None:
    """Whether an answer has the headers that all have."""
    for name, value in ALWAYS.items():
        assert answer.headers.get(name) == value, f"{answer.status} of {answer.url}: {name}"
    policy = answer.headers.get("Content-Security-Policy", "")
    assert "default-src 'none'" in policy, f"{answer.status} of {answer.url}: no policy"
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy.replace("https://*.slack.com", "")


@dataclass(kw_only=True)
class Visitor:
    """Somebody's browser, without a window: keeps cookies, follows nothing by itself."""

    session: aiohttp.ClientSession
    # The connector's own answers.
    seen: list[Answer] = field(default_factory=list)

    async def ask(self, method: str, url: str, **options: Any) -> Answer:
        async with self.session.request(method, url, allow_redirects=False, **options) as response:
            body = await response.read()
            answer = Answer(
                url=url,
                status=response.status,
                headers=dict(response.headers),
                html=body.decode(errors="replace"),
                set_cookie=response.headers.getall("Set-Cookie", []),
            )
        if "/slack/" in url or "/zendesk/" in url:
            self.seen.append(answer)
        return answer

    async def open(self, url: str) -> Answer:
        return await self.ask("GET", url)

    async def go_on(self, link: str) -> Answer:
        """Presses the button of the link's page."""
        address = urlsplit(link)
        secret = parse_qs(address.query)["link"][0]
        return await self.ask("POST", f"{address.scheme}://{address.netloc}{address.path}", data={"link": secret})

    async def decide(self, consent: str, answer: str = "allow", workspace: str | None = None) -> str:
        """Presses a button of the consent page; returns where the service sends the browser."""
        page = await self.open(consent)
        assert page.status == 200, page.html
        if "authenticity_token" in page.html:
            token = page.html.partition('name="authenticity_token" value="')[2].partition('"')[0]
            sent = {"decision": answer, "authenticity_token": token}
            return (await self.ask("POST", urljoin(consent, "/oauth/authorizations"), data=sent)).location
        sent = {"answer": answer} | ({"workspace": workspace} if workspace else {})
        return (await self.ask("POST", consent, data=sent)).location

    async def come_back(self, callback: str) -> Answer:
        """The service's redirect and the one after it; the last page."""
        answer = await self.open(callback)
        return answer if answer.status == 404 else await self.open(answer.location)

    async def connect(self, link: str, answer: str = "allow", workspace: str | None = None) -> Answer:
        """Follows a link to its end."""
        assert (await self.open(link)).status == 200
        gone = await self.go_on(link)
        assert gone.status == 200, gone.html
        return await self.come_back(await self.decide(gone.location, answer, workspace))


NewVisitor = Callable[[], Visitor]


@pytest.fixture
async def new_visitor() -> AsyncIterator[NewVisitor]:
    """Makes browsers that share no cookie."""
    async with AsyncExitStack() as exits:
        opened: list[aiohttp.ClientSession] = []

        def make() -> Visitor:
            opened.append(aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)))
            exits.push_async_callback(opened[-1].close)
            return Visitor(session=opened[-1])

        yield make


@pytest.fixture
async def visitor(new_visitor: NewVisitor) -> Visitor:
    """A browser."""
    return new_visitor()


@dataclass(kw_only=True)
class Host:
    """A connector that somebody connects."""

    connector: Connector

    async def link(self, service: str) -> str:
        return str((await self.ask("connect", service))["link"])

    async def ask(self, verb: str, service: str, **args: Any) -> dict[str, Any]:
        return await self.connector.sides.bridge.request(verb, {"service": service, **args}, "a test")

    async def kept(self, service: str) -> dict[str, Any] | None:
        return await self.connector.sides.bridge.vault.get(service)

    @property
    def slack_token(self) -> str | None:
        return self.connector.sides.slack.web.token

    async def row(self, service: str) -> dict[str, Any]:
        rows = await self.connector.sides.bridge.list_connections()
        return next((row for row in rows if row["service"] == service), {})


@pytest.fixture
def start_host(start_connector: StartConnector, slack: SlackServer) -> Callable[..., Awaitable[Host]]:
    """Starts a connector that was given the two apps, and is connected to nothing yet."""
    slack.state.requires_install = True

    async def start(**changes: Any) -> Host:
        given = {
            "slack_bot_token": None,
            "slack_client_id": slack.state.client_id,
            "slack_client_secret": SecretStr(slack.state.client_secret),
            "zendesk_client_id": people.PUBLIC_CLIENT_ID,
            "zendesk_client_secret": None,
        }
        return Host(connector=await start_connector(**given | changes))

    return start


@pytest.fixture
async def host(start_host: Callable[..., Awaitable[Host]]) -> Host:
    """A connector that is connected to nothing yet."""
    return await start_host()


@pytest.fixture
def all_logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that anybody logs, our own and the libraries'."""
    caplog.set_level(logging.DEBUG)
    for name in ("bolt_app", "zendesk_bridge", "aiohttp", "slack_sdk", "slack_bolt", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog
