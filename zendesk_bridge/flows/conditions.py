"""Conditions: does a variable compare with a value as the flow says?"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from zendesk_bridge.flows.definition import Condition, Conditions, Values
from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.filters import as_text
from zendesk_bridge.flows.model import parse_time
from zendesk_bridge.flows.template import Template, is_template

_NUMBER = re.compile(r"[+-]?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?")

Test = Callable[[Values], bool]


@dataclass(frozen=True, kw_only=True)
class CompiledConditions:
    """Conditions ready to be tried, and the templates in them."""

    holds: Test
    templates: tuple[tuple[Condition, Template], ...]


def compile_conditions(conditions: Conditions) -> CompiledConditions:
    """Compiles a tree of conditions once, for all its runs. Raises FlowError where a template is wrong."""
    templates: list[tuple[Condition, Template]] = []
    return CompiledConditions(holds=_compile_tree(conditions, templates), templates=tuple(templates))


def _compile_tree(conditions: Conditions, templates: list[tuple[Condition, Template]]) -> Test:
    def compiled(parts: list[Condition | Conditions]) -> list[Test]:
        return [
            _compile_one(part, templates) if isinstance(part, Condition) else _compile_tree(part, templates)
            for part in parts
        ]

    every = None if conditions.all is None else compiled(conditions.all)
    some = None if conditions.any is None else compiled(conditions.any)
    never = None if conditions.unless is None else compiled([conditions.unless])[0]

    def holds(values: Values) -> bool:
        for test in every or ():
            if not test(values):
                return False
        if never is not None and never(values):
            return False
        return some is None or any(test(values) for test in some)

    return holds


def _compile_one(condition: Condition, templates: list[tuple[Condition, Template]]) -> Test:
    variable = Template(variable_template(condition.variable))
    templates.append((condition, variable))
    operator, value = condition.operator, condition.value
    if operator == "is_present":
        return lambda values: is_present(variable.value(values))
    if operator == "is_not_present":
        return lambda values: not is_present(variable.value(values))
    compare = _OPERATORS[operator]
    several = isinstance(value, list)
    parts = [
        Template(part) if isinstance(part, str) and is_template(part) else part
        for part in (value if several else [value])
    ]
    templates += [(condition, part) for part in parts if isinstance(part, Template)]

    def holds(values: Values) -> bool:
        try:
            wanted = [part.value(values) if isinstance(part, Template) else part for part in parts]
            return compare(variable.value(values), wanted if several else wanted[0])
        except FlowError as problem:
            raise FlowError(problem.code, f"{condition.variable}: {problem.message}", hint=problem.hint) from problem

    return holds


def variable_template(variable: str) -> str:
    """The template of a variable, as comparisons name it: `ticket.tags` is short for `{{ ticket.tags }}`."""
    name = variable.strip()
    return name if name.startswith("{{") else f"{{{{ {name} }}}}"


def is_present(value: object) -> bool:
    """Whether there is something: null, "", [] and {} are nothing; 0 and false are something."""
    return value is not None and value != "" and value != [] and value != {}


def _equal(left: Any, right: Any) -> bool:
    if type(left) is str and left == right:  # as most comparisons that hold
        return True
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_equal(a, b) for a, b in zip(left, right, strict=True))
    if not is_present(left) or not is_present(right):
        return is_present(left) == is_present(right)
    if isinstance(left, bool) or isinstance(right, bool):
        return as_text(left).lower() == as_text(right).lower()
    if isinstance(left, int | float) or isinstance(right, int | float):
        numbers = _number(left), _number(right)
        if None not in numbers:
            return bool(numbers[0] == numbers[1])
    if isinstance(left, str) and isinstance(right, str) and left != right:
        moments = _moment(left), _moment(right)
        return moments[0] is not None and moments[1] is not None and bool(moments[0] == moments[1])
    return as_text(left) == as_text(right)


def _contains(left: Any, right: Any) -> bool:
    if isinstance(right, list):
        return any(_contains(left, each) for each in right)
    if not is_present(left) or not is_present(right):
        return False
    if isinstance(left, list):
        return any(_equal(each, right) for each in left)
    return as_text(right) in as_text(left)


def _greater(left: Any, right: Any) -> bool:
    return _order(left, right) > 0


def _less(left: Any, right: Any) -> bool:
    return _order(left, right) < 0


def _order(left: Any, right: Any) -> int:
    """1, 0 or -1; 0 too where one side is missing, so that neither greater_than nor less_than holds."""
    if not is_present(left) or not is_present(right):
        return 0
    readers: tuple[Callable[[Any], Any], ...] = (_number, _moment)
    for read in readers:
        one, other = read(left), read(right)
        if one is not None and other is not None:
            return int(one > other) - int(one < other)
    raise FlowError(
        "cannot_compare",
        f"greater_than and less_than compare numbers or times, not {as_text(left)[:60]!r} and {as_text(right)[:60]!r}",
        hint="Compare a number with a number, or a time with a time such as 2026-01-31T12:00:00Z.",
    )


def can_be_ordered(value: Any) -> bool:
    """Whether greater_than and less_than can compare with this."""
    return is_number(value) or is_time(value)


def is_number(value: Any) -> bool:
    """Whether this counts as a number, also as a text."""
    return _number(value) is not None


def is_time(value: Any) -> bool:
    """Whether this counts as a date or a time."""
    return _moment(value) is not None


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _moment(value: Any) -> dt.datetime | None:
    if not isinstance(value, str) or not 10 <= len(value) <= 40 or value[4:5] != "-":
        return None
    try:
        return parse_time(value)
    except ValueError:
        return None


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "is": _equal,
    "is_not": lambda left, right: not _equal(left, right),
    "contains": _contains,
    "greater_than": _greater,
    "less_than": _less,
}
