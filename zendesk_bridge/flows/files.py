"""Flow files: YAML in, a checked flow out, and every problem with its line and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarstring import FoldedScalarString, LiteralScalarString

from zendesk_bridge.flows.catalog import Action, Catalog, Output, nearest
from zendesk_bridge.flows.conditions import leaves
from zendesk_bridge.flows.model import Conditions, Flow, Problem, Step
from zendesk_bridge.flows.template import FILTERS, Template, TemplateProblem, UnknownFilter

#: A flow file larger than this is refused.
FILE_LIMIT = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class FlowFile:
    """What a file holds: a flow, or the problems that keep it from being one."""

    file: str
    text: str
    key: str | None = None
    flow: Flow | None = None
    problems: list[Problem] = field(default_factory=list)


def read_flow(text: str, file: str, catalog: Catalog) -> FlowFile:
    """Reads and checks one flow. Never raises: what is wrong is in `problems`."""
    try:
        document = YAML(typ="rt").load(text)
    except (YAMLError, ValueError) as problem:
        mark = problem.problem_mark if isinstance(problem, MarkedYAMLError) else None
        message = problem.problem if isinstance(problem, MarkedYAMLError) else str(problem).splitlines()[0]
        line = mark.line + 1 if mark else 1
        return FlowFile(
            file=file, text=text, problems=[Problem(file=file, line=line, code="yaml", message=str(message))]
        )
    if not isinstance(document, CommentedMap):
        wrong = Problem(file=file, line=1, code="yaml", message="a flow file is a mapping: key, name, trigger, steps")
        return FlowFile(file=file, text=text, problems=[wrong])
    key = document.get("key")
    key = key if isinstance(key, str) else None
    try:
        flow = Flow.model_validate(_plain(document))
    except ValidationError as problem:
        problems = [_shape_problem(document, file, error) for error in problem.errors()]
        return FlowFile(file=file, text=text, key=key, problems=problems)
    problems = list(_Checker(document, file, catalog, flow).problems())
    return FlowFile(file=file, text=text, key=key, flow=None if problems else flow, problems=problems)


def read_file(path: Path, catalog: Catalog) -> FlowFile:
    """Reads and checks a flow file on disk. Never raises."""
    try:
        if path.stat().st_size > FILE_LIMIT:
            raise ValueError(f"larger than {FILE_LIMIT // 1024} KiB")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        wrong = Problem(file=str(path), line=1, code="unreadable", message=f"cannot be read: {problem}")
        return FlowFile(file=str(path), text="", problems=[wrong])
    return read_flow(text, str(path), catalog)


def _plain(value: Any) -> Any:
    """A YAML document without ruamel's types."""
    if isinstance(value, CommentedMap):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, CommentedSeq):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def _line(document: Any, path: Iterable[Any]) -> int:
    """The line, counted from 1, of the deepest part of a path that the document has."""
    line = 0
    for part in path:
        if isinstance(document, CommentedMap) and part in document:
            line = document.lc.key(part)[0]
            document = document[part]
        elif isinstance(document, CommentedSeq) and isinstance(part, int) and part < len(document):
            line = document.lc.item(part)[0]
            document = document[part]
        else:
            break
    return int(line) + 1


def _shape_problem(document: CommentedMap, file: str, error: Any) -> Problem:
    path = [part for part in error["loc"] if part not in ("Condition", "Conditions")]
    step = None
    if len(path) > 1 and path[0] == "steps" and isinstance(path[1], int):
        part = document["steps"][path[1]]
        step = part.get("key") if isinstance(part, CommentedMap) else None
    name = str(path[-1]) if path else ""
    codes = {
        "missing": ("missing", f"{name!r} is missing"),
        "extra_forbidden": ("unknown_field", f"there is no field {name!r} here"),
        "string_pattern_mismatch": (
            "invalid_key",
            f"{error['input']!r} is no key: small letters, digits and _, a letter first",
        ),
    }
    plain = str(error["msg"]).removeprefix("Value error, ")
    code, message = codes.get(error["type"], ("invalid", f"{name}: {plain}"))
    suggestion = None
    if code == "unknown_field":
        known = Step.model_fields if step or path[:1] == ["steps"] else Flow.model_fields
        suggestion = _did_you_mean(nearest(name, known))
    return Problem(file=file, line=_line(document, path), step=step, code=code, message=message, suggestion=suggestion)


def _did_you_mean(name: str | None) -> str | None:
    return f"did you mean {name!r}?" if name else None


class _Checker:
    """Compares a flow with the catalog: names, inputs, templates, variables."""

    def __init__(self, document: CommentedMap, file: str, catalog: Catalog, flow: Flow) -> None:
        self._document = document
        self._file = file
        self._catalog = catalog
        self._flow = flow
        self._order = [step.key for step in flow.steps]
        self._outputs: dict[str, tuple[Output, ...] | None] = {"now": (), "today": ()}

    def problems(self) -> Iterator[Problem]:
        reference = self._flow.trigger
        trigger = self._catalog.triggers.get(reference.event)
        if trigger is None:
            yield self._problem(
                ("trigger", "event"),
                "unknown_trigger",
                f"there is no trigger {reference.event!r}",
                _did_you_mean(nearest(reference.event, self._catalog.triggers)),
            )
        self._outputs["trigger"] = trigger.outputs if trigger else None
        if reference.conditions:
            yield from self._conditions(reference.conditions, ("trigger", "conditions"), None)
        for index, step in enumerate(self._flow.steps):
            yield from self._step(step, ("steps", index))

    def _problem(
        self,
        path: tuple[Any, ...],
        code: str,
        message: str,
        suggestion: str | None = None,
        *,
        step: str | None = None,
        input: str | None = None,
        below: int = 0,
    ) -> Problem:
        return Problem(
            file=self._file,
            line=_line(self._document, path) + below,
            step=step,
            input=input,
            code=code,
            message=message,
            suggestion=suggestion,
        )

    def _step(self, step: Step, path: tuple[Any, ...]) -> Iterator[Problem]:
        if step.only_if:
            yield from self._conditions(step.only_if, (*path, "only_if"), step.key)
        action = self._catalog.action(step.action)
        self._outputs[step.key] = action.outputs if action else None
        if action is None:
            message = f"there is no action {step.action!r}"
            suggestion = _did_you_mean(nearest(step.action, self._catalog.names))
            yield self._problem((*path, "action"), "unknown_action", message, suggestion, step=step.key)
            return
        outputs = self._outputs.pop(step.key)  # a step does not see its own outputs
        yield from self._inputs(step, action, path)
        self._outputs[step.key] = outputs

    def _inputs(self, step: Step, action: Action, path: tuple[Any, ...]) -> Iterator[Problem]:
        literal: dict[str, Any] = {}
        for name, value in step.inputs.items():
            place = (*path, "inputs", name)
            if action.input(name) is None:
                message = f"{action.id} has no input {name!r}"
                suggestion = _did_you_mean(nearest(name, [each.name for each in action.inputs]))
                yield self._problem(place, "unknown_input", message, suggestion, step=step.key, input=name)
            elif isinstance(value, str) and ("{{" in value or "{%" in value):
                yield from self._template(value, place, step.key, name)
            else:
                literal[name] = value
        for each in action.inputs:
            if each.required and each.name not in step.inputs:
                message = f"{action.id} needs the input {each.name!r}"
                yield self._problem((*path, "inputs"), "missing_input", message, step=step.key, input=each.name)
        try:
            action.form.model_validate(literal)
        except ValidationError as problem:
            for error in problem.errors():
                name = str(error["loc"][0])
                if name in literal and error["type"] != "missing":
                    message = str(error["msg"]).removeprefix("Value error, ")
                    place = (*path, "inputs", name)
                    yield self._problem(place, "invalid_input", message, step=step.key, input=name)

    def _conditions(self, conditions: Conditions, path: tuple[Any, ...], step: str | None) -> Iterator[Problem]:
        if conditions.all is None and conditions.any is None:
            yield self._problem(path, "invalid", "conditions need `all` or `any`", step=step)
        for place, condition in _places(self._document, path):
            name = condition.variable.strip()
            template = name if name.startswith("{{") else f"{{{{ {name} }}}}"
            yield from self._template(template, place, step, None)
            if isinstance(condition.value, str):
                yield from self._template(condition.value, place, step, None)

    def _template(self, source: str, path: tuple[Any, ...], step: str | None, name: str | None) -> Iterator[Problem]:
        below = 1 if isinstance(_at(self._document, path), LiteralScalarString | FoldedScalarString) else 0
        try:
            template = Template(source)
        except TemplateProblem as problem:
            suggestion: str | None = problem.hint
            if isinstance(problem, UnknownFilter):
                suggestion = _did_you_mean(nearest(problem.name, FILTERS)) or problem.hint
            yield self._problem(
                path, problem.code, problem.message, suggestion, step=step, input=name, below=below + problem.line
            )
            return
        for reference in template.references():
            wrong = self._reference(reference.path)
            if wrong:
                code, message, suggestion = wrong
                yield self._problem(
                    path, code, message, suggestion, step=step, input=name, below=below + reference.line
                )

    def _reference(self, path: tuple[str, ...]) -> tuple[str, str, str | None] | None:
        root = path[0] if path else ""
        whole = ".".join(path)
        if root not in self._outputs:
            if root in self._order:
                return "later_step", f"{whole}: step {root!r} has not run yet here", "use a step further up"
            return "unknown_variable", f"there is no variable {whole!r}", _did_you_mean(nearest(root, self._outputs))
        outputs = self._outputs[root]
        if outputs is None or len(path) < 2:
            return None
        known = next((each for each in outputs if each.name == path[1]), None)
        if known is None:
            close = nearest(path[1], [each.name for each in outputs])
            suggestion = _did_you_mean(f"{root}.{close}" if close else None)
            return "unknown_variable", f"{root!r} has no variable {path[1]!r}", suggestion
        if len(path) > 2 and known.below is not None and path[2] not in (*known.below, "size", "first", "last"):
            close = nearest(path[2], known.below)
            suggestion = _did_you_mean(f"{root}.{path[1]}.{close}" if close else None)
            return "unknown_variable", f"'{root}.{path[1]}' has no variable {path[2]!r}", suggestion
        return None


def _at(document: Any, path: Iterable[Any]) -> Any:
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _places(document: CommentedMap, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each comparison of a tree of conditions with its place in the document."""
    tree = _at(document, path)
    for name in ("all", "any"):
        for index, each in enumerate(tree.get(name) or ()):
            place = (*path, name, index)
            if "variable" in each:
                plain = {"all": [_plain(each)]}
                yield place, next(leaves(Conditions.model_validate(plain)))
            else:
                yield from _places(document, place)
