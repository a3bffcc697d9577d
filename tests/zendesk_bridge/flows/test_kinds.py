"""Kinds of values: what cannot work with them is found when a flow is checked, not at night."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_connectors import CONNECTORS

from zendesk_bridge.flows.catalog import Catalog
from zendesk_bridge.flows.conditions import compile_conditions
from zendesk_bridge.flows.definition import Conditions
from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.files import read_flow
from zendesk_bridge.flows.kinds import Kind, compared, kind_of

CATALOG = Catalog(CONNECTORS)
FLOW = """key: flow
name: Flow
trigger: {event: zendesk.ticket_agent_assignment_changed}
steps:
  - {key: ticket, action: zendesk.look_up_ticket, inputs: {ticket_id: "{{ trigger.ticket_id }}"}}
  - key: mine
    set: {amount: 3, share: 1.5, yes: true, all: [1, 2], some: "{{ ticket.tags }}", many: "{{ ticket.tags | size }}",
      how: "{{ ticket.status }}", day: "{{ ticket.due_at | date: '%Y' }}", later: "{{ ticket.due_at | plus: '1 day' }}"}
"""


def problems(step: str) -> list[tuple[str, str, str | None]]:
    """What is wrong with a step after those of the flow: code, message, suggestion."""
    found = read_flow(f"{FLOW}  - {{key: tried, {step}}}\n", "flow.yml", CATALOG).problems
    assert all((each.line, each.step) == (9, "tried") for each in found), [str(each) for each in found]
    return [(each.code, each.message, each.suggestion) for each in found]


def only_if(condition: str) -> str:
    return f"set: {{a: 1}}, only_if: {{all: [{{{condition}}}]}}"


WRONG = {
    "loop: {each: ticket.subject, steps: [{key: a, set: {a: 1}}]}": (
        "each: ticket.subject is a text, not a list",
        'make a list of a text with `| split: ","`',
    ),
    "loop: {each: mine.many, steps: [{key: a, set: {a: 1}}]}": ("each: mine.many is a number, not a list", None),
    'wait: {until: "{{ ticket.tags }}"}': ("until: a time is needed, not a list", None),
    'wait: {until: "{{ mine.yes }}"}': ("until: a time is needed, not true or false", None),
    'action: zendesk.look_up_user, inputs: {user_id: "{{ ticket.follower_ids }}"}': (
        "a text is needed, not a list",
        'make a text of it with `| join: ", "`, or take `.first`',
    ),
    'action: zendesk.look_up_user, inputs: {user_id: "{{ mine.yes }}"}': (
        "a text is needed, not true or false",
        None,
    ),
    "set: {a: \"{{ ticket.tags | date: '%Y' }}\"}": (
        "the filter 'date' takes a date or a time or a text, not a list",
        None,
    ),
    'set: {a: "{{ mine.yes | plus: 1 }}"}': (
        "the filter 'plus' takes a date or a time or a number or a text, not true or false",
        None,
    ),
    "set: {a: \"{{ ticket.subject | truncate: '…', 80 }}\"}": (
        "the filter 'truncate' takes a number first, not '…'",
        None,
    ),
    "set: {a: \"{{ mine.many | at_most: 'five' }}\"}": ("the filter 'at_most' takes a number first, not 'five'", None),
    'set: {a: "{{ mine.many | divided_by: 0 }}"}': ("the filter 'divided_by' cannot divide by 0", None),
    "set: {a: \"{{ ticket.due_at | date: 'dd.mm.yyyy' }}\"}": (
        "the filter 'date' takes a form with % in it, not 'dd.mm.yyyy'",
        "such as '%d.%m.%Y %H:%M'",
    ),
    'set: {a: "{{ ticket.due_at | minus: 2 }}"}': (
        "the filter 'minus' takes a duration with a time, not 2",
        "such as '2 days'",
    ),
    only_if("variable: ticket.tags, operator: is, value: vip"): (
        "is compares a list with something that is no list",
        "use contains",
    ),
    only_if("variable: ticket.is_public, operator: is, value: yes"): (
        "is compares true or false with 'yes'",
        "write true or false",
    ),
    only_if("variable: mine.many, operator: is, value: many"): (
        "is compares a number with 'many', which is none",
        None,
    ),
    only_if("variable: ticket.due_at, operator: is_not, value: tomorrow"): (
        "is_not compares a time with 'tomorrow', which is none",
        "write it as 2026-01-31T12:00:00Z",
    ),
    only_if("variable: ticket.due_at, operator: greater_than, value: 5"): (
        "greater_than compares a time with a number",
        None,
    ),
    only_if('variable: mine.many, operator: less_than, value: "2026-01-31"'): (
        "less_than compares a number with a time",
        None,
    ),
    only_if('variable: mine.many, operator: less_than, value: "{{ now }}"'): (
        "less_than compares a number with a time",
        None,
    ),
    only_if("variable: ticket.tags, operator: greater_than, value: 3"): (
        "greater_than compares numbers or times, not a list",
        "count the items with `| size`",
    ),
    only_if("variable: mine.many, operator: contains, value: 3"): (
        "contains looks in a text or in a list, not in a number",
        "use is",
    ),
    only_if("variable: ticket.custom_fields, operator: is, value: x"): (
        "is compares an object with something",
        "compare one of its fields",
    ),
    only_if("variable: ticket.subject, operator: is, value: [a, b]"): (
        "is compares a text with a list",
        "put a comparison for each below `any`",
    ),
    only_if("variable: ticket.status, operator: is_not, value: [solved, closed]"): (
        "is_not compares a text with a list",
        "put a comparison for each below `all`",
    ),
    only_if("variable: ticket.status, operator: is, value: Open"): (
        "ticket.status is never 'Open': it is new, open, pending, hold, solved or closed",
        "did you mean 'open'?",
    ),
    only_if('variable: "{{ ticket.priority }}", operator: is_not, value: High'): (
        "{{ ticket.priority }} is never 'High': it is low, normal, high or urgent",
        "did you mean 'high'?",
    ),
    only_if("variable: trigger.type, operator: is, value: bug"): (
        "trigger.type is never 'bug': it is problem, incident, question or task",
        None,
    ),
    only_if("variable: mine.how, operator: is, value: on-hold"): (
        "mine.how is never 'on-hold': it is new, open, pending, hold, solved or closed",
        "did you mean 'hold'?",
    ),
    only_if("variable: ticket.status, operator: contains, value: [open, Pending]"): (
        "ticket.status is never 'Pending': it is new, open, pending, hold, solved or closed",
        "did you mean 'pending'?",
    ),
    only_if("variable: ticket.priority, operator: greater_than, value: 3"): (
        "greater_than compares numbers or times; ticket.priority is low, normal, high or urgent",
        None,
    ),
}


@pytest.mark.parametrize("step", WRONG)
def test_what_a_value_is_not_for_is_told_with_what_to_write_instead(step: str) -> None:
    assert problems(step) == [("wrong_type", *WRONG[step])]


@pytest.mark.parametrize(
    "step",
    [
        "loop: {each: ticket.tags, steps: [{key: a, set: {a: 1}}]}",
        "loop: {each: mine.some, steps: [{key: a, set: {a: 1}}]}",
        "loop: {each: \"{{ ticket.subject | split: ' ' }}\", steps: [{key: a, set: {a: 1}}]}",
        "loop: {each: \"ticket.custom_fields['1']\", steps: [{key: a, set: {a: 1}}]}",
        'wait: {until: "{{ ticket.due_at }}"}',
        'wait: {until: "{{ mine.later }}"}',
        'wait: {until: "{{ today }}"}',
        'action: zendesk.look_up_user, inputs: {user_id: "{{ ticket.follower_ids.first }}"}',
        'action: zendesk.look_up_user, inputs: {user_id: "{{ mine.amount }}"}',
        'action: slack.send_direct_message, inputs: {email: a@b.example, message: "{{ ticket.tags }}"}',
        only_if("variable: ticket.tags, operator: contains, value: vip"),
        only_if("variable: ticket.tags, operator: is, value: [a, b]"),
        only_if("variable: ticket.status, operator: is, value: hold"),
        "set: {a: \"{{ ticket.subject | truncate: '80' }}\", b: \"{{ mine.many | at_least: mine.amount }}\"}",
        "set: {a: '{{ ticket.due_at | date }}', b: '{{ mine.many | divided_by: 0.5 }}'}",
        only_if('variable: ticket.status, operator: is, value: ""'),
        only_if('variable: ticket.status, operator: is, value: "{{ trigger.status }}"'),
        only_if("variable: ticket.status, operator: is, value: [open]"),
        only_if("variable: ticket.status, operator: contains, value: [solv, open]"),
        only_if('variable: "{{ ticket.status | upcase }}", operator: is, value: OPEN'),
        only_if("variable: ticket.via_channel, operator: is, value: Anything"),
        only_if("variable: ticket.is_public, operator: is, value: true"),
        only_if('variable: ticket.is_public, operator: is, value: "True"'),
        only_if('variable: mine.many, operator: is, value: "3"'),
        only_if('variable: mine.amount, operator: greater_than, value: "{{ mine.many }}"'),
        only_if('variable: mine.amount, operator: greater_than, value: "{{ ticket.subject }}"'),
        only_if('variable: ticket.due_at, operator: less_than, value: "{{ now }}"'),
        only_if('variable: ticket.due_at, operator: is, value: "2026-01-31"'),
        only_if("variable: ticket.due_at, operator: contains, value: \"2026-01\""),
        only_if("variable: ticket.ticket_id, operator: greater_than, value: 5"),
        only_if("variable: \"{{ ticket.tags | size }}\", operator: greater_than, value: 2"),
        only_if("variable: \"ticket.custom_fields['1']\", operator: greater_than, value: 2"),
        'set: {a: "{% assign ticket = 5 %}{{ ticket | plus: 1 }}"}',
        "set: {a: \"{{ ticket.tags | join: ', ' | upcase }}\"}",
    ],
)  # fmt: skip
def test_what_may_work_is_let_through(step: str) -> None:
    assert problems(step) == []


VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=5),
    "number": st.integers(-3, 3),
    "decimal": st.sampled_from([0.5, 1.0, -2.25]),
    "boolean": st.booleans(),
    "date": st.sampled_from(["2026-01-31", "2026-02-28"]),
    "date-time": st.sampled_from(["2026-01-31T09:00:00Z", "2026-01-31T10:00:00+01:00"]),
    "object": st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 2), min_size=1, max_size=2),
}
LITERALS = st.one_of(
    st.integers(-3, 3),
    st.booleans(),
    st.sampled_from(["x", "true", "False", "1", "-2.25", "2026-01-31", "open", "5 days"]),
)


@given(data=st.data(), operator=st.sampled_from(["is", "is_not", "greater_than", "less_than"]), literal=LITERALS)
def test_a_comparison_that_is_refused_would_never_tell_anything(data: Any, operator: str, literal: Any) -> None:
    kind = data.draw(st.sampled_from(sorted(VALUES)))
    value = data.draw(VALUES[kind])
    misuse = compared(kind, operator, literal, kind_of(literal, lambda path: "any"))
    if misuse is None:
        return
    tree = Conditions.model_validate({"all": [{"variable": "v", "operator": operator, "value": literal}]})
    with contextlib.suppress(FlowError):  # then it fails, and tells nothing either
        assert compile_conditions(tree).holds({"v": value}) is (operator == "is_not")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "boolean"), (3, "number"), (2.5, "decimal"), ([1], "list"), ({}, "object"), (None, "any"),
        ("x", "text"), ("2026-01-31", "date"), ("2026-01-31T09:00:00Z", "date-time"), ("5", "text"),
        ("{{ v }}", "list"), ("{{ v }} ", "list"), ("a {{ v }}", "text"), ("{{ v | size }}", "number"),
        ("{{ v | first }}", "any"), ("{{ 'x' | upcase }}", "text"), ("{{ 3 }}", "number"),
    ],
)  # fmt: skip
def test_what_a_value_will_be_is_known_before_it_is_there(value: Any, kind: str) -> None:
    assert kind_of(value, lambda path: "list") == kind


@pytest.mark.parametrize("value", ["{{ ticket.tags }}", "[{{ ticket.tags }}]", "{b: {{ ticket.tags | size }}}"])
def test_a_variable_without_quotes_is_told_also_where_anything_may_stand(value: str) -> None:
    message = 'a value is needed, not a mapping in a mapping (a template needs quotes: "{{ … }}")'
    assert problems(f"set: {{a: {value}}}") == [("invalid_value", message, None)]


GIVEN = {
    "action: slack.find_user": ("missing_input", "slack.find_user needs one of the inputs 'user_id' or 'email'"),
    "action: slack.reply_in_thread, inputs: {message: Hi}": (
        "missing_input",
        "slack.reply_in_thread needs one of the inputs 'channel' or 'email'",
    ),
    "action: slack.find_user, inputs: {email: a@b.example, user_id: U024BE7LH}": (
        "invalid_input",
        "slack.find_user takes only one of the inputs 'user_id' or 'email'",
    ),
    "action: slack.add_reaction, inputs: {channel: '#a', timestamp: '1495058000.000100', name: thumbs up}": (
        "invalid_input",
        "'thumbs up' is not the name of an emoji, such as eyes or white_check_mark",
    ),
    "action: slack.add_reaction, inputs: {channel: '#a', timestamp: '1495058000.000100', name: 👀}": (
        "invalid_input",
        "'👀' is not the name of an emoji, such as eyes or white_check_mark",
    ),
}


@pytest.mark.parametrize("step", GIVEN)
def test_inputs_that_fail_every_run_are_told_before(step: str) -> None:
    assert problems(step) == [(*GIVEN[step], None)]


@pytest.mark.parametrize(
    "inputs",
    [
        "find_user, inputs: {email: a@b.example}",
        'find_user, inputs: {email: "{{ ticket.recipient }}", user_id: "{{ ticket.external_id }}"}',
        *(
            f"add_reaction, inputs: {{channel: '#a', timestamp: '1495058000.000100', name: '{name}'}}"
            for name in ("eyes", ":white_check_mark:", "+1", "-1", "+1::skin-tone-3", "man-woman-boy", "größe", "8ball")
        ),
    ],
)
def test_inputs_that_may_do_are_let_through(inputs: str) -> None:
    assert problems(f"action: slack.{inputs}") == []


@pytest.mark.parametrize("owner", ["me", "@me", "a b@c.example"])
def test_an_owner_who_cannot_be_told_is_told_of(owner: str) -> None:
    (found,) = read_flow(FLOW.replace("name: Flow", f'name: Flow\nowner: "{owner}"'), "flow.yml", CATALOG).problems
    assert (found.line, found.message) == (3, f"owner: {owner!r} is not an e-mail address")


def test_what_a_filter_does_not_take_is_told_once_and_not_of_all_that_comes_of_it() -> None:
    text = f"""{FLOW}  - {{key: tried, set: {{at: "{{{{ ticket.tags | minus: '2 hours' }}}}"}}}}
  - {{key: pause, wait: {{until: "{{{{ tried.at }}}}"}}}}
"""
    (found,) = read_flow(text, "flow.yml", CATALOG).problems
    assert (found.line, found.code) == (9, "wrong_type")
