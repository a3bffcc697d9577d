"""HTML as text: without its tags, or as lines that read well. In one pass: nobody's text takes longer."""

from __future__ import annotations

import html
import re
import string
from collections.abc import Iterator

# What counts as the beginning of a tag in HTML; "a < b" does not.
_HTML_TAG = re.compile(r"<(?:(!--|script|style)|[a-zA-Z/!?])")
_CLOSING = {"!--": "-->", "script": "</script>", "style": "</style>"}
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NAME = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)")
_ADDRESS = re.compile(r"""\shref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.IGNORECASE)
# Only as many digits as a character can have: the library fails with thousands of them.
_ENTITY = re.compile(r"&(?:#\d{1,7}(?!\d)|#[xX][0-9a-fA-F]{1,6}(?![0-9a-fA-F])|[a-zA-Z][a-zA-Z0-9]{1,31});?")
# Some stand apart from what is before and after them; the others begin a line.
_BLOCK = re.compile(
    "(?P<apart>p|h[1-6]|blockquote|table|pre|hr|ul|ol|dl)|div|tr|li|dt|dd|section|article|header|footer|main|aside|nav"
    "|address|figure|figcaption|form|caption|t(?:head|body|foot)|body|html|title"
)


def strip_html(text: str) -> str:
    """Text without tags, comments, scripts and styles: some texts take the library's parser minutes."""
    return "".join(outside for outside, _ in _pieces(text))


def plain_text(text: str) -> str:
    """Paragraphs, breaks, rows and list items as lines; links with their address; entities as characters."""
    page = _Page()
    if not _HTML_TAG.search(text):
        page.write_lines(_decoded(text))
    else:
        for outside, tag in _pieces(text):
            page.write_lines(_decoded(outside)) if page.keeps_lines else page.write(_decoded(outside))
            if found := _NAME.match(tag):
                page.tag(found[1].lower(), tag)
    return page.text()


def _decoded(text: str) -> str:
    # After the tags are gone, and once: what is written as &lt;b&gt; is no tag.
    return _ENTITY.sub(lambda found: html.unescape(found[0]), text) if "&" in text else text


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


class _Page:
    """Lines as they come into being: blanks collapsed, and at most one empty line in a row."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._mark = ""
        self._apart = False
        self._lists = self._kept = 0
        # The address of the link that is open, and where in the line its text begins.
        self._link: tuple[str, int] | None = None

    @property
    def keeps_lines(self) -> bool:
        """Whether a line break in the text is one, as in <pre>."""
        return self._kept > 0

    def write(self, text: str) -> None:
        """Adds to the line."""
        if text:
            self._line.append(text)

    def write_lines(self, text: str) -> None:
        """Adds text whose line breaks are kept."""
        first, *others = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self.write(first)
        for line in others:
            self._break()
            self.write(line)

    def tag(self, name: str, tag: str) -> None:
        """What a tag does to the lines."""
        opens = not tag.startswith("</")
        if name == "br":
            self._break()
        elif name in ("td", "th"):
            self.write(" ")
        elif name == "a":
            self._end_link()
            self._link = (_address(tag), len(self._line)) if opens else None
        elif block := _BLOCK.fullmatch(name):
            self._end()
            if name in ("ul", "ol"):
                self._apart = self._apart or not self._lists or not (opens or self._lists > 1)
                self._lists = max(self._lists + (1 if opens else -1), 0)
            elif block["apart"] and not self._lists:
                self._apart = True
            if name == "pre":
                self._kept = max(self._kept + (1 if opens else -1), 0)
            if name == "li":
                self._mark = "- " if opens else ""

    def text(self) -> str:
        """All of it."""
        self._end()
        return "\n".join(self._lines)

    def _break(self) -> None:
        if not self._end():
            self._apart = True

    def _end(self) -> bool:
        """Ends the line, if there is anything in it."""
        if not self._line:
            return False
        if self._link and self._words(0):
            self._end_link()
        elif self._link:
            # A link may hold paragraphs.
            self._link = (self._link[0], 0)
        words = self._words(0)
        self._line.clear()
        if not words:
            return False
        if self._apart and self._lines:
            self._lines.append("")
        self._lines.append(self._mark + words)
        self._mark, self._apart = "", False
        return True

    def _end_link(self) -> None:
        if self._link:
            address, start = self._link
            shown = self._words(start)
            if shown and address and _bare(shown) != _bare(address):
                self.write(f" ({address.removeprefix('mailto:')})")
        self._link = None

    def _words(self, start: int) -> str:
        return " ".join("".join(self._line[start:]).split())


def _address(tag: str) -> str:
    """The address of a link that people can follow, or nothing."""
    found = _ADDRESS.search(tag)
    address = _decoded(next(filter(None, found.groups()), "")).strip() if found else ""
    follows = address.lower().startswith(("http://", "https://", "mailto:"))
    return address if follows and not any(map(str.isspace, address)) else ""


def _bare(address: str) -> str:
    return re.sub(r"^(?:https?://|mailto:)", "", address.lower()).rstrip("/")
