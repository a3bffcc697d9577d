"""What the commands print for people. Text from tickets is shown as text: it cannot steer the terminal."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping
from typing import Any

from bolt_app.commands import terminal
from bolt_app.commands.values import as_read, in_a_line, lines_of, present
from bolt_app.views.words import took
from zendesk_bridge.flows.model import Problem

#: From this width on, there is room for what else tables show.
_WIDE = 150

#: Said of runs and flows that nothing moves on.
NOTHING_RUNS = "No connector is running: nothing happens until `zendesk-connector serve` is started."
CHANGED_SINCE = "Its file was changed since it was read: `zendesk-connector flows sync` reads it again."
GOES_ON = "No connector is running: it goes on when `zendesk-connector serve` is started."


def json(value: Any) -> None:
    """Prints JSON."""
    encoding = (sys.stdout.encoding or "utf-8").lower()
    text = json_module.dumps(value, indent=2, ensure_ascii=encoding not in ("utf-8", "utf8"))
    # What is left after JSON's own escapes stands inside strings.
    text = terminal.CONTROL.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)
    sys.stdout.write(text + "\n")


def complaint(line: str) -> None:
    """A line to standard error."""
    print(" ".join(terminal.clean(line).split("\n")), file=sys.stderr)


def done(line: str, then: str = "") -> None:
    """What a command has done, and what there is to do next."""
    terminal.say(line, None)
    if then:
        terminal.say(then, "yellow")


def backed_up(file: str, size: int, key_file: str | None) -> None:
    """What a backup has, and what it has not."""
    megabytes = size / 1e6
    terminal.say(
        f"{file}: {megabytes:.1f} MB, whole. It holds what the history tells of people: keep it safe.", "green"
    )
    key = key_file or "CONNECTOR_SECRET_KEY"
    terminal.say(f"The key is not in it: keep {key} too, and apart from it.", "yellow")


def forgotten(answer: Mapping[str, Any]) -> None:
    """What was removed of somebody, and what was not."""
    counts = (f"{name} {answer[name]}" for name in ("runs", "steps", "events", "requests", "remembered"))
    terminal.say(f"Removed: {', '.join(counts)}.", None)
    for each in answer["left"]:
        terminal.say(f"Left: {each['run']}, which is {each['status']}.", "yellow")
    if answer["left"]:
        terminal.say("End those with `zendesk-connector runs cancel RUN`, or wait; then ask again.", "yellow")
    terminal.say("Backups made before still have it.", "dim")


def flows(rows: list[dict[str, Any]]) -> None:
    """The action flows, as a table."""
    console = terminal.open_console()
    wide = console.width >= _WIDE
    names = ["Key", "Name", "State", "Last run", *(["Steps", "Trigger"] if wide else [])]
    table = terminal.new_table(*names, whole=("State", "Last run", "Steps"))
    for row in rows:
        last = row["last_run"]
        state = "active" if row["active"] else "inactive" if row["version"] or row["problem"] else "deleted"
        when = f"{last['status']} {terminal.when(last['started_at'], short=console.is_terminal)}" if last else "never"
        cells = [row["key"], row["name"], state, when, *([str(row["steps"]), row["trigger"] or ""] if wide else [])]
        table.add_row(*(terminal.cell(cell) for cell in cells))
    terminal.print_table(console, table)
    for row in rows:
        if row["problem"]:
            terminal.say(f"{row['key']}: {row['problem']} ({row['source']})", "red")
    good = [row["key"] for row in rows if row["version"] and not row["problem"]]
    if good and not any(row["active"] for row in rows):
        terminal.say(f"No flow is active. Switch one on: zendesk-connector flows activate {good[0]}", "yellow")


def flow(row: dict[str, Any]) -> None:
    """One flow and its file."""
    state = "active" if row["active"] else "inactive"
    # Comments, so that what is printed is a flow file.
    terminal.say(f"# {row['key']} (version {row['version']}, {state}, {row['source']})", "dim")
    if row["problem"]:
        terminal.say(f"# {row['problem']}", "red")
    text(row["text"])


def rehearsals(results: list[dict[str, Any]]) -> None:
    """Tests of flows, a line each; of those that fail, why."""
    for result in results:
        mark, style = ("ok", "green") if result["ok"] else ("✗", "red")
        terminal.say(f"{mark:3}{result['flow']}: {result['test']}", style)
        for difference in result["differences"]:
            terminal.say(f"   {difference}", None)
    failed = sum(not result["ok"] for result in results)
    terminal.say(f"{len(results) - failed} passed, {failed} failed", "red" if failed else "green")


def text(shown: str) -> None:
    """A text as it is, but for what would steer the terminal."""
    sys.stdout.write(terminal.clean(shown.replace("\r\n", "\n")))


def versions(rows: list[dict[str, Any]]) -> None:
    """The versions of a flow, as a table."""
    table = terminal.new_table("Version", "Since", "Runs", "")
    for row in rows:
        current = "current" if row["is_current"] else ""
        cells = [str(row["version"]), terminal.when(row["created_at"]), str(row["runs"]), current]
        table.add_row(*(terminal.cell(each) for each in cells))
    terminal.print_table(terminal.open_console(), table)


def problems(found: list[Problem]) -> None:
    """What is wrong with flow files, a line each."""
    for problem in found:
        terminal.say(str(problem), None)
    if not found:
        terminal.say("Nothing is wrong.", "green")


def synced(answer: Mapping[str, Any]) -> None:
    """What reading the folder again brought."""
    for problem in answer["problems"]:
        terminal.say(str(Problem(**problem)), "red")
    terminal.say(f"Known flows: {', '.join(answer['flows'])}", None)


def runs(rows: list[dict[str, Any]], *, are_all: bool = True) -> None:
    """Runs, as a table. On a terminal an id is cut to what still names it; `runs show` takes that."""
    if not rows:
        terminal.say("No runs yet." if are_all else "No such runs.", "dim")
        return
    console = terminal.open_console()
    short = console.is_terminal
    ids = _shortened([row["id"] for row in rows]) if short else [row["id"] for row in rows]
    table = terminal.new_table(
        "Run", "Flow", "Status", "Started", "Took", "Remark", whole=("Status", "Started", "Took")
    )
    for run_id, row in zip(ids, rows, strict=True):
        remark = row["error"]["code"] if row["error"] else row["note"] or ""
        times = terminal.when(row["started_at"], short=short), took(row["started_at"], row["finished_at"])
        cells = [run_id, row["flow"], row["status"], *times, remark]
        table.add_row(*(terminal.cell(cell) for cell in cells))
    terminal.print_table(console, table)


def failures(groups: list[dict[str, Any]]) -> None:
    """Failed runs by what failed."""
    if not groups:
        terminal.say("No failed runs.", "dim")
    for group in groups:
        times = "once" if group["count"] == 1 else f"{group['count']} times"
        step = f", step {group['step']}" if group["step"] else ""
        terminal.say(f"{group['flow']}{step}: {times}, last {terminal.when(group['last_at'])}", "bold")
        _error(group)
        terminal.say(f"  zendesk-connector runs show {group['run']}", "dim")


def _shortened(ids: list[str]) -> list[str]:
    """Each id cut to what still names it: the event's beginning, and the flow's where its event has several runs."""
    flows: dict[str, set[str]] = {}
    for event, _, flow in (run_id.partition(":") for run_id in ids):
        flows.setdefault(event, set()).add(flow)
    short_events = _beginnings({*flows}, least=8)
    short_flows = {event: _beginnings(each, least=1) for event, each in flows.items() if len(each) > 1}
    return [
        short_events[event] + (f":{short_flows[event][flow]}" if event in short_flows else "")
        for event, _, flow in (run_id.partition(":") for run_id in ids)
    ]


def _beginnings(names: set[str], *, least: int) -> dict[str, str]:
    """The beginning of each name that no other of them has."""
    in_order = sorted(names)
    result = {}
    for before, this, after in zip(["", *in_order], in_order, [*in_order[1:], ""], strict=False):
        length = least
        while length < len(this) and (before.startswith(this[:length]) or after.startswith(this[:length])):
            length += 1
        result[this] = this[:length]
    return result


def run_begin(row: Mapping[str, Any]) -> None:
    """Which run it is."""
    terminal.say(f"Run {row['id']}", "bold")
    event = "" if row["id"] == f"{row['event_id']}:{row['flow']}" else f", event {row['event_id']}"
    started = f", started {terminal.when(row['started_at'])}" if row["started_at"] else ""
    terminal.say(f"Flow {row['flow']}, version {row['version']}{event}{started}", None)


def step(row: dict[str, Any], *, message_follows: bool = False) -> None:
    """One step: what went in, what came out, what went wrong.

    Args:
        message_follows: its message is shown later, as it looks in Slack.
    """
    _step_line(row)
    inputs, outputs = as_read(row)
    if message_follows and "message" in inputs:
        inputs["message"] = "(below, as Slack shows it)"
    _pairs("in", inputs)
    _pairs("out", outputs)
    if row["error"]:
        _error(row["error"])


def would_start(starts: bool) -> None:
    """Says of a test that its event would start nothing."""
    if not starts:
        terminal.say(
            "The trigger's conditions do not hold: such an event would start nothing. Tested all the same:", "yellow"
        )


def step_in_brief(row: dict[str, Any]) -> None:
    """One step in three lines: that it ran, and the beginning of what went in and came out."""
    from rich.text import Text

    _step_line(row)
    for title, values in (("in ", row["inputs"]), ("out", row["outputs"])):
        pairs = [f"{terminal.clean(name)}: {in_a_line(value)}" for name, value in present(values)]
        if pairs:
            words = Text(f"    {title} {', '.join(pairs)}", style="dim")
            terminal.open_console().print(words, no_wrap=True, overflow="ellipsis")
    if row["error"]:
        _error(row["error"])


def _step_line(row: dict[str, Any]) -> None:
    from rich.text import Text

    colour = terminal.COLOURS.get(row["status"], "")
    words = Text.assemble(
        ("● ", colour),
        (f"{terminal.clean(row['key'])}  ", "bold"),
        (f"{terminal.clean(row['action'])}  ", "dim"),
        (terminal.clean(row["status"]).replace("_", " "), colour),
        (f"  {took(row['started_at'], row['finished_at'])}".rstrip(), "dim"),
    )
    terminal.open_console().print(words)


def run_end(row: Mapping[str, Any]) -> None:
    """How a run ended, or what it waits for."""
    terminal.say(f"{row['status']}" + (f": {row['note']}" if row["note"] else ""), terminal.COLOURS.get(row["status"]))
    # The step that failed has said it before.
    if row["error"] and not any(step["error"] == row["error"] for step in row["steps"]):
        _error(row["error"])


def test_end(row: dict[str, Any], served: bool, nothing_left: str | None) -> None:
    """Where to see more of a test.

    Args:
        nothing_left: said of a test of which nothing is recorded.
    """
    if nothing_left is not None:
        terminal.say(nothing_left, "dim")
        return
    if row["status"] in ("queued", "running", "waiting"):
        terminal.say("It goes on by itself." if served else GOES_ON, "yellow")
    terminal.say(f"zendesk-connector runs show {row['id']}", "dim")


def remark(line: str) -> None:
    """What there is to know of a test, beside its steps."""
    terminal.say(line, "yellow")


def sandbox_opened(slack: str, zendesk: str, connector: str) -> None:
    """What the sandbox has started."""
    terminal.say("A Slack and a Zendesk in memory, and the connector between them:", "bold")
    for name, address in (("Zendesk", zendesk), ("connector", connector), ("Slack", slack)):
        terminal.say(f"  {name:10}{address}", "dim")


def sandbox_assigns(ticket_id: int, subject: str, agent: str) -> None:
    """What happens in Zendesk."""
    terminal.say(f"\nZendesk: ticket {ticket_id} “{subject}” is assigned to {agent}", "bold")


def sandbox_delivered(statuses: list[int | None]) -> None:
    """How the connector answered the webhook."""
    answers = ", ".join("stored (200)" if status == 200 else str(status) for status in statuses)
    terminal.say(f"Zendesk's signed webhook was answered: {answers}", None)


def sandbox_verdict(problem: str | None) -> None:
    """Whether the right message arrived; what is wrong if not."""
    if problem is None:
        terminal.say("Exactly the right message arrived, once.", "green")
    else:
        terminal.say(f"Not what was to come: {problem}.", "red")


def sandbox_keys(database: str | None) -> None:
    """What can be done now."""
    if database:
        terminal.say("\nThe history, from another terminal:", "dim")
        terminal.say(f"CONNECTOR_DATABASE={database} zendesk-connector runs list", "dim")
    terminal.say("a: assign another ticket   q: quit", "bold")


def _error(error: Mapping[str, str]) -> None:
    terminal.say(f"  {error['code']}: {error['message']}", "red")
    if error.get("hint"):
        terminal.say(f"  {error['hint']}", "yellow")


def _pairs(title: str, values: Mapping[str, Any]) -> None:
    from rich.text import Text

    console = terminal.open_console()
    for name, value in present(values):
        for head, text in lines_of(f"{title} {name}", value):
            indent = "    " + (head if head.isspace() else "")
            words = Text.assemble(("" if head.isspace() else head, "dim"), text)
            for line in words.wrap(console, max(console.width - len(indent), 20)):
                line.rstrip()
                console.print(Text(indent).append_text(line) if line.plain else line, soft_wrap=True)
