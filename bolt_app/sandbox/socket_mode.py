"""The sandbox's end of Socket Mode: it sends envelopes over a websocket and collects the acknowledgements."""

import asyncio
import json
import secrets
from typing import Any

from aiohttp import WSMsgType, web

from bolt_app.sandbox.people import APP_ID
from bolt_app.sandbox.state import SlackState


class SocketHub:
    """The websockets that apps opened, and the envelopes sent over them."""

    def __init__(self, state: SlackState) -> None:
        self.state = state
        # Every acknowledgement received, oldest first.
        self.acks: list[dict[str, Any]] = []
        self._tickets: set[str] = set()
        self._connections: list[web.WebSocketResponse] = []
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._connected = asyncio.Event()
        self._sent = 0

    def new_ticket(self) -> str:
        """A ticket that opens one websocket."""
        ticket = secrets.token_hex(8)
        self._tickets.add(ticket)
        return ticket

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serves /link."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403, text="invalid ticket")
        self._tickets.discard(ticket)
        link = web.WebSocketResponse()
        await link.prepare(request)
        self._connections.append(link)
        await link.send_json(
            {
                "type": "hello",
                "num_connections": len(self._connections),
                "connection_info": {"app_id": APP_ID},
                "debug_info": {"host": "applink-sandbox", "build_number": 1, "approximate_connection_time": 18060},
            }
        )
        self._connected.set()
        try:
            async for received in link:
                if received.type is WSMsgType.TEXT:
                    self._take(received.data)
        finally:
            self._connections.remove(link)
            if not self._connections:
                self._connected.clear()
        return link

    async def wait_connected(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Returns once an app is connected; TimeoutError if none comes."""
        async with asyncio.timeout(timeout):
            await self._connected.wait()

    async def send(
        self,
        kind: str,
        payload: dict[str, Any],
        *,
        accepts_response: bool,
        retry_attempt: int = 0,
        retry_reason: str = "",
        timeout: float = 3.0,  # noqa: ASYNC109
    ) -> dict[str, Any]:
        """Sends one envelope and returns the payload of its acknowledgement; TimeoutError if there is none in time."""
        await self.wait_connected()
        self._sent += 1
        envelope_id = f"{self._sent:08x}-5a4d-4b0c-8e5a-{secrets.token_hex(6)}"
        envelope: dict[str, Any] = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": accepts_response,
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": retry_attempt, "retry_reason": retry_reason}
        ack: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[envelope_id] = ack
        # Slack gives each envelope to one connection, whichever.
        link = self._connections[self._sent % len(self._connections)]
        try:
            await link.send_json(envelope)
            async with asyncio.timeout(timeout):
                return await ack
        finally:
            self._pending.pop(envelope_id, None)

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Tells the apps to connect anew, as Slack does every few hours, and closes."""
        for link in list(self._connections):
            await link.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-sandbox"}})
            await link.close()

    async def close(self) -> None:
        """Closes the websockets without a word."""
        for link in list(self._connections):
            await link.close()

    def _take(self, data: str) -> None:
        try:
            ack = json.loads(data)
        except ValueError:
            return
        if not isinstance(ack, dict) or "envelope_id" not in ack:
            return
        self.acks.append(ack)
        waiting = self._pending.get(ack["envelope_id"])
        if waiting is not None and not waiting.done():
            waiting.set_result(ack.get("payload") or {})
