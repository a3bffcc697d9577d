"""Starts runs, lets them wait as rows, wakes them, and takes them up again after a restart."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from zendesk_bridge.flows import changes, store, turns
from zendesk_bridge.flows.catalog import Catalog
from zendesk_bridge.flows.compiled import CompiledFlow, compile_flow
from zendesk_bridge.flows.context import Context, working_on
from zendesk_bridge.flows.definition import CONTROL
from zendesk_bridge.flows.errors import ConnectorError, Credentials, NotFound, StorageError
from zendesk_bridge.flows.interpreter import interpret
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import Event, Run, RunStatus, StepRun, StepStatus, utc_now
from zendesk_bridge.flows.pauses import Stopping, Suspended, Timing
from zendesk_bridge.flows.port import RunPort
from zendesk_bridge.flows.surroundings import Observe, Surroundings, unobserved
from zendesk_bridge.flows.waker import Waker

log = logging.getLogger(__name__)

#: Runs under way at once; the rest wait their turn as rows.
AT_ONCE = 200
#: How long it is remembered what was woken, in seconds: longer than a call takes.
WOKEN_FOR = 60.0
#: How long to leave a database alone that did not take a write, in seconds.
STORAGE_PAUSE = 5.0

#: Finds an event's own id and the service's id, and whether the event is new.
Identify = Callable[[sqlite3.Connection], tuple[str, str, bool]]


@dataclass(kw_only=True, slots=True)
class _Loaded:
    """What it takes to go on with a run."""

    run: Run
    event: Event
    steps: list[StepRun]
    # Steps that the run waited for, by their keys, where it begins anew because what it has read is old.
    tried: dict[str, StepRun] = field(default_factory=dict)
    # By the clock that nobody sets: when the event came, or the run was taken up again.
    arrived: float


class Runner:
    """Executes runs: the coroutine lives while there is something to do, the row stays."""

    def __init__(
        self,
        journal: Journal,
        catalog: Catalog,
        *,
        timing: Timing | None = None,
        is_broken: Callable[[str], bool] = lambda service: False,
        broke: Callable[[Credentials], None] = lambda problem: None,
        ended: Callable[[Run], None] = lambda run: None,
        waits: Callable[[Run], None] = lambda run: None,
        failed: Callable[[Run, Event], None] = lambda run, event: None,
        observe: Observe = unobserved,
        works: bool = True,
    ) -> None:
        """
        Args:
            is_broken: whether calls to a service are in vain for now.
            broke: told when a service refused our credentials.
            ended: told of each run that ends.
            failed: told of each that failed, unless somebody tests a flow.
            waits: told of each run that begins to wait.
            observe: told of each call of a step.
            works: whether runs are executed before `start`; else their rows are changed, and no more.
        """
        self._journal = journal
        self._catalog = catalog
        self._ended = ended
        self._waits = waits
        self._failed = failed
        self._around = Surroundings(
            journal=journal,
            catalog=catalog,
            timing=timing or Timing(),
            is_broken=is_broken,
            broke=broke,
            observe=observe,
            stopping=lambda: self._stopping,
            was_woken=self._was_woken,
        )
        self._compiled: dict[tuple[str, int], CompiledFlow] = {}
        self._ready: deque[tuple[str, _Loaded | None]] = deque()
        self._known: set[str] = set()
        # Runs that are being stored.
        self._accepting = 0
        self._active: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[str] = set()
        self._again: set[str] = set()
        # When each name was woken last, by the clock that nobody sets.
        self._woken: dict[str, float] = {}
        self._asleep: set[str] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._stopping = not works
        self._waker = Waker(journal, lambda run_id: self._enqueue(run_id, None))

    async def start(self) -> None:
        """Takes up what an earlier process left. Raises StorageError."""
        self._stopping = False
        await self._journal.write(store.wake_uninvited)
        await self._journal.write(store.wake_paced)
        for run_id in await self._journal.read(store.open_run_ids):
            self._enqueue(run_id, None)
        self._pump()
        self._waker.start()

    async def stop(self, grace: float = 10.0) -> None:
        """Starts nothing more, lets calls under way finish, leaves the rest for the next start."""
        self._stopping = True
        await self._waker.stop()
        tasks = list(self._active.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def accept(self, event: Event, flows: Iterable[CompiledFlow], identify: Identify | None = None) -> list[Run]:
        """Stores an event and its runs in one commit, then starts them.

        Args:
            identify: finds the event's own id inside the same transaction; an event that two sources report is
                one event, and starts flows the first time only.

        Returns:
            The runs that are new; none where the event was seen before.

        Raises:
            StorageError: nothing was stored.
        """
        wanted, arrived = list(flows), time.monotonic()
        # There is room: what is stored needs not be changed when they begin.
        at_once = not self._stopping and len(self._known) + self._accepting < AT_ONCE
        common = {}
        for flow in wanted:
            self._compiled[flow.flow.key, flow.version] = flow
            common[flow.flow.key] = _turn(flow, event)

        def work(connection: sqlite3.Connection) -> list[_Loaded]:
            event_id, service_id, is_new = identify(connection) if identify else (event.id, event.id, True)
            if not is_new:
                return []
            own = event if event_id == event.id else replace(event, id=event_id)
            store.insert_event(connection, own, service_id)
            new, now = [], utc_now()
            for flow in wanted:
                turn = common[flow.flow.key]
                begins = at_once and turn is None
                run = Run(
                    id=store.run_id(event_id, flow.flow.key),
                    flow=flow.flow.key,
                    version=flow.version,
                    event_id=event_id,
                    status=RunStatus.RUNNING if begins else RunStatus.QUEUED,
                    accepted_at=now,
                    started_at=now if begins else None,
                    turn=turn,
                )
                if store.insert_run(connection, run):
                    new.append(_Loaded(run=run, event=own, steps=[], arrived=arrived))
            return new

        self._accepting += len(wanted)
        try:
            # They start also where the caller is gone by then: a repeated delivery starts nothing more.
            return [each.run for each in await self._journal.write(work, self._take_up)]
        finally:
            self._accepting -= len(wanted)

    def _take_up(self, stored: list[_Loaded]) -> None:
        for each in stored:
            self._enqueue(each.run.id, each)

    async def wake(self, *names: str) -> None:
        """Lets the runs that wait for one of these go on: `invite:C…`, `connection:slack`.

        A run that is just about to wait goes on also where a name only begins what it waits for.
        """
        for name in names:
            self._remember_woken(name)
        await self._journal.write(lambda connection: store.wake_waiting_for(connection, names))
        self._waker.poke()

    async def signal(self, run_id: str, name: str, value: dict[str, object]) -> None:
        """Gives a run a signal it waits for, or will wait for."""
        self._remember_woken(f"signal:{name}")
        await self._journal.write(lambda connection: store.put_signal(connection, run_id, name, value))
        self._waker.poke()

    async def decide(self, run_id: str, *, send: bool) -> Run:
        """Says of a run that is in doubt whether its message is to be sent (again), or left out.

        Raises:
            NotFound: there is no such run.
            ConnectorError: `not_in_doubt`.
        """
        run = await self._journal.read(lambda connection: changes.existing(connection, run_id))
        if run.decision is None:
            hint = "`runs retry RUN` alone does a failed run again."
            raise ConnectorError("not_in_doubt", "The run does not wait for a decision", hint=hint)
        await self.signal(run_id, run.decision, {"send": send})
        return run

    async def cancel(self, run_id: str) -> Run:
        """Ends a run. Raises NotFound, ConnectorError `ended`."""
        self._cancelled.add(run_id)  # nobody takes it up meanwhile
        try:
            if run_id in self._active:
                self._active[run_id].cancel()
                await asyncio.wait([self._active[run_id]])
            self._ready = deque(each for each in self._ready if each[0] != run_id)
            self._known.discard(run_id)
            run, before = await self._journal.write(lambda connection: changes.cancel(connection, run_id))
        except BaseException:
            self._cancelled.discard(run_id)
            self._enqueue(run_id, None)  # it goes on from its rows, if there is a way to go
            raise
        self._around.forget(run_id)
        self._cancelled.discard(run_id)
        self._waker.poke()  # it may have been in the way of another
        self._settle()
        if before is not RunStatus.CANCELLED:
            self._ended(run)
        return run

    async def retry_from(self, run_id: str, key: str | None = None) -> Run:
        """Does a run's steps again from one on (by default from the one that failed).

        Raises:
            NotFound: there is no such run or step.
            ConnectorError: `running`: the run has not ended.
        """
        run = await self._journal.write(lambda connection: changes.retry(connection, run_id, key))
        self._take_up_again(run_id)
        return run

    async def end_sleep(self, run_id: str) -> None:
        """Lets a run that sleeps in a `wait` go on now. The history says that the wait was cut short."""
        if await self._journal.write(lambda connection: changes.end_sleep(connection, run_id)):
            self._take_up_again(run_id)

    async def idle(self) -> None:
        """Waits until no run is under way or ready; runs may still wait for a time or a signal."""
        await self._quiet.wait()

    def nudge(self, run_id: str) -> None:
        """Goes on with a waiting run before all that are ready: its turn has come, and does not last."""
        if run_id in self._active:
            self._again.add(run_id)  # it is just leaving
        elif run_id not in self._known:
            self._enqueue(run_id, None)
            if self._ready and self._ready[-1][0] == run_id:
                self._ready.rotate(1)

    def _take_up_again(self, run_id: str) -> None:
        if run_id in self._active:
            self._again.add(run_id)  # it is just leaving
        else:
            self._enqueue(run_id, None)

    def _enqueue(self, run_id: str, loaded: _Loaded | None) -> None:
        if run_id not in self._known and run_id not in self._cancelled:
            self._known.add(run_id)
            self._quiet.clear()
            self._ready.append((run_id, loaded))
            self._pump()

    def _pump(self) -> None:
        while self._ready and len(self._active) < AT_ONCE and not self._stopping:
            run_id, loaded = self._ready.popleft()
            task = asyncio.create_task(self._execute(run_id, loaded), name=f"run {run_id}")
            self._active[run_id] = task
            task.add_done_callback(partial(self._departed, run_id))

    def _departed(self, run_id: str, _: asyncio.Task[None]) -> None:
        self._active.pop(run_id, None)
        self._known.discard(run_id)
        if run_id in self._again:
            self._again.discard(run_id)
            self._enqueue(run_id, None)
        self._pump()
        if run_id in self._asleep:
            self._asleep.discard(run_id)
            self._waker.poke()
        self._settle()

    def _settle(self) -> None:
        if not self._known:
            self._quiet.set()

    def _remember_woken(self, name: str) -> None:
        """A run may be about to wait for what happens just now: it must not miss it."""
        now = time.monotonic()
        self._woken = {each: at for each, at in self._woken.items() if now - at < WOKEN_FOR}
        self._woken[name] = now

    def _was_woken(self, name: str, since: float) -> bool:
        return any(at > since and name.startswith(woken) for woken, at in self._woken.items())

    async def _execute(self, run_id: str, loaded: _Loaded | None) -> None:
        # What started this task may have been about another event.
        working_on.set(Context(run=run_id))
        try:
            loaded = await self._go_on(run_id, loaded)
        except Stopping:
            return
        except StorageError as problem:
            # The rows say where the run is; what only the memory says does not count.
            log.warning("run %s stops until the database works again: %s", run_id, problem.message)
            self._again.add(run_id)
            await asyncio.sleep(STORAGE_PAUSE)
            return
        if loaded is None:
            return
        run = loaded.run
        why = f": {run.error['code']}" if run.error else ""
        log.info("run %s (%s) %s%s", run.id, loaded.event.subject, run.status, why)
        if run.status.ended:
            self._ended(run)
            if run.status is RunStatus.FAILED and loaded.event.source != "test":
                self._failed(run, loaded.event)
        else:
            self._waits(run)
        if not run.status.ended or run.turn is not None:
            self._asleep.add(run_id)  # when it has left, there may be somebody to wake

    async def _go_on(self, run_id: str, loaded: _Loaded | None) -> _Loaded | None:
        """Takes a run up; returns how it stands then, None where there was nothing to do."""
        try:
            if loaded is None:
                loaded = await self._journal.read(lambda connection: _load(connection, run_id))
            if loaded is None or loaded.run.status.ended or run_id in self._cancelled:
                return None
            resumed = loaded.run.status is RunStatus.WAITING
            since = loaded.run.accepted_at.timestamp()
            working_on.set(
                Context(event=loaded.run.event_id, run=run_id, resumed=resumed, since=since, arrived=loaded.arrived)
            )
            if turns.must_ask(loaded.run):
                run = loaded.run
                loaded.run = await self._journal.write(lambda connection: turns.take(connection, run))
                if loaded.run.status is RunStatus.WAITING:
                    return loaded
            if self._is_stale(loaded):
                # Nothing was done yet but reading: the ticket may have another assignee by now.
                loaded.tried = {step.key: step for step in loaded.steps if step.status is StepStatus.WAITING}
                numbers, loaded.steps = [step.seq for step in loaded.steps], []
                await self._journal.write(lambda connection: store.delete_steps(connection, run_id, numbers))
            await self._advance(loaded)
            return loaded
        except (StorageError, Stopping):
            raise
        except Exception as problem:
            # Left as it is, the run would be taken up again and again.
            error = _reason(run_id, problem).as_json()
            await self._journal.write(lambda connection: store.fail_run(connection, run_id, error))
            return None

    def _is_stale(self, loaded: _Loaded) -> bool:
        """Whether a run that wakes has only read so far, and that long ago."""
        if loaded.run.status is not RunStatus.WAITING:
            return False
        if any(step.action == "wait" for step in loaded.steps):
            return False  # the flow itself lets its variables grow old
        actions = [(step, self._catalog.action(step.action)) for step in loaded.steps if step.action not in CONTROL]
        over = [(step, action) for step, action in actions if step.is_over]
        only_read = all(action is not None and action.effect == "read" for _, action in over)
        if not only_read or any(step.begun_at for step in loaded.steps):
            return False
        # The newest counts: a run that reads much, and waits its turn in between, would begin anew for ever.
        age = min(((utc_now() - step.started_at).total_seconds() for step, _ in over), default=0.0)
        asleep_only = loaded.run.waiting_for is None
        return bool(over) and age > self._around.timing.fresh_for * (10 if asleep_only else 1)

    async def _advance(self, loaded: _Loaded) -> None:
        """Takes a run as far as it goes, and stores where it is then. Raises Stopping, StorageError."""
        run, began, before = loaded.run, time.monotonic(), loaded.run.status
        run.status, run.started_at = RunStatus.RUNNING, run.started_at or utc_now()
        run.wake_at = run.waiting_for = run.error = run.note = None
        has_started = before is not RunStatus.QUEUED
        port = RunPort(run, loaded.steps, self._around, has_started=has_started, tried=loaded.tried)
        if before is RunStatus.WAITING:
            started = store.run_row(run)
            self._journal.write(lambda connection: store.update_run_row(connection, started))
        try:
            flow = await self._flow(run)
            if not loaded.steps and loaded.event.source != "test":
                flow.wants(loaded.event.data)  # raises where its conditions cannot be tried
            run.note = await interpret(flow, loaded.event.data, port)
            port.finish()
            run.status = RunStatus.SUCCEEDED
        except Suspended as pause:
            run.status, run.wake_at = RunStatus.WAITING, pause.until
            run.waiting_for, run.error, run.note = pause.waiting_for, pause.error, pause.note
            if pause.waiting_for and self._was_woken(pause.waiting_for, began):
                run.wake_at = utc_now()
        except (StorageError, Stopping):
            raise
        except Exception as problem:
            reason = _reason(run.id, problem)
            run.status, run.error = RunStatus.FAILED, reason.as_json()
            port.abandon(reason)
        finally:
            port.close()
        if run.status.ended:
            run.finished_at, run.waiting_since = utc_now(), None
        rows = port.recording.rest()
        await self._journal.write(lambda connection: store.put_progress(connection, run, rows))

    async def _flow(self, run: Run) -> CompiledFlow:
        known = self._compiled.get((run.flow, run.version))
        if known is None:
            definition = await self._journal.read(
                lambda connection: store.select_definition(connection, run.flow, run.version)
            )
            if definition is None:
                raise NotFound("no_flow", f"Version {run.version} of flow {run.flow!r} is not in the database")
            known = compile_flow(definition, run.version, self._catalog)
            self._compiled[run.flow, run.version] = known
        return known


def _turn(flow: CompiledFlow, event: Event) -> str | None:
    try:
        return flow.turn(event.data)
    except ConnectorError as problem:
        log.warning("flow %s: its runs are not kept in order: %s", flow.flow.key, problem.message)
        return None


def _load(connection: sqlite3.Connection, run_id: str) -> _Loaded | None:
    run = store.select_run(connection, run_id)
    if run is None:
        return None
    event = store.select_event(connection, run.event_id)
    if event is None:
        raise NotFound("no_event", "The event of this run is not in the database any more")
    return _Loaded(run=run, event=event, steps=store.select_steps(connection, run_id), arrived=time.monotonic())


def _reason(run_id: str, problem: Exception) -> ConnectorError:
    """Why a run failed, in the words of its history."""
    if isinstance(problem, ConnectorError):
        return problem
    log.error("run %s met a defect of this software", run_id, exc_info=problem)
    return ConnectorError(
        "internal",
        f"A defect of this software: {type(problem).__name__}",
        hint="The log has the details. Please report it.",
    )
