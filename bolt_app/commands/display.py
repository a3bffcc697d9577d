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
    from rich.text import Text

    took = _took(row["started_at"], row["finished_at"])
    words = Text.assemble(
        ("● ", _COLOURS.get(row["status"], "")),
        (f"{row['key']}  ", "bold"),
        (f"{row['action']}  ", "dim"),
        (row["status"].replace("_", " "), _COLOURS.get(row["status"], "")),
        (f"  {took}", "dim"),
    )
    _console().print(words)
    _pairs("in", row["inputs"])
    _pairs("out", row["outputs"])
    if row["error"]:
        _error(row["error"])


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
        text = value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)
        body = Text.assemble((f"{title} {name}: ", "dim"), _clean(text).rstrip("\n"))
        _console().print(Padding(body, (0, 0, 0, 4)))


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
