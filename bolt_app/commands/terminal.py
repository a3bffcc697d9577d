"""The terminal as the commands write to it. Text from tickets is shown as text: it cannot steer the terminal."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from zendesk_bridge.flows.model import parse_time, utc_now

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: Whatever reads a pipe wants a line to be a line.
PIPE_WIDTH = 10_000

COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "waiting": "yellow",
    "running": "cyan",
    "queued": "cyan",
    "cancelled": "dim",
    "skipped": "dim",
    "not_sent": "magenta",
    "active": "green",
    "inactive": "dim",
    "ok": "green",
    "checking": "dim",
    "not_connected": "yellow",
}


def open_console() -> Console:
    """Where lines go: as wide as the terminal, or as a line wants to be in a pipe."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def new_table(*names: str, whole: tuple[str, ...] = ()) -> Table:
    """A table; the columns in `whole` are never broken into lines."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name in whole)
    return table


def print_table(console: Console, table: Table) -> None:
    """A table, without blanks at the ends of its lines in a pipe."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def cell(value: str, otherwise: str = "") -> Text:
    """A cell of a table, in the colour of the word it begins with."""
    from rich.text import Text

    # A row is a line, whatever is in its cells.
    text = " ".join(clean(value).split("\n"))
    return Text(text, style=COLOURS.get(value.split(" ")[0], otherwise))


def say(text: str, style: str | None) -> None:
    """A line, or some. One with a command in it is left to the terminal to break, so that it can be copied whole."""
    from rich.text import Text

    console = open_console()
    whole = not console.is_terminal or "zendesk-connector " in text
    console.print(Text(clean(text), style=style or ""), soft_wrap=whole)


def clean(text: str) -> str:
    """Without control characters: a ticket's text must not steer the terminal."""
    return CONTROL.sub("�", text)


def when(text: str | None, *, short: bool = False) -> str:
    """A time here; for a narrow column without the date if it is today, or else without seconds."""
    if not text:
        return ""
    moment = parse_time(text).astimezone()
    if not short:
        return moment.strftime("%Y-%m-%d %H:%M:%S")
    today = utc_now().astimezone().date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M")
