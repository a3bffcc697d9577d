"""Known words: texts that are always one of a few, such as a ticket's status, and comparisons with any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zendesk_bridge.flows.catalog import did_you_mean, nearest
from zendesk_bridge.flows.kinds import Misuse


def listed(words: Sequence[str]) -> str:
    """`new, open or closed`."""
    return " or ".join(", ".join(words).rsplit(", ", 1))


def never_holds(name: str, words: Sequence[str], operator: str, value: Any) -> Misuse | None:
    """What is wrong with comparing a variable that is always one of these words.

    Args:
        name: what the file calls the variable.
        value: what it is compared with, written out; empty where templates are in it.
    """
    if operator in ("greater_than", "less_than"):
        return Misuse(message=f"{operator} compares numbers or times; {name} is {listed(words)}")
    for each in value if isinstance(value, list) else [value]:
        text = str(each)
        if isinstance(each, dict | list) or text == "" or text in words or _is_part(text, words, operator):
            continue
        meant = next((word for word in words if word == text.lower()), None) or nearest(text.lower(), words)
        message = f"{name} is never {text[:60]!r}: it is {listed(words)}"
        return Misuse(message=message, suggestion=did_you_mean(meant))
    return None


def _is_part(text: str, words: Sequence[str], operator: str) -> bool:
    return operator == "contains" and any(text in word for word in words)
