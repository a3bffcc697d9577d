"""The filters for lists: sorting, choosing, joining. Null counts as an empty list, a single value as a list of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from liquid.builtin.filters import string as texts
from liquid.undefined import is_undefined

from zendesk_bridge.flows.catalog import as_text
from zendesk_bridge.flows.filter_terms import ITEMS, TEXT, FilterTerms

# Equal values have equal JSON; 1 and true are not equal.
_sameness = json.JSONEncoder(sort_keys=True, default=str).encode


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
    return (0, value) if isinstance(value, int | float) and not isinstance(value, bool) else (1, as_text(value))


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


LIST_FILTERS = {
    "compact": FilterTerms(
        function=_compact,
        about="The items that are not null, or whose field is not.",
        example='{{ people | compact: "team" | size }}',
        result="1",
        takes=ITEMS,
        gives="list",
    ),
    "first": FilterTerms(
        function=lambda items: items[0] if items else None,
        about="The first item.",
        example="{{ tags | first }}",
        result="vip",
        takes=ITEMS,
        gives="any",
    ),
    "join": FilterTerms(
        function=_join,
        about="The items as one text, with a text of yours between them.",
        example='{{ tags | join: " / " }}',
        result="vip / eu / vip",
        takes=ITEMS,
        gives="text",
    ),
    "last": FilterTerms(
        function=lambda items: items[-1] if items else None,
        about="The last item.",
        example='{{ "a-b-c" | split: "-" | last }}',
        result="c",
        takes=ITEMS,
        gives="any",
    ),
    "map": FilterTerms(
        function=_map,
        about="One field of each item.",
        example='{{ people | map: "name" }}',
        result="Noor, Ann",
        takes=ITEMS,
        gives="list",
    ),
    "reverse": FilterTerms(
        function=lambda items: items[::-1],
        about="The items from the last to the first.",
        example='{{ "a-b-c" | split: "-" | reverse }}',
        result="c, b, a",
        takes=ITEMS,
        gives="list",
    ),
    "size": FilterTerms(
        function=len,
        about="How many items a list has, or how many characters a text.",
        example="{{ tags | size }}",
        result="3",
        takes=ITEMS | TEXT,
        gives="number",
    ),
    "slice": FilterTerms(
        function=texts.slice_,
        about="A part: from which character or item (0 is the first, -1 the last), and how many.",
        example='{{ "ABC-123" | slice: 0, 3 }}',
        result="ABC",
        takes=ITEMS | TEXT,
        gives="same",
        unsettled=frozenset({"object"}),
    ),
    "sort": FilterTerms(
        function=_sort,
        about="The items in order, or by a field: numbers, then texts, then what is empty.",
        example='{{ people | sort: "name" | map: "name" }}',
        result="Ann, Noor",
        takes=ITEMS,
        gives="list",
    ),
    "uniq": FilterTerms(
        function=_uniq,
        about="Each item once, or once for each value of a field.",
        example="{{ tags | uniq }}",
        result="vip, eu",
        takes=ITEMS,
        gives="list",
    ),
    "where": FilterTerms(
        function=_where,
        about="The items whose field has a value, or has that one.",
        example='{{ people | where: "team", "Billing" | map: "name" }}',
        result="Noor",
        takes=ITEMS,
        gives="list",
    ),
}
