"""What `| name` does to a value in a template, and how much it may do: nobody's text can stall the connector."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from liquid.builtin.filters import misc
from liquid.exceptions import FilterError
from liquid.filter import with_context
from liquid.undefined import is_undefined

from zendesk_bridge.flows.calendar_filters import CALENDAR_FILTERS
from zendesk_bridge.flows.catalog import as_text as as_text  # filters and their users know it from here
from zendesk_bridge.flows.filter_terms import LIST_LIMIT as LIST_LIMIT
from zendesk_bridge.flows.filter_terms import TEXT_LIMIT as TEXT_LIMIT
from zendesk_bridge.flows.filter_terms import WORK_LIMIT as WORK_LIMIT
from zendesk_bridge.flows.filter_terms import FilterTerms, Function, Mistake
from zendesk_bridge.flows.filter_terms import LimitReached as LimitReached
from zendesk_bridge.flows.list_filters import LIST_FILTERS
from zendesk_bridge.flows.local_filter import LOCAL_FILTERS
from zendesk_bridge.flows.number_filters import NUMBER_FILTERS
from zendesk_bridge.flows.text_filters import TEXT_FILTERS

# What one item of a list counts for, in characters.
_ITEM = 256
# 300 digits; whole numbers have no bound of their own.
_LONGEST_NUMBER = 1_000


def bounded(name: str, terms: FilterTerms) -> Function:
    """A filter that takes null, lists and objects as people expect, and stops before it does too much."""
    function = terms.function
    takes_environment = getattr(function, "with_environment", False)

    @with_context
    def filtered(value: Any, *arguments: Any, context: Any, **options: Any) -> Any:
        if name in _MOMENTS and value in ("now", "today"):
            value = context.resolve(value)
        pieces = len(value) if isinstance(value, list | tuple | dict) else 0
        if name in _TEXT:
            value = _ordinary(value)
            arguments = tuple(each if _is_number(each) else _ordinary(each) for each in arguments)
        elif name in _LISTS:
            value = _items(name, value)
        if name not in _CHOICES:
            context.spend(name, len(as_text(value)) * terms.weight + _ITEM * pieces + terms.work)
        if (size := _grown(name, value, arguments)) > TEXT_LIMIT:
            raise LimitReached(f"{name} would make a text of {size:,} characters")
        if takes_environment:
            options["environment"] = context.env
        try:
            return _checked(name, function(value, *arguments, **options))
        except (ArithmeticError, LookupError, TypeError, ValueError) as problem:
            shown = ", ".join(repr(as_text(each)[:60]) for each in (value, *arguments))
            raise FilterError(f"{name} does not work with {shown}", token=None) from problem

    return filtered


def takes(name: str) -> tuple[int, int, frozenset[str]]:
    """How many values a filter needs at least, how many it takes, and which it takes by name."""
    places, named = _parameters(name)
    return sum(each.default is each.empty for each in places), len(places), named


def mistake_in(name: str, place: int | str, written: object) -> Mistake | None:
    """What is wrong with a value that a template's author wrote out for a filter, in that place or by that name."""
    parameter = place if isinstance(place, str) else _parameters(name)[0][place].name
    judge = FILTER_TERMS[name].written_out.get(parameter)
    return judge(written) if judge else None


@cache
def _parameters(name: str) -> tuple[tuple[inspect.Parameter, ...], frozenset[str]]:
    """What a filter takes by its place, and what by name."""
    parameters = list(inspect.signature(FILTER_TERMS[name].function).parameters.values())[1:]
    places = tuple(each for each in parameters if each.kind is not each.KEYWORD_ONLY)
    named = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY} - {"environment", "context"}
    return places, frozenset(named)


def all_filters() -> dict[str, Function]:
    """Every filter a template may use, by name."""
    return {
        name: terms.function if name in ("date", "default") else bounded(name, terms)
        for name, terms in FILTER_TERMS.items()
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ordinary(value: object) -> str:
    # str(…): markup of our own making becomes ordinary text once a filter takes it apart, and is escaped like any.
    return str(as_text(value)[:TEXT_LIMIT])


def _items(name: str, value: object) -> Any:
    if name in ("slice", "size") and not isinstance(value, list | tuple):
        return value if isinstance(value, str | Mapping) and name == "size" else _ordinary(value)
    if value is None or is_undefined(value):
        return []
    items = list(value) if isinstance(value, list | tuple) else [value]
    if len(items) > LIST_LIMIT and name not in _CHOICES:
        raise LimitReached(f"{name} takes at most {LIST_LIMIT:,} items, not {len(items):,}")
    return items


def _grown(name: str, value: Any, arguments: tuple[Any, ...]) -> int:
    """How long the result of a filter that can grow its text would be."""
    first = as_text(arguments[0]) if arguments else ""
    if name in ("append", "prepend"):
        return len(value) + len(first)
    if name == "replace" and len(arguments) > 1:
        return len(value) + (value.count(first) if first else len(value) + 1) * len(as_text(arguments[1]))
    if name == "join":
        return sum(len(as_text(item)) + len(first) for item in value)
    return 0


def _checked(name: str, result: Any) -> Any:
    if isinstance(result, list) and len(result) > LIST_LIMIT:
        raise LimitReached(f"{name} would make a list of {len(result):,} items; {LIST_LIMIT:,} are allowed")
    if isinstance(result, str) and len(result) > TEXT_LIMIT:
        if name in _CHOICES:
            return result[:TEXT_LIMIT]
        raise LimitReached(f"{name} would make a text of {len(result):,} characters")
    if isinstance(result, int) and result.bit_length() > _LONGEST_NUMBER:
        raise LimitReached(f"{name} would make a number of more than 300 digits")
    if isinstance(result, float) and result - result != 0:
        raise ValueError("not a finite number")
    return result


_DEFAULT = FilterTerms(
    function=misc.default,
    about="Another value where there is none, or it is empty or false; `allow_false: true` keeps false.",
    example='{{ nobody.name | default: "there" }}',
    result="there",
    takes="any",
    gives="same",
)

#: Every filter, by name, and what is said of it.
FILTER_TERMS: Mapping[str, FilterTerms] = dict(
    sorted(
        {
            **CALENDAR_FILTERS,
            **LIST_FILTERS,
            **LOCAL_FILTERS,
            **NUMBER_FILTERS,
            **TEXT_FILTERS,
            "default": _DEFAULT,
        }.items()
    )
)
#: What each filter takes and gives: the check of flows compares kinds.
FILTER_KINDS = {name: (terms.takes, terms.gives) for name, terms in FILTER_TERMS.items()}
# These take a text, whatever the value is.
_TEXT = frozenset({*TEXT_FILTERS, "in_zone"})
_LISTS = frozenset(LIST_FILTERS)
# They hand on what they get, without going through it.
_CHOICES = frozenset({"first", "last", "reverse", "size"})
# They know `now` and `today` as texts too, as `date` does.
_MOMENTS = frozenset({"in_zone", "localize", "minus", "plus"})

#: The names of all filters.
FILTERS = tuple(FILTER_TERMS)
