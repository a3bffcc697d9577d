"""Compares a flow with the catalog: every name, input, template and variable, each problem with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from pydantic import ValidationError

from zendesk_bridge.flows.catalog import Action, Catalog, Input, Output, did_you_mean, nearest
from zendesk_bridge.flows.conditions import can_be_ordered, is_present, variable_template
from zendesk_bridge.flows.definition import (
    ActionStep,
    BranchStep,
    Condition,
    Conditions,
    Flow,
    LoopStep,
    SetStep,
    Step,
    StopStep,
    WaitStep,
    blocks_of,
    every_step,
)
from zendesk_bridge.flows.document import Document, Path, is_template_without_quotes
from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.filters import FILTERS
from zendesk_bridge.flows.kinds import SHORT_TEXT, TAKEN, Kind, compared, in_words, kind_of, misused
from zendesk_bridge.flows.known_words import never_holds
from zendesk_bridge.flows.model import Problem, utc_now
from zendesk_bridge.flows.moments import moment_of, next_time_of_day
from zendesk_bridge.flows.other_words import meant_filter
from zendesk_bridge.flows.template import Template, TemplateProblem, UnknownFilter, is_template
from zendesk_bridge.flows.wrong_values import IN_QUOTES
from zendesk_bridge.flows.wrong_values import in_words as problem_in_words

_TAKE_NO_VALUE = ("is_present", "is_not_present")
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
#: What lists and texts offer below their own names.
_ALWAYS_BELOW = ("size", "first", "last")
#: What the variables are that are there from the start.
_KINDS: dict[str, Kind] = {"now": "date-time", "today": "date", "index": "number"}


def check_flow(flow: Flow, document: Document, file: str, catalog: Catalog) -> list[Problem]:
    """Everything that would keep a flow of good shape from running."""
    return list(_Check(flow, document, file, catalog).problems())


class _Check:
    def __init__(self, flow: Flow, document: Document, file: str, catalog: Catalog) -> None:
        self._flow = flow
        self._document = document
        self._file = file
        self._catalog = catalog
        self._order = [step.key for _, step in every_step(flow.steps)]
        # Steps that have run, but not on the way that leads here: why they cannot be used.
        self._hidden: dict[str, tuple[str, str]] = {}
        # What each root of a variable offers, as far as the flow has come; None: anything may be there.
        self._outputs: dict[str, tuple[Output, ...] | None] = {}

    def problems(self) -> Iterator[Problem]:
        reference = self._flow.trigger
        trigger = self._catalog.triggers.get(reference.event)
        if trigger is None:
            yield self._problem(
                ("trigger", "event"),
                "unknown_trigger",
                f"there is no trigger {reference.event!r}",
                did_you_mean(nearest(reference.event, self._catalog.triggers)),
            )
        self._outputs["trigger"] = trigger.outputs if trigger else None
        if reference.conditions:
            yield from self._conditions(reference.conditions, ("trigger", "conditions"), None)
        if self._flow.owner is not None and not _ADDRESS.fullmatch(self._flow.owner.strip()):
            message = f"owner: {self._flow.owner[:60]!r} is not an e-mail address"
            yield self._problem(("owner",), "invalid_value", message)
        if self._flow.one_at_a_time:
            yield from self._variable(self._flow.one_at_a_time, ("one_at_a_time",), None)
        self._outputs |= {"now": (), "today": ()}
        yield from self._block(self._flow.steps, ("steps",))

    def _block(self, steps: Sequence[Step], path: Path) -> Iterator[Problem]:
        stopped = None
        for index, step in enumerate(steps):
            if stopped is not None:
                message = f"is never reached: {stopped!r} ends the run before"
                hint = f"give {stopped!r} an `only_if`, or take this step out"
                yield self._problem((*path, index), "unreachable", message, hint, step=step.key)
                stopped = None
            yield from self._step(step, (*path, index))
            if isinstance(step, StopStep) and step.only_if is None:
                stopped = step.key

    def _problem(
        self,
        path: Path,
        code: str,
        message: str,
        suggestion: str | None = None,
        *,
        step: str | None = None,
        input: str | None = None,
        at: int | None = None,
    ) -> Problem:
        return Problem(
            file=self._file,
            line=self._document.line(path) if at is None else self._document.line_inside(path, at),
            step=step,
            input=input,
            code=code,
            message=message,
            suggestion=suggestion,
        )

    def _step(self, step: Step, path: Path) -> Iterator[Problem]:
        if step.only_if:
            yield from self._conditions(step.only_if, (*path, "only_if"), step.key)
        if isinstance(step, ActionStep):
            action = self._catalog.action(step.action)
            if action is None:
                message = f"there is no action {step.action!r}"
                suggestion = did_you_mean(nearest(step.action, self._catalog.names))
                yield self._problem((*path, "action"), "unknown_action", message, suggestion, step=step.key)
            else:
                yield from self._inputs(step, action, path)
            outputs = action.outputs if action else None
            if outputs is not None and step.on_error != "fail":
                outputs = (*outputs, _variable("error", "object", below=("code", "message", "hint")))
            self._outputs[step.key] = outputs
            for place, block in blocks_of(step):
                yield from self._block(block, (*path, *place))
        elif isinstance(step, BranchStep):
            yield from self._branch(step, path)
        elif isinstance(step, LoopStep):
            yield from self._loop(step, path)
        else:
            yield from self._simple(step, path)

    def _branch(self, step: BranchStep, path: Path) -> Iterator[Problem]:
        for number, case in enumerate(step.branch):
            yield from self._conditions(case.when, (*path, "branch", number, "when"), step.key)
        before, hidden = dict(self._outputs), dict(self._hidden)
        together: dict[str, tuple[Output, ...] | None] = {}
        for place, block in blocks_of(step):
            self._outputs, self._hidden = dict(before), dict(hidden)
            for key in together:
                self._hidden[key] = ("other_branch", f"step {key!r} is on another way of {step.key!r}")
            yield from self._block(block, (*path, *place))
            together |= {key: self._outputs[key] for key in self._outputs if key not in before}
        # Where the ways come together again, what was not gone through is empty.
        self._outputs, self._hidden = before | together, hidden
        self._outputs[step.key] = (_variable("case", "number"),)

    def _loop(self, step: LoopStep, path: Path) -> Iterator[Problem]:
        yield from self._variable(step.loop.each, (*path, "loop", "each"), step.key)
        kind = self._kind(variable_template(step.loop.each))
        if kind not in ("list", "any"):
            hint = 'make a list of a text with `| split: ","`' if kind == "text" else None
            message = f"each: {step.loop.each.strip()} is {in_words(kind)}, not a list"
            yield self._problem((*path, "loop", "each"), "wrong_type", message, hint, step=step.key)
        before = dict(self._outputs)
        self._outputs |= {"item": None, "index": ()}
        yield from self._block(step.loop.steps, (*path, "loop", "steps"))
        for key in self._outputs.keys() - before.keys():
            self._hidden[key] = ("inside_loop", f"{key!r} is known inside the loop {step.key!r} only")
        self._outputs = before
        self._outputs[step.key] = (
            _variable("items", "list", below=None),
            _variable("count", "number"),
            _variable("results", "list", below=None),
        )

    def _simple(self, step: WaitStep | SetStep | StopStep, path: Path) -> Iterator[Problem]:
        if isinstance(step, WaitStep):
            for name, value in (("until", step.wait.until), ("zone", step.wait.zone)):
                yield from self._values(value, (*path, "wait", name), step.key)
            yield from self._moments(step, path)
            if (kind := self._kind(step.wait.until)) not in TAKEN["date-time"] | {"any"}:
                message = f"until: a time is needed, not {in_words(kind)}"
                yield self._problem((*path, "wait", "until"), "wrong_type", message, step=step.key)
            self._outputs[step.key] = (_variable("until", "date-time"),)
        elif isinstance(step, SetStep):
            yield from self._values(step.set, (*path, "set"), step.key)
            self._outputs[step.key] = tuple(
                Output(name=name, type=self._kind(value), description="", below=None, words=self._words(value))
                for name, value in step.set.items()
            )
        else:
            yield from self._values(step.stop.message, (*path, "stop", "message"), step.key)
            self._outputs[step.key] = ()

    def _values(self, value: Any, path: Path, step: str) -> Iterator[Problem]:
        if is_template_without_quotes(value):
            message = f"a value is needed, not a mapping in a mapping {IN_QUOTES}"
            yield self._problem(path, "invalid_value", message, step=step)
        elif isinstance(value, str):
            yield from self._template(value, path, step, None)
        elif isinstance(value, dict | list):
            for name, part in value.items() if isinstance(value, dict) else enumerate(value):
                yield from self._values(part, (*path, name), step)

    def _moments(self, step: WaitStep, path: Path) -> Iterator[Problem]:
        """What is written out, and no time or zone."""
        wait = step.wait
        try:
            if wait.until and not is_template(wait.until):
                moment_of(wait.until)
            if wait.at and wait.zone and not is_template(wait.zone):
                next_time_of_day(wait.at, wait.zone, utc_now())
        except FlowError as problem:
            name = "zone" if problem.code == "no_zone" else "until"
            yield self._problem((*path, "wait", name), "invalid_value", problem.message, problem.hint, step=step.key)

    def _inputs(self, step: ActionStep, action: Action, path: Path) -> Iterator[Problem]:
        literal: dict[str, Any] = {}
        names = [each.name for each in action.inputs]
        missing = [each.name for each in action.inputs if each.required and step.inputs.get(each.name) is None]
        for name, value in step.inputs.items():
            place = (*path, "inputs", name)
            known = action.input(name)
            if known is None:
                meant = nearest(name, [each for each in names if each not in step.inputs])
                if meant is None and len(missing) == 1:
                    meant = missing[0]
                missing = [each for each in missing if each != meant]
                suggestion = did_you_mean(meant) or f"its inputs are {', '.join(names)}"
                message = f"{action.id} has no input {name!r}"
                yield self._problem(place, "unknown_input", message, suggestion, step=step.key, input=name)
                continue
            templates = list(_templates(value, place))
            for where, source in templates:
                yield from self._template(source, where, step.key, name)
            if not templates and value is not None:
                literal[name] = value
            elif templates:
                yield from self._input_kind(known, self._kind(value), place, step.key)
        for name in missing:
            place = (*path, "inputs", name)
            message = f"{action.id} needs the input {name!r}"
            hint = "what follows a # is a comment: put it in quotes" if self._document.has_comment(place) else None
            yield self._problem(place, "missing_input", message, hint, step=step.key, input=name)
        yield from self._either(step, action, set(literal), (*path, "inputs"))
        try:
            action.form.model_validate(literal)
        except ValidationError as problem:
            for error in problem.errors():
                name = str(error["loc"][0])
                if name in literal:
                    place = (*path, "inputs", name)
                    yield self._problem(place, "invalid_input", problem_in_words(error), step=step.key, input=name)

    def _either(self, step: ActionStep, action: Action, literal: set[str], place: Path) -> Iterator[Problem]:
        """Inputs of which exactly one is needed. What a template gives may be nothing: that is seen when it runs."""
        given = [name for name in action.either if step.inputs.get(name) is not None]
        names = " or ".join(repr(name) for name in action.either)
        if action.either and not given and all(action.input(name) for name in step.inputs):
            message = f"{action.id} needs one of the inputs {names}"
            yield self._problem(place, "missing_input", message, step=step.key)
        elif len(literal.intersection(given)) > 1:
            message = f"{action.id} takes only one of the inputs {names}"
            yield self._problem((*place, given[-1]), "invalid_input", message, step=step.key, input=given[-1])

    def _input_kind(self, known: Input, kind: Kind, place: Path, step: str) -> Iterator[Problem]:
        """Whether an input takes what its template gives. Text that is shown takes anything."""
        taken = TAKEN.get(known.type)
        if kind == "any" or (taken is None and known.insert is not None):
            return
        if kind not in (taken or SHORT_TEXT):
            message = f"{in_words(known.type)} is needed, not {in_words(kind)}"
            hint = 'make a text of it with `| join: ", "`, or take `.first`' if kind == "list" and not taken else None
            yield self._problem(place, "wrong_type", message, hint, step=step, input=known.name)

    def _conditions(self, conditions: Conditions, path: Path, step: str | None) -> Iterator[Problem]:
        if conditions.all is None and conditions.any is None and conditions.unless is None:
            message = "conditions need `all`, `any` or `not`, and comparisons below it"
            yield self._problem(path, "missing", message, step=step)
        unless = () if conditions.unless is None else ((("not",), conditions.unless),)
        lists = (("all", conditions.all), ("any", conditions.any))
        every = [((name, index), part) for name, parts in lists for index, part in enumerate(parts or ())]
        for name in (name for name, parts in lists if parts == []):
            message = f"{name!r} is empty: comparisons belong below it"
            yield self._problem((*path, name), "missing", message, step=step)
        for inner, part in (*every, *unless):
            place = (*path, *inner)
            if isinstance(part, Conditions):
                yield from self._conditions(part, place, step)
            else:
                yield from self._condition(part, place, step)

    def _condition(self, condition: Condition, path: Path, step: str | None) -> Iterator[Problem]:
        yield from self._variable(condition.variable, (*path, "variable"), step)
        operator, value = condition.operator, condition.value
        templates = list(_templates(value, (*path, "value")))
        wrong = [each for where, source in templates for each in self._template(source, where, step, None)]
        yield from wrong
        if wrong:
            return
        if operator in _TAKE_NO_VALUE:
            if value is not None:
                message = f"{operator} takes no value"
                yield self._problem((*path, "value"), "invalid_value", message, step=step)
        elif value is None:
            message = f"{operator} needs a value"
            hint = "for something empty there are is_present and is_not_present"
            yield self._problem((*path, "value"), "missing_value", message, hint, step=step)
        elif isinstance(value, dict):
            message = f"a text, a number or a list is needed, not a mapping {IN_QUOTES}"
            yield self._problem((*path, "value"), "invalid_value", message, step=step)
        elif operator == "contains" and not is_present(value):
            message = "contains needs a value: nothing is in no list, and in no text"
            hint = "for something empty there are is_present and is_not_present"
            yield self._problem((*path, "value"), "missing_value", message, hint, step=step)
        elif operator in ("greater_than", "less_than") and not templates and not can_be_ordered(value):
            message = f"{operator} compares with a number, or with a time such as 2026-01-31T12:00:00Z"
            yield self._problem((*path, "value"), "invalid_value", message, step=step)
        else:
            source = variable_template(condition.variable)
            words = () if templates else self._words(source)
            misuse = compared(self._kind(source), operator, value, self._kind(value))
            misuse = misuse or (never_holds(condition.variable.strip(), words, operator, value) if words else None)
            if misuse:
                yield self._problem((*path, "value"), "wrong_type", misuse.message, misuse.suggestion, step=step)

    def _variable(self, variable: str, path: Path, step: str | None) -> Iterator[Problem]:
        source = variable_template(variable)
        yield from self._template(source, path, step, None, source.index(variable.strip()))

    def _template(
        self, source: str, path: Path, step: str | None, name: str | None, shift: int = 0
    ) -> Iterator[Problem]:
        try:
            template = Template(source)
        except TemplateProblem as problem:
            suggestion: str | None = problem.hint
            if isinstance(problem, UnknownFilter):
                suggestion = did_you_mean(meant_filter(problem.name, FILTERS)) or problem.hint
            at = max(problem.at - shift, 0)
            yield self._problem(path, problem.code, problem.message, suggestion, step=step, input=name, at=at)
            return
        for reference in template.references():
            wrong = self._reference(reference.path, step)
            if wrong:
                code, message, suggestion = wrong
                if suggestion is None and len(reference.path) == 1 and not shift:
                    suggestion = f"if it is a text, put it in quotes: '{reference.path[0]}'"
                at = max(reference.at - shift, 0)
                yield self._problem(path, code, message, suggestion, step=step, input=name, at=at)
        for misuse in misused(template, self._lookup):
            at = max(misuse.at - shift, 0)
            yield self._problem(path, "wrong_type", misuse.message, misuse.suggestion, step=step, input=name, at=at)

    def _kind(self, value: Any) -> Kind:
        """What a value is once its variables are filled in; anything, where it cannot be."""
        try:
            return kind_of(value, self._lookup)
        except TemplateProblem:
            return "any"

    def _words(self, value: Any) -> tuple[str, ...]:
        """All that a value can be, where it is a variable of which that is known."""
        try:
            only = Template(value).only if isinstance(value, str) else None
        except TemplateProblem:
            return ()
        known = self._output(only.path) if only and len(only.path) == 2 and not only.filters else None
        return known.words if known else ()

    def _output(self, path: tuple[Any, ...]) -> Output | None:
        """The variable of a step or of the trigger that a path leads to, or through."""
        outputs = self._outputs.get(path[0]) if len(path) > 1 else None
        return next((each for each in outputs or () if each.name == path[1]), None)

    def _lookup(self, path: tuple[Any, ...]) -> Kind:
        """What a variable is, as far as that is known."""
        if path[0] in _KINDS and len(path) == 1:
            return _KINDS[path[0]]
        known = self._output(path)
        if known is None:
            return "any"
        if path[2:] == ("size",):
            return "number"
        return cast(Kind, known.type) if len(path) == 2 else "any"

    def _reference(self, path: tuple[str, ...], step: str | None) -> tuple[str, str, str | None] | None:
        if not path:
            return "unknown_variable", "a variable begins with a name, not with a bracket", None
        root, whole = path[0], ".".join(path)
        if root not in self._outputs:
            if root in self._hidden:
                code, message = self._hidden[root]
                hint = "use a step that comes before both" if code == "other_branch" else "use the loop's `results`"
                return code, f"{whole}: {message}", hint
            if root == step:
                return "own_step", f"{whole}: a step does not have its own outputs yet", "use a step further up"
            if root in self._order:
                hint = "use a step further up" if step else "a trigger's conditions know the trigger only"
                return "later_step", f"{whole}: step {root!r} has not run yet here", hint
            if not step and root in ("now", "today"):
                return "unknown_variable", f"there is no {root!r} here", "a trigger's conditions know the trigger only"
            message = f"there is no variable {whole!r}"
            if close := nearest(root, self._outputs):
                return "unknown_variable", message, did_you_mean(".".join([close, *path[1:]]))
            owner = next((key for key in reversed(self._outputs) if self._output((key, root))), None)
            return "unknown_variable", message, did_you_mean(f"{owner}.{whole}" if owner else None)
        outputs = self._outputs[root]
        if outputs is None or len(path) < 2:
            return None
        known = self._output(path)
        if known is None:
            close = nearest(path[1], [each.name for each in outputs])
            suggestion = did_you_mean(f"{root}.{close}" if close else None)
            return "unknown_variable", f"{root!r} has no variable {path[1]!r}", suggestion
        if len(path) > 2 and known.below is not None and path[2] not in (*known.below, *_ALWAYS_BELOW):
            close = nearest(path[2], known.below)
            suggestion = did_you_mean(f"{root}.{path[1]}.{close}" if close else None)
            if not close and known.below:
                suggestion = f"there are {', '.join(known.below)}"
            return "unknown_variable", f"'{root}.{path[1]}' has no variable {path[2]!r}", suggestion
        return None


def _variable(name: str, type: str, *, below: tuple[str, ...] | None = ()) -> Output:
    return Output(name=name, type=type, description="", below=below)


def _templates(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Every template in a value, however deep in lists and mappings, with its place."""
    if isinstance(value, str):
        if is_template(value):
            yield path, value
    elif isinstance(value, dict | list):
        for step, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _templates(part, (*path, step))
