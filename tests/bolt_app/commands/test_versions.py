"""The versions of a flow, and flows as files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Type = Callable[..., Awaitable[Any]]


def a_flow(channel: str) -> str:
    return (
        "# why it is there\nkey: mine\nname: A flow\ntrigger:\n"
        "  event: zendesk.ticket_agent_assignment_changed\nsteps:\n"
        f"  - key: post\n    action: slack.post_message_to_channel\n"
        f'    inputs: {{channel: "{channel}", message: "About {{{{ trigger.subject }}}}"}}\n'
    )


@pytest.fixture
async def versions(empty_shell: Path, type_in: Type) -> None:
    """A flow that was changed once."""
    folder = empty_shell / "flows"
    folder.mkdir()
    for channel in ("#support", "#escalations"):
        (folder / "mine.yml").write_text(a_flow(channel))
        assert (await type_in("flows", "sync")).code == 0


async def test_versions_are_listed_newest_first(versions: None, type_in: Type) -> None:
    rows = (await type_in("flows", "history", "mine", "--json")).json
    assert [(row["version"], row["is_current"], row["runs"]) for row in rows] == [(2, True, 0), (1, False, 0)]
    assert rows[0]["created_at"] > rows[1]["created_at"]
    said = await type_in("flows", "history", "mine")
    assert "current" in said.out.splitlines()[2]


async def test_an_earlier_version_is_shown_as_it_was(versions: None, type_in: Type) -> None:
    assert (await type_in("flows", "show", "mine", "--version", "1")).out == a_flow("#support")
    assert (await type_in("flows", "show", "mine", "--version", "1", "--json")).json["text"] == a_flow("#support")
    said = await type_in("flows", "show", "mine", "--version", "3")
    assert (said.code, said.err.splitlines()[0]) == (1, "Flow 'mine' has no version 3.")


async def test_what_changed_is_shown_as_a_diff(versions: None, type_in: Type) -> None:
    lines = (await type_in("flows", "diff", "mine")).out.splitlines()
    assert lines[:2] == ["--- mine (version 1)", "+++ mine (version 2)"]
    changed = [line for line in lines[2:] if line[0] in "+-"]
    assert [line[0] for line in changed] == ["-", "+"]
    assert "#support" in changed[0]
    assert "#escalations" in changed[1]
    back = (await type_in("flows", "diff", "mine", "2", "1")).out
    assert back.startswith("--- mine (version 2)")
    assert (await type_in("flows", "diff", "mine", "2", "2")).out == "Nothing differs.\n"


@pytest.mark.parametrize("command", ["history", "diff"])
async def test_a_mistyped_key_is_told_so(versions: None, type_in: Type, command: str) -> None:
    said = await type_in("flows", command, "mne")
    assert (said.code, "Did you mean 'mine'?" in said.err) == (1, True)


async def test_a_flow_without_an_earlier_version_says_so(versions: None, type_in: Type) -> None:
    said = await type_in("flows", "diff", "notify-assigned-agents")
    assert (said.code, "no version before 1" in said.err) == (1, True)


async def test_flows_are_written_into_a_folder_as_they_are(versions: None, type_in: Type, empty_shell: Path) -> None:
    said = await type_in("flows", "export", "copies/here")
    assert said.code == 0
    folder = empty_shell / "copies" / "here"
    assert {path.name for path in folder.iterdir()} == {"mine.yml", "notify-assigned-agents.yml"}
    assert (folder / "mine.yml").read_text() == a_flow("#escalations")
    assert (await type_in("flows", "check", str(folder))).code == 0
    assert (await type_in("flows", "export", "copies/here")).code == 0  # nothing differs
    (folder / "mine.yml").write_text("my own work")
    said = await type_in("flows", "export", "copies/here")
    assert (said.code, "--force" in said.err) == (1, True)
    assert (folder / "mine.yml").read_text() == "my own work"
    assert (await type_in("flows", "export", "copies/here", "--force")).code == 0
    assert (folder / "mine.yml").read_text() == a_flow("#escalations")
