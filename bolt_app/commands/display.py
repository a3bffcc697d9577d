"""What the commands print for people. Text from tickets is shown as text: it cannot steer the terminal."""

from __future__ import annotations

import json as json_module
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bolt_app.text import plain
from zendesk_bridge.flows.model import Problem, parse_time, utc_now

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: Whatever reads a pipe wants a line to be a line.
_PIPE_WIDTH = 10_000
#: From this width on, tables show what else there is.
_WIDE = 120
#: Panels are no wider: text is read in lines of this length.
_PANEL = 100

#: Said of runs and flows that nothing moves on.
NOTHING_RUNS = "No connector is running: nothing happens until `zendesk-connector serve` is started."
CHANGED_SINCE = "Its file was changed since it was read: `zendesk-connector flows sync` reads it again."
GOES_ON = "No connector is running: it goes on when `zendesk-connector serve` is started."

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
    "checking": "dim",
    "not_connected": "yellow",
}


def json(value: Any) -> None:
    """Prints JSON."""
    encoding = (sys.stdout.encoding or "utf-8").lower()
    text = json_module.dumps(value, indent=2, ensure_ascii=encoding not in ("utf-8", "utf8"))
    # What is left after JSON's own escapes stands inside strings.
    text = _CONTROL.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)
    sys.stdout.write(text + "\n")


def complaint(line: str) -> None:
    """A line to standard error."""
    print(" ".join(_clean(line).split("\n")), file=sys.stderr)


def done(line: str, then: str = "") -> None:
    """What a command has done, and what there is to do next."""
    _line(line, None)
    if then:
        _line(then, "yellow")


def backed_up(file: str, size: int, key_file: str | None) -> None:
    """What a backup has, and what it has not."""
    megabytes = size / 1e6
    _line(f"{file}: {megabytes:.1f} MB, whole. It holds what the history tells of people: keep it safe.", "green")
    key = key_file or "CONNECTOR_SECRET_KEY"
    _line(f"The key is not in it: keep {key} too, and apart from it.", "yellow")


def forgotten(answer: Mapping[str, Any]) -> None:
    """What was removed of somebody, and what was not."""
    counts = (f"{name} {answer[name]}" for name in ("runs", "steps", "events", "requests", "remembered"))
    _line(f"Removed: {', '.join(counts)}.", None)
    for each in answer["left"]:
        _line(f"Left: {each['run']}, which is {each['status']}.", "yellow")
    if answer["left"]:
        _line("End those with `zendesk-connector runs cancel RUN`, or wait; then ask again.", "yellow")
    _line("Backups made before still have it.", "dim")


def flows(rows: list[dict[str, Any]]) -> None:
    """The action flows, as a table."""
    console = _console()
    wide = console.width >= _WIDE
    names = ["Key", "Name", "State", "Last run", *(["Steps", "Trigger"] if wide else [])]
    table = _table(*names, whole=("State", "Last run", "Steps"))
    for row in rows:
        last = row["last_run"]
        state = "active" if row["active"] else "inactive"
        when = f"{last['status']} {_when(last['started_at'], short=not wide)}" if last else "never"
        cells = [row["key"], row["name"], state, when, *([str(row["steps"]), row["trigger"] or ""] if wide else [])]
        table.add_row(*(_cell(cell) for cell in cells))
    _print_table(console, table)
    for row in rows:
        if row["problem"]:
            _line(f"{row['key']}: {row['problem']} ({row['source']})", "red")
    good = [row["key"] for row in rows if not row["problem"]]
    if good and not any(row["active"] for row in rows):
        _line(f"No flow is active. Switch one on: zendesk-connector flows activate {good[0]}", "yellow")


def flow(row: dict[str, Any]) -> None:
    """One flow and its file."""
    state = "active" if row["active"] else "inactive"
    # Comments, so that what is printed is a flow file.
    _line(f"# {row['key']} (version {row['version']}, {state}, {row['source']})", "dim")
    if row["problem"]:
        _line(f"# {row['problem']}", "red")
    sys.stdout.write(_clean(row["text"]))


def problems(found: list[Problem]) -> None:
    """What is wrong with flow files, a line each."""
    for problem in found:
        _line(str(problem), None)
    if not found:
        _line("Nothing is wrong.", "green")


def synced(answer: Mapping[str, Any]) -> None:
    """What reading the folder again brought."""
    for problem in answer["problems"]:
        _line(str(Problem(**problem)), "red")
    _line(f"Known flows: {', '.join(answer['flows'])}", None)


def runs(rows: list[dict[str, Any]]) -> None:
    """Runs, as a table. On a terminal an id is cut to what still names it; `runs show` takes that."""
    if not rows:
        _line("No runs yet.", "dim")
        return
    console = _console()
    short = console.is_terminal
    ids = _shortest([row["id"] for row in rows]) if short else [row["id"] for row in rows]
    table = _table("Run", "Flow", "Status", "Started", "Took", "Remark", whole=("Status", "Started", "Took"))
    for run_id, row in zip(ids, rows, strict=True):
        remark = row["error"]["code"] if row["error"] else row["note"] or ""
        took = _took(row["started_at"], row["finished_at"])
        cells = [run_id, row["flow"], row["status"], _when(row["started_at"], short=short), took, remark]
        table.add_row(*(_cell(cell) for cell in cells))
    _print_table(console, table)


def _shortest(ids: list[str], least: int = 8) -> list[str]:
    """The beginning of each id that no other of them has."""
    in_order = sorted(ids)
    result = {}
    for before, this, after in zip(["", *in_order], in_order, [*in_order[1:], ""], strict=False):
        length = least
        while length < len(this) and (before.startswith(this[:length]) or after.startswith(this[:length])):
            length += 1
        result[this] = this[:length]
    return [result[each] for each in ids]


def run(row: dict[str, Any]) -> None:
    """One run with its steps."""
    _line(f"Run {row['id']}", "bold")
    event = "" if row["id"] == f"{row['event_id']}:{row['flow']}" else f", event {row['event_id']}"
    started = f", started {_when(row['started_at'])}" if row["started_at"] else ""
    _line(f"Flow {row['flow']}, version {row['version']}{event}{started}", None)
    _pairs("trigger", row["trigger"])
    for each in row["steps"]:
        step(each)
    run_end(row)


def ignored(row: dict[str, Any]) -> None:
    """Shows nothing of a step: all of them come in the end, as JSON."""


def step(row: dict[str, Any]) -> None:
    """One step: what went in, what came out, what went wrong."""
    _step_line(row)
    inputs, outputs = row["inputs"], row["outputs"]
    if row["action"].startswith("slack."):
        # As its reader sees it; and once.
        inputs = {name: plain(value) if isinstance(value, str) else value for name, value in inputs.items()}
        outputs = {name: value for name, value in outputs.items() if name != "message"}
    _pairs("in", inputs)
    # What comes out as it went in is said once.
    _pairs("out", {name: value for name, value in outputs.items() if row["inputs"].get(name) != value})
    if row["error"]:
        _error(row["error"])


def would_start(starts: bool) -> None:
    """Says of a test that its event would start nothing."""
    if not starts:
        _line("The trigger's conditions do not hold: such an event would start nothing. Tested all the same:", "yellow")


def step_in_brief(row: dict[str, Any]) -> None:
    """One step in three lines: that it ran, and the beginning of what went in and came out."""
    from rich.text import Text

    _step_line(row)
    for title, values in (("in ", row["inputs"]), ("out", row["outputs"])):
        pairs = [f"{_clean(name)}: {_shortened(_as_text(value))}" for name, value in _present(values)]
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
        (f"{_clean(row['key'])}  ", "bold"),
        (f"{_clean(row['action'])}  ", "dim"),
        (_clean(row["status"]).replace("_", " "), colour),
        (f"  {_took(row['started_at'], row['finished_at'])}", "dim"),
    )
    _console().print(words)


def run_end(row: dict[str, Any]) -> None:
    """How a run ended, or what it waits for."""
    _line(f"{row['status']}" + (f": {row['note']}" if row["note"] else ""), _COLOURS.get(row["status"]))
    # The step that failed has said it just before.
    if row["error"] and not (row["steps"] and row["steps"][-1]["error"] == row["error"]):
        _error(row["error"])


def test_end(row: dict[str, Any], served: bool) -> None:
    """How a test ended, and where to see more."""
    run_end(row)
    if row["id"] is None:
        _line("A dry run: nothing was sent or recorded.", "dim")
        return
    if row["status"] in ("queued", "running", "waiting"):
        _line("It goes on by itself." if served else GOES_ON, "yellow")
    _line(f"zendesk-connector runs show {row['id']}", "dim")


def connections(rows: list[dict[str, Any]], served: bool) -> None:
    """The connections, as a table."""
    if not rows:
        _line("Nothing is connected yet: start `zendesk-connector serve`, or see `zendesk-connector doctor`.", "dim")
        return
    console = _console()
    table = _table("Service", "Account", "Connected by", "Since", "Status", whole=("Service", "Since", "Status"))
    for row in rows:
        cells = [row["service"], row["account"] or "", row["connected_by"] or "", _when(row["since"]), row["status"]]
        table.add_row(*(_cell(cell) for cell in cells[:-1]), _cell(cells[-1], "red"))
    _print_table(console, table)
    for row in rows:
        if row["scopes"]:
            _line(f"Scopes of {row['service']}: {', '.join(row['scopes'])}", "dim")
    if not served:
        _line(
            "No connector is running: this is as it was last seen. `zendesk-connector doctor` tries it now.", "yellow"
        )


def findings(rows: list[dict[str, Any]]) -> None:
    """What the doctor found, as a table: what is wrong last, where it is seen."""
    table = _table("", "Setting", "From", "Value or finding", whole=("", "Setting", "From"))
    for row in sorted(rows, key=lambda row: not row["ok"]):
        mark = _cell("ok") if row["ok"] else _cell("✗", "red")
        table.add_row(mark, *(_cell(row[name], "") for name in ("name", "source", "message")))
    _print_table(_console(), table)
    wrong = sum(not row["ok"] for row in rows)
    _line(f"{wrong} to mend." if wrong else "All is well.", "red" if wrong else "green")


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

    console = _console()
    width = min(console.width, _PANEL) if console.is_terminal else _PANEL
    title = Text(_clean(f" Slack · Zendesk Connector → {recipient} "), style="bold")
    body = Text(_clean(text).rstrip("\n"))
    console.print(Panel(body, title=title, title_align="left", box=ROUNDED, padding=(1, 2), width=width))


def sandbox_verdict(problem: str | None) -> None:
    """Whether the right message arrived; what is wrong if not."""
    if problem is None:
        _line("Exactly the right message arrived, once.", "green")
    else:
        _line(f"Not what was to come: {problem}.", "red")


def sandbox_keys(database: str | None) -> None:
    """What can be done now."""
    if database:
        _line("\nThe history, from another terminal:", "dim")
        _line(f"CONNECTOR_DATABASE={database} zendesk-connector runs list", "dim")
    _line("a: assign another ticket   q: quit", "bold")


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def _table(*names: str, whole: tuple[str, ...] = ()) -> Table:
    """A table; the columns in `whole` are never broken into lines."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name in whole)
    return table


def _print_table(console: Console, table: Table) -> None:
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def _cell(value: str, otherwise: str = "") -> Text:
    from rich.text import Text

    # A row is a line, whatever is in its cells.
    text = " ".join(_clean(value).split("\n"))
    return Text(text, style=_COLOURS.get(value.split(" ")[0], otherwise))


def _line(text: str, style: str | None) -> None:
    """A line, or some. One with a command in it is left to the terminal to break, so that it can be copied whole."""
    from rich.text import Text

    console = _console()
    whole = not console.is_terminal or "zendesk-connector " in text
    console.print(Text(_clean(text), style=style or ""), soft_wrap=whole)


def _error(error: Mapping[str, str]) -> None:
    _line(f"  {error['code']}: {error['message']}", "red")
    if error.get("hint"):
        _line(f"  {error['hint']}", "yellow")


def _pairs(title: str, values: Mapping[str, Any]) -> None:
    from rich.text import Text

    console = _console()
    for name, value in _present(values):
        text = _clean(_as_text(value)).rstrip("\n")
        if "\n" in text:
            text = "\n" + "\n".join(f"  {line}".rstrip() for line in text.split("\n"))
        for line in Text.assemble((f"{title} {_clean(name)}: ", "dim"), text).wrap(console, max(console.width - 4, 20)):
            line.rstrip()
            console.print(Text("    ").append_text(line) if line.plain else line, soft_wrap=True)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)


def _present(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in values.items() if value not in (None, "", [], {}))


def _clean(text: str) -> str:
    """Without control characters: a ticket's text must not steer the terminal."""
    return _CONTROL.sub("�", text)


def _when(text: str | None, *, short: bool = False) -> str:
    """A time here; for a narrow column without the date if it is today, or else without seconds."""
    if not text:
        return ""
    moment = parse_time(text).astimezone()
    if not short:
        return moment.strftime("%Y-%m-%d %H:%M:%S")
    today = utc_now().astimezone().date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M")


def _took(started: str | None, finished: str | None) -> str:
    if not started or not finished:
        return ""
    seconds = (parse_time(finished) - parse_time(started)).total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
