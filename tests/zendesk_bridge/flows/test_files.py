"""Flow files: every mistake is told with its line, in words that say what to write instead."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_connectors import CONNECTORS
from ruamel.yaml import YAML

import zendesk_bridge
from zendesk_bridge.flows.catalog import Catalog
from zendesk_bridge.flows.definition import Flow
from zendesk_bridge.flows.document import FILE_LIMIT
from zendesk_bridge.flows.files import PROBLEMS_LIMIT, read_file, read_flow
from zendesk_bridge.flows.model import Problem

FILE = Path(zendesk_bridge.__file__).parent / "recipes" / "notify-assigned-agents.yml"
RECIPE = FILE.read_text(encoding="utf-8")


CATALOG = Catalog(CONNECTORS)


def problems(text: str) -> list[Problem]:
    """What is wrong with a file."""
    read = read_flow(text, "flow.yml", CATALOG)
    assert (read.flow is None) == bool(read.problems)
    assert all(1 <= problem.line <= text.count("\n") + 1 for problem in read.problems)
    return read.problems


def changed(old: str, new: str, text: str = RECIPE) -> tuple[str, int]:
    """The recipe with one passage changed, and the line of the change."""
    assert text.count(old) >= 1, old
    at = text.index(old)
    return text[:at] + new + text[at + len(old) :], text.count("\n", 0, at) + 1


# ---- what is right


def test_the_shipped_recipe_is_the_flow_of_the_design() -> None:
    read = read_flow(RECIPE, "flow.yml", CATALOG)
    assert read.problems == []
    assert read.flow is not None
    assert read.key == read.flow.key == "notify-assigned-agents"
    assert read.flow.trigger.event == "zendesk.ticket_agent_assignment_changed"
    assert [(step.key, step.action, step.optional) for step in read.flow.steps] == [
        ("ticket", "zendesk.look_up_ticket", False),
        ("assignee", "zendesk.look_up_user", False),
        ("requester", "zendesk.look_up_user", False),
        ("organization", "zendesk.look_up_organization", True),
        ("notify", "slack.send_direct_message", False),
    ]
    assert read.flow.steps[1].only_if is not None
    assert read.flow.steps[1].only_if.otherwise == "stop"
    assert read.flow.active is None
    message = read.flow.steps[4].inputs["message"]
    assert message.startswith("Hi {{ assignee.name }},\n\nTicket {{ ticket.ticket_id }} has been assigned to you.")
    assert message.endswith("{{ ticket.latest_agent_update | default: ticket.updated_at }}\n")
    assert '{{ requester.iana_time_zone | default: "not known" }}' in message


def test_a_flow_is_the_same_after_it_was_stored() -> None:
    flow = read_flow(RECIPE, "flow.yml", CATALOG).flow
    assert flow is not None
    assert Flow.model_validate_json(flow.model_dump_json(by_alias=True, exclude_defaults=True)) == flow


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("slack.send_direct_message", "slack.post_direct_message"),
        ("message: |", "message: >"),
        ("message: |", "message: |-  # as typed"),
        ('inputs: {ticket_id: "{{ trigger.ticket_id }}"}', "inputs: {ticket_id: 5158}"),
        ("operator: is_present", "operator: greater_than, value: 2026-01-31T12:00:00+10:00"),
        ("operator: is_present", "operator: contains, value: [9001, 9002]"),
        ("  conditions:\n    all:\n      - {variable: trigger.assignee_id, operator: is_present}\n", "  conditions:\n"),
        ("key: notify-", "---\nkey: notify-"),
        ("key: notify-", "\ufeffkey: notify-"),
        ("\n", "\r\n"),
        ("{{ ticket.subject }}", "{{ ticket.tags.size }} {{ ticket.tags.first }} {{ ticket.custom_fields.anything }}"),
        ("{{ ticket.subject }}", "{% for tag in ticket.tags %}{{ tag }}{{ forloop.index }}{% endfor %}{{ now }}"),
        ("{{ ticket.subject }}", "{% assign who = assignee %}{{ who.name }}"),
    ],
)
def test_these_are_right_too(old: str, new: str) -> None:
    assert problems(RECIPE.replace(old, new)) == []


def test_times_stay_as_they_are_written() -> None:
    text, _ = changed("operator: is_present", "operator: is, value: 2026-01-31T12:00:00+10:00")
    flow = read_flow(text, "flow.yml", CATALOG).flow
    assert flow is not None
    assert '"value":"2026-01-31T12:00:00+10:00"' in flow.model_dump_json()


# ---- what is wrong

MISTAKES = YAML(typ="safe").load(Path(__file__).with_name("mistakes.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake['code']} {mistake['wrong']}")
def test_one_mistake_is_one_problem_in_its_line(mistake: dict[str, str]) -> None:
    text, line = changed(mistake["right"], mistake["wrong"])
    (found,) = problems(text)
    expected = {name: mistake.get(name) for name in ("step", "input", "code", "message", "suggestion")}
    assert found.as_json() == {"file": "flow.yml", "line": line, **expected}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "      email:",
            "      mail:",
            "flow.yml:29: step notify, input mail: slack.send_direct_message has no input 'mail' "
            "(did you mean 'email'?)",
        ),
        (
            "      email:",
            "      whom:",
            "flow.yml:29: step notify, input whom: slack.send_direct_message has no input 'whom' "
            "(did you mean 'email'?)",
        ),
        ("name: Notify", "nme: Notify", "flow.yml:2: there is no field 'nme' here (did you mean 'name'?)"),
        ("  event:", "  1:", "flow.yml:4: there is no field '1' here (did you mean 'event'?)"),
    ],
)
def test_problems_read_as_lines_that_editors_and_people_know(old: str, new: str, expected: str) -> None:
    text, _ = changed(old, new)
    assert [str(problem) for problem in problems(text)] == [expected]


HEAD = RECIPE[: RECIPE.index("steps:")]
STEPS = RECIPE[RECIPE.index("steps:") :]


@pytest.mark.parametrize(
    ("text", "line", "code", "message"),
    [
        (HEAD, 1, "missing", "'steps' is missing"),
        (HEAD + "steps:\n", 9, "invalid", "'steps': a list is needed, not nothing"),
        (HEAD + "steps: []\n", 9, "invalid", "a flow needs at least one step"),
        (HEAD + "steps: {a: b}\n", 9, "invalid", "'steps': a list is needed, not a mapping"),
        (
            HEAD + "steps:\n  - zendesk.look_up_ticket\n",
            10,
            "invalid",
            "number 1 of 'steps': a mapping (lines of `name: value`) is needed, not a text",
        ),
        (HEAD + "steps:\n  - key: a\n", 10, "missing", "'action' is missing"),
        (
            HEAD + "steps:\n  - key: t\n    action: zendesk.look_up_ticket\n",
            10,
            "missing_input",
            "zendesk.look_up_ticket needs the input 'ticket_id'",
        ),
        (
            HEAD + "steps:\n  - key: t\n    action: zendesk.look_up_ticket\n    inputs:\n",
            12,
            "missing_input",
            "zendesk.look_up_ticket needs the input 'ticket_id'",
        ),
        (
            HEAD + "steps:\n  - {key: t, action: zendesk.look_up_ticket, inputs: {ticket_id: 1}, only_if: {}}\n",
            10,
            "missing",
            "conditions need `all`, `any` or `not`, and comparisons below it",
        ),
        (
            HEAD + "steps:\n  - {key: t, action: zendesk.look_up_ticket, inputs: {ticket_id: 1}, only_if: {all: 5}}\n",
            10,
            "invalid",
            "'all': a list is needed, not a number",
        ),
        ("", 1, "yaml", "the file is empty: a flow has key, name, trigger and steps"),
        ("# a note\n", 1, "yaml", "the file is empty: a flow has key, name, trigger and steps"),
        ("- a\n- b\n", 1, "yaml", "a flow file is a mapping: key, name, trigger, steps"),
        ("just text", 1, "yaml", "a flow file is a mapping: key, name, trigger, steps"),
        (
            "key: a\nname: b: c\n",
            2,
            "yaml",
            "a second ':' in this line, or a wrong indentation; put a text with ': ' in it in quotes",
        ),
        ("key: a\n\tname: b\n", 2, "yaml", "a tab cannot indent a line; use spaces"),
        ("key: a\nname: b\nkey: c\n", 3, "yaml", "'key' is there twice"),
        ("key: a\nname: [b\n", 3, "yaml", "a bracket is never closed: a ']' or '}' is missing"),
        ("key: a\nname: [b}\n", 2, "yaml", "a ',' or the closing bracket is missing before this"),
        ("key: a\nname: b}\nc: {d: e}}\n", 3, "yaml", "a closing bracket is too much here"),
        ("key: a\nname: {b: c: d}\n", 2, "yaml", "a text with ': ' in it needs quotes, or a ',' is missing"),
        (
            'key: a\nname: {b: "{{ c | minus: "2 days" }}"}\n',
            2,
            "yaml",
            "a text ends too early, or a ',' is missing: within \"…\" use '…', and within '…' use \"…\"",
        ),
        (
            "key: a\nname:\n  - {b: #support}\n  - c\n",
            4,
            "yaml",
            "a '{' or '[' before this is not closed: what follows a # is a comment, so put a text with # in quotes",
        ),
        (
            "key: a\nname: 'it's'\n",
            2,
            "yaml",
            "something is left over after a text: within '…' use \"…\", or write ''",
        ),
        ('key: a\nname: "b\nc: d\n', 4, "yaml", "a quotation mark is never closed"),
        (
            "key: a\nname:\n  - b: c\n  d: e\n",
            4,
            "yaml",
            "a wrong indentation: this line goes with none of those above it",
        ),
        (
            "key: a\nname: *{{ b }}*\n",
            2,
            "yaml",
            "a text that begins with * & @ % or ` needs quotes, or | in the line before it",
        ),
        ("key: a\nname: \x07\n", 2, "yaml", "the character U+0007 cannot be used"),
        ("key: a\nname: .inf\n", 1, "yaml", "a number must have an end: .inf and .nan cannot be used"),
        (
            'key: a\nname: "\\uD800"\n',
            1,
            "yaml",
            "a text has half a character in it: \\ud800 to \\udfff cannot be used",
        ),
        ("key: *a\n", 1, "yaml", "found undefined alias 'a'"),
        ("key: !!int a\n", 1, "yaml", "this cannot be read as YAML: invalid literal for int() with base 10: 'a'"),
    ],
)
def test_a_file_without_the_shape_of_a_flow_is_told_so(text: str, line: int, code: str, message: str) -> None:
    (found,) = problems(text)
    assert (found.line, found.code, found.message) == (line, code, message)


STEP_MISTAKES = {
    "{key: a, switch: [], else: []}": "step a: there is no field 'switch' here (did you mean 'branch'?)",
    "{key: a, for: {each: ticket.tags}}": "step a: there is no field 'for' here (did you mean 'loop'?)",
    "{key: a, stop:}": "step a: there is no field 'stop:' here (did you mean 'stop'?)",
    "{key: a, stop: {}, action: slack.find_user}": (
        "step a: a step does one thing, and this one has 'action' and 'stop' (make two steps of it)"
    ),
    "{key: a, stop: {as: error}}": (
        "step a: 'as': 'error' is none of 'succeeded' or 'failed' (did you mean 'failed'?)"
    ),
    "{else: []}": "there is no field 'else' here (it belongs beside `branch`, or below `only_if`)",
    "{key: a, action: slack.find_user, inputs: {email: a@b.example}, on_error: ignore}": (
        "step a: 'on_error': 'ignore' is none of 'fail' or 'continue', and no list of steps (did you mean 'continue'?)"
    ),
    "{key: a, action: slack.find_user, inputs: {email: a@b.example}, on_error: []}": (
        "step a: 'on_error': at least one step is needed"
    ),
    "{key: a, action: slack.find_user, inputs: {email: a@b.example}, on_error: {key: b}}": (
        "step a: 'on_error': a list is needed, not a mapping (write its steps as a list: `- key: …`)"
    ),
    "{key: a, action: slack.find_user, inputs: {email: a@b.example}, on_error: [{key: b, wait: 5}]}": (
        "step b: 'wait': a mapping (lines of `name: value`) is needed, not a number (such as `{hours: 2}`)"
    ),
    "{key: a, action: slack.find_user, inputs: {email: a@b.example}, retry: {wait: 10}}": (
        "step a: 'wait': a mapping (lines of `name: value`) is needed, not a number (such as `{seconds: 30}`)"
    ),
    "{key: a, wait: {at: 9am}}": (
        "step a: 'at': '9am' is no time of day (write it as \"09:00\"; a time from a variable goes into `until`)"
    ),
    "{key: a, wait: {at: 9}}": (
        "step a: 'at': '9' is no time of day (write it as \"09:00\"; a time from a variable goes into `until`)"
    ),
    '{key: a, wait: {hours: "{{ now }}"}}': (
        "step a: 'hours': a number is needed, not a text "
        '(no template can stand here; `until: "{{ now | plus: … }}"` takes one)'
    ),
    "{key: a, wait: , hours: 4}": "step a: there is no field 'hours' here (it belongs below `wait`)",
    "{key: a, loop: {in: ticket.tags, steps: [{key: b, stop: {}}]}}": (
        "step a: there is no field 'in' here (did you mean 'each'?)"
    ),
    "{key: a, loop: {each: trigger.tags}, steps: [{key: b, stop: {}}]}": (
        "step a: there is no field 'steps' here (it belongs below `loop`, or in a case of `branch`)"
    ),
    "{key: a, branch: [{if: {all: []}, steps: [{key: b, stop: {}}]}]}": (
        "step a: there is no field 'if' here (did you mean 'when'?)"
    ),
    "{key: a, branch: [{when: [], steps: [{key: b, stop: {}}]}]}": (
        "step a: 'when': a mapping (lines of `name: value`) is needed, not a list "
        "(such as `all: [{variable: ticket.priority, operator: is, value: urgent}]`)"
    ),
    "{key: a, branch: [{when: {all: []}, steps: []}]}": "step a: 'steps': at least one step is needed",
    "{key: a, set: {}}": "step a: 'set': at least one name is needed",
    "{key: a, stop: {}, only_if: {not: []}}": (
        "step a: 'not': a mapping (lines of `name: value`) is needed, not a list (put `all:` or `any:` around several)"
    ),
    "{key: a}": "step a: 'action' is missing (or one of branch, loop, wait, set, stop)",
}


@pytest.mark.parametrize("step", STEP_MISTAKES)
def test_a_mistake_in_the_shape_of_a_step_is_one_problem_that_says_what_to_write(step: str) -> None:
    assert [str(each) for each in problems(f"{HEAD}steps:\n  - {step}\n")] == [f"flow.yml:10: {STEP_MISTAKES[step]}"]


# ---- lines

MESSAGES = {
    "literal": "|\n        Hi\n\n        there\n        {{ ticket.wrong }}",
    "literal with a comment": "|-   # a note {{ x }}\n        Hi\n\n\n        {{ ticket.wrong }}",
    "indented literal": "|2\n          Hi\n        there\n\n          {{ ticket.wrong }}",
    "folded": ">\n        Hi\n        there\n\n        {{ ticket.wrong }}",
    "folded in one paragraph": ">-\n        Hi\n        there\n        you\n        {{ ticket.wrong }} a",
    "plain over lines": "Hi\n        there\n        you\n\n        a {{ ticket.wrong }}",
    "single quotes": "'Hi\n        there, it''s\n        you\n\n        {{ ticket.wrong }}'",
    "double quotes": '"Hi\n        there\n        you\n\n        {{ ticket.wrong }}"',
    "on the next line": '\n\n        # a note\n\n        "{{ ticket.wrong }}"',
    "an anchor": "&here |\n        Hi\n        there\n\n        {{ ticket.wrong }}",
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
@pytest.mark.parametrize("mistake", ["ticket.wrong", "1 | wrong", "if x"])
def test_a_mistake_in_a_long_text_is_told_with_its_own_line(message: str, mistake: str) -> None:
    steps = STEPS[: STEPS.index("      message: |")]
    text = HEAD + steps + f"      message: {message.replace('ticket.wrong', mistake)}\n    in_doubt: skip\n"
    (found,) = problems(text)
    assert found.line == text[: text.index("{{ " + mistake)].count("\n") + 1
    assert (found.step, found.input) == ("notify", "message")


def test_a_text_used_twice_is_told_where_it_is_written() -> None:
    text = HEAD.replace("description: Sends", "description: &d |\n  {{ ticket.wrong }} Sends") + STEPS
    text = text[: text.index("      message: |")] + "      message: *d\n"
    (found,) = problems(text)
    assert found.line == 4


def test_a_merged_mapping_is_told_at_the_step() -> None:
    text = HEAD + "steps:\n  - &one {key: t, action: zendesk.look_up_ticket, inputs: {ticket_id: x}}\n"
    text += "  - <<: *one\n    key: u\n"
    assert [(found.line, found.step, found.code) for found in problems(text)] == [
        (10, "t", "invalid_input"),
        (11, "u", "invalid_input"),
    ]


# ---- hostile files

BILLION = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BILLION,
        BILLION.replace("[", "{x0: ").replace("]", "}"),
        "[" * 100_000,
        "{" * 100_000,
        "a: {b: " * 10_000,
        "- " * 50_000,
        "? " * 50_000,
        "a: &a [*a]",
        "&a a: &b {<<: *b}",
        "key: [" + "x, " * 5_000 + "]",
        "\n".join(f"k{number}: 1" for number in range(3_000)),
        "a: " + "x" * FILE_LIMIT,
        "a: !!python/object/apply:os.system ['true']\n",
        "a: !!python/name:os.system\nb: !!binary '###'\nc: !!set {a}\nd: !!omap [a: 1]\n",
        "!!omap x",
        "? {a: b}\n: c\n[d]: e\n",
        "a: !<tag:yaml.org,2002:int> " + "9" * 5_000,
    ],
    ids=lambda text: text[:20],
)
def test_no_file_stalls_or_breaks_the_check(text: str) -> None:
    start = time.thread_time()
    found = problems(text)
    assert time.thread_time() - start < 4  # of work, however busy the machine
    assert 0 < len(found) <= PROBLEMS_LIMIT
    assert all(len(str(problem)) < 600 for problem in found)


def test_a_python_tag_runs_nothing(tmp_path: Path) -> None:
    made = tmp_path / "made"
    text = HEAD.replace("Notify agents", f"!!python/object/apply:os.mkdir ['{made}'] #") + STEPS
    assert problems(text)
    assert not made.exists()


def test_files_are_read_from_disk_or_the_reason_is_told(tmp_path: Path) -> None:
    good, latin, big, folder = tmp_path / "a.yml", tmp_path / "b.yml", tmp_path / "c.yml", tmp_path / "d.yml"
    good.write_text(RECIPE, encoding="utf-8")
    latin.write_bytes("key: Größe\n".encode("latin-1"))
    big.write_bytes(b"#" * (5 * FILE_LIMIT))
    folder.mkdir()
    assert read_file(good, CATALOG).flow is not None
    for path, reason in (
        (latin, "it is not in UTF-8; save it with that encoding"),
        (big, "it has more than 128 KiB"),
        (folder, "Is a directory"),
        (tmp_path / "none.yml", "No such file or directory"),
    ):
        (found,) = read_file(path, CATALOG).problems
        assert (found.file, found.line, found.code) == (str(path), 1, "unreadable")
        assert found.message == f"the file cannot be read: {reason}"


PIECES = [
    *(
        "key: ",
        "name: ",
        "trigger:\n  event: ",
        "steps:\n",
        "  - key: a\n",
        "    action: slack.find_user\n",
        "    inputs: ",
    ),
    *(
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "\n",
        "  ",
        "\t",
        "#",
        "&a ",
        "*a",
        "!!int ",
        "!x ",
        "|\n",
        ">-\n",
        "'",
        '"',
        "\\",
    ),
    *(
        "{{ ",
        " }}",
        "{% if ",
        " %}",
        "a",
        "1",
        "null",
        "true",
        "2026-01-31",
        "<<: ",
        "? ",
        "---\n",
        "...",
        "%YAML 1.1\n",
    ),
    *("é", "\x00", "\u2028", "\ud800", "~", "0x", ".nan", "only_if: ", "all: ", "any: ", "variable: ", "operator: is"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text(max_size=60))
@settings(deadline=None, max_examples=150)
def test_any_text_is_a_flow_or_has_problems(text: str) -> None:
    read = read_flow(text, "flow.yml", CATALOG)
    assert (read.flow is None) == bool(read.problems)
    assert all(problem.line >= 1 and problem.message for problem in read.problems)


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_a_recipe_with_anything_in_it_is_a_flow_or_has_problems(data: st.DataObject) -> None:
    text = RECIPE
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(start + 30, len(text))))
        text = text[:start] + data.draw(st.sampled_from(PIECES)) + text[end:]
    read = read_flow(text, "flow.yml", CATALOG)
    assert (read.flow is None) == bool(read.problems)
    assert all(problem.line >= 1 and problem.message for problem in read.problems)
