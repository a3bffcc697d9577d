"""What the commands print for people. Text from tickets is shown as text: it cannot steer the terminal."""

from __future__ import annotations

import json as json_module
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from zendesk_bridge.flows.model import Problem, parse_time

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_COLOURS = {
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
}


def json(value: Any) -> None:
    """Prints JSON."""
    sys.stdout.write(json_module.dumps(value, indent=2, ensure_ascii=False) + "\n")


def flows(rows: list[dict[str, Any]]) -> None:
    """The action flows, as a table."""
    table = _table("Key", "Name", "State", "Trigger", "Steps", "Last run")
    for row in rows:
        last = row["last_run"]
        state = "active" if row["active"] else "inactive"
        when = f"{last['status']} {_when(last['started_at'])}" if last else "never"
        cells = [row["key"], row["name"], state, row["trigger"] or "", str(row["steps"]), when]
        table.add_row(*(_cell(cell) for cell in cells))
    _console().print(table)
    for row in rows:
        if row["problem"]:
            _line(f"{row['key']}: {row['problem']} ({row['source']})", "red")
    if rows and not any(row["active"] for row in rows):
        _line(f"No flow is active. Switch one on: zendesk-connector flows activate {rows[0]['key']}", "yellow")


def flow(row: dict[str, Any]) -> None:
    """One flow and its file."""
    state = "active" if row["active"] else "inactive"
    _line(f"{row['key']} (version {row['version']}, {state}, {row['source']})", "bold")
    if row["problem"]:
        _line(row["problem"], "red")
    sys.stdout.write(_clean(row["text"]))


def problems(found: list[Problem]) -> None:
    """What is wrong with flow files, a line each."""
    for problem in found:
        _line(str(problem), None)
    if not found:
        _line("All flow files are good.", "green")


def synced(answer: Mapping[str, Any]) -> None:
    """What reading the folder again brought."""
    for problem in answer["problems"]:
        _line(str(Problem(**problem)), "red")
    _line(f"Known flows: {', '.join(answer['flows'])}", None)


def runs(rows: list[dict[str, Any]]) -> None:
    """Runs, as a table."""
    if not rows:
        _line("No runs yet.", "dim")
        return
    table = _table("Run", "Flow", "Status", "Started", "Took", "")
    for row in rows:
        remark = row["error"]["code"] if row["error"] else row["note"] or ""
        took = _took(row["started_at"], row["finished_at"])
        cells = [row["id"], row["flow"], row["status"], _when(row["started_at"]), took, remark]
        table.add_row(*(_cell(cell) for cell in cells))
    _console().print(table)


def run(row: dict[str, Any]) -> None:
    """One run with its steps."""
    _line(f"Run {row['id']}", "bold")
    _line(f"Flow {row['flow']}, version {row['version']}; event {row['event_id']}", None)
    _pairs("trigger", row["trigger"])
    for each in row["steps"]:
        step(each)
    run_end(row)


def step(row: dict[str, Any]) -> None:
    """One step: what went in, what came out, what went wrong."""
    _step_line(row)
    _pairs("in", row["inputs"])
    _pairs("out", row["outputs"])
    if row["error"]:
        _error(row["error"])


def step_in_brief(row: dict[str, Any]) -> None:
    """One step in three lines: that it ran, and the beginning of what went in and came out."""
    from rich.text import Text

    _step_line(row)
    for title, values in (("in ", row["inputs"]), ("out", row["outputs"])):
        pairs = [f"{name}: {_shortened(_as_text(value))}" for name, value in _present(values)]
        if pairs:
            words = Text(f"    {title} {', '.join(pairs)}", style="dim")
            _console().print(words, no_wrap=True, overflow="ellipsis")
    if row["error"]:
        _error(row["error"])


def _shortened(text: str) -> str:
    text = " ".join(_clean(text).split())
    return text if len(text) <= 40 else text[:39] + "…"


def _step_line(row: dict[str, Any]) -> None:
    from rich.text import Text

    colour = _COLOURS.get(row["status"], "")
    words = Text.assemble(
        ("● ", colour),
        (f"{row['key']}  ", "bold"),
        (f"{row['action']}  ", "dim"),
        (row["status"].replace("_", " "), colour),
        (f"  {_took(row['started_at'], row['finished_at'])}", "dim"),
    )
    _console().print(words)


def run_end(row: dict[str, Any]) -> None:
    """How a run ended, or what it waits for."""
    _line(f"{row['status']}" + (f": {row['note']}" if row["note"] else ""), _COLOURS.get(row["status"]))
    if row["error"]:
        _error(row["error"])


def connections(rows: list[dict[str, Any]]) -> None:
    """The connections, as a table."""
    if not rows:
        _line("Nothing is connected yet: start `zendesk-connector serve`, or see `zendesk-connector doctor`.", "dim")
        return
    table = _table("Service", "Account", "Connected by", "Since", "Status", "Scopes")
    for row in rows:
        cells = [row["service"], row["account"] or "", row["connected_by"] or "", _when(row["since"]), row["status"]]
        table.add_row(*(_cell(cell) for cell in cells), _cell(", ".join(row["scopes"])))
    _console().print(table)


def findings(rows: list[dict[str, Any]]) -> None:
    """What the doctor found, as a table: what is wrong last, where it is seen."""
    table = _table("", "Setting", "From", "Value or finding")
    for row in sorted(rows, key=lambda row: not row["ok"]):
        table.add_row(_cell("ok" if row["ok"] else "✗"), *(_cell(row[name]) for name in ("name", "source", "message")))
    _console().print(table)


def sandbox_opened(slack: str, zendesk: str, connector: str) -> None:
    """What the sandbox has started."""
    _line("A Slack and a Zendesk in memory, and the connector between them:", "bold")
    for name, address in (("Zendesk", zendesk), ("connector", connector), ("Slack", slack)):
        _line(f"  {name:10}{address}", "dim")


def sandbox_assigns(ticket_id: int, subject: str, agent: str) -> None:
    """What happens in Zendesk."""
    _line(f"\nZendesk: ticket {ticket_id} “{subject}” is assigned to {agent}", "bold")


def sandbox_delivered(statuses: list[int | None]) -> None:
    """How the connector answered the webhook."""
    answers = ", ".join("stored (200)" if status == 200 else str(status) for status in statuses)
    _line(f"Zendesk's signed webhook was answered: {answers}", None)


def sandbox_message(recipient: str, text: str) -> None:
    """A direct message as its reader sees it."""
    from rich.box import ROUNDED
    from rich.panel import Panel
    from rich.text import Text

    title = Text(f" Slack · Zendesk Connector → {recipient} ", style="bold")
    body = Text(_clean(text).rstrip("\n"))
    _console().print(Panel(body, title=title, title_align="left", box=ROUNDED, padding=(1, 2)))


def sandbox_verdict(right: bool, count: int) -> None:
    """Whether the right message arrived."""
    if right:
        _line("Exactly the right message arrived, once.", "green")
    else:
        _line(f"Not the message that was to come: {count} arrived.", "red")


def sandbox_keys(database: str | None) -> None:
    """What can be done now."""
    if database:
        look = f"CONNECTOR_DATABASE={database} zendesk-connector runs list"
        _line(f"\nThe history, from another terminal: {look}", "dim")
    _line("a: assign another ticket   q: quit", "bold")


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def _table(*names: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _cell(value: str) -> Any:
    from rich.text import Text

    colour = "red" if value == "✗" else _COLOURS.get(value.split(" ")[0], "")
    return Text(_clean(value), style=colour)


def _line(text: str, style: str | None) -> None:
    from rich.text import Text

    _console().print(Text(_clean(text), style=style or ""))


def _error(error: Mapping[str, str]) -> None:
    _line(f"  {error['code']}: {error['message']}", "red")
    if error.get("hint"):
        _line(f"  {error['hint']}", "yellow")


def _pairs(title: str, values: Mapping[str, Any]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    for name, value in _present(values):
        text = _clean(_as_text(value)).rstrip("\n")
        if "\n" in text:
            text = "\n" + "\n".join(f"  {line}".rstrip() for line in text.split("\n"))
        body = Text.assemble((f"{title} {name}: ", "dim"), text)
        _console().print(Padding(body, (0, 0, 0, 4), expand=False))


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)


def _present(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in values.items() if value not in (None, "", [], {}))


def _clean(text: str) -> str:
    """Without control characters: a ticket's text must not steer the terminal."""
    return _CONTROL.sub("�", text)


def _when(text: str | None) -> str:
    return parse_time(text).astimezone().strftime("%Y-%m-%d %H:%M:%S") if text else ""


def _took(started: str | None, finished: str | None) -> str:
    if not started or not finished:
        return ""
    seconds = (parse_time(finished) - parse_time(started)).total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
