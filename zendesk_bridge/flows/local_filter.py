"""The filter `localize`: dates, times and numbers as people write them where somebody lives."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

from zendesk_bridge.flows.calendar_filters import in_zone, moment_in, zone_mistake
from zendesk_bridge.flows.catalog import as_text, did_you_mean, nearest
from zendesk_bridge.flows.filter_terms import MOMENTS, NUMBERS, TEXT_LIMIT, FilterTerms, Mistake, Scrutiny

if TYPE_CHECKING:
    from babel import Locale

STYLES = ("short", "medium", "long", "full")
SHOWS = ("date", "time", "both")
Style = Literal["short", "medium", "long", "full"]

_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,3}")
# Without a zero before it: an order's number is no amount.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,19})(?:\.\d{1,20})?", re.ASCII)
# The library rounds no number that is longer.
_MOST = 10**20
# Blanks that look like any other, and are found by nobody who looks for a blank.
_BLANKS = re.compile("[\u00a0\u2009\u202f]")


def localized(value: Any, locale: object, *, zone: object, style: object, show: object) -> str:
    """A value as people of a locale write it; a text that is neither a time nor a number stays as it is."""
    place = _locale(as_text(locale).strip()[:64]) or _locale("en")
    assert place is not None
    moment = moment_in(value)
    if moment is not None:
        told = cast(Style, as_text(style) if as_text(style) in STYLES else "medium")
        return _moment(moment, place, zone, told, as_text(show))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, place) if abs(value) < _MOST else as_text(value)
    text = str(as_text(value)[:TEXT_LIMIT])
    return _number(Decimal(text), place) if _NUMBER.fullmatch(text) else text


def _moment(moment: dt.date, place: Locale, zone: object, style: Style, show: str) -> str:
    # On first use: a connector whose flows localize nothing need not load it.
    from babel.dates import get_date_format, get_datetime_format, get_time_format

    if not isinstance(moment, dt.datetime):
        return _plain(get_date_format(style, place).apply(moment, place))
    moment = in_zone(moment, zone)
    date = get_date_format(style, place).apply(moment, place)
    time = get_time_format(style, place).apply(moment, place)
    both = str(get_datetime_format(style, place)).replace("'", "").replace("{0}", time).replace("{1}", date)
    return _plain({"date": date, "time": time}.get(show, both))


def _number(number: float | Decimal, place: Locale) -> str:
    from babel.numbers import format_decimal

    return format_decimal(number, locale=place)


def _plain(text: str) -> str:
    return _BLANKS.sub(" ", text)


@lru_cache(maxsize=100)
def _locale(name: str) -> Locale | None:
    """The locale of Zendesk's name for it, or of its language alone; None where there is none."""
    from babel import Locale, UnknownLocaleError

    if not _LOCALE.fullmatch(name):
        return None
    parts = re.split("[-_]", name)
    for length in range(len(parts), 0, -1):
        try:
            return Locale.parse("_".join(parts[:length]))
        except (ValueError, TypeError, UnknownLocaleError):
            continue
    return None


def _locale_mistake(written: object) -> Mistake | None:
    name = as_text(written).strip()
    if _locale(name[:64]) is not None:
        return None
    hint = "Locales are called as in Zendesk: en-US, de, pt-BR, es-419, zh-CN."
    return Mistake(message=f"the filter 'localize' takes a locale, and {name[:60]!r} is none", hint=hint)


def _one_of(option: str, words: Collection[str]) -> Scrutiny:
    def mistake(written: object) -> Mistake | None:
        word = as_text(written)
        if word in words:
            return None
        close = nearest(word[:60], words)
        hint = did_you_mean(close) or ""
        return Mistake(message=f"{option}: {word[:60]!r} is none of {', '.join(words)}", hint=hint)

    return mistake


def _localize(
    value: Any, locale: object = None, *, zone: object = None, style: object = "medium", show: object = None
) -> str:
    return localized(value, locale, zone=zone, style=style, show=show)


LOCAL_FILTERS = {
    "localize": FilterTerms(
        function=_localize,
        about="A date, time or number as people of a locale write it; English where there is none. `zone:` as for"
        " `in_zone`, `style:` short, medium, long or full, `show:` date, time or both. Numbers have at most three"
        " decimals. Other text stays as it is.",
        example='{{ due_at | localize: "de", zone: "Europe/Berlin", style: "short" }}',
        result="22.11.26, 21:04",
        takes=NUMBERS | MOMENTS,
        gives="text",
        written_out={
            "locale": _locale_mistake,
            "zone": zone_mistake("localize"),
            "style": _one_of("style", STYLES),
            "show": _one_of("show", SHOWS),
        },
        work=4 * 1024,
    ),
}
