"""The Bolt app, and the web application that serves it and Zendesk's webhook."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse

from bolt_app.connecting.site import Site
from bolt_app.listeners import register_listeners
from bolt_app.parts import Parts
from bolt_app.requests import BODY_LIMIT, request_body, request_expectation
from zendesk_bridge.bridge import Bridge
from zendesk_bridge.flows.errors import ConnectorError

log = logging.getLogger(__name__)

#: How long a request waits for Slack to say who the app is, in seconds, where that is not known yet.
IDENTITY_WITHIN = 0.7


def bolt_app(parts: Parts, signing_secret: str | None) -> AsyncApp:
    """The Bolt app with all its listeners."""
    slack = parts.slack

    async def authorize(team_id: str | None) -> AuthorizeResult:
        try:
            async with asyncio.timeout(IDENTITY_WITHIN):
                identity = await slack.identity()
        except (ConnectorError, TimeoutError) as problem:
            # An outage must not silence the app: whatever needs to know who it is asks again.
            log.warning("Slack does not say who the app is: %s", problem)
            return AuthorizeResult(enterprise_id=None, team_id=team_id, bot_token=slack.web.token)
        return AuthorizeResult(
            enterprise_id=None,
            team_id=identity.team_id,
            bot_user_id=identity.user_id,
            bot_id=identity.bot_id,
            bot_token=slack.web.token,
        )

    # Without a token of its own: that is `authorize`'s to say, with each request.
    client = slack.nobody()
    with _no_slack_variables():
        app = AsyncApp(
            name="zendesk-connector", client=client, signing_secret=signing_secret or "", authorize=authorize
        )

    @app.error
    async def failed(error: Exception) -> BoltResponse:
        # Slack sends an event again that was answered so.
        if isinstance(error, ConnectorError):
            log.warning("a request of Slack's cannot be handled now: %s", error.message)
        else:
            log.error("a request of Slack's met a defect of this software", exc_info=error)
        return BoltResponse(status=503)

    register_listeners(app, parts)
    return app


@contextmanager
def _no_slack_variables() -> Iterator[None]:
    """Hides what Bolt reads from the environment unasked: with SLACK_CLIENT_ID it would look for token files."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLACK_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


def web_application(
    bridge: Bridge, slack: AsyncApp | None, *, health: bool, site: Site | None = None
) -> web.Application:
    """The routes the world reaches.

    Args:
        slack: the Bolt app where Slack comes over HTTP; None in Socket Mode.
        site: the pages of connecting.
        health: whether `/healthz`, `/readyz` and `/metrics` are here, or on a port of their own.
    """
    # One more: some releases of aiohttp refuse what is as large as their limit.
    application = web.Application(client_max_size=BODY_LIMIT + 1)

    async def zendesk_events(request: web.Request) -> web.Response:
        status = await bridge.receive_webhook(request.headers, await request_body(request))
        return web.Response(status=status, headers={"Retry-After": "30"} if status == 503 else None)

    application.router.add_post("/zendesk/events", zendesk_events, expect_handler=request_expectation)
    if slack is not None:

        async def slack_events(request: web.Request) -> web.Response:
            body = await request_body(request)
            if not _could_be_signed(request):
                raise web.HTTPUnauthorized
            try:
                text = body.decode()
                given = AsyncBoltRequest(body=text, query=request.query_string, headers=_headers(request))
            except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as problem:
                # Bolt reads the body before it looks at the signature, and trusts it to be Slack's.
                raise web.HTTPBadRequest(text="This is no request of Slack's.") from problem
            return await to_aiohttp_response(await slack.async_dispatch(given))

        application.router.add_post("/slack/events", slack_events, expect_handler=request_expectation)
    if site is not None:
        site.add_routes(application)
    if health:
        add_health(application, bridge)
    return application


def _could_be_signed(request: web.Request) -> bool:
    """Whether the signature's headers are of a kind that Bolt can compare."""
    stamp = request.headers.get("X-Slack-Request-Timestamp", "0")
    is_time = stamp.isascii() and stamp.isdigit() and len(stamp) <= 20
    return is_time and request.headers.get("X-Slack-Signature", "").isascii()


def _headers(request: web.Request) -> dict[str, str | Sequence[str]]:
    return {name: request.headers.getall(name) for name in request.headers}


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
            body=await bridge.metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
