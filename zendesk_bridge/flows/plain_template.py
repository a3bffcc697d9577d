"""Templates as most are: words, variables, and parts that stand there `{% if %}` a variable says so.

They are filled in here, which takes a third of the time that the library takes, and gives the same text. Whatever is
not surely the same is left to the library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import BooleanExpression, FilteredExpression, Path, PositionalArgument
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.logical import EqExpression, LogicalAndExpression, LogicalOrExpression, NeExpression
from liquid.builtin.expressions.primitive import Literal, StringLiteral
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from zendesk_bridge.flows.catalog import as_text
from zendesk_bridge.flows.definition import Values
from zendesk_bridge.flows.filter_terms import TEXT_LIMIT

Insert = Callable[[object], str]
#: Makes the text of a template; None where the library has to.
Plain = Callable[[Values, Insert], str | None]
_Test = Callable[[Values], bool]

#: The longest text that a template makes.
OUTPUT_LIMIT = 16 * TEXT_LIMIT
# So many values are put together before anybody looks how long they are.
_MOST_VALUES = 100
# The library makes these up where an object has them not.
_MADE_UP = frozenset({"size", "first", "last"})
_NUMBERS = frozenset({int, float})
_COLLECTIONS = frozenset({list, dict})
_JSON = frozenset({type(None), bool, *_NUMBERS, *_COLLECTIONS})
_ABSENT = object()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Output:
    """A value that is inserted."""

    path: tuple[str, ...]
    # What takes its place where there is none.
    default: Callable[[Values], object] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Choice:
    """Parts of which those are there whose test holds first."""

    ways: tuple[tuple[_Test, _Parts], ...]
    otherwise: _Parts


# A text is the author's.
_Parts = tuple[str | _Output | _Choice, ...]


class NotPlain(Exception):
    """A template, or a value for it, of which the library knows more."""


def plain_template(source: str, nodes: Sequence[Node]) -> Plain | None:
    """What makes the template's text; None where always the library has to."""
    if source.count("{{") > _MOST_VALUES:
        return None
    try:
        parts = _parts(nodes)
    except NotPlain:
        return None

    def text(values: Values, insert: Insert) -> str | None:
        pieces: list[str] = []
        try:
            _write(parts, values, insert, pieces)
        except Exception:  # the library meets it too, and says what is wrong
            return None
        made = "".join(pieces)
        return made if len(made) <= OUTPUT_LIMIT else None

    return text


def names(expression: Expression) -> tuple[str, ...] | None:
    """The segments of a variable, where all of them are names."""
    if not isinstance(expression, Path) or not all(isinstance(each, str) for each in expression.path):
        return None
    return tuple(map(str, expression.path))


def look_up(values: Values, path: Sequence[str]) -> object:
    """The value of a variable; None where there is none. Raises NotPlain."""
    value: Any = values
    for name in path:
        if type(value) is not dict:
            if value is None:
                return None
            raise NotPlain
        value = value.get(name, _ABSENT)
        if value is _ABSENT:
            if name in _MADE_UP:
                raise NotPlain
            return None
    if isinstance(value, str):
        return value if len(value) <= TEXT_LIMIT else value[:TEXT_LIMIT]
    if type(value) in _JSON:
        return value
    raise NotPlain


def _write(parts: _Parts, values: Values, insert: Insert, pieces: list[str]) -> None:
    """Adds the text of each part to the pieces. Raises NotPlain, and what `insert` raises."""
    for part in parts:
        if isinstance(part, str):
            pieces.append(part)
        elif isinstance(part, _Output):
            value = look_up(values, part.path)
            if part.default is not None and not value and type(value) not in _NUMBERS:
                value = part.default(values)
            pieces.append(insert(as_text(value)[:TEXT_LIMIT] if type(value) in _COLLECTIONS else value))
        else:
            for test, inside in part.ways:
                if test(values):
                    _write(inside, values, insert, pieces)
                    break
            else:
                _write(part.otherwise, values, insert, pieces)


def _parts(nodes: Sequence[Node]) -> _Parts:
    return tuple(_part(node) for node in nodes if not isinstance(node, CommentNode))


def _part(node: Node) -> str | _Output | _Choice:
    if isinstance(node, ContentNode):
        return node.text
    if isinstance(node, OutputNode) and isinstance(node.expression, FilteredExpression):
        filters = node.expression.filters
        return _Output(path=_path(node.expression.left), default=_default(filters) if filters else None)
    if isinstance(node, IfNode | UnlessNode):
        return _choice(node)
    raise NotPlain


def _default(filters: Sequence[Filter]) -> Callable[[Values], object]:
    """What the only filter, `default`, puts where there is nothing."""
    if len(filters) > 1 or filters[0].name != "default" or len(filters[0].args) != 1:
        raise NotPlain
    other = filters[0].args[0]
    if not isinstance(other, PositionalArgument):
        raise NotPlain
    if isinstance(other.value, Literal):
        literal: object = other.value.value
        return lambda values: literal
    path = _path(other.value)
    return lambda values: look_up(values, path)


def _choice(node: IfNode | UnlessNode) -> _Choice:
    first = _test(node.condition)
    ways = [(first if isinstance(node, IfNode) else lambda values: not first(values), _block(node.consequence))]
    ways += [(_test(each.expression), _block(each.block)) for each in node.alternatives]
    return _Choice(ways=tuple(ways), otherwise=_block(node.default) if node.default else ())


def _block(block: BlockNode) -> _Parts:
    """What stands between two tags: as in the library nothing, where it is white space alone."""
    parts = _parts(block.nodes)
    return () if block.blank else parts


def _test(expression: Expression) -> _Test:
    if isinstance(expression, BooleanExpression):
        return _test(expression.expression)
    if isinstance(expression, LogicalAndExpression | LogicalOrExpression):
        left, right = _test(expression.left), _test(expression.right)
        if isinstance(expression, LogicalAndExpression):
            return lambda values: left(values) and right(values)
        return lambda values: left(values) or right(values)
    if isinstance(expression, EqExpression | NeExpression) and isinstance(expression.right, StringLiteral):
        compared, text, equal = _path(expression.left), expression.right.value, isinstance(expression, EqExpression)
        return lambda values: (look_up(values, compared) == text) is equal
    path = _path(expression)

    def holds(values: Values) -> bool:
        value = look_up(values, path)
        return value is not None and value is not False  # 0 and "" are something

    return holds


def _path(expression: Expression) -> tuple[str, ...]:
    path = names(expression)
    if path is None:
        raise NotPlain
    return path
