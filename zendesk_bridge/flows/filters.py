"""What `| name` does to a value in a template, and how much it may do: nobody's text can stall the connector."""

from __future__ import annotations

import inspect
import json
import re
import string
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from liquid import RenderContext
from liquid.builtin.filters import math as numbers
from liquid.builtin.filters import misc
from liquid.builtin.filters import string as texts
from liquid.exceptions import FilterError, LiquidError
from liquid.filter import with_context
from liquid.undefined import is_undefined

from zendesk_bridge.flows.catalog import as_text as as_text  # filters and their users know it from here
from zendesk_bridge.flows.model import parse_time

#: The longest text a template reads or a filter makes, and the longest list a filter takes.
TEXT_LIMIT = 64 * 1024
LIST_LIMIT = 1_000
#: What all filters and loops of one template may go through together, in characters.
WORK_LIMIT = 256 * TEXT_LIMIT
# What one item of a list counts for, in characters.
_ITEM = 256
# 300 digits; whole numbers have no bound of their own.
_LONGEST_NUMBER = 1_000
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
# What counts as the beginning of a tag in HTML; "a < b" does not.
_HTML_TAG = re.compile(r"<(?:!--|[a-zA-Z/!?])")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

Filter = Callable[..., Any]
# Equal values have equal JSON; 1 and true are not equal.
_sameness = json.JSONEncoder(sort_keys=True, default=str).encode


class LimitReached(LiquidError):
    """A template that would do too much."""

    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)


def bounded(name: str, function: Filter) -> Filter:
    """A filter that takes null, lists and objects as people expect, and stops before it does too much."""
    takes_environment = getattr(function, "with_environment", False)

    @with_context
    def filtered(value: Any, *arguments: Any, context: Any, **options: Any) -> Any:
        pieces = len(value) if isinstance(value, list | tuple | dict) else 0
        if name in _TEXT:
            value = _ordinary(value)
            arguments = tuple(each if _is_number(each) else _ordinary(each) for each in arguments)
        elif name in _LISTS:
            value = _items(name, value)
        if name not in _CHOICES:
            context.spend(name, len(as_text(value)) + _ITEM * pieces)
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
    parameters = list(inspect.signature(_FILTERS[name]).parameters.values())[1:]
    places = [each for each in parameters if each.kind is not each.KEYWORD_ONLY]
    named = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY} - {"environment", "context"}
    return sum(each.default is each.empty for each in places), len(places), frozenset(named)


def all_filters() -> dict[str, Filter]:
    """Every filter a template may use, by name."""
    return {
        name: function if name in ("date", "default") else bounded(name, function)
        for name, function in _FILTERS.items()
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


def _field(item: Any, key: object) -> Any:
    return item.get(as_text(key)) if isinstance(item, Mapping) else None


def _compact(items: list[Any], key: object = None) -> list[Any]:
    return [item for item in items if (item if key is None else _field(item, key)) is not None]


def _join(items: list[Any], separator: object = " ") -> str:
    return as_text(separator).join(as_text(item) for item in items)


def _map(items: list[Any], key: object) -> list[Any]:
    return [_field(item, key) for item in items]


def _rank(value: Any) -> tuple[int, Any]:
    """Numbers come before texts, what is empty comes last: any list can be sorted."""
    if value is None or is_undefined(value):
        return 2, ""
    return (0, value) if _is_number(value) else (1, as_text(value))


def _sort(items: list[Any], key: object = None) -> list[Any]:
    return sorted(items, key=lambda item: _rank(item if key is None else _field(item, key)))


def _uniq(items: list[Any], key: object = None) -> list[Any]:
    first: dict[str, Any] = {}
    for item in items:
        first.setdefault(_sameness(item if key is None else _field(item, key)), item)
    return list(first.values())


def _where(items: list[Any], key: object, value: object = None) -> list[Any]:
    if value is None or is_undefined(value):
        return [item for item in items if _field(item, key) not in (None, False)]
    return [item for item in items if _field(item, key) == value]


def _strip_html(text: str) -> str:
    """Text without tags, comments, scripts and styles, in one pass: some texts take the library's parser minutes."""
    return "".join(_outside_tags(text, text.translate(_LOWER)))


def _outside_tags(text: str, lower: str) -> Iterator[str]:
    at, never = 0, set[str]()
    while found := _HTML_TAG.search(lower, at):
        start = found.start()
        yield text[at:start]
        after = -1
        for opening, closing in (("<!--", "-->"), ("<script", "</script>"), ("<style", "</style>"), ("<", ">")):
            if after < 0 and closing not in never and lower.startswith(opening, start):
                end = lower.find(closing, start)
                after = end + len(closing) if end >= 0 else -1
                if end < 0:
                    never.add(closing)
        if after < 0:
            at = start
            break
        at = after
    yield text[at:]


def _truncate(text: str, length: Any = 50, end: str = "...") -> str:
    return text if len(text) <= int(length) else text[: max(int(length) - len(end), 0)] + end


def _truncatewords(text: str, count: Any = 15, end: str = "...") -> str:
    words = text.split()
    return text if len(words) <= max(int(count), 1) else " ".join(words[: max(int(count), 1)]) + end


@with_context
def _date(value: Any, form: object = "%Y-%m-%d", *, context: RenderContext) -> str:
    """`date: "%d.%m.%Y"`: a time as text. `now` and `today` are the recorded start of the step."""
    if value in ("now", "today"):
        value = context.resolve(str(value))
    text, pattern = as_text(value)[:TEXT_LIMIT], as_text(form)
    if len(pattern) > 100:
        raise LimitReached("date takes a format of at most 100 characters")
    if not _DATE.match(text):
        return text
    try:
        moment = parse_time(text)
        # strftime would read the machine's time zone for %s.
        seconds = str(int(moment.timestamp()))
        return moment.strftime(re.sub("%[%s]", lambda found: found[0] if found[0] == "%%" else seconds, pattern))
    except (ValueError, OverflowError):
        return text


_FILTERS: dict[str, Filter] = {
    "abs": numbers.abs_,
    "append": texts.append,
    "at_least": numbers.at_least,
    "at_most": numbers.at_most,
    "capitalize": texts.capitalize,
    "ceil": numbers.ceil,
    "compact": _compact,
    "date": _date,
    "default": misc.default,
    "divided_by": numbers.divided_by,
    "downcase": texts.downcase,
    "first": lambda items: items[0] if items else None,
    "floor": numbers.floor,
    "join": _join,
    "last": lambda items: items[-1] if items else None,
    "lstrip": texts.lstrip,
    "map": _map,
    "minus": numbers.minus,
    "modulo": numbers.modulo,
    "plus": numbers.plus,
    "prepend": texts.prepend,
    "remove": texts.remove,
    "remove_first": texts.remove_first,
    "replace": texts.replace,
    "replace_first": texts.replace_first,
    "reverse": lambda items: items[::-1],
    "round": numbers.round_,
    "rstrip": texts.rstrip,
    "size": len,
    "slice": texts.slice_,
    "sort": _sort,
    "split": texts.split,
    "strip": texts.strip,
    "strip_html": _strip_html,
    "strip_newlines": texts.strip_newlines,
    "times": numbers.times,
    "truncate": _truncate,
    "truncatewords": _truncatewords,
    "uniq": _uniq,
    "upcase": texts.upcase,
    "where": _where,
}
_TEXT = frozenset(
    {"append", "capitalize", "downcase", "lstrip", "prepend", "remove", "remove_first", "replace", "replace_first"}
    | {"rstrip", "split", "strip", "strip_html", "strip_newlines", "truncate", "truncatewords", "upcase"}
)
_LISTS = frozenset({"compact", "first", "join", "last", "map", "reverse", "size", "slice", "sort", "uniq", "where"})
# They hand on what they get, without going through it.
_CHOICES = frozenset({"first", "last", "reverse", "size"})

#: The names of all filters.
FILTERS = tuple(_FILTERS)
