"""Runs: the list, and one of them with its steps."""

from __future__ import annotations

import json
from typing import Any

from bolt_app.text import plain
from bolt_app.views import ids
from bolt_app.views.words import (
    TEXT,
    VIEW_BLOCKS,
    VIEW_BYTES,
    Block,
    Message,
    View,
    actions,
    button,
    code,
    context,
    cut_plain,
    divider,
    dump,
    header,
    mark,
    message,
    modal,
    safe,
    section,
    size,
    took,
    when,
)

#: Runs that a person may have done again.
RETRYABLE = ("failed", "cancelled")
#: Characters of one value in a modal, and of a step's values in all.
VALUE, VALUES = 700, 2_000

Run = dict[str, Any]
Step = dict[str, Any]


def run_list(runs: list[Run], *, flow: str | None, offset: int, more: bool, admin: bool) -> Message:
    """A page of runs, newest first.

    Args:
        runs: those on the page, as `runs list --json` has them.
        flow: the key of the flow whose runs they are; None: of all flows.
        more: whether there are older ones.
        admin: whether whoever reads it may see more than the error's code.
    """
    of = f" of {flow}" if flow else ""
    if not runs:
        words = f"No runs{f' of {code(flow)}' if flow else ''} yet." if not offset else "No older runs."
        return message(f"No runs{safe(of)} yet.", [section(words)])
    blocks = [header(f"Runs{of}")]
    for run in runs:
        blocks += run_rows(run, admin=admin, with_flow=flow is None)
    turns = []
    if offset:
        turns.append(button("‹ Newer", ids.RUNS_PAGE, _page(flow, max(0, offset - 10))))
    if more:
        turns.append(button("Older ›", ids.RUNS_PAGE + ids.NEXT, _page(flow, offset + len(runs))))
    return message(f"Runs{safe(of)}", [*blocks, *actions(turns)])


def run_rows(run: Run, *, admin: bool, with_flow: bool = True) -> list[Block]:
    """One run in a list."""
    name = f"{code(run['flow'])}  " if with_flow else ""
    line = f"{mark(run['status'])} {name}{run['status']}"
    if run["started_at"]:
        line += f" · {when(run['started_at'])}"
    if duration := took(run["started_at"], run["finished_at"]):
        line += f" · {duration}"
    if run["error"]:
        line += f" · {code(run['error']['code'])}"
    if not admin:
        return [section(line)]
    if run["error"]:
        line += f"\n{_sentences(run['error'], 300)}"
    elif run["note"]:
        line += f"\n{safe(run['note'])}"
    details = button("Details", ids.RUN_SHOW, run["id"])
    if run["status"] not in RETRYABLE:
        return [section(line, details)]
    return [section(line), *actions([details, button("Retry", ids.RUN_RETRY, run["id"])])]


def run_modal(run: Run, *, title: str = "Run") -> View:
    """One run with its steps: for admins.

    Args:
        run: as `runs show --json` has it.
    """
    blocks = [section(_headline(run))]
    # The step that failed says it in its place.
    if run["error"] and not (run["steps"] and run["steps"][-1]["error"] == run["error"]):
        blocks += error_rows(run["error"])
    if run["status"] in RETRYABLE and run["id"]:
        blocks += actions([button("Retry", ids.RUN_RETRY, run["id"])])
    if run["trigger"]:
        blocks += [divider(), context("*Trigger*"), dump(_lines(run["trigger"]))]
    return modal(title, within_view([*blocks, divider()], run))


def within_view(blocks: list[Block], run: Run) -> list[Block]:
    """Some blocks, and after them as many steps of a run as a view holds."""
    blocks = list(blocks)
    room = VIEW_BYTES - size(blocks)
    for place, step in enumerate(run["steps"]):
        rows = step_rows(step)
        room -= size(rows)
        if len(blocks) + len(rows) > VIEW_BLOCKS - 1 or room < 0:
            left = len(run["steps"]) - place
            command = f"zendesk-connector runs show {run['id'] or ''}".strip()
            blocks.append(context(f"… {left} more steps: {code(command, 300)} on the connector's host"))
            break
        blocks += rows
    return blocks


def step_rows(step: Step) -> list[Block]:
    """One step: what went in, what came out, what went wrong."""
    facts = [f"{mark(step['status'])} *{safe(step['key'])}*", code(step["action"]), step["status"].replace("_", " ")]
    if duration := took(step["started_at"], step["finished_at"]):
        facts.append(duration)
    if step["attempts"] > 1:
        facts.append(f"{step['attempts']} attempts")
    rows = [section(" · ".join(facts))]
    inputs, outputs = step["inputs"], step["outputs"]
    if step["action"].startswith("slack."):
        # As its reader sees it; and once.
        inputs = {name: plain(value) if isinstance(value, str) else value for name, value in inputs.items()}
        outputs = {name: value for name, value in outputs.items() if name != "message"}
    values = [("in", inputs), ("out", {n: value for n, value in outputs.items() if step["inputs"].get(n) != value})]
    text = "\n".join(f"{title}\n{_lines(given)}" for title, given in values if _present(given))
    if text:
        rows.append(dump(text))
    if step["error"]:
        rows += error_rows(step["error"])
    return rows


def error_rows(error: dict[str, str]) -> list[Block]:
    """What went wrong, and what to do."""
    return [section(f"{code(error['code'])}  {_sentences(error, 600)}")]


def _sentences(error: dict[str, str], most: int) -> str:
    """The message and the hint as sentences."""
    message = safe(error["message"], most).rstrip(". ")
    return f"{message}. {safe(error['hint'], most)}".strip()


def _headline(run: Run) -> str:
    line = f"{mark(run['status'])} *{run['status']}*  {code(run['flow'])}"
    if run["version"]:
        line += f" version {run['version']}"
    if run["started_at"]:
        line += f" · {when(run['started_at'])}"
    if duration := took(run["started_at"], run["finished_at"]):
        line += f" · {duration}"
    if run["note"]:
        line += f"\n{safe(run['note'])}"
    return f"{line}\nevent {code(run['event_id'], 300)}"


def _present(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in values.items() if value not in (None, "", [], {})]


def _lines(values: dict[str, Any]) -> str:
    """Values a line each, as they are; what is long is cut."""
    lines = []
    for name, value in _present(values):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append(f"• {name}: {cut_plain(text, VALUE)}")
    return cut_plain("\n".join(lines), min(VALUES, TEXT))


def _page(flow: str | None, offset: int) -> str:
    return json.dumps({"flow": flow, "offset": offset})
