"""Templates filled in without the library: quicker, and in nothing else to be told from what the library makes."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from bolt_app.text import SlackMarkup, inserted, settle
from zendesk_bridge import recipes
from zendesk_bridge.flows import template
from zendesk_bridge.flows.catalog import as_text
from zendesk_bridge.flows.document import Document
from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.filters import TEXT_LIMIT
from zendesk_bridge.flows.plain_template import NotPlain
from zendesk_bridge.flows.template import Template

BIG = "x" * (TEXT_LIMIT + 9)
# Each often, and besides what a template has now and then.
VARIABLES = ["x", "y", "x.a", "x.a", "y.a", "y.a", "x.a.b", "gone.a"] * 9 + [
    *("x.size", "x.first", "x.a.last", "x.a.size", "x['a']", "x[0]", "x.a[0]", "x[y]", "forloop.index", "each", "now"),
]
FILTERS = ["", "", " | default: '-'", " | default: '<b>'", " | default: 0", " | default: y.a"] * 9 + [
    *(" | default: ''", " | default: 2.5", " | default: true", " | default: false", " | default: nil", " | default"),
    *(" | default: 'x', allow_false: true", " | default: x | default: 'y'", " | upcase", " | size", " | first"),
]
COMPARISONS = ["", "", " == 'a'", " != 'a'"] * 9 + [
    *(" == ''", " != '<'", " == 'true'", " == 1", " == true", " != nil", " == empty", " == blank", " == y.a"),
    *(" contains 'a'", " > 1", " <= 'a'"),
]
WORDS = ("", " ", "\n", " \n ", "word", "Hi ", "<", ">", "<@", "|", "<https://a.example|", "&", "é", "—")
TAGS = ["{% if C %}B{% endif %}", "{%- if C -%}B{%- endif -%}", "{% unless C %}B{% endunless %}"] * 9 + [
    *("{% if C %}B{% else %}B{% endif %}", "{% unless C %}B{% else %}B{% endunless %}"),
    *("{% if C %}B{% elsif C %}B{% elsif C %}B{% else %}B{% endif %}", "{% unless C %}B{% elsif C %}B{% endunless %}"),
    *("{% comment %}B{% endcomment %}", "{% raw %}{{ x }}{% endraw %}", "{% assign y = x %}B", "{{ 'x' }}"),
    *("{% for each in x.a %}B{% endfor %}", "{% case x %}{% when y %}B{% else %}B{% endcase %}"),
]
SCALARS = (
    *("", " ", "a", "a", "b", "<!here>", "a & b\n", "\ud83d", "\x02<\x03", "l\r\nine", "—", BIG),
    *(None, True, False, 0, 1, -7, 2.5, 10**30, float("inf"), SlackMarkup("<@U1>"), SlackMarkup("")),
    *(("a", 1), OrderedDict(a="b"), b"bytes", range(3)),
)


def any_condition(random: Random) -> str:
    terms = [random.choice(VARIABLES) + random.choice(COMPARISONS) for _ in range(random.choice((1, 1, 1, 2, 3)))]
    return random.choice((" and ", " or ")).join(terms)


def any_template(random: Random, depth: int = 3) -> str:
    """A few words, variables and tags, with more of them inside."""
    inside = {"B": lambda: any_template(random, depth - 1), "C": lambda: any_condition(random)}
    source = ""
    for _ in range(random.randint(0 if depth < 3 else 1, 3)):
        kind = random.choice(("word", "word", "variable", "tag") if depth else ("word", "variable"))
        if kind == "word":
            source += random.choice(WORDS)
        elif kind == "variable":
            source += f"{{{{ {random.choice(VARIABLES)}{random.choice(FILTERS)} }}}}"
        else:
            source += re.sub("[BC]", lambda found: inside[found[0]](), random.choice(TAGS))
    return source


def any_value(random: Random, depth: int = 3) -> object:
    kind = random.choice(("scalar", "scalar", "object", "object", "list") if depth else ("scalar",))
    if kind == "list":
        return [any_value(random, depth - 1) for _ in range(random.randint(0, 3))]
    if kind == "object":
        names = random.sample(("a", "a", "a", "b", "size", "first"), random.randint(0, 4))
        return {name: any_value(random, depth - 1) for name in names}
    return random.choice(SCALARS)


def any_values(random: Random) -> dict[str, Any]:
    """Two variables, most often objects."""
    return {name: {"a": any_value(random)} if random.random() < 0.7 else any_value(random) for name in ("x", "y")}


def outcome(make: Callable[[], object]) -> object:
    """What is made, with its type; what it stops with where it does."""
    try:
        made = make()
    except FlowError as problem:
        return problem.code, problem.message, problem.hint
    return type(made), made


def comes_to(source: str, values: dict[str, Any]) -> list[object]:
    """What a template comes to for each kind of input."""
    compiled = Template(source)
    return [
        outcome(lambda: compiled.text(values, as_text)),
        outcome(lambda: settle(compiled.text(values, inserted))),
        outcome(lambda: compiled.value(values)),
    ]


def comes_to_by_the_library(source: str, values: dict[str, Any]) -> list[object]:
    """The same, where nothing is filled in without it."""

    def look_up(*_: object) -> None:
        raise NotPlain

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(template, "plain_template", lambda *_: None)
        patch.setattr(template, "look_up", look_up)
        return comes_to(source, values)


@pytest.mark.parametrize("seed", range(8))
def test_a_template_comes_to_the_same_as_by_the_library(seed: int) -> None:
    random = Random(seed)
    for _ in range(500):
        source, values = any_template(random), any_values(random)
        assert comes_to(source, values) == comes_to_by_the_library(source, values), (source, values)


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("{{ x }}", {"x": 10**5_000}),
        ("a{{ x }}", {"x": 10**5_000}),
        ("{{ x }}" * 17, {"x": BIG}),
        ("{{ x }}" * 101, {"x": "a"}),
        ("{{ x }}" * 101, {"x": BIG}),
        ("{% if x %}  {% else %}  a{% endif %}", {"x": 0}),
        ("{% if x %}  {% elsif y %} {% else %}  a{% endif %}", {"y": ""}),
        ("{% if x %}a{% elsif y %} {% endif %}", {"y": ""}),
        ("{% if x %} {% if y %} {% endif %}{% endif %}b", {"x": 1, "y": 1}),
        ("{% if x %} {% assign z = 'a' %} {% endif %}{{ z }}", {"x": 1}),
    ],
)
def test_the_limits_and_white_space_are_the_librarys(source: str, values: dict[str, Any]) -> None:
    assert comes_to(source, values) == comes_to_by_the_library(source, values)


def test_the_recipe_asks_nothing_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does any flow like it: the way without the library is there for them."""
    (recipe,) = (Document(text).plain for text in recipes.texts().values())
    message = Template(recipe["steps"][-1]["inputs"]["message"])
    monkeypatch.setattr(template, "_Context", lambda *_, **__: pytest.fail("the library was asked"))
    values = {"assignee": {"name": "Ada"}, "requester": {"notes": None, "email": ""}, "organization": {"name": "Acme"}}
    text = message.text({**values, "ticket": {"subject": "R&D", "updated_at": "today"}}, inserted)
    assert "- Email: not known\n" in settle(text)
    assert "- Organization: Acme\n\nHere's more" in settle(text)
    assert settle(text).endswith("- Ticket subject: R&amp;D\n- Ticket description: \n- Last ticket update: today\n")
