"""A YAML document that knows in which line each of its parts stands."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedKeyMap, CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarstring import FoldedScalarString, LiteralScalarString

#: A file larger than this is refused: reading it would take seconds.
FILE_LIMIT = 128 * 1024
# Aliases multiply what they stand for.
_PARTS = 20_000
_DEEPEST = 60
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_BRACKET = re.compile(r"[\[\]{}]")

Path = Sequence[Any]


class DocumentProblem(Exception):
    """A text that is no usable YAML, and the line that says so."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class Document:
    """A document whose top is a mapping. Raises DocumentProblem where the text is none."""

    def __init__(self, text: str) -> None:
        if len(text) > FILE_LIMIT:
            raise DocumentProblem(f"a flow file has at most {FILE_LIMIT // 1024} KiB")
        _check_depth(text)
        top = _load(text)
        if top is None:
            raise DocumentProblem("the file is empty: a flow has key, name, trigger and steps")
        if not isinstance(top, CommentedMap):
            raise DocumentProblem("a flow file is a mapping: key, name, trigger, steps")
        self._top = top
        self._lines = _LINE_BREAK.split(text)
        self._left = _PARTS
        #: The same without anything of YAML's: mappings, lists, texts, numbers.
        self.plain: dict[str, Any] = self._plain(top, 0)

    def line(self, path: Path) -> int:
        """The line, counted from 1, of the deepest part of a path that the document has."""
        line, part = 0, cast(Any, self._top)
        for step in path:
            position = _position(part, step)
            if position is None:
                break
            line, part = position[0], part[step]
        return int(line) + 1

    def has_comment(self, path: Path) -> bool:
        """Whether the line of a part has a comment in the place of its value, as in `channel: #support`."""
        return re.search(r":\s+#\S", self._lines[self.line(path) - 1]) is not None

    def line_inside(self, path: Path, at: int) -> int:
        """The line, counted from 1, in which a character of a text stands, however YAML folds its lines."""
        line, part, position = self.line(path), cast(Any, self._top), None
        for step in path:
            position = _position(part, step, of_value=True)
            if position is None:
                return line
            part = part[step]
        if position is None or not isinstance(part, str):
            return line
        number, column = position
        if isinstance(part, LiteralScalarString | FoldedScalarString):
            number, column = number + 1, 0
        elif self._lines[number][column : column + 1] in ("'", '"'):
            column += 1
        # Folding changes nothing but white space.
        before = len("".join(part[:at].split()))
        while number < len(self._lines):
            before -= len("".join(self._lines[number][column:].split()))
            if before < 0:
                return int(number) + 1
            number, column = number + 1, 0
        return line

    def _plain(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise DocumentProblem("the file is too large or nested too deeply once its aliases (*) are filled in")
        if isinstance(value, CommentedMap):
            return {_name(key): self._plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, CommentedSeq):
            return [self._plain(item, depth + 1) for item in value]
        if isinstance(value, bool | ScalarBoolean):
            return bool(value)
        if value is None or isinstance(value, int):
            return None if value is None else int(value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise DocumentProblem("a number must have an end: .inf and .nan cannot be used")
            return float(value)
        text = str(value)
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise DocumentProblem(r"a text has half a character in it: \ud800 to \udfff cannot be used")
        return text


def _name(key: Any) -> str:
    return f"{{ {', '.join(map(str, key))} }}" if isinstance(key, CommentedKeyMap) else str(key)


def is_template_without_quotes(value: Any) -> bool:
    """Whether this is what YAML makes of `{{ ticket.url }}` where no quotes are around it: a mapping in a mapping."""
    return isinstance(value, dict) and any(name.startswith("{ ") and not value[name] for name in value)


class _Constructor(RoundTripConstructor):
    """Leaves times as they are written."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda maker, node: maker.construct_scalar(node))


def _load(text: str) -> Any:
    yaml = YAML(typ="rt")
    yaml.Constructor = _Constructor
    try:
        return yaml.load(text)
    except ReaderError as problem:
        line = len(_LINE_BREAK.split(text[: problem.position]))
        raise DocumentProblem(f"the character U+{int(problem.character):04X} cannot be used", line) from problem
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        raise DocumentProblem(_in_words(str(problem.problem)), mark.line + 1 if mark else 1) from problem
    except RecursionError as problem:
        raise DocumentProblem("the file is nested too deeply") from problem
    except (YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, AssertionError) as problem:
        # What ruamel raises where a tag such as !!int or !!omap does not fit what follows.
        reason = str(problem).partition("\n")[0] or type(problem).__name__
        raise DocumentProblem(f"this cannot be read as YAML: {reason}") from problem


#: What the library says, and what that means for whoever writes a flow.
_WORDS = (
    (r".*'\\t'", "a tab cannot indent a line; use spaces"),
    (
        "mapping values are not allowed",
        "a second ':' in this line, or a wrong indentation; put a text with ': ' in it in quotes",
    ),
    ("expected ',' or '.', but got '<stream end>'", "a bracket is never closed: a ']' or '}' is missing"),
    (
        "expected ',' or '.', but got '<scalar>'",
        "a text ends too early, or a ',' is missing: within \"…\" use '…', and within '…' use \"…\"",
    ),
    ("expected ',' or '.', but got ':'", "a text with ': ' in it needs quotes, or a ',' is missing"),
    ("expected ',' or '.'", "a ',' or the closing bracket is missing before this"),
    (
        "expected the node content",
        "a '{' or '[' before this is not closed: what follows a # is a comment, so put a text with # in quotes",
    ),
    (
        "expected <block end>, but found '<scalar>'",
        "something is left over after a text: within '…' use \"…\", or write ''",
    ),
    ("expected <block end>, but found '[]}]'", "a closing bracket is too much here"),
    ("expected <block end>", "a wrong indentation: this line goes with none of those above it"),
    (
        "(expected alphabetic or numeric character|found character '[@%`]')",
        "a text that begins with * & @ % or ` needs quotes, or | in the line before it",
    ),
    ("found unexpected end of stream", "a quotation mark is never closed"),
    ("sequence entries are not allowed", "a list begins on a line of its own: `- …`, or stands in brackets: `[…]`"),
)


def _in_words(problem: str) -> str:
    if twice := re.match('found duplicate key "(.*?)" with', problem, re.DOTALL):
        return f"{twice[1]!r} is there twice"
    return next((words for pattern, words in _WORDS if re.match(pattern, problem)), problem[:300])


def _check_depth(text: str) -> None:
    """ruamel takes seconds for thousands of brackets."""
    depth = 0
    for found in _BRACKET.finditer(text):
        depth = depth + 1 if found[0] in "[{" else max(depth - 1, 0)
        if depth > 10 * _DEEPEST:
            raise DocumentProblem("the file is nested too deeply", len(_LINE_BREAK.split(text[: found.start()])))


def _position(part: Any, step: Any, *, of_value: bool = False) -> tuple[int, int] | None:
    """Line and column of what a mapping or list has under a key or number, if it is there and not merged in."""
    if isinstance(part, CommentedMap) and step in (part.lc.data or ()) and step in part:
        return cast(tuple[int, int], part.lc.value(step) if of_value else part.lc.key(step))
    if isinstance(part, CommentedSeq) and isinstance(step, int) and step < len(part) and part.lc.data:
        return cast(tuple[int, int], part.lc.item(step))
    return None
