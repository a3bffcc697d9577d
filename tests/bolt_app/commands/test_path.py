"""`runs show`: the way a run took, as a tree."""

from __future__ import annotations

import io
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bolt_app.commands import path
from zendesk_bridge.flows.outline import Outline, Way

Type = Callable[..., Awaitable[Any]]

FLOW = """
key: mine
name: A flow
trigger:
  event: zendesk.ticket_agent_assignment_changed
steps:
  - key: way
    branch:
      - when: {all: [{variable: trigger.priority, operator: is, value: urgent}]}
        steps: [{key: now_then, set: {a: 1}}]
      - when: {all: [{variable: trigger.priority, operator: is, value: high}]}
        steps: [{key: soon, set: {greeting: Hello}}]
    else:
      - {key: rest, wait: {days: 1}}
      - {key: later, set: {a: 1}}
  - key: lost
    action: slack.find_user
    inputs: {email: "nobody@acme.example"}
    on_error: [{key: instead, set: {name: Nobody}}]
  - key: each
    loop:
      each: "{{ trigger.tags }}"
      steps:
        - {key: note, set: {item: "{{ item }}", same: always}}
        - key: check
          branch:
            - when: {all: [{variable: note.item, operator: is, value: bad}]}
              steps:
                - {key: send, action: slack.find_user, inputs: {email: "nobody@acme.example"}}
                - {key: never, set: {a: 1}}
  - {key: end, set: {a: 1}}
"""


@pytest.fixture
async def show(shell: Path, type_in: Type) -> Callable[..., Awaitable[list[str]]]:
    """Runs the flow with other values of its trigger's variables; the lines of `runs show` below the trigger's."""
    (shell / "flows").mkdir()
    (shell / "flows" / "mine.yml").write_text(FLOW)
    await type_in("flows", "sync")

    async def run(*changes: str, more: tuple[str, ...] = ()) -> list[str]:
        typed = [word for change in changes for word in ("--with", change)]
        await type_in("flows", "test", "mine", "--sample", *typed)
        newest = (await type_in("runs", "list", "--json", "--limit", "1")).json[0]["id"]
        said = await type_in("runs", "show", newest, *more)
        assert (said.code, said.err) == (0, "")
        lines: list[str] = said.screen
        assert all(line == line.rstrip() for line in lines)
        return lines[next(number for number, line in enumerate(lines) if line.startswith("● ")) :]

    return run


def untimed(lines: list[str]) -> list[str]:
    """Lines without the times at their ends."""
    return [line.rpartition("  ")[0] if line.endswith(" ms") else line for line in lines]


async def test_the_way_that_was_taken_is_drawn(show: Any) -> None:
    assert untimed(await show("tags=vip, bad")) == [
        "● way  branch  case 2 of 2",
        "├─ ● soon  set  succeeded",
        "│      out greeting: Hello",
        "└─ not taken: case 1 (now_then), else (rest, later)",
        "● lost  slack.find_user  skipped",
        "│   in email: nobody@acme.example",
        "│   users_not_found: Slack answered users_not_found to users.lookupByEmail",
        "│   Check that the e-mail address is that of an active Slack account.",
        "└─ because it failed",
        "   └─ ● instead  set  succeeded",
        "          out name: Nobody",
        "● each  loop  2 passes, failed",
        "├─ pass 1: vip  succeeded",
        "│  ├─ ● note  set  succeeded",
        "│  │      out item: vip",
        "│  │      out same: always",
        "│  └─ ● check  branch  no case holds",
        "│     └─ not taken: case 1 (send, never)",
        "└─ pass 2: bad  failed",
        "   ├─ ● note  set  succeeded",
        "   │      out item: bad",
        "   └─ ● check  branch  case 1 of 1",
        "      └─ ● send  slack.find_user  failed",
        "             in email: nobody@acme.example",
        "             users_not_found: Slack answered users_not_found to users.lookupByEmail",
        "             Check that the e-mail address is that of an active Slack account.",
        "Not reached: each[2].never, end",
        "failed",
    ]


async def test_many_passes_are_folded_but_for_the_first_and_those_that_failed(show: Any, type_in: Type) -> None:
    lines = untimed(await show("tags=a,b,c,d,e,f,bad,h,i"))
    passes = [line[3:] for line in lines if line.startswith(("├─ pass", "└─ pass", "└─ 2 pass"))]
    assert passes == [
        "pass 1: a  succeeded",
        "pass 2: b  succeeded",
        "pass 3: c  succeeded",
        "passes 4 to 6: succeeded",
        "pass 7: bad  failed",
        "2 passes not reached",
    ]
    assert lines[-1] == "Shortened: `runs show --all` and `--json` have all of it."
    whole = untimed(await show("tags=a,b,c,d,e,f,bad,h,i", more=("--all",)))
    assert sum(": " in line and "pass " in line for line in whole) == 7
    assert whole[-1] == "failed"


async def test_a_run_that_waits_shows_what_is_still_to_come(show: Any) -> None:
    lines = await show("priority=low", "tags=x")
    assert untimed(lines[:2]) == ["● way  branch  else", "├─ ● rest  wait  waiting"]
    assert lines[2].startswith("│      in until: 20")
    assert lines[3] == "└─ not taken: case 1 (now_then), case 2 (soon)"
    assert lines[4] == "Not reached: later, lost, each, end"
    assert lines[5].startswith("waiting: waits until ")


async def test_a_run_that_succeeded_names_nothing_as_not_reached(show: Any) -> None:
    lines = await show("tags=")
    assert "● each  loop  0 passes" in lines
    assert not any("reached" in line for line in lines)
    assert lines[-1] == "succeeded"


async def test_on_a_narrow_terminal_no_line_is_too_long_and_nothing_steers_it(show: Any, terminal: None) -> None:
    lines = await show(f"tags=bad {chr(27)}[2J{'very ' * 40}long,bad", "subject=" + "word " * 300)
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    assert any(line.startswith("│  │        very") for line in lines), "what is broken goes on under its beginning"


async def test_json_is_as_ever(show: Any, type_in: Type) -> None:
    await show("tags=a")
    (run,) = (await type_in("runs", "list", "--json")).json
    shown = (await type_in("runs", "show", run["id"], "--json")).json
    assert set(shown) == {*run, "trigger", "steps"}
    keys = [step["key"] for step in shown["steps"]]
    assert keys == ["way", "soon", "lost", "instead", "each", "each[1].note", "each[1].check", "end"]


# Runs as the history may have them


def a_step(key: str, action: str = "set", status: str = "succeeded", **fields: Any) -> dict[str, Any]:
    return {
        "key": key,
        "action": action,
        "status": status,
        "inputs": {},
        "outputs": {},
        "error": None,
        "attempts": 1,
        "started_at": "2026-01-31T09:30:00.000000Z",
        "finished_at": "2026-01-31T09:30:00.002000Z",
        **fields,
    }


def a_run(*steps: dict[str, Any], status: str = "succeeded", **trigger: Any) -> dict[str, Any]:
    run = {"id": "e:f", "flow": "f", "version": 1, "event_id": "e", "status": status, "note": None, "error": None}
    return {**run, "started_at": None, "finished_at": None, "trigger": trigger, "steps": list(steps)}


INSIDE = (Outline(key="a", action="set"), Outline(key="b", action="set"))
LOOP = (Outline(key="each", action="loop", ways=(Way(name="pass", steps=INSIDE),)),)


def test_passes_that_ran_at_the_same_time_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["each[2].a", "each[1].a", "each[1].b", "each[3].a", "each[2].b"]
    steps = [a_step(key, outputs={"x": key[5]}) for key in keys]
    path.show(a_run(a_step("each", "loop", outputs={"items": ["k", "l", "m"]}), *steps), LOOP)
    lines = untimed(capsys.readouterr().out.splitlines())
    assert lines[2:] == [
        "● each  loop  3 passes",
        "├─ pass 1: k  succeeded",
        "│  ├─ ● a  set  succeeded",
        "│  │      out x: 1",
        "│  └─ ● b  set  succeeded",
        "│         out x: 1",
        "├─ pass 2: l  succeeded",
        "│  ├─ ● a  set  succeeded",
        "│  │      out x: 2",
        "│  └─ ● b  set  succeeded",
        "│         out x: 2",
        "└─ pass 3: m  succeeded",
        "   └─ ● a  set  succeeded",
        "          out x: 3",
        "succeeded",
    ]


def test_a_pass_shows_what_is_no_longer_there_and_what_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    error = {"code": "lost", "message": "It is lost", "hint": "Look for it"}
    steps = [
        a_step("each[1].a", outputs={"x": "1", "y": "2"}, error=error, status="skipped"),
        a_step("each[2].a", outputs={"x": "1"}, error=error, status="skipped", attempts=3),
        a_step("each[3].a", outputs={"x": "1"}),
    ]
    path.show(a_run(a_step("each", "loop", outputs={"items": ["k", "l", "m"]}), *steps), LOOP)
    lines = [line.strip("│├└─ ") for line in untimed(capsys.readouterr().out.splitlines())]
    assert lines[5:8] == ["out x: 1", "out y: 2", "lost: It is lost"]
    assert lines[8:12] == ["Look for it", "pass 2: l  succeeded", "● a  set  skipped, try 3", "out y: (empty)"]
    assert lines[12] == "lost, as before"
    assert lines[15] == "as before"


@pytest.mark.parametrize("outline", [(), (Outline(key="other", action="set"),)], ids=["none", "another"])
def test_steps_that_the_flow_does_not_know_are_shown_all_the_same(
    outline: tuple[Outline, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    path.show(a_run(a_step("each[1].a"), a_step("way", "branch", outputs={"case": 2})), outline)
    lines = untimed(capsys.readouterr().out.splitlines())
    assert lines[2:] == ["● each[1].a  set  succeeded", "● way  branch  succeeded", "    out case: 2", "succeeded"]


def test_a_long_text_is_shortened_and_says_where_the_rest_is(capsys: pytest.CaptureFixture[str]) -> None:
    lines = "\n".join(map(str, range(1, 41)))
    run = a_run(a_step("a", outputs={"x": "y" * 1501, "lines": lines}), subject="z" * 2000, both=f"a\n{'b' * 2000}\nc")
    path.show(run, ())
    out = capsys.readouterr().out
    assert f"    trigger subject: {'z' * 1500}… (500 more characters)\n" in out
    assert f"\n      {'b' * 1499}… (2 more lines)\n" in out
    assert f"    out x: {'y' * 1500}… (1 more character)\n" in out
    assert "\n      24\n      … (16 more lines)\n" in out
    assert out.splitlines()[-1] == "Shortened: `runs show --all` and `--json` have all of it."
    path.show(run, (), everything=True)
    out = capsys.readouterr().out
    assert "z" * 2000 in out
    assert "      40\n" in out
    assert "Shortened" not in out


def test_where_there_are_no_lines_to_draw_with_others_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    steps = [a_step(f"each[{number}].a") for number in (1, 2)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace"))
        path.show(a_run(a_step("each", "loop", outputs={"items": ["k", "l"]}), *steps), LOOP)
        sys.stdout.flush()
        shown = raw.getvalue().decode()
    assert "\n|- pass 1: k" in shown
    assert "\n`- pass 2: l" in shown
