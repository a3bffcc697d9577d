"""Dates and times in templates: zones and durations."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from template_tries import attempted, shown, typed

from zendesk_bridge.flows.durations import duration_of
from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.filters import TEXT_LIMIT

DUE = "2026-11-22T20:04:51Z"

# ---- in_zone


@pytest.mark.parametrize(
    ("value", "zone", "text"),
    [
        (DUE, "Europe/Berlin", "2026-11-22T21:04:51+01:00"),
        ("2026-07-22T20:04:51Z", "Europe/Berlin", "2026-07-22T22:04:51+02:00"),
        (DUE, "Asia/Kolkata", "2026-11-23T01:34:51+05:30"),
        (DUE, " America/New_York ", "2026-11-22T15:04:51-05:00"),
        ("2026-11-22T21:04:51+01:00", "UTC", DUE),
        ("2026-11-22T20:04:51.123456Z", "Europe/Berlin", "2026-11-22T21:04:51.123456+01:00"),
        ("2026-11-22T20:04:51", "Europe/Berlin", "2026-11-22T21:04:51+01:00"),
        ("2026-11-22", "Asia/Tokyo", "2026-11-22"),
        ("0001-01-01T00:00:00Z", "America/New_York", "0001-01-01T00:00:00Z"),
        ("tomorrow", "Europe/Berlin", "tomorrow"),
        ("2026-99-99T00:00:00Z", "Europe/Berlin", "2026-99-99T00:00:00Z"),
        (None, "Europe/Berlin", ""),
        (5158, "Europe/Berlin", "5158"),
    ],
)
def test_a_time_is_shown_by_the_clocks_of_a_place(value: Any, zone: str, text: str) -> None:
    assert shown("{{ t | in_zone: z }}", t=value, z=zone) == text


@pytest.mark.parametrize(
    "zone",
    [
        *(None, "", "Nowhere", "Berlin", "../etc/passwd", "/etc/localtime", "localtime", "Europe", "a\x00b", "\ud800"),
        *("x" * TEXT_LIMIT, 5, ["Europe/Berlin", "UTC"], {"a": 1}, True),
    ],
)
def test_a_variable_that_names_no_zone_never_stops_a_message(zone: Any) -> None:
    assert shown("{{ t | in_zone: z }}", t=DUE, z=zone) == DUE


def test_a_date_in_a_form_of_ones_own_follows_the_zone() -> None:
    source = "{{ t | in_zone: requester.iana_time_zone | date: '%d.%m.%Y %H:%M' }}"
    assert shown(source, t="2026-12-31T23:30:00Z", requester={"iana_time_zone": "Europe/Berlin"}) == "01.01.2027 00:30"


def test_now_and_today_are_understood_as_texts_too() -> None:
    values = {"now": DUE, "today": "2026-11-22"}
    assert shown("{{ 'now' | in_zone: 'Europe/Berlin' }}", **values) == "2026-11-22T21:04:51+01:00"
    assert shown("{{ 'today' | plus: '1 week' }} {{ today | minus: '1 week' }}", **values) == "2026-11-29 2026-11-15"


def test_zones_are_known_on_a_machine_that_has_none() -> None:
    code = (
        "from zendesk_bridge.flows.template import Template;"
        "print(Template(\"{{ '2026-11-22T20:04:51Z' | in_zone: 'Europe/Berlin' }}\").text({}, str))"
    )
    environment = {**os.environ, "PYTHONTZPATH": ""}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (found.stdout.strip(), found.stderr) == ("2026-11-22T21:04:51+01:00", "")


# ---- plus and minus


@pytest.mark.parametrize(
    ("value", "use", "result"),
    [
        (DUE, "plus: '3 days'", "2026-11-25T20:04:51Z"),
        (DUE, "plus: '1 week'", "2026-11-29T20:04:51Z"),
        (DUE, "minus: '2 hours'", "2026-11-22T18:04:51Z"),
        (DUE, "plus: '90 minutes'", "2026-11-22T21:34:51Z"),
        (DUE, "plus: '9 seconds'", "2026-11-22T20:05:00Z"),
        (DUE, "plus: '1 day 12 hours'", "2026-11-24T08:04:51Z"),
        (DUE, "plus: ' 1 Day, 2 hours and 30 minutes '", "2026-11-23T22:34:51Z"),
        (DUE, "plus: '-1 day 2 hours'", "2026-11-21T18:04:51Z"),
        ("2026-11-22T21:04:51+01:00", "plus: '1 hour'", "2026-11-22T22:04:51+01:00"),
        ("2026-11-22T20:04:51.500000Z", "plus: '1 hour'", "2026-11-22T21:04:51.500000Z"),
        ("2026-01-31", "plus: '1 month'", "2026-02-28"),
        ("2028-01-31", "plus: '1 month'", "2028-02-29"),
        ("2026-03-31", "minus: '1 month'", "2026-02-28"),
        ("2028-02-29", "plus: '1 year'", "2029-02-28"),
        ("2026-11-22", "plus: '2 months'", "2027-01-22"),
        ("2026-01-31", "plus: '1 month 1 day'", "2026-03-01"),
        ("2026-11-22", "minus: '3 weeks'", "2026-11-01"),
        ("2026-11-22", "plus: '12 hours'", "2026-11-22T12:00:00Z"),
        ("2026-11-22", "minus: '1 day 1 minute'", "2026-11-20T23:59:00Z"),
        ("2026-11-22", "plus: nothing", "2026-11-22"),
        (DUE, "minus: null", DUE),
        (None, "plus: '3 days'", None),
        ("", "minus: '3 days'", None),
        (4, "plus: 1", 5),
        (4, "plus: '1'", 5),
        ("4", "minus: 1.5", 2.5),
        (None, "plus: 1", 1),
        ("vip", "plus: 1", 1),
        (4, "plus: word", 4),
        (4, "minus: nothing", 4),
    ],
)
def test_times_are_counted_on_and_numbers_as_ever(value: Any, use: str, result: Any) -> None:
    found = typed(f"{{{{ x | {use} }}}}", x=value, word="vip")
    assert (found, type(found)) == (result, type(result))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ 'vip' | plus: '3 days' }}", "plus does not work with 'vip', '3 days'"),
        ("{{ 5 | minus: '3 days' }}", "minus does not work with '5', '3 days'"),
        ("{{ day | plus: 3 }}", "plus does not work with '2026-11-22', '3'"),
        ("{{ day | plus: day }}", "plus does not work with '2026-11-22', '2026-11-22'"),
        ("{{ day | plus: '9000 years' }}", "plus does not work with '2026-11-22', '9000 years'"),
        ("{{ day | minus: '3000 years' }}", "minus does not work with '2026-11-22', '3000 years'"),
        ("{{ day | plus: '999999999 weeks' }}", "plus does not work with '2026-11-22', '999999999 weeks'"),
    ],
)
def test_what_cannot_be_counted_says_with_what(source: str, message: str) -> None:
    with pytest.raises(FlowError) as failed:
        shown(source, day="2026-11-22")
    assert (failed.value.code, failed.value.message) == ("template_failed", message)


@given(
    st.dates().map(str) | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | st.text(max_size=30),
    st.lists(st.tuples(st.integers(0, 10**9), st.sampled_from(["second", "hours", "days", "month", "years"]))),
    st.sampled_from(["plus", "minus"]),
)
@settings(deadline=None, max_examples=200)
def test_a_time_and_a_duration_make_a_time_or_are_told_apart(
    value: str, parts: list[tuple[int, str]], name: str
) -> None:
    amount = " ".join(f"{count} {unit}" for count, unit in parts)
    source = f"{{{{ x | {name}: y }}}}"
    made = attempted(source, x=value, y=amount)
    assert not made.startswith("<")
    if duration_of(amount) and made not in ("", "template_failed"):
        assert made[4] == made[7] == "-"


@given(st.text(max_size=200) | st.text("0123456789 daysmonth-,", max_size=120))
@settings(deadline=None)
def test_any_text_is_a_duration_or_none(text: str) -> None:
    duration = duration_of(text)
    assert duration is None or abs(duration.seconds) < 10**18
