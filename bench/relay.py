"""The bare relay: takes the webhook, makes the calls one after the other, keeps nothing. What is measured against it.

relay.py PORT ZENDESK_URL ZENDESK_TOKEN SLACK_API_URL SLACK_TOKEN
"""

import asyncio
import json
import sys
from typing import Any

import aiohttp
from aiohttp import web

PORT, ZENDESK, ZENDESK_TOKEN, SLACK, SLACK_TOKEN = sys.argv[1:]
SESSION = web.AppKey("session", aiohttp.ClientSession)
UNDER_WAY: set[asyncio.Task[None]] = set()


async def relay(session: aiohttp.ClientSession, event: dict[str, Any]) -> None:
    """One event: four reads of Zendesk, two calls of Slack."""

    async def read(path: str, name: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {ZENDESK_TOKEN}"}
        async with session.get(f"{ZENDESK}/api/v2/{path}", headers=headers) as answer:
            answer.raise_for_status()
            return dict((await answer.json())[name])

    async def call(request: Any, method: str, **arguments: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {SLACK_TOKEN}"}
        async with request(f"{SLACK}{method}", headers=headers, **arguments) as answer:
            said = dict(await answer.json())
        if not said["ok"]:
            raise RuntimeError(said["error"])
        return said

    ticket = await read(f"tickets/{event['detail']['id']}.json", "ticket")
    assignee = await read(f"users/{ticket['assignee_id']}.json", "user")
    requester = await read(f"users/{ticket['requester_id']}.json", "user")
    organization = await read(f"organizations/{requester['organization_id']}.json", "organization")
    found = await call(session.get, "users.lookupByEmail", params={"email": assignee["email"]})
    text = (
        f"Hi {assignee['name']}, Ticket {ticket['id']} has been assigned to you.\n{requester['name']} of"
        f" {organization['name']}: {ticket['subject']}\n{ticket['description']}"
    )
    await call(session.post, "chat.postMessage", json={"channel": found["user"]["id"], "text": text})


async def take(request: web.Request) -> web.Response:
    """The webhook: answered at once."""
    task = asyncio.create_task(relay(request.app[SESSION], json.loads(await request.read())))
    UNDER_WAY.add(task)
    task.add_done_callback(UNDER_WAY.discard)
    return web.Response()


async def main() -> web.Application:
    """The application."""
    app = web.Application()
    app[SESSION] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    app.router.add_post("/webhook/zd", take)
    return app


web.run_app(main(), host="127.0.0.1", port=int(PORT), print=None, access_log=None)
