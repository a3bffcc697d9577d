"""Action flows: the list, and one of them."""

from __future__ import annotations

import json
from typing import Any

from bolt_app.views import ids
from bolt_app.views.words import (
    WARNING,
    Block,
    Message,
    actions,
    button,
    code,
    context,
    cut,
    file_text,
    header,
    mark,
    message,
    safe,
    section,
    when,
)

#: Flows on a page.
PAGE = 8

Flow = dict[str, Any]


def flow_list(flows: list[Flow], *, offset: int, admin: bool, page: int = PAGE) -> Message:
    """A page of the flows, each with its state, its trigger and its last run.

    Args:
        flows: all of them, as `flows list --json` has them.
        admin: whether whoever reads it may switch and test.
    """
    if not flows:
        return message("There is no action flow yet.", [section("There is no action flow yet.")])
    offset = offset if offset < len(flows) else 0
    shown = flows[offset : offset + page]
    active = sum(bool(flow["active"]) for flow in flows)
    title = f"{len(flows)} action flow{'s' if len(flows) > 1 else ''}, {active} active"
    blocks = [header(title)]
    for flow in shown:
        blocks += flow_rows(flow, admin=admin)
    before, after = max(0, offset - page), offset + page
    turns = []
    if offset:
        turns.append(button("‹ Before", ids.FLOWS_PAGE, _page(before)))
    if after < len(flows):
        turns.append(button(f"{len(flows) - after} more ›", ids.FLOWS_PAGE + ids.NEXT, _page(after)))
    return message(title, [*blocks, *actions(turns)])


def flow_rows(flow: Flow, *, admin: bool) -> list[Block]:
    """One flow in a list."""
    state = "active" if flow["active"] else "inactive"
    lines = [f"{mark(state)} *{safe(flow['name'], 200)}*   {code(flow['key'])}", f"{state} · {trigger_words(flow)}"]
    lines.append(last_run_words(flow))
    if flow["problem"]:
        lines.append(f"{WARNING} {safe(problem_words(flow, admin=admin))}")
    return [section("\n".join(lines)), *actions(flow_buttons(flow, admin=admin))]


def trigger_words(flow: Flow) -> str:
    """What starts a flow."""
    title = flow.get("trigger_title") or flow["trigger"]
    if title:
        return f"when: {safe(title, 150)}"
    return "cannot start: its file is wrong" if flow["problem"] else "was deleted, and has runs that have not ended"


def last_run_words(flow: Flow) -> str:
    """A flow's last run and how it ended."""
    last = flow["last_run"]
    if not last:
        return "has not run yet"
    wrong = f" ({code(last['error']['code'])})" if last.get("error") else ""
    at = f" {when(last['started_at'])}" if last["started_at"] else ""
    return f"last run{at}: {mark(last['status'])} {last['status']}{wrong}"


def problem_words(flow: Flow, *, admin: bool) -> str:
    """What is wrong with a flow's file. It may quote the file, which is for admins."""
    return str(flow["problem"]) if admin else "its file is wrong"


def flow_buttons(flow: Flow, *, admin: bool, alone: bool = False) -> list[Block]:
    """What may be done with a flow.

    Args:
        alone: whether it is not one of a list: then switching it shows it again, not the list.
    """
    key, end = flow["key"], ids.ALONE if alone else ""
    row = []
    if admin and flow["version"]:
        if flow.get("file_decides"):
            pass
        elif flow["active"]:
            ask = f"{flow['name']} then starts on nothing until it is switched on again."
            row.append(button("Switch off", ids.FLOW_DEACTIVATE + end, key, confirm=ask))
        else:
            row.append(button("Switch on", ids.FLOW_ACTIVATE + end, key, style="primary"))
        row.append(button("Test…", ids.FLOW_TEST, key))
    row.append(button("Runs", ids.FLOW_RUNS, key))
    return row if alone else [*row, button("Details", ids.FLOW_SHOW, key)]


def flow_shown(flow: Flow, *, admin: bool) -> Message:
    """One flow.

    Args:
        flow: as `flows show --json` has it.
        admin: whether whoever reads it may see its file.
    """
    state = "active" if flow["active"] else "inactive"
    facts = [
        f"{mark(state)} {state}",
        trigger_words(flow),
        f"{flow['steps']} step{'s' if flow['steps'] != 1 else ''}",
        f"version {flow['version']}",
    ]
    lines = [f"*{safe(flow['name'], 200)}*   {code(flow['key'])}", " · ".join(facts)]
    if flow.get("description"):
        lines.append(safe(flow["description"], 1_000))
    lines.append(last_run_words(flow))
    if flow["problem"]:
        lines.append(f"{WARNING} {safe(problem_words(flow, admin=admin))}")
    blocks = [section("\n".join(lines))]
    small = []
    if flow["owner"]:
        small.append(f"owner: {safe(flow['owner'])}")
    if admin:
        small.append(f"from: {safe(flow['source'])}")
        if flow.get("file_decides"):
            small.append("its file decides whether it is active")
    if small:
        blocks.append(context(*small))
    blocks += actions(flow_buttons(flow, admin=admin, alone=True))
    if admin and flow.get("text"):
        blocks.append(file_text(flow["text"]))
    return message(cut(f"{safe(flow['name'], 200)}: {state}", 500), blocks)


def _page(offset: int) -> str:
    return json.dumps({"flow": None, "offset": offset})
