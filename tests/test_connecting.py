"""Connecting both services in a real browser, against the sandboxes' own pages."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from browser import Page, browser
from pydantic import SecretStr

from bolt_app.connecting.visits import fingerprint
from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import ADA
from bolt_app.sandbox.people import NOOR as NOOR_AT_SLACK
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.bridge import Timing
from zendesk_bridge.flows.errors import ConnectorError
from zendesk_bridge.sandbox import ZendeskServer, people

RECIPE = "notify-assigned-agents"
#: The engine's waits, short enough for a test to sit through.
QUICK = Timing(looks=(0.3, 0.6), retry_first=0.02, retry_longest=0.1)


@dataclass(kw_only=True)
class Host:
    """A connector that an admin connects."""

    connector: Connector
    start: Callable[..., Awaitable[Connector]]

    async def ask(self, verb: str, service: str, **args: Any) -> dict[str, Any]:
        return await self.connector.sides.bridge.request(verb, {"service": service, **args}, "a test")

    async def connect(self, service: str) -> dict[str, Any]:
        return await self.ask("connect", service)

    async def connection(self, service: str) -> dict[str, Any]:
        rows = await self.connector.sides.bridge.list_connections()
        return next((row for row in rows if row["service"] == service), {})

    async def restart(self, **changes: Any) -> None:
        await self.connector.stop()
        self.connector = await self.start(**changes)


@pytest.fixture
async def host(settings: Settings, slack: SlackServer, zendesk: ZendeskServer) -> AsyncIterator[Host]:
    """A connector that was given the two apps, and is connected to nothing yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    slack.state.requires_install = True
    async with AsyncExitStack() as exits:

        async def start(**changes: Any) -> Connector:
            given = {
                "slack_bot_token": None,
                "slack_client_id": slack.state.client_id,
                "slack_client_secret": SecretStr(slack.state.client_secret),
                "zendesk_client_id": people.PUBLIC_CLIENT_ID,
                "zendesk_client_secret": None,
                "zendesk_webhook_secret": None,
                "connector_port": port,
                "connector_public_url": f"http://127.0.0.1:{port}",
            }
            changed = settings.model_copy(update=given | changes)
            connector = Connector(changed, replace(changed.bridge(), timing=QUICK, mend_every=0.1))
            await connector.start()
            exits.push_async_callback(connector.stop)
            return connector

        host = Host(connector=await start(), start=start)
        await host.connector.sides.bridge.request("activate", {"key": RECIPE}, "a test")
        yield host


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """Somebody's browser; whatever is shown, nothing of it comes from elsewhere and no policy is broken."""
    async with browser() as page:
        yield page
        assert [each for each in page.console if "404 (Not Found)" not in each] == []
        assert all(address.startswith("http://127.0.0.1:") for address in page.requests)


async def consent_at_slack(page: Page, link: str, answer: str = "#allow") -> str:
    """Follows a link to the end; returns what the last page says."""
    assert await page.goto(link) == 200
    await page.click("#continue")
    await page.click(answer)
    return await page.text()


async def until(truth: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await truth():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


async def test_from_nothing_to_a_message_with_both_services_connected_in_the_browser(
    host: Host, page: Page, slack: SlackServer, zendesk: ZendeskServer, tmp_path: Path
) -> None:
    readiness = await host.connector.sides.bridge.readiness()
    await until(lambda: _says(host, "slack", "not_connected"))
    assert not readiness.ok

    text = await consent_at_slack(page, (await host.connect("slack"))["link"])
    assert "Slack is connected" in text
    assert "Sandbox Support" in text
    assert "/invite @Zendesk Connector" in text
    assert "Send direct message" in text
    assert "Missing" not in text
    slack_row = await host.connection("slack")
    assert (slack_row["status"], slack_row["connected_by"]) == ("ok", f"{ADA.real_name} ({ADA.id})")
    assert slack_row["acts_as"] == "U0BOT00001"

    text = await consent_at_slack(page, (await host.connect("zendesk"))["link"])
    assert "Zendesk is connected" in text
    assert "made, subscribed to ticket.agent_assignment_changed" in text
    assert "its signature is good" in text
    assert (await host.connection("zendesk"))["status"] == "ok"
    assert (await host.connector.sides.bridge.readiness()).ok

    told = await zendesk.assign(people.GRINDER, people.NOOR)
    assert [each.status for each in told.deliveries] == [200]
    await host.connector.sides.bridge.idle()
    (message,) = slack.state.messages_to(NOOR_AT_SLACK.id)
    assert "Ticket 101 has been assigned to you" in message.text

    # All of it is there after a restart, and nothing of it can be read in the file.
    await host.restart()
    await until(lambda: _says(host, "zendesk", "ok"))
    secrets = [token for token in (*slack.state.tokens, *zendesk.state.tokens) if "sandbox-oauth" not in token]
    assert len(secrets) == 2
    files = await asyncio.to_thread(written, tmp_path)
    for secret in (*secrets, *zendesk.state.webhook_secrets.values()):
        assert secret.encode() not in files
    assert (tmp_path / "connector.db.key").stat().st_mode & 0o777 == 0o600


def written(folder: Path) -> bytes:
    """All that the database's files hold."""
    return b"".join(path.read_bytes() for path in folder.rglob("connector.db*") if path.suffix != ".key")


async def _says(host: Host, service: str, status: str) -> bool:
    return (await host.connection(service)).get("status") == status


async def test_refusing_connects_nothing_and_the_back_button_changes_nothing(
    host: Host, page: Page, slack: SlackServer
) -> None:
    link = (await host.connect("slack"))["link"]
    text = await consent_at_slack(page, link, "#cancel")
    assert "Slack was not connected" in text
    assert "connections connect slack" in text
    assert slack.state.tokens == {}
    assert await host.connector.sides.bridge.vault.get("slack") is None
    with pytest.raises(ConnectorError, match="refused or cancelled"):
        await host.ask("outcome", "slack", link=fingerprint(link.partition("link=")[2]))
    assert await page.goto(link) == 200
    assert "Slack was not connected" in await page.text()  # how far this browser came


async def test_another_workspace_is_refused_until_the_first_is_disconnected(
    host: Host, page: Page, slack: SlackServer
) -> None:
    slack.state.other_workspaces = [("T0OTHER", "Other Company")]
    await consent_at_slack(page, (await host.connect("slack"))["link"])
    first = await host.connector.sides.bridge.vault.get("slack")

    await page.goto((await host.connect("slack"))["link"])
    await page.click("#continue")
    await page.select("#workspace", "T0OTHER")
    await page.click("#allow")
    text = await page.text()
    assert "belongs to the workspace Sandbox Support, and you chose Other Company" in text
    assert await host.connector.sides.bridge.vault.get("slack") == first
    assert all(grant.workspace.id != "T0OTHER" for grant in slack.state.tokens.values())  # it was revoked

    await host.ask("disconnect", "slack")
    await page.goto((await host.connect("slack"))["link"])
    await page.click("#continue")
    await page.select("#workspace", "T0OTHER")
    await page.click("#allow")
    assert "Other Company" in await page.text()
    assert (await host.connection("slack"))["account"] == "Other Company"


async def test_the_pages_hold_no_secret_and_their_cookies_are_hardened(host: Host, page: Page) -> None:
    await page.goto((await host.connect("slack"))["link"])
    await page.click("#continue")
    (cookie,) = await page.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("connecting-slack", True, "Lax")
    await page.click("#allow")
    assert page.url.endswith("/slack/install")
    html = await page.tab.content()
    assert "xoxb-" not in html
    assert "<script" not in html
