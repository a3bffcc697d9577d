"""Limits of templates: whatever a template or a value is like, it ends soon, and with a message."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from template_tries import attempted, shown, typed

from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.filters import FILTERS, LIST_LIMIT, TEXT_LIMIT, as_text
from zendesk_bridge.flows.template import TAGS, Template

#: Seconds of work, however busy the machine; without the limits these templates take minutes.
SOON = 4.0


@pytest.fixture
def soon() -> Iterator[None]:
    """The test fails where it takes longer than a template may."""
    start = time.thread_time()
    yield
    assert time.thread_time() - start < SOON


BIG = "x" * (2 * TEXT_LIMIT)
NESTED = "{{% for i in (1..100) %}}{{% for j in (1..100) %}}{}{{% endfor %}}{{% endfor %}}"
ROWS = [{"name": f"n{number}", "id": number} for number in range(LIST_LIMIT)]


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "source",
    [
        "{% for i in (1..1000) %}{% for j in (1..1000) %}x{% endfor %}{% endfor %}",
        "{% for i in (1..100000000) %}x{% endfor %}",
        "{% for i in (1..100000000) reversed %}x{% endfor %}",
        "{% for i in (1..100000000) offset: 99999999 %}x{% endfor %}",
        "{% for i in (1..99999999999999999999999) limit: 1 %}x{% endfor %}",
        "{% for row in rows %}{{ big }}{% endfor %}",
        "{% for row in rows %}{{ rows }}{% endfor %}",
        "{% assign t = 'ab' %}{% for i in (1..100) %}{% assign t = t | append: t %}{% endfor %}",
        "{% assign t = 'ab' %}{% for i in (1..100) %}{% assign t = t | prepend: t %}{% endfor %}",
        "{% assign t = 'ab' %}{% for i in (1..100) %}{% assign t = t | replace: 'b', t %}{% endfor %}",
        "{% assign t = 'ab' %}{% for i in (1..100) %}{% assign t = t | replace: '', t %}{% endfor %}",
        "{% assign n = 7 %}{% for i in (1..1000) %}{% assign n = n | times: n %}{% endfor %}",
        "{{ big | replace: 'x', big }}",
        "{{ big | append: 'x' }}",
        "{{ big | split: '' }}",
        "{{ big | split: 'x' }}",
        "{{ texts | join }}",
        "{{ rows | join: big }}",
        "{{ many | sort }}",
        "{{ many | uniq }}",
        "{{ many | map: 'name' }}",
        "{{ many | where: 'id' }}",
        "{{ many | compact }}",
        "{{ many | join }}",
        "{{ many | reverse }}",
        "{{ 'now' | date: big }}",
        NESTED.format("{% assign q = rows | uniq %}"),
        NESTED.format("{% assign q = rows | sort: 'name' %}"),
        NESTED.format("{% assign q = rows | where: 'name', 'n9' %}"),
        NESTED.format("{% assign q = rows | map: 'name' | join | upcase %}"),
        NESTED.format("{% assign q = big | strip_html | truncatewords: 3 %}"),
        NESTED.format("{% assign q = rows | upcase %}"),
        NESTED.format("{% assign q = big | plain_text %}"),
        NESTED.format("{% assign q = now | localize: 'de', style: 'full' %}"),
        "{% for i in (1..100) %}" + "{% for r in many %}{% endfor %}" * 500 + "{% endfor %}",
    ],
)
def test_a_template_that_would_do_too_much_stops_with_template_limit(source: str) -> None:
    values = {"big": BIG, "rows": ROWS, "many": ["a"] * (LIST_LIMIT + 1), "texts": [BIG, BIG], "now": "2026-01-31"}
    with pytest.raises(FlowError) as stopped:
        Template(source).text(values, as_text)
    assert stopped.value.code == "template_limit"
    assert stopped.value.message
    assert len(stopped.value.message) < 200


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "value",
    [
        piece * (TEXT_LIMIT // len(piece))
        for piece in ("<!--", "<a ", "<a b='", "<", "</", "<script>", "<?", "&#", "<![")
    ],
)
def test_nobodys_html_stalls_a_filter(value: str) -> None:
    for text in (value, f"{value}>", f">{value}", f"<!-- -->{value}</script>"):
        shown("{{ x | strip_html }}{{ x | plain_text }}", x=text)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "source",
    [
        *("{{ " + " " * 60_000 + "}}", "{{" * 30_000, "{{ " * 20_000 + "}}", "{%" * 30_000, "{% raw %}" * 7_000),
        *("{{ " + "(" * 60_000 + " }}", "{{ a" + ".b" * 30_000 + " }}", "{{ a" + " | upcase" * 6_000 + " }}"),
        *(("{{ " + "(" * 1_900 + " }}") * 30, ("{{" + " " * 1_900 + "a}}") * 30, "{% comment %}{{ " * 5_000),
        *("{% if a" + " and a" * 300 + " %}{% endif %}", "x" * (TEXT_LIMIT + 1) + "{{ a }}"),
    ],
)
def test_no_template_stalls_the_check_of_a_file(source: str) -> None:
    assert attempted(source) in ("template_syntax", "template_limit", "")


def test_a_long_value_is_cut_before_it_is_used_and_never_fails_a_run() -> None:
    assert len(shown("{{ x }}", x=BIG)) == TEXT_LIMIT
    assert shown("{{ x | size }}", x=BIG) == str(TEXT_LIMIT)
    assert shown("{{ l | first | truncate: 4 }}", l=[BIG]) == "x..."
    assert len(shown("{{ l }}", l=[BIG, BIG])) == TEXT_LIMIT
    assert len(str(typed("{{ x }}", x=BIG))) == TEXT_LIMIT


def test_what_is_within_the_limits_works() -> None:
    values = {"rows": ROWS, "text": "word " * 10_000}
    assert shown("{{ rows | map: 'name' | uniq | sort | join: ', ' | size }}", **values) == "5888"
    assert (
        shown("{% for row in rows %}{% if row.id == 999 %}{{ row.name | upcase }}{% endif %}{% endfor %}", **values)
        == "N999"
    )
    assert len(shown("{{ text | replace: ' ', '_' | strip | upcase }}", **values)) == 50_000


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ 1 | divided_by: 0 }}", "divided_by: can't divide by 0"),
        ("{{ 'inf' | ceil }}", "ceil does not work with 'inf'"),
        ("{{ 'x' | truncate: 'many' }}", "truncate does not work with 'x', 'many'"),
        ("{{ 'nan' | plus: 1 }}", "plus does not work with 'nan', '1'"),
    ],
)
def test_a_filter_that_cannot_work_says_with_what(source: str, message: str) -> None:
    with pytest.raises(FlowError) as failed:
        shown(source)
    assert (failed.value.code, failed.value.message) == ("template_failed", message)


def test_the_allowed_tags_and_filters_are_the_ones_the_design_names() -> None:
    assert set(TAGS) == {"if", "unless", "case", "for", "assign", "comment"}
    assert not {"safe", "escape", "url_encode", "base64_decode", "newline_to_br", "concat"} & set(FILTERS)


@pytest.mark.parametrize("name", ["plus", "minus", "times", "divided_by", "modulo", "at_least", "at_most", "round"])
@pytest.mark.parametrize(
    "value", [10**400, 1e308, -1e308, "1e999", float("inf"), float("nan"), [], {}, None, "9" * 5_000]
)
def test_no_number_breaks_a_number_filter(name: str, value: Any) -> None:
    assert not attempted(f"{{{{ x | {name}: y }}}}", x=value, y=value).startswith("<")
