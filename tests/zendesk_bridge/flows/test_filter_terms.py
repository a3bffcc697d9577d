"""What the reference says of filters is what they do, and what the check finds in what authors write out."""

from __future__ import annotations

from typing import get_args

import pytest
from template_tries import shown

from zendesk_bridge.flows.filter_terms import SAMPLE, Kind
from zendesk_bridge.flows.filters import FILTER_KINDS, FILTER_TERMS, FILTERS, as_text, takes
from zendesk_bridge.flows.template import Template, TemplateProblem


@pytest.mark.parametrize("name", FILTERS)
def test_each_example_of_the_reference_has_the_result_it_states(name: str) -> None:
    terms = FILTER_TERMS[name]
    assert f"| {name}" in terms.example
    assert shown(terms.example, **SAMPLE) == terms.result


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_is_described_by_the_kinds_there_are(name: str) -> None:
    kinds, gives = FILTER_KINDS[name]
    assert kinds == "any" or kinds <= set(get_args(Kind))
    assert gives in (*get_args(Kind), "same")
    assert FILTER_TERMS[name].about.endswith(".")


@pytest.mark.parametrize("name", FILTERS)
def test_what_is_judged_when_it_is_written_out_are_values_that_the_filter_takes(name: str) -> None:
    _, most, named = takes(name)
    assert len(FILTER_TERMS[name].written_out) <= most + len(named)
    assert named & set(FILTER_TERMS[name].written_out) <= named


@pytest.mark.parametrize(
    ("name", "kind", "result"),
    [
        ("plus", "number", "number"),
        ("plus", "text", "any"),
        ("plus", "date", "any"),
        ("plus", "date-time", "date-time"),
        ("in_zone", "date", "date"),
        ("localize", "date", "text"),
        ("size", "list", "number"),
        ("slice", "text", "text"),
        ("round", "decimal", "any"),
        ("first", "list", "any"),
        ("default", "object", "object"),
    ],
)
def test_the_kind_of_a_result_is_known_or_is_any(name: str, kind: Kind, result: Kind) -> None:
    assert FILTER_TERMS[name].kind_of_result(kind) == result


@pytest.mark.parametrize(
    ("use", "message", "hint"),
    [
        (
            'in_zone: "Berlin"',
            "the filter 'in_zone' takes a time zone, and 'Berlin' is none",
            "did you mean 'Europe/Berlin'?",
        ),
        (
            'in_zone: "europe/berlin"',
            "the filter 'in_zone' takes a time zone, and 'europe/berlin' is none",
            "did you mean 'Europe/Berlin'?",
        ),
        (
            'in_zone: "New York"',
            "the filter 'in_zone' takes a time zone, and 'New York' is none",
            "did you mean 'America/New_York'?",
        ),
        (
            'in_zone: ""',
            "the filter 'in_zone' takes a time zone, and '' is none",
            "Zones are called after places, such as Europe/Berlin.",
        ),
        (
            'plus: "3 dayz"',
            "the filter 'plus' takes a number or a duration, not '3 dayz'",
            "did you mean '3 days'?",
        ),
        (
            'minus: "soon"',
            "the filter 'minus' takes a number or a duration, not 'soon'",
            'Write a number, or "3 days", or "1 day 12 hours".',
        ),
        (
            'localize: "de", style: "longer"',
            "style: 'longer' is none of short, medium, long, full",
            "did you mean 'long'?",
        ),
        ('localize: "de", show: "dates"', "show: 'dates' is none of date, time, both", "did you mean 'date'?"),
        (
            'localize: zone: "Paris"',
            "the filter 'localize' takes a time zone, and 'Paris' is none",
            "did you mean 'Europe/Paris'?",
        ),
        (
            'localize: "german"',
            "the filter 'localize' takes a locale, and 'german' is none",
            "Locales are called as in Zendesk: en-US, de, pt-BR, es-419, zh-CN.",
        ),
    ],
)
def test_what_is_written_out_and_wrong_is_found_before_the_flow_runs(use: str, message: str, hint: str) -> None:
    source = f"line\n{{% if x %}}{{{{ x | upcase | {use} }}}}{{% endif %}}"
    with pytest.raises(TemplateProblem) as refused:
        Template(source)
    assert (refused.value.code, refused.value.message, refused.value.hint) == ("template_syntax", message, hint)
    assert source[refused.value.at] == '"'


@pytest.mark.parametrize(
    "use",
    [
        *('plus: "3"', "plus: 3", "plus: -1.5", "plus: n", 'plus: "1e3"', "plus: null", 'minus: "1 WEEK"'),
        *("in_zone: n", "in_zone: null", 'in_zone: "UTC"', 'in_zone: "America/Argentina/Buenos_Aires"'),
        *("localize", "localize: n", 'localize: "pt-br", zone: n, style: n, show: n', 'localize: "zh-CN"'),
        *('localize: "en-x-pirate"', 'localize: "es-419", style: "full", show: "time"'),
    ],
)
def test_what_is_right_or_not_known_before_the_flow_runs_is_no_problem(use: str) -> None:
    assert Template(f"{{{{ x | {use} }}}}").text({"x": None}, as_text) in ("", "0", "3", "-1.5", "1000.0")
