"""Liquid templates: `{{ assignee.name }}` becomes a value, inserted as the input's type demands."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any, TextIO, cast

from liquid import Environment, RenderContext
from liquid.builtin.output import Output, OutputNode
from liquid.exceptions import LiquidError, ResourceLimitError
from liquid.filter import with_context
from liquid.template import BoundTemplate
from liquid.token import TOKEN_CONTENT, TOKEN_ILLEGAL
from liquid.undefined import is_undefined

from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.model import Values, parse_time

#: The longest text a template reads or a filter makes, and the longest list a filter takes.
TEXT_LIMIT = 64 * 1024
LIST_LIMIT = 1_000

TAGS = ("if", "unless", "case", "for", "assign", "comment")  # `raw` is the lexer's own
FILTERS = (
    *("abs", "append", "at_least", "at_most", "capitalize", "ceil", "compact", "date", "default", "divided_by"),
    *("downcase", "first", "floor", "join", "last", "lstrip", "map", "minus", "modulo", "plus", "prepend", "remove"),
    *("remove_first", "replace", "replace_first", "reverse", "round", "rstrip", "size", "slice", "sort", "split"),
    *("strip", "strip_html", "strip_newlines", "times", "truncate", "truncatewords", "uniq", "upcase", "where"),
)

Insert = Callable[[object], str]


def as_text(value: object) -> str:
    """A value as plain text: null is empty, true is `true`, a list is its items with commas, an object is JSON."""
    if isinstance(value, str):
        return value
    if value is None or is_undefined(value):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(as_text(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, range):
        return ", ".join(str(number) for number in value)
    return str(value)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A variable that a template uses, and the line of the template it stands in (0 is the first)."""

    path: tuple[str, ...]
    line: int


class Template:
    """A text with variables in it, compiled once. Raises TemplateProblem."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._literal = "{{" not in source and "{%" not in source
        self._parsed: BoundTemplate | None = None
        self._only: OutputNode | None = None
        if self._literal:
            return
        try:
            self._parsed = _environment().from_string(source)
        except LiquidError as problem:
            raise TemplateSyntax(problem, source) from problem
        for name, places in self._parsed.analyze().filters.items():
            if name not in FILTERS:
                raise UnknownFilter(name, source.count("\n", 0, places[0].index))
        nodes = self._parsed.nodes
        if len(nodes) == 1 and isinstance(nodes[0], OutputNode):
            self._only = nodes[0]

    def value(self, values: Values) -> object:
        """The value of a template that is one variable, with its type; the text of any other."""
        if self._only is not None:
            return self._evaluate(values)
        return self.text(values, as_text)

    def text(self, values: Values, insert: Insert) -> str:
        """The text, each inserted value turned into text by `insert`. Raises FlowError."""
        if self._parsed is None:
            return self.source
        context = _Context(self._parsed, globals=values)
        context.insert = insert
        buffer = self._parsed._get_buffer()
        try:
            self._parsed.render_with_context(context, buffer)
        except LiquidError as problem:
            raise _failure(problem) from problem
        return buffer.getvalue()

    def references(self) -> Iterator[Reference]:
        """The variables that come from outside the template."""
        if self._parsed is None:
            return
        for places in self._parsed.analyze().globals.values():
            for place in places:
                line = self.source.count("\n", 0, place.span.index)
                path: list[str] = []
                for segment in place.segments:
                    if not isinstance(segment, str):
                        break
                    path.append(segment)
                yield Reference(path=tuple(path), line=line)

    def _evaluate(self, values: Values) -> object:
        assert self._parsed is not None
        assert self._only is not None
        try:
            value = self._only.expression.evaluate(_Context(self._parsed, globals=values))
        except LiquidError as problem:
            raise _failure(problem) from problem
        return None if is_undefined(value) else value


class TemplateProblem(FlowError):
    """A template that cannot be compiled; `line` is the line of the template, counted from 0."""

    line: int = 0


class UnknownFilter(TemplateProblem):
    """A template that uses a filter there is not."""

    def __init__(self, name: str, line: int) -> None:
        super().__init__(
            "unknown_filter", f"there is no filter {name!r}", hint=f"Filters: {', '.join(sorted(FILTERS))}."
        )
        self.name = name
        self.line = line


class TemplateSyntax(TemplateProblem):
    """A template that cannot be read."""

    def __init__(self, problem: LiquidError, source: str) -> None:
        message = str(problem.message).strip()
        if message.startswith("unexpected tag"):
            message = f"{message}; a template may use {', '.join(TAGS)} and raw"
        super().__init__("template_syntax", message, hint="See “Templates” in the README.")
        start = problem.token.start_index if problem.token else 0
        self.line = source.count("\n", 0, max(start, 0))


class _LimitReached(LiquidError):
    pass


def _failure(problem: LiquidError) -> FlowError:
    if isinstance(problem, _LimitReached | ResourceLimitError):
        return FlowError(
            "template_limit",
            str(problem.message),
            hint=f"A filter makes at most {TEXT_LIMIT // 1024} KiB of text and takes at most {LIST_LIMIT:,} items.",
        )
    return FlowError("template_failed", str(problem.message), hint="Check the filter and the value it gets.")


class _Context(RenderContext):
    insert: Insert = staticmethod(as_text)

    def get(self, path: list[object], **options: Any) -> object:
        value = super().get(path, **options)
        return value[:TEXT_LIMIT] if isinstance(value, str) and len(value) > TEXT_LIMIT else value


class _OutputNode(OutputNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(cast(_Context, context).insert(self.expression.evaluate(context)))


class _Output(Output):
    node_class = _OutputNode


class _Bound(BoundTemplate):
    context_class = _Context


class _Environment(Environment):
    template_class = _Bound
    loop_iteration_limit = 10 * LIST_LIMIT
    output_stream_limit = 16 * TEXT_LIMIT
    local_namespace_limit = 16 * TEXT_LIMIT

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=False)
        allowed = {*TAGS, TOKEN_CONTENT, TOKEN_ILLEGAL}
        self.tags = {name: tag for name, tag in self.tags.items() if name in allowed}
        self.add_tag(_Output)
        self.filters = {name: _bounded(name, self.filters[name]) for name in FILTERS if name != "date"}
        self.filters["date"] = _date


@cache
def _environment() -> Environment:
    return _Environment()


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, stopped before it makes or takes more than the limits allow."""

    @wraps(function)
    def bounded(value: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) > LIST_LIMIT:
            raise _LimitReached(f"{name}: a list of {len(value):,} items", token=None)
        if (size := _size(name, value, arguments)) > TEXT_LIMIT:
            raise _LimitReached(f"{name}: a text of {size:,} characters", token=None)
        result = function(value, *arguments, **options)
        if isinstance(result, list) and len(result) > LIST_LIMIT:
            raise _LimitReached(f"{name}: a list of {len(result):,} items", token=None)
        if isinstance(result, str) and len(result) > TEXT_LIMIT:
            raise _LimitReached(f"{name}: a text of {len(result):,} characters", token=None)
        return result

    return bounded


def _size(name: str, value: Any, arguments: tuple[Any, ...]) -> int:
    """How long the result of a filter that can grow its text would be."""
    first = str(arguments[0]) if arguments else ""
    if name in ("append", "prepend"):
        return len(as_text(value)) + len(first)
    if name == "replace" and len(arguments) > 1:
        text = as_text(value)
        return len(text) + (text.count(first) if first else len(text) + 1) * len(str(arguments[1]))
    if name == "join" and isinstance(value, list | tuple):
        return sum(len(as_text(item)) + len(first) for item in value)
    return 0


@with_context
def _date(value: Any, form: object = "%Y-%m-%d", *, context: RenderContext) -> str:
    """`date: "%d.%m.%Y"`: a time as text. `now` and `today` are the recorded start of the step."""
    if value in ("now", "today"):
        value = context.resolve(str(value))
    if value is None or is_undefined(value) or value == "":
        return ""
    pattern = as_text(form)
    if len(pattern) > 100:
        raise _LimitReached("date: a format of more than 100 characters", token=None)
    try:
        moment = value if isinstance(value, dt.date) else parse_time(as_text(value))
        return moment.strftime(pattern)
    except ValueError:
        return as_text(value)
