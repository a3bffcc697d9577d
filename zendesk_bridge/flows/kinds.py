"""Kinds of values: what a variable is, what filters make of it, and what may be done with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from zendesk_bridge.flows.conditions import can_be_ordered, is_number, is_time
from zendesk_bridge.flows.filter_terms import Kind as Kind  # whoever checks kinds knows it from here
from zendesk_bridge.flows.filters import FILTER_TERMS
from zendesk_bridge.flows.template import Template, Use

_DATE = re.compile(r"\d{4}-\d\d-\d\d")

#: What a variable is, by its path.
Lookup = Callable[[tuple[Any, ...]], Kind]

NUMBERS: frozenset[Kind] = frozenset({"number", "decimal"})
MOMENTS: frozenset[Kind] = frozenset({"date", "date-time"})

#: Which values an input takes that is no text. A text may hold what is needed: that is seen when the flow runs.
TAKEN: dict[str, frozenset[Kind]] = {
    "number": frozenset({"number", "decimal", "text"}),
    "decimal": frozenset({"number", "decimal", "text"}),
    "boolean": frozenset({"boolean", "text"}),
    "list": frozenset({"list"}),
    "object": frozenset({"object"}),
    "date": frozenset({"date", "date-time", "text"}),
    "date-time": frozenset({"date", "date-time", "text"}),
}

#: Which values an input takes that is a name, an id or an address.
SHORT_TEXT: frozenset[Kind] = frozenset({"text", "number", "decimal", "date", "date-time"})

_IN_WORDS: dict[str, str] = {
    "text": "a text",
    "number": "a number",
    "decimal": "a number",
    "boolean": "true or false",
    "date": "a date",
    "date-time": "a time",
    "list": "a list",
    "object": "an object",
}


@dataclass(frozen=True, kw_only=True)
class Misuse:
    """Something done with a value that its kind is not for."""

    message: str
    suggestion: str | None = None
    # Where in the template.
    at: int = 0


def in_words(kind: str) -> str:
    """`a list`, `true or false`."""
    return _IN_WORDS.get(kind, "anything")


def kind_of(value: Any, lookup: Lookup) -> Kind:
    """What a value of a flow file is once its variables are filled in."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "number"
        case float():
            return "decimal"
        case list():
            return "list"
        case dict():
            return "object"
        case str():
            return _kind_of_text(value, lookup)
    return "any"


def _kind_of_text(text: str, lookup: Lookup) -> Kind:
    only = Template(text).only
    if only is not None:
        return _steps(only, lookup)[-1]
    if is_time(text):
        return "date" if _DATE.fullmatch(text) else "date-time"
    return "text"


def _steps(use: Use, lookup: Lookup) -> list[Kind]:
    """What a value is before each of its filters, and after the last."""
    kinds = [lookup(use.path) if use.path else kind_of(use.literal, lookup)]
    for name, _, _ in use.filters:
        terms, kind = FILTER_TERMS[name], kinds[-1]
        fits = kind == "any" or terms.takes == "any" or kind in terms.takes
        kinds.append(terms.kind_of_result(kind) if fits else "any")  # a mistake is told once, where it is made
    return kinds


def misused(template: Template, lookup: Lookup) -> Iterator[Misuse]:
    """Filters that do not take what they get."""
    for use in template.uses():
        for (name, at, first), kind in zip(use.filters, _steps(use, lookup), strict=False):
            taken = FILTER_TERMS[name].takes
            if first is not None and (wrong := _given(name, first, kind, at)):
                yield wrong
            if kind != "any" and taken != "any" and kind not in taken:
                words = " or ".join(dict.fromkeys(in_words(each) for each in sorted(taken)))
                yield Misuse(message=f"the filter {name!r} takes {words}, not {in_words(kind)}", at=at)


#: Filters that count with the first value they are given.
_COUNTING = ("at_least", "at_most", "divided_by", "modulo", "round", "slice", "times", "truncate", "truncatewords")


def _given(name: str, first: Any, kind: Kind, at: int) -> Misuse | None:
    """What is wrong with a value that is written out for a filter, beside what is refused as a template."""
    shown = str(first)[:60]
    if kind in MOMENTS and name in ("plus", "minus") and is_number(first):
        message = f"the filter {name!r} takes a duration with {in_words(kind)}, not {shown}"
        return Misuse(message=message, suggestion=f"such as '{shown} days'", at=at)
    if name in _COUNTING and shown.strip() and not is_number(first):
        return Misuse(message=f"the filter {name!r} takes a number first, not {shown!r}", at=at)
    if name in ("divided_by", "modulo") and float(shown) == 0:
        return Misuse(message=f"the filter {name!r} cannot divide by 0", at=at)
    if name == "date" and shown.strip() and "%" not in shown:
        hint = "such as '%d.%m.%Y %H:%M'"
        return Misuse(message=f"the filter 'date' takes a form with % in it, not {shown!r}", suggestion=hint, at=at)
    return None


def compared(kind: Kind, operator: str, value: Any, other: Kind) -> Misuse | None:
    """What is wrong with a comparison that can never hold, or fails.

    Args:
        kind: of the variable.
        value: what it is compared with, as the file has it.
        other: of that.
    """
    if kind == "any":
        return None
    if operator in ("greater_than", "less_than"):
        return _ordered(kind, operator, value, other)
    if operator == "contains":
        if kind not in ("text", "list", *MOMENTS):
            message = f"contains looks in a text or in a list, not in {in_words(kind)}"
            return Misuse(message=message, suggestion="use is")
        return None
    if isinstance(value, str) and "{{" in value:
        return None
    return _equal(kind, operator, value, other)


def _ordered(kind: Kind, operator: str, value: Any, other: Kind) -> Misuse | None:
    if kind in ("boolean", "list", "object"):
        hint = "count the items with `| size`" if kind == "list" else None
        return Misuse(message=f"{operator} compares numbers or times, not {in_words(kind)}", suggestion=hint)
    literal = isinstance(value, int | float | str) and not isinstance(value, bool) and can_be_ordered(value)
    number, moment = (is_number(value), is_time(value)) if literal else (other in NUMBERS, other in MOMENTS)
    if (kind in NUMBERS and moment) or (kind in MOMENTS and number):
        with_what = in_words("date-time" if moment else "number")
        return Misuse(message=f"{operator} compares {in_words(kind)} with {with_what}")
    return None


def _equal(kind: Kind, operator: str, value: Any, other: Kind) -> Misuse | None:
    never = f"{operator} compares {in_words(kind)} with"
    if kind == "list" and not isinstance(value, list):
        return Misuse(message=f"{never} something that is no list", suggestion="use contains")
    if kind == "object":
        return Misuse(message=f"{never} something", suggestion="compare one of its fields")
    if kind != "list" and isinstance(value, list) and len(value) > 1:
        hint = "put a comparison for each below `any`" if operator == "is" else "put a comparison for each below `all`"
        return Misuse(message=f"{never} a list", suggestion=hint)
    if kind == "boolean" and str(value).lower() not in ("true", "false"):
        return Misuse(message=f"{never} {value!r}", suggestion="write true or false")
    if kind in NUMBERS and not is_number(value):
        return Misuse(message=f"{never} {value!r}, which is none")
    if kind in MOMENTS and not is_time(value):
        return Misuse(message=f"{never} {value!r}, which is none", suggestion="write it as 2026-01-31T12:00:00Z")
    return None
