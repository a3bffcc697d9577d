"""Tests of flows that lie beside them: `flows test --all`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Type = Callable[..., Awaitable[Any]]

FLOW = """\
key: tags
name: Tells of tags
trigger:
  event: zendesk.ticket_agent_assignment_changed
  conditions:
    all: [{variable: trigger.assignee_id, operator: is_present}]
steps:
  - {key: ticket, action: zendesk.look_up_ticket, inputs: {ticket_id: "{{ trigger.ticket_id }}"}}
  - key: way
    branch:
      - when: {all: [{variable: ticket.priority, operator: is, value: low}]}
        steps: [{key: enough, stop: {message: not urgent}}]
  - key: each
    loop:
      each: "{{ ticket.tags }}"
      steps:
        - key: tell
          action: slack.post_message_to_channel
          inputs: {channel: "#support", message: "{{ index }} {{ item }}"}
"""

TESTS = """\
tests:
  - name: every tag is told
    given: {ticket_id: "7"}
    answers:
      ticket: {ticket_id: "7", priority: high, tags: [vip, billing]}
    expect:
      calls: ["each[1].tell", "each[2].tell"]
      inputs:
        ticket: {ticket_id: "7"}
        "each[2].tell": {message: 2 billing}
  - name: nobody is told of tickets that are not urgent
    answers:
      ticket: {priority: low}
    expect: {note: not urgent, calls: [], steps: {ticket: succeeded}}
  - name: an unassigned ticket starts nothing
    given: {assignee_id: null}
    expect: {status: not_started}
  - name: a ticket that is gone fails the run
    answers:
      ticket: {error: {code: not_found, message: It is gone}}
    expect: {status: failed, error: not_found, steps: {ticket: failed}}
"""


@pytest.fixture
def folder(empty_shell: Path) -> Path:
    folder = empty_shell / "flows"
    folder.mkdir()
    (folder / "tags.yml").write_text(FLOW)
    (folder / "tags.test.yml").write_text(TESTS)
    return folder


async def test_tests_beside_a_flow_are_run_without_any_service(folder: Path, type_in: Type) -> None:
    said = await type_in("flows", "test", "--all")
    assert said.code == 0, said.out
    lines = said.out.splitlines()
    assert lines[0] == "ok tags: every tag is told"
    assert lines[-1] == "4 passed, 0 failed"
    results = (await type_in("flows", "test", "tags", "--all", "--json")).json
    assert [result["ok"] for result in results] == [True] * 4
    assert [step["key"] for step in results[0]["steps"]][-1] == "each[2].tell"
    assert (await type_in("flows", "check")).code == 0  # they are no flow files


WRONG = {
    'calls: ["each[1].tell", "each[2].tell"]': (
        "calls: []",
        "calls: expected none; there were each[1].tell, each[2].tell",
    ),
    "{message: 2 billing}": ("{message: billing}", "input message: 'billing' was expected, '2 billing'"),
    "note: not urgent": ("note: urgent", "note: 'urgent' was expected, 'not urgent'"),
    "{status: not_started}": ("{}", "status: succeeded was expected, it was not started"),
    "error: not_found,": ("error: forbidden,", "error: forbidden was expected, not_found"),
    "      ticket: {priority: low}": (
        "      ticket: {priority: low}\n      tickt: {}",
        "answers: there is no step 'tickt'",
    ),
    "{priority: low}": (
        "{priority: low, subjct: Hi}",
        "answers: 'ticket' has no variable 'subjct' (did you mean 'subject'?)",
    ),
    "ticket: {priority: low}": (
        "ticket: {priority: Low}",
        "answers: ticket.priority is never 'Low': it is low, normal, high or urgent (did you mean 'low'?)",
    ),
    "given: {assignee_id: null}": (
        "given: {assignee_id: null, priorty: high}",
        "given: 'trigger' has no variable 'priorty' (did you mean 'priority'?)",
    ),
    "steps: {ticket: succeeded}": ("steps: {each: succeeded}", "step each: succeeded was expected, did not run"),
    'ticket: {ticket_id: "7", priority: high, tags: [vip, billing]}': (
        "way: {}",
        "no_answer: Step 'ticket': The test has no answer",
    ),
}


@pytest.mark.parametrize("right", WRONG)
async def test_what_does_not_come_of_it_is_said(folder: Path, type_in: Type, right: str) -> None:
    wrong, words = WRONG[right]
    assert right in TESTS
    (folder / "tags.test.yml").write_text(TESTS.replace(right, wrong))
    said = await type_in("flows", "test", "--all")
    assert said.code == 1
    assert words.replace("no_answer: Step 'ticket': ", "") in " ".join(said.out.split()), said.out
    assert said.out.splitlines()[-1] == "3 passed, 1 failed"


async def test_a_file_of_tests_that_is_wrong_is_told_with_its_line(folder: Path, type_in: Type) -> None:
    (folder / "tags.test.yml").write_text(TESTS.replace("    given:", "    gven:", 1))
    said = await type_in("flows", "test", "--all")
    assert (said.code, said.err.splitlines()[0]) == (
        1,
        "flows/tags.test.yml:3: test 1, gven: there is no such field (did you mean 'given'?).",
    )


async def test_without_tests_there_is_a_sentence(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("flows", "test", "--all")
    assert (said.code, "There are no tests of flows" in said.err) == (1, True)
    said = await type_in("flows", "test")
    assert (said.code, "give its KEY, or --all" in " ".join(said.err.split())) == (2, True)
