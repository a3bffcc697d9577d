"""Kills the running connector with -9 in the middle of its work: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import socket
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.records import Fault, Message
from zendesk_bridge.flows import history
from zendesk_bridge.flows.journal import connect_to_read
from zendesk_bridge.sandbox import ZendeskServer, people
from zendesk_bridge.sandbox.state import Fault as ZendeskFault

COMMAND = Path(sys.executable).parent / "zendesk-connector"
#: The connector as `serve` runs it, with looks that a test has time for.
QUICK = """
import asyncio, dataclasses
from bolt_app.server import Connector
from bolt_app.settings import load
from zendesk_bridge.bridge import Timing

async def main():
    settings = load()
    timing = Timing(looks=(0.3, 0.8), retry_first=0.1)
    connector = Connector(settings, dataclasses.replace(settings.bridge(), timing=timing))
    await connector.start()
    print("ready: listening", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
AGENTS = (people.NOOR, people.BEN)


class Host:
    """A machine with one database, on which the connector is started and killed."""

    def __init__(self, folder: Path, slack: SlackServer, zendesk: ZendeskServer) -> None:
        self.slack, self.zendesk = slack.state, zendesk
        self.database = folder / "connector.db"
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        webhook = zendesk.state.add_webhook(f"http://127.0.0.1:{self.port}/zendesk/events")
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "SLACK_BOT_TOKEN": slack.state.bot_token,
            "SLACK_SIGNING_SECRET": "a-signing-secret",
            "SLACK_API_URL": slack.url,
            "ZENDESK_API_URL": zendesk.url,
            "ZENDESK_OAUTH_TOKEN": people.OAUTH_TOKEN,
            "ZENDESK_WEBHOOK_SECRET": zendesk.state.webhook_secrets[webhook["id"]],
            "CONNECTOR_DATABASE": str(self.database),
            "CONNECTOR_PORT": str(self.port),
        }
        self.processes: list[asyncio.subprocess.Process] = []

    async def run(self, *command: str) -> tuple[int, str]:
        """A command to its end: its exit code and what it wrote."""
        process = await self._start(*command)
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def serve(self, *command: str) -> asyncio.subprocess.Process:
        """Starts a connector; returns once it takes events."""
        process = await self._start(*command)
        self.processes.append(process)
        assert process.stdout is not None
        said = b""
        async with asyncio.timeout(30):
            while b"ready: listening" not in said:
                line = await process.stdout.readline()
                assert line, said.decode()
                said += line
        return process

    async def _start(self, *command: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=self._folder,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def assign(self, count: int) -> list[Any]:
        """Gives new tickets to agents; returns their events, which nobody was told of yet."""
        events = []
        for number in range(count):
            ticket = self.zendesk.state.add_ticket(f"Ticket number {number}", "…", requester_id=people.MIRA)
            told = await self.zendesk.assign(ticket["id"], AGENTS[number % len(AGENTS)], deliver=False)
            events.append(told.event)
        return events

    async def tell(self, events: list[Any]) -> list[Any]:
        """Tells the connector of events at once; returns those it did not take."""
        answers = await asyncio.gather(*(self.zendesk.deliver(event) for event in events))
        return [event for event, (answer,) in zip(events, answers, strict=True) if 200 not in answer.statuses]

    def messages(self) -> Counter[str]:
        """How many messages in Slack there are about each ticket."""
        return Counter(re.findall(r"/agent/tickets/(\d+)", "".join(message.text for message in self.slack.posted())))

    def runs(self) -> list[dict[str, Any]]:
        connection = connect_to_read(self.database)
        runs = [history.show_run(connection, run["id"]) for run in history.list_runs(connection)]
        connection.close()
        return runs

    async def until(self, what: Callable[[], bool], within: float = 30.0) -> None:
        async with asyncio.timeout(within):
            while True:
                if what():
                    return
                await asyncio.sleep(0.02)

    def all_succeeded(self, count: int) -> bool:
        return [run["status"] for run in self.runs()] == ["succeeded"] * count


@pytest.fixture
async def host(tmp_path: Path) -> AsyncGenerator[Host]:
    async with SlackServer() as slack, ZendeskServer() as zendesk:
        host = Host(tmp_path, slack, zendesk)
        code, said = await host.run(str(COMMAND), "flows", "activate", "notify-assigned-agents")
        assert code == 0, said
        yield host
        for process in host.processes:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def test_a_burst_survives_kills_at_any_moment_each_ticket_is_told_of_once(host: Host) -> None:
    chance = random.Random(4021)
    host.slack.faults.append(Fault(method="chat.postMessage", kind="slow", times=10_000, delay=0.02))
    host.zendesk.state.faults.append(ZendeskFault(path="/tickets", kind="slow", times=-1, delay=0.02))
    events = await host.assign(40)
    coming, told, untold, interrupted = list(events), 0, [], Counter[str]()
    for round in range(5):
        process = await host.serve(sys.executable, "-c", QUICK)
        burst, coming = untold + coming[:8], coming[8:]
        told += 8
        match round % 3:
            case 0:
                _kill_at_read(host, process)
            case 1:
                _kill_at_post(host, process, chance.randint(1, 6))
            case _:
                asyncio.get_running_loop().call_later(chance.uniform(0.05, 0.3), process.kill)
        untold = await host.tell(burst)
        await asyncio.wait_for(process.wait(), 30)
        runs = host.runs()
        assert len(runs) >= told - len(untold)  # what was answered with 200 is on disk
        interrupted.update(step["key"] for run in runs for step in run["steps"] if step["status"] == "running")
        interrupted.update(run["status"] for run in runs)
    assert interrupted["notify"]  # some died between the post and its record
    assert interrupted["running"] + interrupted["queued"] > interrupted["notify"]  # and some elsewhere
    await host.serve(sys.executable, "-c", QUICK)
    assert await host.tell(events) == []  # Zendesk delivers what was not taken again, and here all the rest too
    await host.until(lambda: host.all_succeeded(40), within=60)  # a message a second to each agent
    assert host.messages() == {str(event["detail"]["id"]): 1 for event in events}


def _kill_at_read(host: Host, process: asyncio.subprocess.Process) -> None:
    """Kills when Zendesk is asked for tickets the next time, and before it has answered."""

    def look(path: str) -> None:
        if "/tickets" in path:
            host.zendesk.state.on_request.remove(look)
            process.kill()

    host.zendesk.state.on_request.append(look)


def _kill_at_post(host: Host, process: asyncio.subprocess.Process, number: int) -> None:
    """Kills when Slack has that many more messages, and before it has answered."""
    left = [number]

    def count(message: Message) -> None:
        left[0] -= 1
        if left[0] == 0:
            process.kill()

    host.slack.on_message.append(count)


async def test_a_post_whose_answer_the_killed_process_never_got_is_not_repeated(host: Host) -> None:
    """`zendesk-connector serve` itself, with its own looks: the first one finds the message."""
    process = await host.serve(str(COMMAND), "serve")
    _kill_at_post(host, process, 1)
    (event,) = await host.assign(1)
    assert await host.tell([event]) == []
    await asyncio.wait_for(process.wait(), 30)
    assert host.messages() == {str(event["detail"]["id"]): 1}
    (run,) = host.runs()
    assert (run["status"], run["steps"][-1]["key"], run["steps"][-1]["status"]) == ("running", "notify", "running")

    process = await host.serve(str(COMMAND), "serve")
    await host.until(lambda: host.all_succeeded(1))
    assert host.messages() == {str(event["detail"]["id"]): 1}
    code, said = await host.run(str(COMMAND), "runs", "list", "--json")
    assert (code, [run["status"] for run in json.loads(said)]) == (0, ["succeeded"])
    (run,) = host.runs()
    assert run["steps"][-1]["outputs"]["ts"] == host.slack.posted()[0].ts
    code, said = await host.run(str(COMMAND), "serve")  # a second one is refused, and the first goes on
    assert (code, str(process.pid) in said) == (2, True), said
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_a_post_that_arrives_after_the_kill_is_not_repeated(host: Host) -> None:
    """It was on its way when the process died, and shows up between two looks."""
    host.slack.faults.append(Fault(method="chat.postMessage", kind="slow", delay=1.6))
    process = await host.serve(sys.executable, "-c", QUICK.replace("(0.3, 0.8)", "(1.0, 3.0)"))
    events = await host.assign(1)
    await host.tell(events)
    await host.until(lambda: host.slack.faults[0].times == 0)
    process.kill()
    await process.wait()
    assert not host.messages()
    await host.serve(sys.executable, "-c", QUICK.replace("(0.3, 0.8)", "(1.0, 3.0)"))
    await host.until(lambda: host.all_succeeded(1))
    assert host.messages() == {str(events[0]["detail"]["id"]): 1}


#: Every construct of the language, over services that refuse now and then.
EVERYTHING = """
key: everything
name: Everything
active: true
trigger: {event: zendesk.ticket_agent_assignment_changed}
steps:
  - {key: ticket, action: zendesk.look_up_ticket, inputs: {ticket_id: "{{ trigger.ticket_id }}"}}
  - {key: mine, set: {channels: [CHANNELS]}}
  - {key: pause, wait: {seconds: 0.1}}
  - key: each
    loop:
      each: mine.channels
      at_once: 3
      steps:
        - key: way
          branch:
            - when: {all: [{variable: index, operator: less_than, value: 4}]}
              steps:
                - key: tell
                  action: slack.post_message_to_channel
                  retry: {attempts: 50, wait: {seconds: 0.1}, backoff: 1}
                  timeout: {minutes: 5}
                  inputs: {channel: "{{ item }}", message: "first {{ ticket.ticket_id }}"}
          else:
            - {key: told, action: slack.post_message_to_channel, inputs: {channel: "{{ item }}", message: "later"}}
        - key: again
          action: slack.reply_in_thread
          on_error:
            - {key: instead, action: slack.post_message_to_channel, inputs: {channel: "{{ item }}", message: "alone"}}
          inputs: {channel: "{{ item }}", thread_ts: "{{ tell.ts | default: told.ts }}", message: ok}
  - {key: enough, stop: {message: "{{ each.count }} channels"}}
"""


async def test_every_construct_survives_kills_each_message_is_there_once(host: Host, tmp_path: Path) -> None:
    chance = random.Random(11)
    channels = [host.slack.add_channel(f"kill-{number}") for number in range(8)]
    (tmp_path / "flows").mkdir()
    text = EVERYTHING.replace("CHANNELS", ", ".join(channel.id for channel in channels))
    (tmp_path / "flows" / "everything.yml").write_text(text)
    code, said = await host.run(str(COMMAND), "flows", "deactivate", "notify-assigned-agents")
    assert code == 0, said
    host.slack.faults.append(Fault(method="chat.postMessage", kind="slow", times=10_000, delay=0.02))
    process = await host.serve(sys.executable, "-c", QUICK)
    events = await host.assign(1)
    _kill_at_read(host, process)
    assert await host.tell(events) == []
    await asyncio.wait_for(process.wait(), 30)
    # At each kill up to three messages are on their way.
    for _ in range(4):
        process = await host.serve(sys.executable, "-c", QUICK)
        _kill_at_post(host, process, chance.randint(1, 2))
        await asyncio.wait_for(process.wait(), 30)
        (run,) = host.runs()
        assert run["status"] in ("running", "waiting")
    await host.serve(sys.executable, "-c", QUICK)
    await host.until(lambda: host.all_succeeded(1), within=60)
    (run,) = host.runs()
    assert run["note"] == "8 channels"
    posted = Counter((message.channel, message.text, bool(message.thread_ts)) for message in host.slack.posted())
    first = f"first {events[0]['detail']['id']}"
    assert posted == {
        **{(channel.id, first if number < 3 else "later", False): 1 for number, channel in enumerate(channels)},
        **{(channel.id, "ok", True): 1 for channel in channels},
    }
