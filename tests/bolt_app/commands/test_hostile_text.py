"""Text from tickets, flows and services on a terminal: it is shown, and steers nothing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bolt_app.commands import accounts, display, messages, path
from bolt_app.markup import spans
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.flows.outline import Outline, Way
from zendesk_bridge.sandbox import ZendeskServer, people

Type = Callable[..., Awaitable[Any]]
StartConnector = Callable[..., Awaitable[Connector]]

RECIPE = "notify-assigned-agents"
HOSTILE = (
    "a\x1b[31m\x1b]0;title\x07b\x9b2Jc\u202ed\u2066e\u2028f\x7f\rg\u061c [red]h[/red] [link=file:///x]i[/link]\x1b[2A"
)
#: What is left once a terminal's own colours are taken out.
STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
FLOW = f"""
key: hostile
name: {HOSTILE.encode("unicode_escape").decode().join('""')}
description: {HOSTILE.encode("unicode_escape").decode().join('""')}
active: true
trigger: {{event: zendesk.ticket_agent_assignment_changed}}
steps:
  - {{key: ticket, action: zendesk.look_up_ticket, inputs: {{ticket_id: "{{{{ trigger.ticket_id }}}}"}}}}
"""


def test_the_hostile_text_holds_all_that_steers() -> None:
    assert len(set(STEERING.findall(HOSTILE))) == 9


@pytest.mark.parametrize("on_terminal", [True, False])
async def test_no_command_lets_text_steer_the_terminal(
    on_terminal: bool,
    settings: Settings,
    shell: Path,
    start_connector: StartConnector,
    zendesk: ZendeskServer,
    type_in: Type,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if on_terminal:
        request.getfixturevalue("terminal")
    (shell / "flows").mkdir()
    (shell / "flows" / "hostile.yml").write_text(FLOW)
    (shell / "flows" / "\x1b[2Jbad\u202e.yml").write_text("key: [")
    connector = await start_connector(connector_flows=shell / "flows")
    zendesk.state.users[people.MIRA].update({"name": HOSTILE, "notes": f"{HOSTILE}\n{HOSTILE}"})
    ticket = zendesk.state.add_ticket(HOSTILE, f"{HOSTILE}\n\n{HOSTILE}", requester_id=people.MIRA)
    told = await zendesk.assign(ticket["id"], people.NOOR)
    event = told.event["id"]
    await connector.sides.bridge.idle()
    shown = ""
    for command in (
        ("runs", "list"),
        ("runs", "show", f"{event}:{RECIPE}"),
        ("runs", "show", f"{event}:{RECIPE}", "--json"),
        ("runs", "show", f"{event}:hostile"),
        ("flows", "list"),
        ("flows", "show", "hostile"),
        ("flows", "check"),
        ("flows", "test", RECIPE, "--ticket", str(ticket["id"]), "--dry"),
        ("flows", "test", RECIPE, "--ticket", str(ticket["id"])),
        ("flows", "test", RECIPE, "--past", event, "--sandbox"),
        ("connections", "list"),
        ("doctor",),
    ):
        said = await type_in(*command)
        own = said.out if "--json" in command or not on_terminal else COLOURS.sub("", said.out)
        assert STEERING.findall(own) == [], command
        assert STEERING.findall(said.err) == [], command
        shown += own
    assert "[red]h[/red]" in re.sub(r"\s+", "", shown)
    assert f"{event}:{RECIPE}"[:8] in shown


@pytest.mark.parametrize("on_terminal", [True, False])
def test_what_the_sandbox_and_the_parts_show_is_harmless(
    on_terminal: bool, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    if on_terminal:
        request.getfixturevalue("terminal")
    hostile = f"{HOSTILE}\nmore"
    error = {"code": hostile, "message": hostile, "hint": hostile}
    step: dict[str, Any] = {"key": hostile, "action": hostile, "status": hostile, "started_at": None}
    step |= {"finished_at": None, "inputs": {hostile: hostile}, "outputs": {hostile: [hostile]}, "error": error}
    run = {"id": hostile, "flow": hostile, "version": 1, "event_id": hostile, "status": hostile, "note": hostile}
    run |= {"started_at": None, "finished_at": None, "error": error, "trigger": {hostile: hostile}, "steps": [step]}
    display.sandbox_assigns(1, hostile, hostile)
    messages.panel(hostile, spans(hostile), hostile)
    messages.show([messages.Sending(step=hostile, sent=True, to=hostile, reaction=hostile, about=hostile)], {})
    display.remark(hostile)
    display.sandbox_verdict(hostile)
    display.step_in_brief(step)
    display.step(step)
    path.show(run, ())
    inside = (Outline(key=hostile, action=hostile),)
    for action, outputs in (("branch", {"case": hostile}), ("loop", {"items": [hostile, hostile]})):
        steps = [{**step, "action": action, "outputs": outputs, "error": None}]
        steps += [{**step, "key": f"{hostile}[1].{hostile}", "started_at": "2026-01-31T09:30:00Z"}]
        ways = (Way(name=hostile, steps=inside), Way(name="else", steps=inside))
        node = Outline(key=hostile, action=action, ways=ways)
        unreached = Outline(key=f"{hostile}2", action=hostile)
        path.show({**run, "status": "failed", "steps": steps}, (node, unreached))
    display.runs([run])
    display.complaint(hostile)
    accounts.findings([{"name": hostile, "source": hostile, "ok": False, "message": hostile}])
    said = capsys.readouterr()
    assert STEERING.findall(COLOURS.sub("", said.out) if on_terminal else said.out) == []
    assert STEERING.findall(said.err) == []
    assert len(said.err.splitlines()) == 1
    assert "[red]h[/red]" in re.sub(r"\s+", "", said.out)


def test_in_a_pipe_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"id": "a\nb", "flow": "f", "status": "failed", "started_at": None, "finished_at": None, "note": "x\ny"}
    display.runs([{**row, "error": None}, {**row, "error": None, "id": "c"}])
    assert len(capsys.readouterr().out.splitlines()) == 4
