"""HTML as text, without its tags. In one pass: nobody's text takes longer."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

# What counts as the beginning of a tag in HTML; "a < b" does not.
_HTML_TAG = re.compile(r"<(?:(!--|script|style)|[a-zA-Z/!?])")
_CLOSING = {"!--": "-->", "script": "</script>", "style": "</style>"}
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def strip_html(text: str) -> str:
    """Text without tags, comments, scripts and styles: some texts take the library's parser minutes."""
    return "".join(outside for outside, _ in _pieces(text))


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """The text between tags, each with the tag after it; a comment, a script and a style is a tag as a whole."""
    lower = text.translate(_LOWER)
    at, never = 0, set[str]()
    while found := _HTML_TAG.search(lower, at):
        start = found.start()
        closing = _CLOSING.get(found[1], ">")
        end = -1 if closing in never else lower.find(closing, start)
        if end < 0:
            never.add(closing)
            closing = ">"
            end = lower.find(closing, start)
            if end < 0:
                break
        yield text[at:start], text[start : end + len(closing)]
        at = end + len(closing)
    yield text[at:], ""
