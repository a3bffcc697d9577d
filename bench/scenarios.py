"""What is tried: each scenario measures one thing and adds its lines to the table."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import databases
from equipment import Equipment
from figures import Figures, Load
from stand import Runner, bare_import, connector, fsync_time, relay, start_connector

#: Sent before what is measured, so that both know their agents and have opened their connections.
WARM_UP = Load(events=300, outstanding=10)
#: When both are killed, in seconds after the load generator is started: some messages have arrived by then.
KILLED_AFTER = 0.6


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table: what, for the relay and for the connector."""

    what: str
    relay: str
    connector: str


@dataclass(kw_only=True)
class Bench:
    """One run of the benchmark."""

    equipment: Equipment
    work: Path
    # A fiftieth of the events: to see that everything still works.
    quick: bool
    lines: list[Line] = field(default_factory=list)
    #: For the plots: by runner, then by what.
    latencies: dict[str, Figures] = field(default_factory=dict)
    calls: dict[str, Figures] = field(default_factory=dict)

    def add(self, what: str, connector: str, relay: str = "–") -> None:
        """Adds a line, and shows it."""
        self.lines.append(Line(what=what, relay=relay, connector=connector))
        print(f"  {what}: {connector}" + (f" (relay: {relay})" if relay != "–" else ""), flush=True)

    def count(self, events: int) -> int:
        """So many events, or fewer where it is quick."""
        return max(events // 50, 5) if self.quick else events

    def database(self, name: str) -> Path:
        """A database of its own."""
        return self.work / f"{name}.db"

    @contextlib.asynccontextmanager
    async def both(self, name: str, **options: float) -> AsyncIterator[tuple[Runner, Runner]]:
        """The relay and the connector, one after the other, warmed up."""
        await self.equipment.configure(latency_ms=0, zendesk_per_min=0, slack_limits=0, slack_workspace_per_min=0)
        services, command = self.equipment.services, self.equipment.relay_command
        async with relay(command, self.work) as bare, connector(services, self.database(name)) as own:
            for runner in (bare, own):
                await self.equipment.send(runner, self.warm_up)
            await self.equipment.configure(**options)
            yield bare, own

    @property
    def warm_up(self) -> Load:
        """Sent before what is measured."""
        return Load(events=60, outstanding=5) if self.quick else WARM_UP


async def machine(bench: Bench) -> None:
    """The disk, what a start costs, idle memory."""
    bench.add("the disk's fsync", f"{fsync_time(bench.work) * 1000:.2f} ms")
    imports = await bare_import()
    services, command = bench.equipment.services, bench.equipment.relay_command
    async with relay(command, bench.work) as bare, connector(services, bench.database("idle")) as own:
        await asyncio.sleep(3)
        before, over = own.cpu(), 2 if bench.quick else 10
        await asyncio.sleep(over)
        idle = (own.cpu() - before) / over
        bench.add(
            "start to ready (a bare import of the same packages)",
            f"{own.ready_after:.2f} s ({imports:.2f} s)",
            f"{bare.ready_after:.2f} s",
        )
        bench.add("memory, idle", f"{own.memory():.0f} MB", f"{bare.memory():.0f} MB")
        bench.add("CPU, idle", f"{idle:.1%} of a core")


async def speed(bench: Bench) -> None:
    """Messages a second, and how long one takes, at both latencies and 1, 20 and 50 outstanding."""
    for latency, sizes in ((0, {1: 500, 20: 2_000, 50: 3_000}), (50, {1: 100, 20: 800, 50: 2_000})):
        async with bench.both(f"speed{latency}", latency_ms=latency) as runners:
            for outstanding, events in sizes.items():
                found = {}
                for runner in runners:
                    load = Load(events=bench.count(events), outstanding=outstanding)
                    found[runner.name] = await bench.equipment.send(runner, load)
                    bench.latencies[f"{runner.name} {latency} {outstanding}"] = found[runner.name]
                where = f"{latency} ms a call, {outstanding} outstanding"
                _both(bench, f"{where}: messages a second", found, lambda each: f"{each.per_second:,.0f}")
                _both(bench, f"{where}: event to message, p50 / p95 / p99", found, _times)
                if not latency:
                    _both(bench, f"{where}: CPU a message", found, lambda each: f"{each.cpu_ms:.2f} ms")
                if (latency, outstanding) == (50, 1):
                    bench.calls |= {f"{name} alone": each for name, each in found.items()}
                    _calls(bench, "alone", found)
            bare, own = runners
            bench.add(
                f"memory, at most, {latency} ms a call",
                f"{own.memory('VmHWM'):.0f} MB",
                f"{bare.memory('VmHWM'):.0f} MB",
            )


async def bursts(bench: Bench) -> None:
    """Calls a notification where many come at once."""
    async with bench.both("bursts", latency_ms=20) as runners:
        for size in (100, 1_000):
            found = {}
            for runner in runners:
                events = bench.count(size)
                found[runner.name] = await bench.equipment.send(
                    runner, Load(events=events, outstanding=events, burst=True)
                )
                bench.calls[f"{runner.name} {size}"] = found[runner.name]
            _calls(bench, f"in a burst of {size:,}", found)


async def limits(bench: Bench) -> None:
    """A thousand assignments to fifty agents at once, under the services' limits."""
    events = bench.count(1_000)
    options = {"latency_ms": 20, "zendesk_per_min": 700, "slack_limits": 1}
    load = Load(events=events, outstanding=events, burst=True, patience=100.0)
    found: dict[str, Figures] = {}
    await bench.equipment.configure(**options, slack_workspace_per_min=0)
    async with relay(bench.equipment.relay_command, bench.work) as bare:
        found["relay"] = await bench.equipment.send(bare, replace(load, patience=5.0))
    if not bench.quick:
        await asyncio.sleep(61)  # the next one has the minute's budget to itself
    database = bench.database("limits")
    await bench.equipment.configure(**options)
    async with connector(bench.equipment.services, database, {"SLACK_POSTS_PER_MINUTE": "100000"}) as own:
        found["connector"] = await bench.equipment.send(own, load)
    what = f"{events:,} at once to 50 agents, 700 Zendesk requests a minute, a post a second and channel"
    _both(bench, f"{what}: delivered once", found, lambda each: f"{each.exactly_once:,}")
    _both(bench, f"{what}: 429s received", found, lambda each: f"{each.refused:,}")
    failed = databases.statuses(database).get("failed", 0)
    bench.add(f"{what}: the last after, failed runs", f"{found['connector'].to_message['max'] / 1000:.0f} s, {failed}")
    if bench.quick:
        return
    await asyncio.sleep(61)
    await bench.equipment.configure(**options, slack_workspace_per_min=300)
    database = bench.database("workspace")
    async with connector(bench.equipment.services, database, {"SLACK_POSTS_PER_MINUTE": "300"}) as own:
        capped = await bench.equipment.send(own, load)
    least = (math.ceil(events / 300) - 1) * 60  # 300 may go at once, and as many with each minute that begins
    bench.add(
        "the same, with 300 posts a minute in the workspace: delivered once, 429s, the last after (arithmetic)",
        f"{capped.exactly_once:,}, {capped.refused}, {capped.to_message['max'] / 1000:.0f} s ({least:.0f} s)",
    )


async def kills(bench: Bench) -> None:
    """A burst of 200, killed with -9 in the middle, and started again."""
    events = 200
    options = {"latency_ms": 20, "zendesk_per_min": 0, "slack_limits": 0, "slack_workspace_per_min": 0}
    await bench.equipment.configure(**options)
    load = Load(events=events, outstanding=events, burst=True, patience=75.0)
    database = bench.database("kill")
    own = await start_connector(bench.equipment.services, database)
    sending = asyncio.create_task(bench.equipment.send(own, load))
    await asyncio.sleep(KILLED_AFTER)
    await own.stop(signal.SIGKILL)
    then = databases.statuses(database)
    port = urlsplit(own.webhook).port or 0
    again = await start_connector(bench.equipment.services, database, port=port)
    found = {"connector": await sending}
    await again.stop()
    async with relay(bench.equipment.relay_command, bench.work) as bare:
        sending = asyncio.create_task(bench.equipment.send(bare, replace(load, patience=5.0)))
        await asyncio.sleep(KILLED_AFTER)
        await bare.stop(signal.SIGKILL)
        found["relay"] = await sending
    _both(
        bench,
        "killed with -9 in a burst of 200: accepted, lost, sent twice",
        found,
        lambda each: f"{each.accepted}, {each.lost}, {each.duplicated}",
    )
    bench.add("when it was killed: runs ended, runs open", f"{then.pop('succeeded', 0)}, {sum(then.values())}")


async def backlog(bench: Bench) -> None:
    """Ten thousand runs that wait, and ten thousand that are open, at a start."""
    await bench.equipment.configure(latency_ms=0)
    count = 10_000 // (50 if bench.quick else 1)
    figures = []
    for waiting in (0, count):
        database = bench.database(f"waiting{waiting}")
        await (await start_connector(bench.equipment.services, database)).stop()
        databases.add_waiting(database, waiting)
        async with connector(bench.equipment.services, database) as own:
            await asyncio.sleep(3)
            before, over = own.cpu(), 2 if bench.quick else 15
            await asyncio.sleep(over)
            figures.append(((own.cpu() - before) / over, own.memory(), own.ready_after))
    (cpu, memory, _), (more_cpu, more_memory, ready) = figures
    bench.add(
        f"{count:,} waiting runs: CPU, idle (without them); memory; ready after",
        f"{more_cpu:.1%} ({cpu:.1%}); {round(more_memory - memory):+d} MB; {ready:.2f} s",
    )
    database = bench.database("open")
    await (await start_connector(bench.equipment.services, database)).stop()
    databases.add_queued(database, count, 50_000_000)
    began = time.monotonic()
    async with connector(bench.equipment.services, database) as own:
        while databases.statuses(database).get("succeeded", 0) < count and time.monotonic() - began < 300:
            await asyncio.sleep(0.5)
        ended = time.monotonic() - began
        ready = own.ready_after
    bench.add(f"a start with {count:,} open runs: ready after, all ended after", f"{ready:.2f} s, {ended:.0f} s")


async def history(bench: Bench) -> None:
    """What a long history costs new runs."""
    await bench.equipment.configure(latency_ms=0)
    for rows in (1_000, 1_000_000 // (50 if bench.quick else 1)):
        database = bench.database(f"history{rows}")
        await (await start_connector(bench.equipment.services, database)).stop()
        for after in range(0, rows, 100_000):
            await asyncio.to_thread(databases.add_history, database, min(rows, 100_000), after)
        await asyncio.to_thread(os.sync)  # so that writing them is over
        async with connector(bench.equipment.services, database) as own:
            await bench.equipment.send(own, bench.warm_up)
            found = await bench.equipment.send(own, Load(events=bench.count(500), outstanding=1))
        times = found.to_message
        bench.add(
            f"with {rows:,} runs in the history: event to message, p50 / p99",
            f"{times['p50']:.1f} / {times['p99']:.1f} ms",
        )
        database.unlink()


async def flood(bench: Bench) -> None:
    """Good events while a thousand bad requests a second arrive."""
    async with bench.both("flood", latency_ms=50) as (_, own):
        load = Load(events=bench.count(400), outstanding=50, rate=20.0)
        calm = await bench.equipment.send(own, load)
        flooding = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).with_name("flood.py")), own.webhook, "1000", "60",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await asyncio.sleep(1)
        stormy = await bench.equipment.send(own, load)
        flooding.terminate()
        said, _ = await flooding.communicate()
    bench.add("20 events a second: event to message, p50 / p95 / p99", _times(calm))
    bench.add(f"the same, while {said.decode().strip()}", _times(stormy))


Scenario = Callable[[Bench], Awaitable[None]]
SCENARIOS = (machine, speed, bursts, kills, flood, backlog, history, limits)


def _both(bench: Bench, what: str, found: dict[str, Figures], show: Callable[[Figures], str]) -> None:
    bench.add(what, show(found["connector"]), show(found["relay"]))


def _calls(bench: Bench, where: str, found: dict[str, Figures]) -> None:
    _both(
        bench,
        f"calls a notification, {where}: Zendesk, Slack",
        found,
        lambda each: f"{each.zendesk_calls:.3g}, {each.slack_calls:.3g}",
    )


def _times(figures: Figures) -> str:
    return " / ".join(f"{figures.to_message[name]:.1f}" for name in ("p50", "p95", "p99")) + " ms"
