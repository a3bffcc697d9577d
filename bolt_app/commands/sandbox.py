"""`zendesk-connector sandbox`: the main job on this machine alone, with a Slack and a Zendesk in memory."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
import tempfile
import termios
import tty
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bolt_app import logs
from bolt_app.commands import display, messages
from bolt_app.markup import spans
from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.records import Message
from bolt_app.server import Connector
from bolt_app.settings import Settings
from bolt_app.watching import watch
from zendesk_bridge.flows.errors import ConnectorError, SettingsError
from zendesk_bridge.sandbox import ZendeskServer, people

RECIPE = "notify-assigned-agents"
#: How long a message may take, in seconds. It takes a few hundredths of one.
ARRIVES_WITHIN = 15.0
#: Ctrl-D and Ctrl-C, where they arrive as characters.
ENDS = ("\x04", "\x03")
END = ENDS[0]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A Slack, a Zendesk and the connector between them, all running."""

    slack: SlackServer
    zendesk: ZendeskServer
    connector: Connector
    database: Path
    # With it both services sign what they send the connector.
    secret: str


def play(once: bool) -> int:
    """Plays until `q` is pressed, the input ends, or, with `once`, one message was shown; returns the exit code."""
    logs.configure(logging.ERROR)  # what is secret here is made up, and new each time
    try:
        return asyncio.run(_play(once))
    except KeyboardInterrupt:
        return 0


async def _play(once: bool) -> int:
    async with stage() as on:
        await on.connector.sides.bridge.request("activate", {"key": RECIPE}, "sandbox")
        on.zendesk.state.add_webhook(
            f"{on.connector.url}/zendesk/events", secret=on.secret, subscriptions=[people.ASSIGNMENT_CHANGED]
        )
        display.sandbox_opened(on.slack.url, on.zendesk.url, on.connector.url)
        turns = itertools.cycle(zip(people.SAMPLE_TICKETS, itertools.cycle((people.NOOR, people.BEN)), strict=False))
        good = await _assign(on, *next(turns))
        if not once:
            display.sandbox_keys(str(on.database))
            async for key in _keys():
                if key == "q":
                    break
                if key == "a":
                    good = await _assign(on, *next(turns)) and good
                    display.sandbox_keys(None)
    return 0 if good else 1


@asynccontextmanager
async def stage(flows: Mapping[str, str] | None = None, **settings: Any) -> AsyncIterator[Stage]:
    """Starts everything on free ports of this machine, with a database of its own; takes it down again.

    Args:
        flows: the texts of flow files, by the files' names; without any there is the recipe as it is shipped.
        settings: beside those that are needed.

    Raises:
        ConnectorError: a port or a folder cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="zendesk-connector-") as folder:
        database = Path(folder) / "sandbox.db"
        for name, text in (flows or {}).items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        async with AsyncExitStack() as exits:
            slack, zendesk = SlackServer(), ZendeskServer()
            secret = people.made_up_secret()
            try:
                await exits.enter_async_context(slack)
                await exits.enter_async_context(zendesk)
                connector = Connector(_settings(slack, zendesk, secret, database, settings))
                await connector.start()
            except (OSError, SettingsError) as problem:
                reason = problem.strerror if isinstance(problem, OSError) else problem
                hint = "It needs three free ports on 127.0.0.1."
                raise ConnectorError("no_sandbox", f"The sandbox cannot listen: {reason}", hint=hint) from problem
            exits.push_async_callback(connector.stop)
            yield Stage(slack=slack, zendesk=zendesk, connector=connector, database=database, secret=secret)


def _settings(
    slack: SlackServer, zendesk: ZendeskServer, secret: str, database: Path, more: Mapping[str, Any]
) -> Settings:
    # Built by hand: what the environment and `.env` say is about real accounts.
    needed: dict[str, Any] = {
        "slack_bot_token": SecretStr(slack.state.bot_token),
        "slack_signing_secret": SecretStr(secret),
        "slack_api_url": slack.url,
        "zendesk_subdomain": "sandbox",
        "zendesk_api_url": zendesk.url,
        "zendesk_client_id": people.CLIENT_ID,
        "zendesk_client_secret": SecretStr(people.CLIENT_SECRET),
        "zendesk_webhook_secret": SecretStr(secret),
        "connector_database": database,
        "connector_flows": database.parent,
        "connector_port": 0,
    }
    return Settings.model_construct(**{**needed, **more})


async def _assign(on: Stage, ticket_id: int, agent_id: int) -> bool:
    """Assigns a ticket and shows what follows; whether exactly the right message arrived."""
    state = on.zendesk.state
    ticket, agent = state.tickets[ticket_id], state.users[agent_id]
    if ticket["assignee_id"] == agent_id:
        agent = state.users[people.BEN if agent_id == people.NOOR else people.NOOR]
    before = len(on.slack.state.posted())
    display.sandbox_assigns(ticket_id, ticket["subject"], agent["name"])
    told = await on.zendesk.assign(ticket_id, agent["id"])
    statuses = [delivery.status for delivery in told.deliveries]
    display.sandbox_delivered(statuses)
    if statuses != [200]:
        display.sandbox_verdict("the webhook was not taken")
        return False
    run_id = f"{told.event['id']}:{RECIPE}"
    run = await watch(on.connector.sides.bridge, run_id, display.step_in_brief, ARRIVES_WITHIN)
    display.run_end(run)
    posted = on.slack.state.posted()[before:]
    for message in posted:
        messages.panel(f"Slack · {messages.APP} → {_recipient(on, message)}", spans(message.text))
    problem = _problem(on, posted, ticket_id, agent)
    display.sandbox_verdict(problem)
    return problem is None


def _problem(on: Stage, posted: list[Message], ticket_id: int, agent: dict[str, Any]) -> str | None:
    """What is wrong with what arrived; None if it is exactly the right message."""
    if len(posted) != 1:
        return f"{len(posted) or 'no'} message{'s' if posted else ''} arrived"
    to = on.slack.state.person_with_email(agent["email"])
    if to is None or posted != on.slack.state.messages_to(to.id)[-1:]:
        return f"the message went to {_recipient(on, posted[0])}"
    if posted[0].text != _expected(on, ticket_id, agent):
        return "the message has another text"
    return None


def _recipient(on: Stage, message: Message) -> str:
    channel = on.slack.state.channels[message.channel]
    other = next((person for person in channel.members if person != message.user), "")
    person = on.slack.state.people.get(other)
    return person.real_name if person else message.channel


def _expected(on: Stage, ticket_id: int, agent: dict[str, Any]) -> str:
    """The message as it must be, put together without the engine."""
    state = on.zendesk.state
    ticket = state.tickets[ticket_id]
    requester = state.users[ticket["requester_id"]]
    organization = state.organizations.get(requester["organization_id"])
    updated = state.metric_sets[ticket_id]["assignee_updated_at"] or ticket["updated_at"]
    lines = [
        f"Hi {_shown(agent['name'])},",
        "",
        f"Ticket {ticket_id} has been assigned to you. Please respond as soon as possible.",
        f"https://sandbox.zendesk.com/agent/tickets/{ticket_id}",
        "",
        "User contact information:",
        f"- Email: {_shown(requester['email'] or 'not known')}",
        f"- Locale and timezone: {requester['locale'] or 'not known'} - {requester['iana_time_zone'] or 'not known'}",
        *([f"- Organization: {_shown(organization['name'])}"] if organization else []),
        *([f"- Notes: {_shown(requester['notes'])}"] if requester["notes"] else []),
        "",
        "Here's more context on the ticket:",
        f"- Ticket subject: {_shown(ticket['subject'])}",
        f"- Ticket description: {_shown(ticket['description'])}",
        f"- Last ticket update: {updated}",
        "",
    ]
    return "\n".join(lines)


def _shown(value: str) -> str:
    text = value if len(value) <= 3000 else value[:3000] + "… (shortened)"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


async def _keys() -> AsyncIterator[str]:
    """Keys as they are pressed; ends with the input. Without a terminal: each character of it."""
    if sys.stdin is None or sys.stdin.closed:
        return
    loop = asyncio.get_running_loop()
    keys: asyncio.Queue[str] = asyncio.Queue()
    descriptor = sys.stdin.fileno()

    def read() -> bool:
        found = os.read(descriptor, 1024).decode(errors="ignore")
        for character in found or END:
            keys.put_nowait(character.lower())
        return bool(found)

    with _unbuffered(descriptor):
        try:
            loop.add_reader(descriptor, read)
        except PermissionError:  # a file, or /dev/null: it is all there already
            while read():
                pass
        try:
            while (key := await keys.get()) not in ENDS:
                yield key
        finally:
            loop.remove_reader(descriptor)


@contextmanager
def _unbuffered(descriptor: int) -> Iterator[None]:
    """A terminal that hands over each key at once; given back as it was."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
