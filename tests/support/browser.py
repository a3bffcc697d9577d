"""A person's browser for tests: Debian's Chromium without a window, driven by Playwright.

`async with browser() as page` starts one with an empty profile, so tests share no cookie. No host but this machine is
reached, whatever a page asks for. To look at a page: `await page.screenshot(path)`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, ConsoleMessage, Cookie, WebError, async_playwright
from playwright.async_api import Page as Tab

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

#: Beside Playwright's own; the last makes each name but this machine's unknown at once, with a network or without.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",
)

#: How long a page, or what is to be clicked or filled, may take to come.
PATIENCE_SECONDS = 15.0


@dataclass(kw_only=True)
class Page:
    """What somebody does in the browser, and what they see. Each `css` must match exactly one element."""

    # For anything not offered here.
    tab: Tab
    # Errors in the console, scripts that failed, what a content security policy refused, what could not be reached.
    console: list[str] = field(default_factory=list)
    # Addresses of all that was asked for, by this tab and by those it opened; redirects too, and this tab's websockets.
    # A page's icon is not among them; one on another host leaves an error in the console.
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address shown."""
        return self.tab.url

    async def goto(self, url: str) -> int:
        """Opens an address and waits until it is loaded; returns the status of the last answer."""
        answered = await self.tab.goto(url)
        assert answered is not None, f"{url} is no other page"
        return answered.status

    async def back(self) -> None:
        """Presses the back button."""
        await self.tab.go_back()

    async def click(self, css: str) -> None:
        """Clicks; where that leads to another page, waits until it is loaded."""
        await self.tab.click(css, strict=True)
        await self.tab.wait_for_load_state()

    async def fill(self, css: str, value: str) -> None:
        """Types into an empty or emptied field."""
        await self.tab.fill(css, value, strict=True)

    async def select(self, css: str, value: str) -> None:
        """Chooses from a list, by an option's value or by its label."""
        await self.tab.select_option(css, value, strict=True)

    async def text(self) -> str:
        """All text that can be seen."""
        return await self.tab.inner_text("body")

    async def title(self) -> str:
        """The tab's title."""
        return await self.tab.title()

    async def cookies(self) -> list[Cookie]:
        """All cookies the browser holds: `name`, `value`, `domain`, `path`, `httpOnly`, `secure`, `sameSite`, …"""
        return await self.tab.context.cookies()

    async def screenshot(self, path: Path) -> None:
        """Writes a picture of the whole page, as PNG or JPEG by the file's ending."""
        await self.tab.screenshot(path=path, full_page=True)


@asynccontextmanager
async def browser(**context: Any) -> AsyncIterator[Page]:
    """A browser with an empty profile and one empty tab; `context` is what Playwright's `new_context` takes.

    Where no Chromium is installed the test is skipped, or fails if CONNECTOR_BROWSER_REQUIRED is set.
    """
    if CHROMIUM is None:
        give_up = pytest.fail if os.environ.get("CONNECTOR_BROWSER_REQUIRED") else pytest.skip
        give_up("no Chromium is installed")
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as chromium,
        await chromium.new_context(**context) as profile,
    ):
        profile.set_default_timeout(PATIENCE_SECONDS * 1000)
        page = Page(tab=await profile.new_page())
        await _listen(profile, page)
        yield page


async def _listen(profile: BrowserContext, page: Page) -> None:
    """Writes down what the tabs ask for and complain of."""

    def complained(message: ConsoleMessage) -> None:
        # A browser asks for an icon by itself; a site need not have one.
        icon = message.location["url"].endswith("/favicon.ico") and "status of 404" in message.text
        if message.type == "error" and not icon:
            page.console.append(message.text)

    def failed(error: WebError) -> None:
        page.console.append(str(error.error))

    def connects(socket: dict[str, Any]) -> None:
        page.requests.append(socket["url"])

    profile.on("console", complained)
    profile.on("weberror", failed)
    profile.on("request", lambda request: page.requests.append(request.url))
    # Playwright tells of a websocket only once its host is found.
    network = await profile.new_cdp_session(page.tab)
    network.on("Network.webSocketCreated", connects)
    await network.send("Network.enable")
