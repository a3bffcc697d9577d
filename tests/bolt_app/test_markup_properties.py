"""Whatever a ticket says, in whatever template: it stays words. No markup, no template, no way out of its place."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from template_tries import attempted, written_out

from bolt_app.text import inserted, settle
from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.filters import FILTERS, TEXT_LIMIT, takes
from zendesk_bridge.flows.template import TAGS, Template

SEEDED = settings(derandomize=True, deadline=None, max_examples=40)

HOSTILE = (
    *(
        "<!channel>",
        "<!here|x>",
        "<@U0ADA00001>",
        "<#C0SUPPORT1>",
        "<!subteam^S0TEAM0001>",
        "<https://evil.example|Zendesk>",
    ),
    *("<javascript:alert(1)|x>", "&lt;!here&gt;", "&amp;lt;!here&amp;gt;", "{{ other }}", "{% if other %}x{% endif %}"),
    *(
        "{% raw %}",
        "{{ 'x' | upcase }}",
        "%}{{",
        "|",
        ">",
        "<",
        "&",
        ">|<",
        "\x1b[31m",
        "\r\n<",
        "\u202e<",
        "\ufdd0<\ufdd1",
        "\x02<\x03",
    ),
    *(
        "\ufdd1<!here>\ufdd0",
        "\x03<!here>\x02",
        "<\u0000!here>",
        "<!he\u0000re>",
        "2026-01-31T09:30:00Z",
        "<script>x</script><b",
        "-1",
        "0",
    ),
)
ODD: tuple[Any, ...] = (None, True, 0, -7, 3.5, 10**30, float("inf"), [], {})

texts = st.sampled_from(HOSTILE) | st.text(max_size=30) | st.text(st.sampled_from("<>&|!@#{}%^ \n"), max_size=12)
scalars = texts | st.sampled_from(ODD)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "<k>"]), inner, max_size=3),
    max_leaves=6,
)
WRITTEN = ("'x'", "''", "2", "-1", "0", "'a'", "'<'", "'>'", "'%s %Y'")


def arguments(name: str) -> st.SearchStrategy[str]:
    """What a template may give to a filter."""
    return st.sampled_from(["other", "other", "nothing", *written_out(name, WRITTEN)])


@st.composite
def filters(draw: Any, most: int = 3) -> str:
    """A chain of filters, each with as many values as it takes."""
    chain = ""
    for name in draw(st.lists(st.sampled_from(FILTERS), max_size=most)):
        least, highest, _ = takes(name)
        given_values = [draw(arguments(name)) for _ in range(draw(st.integers(least, highest)))]
        chain += f" | {name}" + (f": {', '.join(given_values)}" if given_values else "")
    return chain


#: What an author writes around a variable: every tag there is, and no bracket.
PLACES = (
    "Hi {{ value%s }}!",
    "{% if value %}{{ value%s }}{% elsif other %}{{ other }}{% else %}none{% endif %}",
    "{% unless other %}no{% endunless %}{{ value%s }}",
    "{% case value %}{% when other %}same{% else %}{{ value%s }}{% endcase %}",
    "{% for item in value %}{{ item%s }}, {{ forloop.index }}{% else %}{{ value }}{% endfor %}",
    "{% assign kept = value%s %}{{ kept }}{% assign twice = kept %} {{ twice }}",
    "{% comment %}{{ value }}{% endcomment %}{{ value%s }}",
    "{% raw %}{{ value }}{% endraw %}{{ value%s }}",
)


def sent(template: str, **given_values: Any) -> str:
    """The message; what the template stops with where it does."""
    return settle(attempted(template, inserted, **given_values))


def test_every_tag_has_its_place() -> None:
    assert {tag for tag in (*TAGS, "raw") if not any(f"{{% {tag} " in place for place in PLACES)} == set()


@pytest.mark.parametrize("place", PLACES)
@SEEDED
@given(chain=filters(), value=values, other=values)
def test_no_value_brings_markup_into_a_message(place: str, chain: str, value: Any, other: Any) -> None:
    text = sent(place.replace("%s", chain), value=value, other=other)
    assert not {"<", ">", "\x02", "\x03", "\ufdd0", "\ufdd1"} & set(text.replace("<template_syntax>", ""))
    assert settle(text) == text


@pytest.mark.parametrize("name", FILTERS)
@settings(SEEDED, max_examples=8)
@given(value=values, other=values, data=st.data())
def test_each_filter_leaves_hostile_values_harmless(name: str, value: Any, other: Any, data: Any) -> None:
    least, highest, _ = takes(name)
    chosen = [data.draw(arguments(name)) for _ in range(data.draw(st.integers(least, highest)))]
    text = sent(f"{{{{ value | {name}{': ' if chosen else ''}{', '.join(chosen)} }}}}", value=value, other=other)
    assert not {"<", ">"} & set(text)


@SEEDED
@given(st.sampled_from(HOSTILE), st.text(max_size=20))
def test_a_value_is_never_read_as_a_template(hostile: str, more: str) -> None:
    value = "{{ other }}" + hostile + "{% assign other = 'leaked' %}{{ other }}" + more
    assert "secret" not in sent("{{ value }}{{ value | append: value | strip }}", value=value, other="secret")


BRACKETS = st.sampled_from(
    ["<", ">", "|", "<!", "<@", "<#", "<https://a.example/", "mailto:", " ", "x", "<!here>", "&lt;"]
)
LINK = re.compile(r"<([^>]*)>")


@settings(SEEDED, max_examples=300)
@given(
    st.lists(BRACKETS, max_size=5),
    texts | st.sampled_from(["https://a.example", "!here", "U0ADA00001", "javascript:x", "file:///x"]),
    st.lists(BRACKETS, max_size=5),
    texts,
    st.lists(BRACKETS, max_size=3),
)
def test_between_an_authors_brackets_a_value_makes_nothing_but_a_link_or_an_id(
    before: list[str], value: str, between: list[str], other: str, after: list[str]
) -> None:
    source = "".join([*before, "{{ value }}", *between, "{{ other }}", *after])
    text = sent(source, value=value, other=other)
    for found in LINK.findall(text):
        address = found.partition("|")[0]
        link = re.match(r"(https?://|mailto:)", address, re.IGNORECASE)
        mention = re.fullmatch(r"[@#][A-Z0-9]+", address) and f"<{address[0]}" in source
        own = f"<{address}|" in source or f"<{address}>" in source
        assert link or mention or own, (source, text)
    assert settle(text) == text


@pytest.mark.parametrize("name", FILTERS)
def test_the_worst_that_each_filter_makes_is_bounded(name: str) -> None:
    """`<` is the worst value: each of its characters becomes four."""
    big = "<" * (2 * TEXT_LIMIT)
    least, _, _ = takes(name)
    for chosen in (["big"] * least, [written_out(name, ("'x'",))[0]] * least, ["1"] * least):
        source = f"{{{{ value | {name}{': ' if chosen else ''}{', '.join(chosen)} }}}}"
        for value in (big, [big] * 10, {"a": big}):
            try:
                made = Template(source).value({"value": value, "big": big})
            except FlowError as problem:
                made = problem.code
            assert made in ("template_limit", "template_failed") or not isinstance(made, str) or len(made) <= TEXT_LIMIT
            assert len(sent(source, value=value, big=big)) < 16_000
