"""Durations as people write them: “3 days”, “1 day 12 hours”, “2 months”."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass

from zendesk_bridge.flows.catalog import nearest

_MONTHS = {"month": 1, "year": 12}
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
#: The units, from the shortest to the longest; each may have an `s` at its end.
UNITS = (*_SECONDS, *_MONTHS)
_LONGEST = 100
_PART = re.compile(r"(?:\s*,)?\s*(?:and\s+)?(\d{1,9})\s*([a-z]+)")
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, kw_only=True)
class Duration:
    """How long something takes: months differ, so they are kept apart from the rest."""

    months: int
    seconds: int
    # Whether hours, minutes or seconds are named: then a date alone becomes a time.
    by_the_clock: bool

    def __neg__(self) -> Duration:
        return Duration(months=-self.months, seconds=-self.seconds, by_the_clock=self.by_the_clock)

    def after(self, moment: dt.date) -> dt.date:
        """That much after a date or a time; where a month has no such day, its last. Raises OverflowError."""
        if self.by_the_clock and not isinstance(moment, dt.datetime):
            moment = dt.datetime(moment.year, moment.month, moment.day, tzinfo=dt.UTC)
        year, month = divmod(moment.year * 12 + moment.month - 1 + self.months, 12)
        if not dt.MINYEAR <= year <= dt.MAXYEAR:
            raise OverflowError(year)
        last = calendar.monthrange(year, month + 1)[1]
        moment = moment.replace(year=year, month=month + 1, day=min(moment.day, last))
        return moment + dt.timedelta(seconds=self.seconds)


def duration_of(text: str) -> Duration | None:
    """The duration that a text is, or None. A sign before it counts for all of it."""
    told = text.strip().lower()
    if not told or len(told) > _LONGEST:
        return None
    at = 1 if told[0] in "+-" else 0
    months = seconds = 0
    by_the_clock = False
    while at < len(told):
        if (found := _PART.match(told, at)) is None:
            return None
        amount, unit = int(found[1]), found[2].removesuffix("s")
        if unit not in UNITS:
            return None
        months += amount * _MONTHS.get(unit, 0)
        seconds += amount * _SECONDS.get(unit, 0)
        by_the_clock = by_the_clock or unit in ("second", "minute", "hour")
        at = found.end()
    duration = Duration(months=months, seconds=seconds, by_the_clock=by_the_clock)
    return -duration if told[0] == "-" else duration


def nearest_duration(text: str) -> str | None:
    """The duration that was probably meant by a text that is none, or None."""
    names = [f"{unit}s" for unit in UNITS]
    guess = _WORD.sub(lambda word: nearest(word[0], names) or word[0], text[:_LONGEST].strip().lower())
    return guess if duration_of(guess) else None
