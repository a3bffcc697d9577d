"""The Zendesk sandbox: a Zendesk account in memory, served over loopback HTTP, that also sends signed webhooks."""

import asyncio
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
from aiohttp import web

from zendesk_bridge.sandbox import (
    changes,
    consent,
    exports,
    people,
    routes,
    ticket_writes,
    token_routes,
    trigger_routes,
    webhook_routes,
    webhooks,
)
from zendesk_bridge.sandbox.asking import STATE
from zendesk_bridge.sandbox.gate import API, gate
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.state import ZendeskState
from zendesk_bridge.sandbox.webhooks import Delivery

MOST_BODY_BYTES = 1024 * 1024
ROUTES = (
    *routes.ROUTES,
    *exports.ROUTES,
    *webhook_routes.ROUTES,
    *trigger_routes.ROUTES,
    *ticket_writes.ROUTES,
    *token_routes.ROUTES,
)


class Told(NamedTuple):
    """An event, and what became of its deliveries."""

    event: Record
    deliveries: tuple[Delivery, ...]


class ZendeskServer:
    """A Zendesk account on this machine, for the command `sandbox`, for tests, and for authors of flows.

    `async with ZendeskServer() as zendesk:` serves it at `zendesk.url` until the block ends. `zendesk.state` is the
    account: read it, change it, add faults to it.
    """

    def __init__(self, state: ZendeskState | None = None) -> None:
        self.state = ZendeskState() if state is None else state
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._url = ""
        self._telling: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address, `http://127.0.0.1:PORT`, without a slash at its end."""
        if not self._url:
            raise RuntimeError("The Zendesk sandbox has not been started.")
        return self._url

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Starts serving; port 0 takes a free one."""
        app = web.Application(middlewares=[gate], client_max_size=MOST_BODY_BYTES)
        app[STATE] = self.state
        app[ticket_writes.TELL] = self._tell
        app[ticket_writes.ANSWERED] = {}
        app[consent.SHOWN] = {}
        for method, path, handler in ROUTES:
            # Zendesk takes every path with and without .json; an id therefore holds no full stop.
            pattern = API + path.replace("{id}", "{id:[^/.]+}")
            app.router.add_route(method, pattern, handler)
            app.router.add_route(method, pattern + ".json", handler)
        app.router.add_post("/oauth/tokens", token_routes.grant)
        app.router.add_get(consent.PAGE_PATH, consent.ask)
        app.router.add_post(consent.DECISION_PATH, consent.decide)
        session = app[webhook_routes.SESSION] = aiohttp.ClientSession()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await session.close()
            await runner.cleanup()
            raise
        self._runner = runner
        self._session = session
        shown_host = f"[{host}]" if ":" in host else host
        self._url = f"http://{shown_host}:{runner.addresses[0][1]}"
        self.state.url = self._url

    async def stop(self) -> None:
        """Stops serving, and the deliveries under way."""
        for task in list(self._telling):
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None
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

    async def assign(
        self, ticket_id: int, user_id: int | None, deliver: bool = True, *, actor_id: int = people.ADA
    ) -> Told:
        """Gives a ticket to an agent (None: to nobody), as `actor_id` would in Zendesk, and tells the webhooks.

        Raises LookupError for an unknown ticket or user, ValueError for somebody who is no agent or has it already.
        """
        event, *others = changes.assign(self.state, ticket_id, user_id, actor_id)
        return await self._told(event, others, deliver)

    async def create_ticket(self, subject: str, description: str, *, deliver: bool = True, **fields: Any) -> Told:
        """Makes a ticket (`fields` as of `ZendeskState.add_ticket`) and tells the webhooks; returns `ticket.created`.

        A ticket made with an assignee is told of twice, the second time as an assignment from nobody.
        """
        ticket = self.state.add_ticket(subject, description, **fields)
        event, *others = changes.created_events(self.state, ticket)
        return await self._told(event, others, deliver)

    async def deliver(self, event: Record, *, signed_at: float | None = None) -> tuple[Delivery, ...]:
        """Sends an event (again) to every active webhook that subscribes to its type or that a trigger notifies.

        `signed_at` (epoch seconds) dates the signature, to try what a late delivery does.
        """
        if self._session is None:
            raise RuntimeError("The Zendesk sandbox has not been started.")
        return await webhooks.deliver(self.state, self._session, event, signed_at)

    async def settle(self) -> None:
        """Waits until the events of writes over the API have been delivered."""
        await asyncio.gather(*self._telling)

    async def _told(self, event: Record, others: list[Record], deliver: bool) -> Told:
        if not deliver:
            return Told(event, ())
        deliveries = await self.deliver(event)
        for other in others:
            await self.deliver(other)
        return Told(event, deliveries)

    def _tell(self, events: list[Record]) -> None:
        async def tell() -> None:
            for event in events:
                await self.deliver(event)

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
