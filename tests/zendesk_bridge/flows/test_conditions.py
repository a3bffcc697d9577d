"""Conditions: each operator over each kind of value, as somebody reading the flow would expect it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zendesk_bridge.flows.conditions import compile_conditions
from zendesk_bridge.flows.definition import Conditions
from zendesk_bridge.flows.errors import FlowError


def holds(tree: dict[str, Any], **values: Any) -> bool:
    """Whether a tree of conditions holds."""
    return compile_conditions(Conditions.model_validate(tree)).holds(values)


def compare(left: Any, operator: str, right: Any = None) -> bool:
    """Whether one comparison holds."""
    return holds({"all": [{"variable": "x", "operator": operator, "value": right}]}, x=left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("open", "open"),
        ("5158", 5158),
        (5158, "5158"),
        (5158, 5158.0),
        (" 5158 ", 5158),
        (True, True),
        (True, "true"),
        ("True", True),
        (False, "false"),
        (1.50, "1.5"),
        (None, None),
        (None, ""),
        ([], None),
        ({}, ""),
        (["a", "b"], ["a", "b"]),
        (["1", None], [1, ""]),
        ("2025-06-16T12:00:00Z", "2025-06-16T22:00+10:00"),
        ("2025-06-16T12:00:00.000000Z", "2025-06-16T12:00:00Z"),
        ("2025-06-16", "2025-06-16"),
        ("2025-06-16", "2025-06-16T00:00:00Z"),
        ("x" * 100_000, "x" * 65_536),
    ],
)
def test_these_are_the_same(left: Any, right: Any) -> None:
    assert compare(left, "is", right)
    assert not compare(left, "is_not", right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("open", "Open"),
        ("open", "open "),
        ("05158", "5158"),
        ("1.0", "1"),
        ("1_000", 1000),
        (1, True),
        (0, False),
        (0, None),
        (False, None),
        (None, "null"),
        ("None", None),
        (["a", "b"], ["b", "a"]),
        (["a"], ["a", "a"]),
        ("2025-06-16T12:00:00Z", "2025-06-16T12:00:00+10:00"),
        ("2025-06-16", "2025-06-17"),
        ("20250616", "2025-06-16"),
    ],
)
def test_these_are_not_the_same(left: Any, right: Any) -> None:
    assert not compare(left, "is", right)
    assert compare(left, "is_not", right)


@pytest.mark.parametrize("value", [0, False, 0.0, " ", "0", [None], {"a": None}, "null"])
def test_what_is_there_is_present(value: Any) -> None:
    assert compare(value, "is_present")
    assert not compare(value, "is_not_present")


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_what_is_empty_is_not_present(value: Any) -> None:
    assert compare(value, "is_not_present")
    assert not compare(value, "is_present")


def test_a_variable_that_a_skipped_step_left_is_not_present() -> None:
    for variable in ("ticket.assignee_id", "ticket.assignee_id.deeper", "missing.at.all", "{{ ticket.assignee_id }}"):
        assert holds({"all": [{"variable": variable, "operator": "is_not_present"}]}, ticket={})


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("The grinder smells", "grinder", True),
        ("The grinder smells", "Grinder", False),
        ("The grinder smells", ["coffee", "smell"], True),
        ("The grinder smells", [], False),
        ("The grinder smells", "", False),
        (["vip", "eu"], "vip", True),
        (["vip", "eu"], "vi", False),
        (["vip", "eu"], "VIP", False),
        (["vip", "eu"], ["us", "eu"], True),
        (["vip", "eu"], ["us", "asia"], False),
        (["1", "2"], 2, True),
        ([1, 2], "2", True),
        ([True], "true", True),
        ([], "vip", False),
        (None, "vip", False),
        (None, None, False),
        (51580, 158, True),
        (["2025-06-16T12:00:00Z"], "2025-06-16T22:00+10:00", True),
        ({"text": "grinder"}, "grinder", True),
    ],
)
def test_contains_looks_into_texts_and_for_items_of_lists(left: Any, right: Any, result: bool) -> None:
    assert compare(left, "contains", right) is result


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (1, 2),
        ("9", "10"),
        (9, "10"),
        (-1.5, "-1.25"),
        ("1e2", 101),
        ("2025-06-16", "2025-06-17"),
        ("2025-06-16T12:00:00+10:00", "2025-06-16T12:00:00Z"),
        ("2025-06-16", "2025-06-16T00:00:01Z"),
        ("2025-06-16T12:00:00Z", "2025-06-16T12:00:00.000001Z"),
        ("9" * 300, "1" + "0" * 300),
    ],
)
def test_numbers_and_times_have_an_order(less: Any, more: Any) -> None:
    assert compare(less, "less_than", more)
    assert compare(more, "greater_than", less)
    assert not compare(less, "greater_than", more)
    assert not compare(less, "less_than", less)
    assert not compare(less, "greater_than", less)


@pytest.mark.parametrize(("left", "right"), [(None, 1), (1, None), ("", 1), ([], 1), (None, None)])
def test_nothing_is_neither_more_nor_less(left: Any, right: Any) -> None:
    assert not compare(left, "less_than", right)
    assert not compare(left, "greater_than", right)


@pytest.mark.parametrize(
    ("left", "right"),
    [("high", "low"), ("high", 1), (1, "2025-06-16"), (True, 1), ([1], 2), ({"a": 1}, 1), ("2025-06-99", "2025-06-16")],
)
def test_what_has_no_order_fails_and_names_the_variable_and_both_values(left: Any, right: Any) -> None:
    with pytest.raises(FlowError) as failed:
        compare(left, "greater_than", right)
    assert failed.value.code == "cannot_compare"
    assert failed.value.message.startswith("x: greater_than and less_than compare numbers or times, not ")
    assert "2026-01-31T12:00:00Z" in failed.value.hint


YES: dict[str, Any] = {"variable": "yes", "operator": "is", "value": True}
NO: dict[str, Any] = {"variable": "yes", "operator": "is_not", "value": True}


@pytest.mark.parametrize(
    ("tree", "result"),
    [
        ({"all": []}, True),
        ({"any": []}, False),
        ({"all": [YES, YES]}, True),
        ({"all": [YES, NO]}, False),
        ({"any": [NO, YES]}, True),
        ({"any": [NO, NO]}, False),
        ({"all": [YES], "any": [NO]}, False),
        ({"all": [YES], "any": [NO, YES]}, True),
        ({"all": [NO], "any": [YES]}, False),
        ({"all": [YES, {"any": [NO, {"all": [YES, {"any": [YES]}]}]}]}, True),
        ({"all": [YES, {"any": [NO, {"all": [YES, {"any": [NO]}]}]}]}, False),
        ({"any": [{"all": []}]}, True),
    ],
)
def test_all_and_any_nest(tree: dict[str, Any], result: bool) -> None:
    assert holds(tree, yes=True) is result


def test_a_comparison_that_decides_already_keeps_the_rest_from_failing() -> None:
    broken = {"variable": "word", "operator": "greater_than", "value": 1}
    assert holds({"any": [YES, broken]}, yes=True, word="high")
    assert not holds({"all": [NO, broken]}, yes=True, word="high")


@pytest.mark.parametrize(
    ("condition", "result"),
    [
        ({"variable": "ticket.assignee_id", "operator": "is", "value": "{{ trigger.assignee_id }}"}, True),
        ({"variable": "{{ ticket.assignee_id }}", "operator": "is", "value": "{{ trigger.assignee_id }}\n"}, True),
        ({"variable": "ticket.tags", "operator": "contains", "value": ["us", "{{ trigger.tag }}"]}, True),
        ({"variable": "ticket.tags", "operator": "contains", "value": "{{ trigger.tags }}"}, True),
        ({"variable": "ticket.tags | size", "operator": "greater_than", "value": 1}, True),
        ({"variable": "ticket.subject | downcase", "operator": "contains", "value": "grinder"}, True),
        ({"variable": "ticket.nothing | default: 'x'", "operator": "is", "value": "x"}, True),
        ({"variable": "ticket.assignee_id", "operator": "is", "value": "id-{{ trigger.assignee_id }}"}, False),
        ({"variable": "ticket.assignee_id", "operator": "is", "value": "{{ trigger.nobody }}"}, False),
        ({"variable": "ticket.nobody", "operator": "is", "value": "{{ trigger.nobody }}"}, True),
    ],
)
def test_variables_and_values_may_be_templates_and_keep_their_types(condition: dict[str, Any], result: bool) -> None:
    ticket = {"assignee_id": "9001", "tags": ["vip", "eu"], "subject": "Grinder"}
    trigger = {"assignee_id": 9001, "tag": "eu", "tags": ["us", "vip"], "nobody": None}
    assert holds({"all": [condition]}, ticket=ticket, trigger=trigger) is result


def test_a_template_that_cannot_work_is_a_problem_of_the_flow() -> None:
    with pytest.raises(FlowError, match="x: divided_by: can't divide by 0"):
        holds({"all": [{"variable": "x", "operator": "is", "value": "{{ 1 | divided_by: 0 }}"}]}, x=1)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
    | st.dates().map(str)
    | st.sampled_from(["1", "-0", "1e400", "nan", "٣", "2025-06-16T12:00:00.Z", "2025-06-16T99:00", "2025-06-16é"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(anything, anything)
@settings(deadline=None, max_examples=150)
def test_is_not_is_the_opposite_of_is_and_present_of_not_present(left: Any, right: Any) -> None:
    values = {"x": left, "y": right}
    tests = {
        operator: holds({"all": [{"variable": "x", "operator": operator, "value": "{{ y }}"}]}, **values)
        for operator in ("is", "is_not", "is_present", "is_not_present", "contains")
    }
    assert tests["is"] is not tests["is_not"]
    assert tests["is_present"] is not tests["is_not_present"]
    turned = holds({"all": [{"variable": "y", "operator": "is", "value": "{{ x }}"}]}, **values)
    assert tests["is"] is turned


@given(st.text() | st.sampled_from(["", " ", "true", "-0", "nan", "2025-06-16T99:00", "\ud83d"]))
@settings(deadline=None, max_examples=150)
def test_every_text_is_itself(text: str) -> None:
    assert holds({"all": [{"variable": "x", "operator": "is", "value": "{{ y }}"}]}, x=text, y="".join(list(text)))


@given(anything, anything)
@settings(deadline=None, max_examples=150)
def test_nothing_is_both_more_and_less_and_nothing_breaks_the_engine(left: Any, right: Any) -> None:
    with contextlib.suppress(FlowError):
        more, less, same = (
            holds({"all": [{"variable": "x", "operator": operator, "value": "{{ y }}"}]}, x=left, y=right)
            for operator in ("greater_than", "less_than", "is")
        )
        assert more + less + same <= 1 or (same and not isinstance(left, int | float | str))
