"""What is said of every filter of templates: what it takes, what it gives, an example, and how much it may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from liquid.exceptions import LiquidError

#: The longest text a template reads or a filter makes, and the longest list a filter takes.
TEXT_LIMIT = 64 * 1024
LIST_LIMIT = 1_000
#: What all filters and loops of one template may go through together, in characters.
WORK_LIMIT = 256 * TEXT_LIMIT

Kind = Literal["text", "number", "decimal", "boolean", "date", "date-time", "list", "object", "any"]
Function = Callable[..., Any]

TEXT: frozenset[Kind] = frozenset({"text"})
#: Whatever reads well when it is inserted; an object does not.
WRITTEN: frozenset[Kind] = frozenset({"text", "number", "decimal", "boolean", "date", "date-time", "list"})
#: A text may hold a number: fields of tickets often do.
NUMBERS: frozenset[Kind] = frozenset({"number", "decimal", "text"})
#: A text may hold a time.
MOMENTS: frozenset[Kind] = frozenset({"date", "date-time", "text"})
#: One object does where a list of them is expected.
ITEMS: frozenset[Kind] = frozenset({"list", "object"})

#: What the examples of the reference are evaluated with.
SAMPLE: Mapping[str, Any] = {
    "tags": ["vip", "eu", "vip"],
    "people": [{"name": "Noor", "team": "Billing"}, {"name": "Ann", "team": None}],
    "due_at": "2026-11-22T20:04:51Z",
    "address": "Main St 1\nBerlin",
}


class LimitReached(LiquidError):
    """A template that would do too much."""

    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """What is wrong with a value that the author of a template wrote out, and what to write instead."""

    message: str
    hint: str = ""


#: What is wrong with a value that is written out, if anything.
Scrutiny = Callable[[object], Mistake | None]


@dataclass(frozen=True, kw_only=True)
class FilterTerms:
    """A filter, and what the reference and the check of flows say of it."""

    function: Function = field(repr=False)
    about: str
    # A template that SAMPLE is enough for, and the text it becomes.
    example: str
    result: str
    takes: frozenset[Kind] | Literal["any"]
    # "same": a value of the kind that it takes.
    gives: Kind | Literal["same"]
    # The kinds that it turns into another one, though it gives "same": a text may be read as a number.
    unsettled: frozenset[Kind] = frozenset()
    # For parameters of the function: how a value is judged that the author wrote out.
    written_out: Mapping[str, Scrutiny] = field(default_factory=dict, repr=False)
    # What a use counts for besides its text, in characters, and each character of the text.
    work: int = 0
    weight: int = 1

    def kind_of_result(self, kind: Kind) -> Kind:
        """The kind of what comes out where a value of that kind goes in."""
        if self.gives != "same":
            return self.gives
        return "any" if kind in self.unsettled else kind
