"""What tests of the Zendesk sandbox share: somebody who takes webhooks."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web


@dataclass
class Inbox:
    """Takes requests of any method and keeps their headers and bodies."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    status: int = 200

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((request.method, dict(request.headers), await request.read()))
        return web.Response(status=self.status, text="taken", headers={"X-Inbox": "yes"})

    @property
    def texts(self) -> list[str]:
        return [body.decode() for _, _, body in self.got]


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    inbox, app = Inbox(), web.Application()
    app.router.add_route("*", "/zendesk/events", inbox.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    inbox.url = f"http://127.0.0.1:{runner.addresses[0][1]}/zendesk/events"
    yield inbox
    await runner.cleanup()
