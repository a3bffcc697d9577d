"""The project's own sandboxes as stand-ins, and a load generator for them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from figures import Figures, Load, percentiles
from stand import SECRET, Runner, Services

from bolt_app.sandbox import Fault, SlackServer
from bolt_app.sandbox.limits import Limits
from bolt_app.sandbox.records import Message
from zendesk_bridge.sandbox import Fault as ZendeskFault
from zendesk_bridge.sandbox import ZendeskServer, people

AGENTS = 50
ABOUT = re.compile(r"Ticket (\d+) has been assigned")


class Sandboxes:
    """Both sandboxes in this process."""

    name = "the project's own sandboxes"

    def __init__(self, slack: SlackServer, zendesk: ZendeskServer) -> None:
        self._slack, self._zendesk = slack, zendesk
        self.services = Services(
            slack=slack.url,
            zendesk=zendesk.url,
            slack_token=slack.state.bot_token,
            zendesk_token=people.OAUTH_TOKEN,
        )
        self._agents = [self._agent(number) for number in range(AGENTS)]
        self._sent: dict[str, float] = {}
        self._arrived: Counter[str] = Counter()
        self._took: dict[str, float] = {}
        self._came = asyncio.Event()
        slack.state.on_message.append(self._message)

    def relay_command(self, port: int) -> list[str]:
        """How the relay is started."""
        own = self.services
        script = str(Path(__file__).with_name("relay.py"))
        return [sys.executable, script, str(port), own.zendesk, own.zendesk_token, own.slack, own.slack_token]

    def _agent(self, number: int) -> int:
        self._slack.state.add_person(f"agent{number}", f"agent{number}@bench.example")
        agent = self._zendesk.state.add_user(f"Agent {number}", f"agent{number}@bench.example", role="agent")
        return int(agent["id"])

    async def configure(self, **options: float) -> None:
        """Knows `latency_ms`, `zendesk_per_min`, `slack_limits` and `slack_workspace_per_min`."""
        latency = options.get("latency_ms", 0) / 1000
        faults = [Fault(method="*", kind="slow_after", delay=latency, times=1_000_000)] if latency else []
        self._slack.state.faults[:] = faults
        more = [ZendeskFault(path="*", kind="slow", delay=latency, times=-1)] if latency else []
        self._zendesk.state.faults[:] = more
        self._zendesk.state.requests_per_minute = int(options.get("zendesk_per_min", 0)) or 1_000_000
        a_minute = int(options.get("slack_workspace_per_min", 0)) or None
        self._slack.state.limits = Limits(posts_a_minute=a_minute) if options.get("slack_limits") else None

    async def send(self, runner: Runner, load: Load) -> Figures:
        """Sends events, waits for their messages, counts."""
        self._sent, self._took = {}, {}
        self._arrived.clear()
        self._slack.state.calls.clear()
        self._zendesk.state.calls.clear()
        answered: list[float] = []
        gate = asyncio.Semaphore(load.outstanding)
        cpu, began = runner.cpu(), time.monotonic()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one(number: int) -> None:
                if load.rate:
                    await asyncio.sleep(began + number / load.rate - time.monotonic())
                async with gate:
                    ticket, body = self._event(number)
                    self._sent[ticket] = time.monotonic()
                    with contextlib.suppress(aiohttp.ClientError):  # it was killed
                        async with session.post(runner.webhook, data=body, headers=signed(body)) as answer:
                            if answer.status == 200:
                                answered.append(time.monotonic() - self._sent[ticket])
                    if not load.burst:
                        await self._until(lambda: bool(self._arrived[ticket]), load.patience)

            await asyncio.gather(*(one(number) for number in range(load.events)))
        await self._until(lambda: len(self._arrived) >= len(answered), load.patience)
        seconds = time.monotonic() - began
        await asyncio.sleep(0.3)  # for duplicates
        once = sum(count == 1 for count in self._arrived.values())
        calls = [call for call in self._zendesk.state.calls if call.path.startswith("/api/v2/")]
        slack = self._slack.state.calls
        return Figures(
            accepted=len(answered),
            exactly_once=once,
            lost=len(answered) - len(self._arrived),
            duplicated=sum(count > 1 for count in self._arrived.values()),
            seconds=seconds,
            to_message=percentiles(self._took.values()),
            to_answer=percentiles(answered),
            cpu_ms=max(runner.cpu() - cpu, 0.0) * 1000 / load.events,
            zendesk_calls=len(calls) / load.events,
            slack_calls=len(slack) / load.events,
            refused=sum(call.status == 429 for call in calls) + sum(call.error == "ratelimited" for call in slack),
        )

    def _event(self, number: int) -> tuple[str, bytes]:
        state, agent = self._zendesk.state, self._agents[number % AGENTS]
        ticket = state.add_ticket(
            f"Ticket {number}",
            "It does not start any more.",
            requester_id=people.MIRA,
            organization_id=people.HARBOUR_COFFEE,
            assignee_id=agent,
        )
        event = {
            "type": "zen:event-type:ticket.agent_assignment_changed",
            "id": f"bench-{ticket['id']}",
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "subject": f"zen:ticket:{ticket['id']}",
            "zendesk_event_version": "2022-11-06",
            "detail": {"id": str(ticket["id"]), "assignee_id": str(agent)},
            "event": {"current": str(agent), "previous": None},
        }
        return str(ticket["id"]), json.dumps(event).encode()

    def _message(self, message: Message) -> None:
        found = ABOUT.search(message.text)
        if found and found[1] in self._sent:
            self._arrived[found[1]] += 1
            self._took.setdefault(found[1], time.monotonic() - self._sent[found[1]])
            self._came.set()

    async def _until(self, holds: object, patience: float) -> None:
        assert callable(holds)
        while not holds():
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), patience)
            except TimeoutError:
                return


def signed(body: bytes) -> dict[str, str]:
    """The headers of Zendesk's webhook."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    signature = base64.b64encode(hmac.new(SECRET.encode(), stamp.encode() + body, hashlib.sha256).digest()).decode()
    return {
        "X-Zendesk-Webhook-Signature": signature,
        "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        "Content-Type": "application/json",
    }


@asynccontextmanager
async def sandboxes() -> AsyncIterator[Sandboxes]:
    """Starts both."""
    async with SlackServer() as slack, ZendeskServer() as zendesk:
        yield Sandboxes(slack, zendesk)
