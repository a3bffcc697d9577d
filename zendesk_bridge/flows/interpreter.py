"""Walks through a flow: a pure function of the flow, its event and what is recorded of earlier steps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from textwrap import shorten
from typing import Any, Protocol

from zendesk_bridge.flows.catalog import Action, Catalog, Input, Wanted
from zendesk_bridge.flows.conditions import CompiledConditions, compile_conditions, variable_template
from zendesk_bridge.flows.errors import ConnectorError, FlowError, Permanent
from zendesk_bridge.flows.filters import as_text
from zendesk_bridge.flows.model import Flow, Step, Values, rfc3339, utc_now
from zendesk_bridge.flows.template import Template

#: What a skipped step leaves: every variable of it is empty.
EMPTY: Mapping[str, Any] = {}
#: The variables that say when a step starts.
TIMES = ("now", "today")


class Port(Protocol):
    """Where a flow meets the world. The journal implements it; so does a dry run."""

    async def begins(self, key: str, action: str) -> dt.datetime:
        """When the step starts, or started, if it is recorded. Raises FlowError `replay_mismatch`."""

    def recorded(self, key: str) -> Mapping[str, Any] | None:
        """The outputs of a step that is over, or None."""

    async def step(self, step: CompiledStep, inputs: dict[str, Any]) -> Mapping[str, Any]:
        """Does the step once and records it; returns its outputs."""

    def meanwhile(self, work: Callable[[], None]) -> None:
        """Does something while the next step waits for its answer, if it does, and nothing is recorded of it."""

    def read_ahead(self, step: CompiledStep, inputs: dict[str, Any], moment: dt.datetime) -> None:
        """Begins a read before its turn, if that is worth it."""

    async def skip(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError | None) -> None:
        """Records that a step was skipped."""

    async def fail(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError) -> None:
        """Records that a step failed."""


@dataclass(frozen=True, kw_only=True)
class CompiledStep:
    """A step with its templates and conditions ready."""

    step: Step
    action: Action
    only_if: CompiledConditions | None
    inputs: tuple[tuple[Input, Any], ...]
    wanted: Wanted
    # Whether it may use `now` or `today`.
    tells_time: bool = False
    # The reads after this one, up to the next effect, that need nothing of it: they begin together with it.
    ahead: tuple[CompiledStep, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether the run ends where the step's conditions do not hold."""
        return self.step.only_if is not None and self.step.only_if.otherwise == "stop"

    def values(self, variables: Mapping[str, Any], moment: dt.datetime) -> Values:
        """The variables as the step sees them when it starts at that moment."""
        if not self.tells_time:
            return variables
        now = rfc3339(moment)
        return {**variables, "now": now, "today": now[:10]}

    def applies(self, values: Values) -> bool:
        """Whether the step's conditions hold. Raises FlowError."""
        if self.only_if is None:
            return True
        try:
            return self.only_if.holds(values)
        except FlowError as problem:
            raise FlowError(problem.code, f"only_if: {problem.message}", hint=problem.hint) from problem

    def render(self, values: Values) -> dict[str, Any]:
        """The inputs with their variables filled in; empty ones are left out. Raises FlowError."""
        rendered: dict[str, Any] = {}
        for each, source in self.inputs:
            try:
                value = _fill(each, source, values)
            except FlowError as problem:
                raise FlowError(problem.code, f"input {each.name!r}: {problem.message}", hint=problem.hint) from problem
            if value is not None and not (isinstance(value, str) and not value.strip()):
                rendered[each.name] = value
        return rendered

    def missing(self, rendered: Mapping[str, Any]) -> Input | None:
        """The first input that is needed and empty."""
        return next((each for each in self.action.inputs if each.required and each.name not in rendered), None)


@dataclass(frozen=True, kw_only=True)
class CompiledFlow:
    """A version of a flow, ready to run."""

    flow: Flow
    version: int
    starts: CompiledConditions | None
    steps: tuple[CompiledStep, ...]
    one_at_a_time: Template | None = None

    def turn(self, data: Values) -> str | None:
        """What runs have in common that go one at a time; None where each may go by itself."""
        value = self.one_at_a_time.value({"trigger": data}) if self.one_at_a_time else None
        return as_text(value) or None

    def wants(self, data: Values) -> bool:
        """Whether the trigger's conditions hold for an event's data."""
        return self.starts is None or self.starts.holds({"trigger": data})


def compile_flow(flow: Flow, version: int, catalog: Catalog) -> CompiledFlow:
    """Makes a flow ready to run. Raises FlowError where an action is unknown or a template is wrong."""
    steps = [_compile_step(step, catalog) for step in flow.steps]
    wanted = _wanted(steps)
    steps = [replace(step, wanted=Wanted(wanted[step.step.key]), tells_time=_tells_time(step)) for step in steps]
    steps = [replace(step, ahead=_ahead(steps, place)) for place, step in enumerate(steps)]
    return CompiledFlow(
        flow=flow,
        version=version,
        starts=compile_conditions(flow.trigger.conditions) if flow.trigger.conditions else None,
        steps=tuple(steps),
        one_at_a_time=Template(variable_template(flow.one_at_a_time)) if flow.one_at_a_time else None,
    )


def _wanted(steps: list[CompiledStep]) -> dict[str, frozenset[str]]:
    """Which outputs of each step the flow's templates and conditions name."""
    names: dict[str, set[str]] = {step.step.key: set() for step in steps}
    whole = {step.step.key: {output.name for output in step.action.outputs} for step in steps}
    for step in steps:
        for path in _references(step):
            if path[0] in names:
                names[path[0]] |= {path[1]} if len(path) > 1 else whole[path[0]]
    return {key: frozenset(used) for key, used in names.items()}


def _templates_of(step: CompiledStep) -> Iterator[Template]:
    """The templates of a step's inputs and conditions."""
    for _, source in step.inputs:
        yield from _templates(source)
    for _, template in step.only_if.templates if step.only_if else ():
        yield template


def _references(step: CompiledStep) -> Iterator[tuple[str, ...]]:
    """The variables that a step's inputs and conditions name."""
    for template in _templates_of(step):
        for reference in template.references():
            yield reference.path or ("",)


def _tells_time(step: CompiledStep) -> bool:
    """Whether a step may use the time: as a variable, or as a text for the filter `date`."""
    return any(name in template.source for template in _templates_of(step) for name in TIMES)


def _ahead(steps: list[CompiledStep], place: int) -> tuple[CompiledStep, ...]:
    """The reads that may begin together with the read at that place: no effect lies between, and no unknown value."""
    if steps[place].action.effect != "read":
        return ()
    found = []
    unknown = {step.step.key for step in steps[place:]}
    for step in steps[place + 1 :]:
        if step.action.effect != "read":
            break
        needs = {path[0] for path in _references(step)}
        if not needs & unknown:
            found.append(step)
        elif step.stops:
            break  # whether anything after it is read is not known yet
    return tuple(found)


def _compile_step(step: Step, catalog: Catalog) -> CompiledStep:
    action = catalog.action(step.action)
    if action is None:
        raise FlowError("unknown_action", f"There is no action {step.action!r} (step {step.key!r})")
    inputs: list[tuple[Input, Any]] = []
    for name, value in step.inputs.items():
        known = action.input(name)
        if known is None:
            raise FlowError("unknown_input", f"{action.id} has no input {name!r} (step {step.key!r})")
        inputs.append((known, _compiled(value)))
    return CompiledStep(
        step=step,
        action=action,
        only_if=compile_conditions(step.only_if) if step.only_if else None,
        inputs=tuple(inputs),
        wanted=Wanted(),
    )


def _compiled(value: Any) -> Any:
    """A value of a flow file with its templates compiled, however deep they stand."""
    if isinstance(value, list):
        return [_compiled(part) for part in value]
    if isinstance(value, dict):
        return {name: _compiled(part) for name, part in value.items()}
    return Template(value) if isinstance(value, str) else value


def _templates(source: Any) -> Iterator[Template]:
    if isinstance(source, Template):
        yield source
    elif isinstance(source, list | dict):
        for part in source if isinstance(source, list) else source.values():
            yield from _templates(part)


def _fill(known: Input, source: Any, values: Values) -> Any:
    if isinstance(source, list):
        return [_fill(known, part, values) for part in source]
    if isinstance(source, dict):
        return {name: _fill(known, part, values) for name, part in source.items()}
    if not isinstance(source, Template):
        return source
    if not known.is_text:
        return source.value(values)
    return known.settle(source.text(values, known.insert or as_text))


async def interpret(flow: CompiledFlow, trigger: Values, port: Port) -> str | None:
    """Runs a flow through a port, from the first step that is not recorded.

    Returns:
        A note on why the run ended early, or None.

    Raises:
        ConnectorError: the step that failed is recorded with it.
    """
    variables: dict[str, Any] = {"trigger": trigger}
    for each in flow.steps:
        key, action = each.step.key, each.action
        moment = await port.begins(key, action.id)
        outputs = port.recorded(key)
        if outputs:
            variables[key] = outputs
            continue
        values = each.values(variables, moment)
        variables[key] = EMPTY
        inputs: dict[str, Any] = {}
        try:
            if not each.applies(values):
                if outputs is None:
                    await port.skip(key, action.id, {}, None)
                # The process may have ended between the skipped step and the end of its run.
                if each.stops:
                    return f"ended before {key!r}: its conditions do not hold"
                continue
            if outputs is not None:
                continue
            inputs = each.render(values)
            missing = each.missing(inputs)
            if missing is not None and each.step.optional:
                await port.skip(key, action.id, inputs, None)
                continue
            if missing is not None:
                raise _missing_input(each, missing)
            valid = action.validate(inputs)
        except FlowError as problem:
            named = FlowError(problem.code, f"Step {key!r}: {problem.message}", hint=problem.hint)
            await port.fail(key, action.id, inputs, named)
            raise named from problem
        if each.ahead:
            port.meanwhile(partial(_read_ahead, each.ahead, variables, port))
        try:
            variables[key] = await port.step(each, valid)
        except Permanent as problem:
            if not each.step.optional:
                await port.fail(key, action.id, inputs, problem)
                raise
            await port.skip(key, action.id, inputs, problem)
    return None


def _read_ahead(steps: tuple[CompiledStep, ...], variables: Mapping[str, Any], port: Port) -> None:
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


def _missing_input(step: CompiledStep, missing: Input) -> FlowError:
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
