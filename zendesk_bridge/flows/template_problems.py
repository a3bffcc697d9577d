"""What is wrong with a template: found when it is compiled, with the place in it, in words for whoever wrote it."""

from __future__ import annotations

import re
from itertools import count

from liquid.builtin.expressions import FilteredExpression, KeywordArgument, LoopExpression
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.primitive import Literal, RangeLiteral
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.token import Token

from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.filters import FILTERS, TEXT_LIMIT, mistake_in, takes

#: The tags that a template may use; `raw` is the lexer's own.
TAGS = ("if", "unless", "case", "for", "assign", "comment")


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


def check_delimiters(source: str) -> None:
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


def check_expression(expression: Expression, depth: int = 0) -> None:
    """What the library would find out only when the template is used, with some values."""
    if depth > _DEEPEST:
        raise TemplateProblem(TOO_DEEP, position(expression.token))
    for part in expression.children():
        if isinstance(part, RangeLiteral) and not isinstance(expression, LoopExpression):
            message = "a range such as (1..3) works in {% for … in … %} only"
            raise TemplateProblem(message, position(part.token))
        check_expression(part, depth + 1)
    if isinstance(expression, FilteredExpression):
        for each in expression.filters or ():
            _check_filter(each)


def _check_filter(used: Filter) -> None:
    at = position(used.token)
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
            raise TemplateProblem(wrong.message, position(each.value.token), hint=wrong.hint)


def position(token: Token | None) -> int:
    """Where in its template something stands."""
    return max(token.start_index, 0) if token else 0


#: Said of what cannot be read without more stack than there is.
TOO_DEEP = "this is nested too deeply, or too long"
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
    (re.compile(r"^unexpected liquid parsing error$"), TOO_DEEP),
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


def syntax_problem(problem: LiquidError, source: str) -> TemplateProblem:
    """What the library met, in our words."""
    message = str(problem.message).strip()
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    if unknown := re.fullmatch(r"unexpected tag '(.*)'", message):
        message = _unknown_tag(unknown[1])
    found = problem.token.value if problem.token else ""
    message = message.replace("FOUND", "the end" if found in ("", "end of expression") else repr(found[:40]))
    if unclosed := re.match(r"\{% (\w+) %\} is never closed", message):
        return TemplateProblem(message, _unclosed(source, unclosed[1]))
    return TemplateProblem(message, position(problem.token))


def _unknown_tag(name: str) -> str:
    return f"the tag {{% {name} %}} cannot be used; a template may use {', '.join(TAGS)} and raw"
