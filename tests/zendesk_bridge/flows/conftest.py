"""A far side in memory that can be told to fail, and an engine over it that can be killed at any moment."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from zendesk_bridge.flows import history, store
from zendesk_bridge.flows.catalog import Catalog, Connector, Identity, Once, action
from zendesk_bridge.flows.compiled import CompiledFlow, compile_flow
from zendesk_bridge.flows.definition import Flow
from zendesk_bridge.flows.errors import Credentials
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import Event, Run, rfc3339, utc_now
from zendesk_bridge.flows.pauses import Timing
from zendesk_bridge.flows.runner import Runner

QUICK = Timing(looks=(0.05, 0.15), retry_first=0.01, retry_longest=0.04, patience=60.0)


class Made(BaseModel):
    value: str


class PowerCut:
    """Counts the moments at which a process may die, and stops everything at the one that was asked for."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.seen = 0
        self.off = False

    def passes(self) -> bool:
        """One more moment; False once nothing happens any more."""
        if not self.off:
            self.seen += 1
            self.off = self.seen == self.at
        return not self.off


class FarSide:
    """A service in memory: what was made there, which calls it got, and what the next calls meet."""

    def __init__(self, service: str = "far") -> None:
        self.service = service
        # The values that creates left, with the key of each, in order.
        self.made: list[tuple[str, str]] = []
        self.marks: dict[str, int] = {}
        self.calls: list[str] = []
        self.at: list[tuple[str, float]] = []
        self.keys: list[str] = []
        self.power = PowerCut()
        self.under_way = 0
        self.most_under_way = 0
        # Looks for a thing find nothing so often.
        self.hidden_for = 0
        self._next: dict[str, deque[tuple[Any, bool]]] = defaultdict(deque)
        self._always: dict[str, tuple[Any, bool]] = {}

    def next(self, call: str, *problems: Any, after: bool = False) -> None:
        """What the next calls meet: an error, an event to wait for, or a function; `after` the work was done."""
        self._next[call].extend((problem, after) for problem in problems)

    def forget_next(self) -> None:
        """The next calls meet nothing."""
        self._next.clear()

    def always(self, call: str, problem: Any, *, after: bool = False) -> None:
        """What every further call meets; None ends it."""
        if problem is None:
            self._always.pop(call, None)
        else:
            self._always[call] = (problem, after)

    def values(self) -> Counter[str]:
        """How often each thing is there."""
        return Counter(value for _, value in self.made)

    def count(self, call: str) -> int:
        """How often it was called."""
        return self.calls.count(call)

    async def do(self, call: str, work: Callable[[], Any]) -> Any:
        """One call, with all that may go wrong in it."""
        await self._alive()
        self.calls.append(call)
        self.at.append((call, time.time()))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            queue = self._next[call]
            problem, after = queue.popleft() if queue else self._always.get(call, (None, False))
            if not after:
                await self._meet(problem)
            result = work()
            if after:
                await self._meet(problem)
            await self._alive()
            return result
        finally:
            self.under_way -= 1

    async def _alive(self) -> None:
        if not self.power.passes():
            await asyncio.Event().wait()

    async def _meet(self, problem: Any) -> None:
        if isinstance(problem, BaseException):
            raise problem
        if isinstance(problem, asyncio.Event):
            await problem.wait()
        elif callable(problem):
            given = problem()
            if asyncio.iscoroutine(given):
                await given


@action("read")
async def look(far: FarSide, *, what: str) -> Made:
    """Looks at something."""
    return Made(value=str(await far.do("look", lambda: f"seen {what}")))


@action("set")
async def mark(far: FarSide, *, what: str) -> Made:
    """Marks something."""

    def work() -> str:
        far.marks[what] = far.marks.get(what, 0) + 1
        return "marked"

    return Made(value=str(await far.do("mark", work)))


async def _find(far: FarSide, *, what: str, once: Once) -> Made | None:
    def work() -> str | None:
        if far.hidden_for > 0:
            far.hidden_for -= 1
            return None
        return next((value for key, value in far.made if key == once.key), None)

    found = await far.do("find", work)
    return None if found is None else Made(value=str(found))


@action("create", find=_find)  # type: ignore[arg-type]
async def make(far: FarSide, *, what: str, once: Once) -> Made:
    """Makes something."""

    def work() -> str:
        far.keys.append(once.key)
        far.made.append((once.key, what))
        return what

    return Made(value=str(await far.do("make", work)))


@action("create")
async def shout(far: FarSide, *, what: str, once: Once) -> Made:
    """Makes something that nobody can look up."""

    def work() -> str:
        far.made.append((once.key, what))
        return what

    return Made(value=str(await far.do("shout", work)))


ACTIONS = (look, mark, make, shout)


class KillableJournal(Journal):
    """A journal whose process may die after any write: what comes later never reaches the disk."""

    power = PowerCut()

    def _commit_together(self, batch: list[Any]) -> list[tuple[asyncio.Future[Any], Any]]:
        if self.power.at is None and not self.power.off:
            return super()._commit_together(batch)
        done = []  # each alone, so that the power may go off between them
        for entry in batch:
            if self.power.off:
                break
            result = super()._commit_together([entry])
            if self.power.passes():
                done += result
        return done


class Engine:
    """A journal, a catalog of far sides and a runner, on one file."""

    def __init__(self, path: Path, *fars: FarSide, timing: Timing = QUICK) -> None:
        self.fars = fars
        self.patch = pytest.MonkeyPatch()
        self.journal = KillableJournal(path)
        self.journal.power = fars[0].power
        self.broken: set[str] = set()
        self.broke: list[Credentials] = []
        self.ended_runs: list[Run] = []
        self.catalog = Catalog(
            Connector(service=far.service, title=far.service, client=far, identify=_nobody, actions=ACTIONS)
            for far in fars
        )
        self.runner = Runner(
            self.journal,
            self.catalog,
            timing=timing,
            is_broken=lambda service: service in self.broken,
            broke=self._note_broken,
            ended=self.ended_runs.append,
        )

    def _note_broken(self, problem: Credentials) -> None:
        self.broken.add(problem.service)
        self.broke.append(problem)

    async def open(self, *, resume: bool = True) -> Engine:
        await self.journal.open()
        if resume:
            await self.runner.start()
        return self

    async def close(self) -> None:
        self.patch.undo()
        await self.runner.stop(1.0)
        await self.journal.close()

    async def kill(self) -> None:
        """What is left when the process dies here: the file, and nothing that was in memory."""
        self.journal.power.off = True
        await self.runner.stop(0.0)
        await self.journal.close()
        for far in self.fars:
            far.power = PowerCut()

    async def flow(self, *steps: dict[str, Any], key: str = "flow", version: int = 1, **more: Any) -> CompiledFlow:
        """A flow of steps, kept in the database as the library would."""
        given = [{"inputs": {"what": step["key"]}, **step} if "action" in step else step for step in steps]
        start = {"event": "far.happens"}
        flow = Flow.model_validate({"key": key, "name": key, "trigger": start, "steps": given, **more})
        text = flow.model_dump_json(by_alias=True, exclude_defaults=True)
        await self.journal.write(lambda connection: _keep(connection, key, version, text))
        return compile_flow(flow, version, self.catalog)

    async def accept(self, flow: CompiledFlow, *more: CompiledFlow, id: str = "event", what: str = "it") -> list[Run]:
        return await self.runner.accept(event(id, what), [flow, *more])

    async def shown(self, run: str) -> dict[str, Any]:
        """The run as `runs show` has it."""
        return await self.journal.read(lambda connection: history.show_run(connection, run))

    async def row(self, run: str) -> Run:
        """The run as it is stored."""
        found = await self.journal.read(lambda connection: store.select_run(connection, run))
        assert found is not None
        return found

    async def until(self, run: str, *statuses: str, within: float = 30.0) -> dict[str, Any]:
        """The run, once it has one of the statuses."""
        async with asyncio.timeout(within):
            while True:
                shown = await self.shown(run)
                if shown["status"] in statuses:
                    return shown
                await asyncio.sleep(0.005)

    def write_fails(self, times: int, where: str) -> None:
        """The next writes of some rows, named as in the store, are refused by the database."""
        original = getattr(store, where)
        left = [times]

        def refuse(*args: Any, **options: Any) -> Any:
            if left[0] > 0:
                left[0] -= 1
                raise sqlite3.OperationalError("disk I/O error")
            return original(*args, **options)

        self.patch.setattr(store, where, refuse)

    async def see(self, what: Callable[[], bool], within: float = 30.0) -> None:
        """Waits until something is so."""
        async with asyncio.timeout(within):
            while True:
                if what():
                    return
                await asyncio.sleep(0.001)

    async def end(self, run: str, within: float = 30.0) -> dict[str, Any]:
        """The run, once it has ended."""
        return await self.until(run, "succeeded", "failed", "cancelled", within=within)

    async def waits(self, run: str, name: str) -> Run:
        """The run's row, once it waits for this."""
        async with asyncio.timeout(30):
            while True:
                row = await self.row(run)
                if row.status == "waiting" and (row.waiting_for or "").startswith(name):
                    return row
                await asyncio.sleep(0.005)


def event(id: str = "event", what: str = "it") -> Event:
    return Event(
        id=id,
        type="far.happens",
        source="webhook",
        occurred_at=utc_now(),
        data={"what": what},
        subject="something",
    )


def _keep(connection: sqlite3.Connection, key: str, version: int, text: str) -> None:
    connection.execute(
        "insert or ignore into flow_versions(flow, version, definition, text, created_at) values (?, ?, ?, '', ?)",
        (key, version, text, rfc3339(utc_now())),
    )


async def _nobody() -> Identity:
    return Identity(account="far", connected_by="nobody", scopes=[])


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "connector.db"


@pytest.fixture
async def journal(database: Path) -> AsyncGenerator[Journal]:
    journal = Journal(database)
    await journal.open()
    yield journal
    await journal.close()


@pytest.fixture
def far() -> FarSide:
    return FarSide()


@pytest.fixture
async def engine(database: Path, far: FarSide) -> AsyncGenerator[Engine]:
    engine = await Engine(database, far).open()
    yield engine
    await engine.close()


@pytest.fixture
async def engine_at(database: Path, far: FarSide) -> AsyncGenerator[Callable[..., Any]]:
    """Opens an engine on the test's file; whatever is still open at the end is closed."""
    opened: list[Engine] = []

    async def open_engine(*fars: FarSide, timing: Timing = QUICK, resume: bool = True) -> Engine:
        opened.append(await Engine(database, *(fars or (far,)), timing=timing).open(resume=resume))
        return opened[-1]

    yield open_engine
    for engine in opened:
        await engine.close()


@pytest.fixture
def engine_actions() -> tuple[Any, ...]:
    return ACTIONS
