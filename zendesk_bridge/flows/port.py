"""Does a run's steps through the journal: what is recorded is never done again, what is in doubt is looked up."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import count, starmap
from types import MappingProxyType
from typing import Any

from zendesk_bridge.flows import store
from zendesk_bridge.flows.ahead import Ahead
from zendesk_bridge.flows.catalog import Action, Once
from zendesk_bridge.flows.compiled import CompiledAction
from zendesk_bridge.flows.context import working_on
from zendesk_bridge.flows.errors import (
    ConnectorError,
    Credentials,
    FlowError,
    NeedsInvite,
    Permanent,
    Transient,
    Uncertain,
)
from zendesk_bridge.flows.interpreter import EMPTY, Pass
from zendesk_bridge.flows.model import (
    CUT_SHORT,
    DECISION,
    Run,
    StepRun,
    StepStatus,
    parse_time,
    passes_of,
    place_of_pass,
    rfc3339,
    utc_now,
)
from zendesk_bridge.flows.patience import Patience
from zendesk_bridge.flows.pauses import Halted, Stopping, Suspended
from zendesk_bridge.flows.recording import Recording
from zendesk_bridge.flows.surroundings import Surroundings
from zendesk_bridge.flows.together import together

#: What a step may leave in the journal, in bytes of JSON.
OUTPUT_LIMIT = 1024 * 1024


class RunPort:
    """The execution port of one run, over the journal."""

    def __init__(
        self,
        run: Run,
        steps: list[StepRun],
        around: Surroundings,
        *,
        has_started: bool = True,
        tried: Mapping[str, StepRun] = MappingProxyType({}),
        within: RunPort | None = None,
    ) -> None:
        """
        Args:
            has_started: whether it is stored that the run has started; else that is stored with its first rows.
            tried: by their keys, steps that the run waited for and that are tried again after it has read anew.
            within: the port of the run, where this is the one of a pass of a loop.
        """
        self.run = run
        self._steps = steps
        self._around = around
        self._position = 0
        self._current: StepRun | None = None
        #: What is recorded of the run.
        self.recording: Recording = (
            within.recording if within else Recording(run, around.journal, has_started=has_started)
        )
        # The numbers of the run's further steps, in the order in which they begin.
        self._numbers: Iterator[int] = (
            within._numbers if within else count(max((step.seq for step in steps), default=-1) + 1)
        )
        self._tried: dict[str, StepRun] = within._tried if within else dict(tried)
        self._within = within
        at_rest = around.at_rest if within else None
        self._patience = Patience(run, self.recording, around.timing, at_rest, around.was_woken)
        self._passes: tuple[RunPort, ...] = ()
        #: Set where a pass must go no further: another of its loop has failed, or has ended the run.
        self.halted = False
        # What is done while a step waits.
        self._meanwhile: asyncio.Handle | None = None
        self._ahead = Ahead(around, run.id)

    def begins(self, key: str, action: str) -> tuple[dt.datetime, Mapping[str, Any] | None]:
        """When the step starts, or started, if it is recorded; its outputs, if it is over. Raises FlowError."""
        if self._around.stopping():
            self.recording.flush()  # there may be no later
            raise Stopping
        if self.is_halted:
            raise Halted
        if self._position < len(self._steps):
            step = self._steps[self._position]
            if (step.key, step.action) != (key, action):
                raise _mismatch(f"step {key!r} was to come, {step.key!r} is recorded")
            outputs = self._recorded(step) if step.is_over else None
        else:
            step, outputs = self._new(key, action), None
            self._steps.append(step)
        self._position += 1
        self._current = step
        working_on.set(working_on.get().at(key))
        return step.started_at, outputs

    @property
    def is_halted(self) -> bool:
        """Whether a pass must go no further: its own, or one around it."""
        return self.halted or (self._within is not None and self._within.is_halted)

    def _new(self, key: str, action: str) -> StepRun:
        seq = next(self._numbers)
        if self._tried:
            tried = self._tried.pop(key, None)
            if tried is not None and tried.action == action:
                return replace(tried, seq=seq)  # how often it was tried, and since when, still counts
        began = self._ahead.began(key) or utc_now()
        return StepRun(seq=seq, key=key, action=action, status=StepStatus.RUNNING, started_at=began)

    def _recorded(self, step: StepRun) -> Mapping[str, Any]:
        if step.outputs is None:
            return EMPTY
        action = self._around.catalog.action(step.action)
        return action.restore(step.outputs) if action else step.outputs

    def finish(self) -> None:
        """After the last step. Raises FlowError `replay_mismatch` where more is recorded than the flow has."""
        if self._position < len(self._steps):
            raise _mismatch(f"the flow ended, {self._steps[self._position].key!r} is recorded")

    async def skip(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError | None) -> None:
        """Records that a step was skipped, together with what comes next: it may be what ends the run."""
        self._end(self._now_at(key), StepStatus.SKIPPED, inputs, error)

    async def fail(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError) -> None:
        """Records that a step failed, together with the run's end."""
        self._end(self._now_at(key), StepStatus.FAILED, inputs, error)

    async def excuse(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError) -> Mapping[str, Any]:
        """Records that a step failed and the run goes on; returns what later steps see of it."""
        step = self._now_at(key)
        step.outputs = {"error": error.as_json()}
        self._end(step, StepStatus.SKIPPED, inputs, error)
        return step.outputs

    def abandon(self, error: ConnectorError, status: StepStatus = StepStatus.FAILED) -> None:
        """Where a run ends with an error that no step expects, or in another pass: what is under way ends with it."""
        for each in self._passes:
            each.abandon(error, status)
        step = self._current
        if step is not None and step.status in (StepStatus.RUNNING, StepStatus.WAITING):
            self._end(step, status, step.inputs, error)

    def close(self) -> None:
        """Ends what was begun ahead of its turn and is not needed any more."""
        if self._within is None:
            self.recording.close()
        if self._meanwhile is not None:
            self._meanwhile.cancel()
        self._ahead.close()

    async def passes(self, passes: Mapping[str, Pass], at_once: int) -> list[dict[str, Any]]:
        """Does the passes of a loop, so many at a time; returns their results in order."""
        if at_once == 1:
            return [await each(self) for each in passes.values()]
        return await together(self, passes, at_once)

    def branch_off(self, places: Iterable[str]) -> dict[str, RunPort]:
        """A port for each pass of a loop: each meets the recorded steps of its own, in their order."""
        met, ahead = self._steps[: self._position], self._steps[self._position :]
        own: dict[str, list[StepRun]] = {place: [] for place in places}
        mine: list[StepRun] = []
        for step in ahead:
            place = next((place for place in starmap(place_of_pass, passes_of(step.key)) if place in own), None)
            (mine if place is None else own[place]).append(step)
        self._steps = [*met, *mine]
        ports = {place: RunPort(self.run, steps, self._around, within=self) for place, steps in own.items()}
        self.recording.is_shared = True
        self._passes = tuple(ports.values())
        return ports

    def read_ahead(self, compiled: CompiledAction, inputs: dict[str, Any], moment: dt.datetime) -> None:
        """Begins a read before its turn: nothing that is still to come can change what it asks for."""
        self._ahead.begin(compiled, inputs, moment)

    def meanwhile(self, work: Callable[[], None]) -> None:
        """Does something while the next step waits for its answer, if it does, and nothing is recorded of it."""
        if self._position >= len(self._steps):
            self._meanwhile = asyncio.get_running_loop().call_soon(work)

    async def sleep(self, key: str, action: str, until: Callable[[], dt.datetime]) -> Mapping[str, Any]:
        """Lets the run sleep; it costs a row. Days are no longer than seconds.

        Args:
            until: asked once, and what it says is kept. Raises FlowError.
        """
        step = self._now_at(key)
        kept = step.inputs.get("until")
        moment = parse_time(kept) if kept else until()
        if utc_now() < moment and not step.inputs.get(CUT_SHORT):
            step.inputs = {"until": rfc3339(moment)}
            step.status = StepStatus.WAITING
            self.recording.put(step)
            raise Suspended(until=moment, note=f"waits until {rfc3339(moment)}")
        return await self.note(key, action, {"until": rfc3339(moment)})

    async def note(self, key: str, action: str, outputs: dict[str, Any]) -> Mapping[str, Any]:
        """Records what a step without an action came to; returns it. Raises Permanent where it is too large."""
        step = self._now_at(key)
        step.outputs = outputs
        self._end(step, StepStatus.SUCCEEDED, step.inputs, None, _within_limit(action, outputs))
        self.recording.soon(reads_only=True)
        return outputs

    async def wait_signal(self, key: str, name: str) -> dict[str, Any]:
        """Lets the run sleep until it gets the signal, at most as long as the engine's patience; returns its value."""
        step = self._wait_step(key)
        if step.is_over:
            return step.outputs or {}
        value = await self._around.journal.read(lambda connection: store.select_signal(connection, self.run.id, name))
        if value is None:
            deadline = step.started_at + dt.timedelta(seconds=self._around.timing.patience)
            if utc_now() >= deadline:
                problem = Permanent("no_signal", f"Nothing came for {name!r} in time")
                self._end(step, StepStatus.FAILED, {}, problem)
                raise problem
            step.status = StepStatus.WAITING
            self.recording.put(step)
            raise Suspended(until=deadline, waiting_for=f"signal:{name}")
        step.outputs = value
        self._end(step, StepStatus.SUCCEEDED, {}, None)
        self.recording.now()
        return value

    async def step(self, compiled: CompiledAction, inputs: dict[str, Any]) -> Mapping[str, Any]:
        """Does the step once and records it; returns its outputs.

        Raises:
            Permanent: it will not work. Recording that is the interpreter's choice.
            Suspended: the run goes on later.
        """
        step, action = self._current, compiled.action
        if step is None or step.action != action.id:
            raise _mismatch(f"step {compiled.key!r} was not begun")
        step.inputs = inputs
        self._patience.begins(step, compiled.step)
        if self._around.is_broken(action.service):
            step.attempts -= 1  # nothing is tried
            self._patience.wait(step, f"connection:{action.service}", _needs_connection(action.service))
        try:
            if action.effect == "create":
                outputs = await self._create(step, action, inputs, compiled.step.in_doubt)
            else:
                outputs = await self._read_or_set(compiled, inputs)
        except NeedsInvite as problem:
            if step.error and step.error["code"] == "needs_invite":
                step.attempts -= 1  # it was looked again whether it is invited, and that may be often
            self._patience.wait(step, f"invite:{problem.channel}", {**problem.as_json(), "code": "needs_invite"})
        except Credentials as problem:
            self._around.broke(problem)
            self._patience.wait(step, f"connection:{problem.service}", _needs_connection(problem.service, problem))
        except (Transient, Uncertain) as problem:
            self._patience.again_later(step, problem)
        except Permanent as problem:
            if not self._patience.outlasts(problem):
                raise
            self._patience.again_later(step, problem)
        if step.status is StepStatus.SKIPPED:
            return EMPTY
        text = _within_limit(action.id, outputs)
        step.outputs = dict(outputs)
        self._end(step, StepStatus.SUCCEEDED, inputs, None, text)
        self.recording.soon(reads_only=action.effect == "read")
        return action.restore(step.outputs)

    async def _read_or_set(self, compiled: CompiledAction, inputs: dict[str, Any]) -> Mapping[str, Any]:
        begun = self._ahead.take(compiled.key, inputs)
        try:
            call = begun or self._around.call(compiled.action, compiled.action.function, compiled.arguments(inputs))
            return await self._patience.in_time(compiled.key, call)
        finally:
            if self._meanwhile is not None:
                self._meanwhile.cancel()

    async def _create(self, step: StepRun, action: Action, inputs: dict[str, Any], policy: str) -> Mapping[str, Any]:
        """An effect that must not happen twice: recorded before, looked for where its answer was lost."""
        sent = False
        while True:
            if step.begun_at is None and sent:
                self._patience.again_later(step, _unclear(action))
            if step.begun_at is None:
                sent = True
                step.begun_at = utc_now()
                step.looked_at = None
                step.status = StepStatus.RUNNING
                self._around.begun[self.run.id, step.seq] = time.monotonic()
                await self.recording.durably(step)
                try:
                    return await self._around.call(action, action.function, {**inputs, "once": self._once(step)})
                except Uncertain as problem:
                    step.error = problem.as_json()
                except ConnectorError:
                    step.begun_at = None  # refused: nothing happened
                    raise
            found = await self._look(step, action, inputs, policy)
            if found is not None:
                return found
            step.begun_at = None

    async def _look(
        self, step: StepRun, action: Action, inputs: dict[str, Any], policy: str
    ) -> Mapping[str, Any] | None:
        """What the effect made, if the far side has it; None where it may be done (again)."""
        assert step.begun_at is not None
        asked, age, problem = utc_now(), self._age(step), None
        try:
            if action.find is None:
                raise Permanent("cannot_look", f"{action.id} cannot be looked up")
            found = await self._around.call(action, action.find, {**inputs, "once": self._once(step)})
            if found:
                return found
        except (Permanent, NeedsInvite) as refusal:
            problem = refusal
        step.looked_at = asked
        said = await self._decision(step)
        decision = said or (policy if problem else None)
        if decision == "skip":
            self._end(step, StepStatus.SKIPPED, inputs, problem)
            return EMPTY
        if decision == "ask" and problem is not None:
            self._patience.wait(step, f"signal:{_decision_name(step)}", _in_doubt(step, problem))
        # What a look shows is how things were when it was asked.
        later = next((seconds for seconds in self._around.timing.looks if seconds > age), None)
        if said == "repeat":
            return None
        deadline = None if decision else self._patience.deadline(step.error or _unclear(action).as_json())
        if later is None or deadline is None:
            if self._patience.has_limits:
                step.begun_at = None  # it is not there: to send it is a further try
                self._patience.again_later(step, _unclear(action))
            return None
        step.status = StepStatus.WAITING
        self.recording.put(step)
        until = utc_now() + dt.timedelta(seconds=later - self._age(step))
        note = f"looks whether {step.key!r} was done; its answer was lost"
        raise self._patience.resting(step, Suspended(until=min(until, deadline), note=note))

    def _age(self, step: StepRun) -> float:
        """Seconds since an effect was begun. Of one that an earlier process began, only the wall clock tells."""
        assert step.begun_at is not None
        now, passed = time.monotonic(), max(0.0, (utc_now() - step.begun_at).total_seconds())
        return now - self._around.begun.setdefault((self.run.id, step.seq), now - passed)

    async def _decision(self, step: StepRun) -> str | None:
        """What a person said to do about a sending that is in doubt. It counts also where looking works again."""
        name = _decision_name(step)
        signal = await self._around.journal.read(lambda connection: store.select_signal(connection, self.run.id, name))
        return None if signal is None else "repeat" if signal.get("send") else "skip"

    def _once(self, step: StepRun) -> Once:
        assert step.begun_at is not None
        # Done again because a person said so, the step has begun anew, and another message is to be sent.
        name = f"{self.run.id}/{step.seq}/{step.key}/{rfc3339(step.started_at)}"
        key = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
        # A clock that was set back since would have it begun in the future.
        begun = min(step.begun_at.timestamp(), utc_now().timestamp() - self._age(step))
        return Once(key=key, begun_at=begun)

    def _wait_step(self, key: str) -> StepRun:
        self.begins(key, "wait")
        return self._now_at(key)

    def _now_at(self, key: str) -> StepRun:
        step = self._current
        if step is None or step.key != key:
            raise _mismatch(f"step {key!r} was not begun")
        return step

    def _end(
        self,
        step: StepRun,
        status: StepStatus,
        inputs: dict[str, Any],
        error: ConnectorError | None,
        outputs: str | None = None,
    ) -> None:
        self._around.begun.pop((self.run.id, step.seq), None)
        self._patience.ends(step)
        step.status = status
        step.inputs = inputs
        step.error = error.as_json() if error else None
        step.attempts += 1
        if status is not StepStatus.FAILED:
            step.begun_at = None  # a failed step whose sending is in doubt stays so
        step.finished_at = utc_now()
        if not self._tried:  # else what it waits for is still to come
            self.run.waiting_since = None
        self.recording.put(step, outputs)


def _within_limit(action: str, outputs: Mapping[str, Any]) -> str:
    """Outputs as JSON. Raises Permanent where they are too large to be kept."""
    text = store.to_json(outputs) or ""
    if len(text) > OUTPUT_LIMIT or (len(text) > OUTPUT_LIMIT / 4 and len(text.encode()) > OUTPUT_LIMIT):
        raise Permanent("output_too_large", f"{action} answered more than 1 MB", hint="Ask for less.")
    return text


def _decision_name(step: StepRun) -> str:
    assert step.begun_at is not None
    return f"{DECISION}{step.seq}:{step.begun_at.timestamp():.6f}"


def _in_doubt(step: StepRun, problem: ConnectorError) -> dict[str, str]:
    return {
        "code": "in_doubt",
        "message": f"Nobody can tell whether step {step.key!r} was done: {problem.message}",
        "hint": "Look in Slack, then `zendesk-connector runs retry RUN --send`, or `--skip`.",
    }


def _unclear(action: Action) -> Uncertain:
    return Uncertain("unavailable", f"{action.id} has no clear answer")


def _mismatch(detail: str) -> FlowError:
    return FlowError(
        "replay_mismatch",
        f"The flow does not meet its own history: {detail}",
        hint="Nothing was sent. Start the flow anew for this event.",
    )


def _needs_connection(service: str, problem: ConnectorError | None = None) -> dict[str, str]:
    return {
        "code": "needs_connection",
        "message": problem.message if problem else f"The connection to {service.capitalize()} is broken",
        "hint": (problem.hint if problem else "") or f"Mend the connection to {service.capitalize()}.",
    }
