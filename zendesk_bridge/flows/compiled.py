"""Flows with their templates and conditions ready, for all their runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from zendesk_bridge.flows.catalog import Action, Catalog, Input, Wanted
from zendesk_bridge.flows.conditions import CompiledConditions, compile_conditions, variable_template
from zendesk_bridge.flows.definition import (
    ActionStep,
    BranchStep,
    Flow,
    LoopStep,
    SetStep,
    Step,
    StopStep,
    Values,
    Wait,
    WaitStep,
)
from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.filters import as_text
from zendesk_bridge.flows.model import rfc3339
from zendesk_bridge.flows.template import Template

#: The variables that say when a step starts.
TIMES = ("now", "today")

#: Steps one after the other.
Block = tuple["CompiledStep", ...]


@dataclass(frozen=True, kw_only=True)
class CompiledStep:
    """A step with its templates and conditions ready."""

    key: str
    # The action's id, or what kind of step it is.
    action_id: str
    only_if: CompiledConditions | None
    # Whether the run ends where the step's conditions do not hold.
    stops: bool
    # Whether it may use `now` or `today`.
    tells_time: bool
    # Whether it must be walked through again where it is recorded: others stand inside, or the run ends here.
    leads_on: ClassVar[bool] = False
    # The keys of the steps inside it: they have no outputs where they are not done.
    keys: tuple[str, ...] = ()

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


@dataclass(frozen=True, kw_only=True)
class CompiledAction(CompiledStep):
    """A step that does something."""

    step: ActionStep
    action: Action
    inputs: tuple[tuple[Input, Any], ...]
    wanted: Wanted
    # The reads after this one, up to the next effect, that need nothing of it: they begin together with it.
    ahead: tuple[CompiledAction, ...] = ()
    # Whether the run goes on where the step fails, and what it does first.
    goes_on: bool = False
    remedy: Block = ()

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

    def arguments(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the action's function is called with, an effect's mark apart."""
        return {**inputs, "wanted": self.wanted} if self.action.takes_wanted else inputs

    def missing(self, rendered: Mapping[str, Any]) -> Input | None:
        """The first input that is needed and empty."""
        for each in self.action.inputs:
            if each.required and each.name not in rendered:
                return each
        return None


@dataclass(frozen=True, kw_only=True)
class CompiledBranch(CompiledStep):
    """A step that goes one of several ways."""

    leads_on = True

    cases: tuple[tuple[CompiledConditions, Block], ...]
    otherwise: Block


@dataclass(frozen=True, kw_only=True)
class CompiledLoop(CompiledStep):
    """A step that repeats others."""

    leads_on = True

    each: Template
    limit: int
    at_once: int
    block: Block


@dataclass(frozen=True, kw_only=True)
class CompiledWait(CompiledStep):
    """A step that lets the run sleep."""

    wait: Wait
    until: Template | None
    zone: Template | None


@dataclass(frozen=True, kw_only=True)
class CompiledSet(CompiledStep):
    """A step that computes variables."""

    names: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CompiledStop(CompiledStep):
    """A step that ends the run."""

    leads_on = True

    fails: bool
    message: Template


@dataclass(frozen=True, kw_only=True)
class CompiledFlow:
    """A version of a flow, ready to run."""

    flow: Flow
    version: int
    starts: CompiledConditions | None
    steps: Block
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
    compiler = _Compiler(catalog, {})
    # What is wanted of each step is known once all of them are compiled.
    references = [path for step in _everywhere(compiler.block(flow.steps)) for path in _references(step)]
    compiler = _Compiler(catalog, _wanted(references, flow, catalog))
    return CompiledFlow(
        flow=flow,
        version=version,
        starts=compile_conditions(flow.trigger.conditions) if flow.trigger.conditions else None,
        steps=compiler.block(flow.steps),
        one_at_a_time=Template(variable_template(flow.one_at_a_time)) if flow.one_at_a_time else None,
    )


def _wanted(references: list[tuple[str, ...]], flow: Flow, catalog: Catalog) -> dict[str, frozenset[str]]:
    """Which outputs of each step the flow's templates and conditions name."""
    names: dict[str, set[str]] = {step.key: set() for step in flow.actions()}
    whole = {step.key: catalog.action(step.action) for step in flow.actions()}
    for path in references:
        if path[0] in names:
            action = whole[path[0]]
            every = {output.name for output in action.outputs} if action else set()
            names[path[0]] |= {path[1]} if len(path) > 1 and path[1] != "error" else every
    return {key: frozenset(used) for key, used in names.items()}


class _Compiler:
    def __init__(self, catalog: Catalog, wanted: Mapping[str, frozenset[str]]) -> None:
        self._catalog = catalog
        self._wanted = wanted

    def block(self, steps: Sequence[Step], *, repeats: bool = False) -> Block:
        """Args: repeats: whether the steps may run several times."""
        compiled = [self._step(step, repeats) for step in steps]
        if repeats:  # what is read ahead is known by its step alone
            return tuple(compiled)
        return tuple(_with_ahead(compiled, place) for place in range(len(compiled)))

    def _step(self, step: Step, repeats: bool) -> CompiledStep:
        only_if = compile_conditions(step.only_if) if step.only_if else None
        stops = step.only_if is not None and step.only_if.otherwise == "stop"
        shared: dict[str, Any] = {"key": step.key, "only_if": only_if, "stops": stops}
        asked = [template for _, template in only_if.templates] if only_if else []
        if isinstance(step, ActionStep):
            return self._action(step, shared, asked, repeats)
        if isinstance(step, BranchStep):
            cases = [(compile_conditions(case.when), self.block(case.steps, repeats=repeats)) for case in step.branch]
            asked += [template for when, _ in cases for _, template in when.templates]
            otherwise = self.block(step.otherwise, repeats=repeats)
            inside = [each for _, block in cases for each in _everywhere(block)] + list(_everywhere(otherwise))
            return CompiledBranch(
                **shared,
                action_id="branch",
                tells_time=_tells_time(asked),
                cases=tuple(cases),
                otherwise=otherwise,
                keys=tuple(each.key for each in inside),
            )
        if isinstance(step, LoopStep):
            each = Template(variable_template(step.loop.each))
            return CompiledLoop(
                **shared,
                action_id="loop",
                tells_time=_tells_time([*asked, each]),
                each=each,
                limit=step.loop.limit,
                at_once=step.loop.at_once,
                block=self.block(step.loop.steps, repeats=True),
            )
        return self._simple(step, shared, asked)

    def _simple(
        self, step: WaitStep | SetStep | StopStep, shared: dict[str, Any], asked: list[Template]
    ) -> CompiledStep:
        if isinstance(step, WaitStep):
            until = Template(step.wait.until) if step.wait.until else None
            zone = Template(step.wait.zone) if step.wait.zone else None
            tells_time = _tells_time([*asked, *(each for each in (until, zone) if each)])
            return CompiledWait(
                **shared, action_id="wait", tells_time=tells_time, wait=step.wait, until=until, zone=zone
            )
        if isinstance(step, SetStep):
            names = {name: _compiled(value) for name, value in step.set.items()}
            tells_time = _tells_time([*asked, *_templates(list(names.values()))])
            return CompiledSet(**shared, action_id="set", tells_time=tells_time, names=names)
        message = Template(step.stop.message)
        return CompiledStop(
            **shared,
            action_id="stop",
            tells_time=_tells_time([*asked, message]),
            fails=step.stop.outcome == "failed",
            message=message,
        )

    def _action(self, step: ActionStep, shared: dict[str, Any], asked: list[Template], repeats: bool) -> CompiledAction:
        action = self._catalog.action(step.action)
        if action is None:
            raise FlowError("unknown_action", f"There is no action {step.action!r} (step {step.key!r})")
        inputs: list[tuple[Input, Any]] = []
        for name, value in step.inputs.items():
            known = action.input(name)
            if known is None:
                raise FlowError("unknown_input", f"{action.id} has no input {name!r} (step {step.key!r})")
            inputs.append((known, _compiled(value)))
        used = [template for _, source in inputs for template in _templates(source)]
        remedy = self.block(step.on_error, repeats=repeats) if isinstance(step.on_error, list) else ()
        return CompiledAction(
            **shared,
            goes_on=step.on_error != "fail",
            remedy=remedy,
            keys=tuple(each.key for each in _everywhere(remedy)),
            action_id=action.id,
            step=step,
            action=action,
            tells_time=_tells_time([*asked, *used]),
            inputs=tuple(inputs),
            wanted=Wanted(self._wanted.get(step.key, frozenset())),
        )


def _everywhere(block: Block) -> Iterator[CompiledStep]:
    """All steps of a block, also inside others."""
    for step in block:
        yield step
        if isinstance(step, CompiledBranch):
            for _, inner in step.cases:
                yield from _everywhere(inner)
            yield from _everywhere(step.otherwise)
        elif isinstance(step, CompiledLoop):
            yield from _everywhere(step.block)
        elif isinstance(step, CompiledAction):
            yield from _everywhere(step.remedy)


def _templates_of(step: CompiledStep) -> Iterator[Template]:
    """The templates of a step's own, not of those inside it."""
    for _, template in step.only_if.templates if step.only_if else ():
        yield template
    if isinstance(step, CompiledAction):
        for _, source in step.inputs:
            yield from _templates(source)
    elif isinstance(step, CompiledBranch):
        for when, _ in step.cases:
            for _, template in when.templates:
                yield template
    elif isinstance(step, CompiledLoop):
        yield step.each
    elif isinstance(step, CompiledWait):
        yield from (each for each in (step.until, step.zone) if each)
    elif isinstance(step, CompiledSet):
        yield from _templates(list(step.names.values()))
    elif isinstance(step, CompiledStop):
        yield step.message


def _references(step: CompiledStep) -> Iterator[tuple[str, ...]]:
    """The variables that a step names."""
    for template in _templates_of(step):
        for reference in template.references():
            yield reference.path or ("",)


def _tells_time(templates: list[Template]) -> bool:
    """Whether some template may use the time: as a variable, or as a text for the filter `date`."""
    return any(name in template.source for template in templates for name in TIMES)


def _with_ahead(steps: list[CompiledStep], place: int) -> CompiledStep:
    """The step with the reads that may begin together with it: no effect lies between, and no unknown value."""
    first = steps[place]
    if not isinstance(first, CompiledAction) or first.action.effect != "read":
        return first
    found = []
    unknown = {step.key for step in steps[place:]}
    for step in steps[place + 1 :]:
        if not isinstance(step, CompiledAction) or step.action.effect != "read":
            break
        needs = {path[0] for path in _references(step)}
        if not needs & unknown:
            found.append(step)
        elif step.stops:
            break  # whether anything after it is read is not known yet
    return CompiledAction(**{**vars(first), "ahead": tuple(found)})


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


def filled(source: Any, values: Values) -> Any:
    """A compiled value with its variables filled in; a template that is one variable keeps its type."""
    if isinstance(source, Template):
        return source.value(values)
    if isinstance(source, list):
        return [filled(part, values) for part in source]
    if isinstance(source, dict):
        return {name: filled(part, values) for name, part in source.items()}
    return source


def _fill(known: Input, source: Any, values: Values) -> Any:
    if not known.is_text:
        return filled(source, values)
    if isinstance(source, Template):
        return known.settle(source.text(values, known.insert or as_text))
    if isinstance(source, list):
        return [_fill(known, part, values) for part in source]
    if isinstance(source, dict):
        return {name: _fill(known, part, values) for name, part in source.items()}
    return source
