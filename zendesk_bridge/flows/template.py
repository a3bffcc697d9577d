"""Liquid templates: `{{ assignee.name }}` becomes a value, inserted as the input's type demands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from io import StringIO
from typing import Any, TextIO, cast

from liquid import Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, KeywordArgument, Path
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.primitive import Blank, Empty, Literal
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import LiquidError, ResourceLimitError
from liquid.expression import Expression
from liquid.template import BoundTemplate
from liquid.token import TOKEN_CONTENT, TOKEN_ILLEGAL, Token
from liquid.undefined import is_undefined
from liquid.utils import ReadOnlyChainMap

from zendesk_bridge.flows.definition import Values
from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.filters import FILTERS as FILTERS  # a template's author knows it from here
from zendesk_bridge.flows.filters import LIST_LIMIT, TEXT_LIMIT, WORK_LIMIT, LimitReached, all_filters, as_text
from zendesk_bridge.flows.plain_template import OUTPUT_LIMIT, Insert, NotPlain, Plain, look_up, names, plain_template
from zendesk_bridge.flows.template_problems import TAGS as TAGS  # and what may be wrong with a template
from zendesk_bridge.flows.template_problems import (
    TOO_DEEP,
    check_delimiters,
    check_expression,
    position,
    syntax_problem,
)
from zendesk_bridge.flows.template_problems import TemplateProblem as TemplateProblem
from zendesk_bridge.flows.template_problems import UnknownFilter as UnknownFilter


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A variable that a template uses, and where in the template it stands."""

    path: tuple[str, ...]
    at: int


@dataclass(frozen=True, kw_only=True)
class Use:
    """A value that a template takes from a variable, or that is written out, and the filters it goes through."""

    # Names and numbers; empty for a value that is written out, or a local variable.
    path: tuple[Any, ...]
    literal: Any
    # Each with its place in the template, and the first value it is given, where that is written out.
    filters: tuple[tuple[str, int, Any], ...]


class Template:
    """A text with variables in it, compiled once. Raises TemplateProblem."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._parsed: BoundTemplate | None = None
        self._only: OutputNode | None = None
        # The way to the value of a template that is one variable without filters.
        self._path: tuple[str, ...] | None = None
        # Fills the template in without the library, where it is of the kind that most are.
        self._plain: Plain | None = None
        if not is_template(source):
            return
        check_delimiters(source)
        try:
            self._parsed = _environment().from_string(source)
            for expression in _expressions(self._parsed.nodes, _Context(self._parsed)):
                check_expression(expression)
        except LiquidError as problem:
            raise syntax_problem(problem, source) from problem
        except RecursionError as problem:
            raise TemplateProblem(TOO_DEEP, 0) from problem
        self._plain = plain_template(source, self._parsed.nodes)
        nodes = [node for node in self._parsed.nodes if not (isinstance(node, ContentNode) and node.blank)]
        if len(nodes) == 1 and isinstance(nodes[0], OutputNode):
            self._only = nodes[0]
            self._path = _plain_path(nodes[0].expression)

    def value(self, values: Values) -> object:
        """The value of a template that is one variable, with its type; the text of any other. Raises FlowError."""
        if self._only is None:
            return self.text(values, as_text)
        try:
            return look_up(values, self._path) if self._path else self._evaluated(self._only, values)
        except NotPlain:
            return self._evaluated(self._only, values)

    def text(self, values: Values, insert: Insert) -> str:
        """The text, each inserted value turned into text by `insert`. Raises FlowError."""
        if self._parsed is None:
            return self.source
        text = self._plain(values, insert) if self._plain else None
        return _storable(self._rendered(self._parsed, values, insert) if text is None else text)

    def _evaluated(self, only: OutputNode, values: Values) -> object:
        assert self._parsed is not None
        try:
            return _settled(only.expression.evaluate(_Context(self._parsed, globals=values)))
        except Exception as problem:
            raise _failure(problem) from problem

    def _rendered(self, parsed: BoundTemplate, values: Values, insert: Insert) -> str:
        context = _Context(parsed, globals=values)
        context.insert = insert
        buffer = _Buffer()
        try:
            for node in parsed.nodes:
                node.render_to_output(context, buffer)
        except Exception as problem:
            raise _failure(problem) from problem
        return buffer.getvalue()

    @property
    def only(self) -> Use | None:
        """The value that the template is, where it is one and keeps its type."""
        if self._only is None or not isinstance(self._only.expression, FilteredExpression):
            return None
        return _use(self._only.expression, self._global_names())

    def uses(self) -> Iterator[Use]:
        """The values that the template takes, and what it does with them."""
        if self._parsed is None:
            return
        known = self._global_names()
        for expression in _expressions(self._parsed.nodes, _Context(self._parsed)):
            if isinstance(expression, FilteredExpression):
                yield _use(expression, known)

    def _global_names(self) -> set[str]:
        assert self._parsed is not None
        return set(self._parsed.analyze().globals)

    def references(self) -> Iterator[Reference]:
        """The variables that come from outside the template."""
        if self._parsed is None:
            return
        for places in self._parsed.analyze().globals.values():
            for place in places:
                path: list[str] = []
                for segment in place.segments:
                    if not isinstance(segment, str):
                        break
                    path.append(segment)
                yield Reference(path=tuple(path), at=place.span.index)


_UNKNOWN = object()


def _plain_path(expression: Expression) -> tuple[str, ...] | None:
    """The segments of an expression that is a variable and nothing else."""
    if not isinstance(expression, FilteredExpression) or expression.filters:
        return None
    return names(expression.left)


def _use(expression: FilteredExpression, known: set[str]) -> Use:
    left = expression.left
    path: tuple[Any, ...] = ()
    if isinstance(left, Path) and left.path and isinstance(left.path[0], str) and left.path[0] in known:
        path = tuple(part if isinstance(part, str | int) else None for part in left.path)
    literal = getattr(left, "value", None)
    filters = tuple((each.name, position(each.token), _first(each)) for each in expression.filters or ())
    return Use(path=path, literal=literal if isinstance(literal, str | int | float) else None, filters=filters)


def _first(used: Filter) -> Any:
    given = next((each.value for each in used.args if not isinstance(each, KeywordArgument)), None)
    return given.value if isinstance(given, Literal) else None


def _storable(text: str) -> str:
    # Halves of characters cannot be stored or sent.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def is_template(text: str) -> bool:
    """Whether there is anything to fill in."""
    return "{{" in text or "{%" in text


def _expressions(nodes: Iterable[Node], context: RenderContext) -> Iterator[Expression]:
    for node in nodes:
        yield from node.expressions()
        yield from _expressions(node.children(context), context)


_LIMITS = {
    "loop iteration limit reached": f"loops inside loops would go round more than {10 * LIST_LIMIT:,} times",
    "local namespace limit reached": "{% assign %} would keep more than 1 MiB",
}


def _failure(problem: Exception) -> FlowError:
    if isinstance(problem, LimitReached | ResourceLimitError):
        return FlowError(
            "template_limit",
            _LIMITS.get(str(problem.message), str(problem.message)),
            hint=f"A filter makes at most {TEXT_LIMIT // 1024} KiB of text and takes at most {LIST_LIMIT:,} items.",
        )
    reason = problem.message if isinstance(problem, LiquidError) else f"it does not work with these values ({problem})"
    return FlowError("template_failed", str(reason), hint="Check the template and the values it gets.")


def _settled(value: object) -> object:
    """A value as conditions and actions know it: none of the library's own kinds of nothing."""
    if type(value) is str or value is None:  # as most are
        return value
    if is_undefined(value) or isinstance(value, Empty | Blank):
        return None
    return list(value) if isinstance(value, tuple) else value


class _Buffer(StringIO):
    def __init__(self) -> None:
        super().__init__()
        self._left = OUTPUT_LIMIT
        self._parts: list[str] = []

    def write(self, text: str) -> int:
        self._left -= len(text)
        if self._left < 0:
            raise LimitReached(f"the text would have more than {OUTPUT_LIMIT // 1024:,} KiB")
        self._parts.append(text)
        return len(text)

    def getvalue(self) -> str:
        return "".join(self._parts)


def _within_limit(value: object) -> object:
    return value[:TEXT_LIMIT] if isinstance(value, str) and len(value) > TEXT_LIMIT else value


class _Scope(ReadOnlyChainMap):
    def __getitem__(self, key: str) -> object:
        for mapping in self._maps:  # without an error for each that has it not
            if key in mapping:
                return mapping[key]
        raise KeyError(key)


class _Context(RenderContext):
    insert: Insert = staticmethod(as_text)
    _work = 0

    def __init__(self, template: BoundTemplate, **options: Any) -> None:
        super().__init__(template, **options)
        # Without the library's `now` and `today`, which read the clock: a template sees the recorded start of its step.
        self.scope = _Scope(self.locals, self.globals)

    def get(self, path: list[object], **options: Any) -> object:
        value = self.plain(path)
        # The library knows more ways, and what to say where there is none.
        return _within_limit(super().get(path, **options)) if value is _UNKNOWN else value

    def plain(self, path: Sequence[object]) -> object:
        """The value at the end of a way through mappings, or _UNKNOWN."""
        try:
            value = self.scope[cast(str, path[0])]
            for name in path[1:]:
                if type(value) is not dict:
                    return _UNKNOWN
                value = value[str(name) if type(name) is int else name]  # custom_fields[360001]: names are texts
        except (KeyError, TypeError):
            return _UNKNOWN
        return _within_limit(value)

    def spend(self, name: str, amount: int) -> None:
        """Counts what filters and loops go through. Raises LimitReached."""
        self._work += amount
        if self._work > WORK_LIMIT:
            raise LimitReached(f"{name}: the loops and filters of this template go through too much text")


class _OutputNode(OutputNode):
    __slots__ = ("filters", "path")

    def __init__(self, token: Token, expression: Expression) -> None:
        super().__init__(token, expression)
        # The way to the value, where it is a variable's, and the filters it goes through then.
        self.path: tuple[str, ...] | None = None
        self.filters: Sequence[Filter] = ()
        if isinstance(expression, FilteredExpression):
            self.path, self.filters = names(expression.left), expression.filters or ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        context = cast(_Context, context)
        value = context.plain(self.path) if self.path else _UNKNOWN
        if value is _UNKNOWN:
            value = self.expression.evaluate(context)
        else:
            for each in self.filters:
                value = each.evaluate(value, context)
        value = _settled(value)
        if isinstance(value, list | dict):
            value = as_text(value)[:TEXT_LIMIT]
            context.spend("output", len(value))
        return buffer.write(context.insert(value))


class _Output(Output):
    node_class = _OutputNode


class _ForNode(ForNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        items = self.expression.iterable.evaluate(context)
        if isinstance(items, range) and items.stop - items.start > LIST_LIMIT:
            raise LimitReached(f"for: a range of more than {LIST_LIMIT:,} numbers")
        cast(_Context, context).spend("for", 32 * (len(items) if isinstance(items, list | dict | range) else 1))
        return super().render_to_output(context, buffer)


class _For(ForTag):
    node_class = _ForNode


class _Bound(BoundTemplate):
    context_class = _Context


class _Environment(Environment):
    template_class = _Bound
    loop_iteration_limit = 10 * LIST_LIMIT
    local_namespace_limit = 16 * TEXT_LIMIT

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=False)
        allowed = {*TAGS, TOKEN_CONTENT, TOKEN_ILLEGAL}
        self.tags = {name: tag for name, tag in self.tags.items() if name in allowed}
        self.add_tag(_Output)
        self.add_tag(_For)
        self.filters = all_filters()


@cache
def _environment() -> Environment:
    return _Environment()
