"""The Bolt app, and the web application that serves it and Zendesk's webhook."""

from __future__ import annotations

import logging

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.error import BoltError
from slack_sdk.web.async_client import AsyncWebClient

from bolt_app.listeners import register_listeners
from zendesk_bridge.bridge import Bridge

log = logging.getLogger(__name__)

#: The largest request body that is read, in bytes.
BODY_LIMIT = 1024 * 1024


def bolt_app(web_client: AsyncWebClient, signing_secret: str | None, bridge: Bridge) -> AsyncApp:
    """The Bolt app with all its listeners. Requests to it are refused where there is no token to answer with."""
    if web_client.token is None:
        app = AsyncApp(client=web_client, signing_secret=signing_secret or "", authorize=_nobody)
    else:
        app = AsyncApp(client=web_client, signing_secret=signing_secret or "")
    register_listeners(app, bridge)
    return app


async def _nobody() -> AuthorizeResult:
    raise BoltError("Slack is not connected yet")


def web_application(bridge: Bridge, slack: AsyncApp | None, *, health: bool) -> web.Application:
    """The routes the world reaches.

    Args:
        slack: the Bolt app where Slack comes over HTTP; None in Socket Mode.
        health: whether `/healthz`, `/readyz` and `/metrics` are here, or on a port of their own.
    """
    application = web.Application(client_max_size=BODY_LIMIT)

    async def zendesk_events(request: web.Request) -> web.Response:
        if (request.content_length or 0) > BODY_LIMIT:
            raise web.HTTPRequestEntityTooLarge(BODY_LIMIT, request.content_length or 0)
        status = await bridge.receive_webhook(request.headers, await request.read())
        return web.Response(status=status, headers={"Retry-After": "30"} if status == 503 else None)

    application.router.add_post("/zendesk/events", zendesk_events)
    if slack is not None:

        async def slack_events(request: web.Request) -> web.Response:
            return await to_aiohttp_response(await slack.async_dispatch(await to_bolt_request(request)))

        application.router.add_post("/slack/events", slack_events)
    if health:
        add_health(application, bridge)
    return application


def health_application(bridge: Bridge) -> web.Application:
    """The routes for the host alone, where they have a port of their own."""
    application = web.Application()
    add_health(application, bridge)
    return application


def add_health(application: web.Application, bridge: Bridge) -> None:
    """`/healthz` for routing traffic, `/readyz` for people and alerts, `/metrics` for Prometheus."""

    async def healthz(request: web.Request) -> web.Response:
        stored = await bridge.can_store()
        return web.json_response({"ok": stored}, status=200 if stored else 503)

    async def readyz(request: web.Request) -> web.Response:
        readiness = await bridge.readiness()
        return web.json_response(readiness.as_json(), status=200 if readiness.ok else 503)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(
            body=bridge.metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
