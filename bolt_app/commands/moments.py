"""Times as people type them: how long ago, or a date."""

from __future__ import annotations

import datetime as dt
import re

import typer

_AGO = re.compile(r"(\d+)\s*(m|min|h|d|w)", re.ASCII)
_SECONDS = {"m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def moment(text: str, option: str) -> dt.datetime:
    """`30m`, `2h`, `3d` or `1w` ago; or a date, or a date and time, here where it names no zone. Aware."""
    now = dt.datetime.now().astimezone()
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - dt.timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        told = dt.datetime.fromisoformat(text.strip())
        return told if told.tzinfo else told.astimezone()
    except (ValueError, OverflowError) as problem:
        example = f"{now:%Y-%m-%d} or {now:%Y-%m-%dT%H:%M}"
        raise typer.BadParameter(f"give 30m, 2h, 3d, or a time such as {example}", param_hint=option) from problem
