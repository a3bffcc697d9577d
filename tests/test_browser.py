"""The browser that tests drive: it does what a person does, and nothing a page does escapes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import browser as browsers
import pytest
from aiohttp import web
from browser import browser

FORM = """<!doctype html><title>Tea</title><form method="post" action="/tea">
<input name="who"><select name="kind"><option value="g">Green<option value="b">Black</select>
<button>Brew</button></form><p hidden>unseen</p>"""


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """The address of a small site on this machine: a form, and a page that does what its policy forbids."""

    async def form(request: web.Request) -> web.Response:
        return web.Response(text=FORM, content_type="text/html")

    async def brew(request: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        posted = await request.post()
        found = web.HTTPSeeOther("/cup")
        found.set_cookie("cup", f"{posted['who']!s}-{posted['kind']!s}", httponly=True, samesite="Lax")
        raise found

    async def cup(request: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        text = f"<!doctype html><title>Cup</title>Poured: {request.cookies.get('cup', 'nothing')}"
        return web.Response(text=text, content_type="text/html")

    async def forbidden(request: web.Request) -> web.Response:
        text = "<!doctype html><script>document.title = 'run'</script>"
        policy = {"Content-Security-Policy": "default-src 'none'"}
        return web.Response(text=text, content_type="text/html", headers=policy)

    async def careless(request: web.Request) -> web.Response:
        text = """<!doctype html><img src="https://pictures.example/1.png">
            <script>new WebSocket("wss://sockets.example/"); missing()</script>"""
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", form)
    app.router.add_post("/tea", brew)
    app.router.add_get("/cup", cup)
    app.router.add_get("/forbidden", forbidden)
    app.router.add_get("/careless", careless)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_form_is_filled_in_sent_and_gone_back_to(site: str, tmp_path: Path) -> None:
    async with browser() as page:
        assert await page.goto(site) == 200
        assert "unseen" not in await page.text()
        await page.fill("input", "Ada")
        await page.select("select", "Black")
        await page.click("button")
        assert (page.url, await page.title(), await page.text()) == (f"{site}/cup", "Cup", "Poured: Ada-b")
        cookie = (await page.cookies())[0]
        assert (cookie["name"], cookie["value"], cookie["httpOnly"]) == ("cup", "Ada-b", True)
        await page.screenshot(tmp_path / "cup.png")
        assert (tmp_path / "cup.png").read_bytes().startswith(b"\x89PNG")
        await page.back()
        assert await page.title() == "Tea"
        assert page.requests == [f"{site}/", f"{site}/tea", f"{site}/cup", f"{site}/"]
        assert page.console == []


async def test_no_cookie_is_left_for_the_next_browser(site: str) -> None:
    async with browser() as first, browser() as second:
        await first.goto(site)
        await first.click("button")
        assert await first.cookies()
        await second.goto(f"{site}/cup")
        assert await second.text() == "Poured: nothing"


async def test_what_a_content_security_policy_refuses_is_noticed(site: str) -> None:
    async with browser() as page:
        await page.goto(f"{site}/forbidden")
        assert await page.title() == ""
        assert [said for said in page.console if "Content Security Policy" in said], page.console


async def test_a_request_to_somebody_else_and_a_script_that_fails_are_noticed(site: str) -> None:
    async with browser() as page:
        await page.goto(f"{site}/careless")
        elsewhere = {"https://pictures.example/1.png", "wss://sockets.example/"}
        assert {asked for asked in page.requests if not asked.startswith(site)} == elsewhere
        assert [said for said in page.console if "missing is not defined" in said], page.console


async def test_without_chromium_a_test_is_skipped_unless_a_browser_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsers, "CHROMIUM", None)
    monkeypatch.delenv("CONNECTOR_BROWSER_REQUIRED", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Chromium"):
        await browser().__aenter__()
    monkeypatch.setenv("CONNECTOR_BROWSER_REQUIRED", "1")
    with pytest.raises(pytest.fail.Exception, match="no Chromium"):
        await browser().__aenter__()
