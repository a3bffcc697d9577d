"""Liquid templates: `{{ assignee.name }}` becomes a value, inserted as the input's type demands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from io import StringIO
from itertools import count
from typing import Any, TextIO, cast

from liquid import Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, KeywordArgument, LoopExpression, Path
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.primitive import Blank, Empty, Literal, RangeLiteral
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
from zendesk_bridge.flows.filters import (
    LIST_LIMIT,
    TEXT_LIMIT,
    WORK_LIMIT,
    LimitReached,
    all_filters,
    as_text,
    mistake_in,
    takes,
)

TAGS = ("if", "unless", "case", "for", "assign", "comment")  # `raw` is the lexer's own

Insert = Callable[[object], str]


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
        if not is_template(source):
            return
        _check_delimiters(source)
        try:
            self._parsed = _environment().from_string(source)
            for expression in _expressions(self._parsed.nodes, _Context(self._parsed)):
                _check_expression(expression)
        except LiquidError as problem:
            raise _syntax_problem(problem, source) from problem
        except RecursionError as problem:
            raise TemplateProblem(_TOO_DEEP, 0) from problem
        nodes = [node for node in self._parsed.nodes if not (isinstance(node, ContentNode) and node.blank)]
        if len(nodes) == 1 and isinstance(nodes[0], OutputNode):
            self._only = nodes[0]
            self._path = _plain_path(nodes[0].expression)

    def value(self, values: Values) -> object:
        """The value of a template that is one variable, with its type; the text of any other. Raises FlowError."""
        if self._only is None:
            return self.text(values, as_text)
        assert self._parsed is not None
        known = self._looked_up(values)
        if known is not _UNKNOWN:
            return known
        try:
            return _settled(self._only.expression.evaluate(_Context(self._parsed, globals=values)))
        except Exception as problem:
            raise _failure(problem) from problem

    def text(self, values: Values, insert: Insert) -> str:
        """The text, each inserted value turned into text by `insert`. Raises FlowError."""
        if self._parsed is None:
            return self.source
        known = self._looked_up(values) if len(self._parsed.nodes) == 1 else _UNKNOWN
        if known is not _UNKNOWN:
            return _storable(insert(as_text(known)[:TEXT_LIMIT] if isinstance(known, list | dict) else known))
        context = _Context(self._parsed, globals=values)
        context.insert = insert
        buffer = _Buffer()
        try:
            for node in self._parsed.nodes:
                node.render_to_output(context, buffer)
        except Exception as problem:
            raise _failure(problem) from problem
        return _storable(buffer.getvalue())

    def _looked_up(self, values: Values) -> object:
        """The value of a template that is one variable: without the library, which finds the same, and takes longer."""
        if self._path is None:
            return _UNKNOWN
        found: object = values
        for name in self._path:
            if not isinstance(found, dict) or name not in found:
                return _UNKNOWN
            found = found[name]
        if isinstance(found, str):
            return found[:TEXT_LIMIT] if len(found) > TEXT_LIMIT else found
        return list(found) if isinstance(found, tuple) else found

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
    if not isinstance(expression, FilteredExpression) or expression.filters or not isinstance(expression.left, Path):
        return None
    segments = expression.left.path
    return tuple(map(str, segments)) if all(isinstance(each, str) for each in segments) else None


def _use(expression: FilteredExpression, known: set[str]) -> Use:
    left = expression.left
    path: tuple[Any, ...] = ()
    if isinstance(left, Path) and left.path and isinstance(left.path[0], str) and left.path[0] in known:
        path = tuple(part if isinstance(part, str | int) else None for part in left.path)
    literal = getattr(left, "value", None)
    filters = tuple((each.name, _position(each.token), _first(each)) for each in expression.filters or ())
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


class TemplateProblem(FlowError):
    """A template that cannot be compiled, and where in it the problem is."""

    def __init__(self, message: str, at: int, *, code: str = "template_syntax", hint: str = "") -> None:
        super().__init__(code, message, hint=hint or "See “Templates” in the README.")
        self.at = at


class UnknownFilter(TemplateProblem):
    """A template that uses a filter there is not."""

    def __init__(self, name: str, at: int) -> None:
        hint = f"Filters: {', '.join(FILTERS)}."
        super().__init__(f"there is no filter {name!r}", at, code="unknown_filter", hint=hint)
        self.name = name


# What stands in one pair of braces; the library reads it in quadratic time.
_LONGEST_TAG = 2_000
# More terms joined by `and`, or brackets within brackets, would need more stack than there is.
_DEEPEST = 100
_OPENING = re.compile(r"\{\{|\{%")
_END_OF_RAW = re.compile(r"\{%-?\s*endraw\s*-?%\}")


def _check_delimiters(source: str) -> None:
    """Finds what is open or empty in one pass: the library's lexer takes minutes for some such texts."""
    if len(source) > TEXT_LIMIT:
        raise TemplateProblem(f"a template has at most {TEXT_LIMIT // 1024} KiB", 0, code="template_limit")
    at = 0
    while found := _OPENING.search(source, at):
        opening, closing = found[0], "}}" if found[0] == "{{" else "%}"
        end = source.find(closing, found.end())
        if end < 0:
            raise TemplateProblem(f"'{opening}' is never closed: '{closing}' is missing", found.start())
        if end - found.end() > _LONGEST_TAG:
            raise TemplateProblem(f"there are more than {_LONGEST_TAG:,} characters in one '{opening}'", found.start())
        inside = source[found.end() : end].strip("- \t\r\n")
        if not inside:
            raise TemplateProblem(f"there is nothing between '{opening}' and '{closing}'", found.start())
        at = end + 2
        if opening == "{%" and inside == "raw":
            if (closed := _END_OF_RAW.search(source, at)) is None:
                raise TemplateProblem("{% raw %} is never closed: {% endraw %} is missing", found.start())
            at = closed.end()
        elif opening == "{%" and inside.split(None, 1)[0] == "doc":
            raise TemplateProblem(_unknown_tag("doc"), found.start())


def _expressions(nodes: Iterable[Node], context: RenderContext) -> Iterator[Expression]:
    for node in nodes:
        yield from node.expressions()
        yield from _expressions(node.children(context), context)


def _check_expression(expression: Expression, depth: int = 0) -> None:
    """What the library would find out only when the template is used, with some values."""
    if depth > _DEEPEST:
        raise TemplateProblem(_TOO_DEEP, _position(expression.token))
    for part in expression.children():
        if isinstance(part, RangeLiteral) and not isinstance(expression, LoopExpression):
            message = "a range such as (1..3) works in {% for … in … %} only"
            raise TemplateProblem(message, _position(part.token))
        _check_expression(part, depth + 1)
    if isinstance(expression, FilteredExpression):
        for each in expression.filters or ():
            _check_filter(each)


def _check_filter(used: Filter) -> None:
    at = _position(used.token)
    if used.name not in FILTERS:
        raise UnknownFilter(used.name, at)
    least, most, named = takes(used.name)
    by_name = {each.name for each in used.args if isinstance(each, KeywordArgument)}
    given = len(used.args) - len(by_name)
    if by_name - named:
        raise TemplateProblem(f"the filter {used.name!r} takes nothing named {min(by_name - named)!r}", at)
    if not least <= given <= most:
        amount = "no value" if most == 0 else f"{least}" if least == most else f"{least} to {most}"
        values = "" if most == 0 else " value" if amount == "1" else " values"
        example = f": `| {used.name}: …`" if given < least else ""
        raise TemplateProblem(f"the filter {used.name!r} takes {amount}{values}, not {given}{example}", at)
    places = count()
    for each in used.args:
        place = each.name if isinstance(each, KeywordArgument) else next(places)
        if isinstance(each.value, Literal) and (wrong := mistake_in(used.name, place, each.value.value)):
            raise TemplateProblem(wrong.message, _position(each.value.token), hint=wrong.hint)


def _position(token: Token | None) -> int:
    return max(token.start_index, 0) if token else 0


_TOO_DEEP = "this is nested too deeply, or too long"
# The library's words for what it met, in words for people who do not write parsers.
_WORDS = (
    (re.compile(r"^unexpected tag 'end of expression'$"), "{% case %} is never closed: {% endcase %} is missing"),
    (
        re.compile(r"^expected tag end(\w+), found end of expression$"),
        r"{% \1 %} is never closed: {% end\1 %} is missing",
    ),
    (
        re.compile(r"^comment tag was never closed$"),
        "{% comment %} is never closed: {% endcomment %} is missing",
    ),
    (re.compile(r"^unexpected tag '(end\w+|else|elsif|when)'$"), r"{% \1 %} belongs to no tag before it"),
    (re.compile(r"^expected end of expression, found '\|'$"), "filters work in {{ }} and in {% assign %} only"),
    (re.compile(r"^expected end of expression, found .*$"), "FOUND is too much here: is an operator or a '|' missing?"),
    (re.compile(r"^expected a primitive expression, found .*$"), "a variable or a value is missing before FOUND"),
    (
        re.compile(r"^expected a comma separated list of arguments, found .*$"),
        "FOUND is too much here: is a ',' missing, or quotes as in '3 days'?",
    ),
    (re.compile(r"^expected word, found .*$"), "the name of a filter is missing before FOUND"),
    (re.compile(r"^expected in, found .*$"), "'in' is missing before FOUND: {% for item in list %}"),
    (
        re.compile(r"^expected an identifier, found .*$"),
        "FOUND cannot stand after a dot; ['limit'] or [0] in brackets can",
    ),
    (re.compile(r"^unexpected ('\"'|\"'\")$"), "a text's second quotation mark is missing"),
    (re.compile(r"^missing or unexpected path segment$"), "a name is missing in brackets"),
    (re.compile(r"^unexpected '([{}])'$"), r"'\1' is too much here, or a second one is missing"),
    (
        re.compile(r"^unexpected ('[-+*/]')$"),
        r"\1 cannot stand here; texts need quotes, and to reckon there are `| plus: 1`, minus, …",
    ),
    (re.compile(r"^unexpected '&'$"), "'&' cannot stand here; write `and`"),
    (re.compile(r"^unexpected ('.')$"), r"\1 cannot stand here"),
    (re.compile(r"end of expression"), "the end"),
    (re.compile(r"^unexpected liquid parsing error$"), _TOO_DEEP),
    (re.compile(r"^block nesting limit reached$"), "tags are nested more than 30 deep"),
)


_CLOSABLE = re.compile(r"\{%-?\s*(end)?(if|unless|case|for|comment)\b")


def _unclosed(source: str, tag: str) -> int:
    """Where the last tag of that name begins that is never closed."""
    opened = [0]
    for found in _CLOSABLE.finditer(source):
        if found[2] == tag and not found[1]:
            opened.append(found.start())
        elif found[2] == tag and len(opened) > 1:
            opened.pop()
    return opened[-1]


def _syntax_problem(problem: LiquidError, source: str) -> TemplateProblem:
    message = str(problem.message).strip()
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    if unknown := re.fullmatch(r"unexpected tag '(.*)'", message):
        message = _unknown_tag(unknown[1])
    found = problem.token.value if problem.token else ""
    message = message.replace("FOUND", "the end" if found in ("", "end of expression") else repr(found[:40]))
    if unclosed := re.match(r"\{% (\w+) %\} is never closed", message):
        return TemplateProblem(message, _unclosed(source, unclosed[1]))
    return TemplateProblem(message, _position(problem.token))


def _unknown_tag(name: str) -> str:
    return f"the tag {{% {name} %}} cannot be used; a template may use {', '.join(TAGS)} and raw"


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
    if is_undefined(value) or isinstance(value, Empty | Blank):
        return None
    return list(value) if isinstance(value, tuple) else value


class _Buffer(StringIO):
    _left = 16 * TEXT_LIMIT

    def write(self, text: str) -> int:
        self._left -= len(text)
        if self._left < 0:
            raise LimitReached(f"the text would have more than {16 * TEXT_LIMIT // 1024:,} KiB")
        return super().write(text)


class _Context(RenderContext):
    insert: Insert = staticmethod(as_text)
    _work = 0

    def __init__(self, template: BoundTemplate, **options: Any) -> None:
        super().__init__(template, **options)
        # Without the library's `now` and `today`, which read the clock: a template sees the recorded start of its step.
        self.scope = ReadOnlyChainMap(self.locals, self.globals)

    def get(self, path: list[object], **options: Any) -> object:
        try:
            value = self.scope[cast(str, path[0])]
            for name in path[1:]:
                if type(value) is not dict:
                    raise KeyError(name)
                value = value[str(name) if type(name) is int else name]  # custom_fields[360001]: names are texts
        except (KeyError, TypeError):
            # The library knows more ways, and what to say where there is none.
            value = super().get(path, **options)
        return value[:TEXT_LIMIT] if isinstance(value, str) and len(value) > TEXT_LIMIT else value

    def spend(self, name: str, amount: int) -> None:
        """Counts what filters and loops go through. Raises LimitReached."""
        self._work += amount
        if self._work > WORK_LIMIT:
            raise LimitReached(f"{name}: the loops and filters of this template go through too much text")


class _OutputNode(OutputNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        context = cast(_Context, context)
        value = _settled(self.expression.evaluate(context))
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
