"""Walks through a flow: a pure function of the flow, its event and what is recorded of earlier steps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from textwrap import shorten
from typing import Any, Protocol

from zendesk_bridge.flows.catalog import Input
from zendesk_bridge.flows.compiled import (
    Block,
    CompiledAction,
    CompiledBranch,
    CompiledFlow,
    CompiledLoop,
    CompiledSet,
    CompiledStep,
    CompiledStop,
    CompiledWait,
    filled,
)
from zendesk_bridge.flows.definition import Values
from zendesk_bridge.flows.errors import ConnectorError, FlowError, Permanent
from zendesk_bridge.flows.filters import as_text
from zendesk_bridge.flows.model import place_of_pass, utc_now
from zendesk_bridge.flows.moments import moment_of, next_time_of_day
from zendesk_bridge.flows.pauses import Ended

#: What a skipped step leaves: every variable of it is empty.
EMPTY: Mapping[str, Any] = {}


#: One pass of a loop, on the port that is its own.
Pass = Callable[["Port"], Awaitable[dict[str, Any]]]


class Port(Protocol):
    """Where a flow meets the world. The journal implements it; so does a dry run."""

    def begins(self, key: str, action: str) -> tuple[dt.datetime, Mapping[str, Any] | None]:
        """When the step starts, or started, if it is recorded; its outputs, if it is over, or None.

        Raises:
            FlowError: `replay_mismatch`.
        """

    async def step(self, step: CompiledAction, inputs: dict[str, Any]) -> Mapping[str, Any]:
        """Does the step that has begun, once, and records it; returns its outputs."""

    async def sleep(self, key: str, action: str, until: Callable[[], dt.datetime]) -> Mapping[str, Any]:
        """Lets the run sleep; `until` is asked once, and what it says is kept. Returns the outputs."""

    async def note(self, key: str, action: str, outputs: dict[str, Any]) -> Mapping[str, Any]:
        """Records what a step without an action came to; returns it."""

    async def passes(self, passes: Mapping[str, Pass], at_once: int) -> list[dict[str, Any]]:
        """Does the passes of a loop, so many at a time, each on the port it is given; returns their results in order.

        Args:
            passes: by what the keys of their steps begin with.
        """

    def meanwhile(self, work: Callable[[], None]) -> None:
        """Does something while the next step waits for its answer, if it does, and nothing is recorded of it."""

    def read_ahead(self, step: CompiledAction, inputs: dict[str, Any], moment: dt.datetime) -> None:
        """Begins a read before its turn, if that is worth it."""

    async def skip(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError | None) -> None:
        """Records that a step was skipped."""

    async def fail(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError) -> None:
        """Records that a step failed."""

    async def excuse(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError) -> Mapping[str, Any]:
        """Records that a step failed and the run goes on; returns what later steps see of it."""


async def interpret(flow: CompiledFlow, trigger: Values, port: Port) -> str | None:
    """Runs a flow through a port, from the first step that is not recorded.

    Returns:
        A note on why the run ended early, or None.

    Raises:
        ConnectorError: the step that failed is recorded with it.
    """
    try:
        await _Walk(port, {"trigger": trigger}).through(flow.steps)
    except Ended as end:
        return end.note
    return None


class _Told(Exception):
    """An error of a step inside another: it is recorded there, and not once more."""

    def __init__(self, error: ConnectorError) -> None:
        super().__init__(str(error))
        self.error = error


class _Walk:
    """A way through a flow, or one pass of a loop."""

    def __init__(self, port: Port, variables: dict[str, Any], place: str = "") -> None:
        """
        Args:
            variables: what steps come to is added to them.
            place: what stands before the steps' keys in the history, so that each pass of a loop is told apart.
        """
        self._port = port
        self._variables = variables
        self._place = place

    async def through(self, block: Block) -> None:
        """Runs steps one after the other. Raises ConnectorError, Ended."""
        port, variables = self._port, self._variables
        for each in block:
            key = self._place + each.key
            moment, outputs = port.begins(key, each.action_id)
            if each.keys:
                variables.update(dict.fromkeys(each.keys, EMPTY))
            if outputs and not each.leads_on:
                variables[each.key] = outputs
                if isinstance(each, CompiledAction) and each.remedy and outputs.keys() == {"error"}:
                    await self.through(each.remedy)
                continue
            values = each.values(variables, moment)
            variables[each.key] = EMPTY
            inputs: dict[str, Any] = {}
            try:
                if not each.applies(values):
                    if outputs is None:
                        await port.skip(key, each.action_id, {}, None)
                    # The process may have ended between the skipped step and the end of its run.
                    if each.stops:
                        raise Ended(f"ended before {key!r}: its conditions do not hold")
                    continue
                if not isinstance(each, CompiledAction):
                    variables[each.key] = await self._control(each, values, outputs)
                    continue
                if outputs is not None:
                    continue
                inputs = each.render(values)
                missing = each.missing(inputs)
                if missing is not None and each.step.optional:
                    await port.skip(key, each.action_id, inputs, None)
                    continue
                if missing is not None:
                    raise _missing_input(each, missing)
                valid = each.action.validate(inputs)
            except _Told as problem:
                raise problem.error from problem.error.__cause__
            except FlowError as problem:
                named = FlowError(problem.code, f"Step {key!r}: {problem.message}", hint=problem.hint)
                if isinstance(each, CompiledAction) and each.goes_on:
                    await self._remedy(each, inputs, named)
                    continue
                await port.fail(key, each.action_id, inputs, named)
                raise named from problem
            if each.ahead:
                port.meanwhile(partial(_read_ahead, each.ahead, variables, port))
            try:
                variables[each.key] = await port.step(each, valid)
            except Permanent as problem:
                if each.step.optional:
                    await port.skip(key, each.action_id, inputs, problem)
                elif each.goes_on:
                    await self._remedy(each, inputs, problem)
                else:
                    await port.fail(key, each.action_id, inputs, problem)
                    raise

    async def _remedy(self, each: CompiledAction, inputs: dict[str, Any], problem: ConnectorError) -> None:
        """Goes on after a step that failed, as the flow says."""
        self._variables[each.key] = await self._port.excuse(self._place + each.key, each.action_id, inputs, problem)
        await self.through(each.remedy)

    async def _control(
        self, each: CompiledStep, values: Values, recorded: Mapping[str, Any] | None
    ) -> Mapping[str, Any]:
        """Does a step that says what happens next. Raises FlowError, Ended, _Told."""
        key, port = self._place + each.key, self._port
        match each:
            case CompiledBranch():
                return await self._branch(each, values, recorded)
            case CompiledLoop():
                return await self._loop(each, values, recorded)
            case CompiledWait():
                return await port.sleep(key, each.action_id, lambda: _until(each, values))
            case CompiledSet():
                return await port.note(key, each.action_id, filled(each.names, values))
            case CompiledStop():
                message = each.message.text(values, as_text).strip()
                if each.fails:
                    raise FlowError("stopped", message or "the flow stops here")
                if recorded is None:
                    await port.note(key, each.action_id, {"message": message} if message else {})
                raise Ended(message or f"ended at {key!r}")
        raise AssertionError(each)

    async def _branch(
        self, each: CompiledBranch, values: Values, recorded: Mapping[str, Any] | None
    ) -> Mapping[str, Any]:
        if recorded:
            outputs = recorded
        else:
            taken = next((number for number, (when, _) in enumerate(each.cases, 1) if when.holds(values)), None)
            case = {"case": "else" if taken is None else taken}
            outputs = await self._port.note(self._place + each.key, each.action_id, case)
        case = outputs["case"]
        await self._inside(each.otherwise if case == "else" else each.cases[case - 1][1])
        return outputs

    async def _loop(self, each: CompiledLoop, values: Values, recorded: Mapping[str, Any] | None) -> Mapping[str, Any]:
        key = self._place + each.key
        if recorded:
            items = recorded["items"]
        else:
            items = each.each.value(values)
            items = [] if items is None else items
            if not isinstance(items, list):
                raise FlowError("not_a_list", f"each: {shorten(as_text(items), 60)!r} is no list")
            if len(items) > each.limit:
                raise FlowError("too_many", f"there are {len(items)} items, more than the limit of {each.limit}")
            await self._port.note(key, each.action_id, {"items": items})

        async def once(index: int, place: str, port: Port) -> dict[str, Any]:
            inner = {**self._variables, "item": items[index - 1], "index": index}
            await _Walk(port, inner, place)._inside(each.block)
            return {step.key: inner[step.key] for step in each.block}

        places = [place_of_pass(key, index) for index in range(1, len(items) + 1)]
        passes = {place: partial(once, index, place) for index, place in enumerate(places, 1)}
        results = await self._port.passes(passes, each.at_once)
        return {"items": items, "count": len(items), "results": results}

    async def _inside(self, block: Block) -> None:
        try:
            await self.through(block)
        except FlowError as problem:
            raise _Told(problem) from problem


def _until(each: CompiledWait, values: Values) -> dt.datetime:
    """When a wait is over. Raises FlowError."""
    now, wait = utc_now(), each.wait
    if wait.total is not None:
        return now + dt.timedelta(seconds=wait.total)
    if each.until is not None:
        return moment_of(each.until.text(values, as_text))
    assert wait.at is not None
    return next_time_of_day(wait.at, each.zone.text(values, as_text) if each.zone else "UTC", now)


def _read_ahead(steps: tuple[CompiledAction, ...], variables: Mapping[str, Any], port: Port) -> None:
    """Begins reads before their turn. Whatever is wrong with one of them is told when its turn comes."""
    now = utc_now()
    for each in steps:
        values = each.values(variables, now)
        try:
            if not each.applies(values):
                if each.stops:
                    return
                continue
            inputs = each.render(values)
            if each.missing(inputs) is None:
                port.read_ahead(each, each.action.validate(inputs), now)
        except FlowError:
            return


def _missing_input(step: CompiledAction, missing: Input) -> FlowError:
    source = step.step.inputs.get(missing.name)
    if source is None:
        return FlowError(
            "missing_input",
            f"input {missing.name!r} of {step.action.id} is not given",
            hint=f"Add a line `{missing.name}: …` to the step's inputs.",
        )
    return FlowError(
        "missing_input",
        f"input {missing.name!r} of {step.action.id} is empty: {shorten(str(source), 80, placeholder=' …')}",
        hint="Give the variable a value with `| default: …`, or mark the step `optional: true`.",
    )
