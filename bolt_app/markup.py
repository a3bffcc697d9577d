"""Slack's markup as people see it: what is bold, where a link leads, who is mentioned."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bolt_app.text import plain

_PARTS = re.compile(
    r"```(?P<block>.+?)```"
    r"|`(?P<code>[^`\n]+)`"
    r"|<(?P<angle>[^<>\n]+)>"
    r"|(?<![\w*])\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>[^\s_](?:[^_\n]*[^\s_])?)_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>[^\s~](?:[^~\n]*[^\s~])?)~(?![\w~])",
    re.DOTALL,
)
#: What is meant to be read as it stands.
_LITERAL = ("block", "code")


class Span(NamedTuple):
    """A piece of text that looks the same from its beginning to its end."""

    text: str
    # bold, italic, strike, code, link; several with blanks between; empty for ordinary text.
    look: str = ""


def spans(markup: str, names: Mapping[str, str] | None = None) -> Iterator[Span]:
    """A message's text in pieces, as Slack shows it.

    Args:
        names: of people and channels by their ids, as far as they are known.
    """
    yield from _spans(markup, names or {}, "")


def seen(markup: str, names: Mapping[str, str] | None = None) -> str:
    """A message's text as its reader sees it, but for how it looks."""
    return "".join(span.text for span in spans(markup, names))


def _spans(markup: str, names: Mapping[str, str], look: str) -> Iterator[Span]:
    end = 0
    for found in _PARTS.finditer(markup):
        if found.start() > end:
            yield Span(plain(markup[end : found.start()]), look)
        end = found.end()
        kind = str(found.lastgroup)
        inside = found[kind]
        if kind == "angle":
            yield _angle(inside, names, look)
        elif kind in _LITERAL:
            yield Span(plain(inside.strip("\n") if kind == "block" else inside), f"{look} code".strip())
        else:
            yield from _spans(inside, names, f"{look} {kind}".strip())
    if end < len(markup):
        yield Span(plain(markup[end:]), look)


def _angle(inside: str, names: Mapping[str, str], look: str) -> Span:
    """What stands between brackets: a mention, a channel, a time, or a link."""
    target, _, label = inside.partition("|")
    target, label = plain(target), plain(label)
    mention = f"{look} bold".strip()
    if target.startswith("@"):
        return Span(f"@{names.get(target[1:]) or label.removeprefix('@') or target[1:]}", mention)
    if target.startswith("#"):
        return Span(f"#{(names.get(target[1:]) or label or target[1:]).removeprefix('#')}", mention)
    if target.startswith("!date^"):
        return Span(label or target.split("^")[1], look)
    if target.startswith("!"):
        return Span(label if label.startswith("@") else f"@{label or target[1:].rpartition('^')[2]}", mention)
    address = target.removeprefix("mailto:")
    shown = address if not label or label == address else f"{label} ({address})"
    return Span(shown, f"{look} link".strip())
