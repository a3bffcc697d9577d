"""Serves the sandbox's Slack workspace over HTTP on this machine, for the real Slack client to talk to."""

import asyncio
import base64
import json
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from bolt_app.sandbox import payloads
from bolt_app.sandbox.answering import Answer, Received, answer, rate_limited, refused
from bolt_app.sandbox.blocks import BlockError, check_blocks
from bolt_app.sandbox.consent import ConsentPage
from bolt_app.sandbox.records import Call, Fault
from bolt_app.sandbox.socket_mode import SocketHub
from bolt_app.sandbox.state import SlackState
from bolt_app.sandbox.web_call import Client

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
BROKEN_PAGE = "<!DOCTYPE html><html><head><title>Slack | Error</title></head><body><h1>Server Error</h1></body></html>"


class SlackServer:
    """A Slack in memory, behind the real client.

    ```python
    async with SlackServer() as slack:
        client = AsyncWebClient(token=slack.state.bot_token, base_url=slack.url, retry_handlers=[])
        await client.chat_postMessage(channel="#support", text="Hello")
        assert slack.state.posted()[0].text == "Hello"
    ```
    """

    def __init__(self, state: SlackState | None = None) -> None:
        self.state = state or SlackState()
        self.sockets = SocketHub(self.state)
        self._runner: web.AppRunner | None = None
        self._host = ""

    @property
    def url(self) -> str:
        """The `base_url` for Slack's client: "http://127.0.0.1:PORT/api/"."""
        return f"http://{self._host}/api/"

    @property
    def authorize_url(self) -> str:
        """Where an install link leads, without its query: "http://127.0.0.1:PORT/oauth/v2/authorize"."""
        return f"http://{self._host}/oauth/v2/authorize"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Begins to listen; port 0 takes a free one."""
        app = web.Application(client_max_size=10 * 1024 * 1024)
        app.router.add_route("*", "/api/{method}", self._api)
        consent = ConsentPage(self.state)
        app.router.add_get("/oauth/v2/authorize", consent.show)
        app.router.add_post("/oauth/v2/authorize", consent.answer)
        app.router.add_post("/response/{key}", self._response)
        app.router.add_get("/link", self.sockets.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self._host = f"{host}:{self._runner.addresses[0][1]}"
        self.state.address = f"http://{self._host}"

    async def stop(self) -> None:
        """Stops listening and closes what is open; what happened stays in `state`."""
        await self.sockets.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def socket_event(self, event: dict[str, Any], **how: Any) -> dict[str, Any]:
        """Sends an event over Socket Mode, wrapped if it is bare; returns the payload of the acknowledgement.

        `how`: `retry_attempt`, `retry_reason`, `timeout`.
        """
        payload = payloads.event_callback(self.state, event)
        return await self.sockets.send("events_api", payload, accepts_response=False, **how)

    async def socket_command(
        self, text: str, user_id: str, channel_id: str, command: str = "/action-flows", **how: Any
    ) -> dict[str, Any]:
        """Somebody types a slash command; returns what the app acknowledged it with."""
        payload = payloads.slash_command(self.state, text, user_id, channel_id, command)
        return await self.sockets.send("slash_commands", payload, accepts_response=True, **how)

    async def socket_interaction(self, payload: dict[str, Any], **how: Any) -> dict[str, Any]:
        """Sends a button press or a submitted modal, as `payloads` makes them."""
        return await self.sockets.send("interactive", payload, accepts_response=True, **how)

    async def _api(self, request: web.Request) -> web.StreamResponse:
        received = await self._read(request)
        fault = self.state.take_fault(received.name)
        if fault is None:
            given = answer(self.state, received, self.sockets.new_ticket)
            self._record(request, received, given, None)
            return _reply(given)
        if fault.delay and fault.kind != "slow_after":
            await asyncio.sleep(fault.delay)
        if fault.kind in ("error", "rate_limited"):
            given = rate_limited(fault.retry_after) if fault.kind == "rate_limited" else refused(fault.error or "")
            self._record(request, received, given, fault)
            return _reply(given)
        if fault.kind in ("http", "drop"):
            given = Answer(body={"ok": False, "error": None}, status=fault.status if fault.kind == "http" else 200)
        else:
            given = answer(self.state, received, self.sockets.new_ticket)
        self._record(request, received, given, fault)
        if fault.kind == "slow_after":
            await asyncio.sleep(fault.delay)
        return await _spoil(request, given, fault)

    async def _read(self, request: web.Request) -> Received:
        fields: dict[str, Any] = dict(request.query)
        json_fields: dict[str, Any] = {}
        error, warnings = None, []
        if request.can_read_body:
            if "Content-Type" not in request.headers:
                error = "missing_post_type"
            elif request.content_type in FORM_TYPES:
                fields |= {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
            elif request.content_type == "application/json":
                if request.charset is None:
                    warnings.append("missing_charset")
                try:
                    body = json.loads(await request.read())
                except ValueError:
                    body = None
                if isinstance(body, dict):
                    json_fields = body
                else:
                    error = "invalid_arguments"
            else:
                error = "invalid_post_type"
        token = fields.pop("token", None)
        json_fields.pop("token", None)  # in JSON Slack reads the token from the header only
        client = _client(request, fields)
        json_fields.pop("client_secret", None)
        kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
        return Received(
            name=request.match_info["method"],
            fields=fields,
            json_fields=json_fields,
            token=bearer.strip() if kind.lower() == "bearer" and bearer else token,
            host=self._host,
            client=client,
            error=error,
            warnings=tuple(warnings),
        )

    def _record(self, request: web.Request, received: Received, given: Answer, fault: Fault | None) -> None:
        self.state.calls.append(
            Call(
                method=received.name,
                arguments=received.arguments,
                verb=request.method,
                error=given.error if given.body.get("error") is not None else None,
                status=fault.status if fault and fault.kind in ("http", "http_after") else given.status,
                at=self.state.clock(),
                fault=fault.kind if fault else None,
            )
        )

    async def _response(self, request: web.Request) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return web.Response(status=400, text="invalid_payload")
        try:
            check_blocks(body.get("blocks") or [])
        except BlockError:
            return web.Response(status=400, text="invalid_blocks")
        if not self.state.take_response(request.match_info["key"], body):
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        return web.Response(text="ok")


def _client(request: web.Request, fields: dict[str, Any]) -> Client:
    """The app's id and secret, from HTTP Basic or from fields; the secret is taken out of the fields."""
    client_id, secret = str(fields.get("client_id") or ""), str(fields.pop("client_secret", ""))
    kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            client_id, secret = "", ""
    return Client(id=client_id, secret=secret)


def _reply(given: Answer) -> web.Response:
    return web.json_response(given.body, status=given.status, headers=dict(given.headers))


async def _spoil(request: web.Request, given: Answer, fault: Fault) -> web.StreamResponse:
    """The answer, or what the fault leaves of it."""
    if fault.kind in ("http", "http_after"):
        return web.Response(status=fault.status, text=BROKEN_PAGE, content_type=fault.content_type)
    if fault.kind in ("slow", "slow_after"):
        return _reply(given)
    if fault.kind == "half_body":
        whole = json.dumps(given.body).encode()
        half = web.StreamResponse(headers={"Content-Length": str(len(whole)), "Content-Type": "application/json"})
        await half.prepare(request)
        await half.write(whole[: len(whole) // 2])
        if request.transport is not None:
            request.transport.close()
        return half
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
