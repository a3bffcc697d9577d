"""The modals in which an action flow is tested."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bolt_app.text import escape
from bolt_app.views import ids
from bolt_app.views.runs import error_rows, within_view
from bolt_app.views.words import (
    WARNING,
    Block,
    View,
    code,
    context,
    cut,
    cut_plain,
    divider,
    mark,
    modal,
    plain_text,
    safe,
    section,
)

#: Characters of what somebody may type to change the trigger's variables.
CHANGES = 1_000

_HOW = (
    ("dry", "Dry run", "Reads are real, messages are shown instead of sent."),
    ("real", "For real", "Messages are sent. You are asked once more."),
)


def form(flow: Mapping[str, Any], *, variables: list[dict[str, str]]) -> View:
    """Asks with what a flow is to be tested.

    Args:
        flow: as `flows show --json` has it.
        variables: those of its trigger, as `{name, type, description}`.
    """
    names = ", ".join(each["name"] for each in variables)
    options = [
        {"text": plain_text(title, 75), "value": value, "description": plain_text(what, 75)}
        for value, title, what in _HOW
    ]
    blocks: list[Block] = [
        section(f"*{safe(flow['name'], 200)}*  {code(flow['key'])}"),
        {
            "type": "input",
            "block_id": "ticket",
            "label": plain_text("Ticket"),
            "hint": plain_text("Its number, or the address of its page: as if it were assigned to its assignee now."),
            "element": _field("ticket", placeholder="4021"),
        },
        {
            "type": "input",
            "block_id": "changes",
            "optional": True,
            "label": plain_text("Other values of the trigger's variables"),
            "hint": plain_text(f"One a line, for instance priority: high. There are {names}.", 2_000),
            "element": _field("changes", multiline=True, max_length=CHANGES),
        },
        {
            "type": "input",
            "block_id": "how",
            "label": plain_text("How"),
            "element": {"type": "radio_buttons", "action_id": "how", "options": options, "initial_option": options[0]},
        },
    ]
    metadata = json.dumps({"flow": flow["key"]})
    return _asking("Test an action flow", "Test", blocks, callback_id=ids.TEST_FORM, private_metadata=metadata)


def warning(flow: Mapping[str, Any], *, ticket: str, changes: str) -> View:
    """Asks once more before a test sends messages."""
    text = (
        f"{WARNING} This runs *{safe(flow['name'], 200)}* for real, with ticket {safe(ticket, 100)}.\n"
        "Its messages are sent, to the people and channels it names. That cannot be taken back."
    )
    about = {"flow": flow["key"], "ticket": cut_plain(ticket, 300), "changes": cut_plain(changes, CHANGES)}
    metadata = json.dumps(about, ensure_ascii=False)
    return _asking(
        "Send messages?", "Send for real", [section(text)], callback_id=ids.TEST_WARNING, private_metadata=metadata
    )


def under_way(flow_name: str, *, steps: list[dict[str, Any]], dry: bool) -> View:
    """A test that is under way, with the steps so far."""
    blocks = [
        section(f"{mark('running')} *{safe(flow_name, 200)}* {'dry run' if dry else 'run'} under way…"),
        divider(),
    ]
    return modal("Testing", within_view(blocks, {"steps": steps, "id": None}))


def ended(run: Mapping[str, Any], *, flow_name: str, dry: bool, starts: bool) -> View:
    """How a test ended, step by step, and what was or would be sent.

    Args:
        run: as `runs show --json` has it; a dry run's steps that would send have the status `not_sent`.
        starts: whether such an event would start the flow.
    """
    line = f"{mark(run['status'])} *{safe(flow_name, 200)}* {run['status']}"
    if run["note"]:
        line += f": {safe(run['note'])}"
    blocks = [section(line)]
    if dry:
        blocks.append(context("A dry run: nothing was sent or recorded."))
    elif run["status"] in ("queued", "running", "waiting"):
        blocks.append(context("It goes on by itself: `/action-flows runs` shows how it ends."))
    if not starts:
        words = "The trigger's conditions do not hold: such an event would start nothing. Tested all the same."
        blocks.append(context(f"{WARNING} {words}"))
    if run["error"] and not (run["steps"] and run["steps"][-1]["error"] == run["error"]):
        blocks += error_rows(run["error"])
    for step in run["steps"]:
        blocks += _sending(step, dry=dry)
    steps = [_without_message(step) if _sending(step, dry=dry) else step for step in run["steps"]]
    return modal("Test", within_view([*blocks[:40], divider()], {**run, "steps": steps}))


def not_tested(flow_name: str, message: str, hint: str) -> View:
    """A test that could not be made."""
    words = f"{WARNING} *{safe(flow_name, 200)}* was not tested.\n{safe(message, 1_000)}"
    return modal("Test", [section(f"{words}\n{safe(hint, 1_000)}".strip())])


def not_shown(flow_name: str) -> View:
    """A test whose result Slack did not take."""
    words = f"{WARNING} *{safe(flow_name, 200)}* was tested, and Slack does not show the result."
    return modal("Test", [section(f"{words}\nThe connector's log says why; `/action-flows runs` shows real runs.")])


def _sending(step: Mapping[str, Any], *, dry: bool) -> list[Block]:
    """What a step sends, as its reader sees it; nothing of a step that sends nothing."""
    text = step["inputs"].get("message") or step["inputs"].get("text")
    if not step["action"].startswith("slack.") or not isinstance(text, str) or not text.strip():
        return []
    if step["status"] not in ("not_sent", "succeeded"):
        return []
    to = step["inputs"].get("email") or step["inputs"].get("channel") or step["inputs"].get("user_id") or "?"
    # Markup, its values escaped already when it was rendered.
    return [
        divider(),
        context(f"{'Would go' if dry else 'Went'} to {escape(str(to)[:200])}:"),
        section(cut(text, 2_900)),
    ]


def _without_message(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step whose message is shown already."""
    inputs = {name: value for name, value in step["inputs"].items() if name not in ("message", "text")}
    return {**step, "inputs": inputs}


def _field(action_id: str, *, placeholder: str = "", **more: Any) -> Block:
    field: Block = {"type": "plain_text_input", "action_id": action_id, **more}
    return field | ({"placeholder": plain_text(placeholder, 150)} if placeholder else {})


def _asking(title: str, submit: str, blocks: list[Block], **more: Any) -> View:
    view = modal(title, blocks, submit={"type": "plain_text", "text": submit}, **more)
    return {**view, "close": {"type": "plain_text", "text": "Cancel"}}
