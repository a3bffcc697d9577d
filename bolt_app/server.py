"""The running connector: opens the database, listens, and ends in good order."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
from contextlib import AsyncExitStack

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_sdk.errors import SlackApiError

from bolt_app.app import bolt_app, health_application, web_application
from bolt_app.composition import Sides, parts_of, wire
from bolt_app.connecting.site import Site, SlackLinker, ZendeskLinker
from bolt_app.settings import Settings
from bolt_app.slack_errors import CODE
from zendesk_bridge.bridge import BridgeSettings
from zendesk_bridge.flows.errors import ConnectorError, SettingsError

log = logging.getLogger(__name__)


class Connector:
    """A connector that serves. `start` returns when it takes events; `stop` ends it."""

    def __init__(self, settings: Settings, bridge_settings: BridgeSettings | None = None) -> None:
        self._settings = settings
        self.sides: Sides = wire(settings, bridge_settings)
        self._exits = AsyncExitStack()
        #: Where it listens, once it does.
        self.url = ""
        #: Where the routes for the host are, if they have a port of their own.
        self.admin_url = ""

    async def start(self) -> None:
        """Raises Locked, StorageError, SettingsError where the port is taken."""
        settings, sides = self._settings, self.sides
        try:
            await sides.slack.start()
            self._exits.push_async_callback(sides.slack.close)
            await sides.bridge.open()
            self._exits.push_async_callback(sides.bridge.stop)
            secret = settings.slack_signing_secret.get_secret_value() if settings.slack_signing_secret else None
            parts = parts_of(sides, settings)
            await parts.inbox.open()
            slack = bolt_app(parts, secret)
            over_http = not settings.socket_mode and secret is not None
            own_port = settings.connector_admin_port is not None
            site = Site(sides.installer, sides.bridge.linking, settings.connector_public_url)
            application = web_application(sides.bridge, slack if over_http else None, health=not own_port, site=site)
            self.url = await self._listen(
                application, "CONNECTOR_PORT", settings.connector_host, settings.connector_port
            )
            if settings.connector_admin_port is not None:
                self.admin_url = await self._listen(
                    health_application(sides.bridge), "CONNECTOR_ADMIN_PORT", "127.0.0.1", settings.connector_admin_port
                )
            site.listens_at(self.url)
            needs_public_url = not (settings.connector_public_url or settings.is_slack_on_this_machine)
            sides.bridge.linkers["slack"] = SlackLinker(site, sides.installer, needs_public_url=needs_public_url)
            everywhere = settings.connector_public_url is None and settings.connector_host in ("0.0.0.0", "::")  # noqa: S104
            sides.bridge.linkers["zendesk"] = ZendeskLinker(site, sides.bridge, needs_public_url=everywhere)
            await self._load()
            await sides.bridge.start()
            self._exits.push_async_callback(parts.background.stop)
            await parts.homes.start()
            self._exits.push_async_callback(parts.homes.stop)
            parts.inbox.start(slack)
            self._exits.push_async_callback(parts.inbox.stop)
            if settings.slack_app_token is not None:
                handler = AsyncSocketModeHandler(
                    slack, settings.slack_app_token.get_secret_value(), logger=_brief_log()
                )
                self._exits.push_async_callback(handler.close_async)
                self._exits.callback(asyncio.create_task(_connect(handler), name="socket-mode").cancel)
        except BaseException:
            await self._exits.aclose()
            raise

    async def _load(self) -> None:
        try:
            await self.sides.installer.load()
        except ConnectorError as problem:  # the connection shows it, and the rest works
            log.warning("%s. %s", problem.message, problem.hint)

    async def stop(self) -> None:
        """Stops accepting, lets calls under way finish, lets go of the database."""
        await self._exits.aclose()

    async def _listen(self, application: web.Application, setting: str, host: str, port: int) -> str:
        # Signatures are over the bytes as they came, so nothing is unpacked; neither service packs anything.
        runner = web.AppRunner(
            application,
            access_log=None,
            logger=_http_log(),
            shutdown_timeout=5.0,
            lingering_time=1.0,
            auto_decompress=False,
        )
        await runner.setup()
        self._exits.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except socket.gaierror as problem:
            raise SettingsError([f"CONNECTOR_HOST: {host} is no address of this machine"]) from problem
        except OSError as problem:
            reason = os.strerror(problem.errno) if problem.errno else str(problem)
            raise SettingsError([f"{setting}: {host}:{port} cannot be used: {reason}"]) from problem
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{runner.addresses[0][1]}"


async def _connect(handler: AsyncSocketModeHandler) -> None:
    """Connects Socket Mode, however long Slack is not to be reached: the SDK tries again by itself."""
    await handler.connect_async()  # type: ignore[no-untyped-call]
    log.info("Socket Mode: connected")


def _http_log() -> logging.Logger:
    """Where aiohttp logs what is wrong with requests: but not of what is no HTTP: anybody can send that."""
    http = log.getChild("http")
    http.addFilter(_is_http)
    return http


def _is_http(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _brief_log() -> logging.Logger:
    """Where Slack's SDK logs what Socket Mode does: a line each, where it would write a traceback every ten seconds."""
    brief = log.getChild("socket_mode")
    brief.addFilter(_in_brief)
    brief.setLevel(logging.WARNING)
    return brief


def _in_brief(record: logging.LogRecord) -> bool:
    # Addresses of Socket Mode hold a ticket that opens it.
    text = re.sub(r"\?\S*", "?…", " ".join(record.getMessage().split()))
    record.msg, record.args, record.exc_info = f"Socket Mode: {text}", (), None
    # Said twice, the second time with what is done about it.
    return not text.startswith("Failed to retrieve WSS URL")


async def try_app_token(sides: Sides, token: str) -> str | None:
    """Whether Slack takes the token for Socket Mode: None, or what it answers. `sides.slack` is started."""
    try:
        await sides.slack.web.apps_connections_open(app_token=token)
    except SlackApiError as problem:
        return f"Slack answered {_code(problem)}: Basic Information > App-Level Tokens; it begins with xapp-"
    except Exception as problem:
        return f"Slack cannot be reached ({type(problem).__name__})"
    return None


def _code(problem: SlackApiError) -> str:
    # A body that is no JSON arrives as text.
    data = getattr(problem.response, "data", None)
    code = data.get("error") if isinstance(data, dict) else None
    return code if isinstance(code, str) and CODE.fullmatch(code) else "something that is not Slack's"


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; reads flow files again on SIGHUP. Raises what `Connector.start` raises."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    connector = Connector(settings)
    syncs: set[asyncio.Task[None]] = set()
    ready = False

    def sync() -> None:
        if ready:  # the start reads the files itself
            task = loop.create_task(_sync(connector))
            syncs.add(task)
            task.add_done_callback(syncs.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, sync)
    await connector.start()
    ready = True
    for name, message in settings.warnings():
        log.warning("%s: %s", name, message)
    log.info("ready: listening on %s", connector.url)
    if connector.admin_url:
        log.info("health and metrics on %s", connector.admin_url)
    await ended.wait()
    log.info("stopping")
    await connector.stop()
    log.info("stopped")


async def _sync(connector: Connector) -> None:
    try:
        answer = await connector.sides.bridge.request("sync", {}, "SIGHUP")
    except ConnectorError as problem:
        log.warning("the flow files were not read again: %s", problem.message)
    else:
        log.info("flow files read again; flows: %d, problems: %d", len(answer["flows"]), len(answer["problems"]))
