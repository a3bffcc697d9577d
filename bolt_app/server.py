"""The running connector: opens the database, listens, and ends in good order."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack

from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler

from bolt_app.app import bolt_app, health_application, web_application
from bolt_app.composition import Sides, wire
from bolt_app.settings import Settings
from zendesk_bridge.bridge import BridgeSettings
from zendesk_bridge.flows.errors import SettingsError

log = logging.getLogger(__name__)


class Connector:
    """A connector that serves. `start` returns when it takes events; `stop` ends it."""

    def __init__(self, settings: Settings, bridge_settings: BridgeSettings | None = None) -> None:
        self._settings = settings
        self.sides: Sides = wire(settings, bridge_settings)
        self._exits = AsyncExitStack()
        #: Where it listens, once it does.
        self.url = ""

    async def start(self) -> None:
        """Raises Locked, StorageError, SettingsError where the port is taken."""
        settings, sides = self._settings, self.sides
        try:
            await sides.slack.start()
            self._exits.push_async_callback(sides.slack.close)
            await sides.bridge.start()
            self._exits.push_async_callback(sides.bridge.stop)
            secret = settings.slack_signing_secret.get_secret_value() if settings.slack_signing_secret else None
            slack = bolt_app(sides.slack.web, secret, sides.bridge)
            over_http = not settings.socket_mode and secret is not None
            own_port = settings.connector_admin_port is not None
            application = web_application(sides.bridge, slack if over_http else None, health=not own_port)
            self.url = await self._listen(application, settings.connector_host, settings.connector_port)
            if settings.connector_admin_port is not None:
                await self._listen(health_application(sides.bridge), "127.0.0.1", settings.connector_admin_port)
            if settings.slack_app_token is not None and settings.slack_bot_token is not None:
                handler = AsyncSocketModeHandler(slack, settings.slack_app_token.get_secret_value())
                self._exits.push_async_callback(handler.close_async)
                self._exits.callback(asyncio.create_task(_connect(handler), name="socket-mode").cancel)
        except BaseException:
            await self._exits.aclose()
            raise

    async def stop(self) -> None:
        """Stops accepting, lets calls under way finish, lets go of the database."""
        await self._exits.aclose()

    async def _listen(self, application: web.Application, host: str, port: int) -> str:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        self._exits.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as problem:
            raise SettingsError([f"CONNECTOR_PORT: {host}:{port} cannot be used: {problem.strerror}"]) from problem
        actual = runner.addresses[0][1]
        return f"http://{host}:{actual}"


async def _connect(handler: AsyncSocketModeHandler) -> None:
    """Connects Socket Mode, however long Slack is not to be reached."""
    pause = 1.0
    while True:
        try:
            await handler.connect_async()  # type: ignore[no-untyped-call]
        except Exception as problem:
            log.warning("Socket Mode: Slack is not to be reached (%s); trying again", type(problem).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 30.0)
        else:
            log.info("Socket Mode: connected")
            return


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; reads flow files again on SIGHUP. Raises what `Connector.start` raises."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    connector = Connector(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await connector.start()
    syncs: set[asyncio.Task[object]] = set()

    def sync() -> None:
        task: asyncio.Task[object] = loop.create_task(connector.sides.bridge.request("sync", {}, "SIGHUP"))
        syncs.add(task)
        task.add_done_callback(syncs.discard)

    loop.add_signal_handler(signal.SIGHUP, sync)
    for name, message in settings.warnings():
        log.warning("%s: %s", name, message)
    log.info("ready: listening on %s", connector.url)
    await ended.wait()
    log.info("stopping")
    await connector.stop()
    log.info("stopped")
