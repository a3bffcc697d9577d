"""What `flows import`, `sync` and `delete` print of flow files for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bolt_app.commands import terminal
from zendesk_bridge.flows.model import Problem

_COLOURS = {"new": "green", "changed": "yellow", "removed": "red"}


def refused(problems: list[dict[str, Any]]) -> None:
    """What is wrong with files that were therefore not taken."""
    _problems(problems)
    terminal.say("Nothing was changed.", "yellow")


def brought(answer: Mapping[str, Any]) -> None:
    """What became of each flow, and what there is to do."""
    if answer["made"]:
        terminal.say(f"The folder {answer['folder']} was made.", None)
    rows = answer["flows"]
    there = {row["key"] for row in rows if row["state"] != "removed"}
    for row in rows:
        if row["state"] == "removed" and row["key"] in there:
            terminal.say(f"{row['key']}: {row['file']} removed, which had its key too", "red")
        else:
            terminal.say(f"{row['key']}: {_became(row)}", _COLOURS.get(row["state"]))
    for test in answer["tests"]:
        terminal.say(f"{test['file']}: {test['state']}", _COLOURS.get(test["state"]))
    _problems(answer["problems"])
    came = [row for row in rows if row["state"] in ("new", "changed")]
    idle = [row["key"] for row in came if not row["active"] and not row["file_decides"]]
    if len(idle) == 1:
        terminal.say(f"Switch it on: zendesk-connector flows activate {idle[0]}", "yellow")
    elif idle:
        terminal.say("Switch one on: zendesk-connector flows activate KEY", "yellow")


def _became(row: Mapping[str, Any]) -> str:
    if row["state"] == "removed":
        if row["source"] == "recipe":
            return "removed; the recipe of this key is there again, inactive"
        return "removed; it starts nothing more, and its history stays"
    version = f"version {row['version']}" if row["is_new_version"] else f"still version {row['version']}"
    if row["state"] == "unchanged":
        version = f"version {row['version']}"
    active = "active" if row["active"] else "inactive"
    return f"{row['state']}, {version}, {active}" + (", as its file says" if row["file_decides"] else "")


def compared(found: Mapping[str, Any]) -> None:
    """What the files of a folder would change."""
    for flow in found["flows"]:
        state = flow["state"]
        words = "would be removed" if state == "removed" else state
        if state == "changed" and not flow["diff"]:
            words = "changed, in the ends of its lines only"
        terminal.say(f"{flow['key']}: {words} ({flow['file']})", _COLOURS.get(state))
        for line in flow["diff"].splitlines():
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "dim")
            terminal.say(f"  {line}".rstrip(), style)
    _problems(found["problems"])
    if not found["flows"] and not found["problems"]:
        terminal.say("There is no flow file.", "dim")


def depending(found: Mapping[str, Any]) -> None:
    """What depends on a flow that is to be deleted."""
    state = "active" if found["active"] else "inactive"
    owner = f", owner {found['owner']}" if found["owner"] else ""
    version = f"version {found['version']}, " if found["version"] else ""
    terminal.say(f"{found['key']} ({version}{state}{owner})", "bold")
    files = [*found["files"], *([found["tests"]] if found["tests"] else [])]
    terminal.say(f"  to be removed: {', '.join(files)}" if files else "  its file is gone already", None)
    by_status = found["open_runs"]
    if by_status:
        counts = ", ".join(f"{number} {status}" for status, number in by_status.items())
        terminal.say(f"  runs that have not ended: {counts}. They keep their version and go on", "yellow")
    stay = f"{found['runs']} runs" if found["runs"] != 1 else "1 run"
    versions = f"{found['versions']} versions" if found["versions"] != 1 else "1 version"
    terminal.say(f"  in the history, and staying there: {stay}, {versions}", None)
    if found["recipe"]:
        terminal.say("  the recipe of this key, which its file stands before, comes to light, inactive", "yellow")


def deleted(found: Mapping[str, Any]) -> None:
    """What was deleted, and where the rest is."""
    terminal.say(f"{found['key']} is deleted.", "green")
    if found["recipe"]:
        terminal.say(f"The recipe {found['key']} is in its place, inactive.", None)
    elif found["open_runs"]:
        terminal.say("It is listed as deleted until its runs have ended.", None)
    if found["versions"]:
        terminal.say(f"What it was: zendesk-connector flows history {found['key']}", "dim")


def _problems(problems: list[dict[str, Any]]) -> None:
    for problem in problems:
        terminal.say(str(Problem(**problem)), "red")
