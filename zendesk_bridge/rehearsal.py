"""Tests of flows: files beside them that say what happened, what the services answer, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zendesk_bridge.dry import UnrecordedPort, made_up
from zendesk_bridge.flows.catalog import Catalog, Output, Trigger, did_you_mean, nearest
from zendesk_bridge.flows.compiled import CompiledAction, CompiledFlow
from zendesk_bridge.flows.document import Document, DocumentProblem
from zendesk_bridge.flows.errors import ConnectorError, FlowError, Permanent
from zendesk_bridge.flows.interpreter import interpret
from zendesk_bridge.flows.known_words import never_holds
from zendesk_bridge.flows.model import Problem
from zendesk_bridge.flows.wrong_values import in_words

#: How the files end.
SUFFIX = ".test.yml"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expected(_Part):
    """What must come of it; what is left out may be anything."""

    status: Literal["succeeded", "failed", "not_started"] = "succeeded"
    # The error's code.
    error: str | None = None
    note: str | None = None
    # The steps that send or change something, in order, by their keys in the history.
    calls: list[str] | None = None
    # Inputs of steps, each as text or as the value it has.
    inputs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    # What became of steps: succeeded, skipped, failed.
    steps: dict[str, str] = Field(default_factory=dict)


class Case(_Part):
    """One test."""

    name: str = Field(min_length=1)
    # Variables of the trigger; the others are those of its sample.
    given: dict[str, Any] = Field(default_factory=dict)
    # Outputs of steps by their keys, or `error: {code, message, hint}`. What sends needs none.
    answers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    expect: Expected = Field(default_factory=Expected)


class _File(_Part):
    tests: list[Case] = Field(min_length=1)


def read_cases(path: Path) -> list[Case]:
    """The tests in a file. Raises FlowError that names the line."""
    try:
        cases = parse_cases(path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError) as problem:
        raise FlowError("wrong_test", f"{path} cannot be read: {problem}") from problem
    if isinstance(cases, Problem):
        raise FlowError("wrong_test", str(cases))
    return cases


def parse_cases(text: str, file: str) -> list[Case] | Problem:
    """The tests that a file's text says, or the first thing that is wrong with it."""
    try:
        document = Document(text)
    except DocumentProblem as problem:
        return Problem(file=file, line=problem.line, code="wrong_test", message=problem.message)
    try:
        return _File.model_validate(document.plain).tests
    except ValidationError as problem:
        error = problem.errors()[0]
        place = [part for part in error["loc"] if part != "__root__"]
        what, suggestion = in_words(error), None
        if error["type"] == "extra_forbidden":
            model = Expected if place[-2:-1] == ["expect"] else Case if len(place) > 1 else _File
            what, suggestion = "there is no such field", did_you_mean(nearest(str(place[-1]), model.model_fields))
        shown = [f"test {part + 1}" if isinstance(part, int) else part for part in place if part != "tests"]
        message = f"{', '.join(shown or ['tests'])}: {what}"
        line = document.line(place)
        return Problem(file=file, line=line, code="wrong_test", message=message, suggestion=suggestion)


async def rehearse(flow: CompiledFlow, case: Case, catalog: Catalog) -> dict[str, Any]:
    """Runs a flow by a test's answers; nothing is called, sent or recorded.

    Returns:
        `{flow, test, ok, differences, steps}`; `steps` as `runs show` has them.
    """
    trigger = catalog.triggers[flow.flow.trigger.event]
    data = {**trigger.sample, **case.given}
    port = _Port(case)
    status, error, note = "succeeded", None, None
    try:
        if not flow.wants(data):
            status = "not_started"
        else:
            note = await interpret(flow, data, port)
    except ConnectorError as problem:
        status, error = "failed", problem
    differences = list(_mistakes(case, flow, trigger, catalog))
    differences += _differences(case.expect, status, error, note, port.steps)
    unused = set(case.answers) - port.asked - {step["key"] for step in port.steps}
    differences += [f"answers: there is no step {key!r}, or it did not run" for key in sorted(unused)]
    return {
        "flow": flow.flow.key,
        "test": case.name,
        "ok": not differences,
        "differences": differences,
        "steps": port.steps,
    }


def _mistakes(case: Case, flow: CompiledFlow, trigger: Trigger, catalog: Catalog) -> Iterator[str]:
    """Values of the test that nothing has: a flow is then tested with what never comes."""
    yield from _unlike("given", "trigger", case.given, trigger.outputs)
    actions = {step.key: step.action for step in flow.flow.actions()}
    for key, answer in case.answers.items():
        step = key.rpartition(".")[2]
        action = catalog.action(actions[step]) if step in actions else None
        if action and answer.keys() != {"error"}:
            yield from _unlike("answers", step, answer, action.outputs)


def _unlike(where: str, root: str, values: Mapping[str, Any], outputs: tuple[Output, ...]) -> Iterator[str]:
    known = {output.name: output for output in outputs}
    for name, value in values.items():
        if name not in known:
            hint = did_you_mean(nearest(name, known))
            yield f"{where}: {root!r} has no variable {name!r}" + (f" ({hint})" if hint else "")
        elif (
            known[name].words
            and isinstance(value, str)
            and (wrong := never_holds(f"{root}.{name}", known[name].words, "is", value))
        ):
            yield f"{where}: {wrong.message}" + (f" ({wrong.suggestion})" if wrong.suggestion else "")


def _differences(
    expect: Expected, status: str, error: ConnectorError | None, note: str | None, steps: list[dict[str, Any]]
) -> Iterator[str]:
    if status != expect.status:
        why = f" ({error.code}: {error.message})" if error else ""
        became = "was not started" if status == "not_started" else status
        yield f"status: {expect.status} was expected, it {became}{why}"
    if expect.error is not None and (error is None or error.code != expect.error):
        yield f"error: {expect.error} was expected, {error.code if error else 'there is none'}"
    if expect.note is not None and note != expect.note:
        yield f"note: {expect.note!r} was expected, {_shown(note)}"
    made = [step["key"] for step in steps if step["status"] == "not_sent"]
    if expect.calls is not None and made != expect.calls:
        yield f"calls: expected {', '.join(expect.calls) or 'none'}; there were {', '.join(made) or 'none'}"
    by_key = {step["key"]: step for step in steps}
    for key, became in expect.steps.items():
        found = by_key[key]["status"].replace("not_sent", "succeeded") if key in by_key else "did not run"
        if found != became:
            yield f"step {key}: {became} was expected, {found}"
    for key, inputs in expect.inputs.items():
        given = by_key[key]["inputs"] if key in by_key else {}
        for name, value in inputs.items():
            found = given.get(name)
            if found != value and str(found).strip() != str(value).strip():
                yield f"step {key}, input {name}: {value!r} was expected, {_shown(found)}"


def _shown(value: object) -> str:
    return "there is none" if value is None else repr(value)


class _Port(UnrecordedPort):
    """Answers as the test says."""

    def __init__(self, case: Case) -> None:
        super().__init__(lambda step: None)
        # Keys of answers that were given.
        self.asked: set[str] = set()
        self._case = case

    async def step(self, step: CompiledAction, inputs: dict[str, Any]) -> Mapping[str, Any]:
        # In a loop one pass may have an answer of its own.
        key = self._key if self._key in self._case.answers else step.key
        answer = self._case.answers.get(key)
        reads = step.action.effect == "read"
        if answer is None and reads:
            hint = f"Add `{step.key}: …` to the test's `answers`."
            raise FlowError("no_answer", f"The test has no answer for step {self._key!r}", hint=hint)
        self.asked.add(key)
        if answer is not None and answer.keys() == {"error"}:
            error = {"code": "error", "message": "The test says so", "hint": "", **dict(answer["error"])}
            raise Permanent(error["code"], error["message"], hint=error["hint"])
        outputs = {output.name: None if reads else made_up(output, inputs) for output in step.action.outputs}
        outputs |= answer or {}
        self._add(self._key, step.action_id, "succeeded" if reads else "not_sent", inputs, outputs, None)
        return step.action.restore(outputs)
