"""Plays the weather: a real connector between both sandboxes, started, disturbed and killed as planned."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from chaos_host import Host
from chaos_weather import Assignment, Moment, Pace, Spell, Trouble

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.records import Fault as SlackFault
from bolt_app.sandbox.records import Message
from zendesk_bridge.sandbox import ZendeskServer, people
from zendesk_bridge.sandbox.state import Fault as ZendeskFault

RECIPE, RELAY_FLOW = "notify-assigned-agents", "relay"
#: Tells of every assignment of the tickets that go back and forth, whoever has them by then.
RELAY_TEXT = """
key: relay
name: Tells of every assignment in turn
active: true
one_at_a_time: trigger.ticket_id
trigger:
  event: zendesk.ticket_agent_assignment_changed
  conditions:
    all:
      - {variable: trigger.subject, operator: is, value: Relay}
steps:
  - key: notify
    action: slack.post_message_to_channel
    inputs:
      channel: C0SUPPORT1
      message: "Relay {{ trigger.ticket_id }}: {{ trigger.assignee_id }} at {{ trigger.occurred_at }}"
"""
#: Seconds until Zendesk delivers again what was not taken.
AGAIN = 0.4
#: How long a token of Zendesk's lives: the connector gets a new one long before that.
TOKEN_SECONDS = 70


@dataclass(frozen=True, kw_only=True)
class Agent:
    """Somebody who gets tickets in Zendesk and messages in Slack."""

    name: str
    zendesk: int
    slack: str


@dataclass(frozen=True, kw_only=True)
class Try:
    """A delivery of a webhook: when it left, when its answer came, and what it was (None: there was none)."""

    left: float
    answered: float
    statuses: tuple[int | None, ...]

    @property
    def taken(self) -> bool:
        return any(status is not None and 200 <= status < 300 for status in self.statuses)


@dataclass(kw_only=True)
class Told:
    """An assignment that happened, and what became of its webhook."""

    assignment: Assignment
    ticket: int
    agent: Agent
    event: dict[str, Any]
    at: float
    # Whether the ticket goes back and forth.
    relay: bool
    tries: list[Try] = field(default_factory=list)

    @property
    def accepted_at(self) -> float | None:
        """When Zendesk first read a 2xx."""
        return next((each.answered for each in self.tries if each.taken), None)


class Storm:
    """One chaos run."""

    def __init__(
        self,
        folder: Path,
        slack: SlackServer,
        zendesk: ZendeskServer,
        spells: list[Spell],
        pace: Pace,
        families: frozenset[str],
        agents: int,
    ) -> None:
        self.slack, self.zendesk = slack.state, zendesk
        self.pace, self.families, self._spells = pace, families, spells
        environment = {
            "SLACK_BOT_TOKEN": slack.state.bot_token,
            "SLACK_SIGNING_SECRET": "a-signing-secret",
            "SLACK_API_URL": slack.url,
            "ZENDESK_API_URL": zendesk.url,
            "ZENDESK_CLIENT_ID": people.CLIENT_ID,
            "ZENDESK_CLIENT_SECRET": people.CLIENT_SECRET,
            "ZENDESK_POLL_SECONDS": str(pace.poll if "lost" in families else 0),
            "CONNECTOR_FLOWS": str(folder / "flows"),
        }
        self.host = Host(folder, environment, pace.looks)
        webhook = zendesk.state.add_webhook(f"http://127.0.0.1:{self.host.port}/zendesk/events")
        self.host.environment["ZENDESK_WEBHOOK_SECRET"] = zendesk.state.webhook_secrets[webhook["id"]]
        zendesk.state.token_seconds = TOKEN_SECONDS
        if pace.looks is not None:
            # A shorter minute: the newest is held back for less, and exports may be asked for more often.
            zendesk.state.withheld_seconds, zendesk.state.exports_per_minute = 1.0, 100
        (folder / "flows").mkdir()
        (folder / "flows" / "relay.yml").write_text(RELAY_TEXT)
        self.agents = [self._hire(number) for number in range(agents)]
        # What the audit reads.
        self.told: list[Told] = []
        self.kills: Counter[Moment] = Counter()
        self.refused_starts = 0
        self.exits: list[str] = []
        self.struck: Counter[tuple[str, str]] = Counter()
        self.tokens_ended = self.disks_filled = 0
        self.calm = True
        self.seconds = 0.0
        self._times = Counter(each.ticket for spell in spells for each in spell.assignments)
        # The plan's number of a ticket, and Zendesk's.
        self._tickets: dict[int, int] = {}
        self._faults: list[tuple[Trouble, SlackFault | ZendeskFault]] = []
        self._couriers: list[asyncio.Task[None]] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._trap: tuple[Moment, int] | None = None
        self.slack.on_message.append(self._on_message)

    def _hire(self, number: int) -> Agent:
        name = f"agent{number:02d}"
        user = self.zendesk.state.add_user(name.title(), f"{name}@example.com", role="agent")
        return Agent(name=name, zendesk=user["id"], slack=self.slack.add_person(name, f"{name}@example.com").id)

    async def play(self) -> None:
        """All of it: the weather, and the calm after it until everything has been done, or patience ends."""
        began = time.monotonic()
        await self.host.run("flows", "activate", RECIPE)
        for spell in self._spells:
            await self._live(spell)
        await self._clear()
        self.seconds = time.monotonic() - began

    # The weather

    async def _live(self, spell: Spell) -> None:
        """Starts the process, lets things happen to it, and kills it."""
        await self.host.start()
        self._schedule(spell)
        if spell.kill == "start":
            await asyncio.sleep(spell.life)
            self._kill("start")
        else:
            while not await self.host.started():
                await self._note_exit()
                await asyncio.sleep(AGAIN)
                await self.host.start()
            self._trap = None if spell.kill == "random" else (spell.kill, spell.number)
            process = self.host.process
            assert process is not None
            try:
                await asyncio.wait_for(process.wait(), spell.life * (1 if self._trap is None else 2))
            except TimeoutError:
                self._kill("random")
            self._trap = None
        await self.host.ended()
        await self._note_exit()

    def _schedule(self, spell: Spell) -> None:
        self.slack.history_lag = self.pace.lag if spell.lags else 0.0
        for assignment in spell.assignments:
            self._couriers.append(asyncio.create_task(self._tell(assignment)))
        for trouble in spell.troubles:
            self._later(trouble.at, partial(self._trouble, trouble))
        if spell.tokens_end is not None:
            self._later(spell.tokens_end, self._end_tokens)
        if spell.disk_full is not None and self.host.disk.kind is not None:
            at, seconds = spell.disk_full
            self._later(at, self._fill_disk)
            self._later(at + seconds, lambda: self.host.disk.free(self._pid))

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, what))

    def _trouble(self, trouble: Trouble) -> None:
        shared: dict[str, Any] = {"kind": trouble.kind, "times": trouble.times, "status": trouble.status}
        shared["delay"] = trouble.delay
        fault: SlackFault | ZendeskFault
        if trouble.service == "slack":
            fault = SlackFault(
                method=trouble.where,
                error=trouble.error,
                content_type=trouble.content_type,
                retry_after=trouble.retry_after,
                **shared,
            )
            self.slack.faults.append(fault)
        else:
            after = trouble.retry_after if trouble.kind in ("rate_limited", "status") else None
            fault = ZendeskFault(path=trouble.where, retry_after=after, after_work=trouble.after_work, **shared)
            self.zendesk.state.faults.append(fault)
        self._faults.append((trouble, fault))

    def _end_tokens(self) -> None:
        self.zendesk.state.expire_tokens()
        self.tokens_ended += 1

    def _fill_disk(self) -> None:
        self.host.disk.fill(self._pid)
        self.disks_filled += 1

    @property
    def _pid(self) -> int | None:
        process = self.host.process
        return process.pid if process is not None and process.returncode is None else None

    def _kill(self, moment: Moment) -> None:
        if self.host.kill():
            self.kills[moment] += 1

    def _on_message(self, message: Message) -> None:
        """Slack has stored a message, and has not answered."""
        if self._sprung("post"):
            self._kill("post")

    def _sprung(self, moment: Moment) -> bool:
        """Whether the process is to be killed at this message or delivery."""
        if self._trap is None or self._trap[0] != moment:
            return False
        self._trap = (moment, self._trap[1] - 1) if self._trap[1] > 1 else None
        return self._trap is None

    async def _note_exit(self) -> None:
        """A process that ended by itself: with a full disk it may, elsewhere it must not."""
        await self.host.ended()
        assert self.host.process is not None
        code = self.host.process.returncode
        if code == -9:
            return
        if self.disks_filled:
            self.refused_starts += 1
        else:
            self.exits.append(f"exit code {code}:\n" + "\n".join(list(self.host.said)[-30:]))

    # Zendesk's side

    async def _tell(self, assignment: Assignment) -> None:
        await asyncio.sleep(assignment.at)
        state, agent = self.zendesk.state, self.agents[assignment.agent]
        known = self._tickets.get(assignment.ticket)
        relay = self._times[assignment.ticket] > 1
        if known is None:
            subject = "Relay" if relay else f"Ticket number {assignment.ticket}"
            known = self._tickets[assignment.ticket] = state.add_ticket(subject, "…", requester_id=people.MIRA)["id"]
        happened = await self.zendesk.assign(known, agent.zendesk, deliver=False)
        told = Told(assignment=assignment, ticket=known, agent=agent, event=happened.event, at=time.time(), relay=relay)
        self.told.append(told)
        if assignment.lost:
            return
        await asyncio.sleep(assignment.delay)
        await self._deliver(told)
        while told.accepted_at is None:
            await asyncio.sleep(AGAIN)
            await self._deliver(told)
        for seconds in assignment.repeats:
            await asyncio.sleep(seconds)
            await self._deliver(told)

    async def _deliver(self, told: Told) -> None:
        if self._sprung("delivery"):
            self._later(0.002 * (1 + told.ticket % 10), lambda: self._kill("delivery"))
        left = time.time()
        (delivery,) = await self.zendesk.deliver(told.event)
        told.tries.append(Try(left=left, answered=time.time(), statuses=delivery.statuses))

    # The calm after it

    async def _clear(self) -> None:
        """Ends the weather, starts the connector once more, and waits until everything has been done."""
        for timer in self._timers:
            timer.cancel()
        self.host.disk.free(self._pid)
        self.slack.history_lag = 0.0
        for trouble, fault in self._faults:
            self.struck[trouble.service, trouble.kind] += trouble.times - fault.times
        self.slack.faults.clear()
        self.zendesk.state.faults.clear()
        await self.host.start()
        if not await self.host.started():
            raise RuntimeError("the connector does not start after the weather:\n" + "\n".join(self.host.said))
        self.calm = await self._within(self._undelivered) and await self._within(self._unfinished)
        for courier in self._couriers:
            if courier.done():
                courier.result()  # raises what went wrong here, and not in the connector
        if self.calm:  # else what is lost would come back
            # Zendesk may repeat any webhook at any time.
            for told in self.told:
                if not told.assignment.lost:
                    await self._deliver(told)
            self.calm = await self._within(self._unfinished)

    async def _within(self, left: Callable[[], int]) -> bool:
        """Waits until nothing is left to do; False where that gets no less for too long."""
        least, since = left(), time.monotonic()
        while now := left():
            if now < least:
                least, since = now, time.monotonic()
            if time.monotonic() > since + self.pace.patience:
                return False
            await asyncio.sleep(0.25)
        return True

    def _undelivered(self) -> int:
        return sum(not courier.done() for courier in self._couriers)

    def _unfinished(self) -> int:
        expected = len(self.told) + sum(told.relay for told in self.told)
        with closing(self.read()) as connection:
            counted = "select count(*), count(*) filter (where status in ('queued', 'running', 'waiting')) from runs"
            runs, under_way = connection.execute(counted).fetchone()
        return int(under_way + max(0, expected - runs))

    def _unpolled(self) -> int:
        with closing(self.read()) as connection:
            polled = connection.execute("select 1 from cursors").fetchone()
        return int("lost" in self.families and polled is None)

    def read(self) -> sqlite3.Connection:
        """The database, to read."""
        connection = sqlite3.connect(f"file:{self.host.database}?mode=ro", uri=True, timeout=5)
        connection.row_factory = sqlite3.Row
        return connection
