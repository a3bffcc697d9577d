"""Templates as most are: words, variables, and parts that stand there `{% if %}` a variable says so.

They are filled in here, which takes a third of the time that the library takes, and gives the same text. Whatever is
not surely the same is left to the library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
_Part = Callable[[Values, Insert], str]
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


class NotPlain(Exception):
    """A template, or a value for it, of which the library knows more."""


def plain_template(source: str, nodes: Sequence[Node]) -> Plain | None:
    """What makes the template's text; None where always the library has to."""
    if source.count("{{") > _MOST_VALUES:
        return None
    try:
        whole = _in_order(nodes)
    except NotPlain:
        return None

    def text(values: Values, insert: Insert) -> str | None:
        try:
            made = str(whole(values, insert))  # an ordinary text, whatever the only value in it was
        except Exception:  # the library meets it too, and says what is wrong
            return None
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


def _in_order(nodes: Sequence[Node]) -> _Part:
    parts = [_part(node) for node in nodes if not isinstance(node, CommentNode)]
    first = parts[0] if len(parts) == 1 else None
    if first is not None and not isinstance(first, str):
        return first
    return lambda values, insert: "".join([part if isinstance(part, str) else part(values, insert) for part in parts])


def _part(node: Node) -> str | _Part:
    """What the author wrote, or what makes text of values."""
    if isinstance(node, ContentNode):
        return node.text
    if isinstance(node, OutputNode) and isinstance(node.expression, FilteredExpression):
        filters = node.expression.filters or []
        return _output(_path(node.expression.left), _default(filters) if filters else None)
    if isinstance(node, IfNode | UnlessNode):
        return _choice(node)
    raise NotPlain


def _output(path: Sequence[str], default: Callable[[Values], object] | None) -> _Part:
    def text(values: Values, insert: Insert) -> str:
        value = look_up(values, path)
        if default is not None and not value and type(value) not in _NUMBERS:
            value = default(values)
        return insert(as_text(value)[:TEXT_LIMIT] if type(value) in _COLLECTIONS else value)

    return text


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


def _choice(node: IfNode | UnlessNode) -> _Part:
    first = _test(node.condition)
    ways = [(first if isinstance(node, IfNode) else lambda values: not first(values), _block(node.consequence))]
    ways += [(_test(each.expression), _block(each.block)) for each in node.alternatives]
    otherwise = _block(node.default)

    def text(values: Values, insert: Insert) -> str:
        for test, block in ways:
            if test(values):
                return block(values, insert)
        return otherwise(values, insert)

    return text


def _block(block: BlockNode | None) -> _Part:
    """What stands between two tags: as in the library nothing, where it is white space alone."""
    inside = _in_order(block.nodes if block else ())
    return inside if block is None or not block.blank else lambda values, insert: ""


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
