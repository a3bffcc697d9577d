"""The interpreter: flows written as data, what they are answered, and which steps and calls come of it.

Each pair of files in `flows/` is one case: a flow with an event and answers, and what is expected of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from real_connectors import CONNECTORS, nobody
from ruamel.yaml import YAML

import zendesk_bridge
from bolt_app.text import SlackMarkup
from zendesk_bridge.flows.catalog import Catalog, Connector, action
from zendesk_bridge.flows.compiled import CompiledAction, CompiledFlow, compile_flow
from zendesk_bridge.flows.definition import Flow
from zendesk_bridge.flows.errors import ConnectorError, FlowError, Permanent
from zendesk_bridge.flows.interpreter import interpret

CASES = sorted(path for path in (Path(__file__).parent / "flows").glob("*.yml") if "_expected" not in path.name)
RECIPE = Path(zendesk_bridge.__file__).parent / "recipes" / "notify-assigned-agents.yml"
START = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)


class Out(BaseModel):
    """Anything."""

    value: str = ""
    more: str = ""


@action("read")
async def count_things(
    desk: object, *, numbers: list[int] | None = None, limit: int = 3, loud: bool = False, note: str | None = None
) -> Out:
    """Counts."""
    raise NotImplementedError


CATALOG = Catalog(
    [
        *CONNECTORS,
        Connector(service="desk", title="Desk", client=None, identify=nobody, actions=(count_things,)),
    ]
)


class Memory:
    """A port that remembers: answers from a table, a minute for each step."""

    def __init__(self, answers: Mapping[str, Any], recorded: Mapping[str, Any] | None = None) -> None:
        self._answers = answers
        self._recorded = {key: _outputs(value) for key, value in (recorded or {}).items()}
        self.begun: list[str] = []
        self.by_step: dict[str, dict[str, Any]] = {}
        # What reads were asked for before their turn.
        self.ahead: dict[str, dict[str, Any]] = {}
        self.steps: dict[str, str] = {}
        self.ended: dict[str, Mapping[str, Any]] = {}
        self.error: dict[str, str] | None = None

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The inputs of every call, in order."""
        return list(self.by_step.values())

    def begins(self, key: str, action: str) -> tuple[dt.datetime, Mapping[str, Any] | None]:
        self.begun.append(key)
        return START + dt.timedelta(minutes=len(self.begun) - 1), self._recorded.get(key)

    def meanwhile(self, work: Callable[[], None]) -> None:
        work()

    def read_ahead(self, step: CompiledAction, inputs: dict[str, Any], moment: dt.datetime) -> None:
        self.ahead[step.step.key] = inputs

    async def step(self, step: CompiledAction, inputs: dict[str, Any]) -> Mapping[str, Any]:
        key = step.step.key
        self.by_step[key] = inputs
        answer = self._answers[key]
        if "error" in answer:
            raise Permanent(answer["error"], "It is not there")
        self.steps[key] = "succeeded"
        self.ended[key] = _outputs(answer)
        return self.ended[key]

    async def skip(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError | None) -> None:
        self.steps[key] = "skipped"
        self.ended[key] = {}

    async def excuse(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError) -> Mapping[str, Any]:
        raise NotImplementedError

    async def fail(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError) -> None:
        self.steps[key] = "failed"
        self.error = error.as_json()


def _outputs(answer: Mapping[str, Any]) -> dict[str, Any]:
    markup = {name: SlackMarkup(value) for name, value in answer.get("markup", {}).items()}
    return {**{name: value for name, value in answer.items() if name != "markup"}, **markup}


def load(path: Path) -> dict[str, Any]:
    """A data file."""
    document: dict[str, Any] = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    return document


def compiled(flow: Any) -> CompiledFlow:
    """A flow of a data file, ready to run."""
    return compile_flow(Flow.model_validate(load(RECIPE) if flow == "recipe" else flow), 1, CATALOG)


async def run(case: dict[str, Any], recorded: Mapping[str, Any] | None = None) -> tuple[Memory, str | None]:
    """What a case comes to, and the note on it."""
    port = Memory(case["answers"], case.get("recorded") if recorded is None else recorded)
    try:
        return port, await interpret(compiled(case["flow"]), case["event"], port)
    except ConnectorError as problem:
        return port, None if port.error == problem.as_json() else "another error was recorded"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
async def test_a_flow_does_what_its_file_says(path: Path) -> None:
    expected = load(path.with_name(f"{path.stem}_expected.yml"))
    port, note = await run(load(path))
    assert port.calls == expected["calls"]
    # What was read before its turn was what its turn asked for.
    assert {**port.by_step, **{key: port.ahead[key] for key in port.ahead if key in port.by_step}} == port.by_step
    assert list(port.steps.items()) == list(expected["steps"].items())
    assert note == expected.get("note")
    wanted = expected.get("error")
    assert port.error == (wanted and {"hint": "", **wanted})


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
async def test_after_a_restart_at_any_step_the_same_calls_follow(path: Path) -> None:
    case = load(path)
    whole, note = await run(case)
    before = dict(case.get("recorded") or {})
    for steps in range(len(whole.ended) + 1):
        known = dict(list(whole.ended.items())[:steps])
        again, its_note = await run(case, {**before, **known})
        assert again.calls == [inputs for key, inputs in whole.by_step.items() if key not in known]
        assert {**known, **again.ended} == whole.ended
        assert (again.error, its_note) == (whole.error, note)
        assert again.begun == whole.begun


def step(**fields: Any) -> dict[str, Any]:
    """A flow of one step that counts things."""
    flow: dict[str, Any] = {"key": "f", "name": "F", "trigger": {"event": "zendesk.ticket_agent_assignment_changed"}}
    return {**flow, "steps": [{"key": "count", "action": "desk.count_things", **fields}]}


@pytest.mark.parametrize(
    ("inputs", "given"),
    [
        ({"numbers": "{{ trigger.numbers }}"}, {"numbers": [1, 2]}),
        ({"numbers": ["{{ trigger.one }}", 2, "3"]}, {"numbers": [1, 2, 3]}),
        ({"limit": "{{ trigger.numbers | size }}"}, {"limit": 2}),
        ({"limit": "1{{ trigger.one }}"}, {"limit": 11}),
        ({"limit": "{{ trigger.nothing }}"}, {}),
        ({"limit": "{{ trigger.nothing | default: 7 }}"}, {"limit": 7}),
        ({"loud": "{{ trigger.yes }}"}, {"loud": True}),
        ({"loud": "{% if trigger.nothing %}true{% else %}false{% endif %}"}, {"loud": False}),
        ({"note": "{{ trigger.numbers }}"}, {"note": "1, 2"}),
        ({"note": "{{ trigger.yes }}"}, {"note": "true"}),
        ({"note": "{{ trigger.nothing }}"}, {}),
        ({"note": " \n"}, {}),
        ({"note": "  as typed \n"}, {"note": "  as typed \n"}),
        ({"numbers": []}, {"numbers": []}),
        ({}, {}),
    ],
)
async def test_an_input_gets_the_type_it_needs_and_what_is_empty_is_left_out(
    inputs: dict[str, Any], given: dict[str, Any]
) -> None:
    case = {"flow": step(inputs=inputs), "event": {"numbers": [1, 2], "one": 1, "yes": True}, "answers": {"count": {}}}
    port, _ = await run(case)
    assert port.calls == [{"numbers": None, "limit": 3, "loud": False, "note": None, **given}]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"inputs": {"limit": "many"}},
            "Step 'count': input 'limit' of desk.count_things: a number is needed, not a text",
        ),
        (
            {"inputs": {"numbers": "{{ trigger.word }}"}},
            "Step 'count': input 'numbers' of desk.count_things: a list is needed, not a text",
        ),
        ({"inputs": {"note": "{{ 1 | divided_by: 0 }}"}}, "Step 'count': input 'note': divided_by: can't divide by 0"),
    ],
)
async def test_a_step_that_fails_before_its_call_is_named_with_its_input(fields: dict[str, Any], message: str) -> None:
    port, _ = await run({"flow": step(**fields), "event": {"word": "x"}, "answers": {}})
    assert port.error is not None
    assert (port.error["message"], port.calls, port.steps) == (message, [], {"count": "failed"})


async def test_an_input_that_is_not_in_the_file_is_asked_for() -> None:
    flow = {**step(), "steps": [{"key": "say", "action": "slack.send_direct_message"}]}
    port, _ = await run({"flow": flow, "event": {}, "answers": {}})
    assert port.error == {
        "code": "missing_input",
        "message": "Step 'say': input 'email' of slack.send_direct_message is not given",
        "hint": "Add a line `email: …` to the step's inputs.",
    }


def test_an_action_is_told_which_of_its_outputs_the_flow_uses() -> None:
    wanted = {each.step.key: each.wanted.names for each in compiled("recipe").steps}
    assert wanted["ticket"] == {
        *("assignee_id", "requester_id", "ticket_id", "url", "subject", "description"),
        *("latest_agent_update", "updated_at"),
    }
    assert wanted["assignee"] == {"name", "email"}
    assert wanted["requester"] == {"organization_id", "email", "locale", "iana_time_zone", "notes"}
    assert wanted["organization"] == {"name"}
    assert wanted["notify"] == frozenset()


@pytest.mark.parametrize(
    ("note", "names"),
    [
        ("{{ count.value }}", {"value"}),
        ("{{ count['more'] | append: count.value }}", {"value", "more"}),
        ("{{ count }}", {"value", "more"}),
        ("{% assign c = count %}{{ c.value }}", {"value", "more"}),
        ("{% for each in count.value %}{{ each }}{% endfor %}", {"value"}),
        ("{{ count[trigger.name] }}", {"value", "more"}),
        ("{% comment %}{{ count.value }}{% endcomment %}", set()),
    ],
)
def test_every_way_of_using_an_output_counts(note: str, names: set[str]) -> None:
    flow = step()
    flow["steps"].append({"key": "later", "action": "desk.count_things", "inputs": {"note": note, "numbers": [note]}})
    assert compiled(flow).steps[0].wanted.names == names


def test_conditions_count_too() -> None:
    flow = step()
    test = {"variable": "count.value", "operator": "is", "value": ["{{ count.more }}"]}
    flow["steps"].append({"key": "later", "action": "desk.count_things", "only_if": {"all": [test]}})
    assert compiled(flow).steps[0].wanted.names == {"value", "more"}


@pytest.mark.parametrize(
    ("data", "wants"), [({"assignee_id": "9001"}, True), ({"assignee_id": None}, False), ({}, False)]
)
def test_a_flow_starts_only_where_its_triggers_conditions_hold(data: dict[str, Any], wants: bool) -> None:
    assert compiled("recipe").wants(data) is wants
    assert compiled(step()).wants(data)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"action": "desk.count"}, "unknown_action"),
        ({"inputs": {"count": 1}}, "unknown_input"),
        ({"inputs": {"note": "{{ x | shout }}"}}, "unknown_filter"),
        ({"inputs": {"numbers": ["{{ x"]}}, "template_syntax"),
        ({"only_if": {"all": [{"variable": "{{ x", "operator": "is_present"}]}}, "template_syntax"),
    ],
)
def test_a_version_that_no_longer_fits_is_refused_before_it_runs(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(FlowError) as refused:
        compiled(step(**fields))
    assert refused.value.code == code
