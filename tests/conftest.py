"""What several tests need: the folder of recorded input, both sandboxes, a connector between them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from driving import Drive
from pydantic import SecretStr

from bolt_app.sandbox import SlackServer
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.bridge import Timing
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.sandbox import ZendeskServer, people

RECIPE = "notify-assigned-agents"
SECRET = "a webhook's signing secret"

#: The engine's waits, short enough for a test to sit through.
QUICK = Timing(looks=(0.3, 0.6), retry_first=0.02, retry_longest=0.1)


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """The folder of recorded answers and official schemas."""
    folder = os.environ.get("CONNECTOR_FIXTURES")
    if not folder:
        pytest.skip("CONNECTOR_FIXTURES names no folder of recorded answers")
    return Path(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    """Where the recorded input must be there, a skipped test of it has failed; and what a test wrote can be shown."""
    report = yield
    if report.skipped and item.get_closest_marker("real_input") and os.environ.get("CONNECTOR_FIXTURES_REQUIRED"):
        report.outcome = "failed"
        report.longrepr = "skipped, where recorded input is required"
    # Halves of characters, which some tests write, do not pass from one process to another.
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was left out, in a line."""
    if not os.environ.get("CONNECTOR_FIXTURES"):
        terminalreporter.write_line("Comparisons with recorded input were skipped: CONNECTOR_FIXTURES names no folder.")


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """A database."""
    journal = Journal(tmp_path / "connector.db")
    await journal.open()
    yield journal
    await journal.close()


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    """A Slack in memory."""
    async with SlackServer() as server:
        yield server


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskServer]:
    """A Zendesk in memory."""
    async with ZendeskServer() as server:
        yield server


@pytest.fixture
def settings(slack: SlackServer, zendesk: ZendeskServer, tmp_path: Path) -> Settings:
    """Settings for a connector between the two sandboxes, free of what the environment says."""
    return Settings.model_construct(
        slack_bot_token=SecretStr(slack.state.bot_token),
        slack_signing_secret=SecretStr("slack signing secret"),
        slack_api_url=slack.url,
        zendesk_subdomain="harbour",
        zendesk_api_url=zendesk.url,
        zendesk_client_id=people.CLIENT_ID,
        zendesk_client_secret=SecretStr(people.CLIENT_SECRET),
        zendesk_webhook_secret=SecretStr(SECRET),
        # Tests of the polls have their own, quicker.
        zendesk_poll_seconds=0.0,
        connector_database=tmp_path / "connector.db",
        connector_port=0,
    )


StartConnector = Callable[..., Awaitable[Connector]]


@pytest.fixture
async def start_connector(settings: Settings, zendesk: ZendeskServer) -> AsyncIterator[StartConnector]:
    """Starts connectors with quick waits, the recipe active and the webhook made; stops them in the end."""
    async with AsyncExitStack() as exits:

        async def start(*, recipe: bool = True, timing: Timing = QUICK, **changes: Any) -> Connector:
            changed = settings.model_copy(update=changes)
            connector = Connector(changed, replace(changed.bridge(), timing=timing, mend_every=0.05))
            await connector.start()
            exits.push_async_callback(connector.stop)
            if recipe:
                await connector.sides.bridge.request("activate", {"key": RECIPE}, "a test")
            zendesk.state.webhooks.clear()
            zendesk.state.add_webhook(
                f"{connector.url}/zendesk/events", secret=SECRET, subscriptions=[people.ASSIGNMENT_CHANGED]
            )
            return connector

        yield start


@pytest.fixture(params=[False, True], ids=["over HTTP", "over Socket Mode"])
async def drive(request: pytest.FixtureRequest, start_connector: StartConnector, slack: SlackServer) -> Drive:
    """Somebody in Slack, with the connector between the sandboxes: over HTTP, and once more over Socket Mode."""
    how: dict[str, Any] = {}
    if request.param:
        how = {"slack_app_token": SecretStr("xapp-sandbox"), "slack_signing_secret": None}
    connector = await start_connector(**how)
    if request.param:
        await slack.sockets.wait_connected()
    return Drive(slack=slack, connector=connector, socket_mode=request.param)


@pytest.fixture
async def connector(start_connector: StartConnector) -> Connector:
    """A connector between the two sandboxes, the recipe active."""
    return await start_connector()
