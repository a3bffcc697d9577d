"""Walks through a flow: a pure function of the flow, its event and what is recorded of earlier steps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from zendesk_bridge.flows.catalog import Action, Catalog, Input, Wanted
from zendesk_bridge.flows.conditions import CompiledConditions, compile_conditions
from zendesk_bridge.flows.errors import ConnectorError, FlowError, Permanent
from zendesk_bridge.flows.model import Flow, Step, Values, rfc3339
from zendesk_bridge.flows.template import Template, as_text

#: What a skipped step leaves: every variable of it is empty.
EMPTY: Mapping[str, Any] = {}


class Port(Protocol):
    """Where a flow meets the world. The journal implements it; so does a dry run."""

    async def begins(self, key: str, action: str) -> dt.datetime:
        """When the step starts, or started, if it is recorded. Raises FlowError `replay_mismatch`."""

    def recorded(self, key: str) -> Mapping[str, Any] | None:
        """The outputs of a step that is over, or None."""

    async def step(self, step: CompiledStep, inputs: dict[str, Any]) -> Mapping[str, Any]:
        """Does the step once and records it; returns its outputs."""

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

    def render(self, values: Values) -> dict[str, Any]:
        """The inputs with their variables filled in; empty ones are left out. Raises FlowError."""
        rendered: dict[str, Any] = {}
        for each, source in self.inputs:
            value = _fill(each, source, values)
            if value is not None and value != "":
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

    def wants(self, data: Values) -> bool:
        """Whether the trigger's conditions hold for an event's data."""
        return self.starts is None or self.starts.holds({"trigger": data})


def compile_flow(flow: Flow, version: int, catalog: Catalog) -> CompiledFlow:
    """Makes a flow ready to run. Raises FlowError where an action is unknown or a template is wrong."""
    steps = [_compile_step(step, catalog) for step in flow.steps]
    wanted = _wanted(steps)
    return CompiledFlow(
        flow=flow,
        version=version,
        starts=compile_conditions(flow.trigger.conditions) if flow.trigger.conditions else None,
        steps=tuple(replace(step, wanted=Wanted(wanted[step.step.key])) for step in steps),
    )


def _wanted(steps: list[CompiledStep]) -> dict[str, frozenset[str]]:
    """Which outputs of each step the flow's templates and conditions name."""
    names: dict[str, set[str]] = {step.step.key: set() for step in steps}
    whole = {step.step.key: {output.name for output in step.action.outputs} for step in steps}
    for step in steps:
        conditions = step.only_if.templates if step.only_if else ()
        templates = [source for _, source in step.inputs if isinstance(source, Template)]
        for template in [*templates, *(template for _, template in conditions)]:
            for reference in template.references():
                root = reference.path[0] if reference.path else ""
                if root in names:
                    names[root] |= {reference.path[1]} if len(reference.path) > 1 else whole[root]
    return {key: frozenset(used) for key, used in names.items()}


def _compile_step(step: Step, catalog: Catalog) -> CompiledStep:
    action = catalog.action(step.action)
    if action is None:
        raise FlowError("unknown_action", f"There is no action {step.action!r} (step {step.key!r})")
    inputs: list[tuple[Input, Any]] = []
    for name, value in step.inputs.items():
        known = action.input(name)
        if known is None:
            raise FlowError("unknown_input", f"{action.id} has no input {name!r} (step {step.key!r})")
        inputs.append((known, Template(value) if isinstance(value, str) else value))
    return CompiledStep(
        step=step,
        action=action,
        only_if=compile_conditions(step.only_if) if step.only_if else None,
        inputs=tuple(inputs),
        wanted=Wanted(),
    )


def _fill(known: Input, source: Any, values: Values) -> Any:
    if not isinstance(source, Template):
        return source
    if not known.is_text:
        return source.value(values)
    return source.text(values, known.insert or as_text)


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
        begins = await port.begins(key, action.id)
        outputs = port.recorded(key)
        if outputs is not None:
            variables[key] = outputs
            continue
        moment = rfc3339(begins)
        values = {**variables, "now": moment, "today": moment[:10]}
        inputs: dict[str, Any] = {}
        try:
            if each.only_if is not None and not each.only_if.holds(values):
                if each.step.only_if is not None and each.step.only_if.otherwise == "stop":
                    await port.skip(key, action.id, {}, None)
                    return f"ended before {key!r}: its conditions do not hold any more"
                await port.skip(key, action.id, {}, None)
                variables[key] = EMPTY
                continue
            inputs = each.render(values)
            missing = each.missing(inputs)
            if missing is not None and each.step.optional:
                await port.skip(key, action.id, inputs, None)
                variables[key] = EMPTY
                continue
            if missing is not None:
                raise _missing_input(each, missing)
            valid = action.validate(inputs)
        except FlowError as problem:
            problem.message = f"Step {key!r}: {problem.message}"
            await port.fail(key, action.id, inputs, problem)
            raise
        try:
            variables[key] = await port.step(each, valid)
        except Permanent as problem:
            if not each.step.optional:
                await port.fail(key, action.id, inputs, problem)
                raise
            await port.skip(key, action.id, inputs, problem)
            variables[key] = EMPTY
    return None


def _missing_input(step: CompiledStep, missing: Input) -> FlowError:
    source = step.step.inputs.get(missing.name)
    return FlowError(
        "missing_input",
        f"input {missing.name!r} of {step.action.id} is empty" + (f": {str(source).strip()[:80]}" if source else ""),
        hint="Give the variable a value with `| default: …`, or mark the step `optional: true`.",
    )
