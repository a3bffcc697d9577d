"""Time zones by name, such as Europe/Berlin: whether there is one, and which was probably meant."""

from __future__ import annotations

import re
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from zendesk_bridge.flows.catalog import nearest

# It would be the machine's.
_LOCAL = "localtime"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}")


@lru_cache(maxsize=1_000)
def zone_named(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name, or None."""
    if not _NAME.fullmatch(name) or name == _LOCAL:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return None


def nearest_zone(name: str) -> str | None:
    """The zone that was probably meant by a name that is none, or None."""
    known = {zone.lower(): zone for zone in sorted(available_timezones() - {_LOCAL})}
    close = nearest(name[:64].strip().replace(" ", "_").lower(), known)
    return known[close] if close else None
