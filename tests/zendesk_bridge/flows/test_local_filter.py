"""Dates, times and numbers in templates, as people of other places write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from template_tries import attempted, shown

DUE = "2026-11-22T20:04:51Z"


@pytest.mark.parametrize(
    ("use", "text"),
    [
        ("localize", "Nov 22, 2026, 8:04:51 PM"),
        ("localize: 'en-US', style: 'short'", "11/22/26, 8:04 PM"),
        ("localize: 'en-gb', style: 'short'", "22/11/2026, 20:04"),
        ("localize: 'de'", "22.11.2026, 20:04:51"),
        ("localize: 'de', show: 'date'", "22.11.2026"),
        ("localize: 'de', show: 'time', style: 'short'", "20:04"),
        ("localize: 'de', zone: 'Asia/Tokyo', show: 'date', style: 'full'", "Montag, 23. November 2026"),
        ("localize: 'de', zone: 'Europe/Berlin', show: 'time', style: 'full'", "21:04:51 Mitteleuropäische Normalzeit"),
        ("localize: 'pt-br', show: 'date', style: 'long'", "22 de novembro de 2026"),
        ("localize: 'zh-cn', show: 'date'", "2026年11月22日"),
        ("localize: 'es-419', show: 'date', style: 'long'", "22 de noviembre de 2026"),
        ("localize: 'fr-ca', show: 'date', style: 'short'", "2026-11-22"),
        ("localize: 'de-XX', show: 'date'", "22.11.2026"),
        ("localize: nothing, show: nothing, style: nothing, zone: nothing", "Nov 22, 2026, 8:04:51 PM"),
        ("localize: word, show: word, style: word, zone: word", "Nov 22, 2026, 8:04:51 PM"),
    ],
)
def test_a_time_is_written_as_people_of_a_locale_write_it(use: str, text: str) -> None:
    assert shown(f"{{{{ t | {use} }}}}", t=DUE, word="klingon") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-11-22", "22.11.2026"),
        (1234567, "1.234.567"),
        (-1234.5, "-1.234,5"),
        ("1234.5", "1.234,5"),
        (0.1234, "0,123"),
        ("00123", "00123"),
        ("ABC-123", "ABC-123"),
        ("1,234", "1,234"),
        ("٣", "٣"),
        (True, "true"),
        (None, ""),
        (["a", "b"], "a, b"),
        (float("inf"), "inf"),
        (10**30, "1" + "0" * 30),
        ("9" * 5_000, "9" * 5_000),
        ("2026-11-22 is the day", "2026-11-22 is the day"),
    ],
)
def test_numbers_and_dates_are_written_so_and_other_text_stays(value: Any, text: str) -> None:
    assert shown("{{ x | localize: 'de' }}", x=value) == text


@pytest.mark.parametrize("zone", [None, "", "Nowhere", "localtime", "a\x00b", 5, ["Europe/Berlin", "UTC"]])
def test_a_variable_that_names_no_zone_never_stops_a_message(zone: Any) -> None:
    assert shown("{{ t | localize: 'de', zone: z }}", t=DUE, z=zone) == "22.11.2026, 20:04:51"


def test_today_is_understood_as_a_text_too() -> None:
    assert shown("{{ 'today' | localize: 'de' }}", today="2026-11-22") == "22.11.2026"


def test_blanks_in_dates_are_blanks_that_can_be_looked_for() -> None:
    for locale in ("en", "fr", "fr-ca", "bg", "lv"):
        assert not {"\u00a0", "\u202f"} & set(shown("{{ t | localize: l, style: 'full' }}", t=DUE, l=locale))


def test_a_loop_that_localizes_too_much_stops() -> None:
    source = "{% for i in (1..100) %}{% for j in (1..100) %}{{ t | localize }}{% endfor %}{% endfor %}"
    assert attempted(source, t=DUE) == "template_limit"


@given(
    st.text(max_size=12) | st.sampled_from(["de", "EN_us", "zh-Hant-TW", "xx-YY", "und", "root", "en-"]),
    st.one_of(
        st.integers(),
        st.floats(),
        st.text(max_size=40),
        st.datetimes().map(lambda moment: f"{moment.isoformat()}+05:30"),
        st.dates().map(str),
        st.lists(st.none() | st.booleans(), max_size=3),
    ),
    st.sampled_from(["short", "medium", "long", "full", "", None, 3]),
)
@settings(deadline=None, max_examples=150)
def test_no_value_and_no_locale_stops_a_message(locale: str, value: Any, style: Any) -> None:
    text = attempted("{{ x | localize: l, style: s, zone: l }}", x=value, l=locale, s=style)
    assert not text.startswith(("<misplaced>", "template_"))
