"""Times that flows wait for: a date-time, or the next time it is so late somewhere."""

from __future__ import annotations

import datetime as dt

from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.model import parse_time
from zendesk_bridge.flows.zones import zone_named


def moment_of(text: str) -> dt.datetime:
    """A time as services write it; a date alone is its first moment in UTC. Raises FlowError."""
    told = text.strip()
    if not told:
        raise FlowError("no_time", "until: there is no time", hint="Skip the step with `only_if` where there is none.")
    try:
        return parse_time(told).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        hint = "Write it as 2026-01-31T09:00:00Z, or 2026-01-31."
        raise FlowError("no_time", f"until: {told[:60]!r} is no time", hint=hint) from None


def next_time_of_day(at: str, zone: str, now: dt.datetime) -> dt.datetime:
    """The next moment at which clocks in a zone show a time; where they skip it, the moment they skip to.

    Args:
        at: "09:00".
        zone: the IANA name.
    """
    name = zone.strip()
    place = zone_named(name)
    if place is None:
        hint = 'Use a name such as Europe/Berlin; `| default: "UTC"` gives one where there is none.'
        raise FlowError("no_zone", f"zone: {name[:60]!r} is no time zone", hint=hint)
    hour, minute = map(int, at.split(":"))
    here = now.astimezone(place)
    for days in range(3):
        day = here.date() + dt.timedelta(days=days)
        moment = dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=place).astimezone(dt.UTC)
        if moment > now:
            return moment
    raise AssertionError(at)
