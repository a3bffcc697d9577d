"""Templates: what people read is what was typed, nobody's text becomes markup, and no template stalls the connector."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from template_tries import attempted, shown, typed, written_out

from bolt_app.text import SlackMarkup, escape
from zendesk_bridge.flows import model
from zendesk_bridge.flows.filters import FILTERS, as_text, takes
from zendesk_bridge.flows.template import Template, TemplateProblem, UnknownFilter

# ---- values and their types


@pytest.mark.parametrize(
    "value", [5, 0, 1.5, True, False, "a", "", ["a", None], {"a": [1]}, None, SlackMarkup("<@U1>")]
)
def test_a_template_that_is_one_variable_keeps_its_type(value: Any) -> None:
    for source in ("{{ x }}", "{{x}}", "{{- x -}}", "\n  {{ x }}\n", "{{ y | default: x }}"):
        result = typed(source, x=value)
        assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ tags | size }}", 2),
        ("{{ tags | first }}", "vip"),
        ("{{ count | plus: 1 }}", 5),
        ("{{ people | map: 'name' }}", ["Noor", None]),
        ("{{ nothing }}", None),
        ("{{ nothing.at.all }}", None),
        ("{{ empty }}", None),
        ("{{ count }}x", "4x"),
        ("{{ count }}{{ count }}", "44"),
        ("{% if count %}{{ count }}{% endif %}", "4"),
        ("plain", "plain"),
        ("  ", "  "),
    ],
)
def test_filters_keep_types_and_more_than_one_variable_is_text(source: str, value: Any) -> None:
    assert typed(source, tags=["vip", "eu"], count=4, people=[{"name": "Noor"}, {}]) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (["a", None, 3, True], "a, , 3, true"),
        ([["a", "b"], "c"], "a, b, c"),
        ({"a": "é"}, '{"a": "é"}'),
        ([], ""),
        (4.0, "4.0"),
        ("Größe 😀", "Größe 😀"),
    ],
)
def test_an_inserted_value_reads_naturally(value: Any, text: str) -> None:
    assert shown("<{{ x }}>", x=value) == f"<{text}>"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ nothing | append: '!' }}", "!"),
        ("{{ 'a' | append: nothing }}", "a"),
        ("{{ 'a' | append: null }}", "a"),
        ("{{ 'a' | prepend: null }}", "a"),
        ("{{ null | slice: 0, 3 }}", ""),
        ("{{ null | upcase }}", ""),
        ("{{ true | append: '!' }}", "true!"),
        ("{{ tags | upcase }}", "VIP, EU"),
        ("{{ tags | append: '!' }}", "vip, eu!"),
        ("{{ mixed | join: '-' }}", "a--true-3"),
        ("{{ mixed | sort | join: '-' }}", "3-a-true-"),
        ("{{ people | sort: 'name' | map: 'name' | join }}", "Ann Noor "),
        ("{{ people | where: 'name', 'Ann' | size }}", "1"),
        ("{{ people | where: 'name' | size }}", "2"),
        ("{{ people | compact: 'name' | size }}", "2"),
        ("{{ mixed | compact | size }}", "3"),
        ("{{ 'a,b,a' | split: ',' | uniq | join: ',' }}", "a,b"),
        ("{{ 'abcde' | truncate: 5 }}", "abcde"),
        ("{{ 'abcdef' | truncate: 5 }}", "ab..."),
        ("{{ 'abcdef' | truncate: 2 }}", "..."),
        ("{{ 'a b c' | truncatewords: 3 }}", "a b c"),
        ("{{ 'a b c d' | truncatewords: 3, '' }}", "a b c"),
        ("{{ '<p>Hi <b>you</b></p><script>x()</script><!-- n --> 1 < 2' | strip_html }}", "Hi you 1 < 2"),
        ("{{ 'x' | size }}{{ tags | size }}{{ nothing | size }}", "120"),
        ("{{ 7 | divided_by: 2 }} {{ 7.0 | divided_by: 2 }}", "3 3.5"),
        ("{{ 0 | default: 'none' }} {{ false | default: 'none' }} {{ '' | default: 'none' }}", "0 none none"),
        ("{{ false | default: 'none', allow_false: true }}", "false"),
        ("a{{- ' b ' -}} c", "a b c"),
        ("{% if true -%}\n  a\n{%- endif %}", "a"),
        ("{% raw %}{{ x }}{% if %}{% endraw %}", "{{ x }}{% if %}"),
        ("a{% comment %}{{ x | upcase }}{% endcomment %}b", "ab"),
        ("{% case tags.size %}{% when 1 %}one{% when 2, 3 %}some{% else %}none{% endcase %}", "some"),
        ("{% unless nothing %}no{% endunless %}", "no"),
        ("{% for tag in tags %}{{ forloop.index }}{{ tag }} {% else %}none{% endfor %}", "1vip 2eu "),
        ("{% for tag in nothing %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in (1..tags.size) reversed %}{{ i }}{% endfor %}", "21"),
        ("x }} y", "x }} y"),
    ],
)
def test_filters_and_tags_do_what_a_reader_of_the_reference_expects(source: str, text: str) -> None:
    people = [{"name": "Noor"}, {"name": None}, {"name": "Ann"}]
    assert shown(source, tags=["vip", "eu"], mixed=["a", None, True, 3], people=people) == text


def test_half_a_character_does_not_stop_a_message() -> None:
    assert shown("{{ x }}!", x="a\ud83d") == "a?!"


# ---- insertion


def counted(value: object) -> str:
    return f"[{as_text(value)}]"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ x }}", "[v]"),
        ("a{{ x }}{{ x }}", "a[v][v]"),
        ("{{ x | upcase | append: '!' }}", "[V!]"),
        ("{% assign y = x %}{% assign z = y | append: y %}{{ z }}", "[vv]"),
        ("{% for i in l %}{{ i }}{% endfor %}", "[v][w]"),
        ("{% for i in l %}{% for j in l %}{{ j }}{% endfor %}{% endfor %}", "[v][w][v][w]"),
        ("{{ l }}", "[v, w]"),
        ("{% if x %}{{ x }}{% endif %}", "[v]"),
        ("{{ 'text of the author' }}", "[text of the author]"),
        ("{{ nothing }}", "[]"),
        ("no variable", "no variable"),
    ],
)
def test_every_inserted_value_goes_through_the_insertion_once(source: str, text: str) -> None:
    assert Template(source).text({"x": "v", "l": ["v", "w"]}, counted) == text


def test_what_the_author_writes_stays_markup_and_what_is_inserted_does_not() -> None:
    template = Template("<!here> *{{ subject }}* <https://a.example|{{ subject }}>")
    assert template.text({"subject": "<!channel> & co"}, escape) == (
        "<!here> *&lt;!channel&gt; &amp; co* <https://a.example|&lt;!channel&gt; &amp; co>"
    )


def test_our_own_markup_passes_and_is_ordinary_text_after_any_filter_that_takes_it_apart() -> None:
    values = {"m": SlackMarkup("<@U024BE7LH>"), "l": [SlackMarkup("<@U024BE7LH>")]}
    for source in (
        "{{ m }}",
        "{{ none | default: m }}",
        "{{ m | default: 'nobody' }}",
        "{{ l | first }}",
        "{% assign a = m %}{{ a }}",
        "{% for each in l %}{{ each }}{% endfor %}",
    ):
        assert Template(source).text(values, escape) == "<@U024BE7LH>"
    for name in FILTERS:
        if name in ("default", "first", "last", "size", "date") or takes(name)[0] > 1:
            continue
        arguments = f": {written_out(name, (repr(''),))[0]}" if takes(name)[0] else ""
        arguments = ": 0, 3" if name == "slice" else arguments
        arguments = ": 1" if name in ("divided_by", "modulo", "plus", "minus") else arguments
        assert "<" not in Template(f"{{{{ m | {name}{arguments} }}}}").text(values, escape), name


hostile = st.sampled_from(
    [
        "<!channel>",
        "<@U1>",
        "&lt;!here&gt;",
        "<script>",
        "a<b>c",
        "{{ x }}",
        "{% raw %}",
        "<",
        ">",
        "&",
        "\u202e<",
        "<!--",
    ]
)
values_of_anybody = st.recursive(
    hostile | st.text(max_size=20) | st.integers() | st.floats() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(hostile | st.just("name"), inner, max_size=3),
    max_leaves=8,
)
arguments_of_filters = ("x", "y", "y.name", "'<'", "'%H<%M'", "3", "-1", "0", "null", "'name'", "true")


@st.composite
def chains(draw: st.DrawFn) -> str:
    """A variable and some filters."""
    chain = draw(st.sampled_from(["x", "y", "x.name", "'<!here>'"]))
    for name in draw(st.lists(st.sampled_from(FILTERS), max_size=4)):
        least, most, _ = takes(name)
        arguments = ("x", "y", "null", *written_out(name, arguments_of_filters))
        given_ = draw(st.lists(st.sampled_from(arguments), min_size=least, max_size=most))
        chain += f" | {name}" + (f": {', '.join(given_)}" if given_ else "")
    return chain


@given(chain=chains(), other=chains(), x=values_of_anybody, y=values_of_anybody)
@settings(deadline=None, max_examples=120)
def test_no_bracket_comes_out_that_the_author_did_not_write(chain: str, other: str, x: Any, y: Any) -> None:
    for source in (
        f"{{{{ {chain} }}}}",
        f"{{% assign z = {chain} %}}{{{{ z }}}}{{{{ {other} }}}}",
        f"{{% for each in x %}}{{{{ each }}}}{{{{ {chain} }}}}{{% else %}}{{{{ y }}}}{{% endfor %}}",
        f"{{% case x %}}{{% when y %}}{{{{ {chain} }}}}{{% else %}}{{{{ {other} }}}}{{% endcase %}}",
        f"{{% unless x == y %}}{{{{ {chain} }}}}{{% endunless %}}{{% if x contains y %}}{{{{ y }}}}{{% endif %}}",
    ):
        assert not {"<", ">"} & set(attempted(source, escape, x=x, y=y)), source


# ---- what is refused, and where


@pytest.mark.parametrize(
    "tag",
    [
        *("capture x", "cycle 'a', 'b'", "echo x", "include 'x'", "render 'x'", "increment x", "decrement x", "doc"),
        *("tablerow i in x", "liquid echo x", "# note", "break", "continue", "extends 'x'", "block x", "ifchanged"),
    ],
)
def test_a_tag_that_leaks_or_is_unknown_is_refused_with_its_place(tag: str) -> None:
    source = f"first\nsecond {{% {tag} %}} third"
    with pytest.raises(TemplateProblem) as refused:
        Template(source)
    assert refused.value.code == "template_syntax"
    assert f"the tag {{% {tag.split()[0]} %}} cannot be used; a template may use if, unless" in refused.value.message
    assert source.count("\n", 0, refused.value.at) == 1


@pytest.mark.parametrize("source", ["{{ x | shout }}", "{% if x %}{% assign y = x | shout %}{% endif %}"])
def test_an_unknown_filter_is_named_before_the_template_is_ever_used(source: str) -> None:
    with pytest.raises(UnknownFilter, match="there is no filter 'shout'") as refused:
        Template(f"line\n{source}")
    assert refused.value.name == "shout"
    assert refused.value.at > 4


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ x", "'{{' is never closed: '}}' is missing"),
        ("a {% if x", "'{%' is never closed: '%}' is missing"),
        ("{{ }}", "there is nothing between '{{' and '}}'"),
        ("{% %}", "there is nothing between '{%' and '%}'"),
        ("{% if x %}", "{% if %} is never closed: {% endif %} is missing"),
        ("{% for i in x %}", "{% for %} is never closed: {% endfor %} is missing"),
        ("{% case x %}{% when 1 %}", "{% case %} is never closed: {% endcase %} is missing"),
        ("{% raw %}x", "{% raw %} is never closed: {% endraw %} is missing"),
        ("{% comment %}x", "{% comment %} is never closed: {% endcomment %} is missing"),
        ("{{ x - 1 }}", "'-' cannot stand here; texts need quotes, and to reckon there are `| plus: 1`, minus, …"),
        ("{% if x && y %}{% endif %}", "'&' cannot stand here; write `and`"),
        ("{{ x | plus: 2 days }}", "'days' is too much here: is a ',' missing, or quotes as in '3 days'?"),
        ("{% endif %}", "{% endif %} belongs to no tag before it"),
        ("{% else %}", "{% else %} belongs to no tag before it"),
        ("{{ x y }}", "'y' is too much here: is an operator or a '|' missing?"),
        ("{% if x = 1 %}{% endif %}", "'=' is too much here: is an operator or a '|' missing?"),
        ("{% if x | size > 1 %}{% endif %}", "filters work in {{ }} and in {% assign %} only"),
        ("{{ x | }}", "the name of a filter is missing before the end"),
        ("{% assign x = %}", "a variable or a value is missing before the end"),
        ("{% for i of x %}{% endfor %}", "'in' is missing before 'of': {% for item in list %}"),
        ("{{ 'x }}", "a text's second quotation mark is missing"),
        ("{{ x.limit }}", "'limit' cannot stand after a dot; ['limit'] or [0] in brackets can"),
        ("{{ x[ }}", "a name is missing in brackets"),
        ("{{ x | append }}", "the filter 'append' takes 1 value, not 0: `| append: …`"),
        ("{{ x | upcase: 1 }}", "the filter 'upcase' takes no value, not 1"),
        ("{{ x | truncate: 1, 2, 3 }}", "the filter 'truncate' takes 0 to 2 values, not 3"),
        ("{{ x | default: 1, keep: 2 }}", "the filter 'default' takes nothing named 'keep'"),
        ("{{ (1..3) | join }}", "a range such as (1..3) works in {% for … in … %} only"),
        ("{% if (1..3) contains x %}{% endif %}", "a range such as (1..3) works in {% for … in … %} only"),
        ("{% if x %}" * 40 + "{% endif %}" * 40, "tags are nested more than 30 deep"),
        ("{% if " + " or ".join("x" * 300) + " %}{% endif %}", "this is nested too deeply, or too long"),
        ("{{ x" + "[x" * 150 + "]" * 150 + " }}", "this is nested too deeply, or too long"),
    ],
)
def test_a_mistake_is_told_in_words(source: str, message: str) -> None:
    with pytest.raises(TemplateProblem) as refused:
        Template(source)
    assert refused.value.message == message


@pytest.mark.parametrize(
    "source",
    [
        "x {% if x %}{% if y %}{% endif %} y",
        "x {% for i in y %}{% if i %}{% endif %}",
        "x {% case x %}{% when 1 %}",
        "{% if a %}{% endif %}{% if x %}y",
    ],
)
def test_a_tag_that_is_never_closed_is_told_where_it_begins(source: str) -> None:
    with pytest.raises(TemplateProblem) as refused:
        Template(source)
    opened = ["{% if x", "{% for", "{% case"]
    assert refused.value.at == max(source.find(each) for each in opened)


def test_a_number_in_brackets_finds_a_name_of_digits() -> None:
    values = {"ticket": {"custom_fields": {"360001": "red"}, "tags": ["a", "b"]}}
    assert Template("{{ ticket.custom_fields[360001] }}").value(values) == "red"
    assert Template("{{ ticket.tags[1] }}").value(values) == "b"


PIECES = [
    *"{}%|-.:[]()'\"x1 \n",
    "{{ ",
    " }}",
    "{% ",
    " %}",
    "if ",
    "for ",
    "in ",
    "raw",
    "endif",
    "endraw",
    "comment ",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
@settings(deadline=None, max_examples=150)
def test_any_text_is_a_template_or_is_refused(source: str) -> None:
    assert attempted(source) != "<misplaced>"


# ---- what a template sees


@pytest.mark.parametrize(
    "path",
    [
        *("x.__class__", "x.keys", "x.items", "x['__class__']", "s.upper", "l.append", "l.__len__", "n.real"),
        *("x.__liquid__", "forloop.it", "partial", "environment", "context"),
    ],
)
def test_a_path_reaches_data_only(path: str) -> None:
    values = {"x": {"a": 1}, "s": "text", "l": [1], "n": 3}
    assert typed(f"{{{{ {path} }}}}", **values) is None
    assert shown(f"{{% for i in l %}}{{{{ {path} }}}}{{% endfor %}}", **values) == ""


def test_a_step_may_be_called_as_the_library_calls_its_own_variables() -> None:
    assert (
        shown("{{ partial.name }} {{ counters }} {{ locals }}", partial={"name": "P"}, counters=1, locals=2) == "P 1 2"
    )


def test_time_in_templates_is_the_recorded_start_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "utc_now", lambda: pytest.fail("the clock was read"))
    values = {"now": "2026-01-31T09:30:00.000000Z", "today": "2026-01-31"}
    for source in ("{{ 'now' | date: '%Y-%m-%d %H:%M' }}", "{{ now | date: '%Y-%m-%d %H:%M' }}"):
        assert shown(source, **values) == "2026-01-31 09:30"
    assert shown("{{ 'today' | date: '%d.%m.' }}{{ today | date: '%d.%m.' }}", **values) == "31.01.31.01."
    assert shown("{{ now }} {{ today }}", **values) == "2026-01-31T09:30:00.000000Z 2026-01-31"


@pytest.mark.parametrize("source", ["{{ now }}", "{{ today }}", "{{ 'now' | date: '%Y' }}", "{{ 'today' | date }}"])
def test_where_no_start_is_recorded_there_is_no_time_rather_than_the_clocks(source: str) -> None:
    assert shown(source) == ""


def test_the_machines_time_zone_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "{{ t | date: '%s %H:%M %%s' }}"
    for zone in ("UTC", "Pacific/Auckland"):
        monkeypatch.setitem(os.environ, "TZ", zone)
        time.tzset()
        assert shown(source, t="2026-01-31T12:00:00+10:00") == "1769824800 12:00 %s"
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-01-31", "31.01.2026"),
        ("2026-01-31T23:30:00.123456789Z", "31.01.2026"),
        ("yesterday", "yesterday"),
        ("20260131", "20260131"),
        ("2026-13-31", "2026-13-31"),
        (5158, "5158"),
        (None, ""),
        ("", ""),
        (["2026"], "2026"),
    ],
)
def test_a_date_is_formatted_and_anything_else_stays_as_it_is(value: Any, text: str) -> None:
    assert shown("{{ t | date: '%d.%m.%Y' }}", t=value) == text


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("{{ a.b.c }}", [("a", "b", "c")]),
        ("{{ a['b c'].d }}", [("a", "b c", "d")]),
        ("{{ a[0].b }}", [("a",)]),
        ("{{ a[b.c] }}", [("a",), ("b", "c")]),
        ("{{ a | default: b.c | append: d }}", [("a",), ("b", "c"), ("d",)]),
        ("{% assign x = a %}{{ x }}", [("a",)]),
        ("{% for x in a %}{{ x.y }}{{ forloop.index }}{% endfor %}{{ x }}", [("a",), ("x",)]),
        ("{% if a contains b and c %}{% elsif d %}{% endif %}", [("a",), ("b",), ("c",), ("d",)]),
        ("{% case a %}{% when b %}{% endcase %}", [("a",), ("b",)]),
        ("{% raw %}{{ a }}{% endraw %}{% comment %}{{ b }}{% endcomment %}{{ 'c' }}", []),
        ("no variable", []),
    ],
)
def test_the_variables_of_a_template_are_known_without_using_it(source: str, paths: list[tuple[str, ...]]) -> None:
    found = list(Template(source).references())
    assert sorted(each.path for each in found) == paths
    assert all(source[each.at :].startswith(each.path[0]) for each in found)
