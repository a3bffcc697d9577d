"""The filters for dates and times: `date`, `in_zone`, and `plus` and `minus`, which count numbers too."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from liquid import RenderContext
from liquid.builtin.filters import math as numbers
from liquid.filter import with_context
from liquid.undefined import is_undefined

from zendesk_bridge.flows.catalog import as_text, did_you_mean
from zendesk_bridge.flows.durations import duration_of, nearest_duration
from zendesk_bridge.flows.filter_terms import MOMENTS, NUMBERS, TEXT_LIMIT, FilterTerms, LimitReached, Mistake, Scrutiny
from zendesk_bridge.flows.model import parse_time
from zendesk_bridge.flows.zones import nearest_zone, zone_named

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d[0-9:.,+\-Zz]{0,25}")


def moment_in(value: object) -> dt.date | None:
    """The date (a `datetime.date`) or the time (a `datetime.datetime`, aware) that a text is, or None."""
    if not isinstance(value, str):
        return None
    try:
        if _DATE.fullmatch(value):
            return dt.date.fromisoformat(value)
        return parse_time(value) if _TIME.fullmatch(value) else None
    except ValueError:
        return None


def _written(moment: dt.date) -> str:
    text = moment.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


@with_context
def _date(value: Any, form: object = "%Y-%m-%d", *, context: RenderContext) -> str:
    """`date: "%d.%m.%Y"`: a time as text. `now` and `today` are the recorded start of the step."""
    if value in ("now", "today"):
        value = context.resolve(str(value))
    text, pattern = as_text(value)[:TEXT_LIMIT], as_text(form)
    if len(pattern) > 100:
        raise LimitReached("date takes a format of at most 100 characters")
    if not _DATE.match(text):
        return text
    try:
        moment = parse_time(text)
        # strftime would read the machine's time zone for %s.
        seconds = str(int(moment.timestamp()))
        return moment.strftime(re.sub("%[%s]", lambda found: found[0] if found[0] == "%%" else seconds, pattern))
    except (ValueError, OverflowError):
        return text


def in_zone(moment: dt.datetime, zone: object) -> dt.datetime:
    """A time as a zone's clocks show it; as it is where there is no such zone."""
    place = zone_named(as_text(zone).strip())
    try:
        return moment.astimezone(place) if place else moment
    except OverflowError:
        return moment


def _in_zone(text: str, zone: object) -> str:
    moment = moment_in(text)
    return _written(in_zone(moment, zone)) if isinstance(moment, dt.datetime) else text


def zone_mistake(name: str) -> Scrutiny:
    """What is wrong with a zone that is written out, for a filter of that name."""

    def mistake(written: object) -> Mistake | None:
        zone = as_text(written).strip()
        if zone_named(zone):
            return None
        close = nearest_zone(zone)
        hint = did_you_mean(close) or "Zones are called after places, such as Europe/Berlin."
        return Mistake(message=f"the filter {name!r} takes a time zone, and {zone[:60]!r} is none", hint=hint)

    return mistake


def _plus(value: Any, amount: Any) -> Any:
    return _moved("plus", value, amount)


def _minus(value: Any, amount: Any) -> Any:
    return _moved("minus", value, amount)


def _moved(name: str, value: Any, amount: Any) -> Any:
    """A date or time so much later or earlier; of numbers, the sum or the difference."""
    duration = duration_of(amount) if isinstance(amount, str) else None
    moment = moment_in(value)
    if duration and (value is None or value == "" or is_undefined(value)):
        return None
    if moment is None and duration is None:
        return numbers.plus(value, amount) if name == "plus" else numbers.minus(value, amount)
    if moment is not None and (amount is None or is_undefined(amount)):
        return _written(moment)
    if moment is None or duration is None:
        raise ValueError("a time and a duration belong together")
    return _written((duration if name == "plus" else -duration).after(moment))


def _amount_mistake(name: str) -> Scrutiny:
    def mistake(written: object) -> Mistake | None:
        if not isinstance(written, str) or not written.strip() or duration_of(written):
            return None
        try:
            float(written)
        except ValueError:
            close = nearest_duration(written)
            hint = did_you_mean(close) or 'Write a number, or "3 days", or "1 day 12 hours".'
            message = f"the filter {name!r} takes a number or a duration, not {written[:60]!r}"
            return Mistake(message=message, hint=hint)
        return None

    return mistake


CALENDAR_FILTERS = {
    "date": FilterTerms(
        function=_date,
        about="A date or time in a form of your own: `%d` is the day, `%m` the month, `%Y` the year, `%H:%M` the time.",
        example='{{ due_at | date: "%d.%m.%Y %H:%M" }}',
        result="22.11.2026 20:04",
        takes=MOMENTS,
        gives="text",
    ),
    "in_zone": FilterTerms(
        function=_in_zone,
        about="A time as the clocks of a zone show it. Where a variable names no zone, it stays as it is; dates always"
        " do.",
        example='{{ due_at | in_zone: "Europe/Berlin" }}',
        result="2026-11-22T21:04:51+01:00",
        takes=MOMENTS,
        gives="same",
        written_out={"zone": zone_mistake("in_zone")},
    ),
    "minus": FilterTerms(
        function=_minus,
        about="The difference of two numbers, or a date or time so much earlier; durations as for `plus`.",
        example='{{ due_at | minus: "1 day 12 hours" }}',
        result="2026-11-21T08:04:51Z",
        takes=NUMBERS | MOMENTS,
        gives="same",
        unsettled=frozenset({"text", "date"}),
        written_out={"amount": _amount_mistake("minus")},
    ),
    "plus": FilterTerms(
        function=_plus,
        about="The sum of two numbers, or a date or time so much later: seconds, minutes, hours, days, weeks, months,"
        " years. Where a month has no such day, its last; a date and hours make a time in UTC.",
        example='{{ "2026-01-31" | plus: "1 month" }}',
        result="2026-02-28",
        takes=NUMBERS | MOMENTS,
        gives="same",
        unsettled=frozenset({"text", "date"}),
        written_out={"amount": _amount_mistake("plus")},
    ),
}
