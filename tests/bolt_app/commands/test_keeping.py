"""Flow files come, go and are kept in git: `flows import`, `export`, `sync FOLDER`, `sync --check`, `delete`."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import typer

Type = Callable[..., Awaitable[Any]]
StartConnector = Callable[..., Awaitable[Any]]

RECIPE = "notify-assigned-agents"


def a_flow(key: str = "mine", channel: str = "#support", more: str = "") -> str:
    return (
        f"# Über this flow: why it is there\nkey: {key}\nname: A flow\n{more}trigger:\n"
        "  event: zendesk.ticket_agent_assignment_changed\nsteps:\n"
        f"  - key: post\n    action: slack.post_message_to_channel\n"
        f'    inputs: {{message: "About {{{{ trigger.subject }}}}", channel: "{channel}"}}  # ☕\n'
    )


TESTS = """\
tests:
  - name: it is posted
    given: {subject: Grinder}
    expect: {calls: [post]}
"""


@pytest.fixture
def repo(empty_shell: Path) -> Path:
    """A checkout with two flows and a file of tests."""
    repo = empty_shell / "repo"
    repo.mkdir()
    (repo / "a file of mine.yml").write_text(a_flow())
    (repo / "other.yml").write_bytes(a_flow("other").replace("\n", "\r\n").encode())
    (repo / "mine.test.yml").write_text(TESTS)
    return repo


def files(folder: str = "flows") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def make(folder: str) -> None:
    Path(folder).mkdir(parents=True)


def write(file: str, text: str) -> None:
    Path(file).write_text(text, encoding="utf-8")


def remove(file: str) -> None:
    Path(file).unlink()


async def listed(type_in: Type) -> dict[str, dict[str, Any]]:
    return {flow["key"]: flow for flow in (await type_in("flows", "list", "--json")).json}


def rows(statement: str, *values: Any, database: str = "zendesk-connector.db") -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(database)
    with connection:
        found = [tuple(row) for row in connection.execute(statement, values)]
    connection.close()
    return found


# import


async def test_files_are_taken_in_byte_for_byte_with_their_tests(repo: Path, type_in: Type) -> None:
    said = await type_in("flows", "import", "repo")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "The folder flows was made.",
        "mine: new, version 1, inactive",
        "other: new, version 1, inactive",
        "flows/mine.test.yml: new",
        "Switch one on: zendesk-connector flows activate KEY",
    ]
    assert files() == {
        "mine.test.yml": TESTS.encode(),
        "mine.yml": (repo / "a file of mine.yml").read_bytes(),
        "other.yml": (repo / "other.yml").read_bytes(),
    }
    assert (await type_in("flows", "test", "--all")).out.splitlines()[-1] == "1 passed, 0 failed"


async def test_what_is_there_already_is_told_and_changed_only_by_force(repo: Path, type_in: Type) -> None:
    await type_in("flows", "import", "repo")
    await type_in("flows", "activate", "mine")
    again = await type_in("flows", "import", "repo")
    assert again.out.splitlines()[:2] == ["mine: unchanged, version 1, active", "other: unchanged, version 1, inactive"]
    (repo / "a file of mine.yml").write_text(a_flow(channel="#escalations"))
    before = files()
    said = await type_in("flows", "import", "repo")
    assert (said.code, said.lines[0]) == (1, "flows/mine.yml: there already, and not the same.")
    assert files() == before
    said = await type_in("flows", "import", "repo/a file of mine.yml", "--force")
    assert said.out.splitlines()[0] == "mine: changed, version 2, active"
    (repo / "a file of mine.yml").write_text("# another remark\n" + a_flow(channel="#escalations"))
    said = await type_in("flows", "import", "repo", "--force")
    assert said.out.splitlines()[0] == "mine: changed, still version 2, active"


async def test_a_file_of_another_name_with_the_key_is_the_one_replaced(repo: Path, type_in: Type) -> None:
    make("flows")
    write("flows/named so.yml", a_flow(channel="#old"))
    said = await type_in("flows", "import", "repo/a file of mine.yml", "--force", "--json")
    assert [(row["file"], row["state"]) for row in said.json["flows"]] == [("flows/named so.yml", "changed")]
    assert set(files()) == {"named so.yml", "mine.test.yml"}


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "an input that there is not": (
        {"bad.yml": a_flow("bad").replace("message:", "mesage:")},
        "repo/bad.yml:9: step post, input mesage: ",
    ),
    "a key that is there twice": (
        {"copy.yml": a_flow("other")},
        "repo/copy.yml:1: the key 'other' is also in repo/other",
    ),
    "no YAML": ({"bad.yml": "\t"}, "repo/bad.yml:1: "),
    "no UTF-8": ({"bad.yml": "\udce9"}, "repo/bad.yml:1: the file cannot be read: it is not in UTF-8"),
    "much too large": ({"bad.yml": "# " + "x" * 600_000}, "repo/bad.yml:1: the file cannot be read: it has more than"),
    "wrong tests": ({"mine.test.yml": TESTS.replace("given", "gven")}, "repo/mine.test.yml:3: test 1, gven: "),
}


@pytest.mark.parametrize("command", [["import"], ["import", "--force"], ["sync"]], ids=" ".join)
@pytest.mark.parametrize("name", WRONG)
async def test_where_one_file_is_wrong_none_is_taken(repo: Path, type_in: Type, name: str, command: list[str]) -> None:
    make("flows")
    write("flows/there.yml", a_flow("there"))
    wrong, told = WRONG[name]
    for file, text in wrong.items():
        (repo / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    before = files()
    said = await type_in("flows", *command, "repo")
    assert said.code == 1
    assert any(line.startswith(told) for line in said.out.splitlines()), said.out
    assert said.out.splitlines()[-1] == "Nothing was changed."
    assert files() == before


async def test_what_is_no_flow_file_is_told_so(repo: Path, type_in: Type) -> None:
    make("empty")
    for typed, told in (
        (["nowhere.yml"], "There is no file or folder nowhere.yml."),
        (["empty"], "empty has no flow file. There is nothing to import."),
        (["x" * 300], "File name too long"),
    ):
        said = await type_in("flows", "import", *typed)
        assert (said.code, told in said.err) == (1, True), said.err
    assert "There are some in repo: name that folder." in (await type_in("flows", "import", ".")).err
    assert "flows" not in os.listdir()


async def test_a_place_that_is_taken_is_left_alone(repo: Path, type_in: Type) -> None:
    make("flows/mine.yml")
    write("flows/other.yml", a_flow("somebody-elses"))
    said = await type_in("flows", "import", "repo", "--force")
    assert (said.code, "its place flows/mine.yml is taken by something else (rename flows/mine.yml)" in said.out) == (
        1,
        True,
    )
    assert "its place flows/other.yml is taken" in said.out
    assert set(os.listdir("flows")) == {"mine.yml", "other.yml"}


async def test_a_link_out_of_a_folder_is_not_followed(repo: Path, type_in: Type) -> None:
    write("secret.yml", a_flow("secret"))
    (repo / "secret.yml").symlink_to(repo.parent / "secret.yml")
    for command in (["import"], ["sync"], ["sync", "--check"]):
        said = await type_in("flows", *command, "repo")
        assert (said.code, "repo/secret.yml:1: it is a link that leads out of repo" in said.out) == (1, True)
    assert (await type_in("flows", "import", "secret.yml")).code == 0


async def test_the_same_file_named_twice_is_one_file(repo: Path, type_in: Type) -> None:
    said = await type_in("flows", "import", "repo", "repo/../repo/other.yml", "repo/mine.test.yml", "--json")
    assert said.code == 0
    assert [row["key"] for row in said.json["flows"]] == ["mine", "other"]
    assert said.json["tests"] == [{"file": "flows/mine.test.yml", "state": "new"}]


async def test_a_full_disk_changes_nothing(repo: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if target.name == "other.yml":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    said = await type_in("flows", "import", "repo")
    assert (said.code, said.lines[0]) == (
        1,
        "flows cannot be written: No space left on device. Nothing was changed.",
    )
    assert "flows" not in os.listdir()


async def test_what_is_wrong_with_the_database_is_found_before_anything_is_written(repo: Path, type_in: Type) -> None:
    await type_in("flows", "list")
    rows(
        "insert into _sqlite_migrations(migration_set, name, applied_at)"
        " values ('zendesk_connector', 'm999_from_the_future', '2030-01-01')"
    )
    for command in ("import", "sync"):
        said = await type_in("flows", command, "repo")
        assert (said.code, "newer version" in said.err) == (2, True)
    assert "flows" not in os.listdir()


async def test_a_folder_forgotten_in_the_settings_switches_nothing_off(
    repo: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("elsewhere")
    monkeypatch.setenv("CONNECTOR_FLOWS", "elsewhere")
    await type_in("flows", "import", "repo")
    await type_in("flows", "activate", "mine")
    monkeypatch.delenv("CONNECTOR_FLOWS")
    said = await type_in("flows", "import", "repo/other.yml")
    assert said.code == 1
    assert said.lines[0] == "There is no folder flows here, and flow 'mine' has the file elsewhere/mine.yml."
    assert "flows" not in os.listdir()
    assert (await listed(type_in))["mine"]["active"]


async def test_a_running_connector_without_a_folder_reads_the_one_that_is_made(
    shell: Path, repo: Path, type_in: Type, start_connector: StartConnector
) -> None:
    connector = await start_connector()
    said = await type_in("flows", "import", "repo")
    assert said.out.splitlines()[1] == "mine: new, version 1, inactive"
    assert {flow.key for flow in connector.sides.bridge.library.all()} == {"mine", "other", RECIPE}


async def test_a_connector_that_reads_another_folder_is_not_left_out(
    shell: Path, repo: Path, type_in: Type, start_connector: StartConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("theirs")
    await start_connector(connector_flows=repo.parent / "theirs")
    for command in ("import", "sync"):
        said = await type_in("flows", command, "repo")
        assert (said.code, said.lines[0]) == (
            1,
            f"The running connector reads {shell}/theirs, and here it would be {shell}/flows.",
        )
        assert f"CONNECTOR_FLOWS={shell}/theirs" in said.lines[1]
    assert "flows" not in os.listdir()
    monkeypatch.setenv("CONNECTOR_FLOWS", "theirs")
    assert (await type_in("flows", "import", "repo")).code == 0


# export, and back


async def test_what_was_exported_comes_back_as_it_was(repo: Path, type_in: Type) -> None:
    await type_in("flows", "import", "repo")
    (repo / "a file of mine.yml").write_text(a_flow() + "# only a remark more\n")
    await type_in("flows", "import", "repo", "--force")
    said = await type_in("flows", "export", "copies")
    assert said.out.splitlines() == [
        *("copies/mine.yml", "copies/mine.test.yml", f"copies/{RECIPE}.yml", "copies/other.yml"),
    ]
    exported = files("copies")
    assert {name: exported[name] for name in files()} == files()
    assert exported["mine.yml"].endswith(b"# only a remark more\n")
    for name in files():
        remove(f"flows/{name}")
    said = await type_in("flows", "import", "copies")
    assert said.out.splitlines()[0] == "mine: new, still version 1, inactive"
    assert files() == exported
    assert rows("select distinct version from flow_versions") == [(1,)]
    said = await type_in("flows", "sync", "--check", "copies", "--json")
    assert {flow["state"] for flow in said.json["flows"]} == {"unchanged"}


async def test_an_export_does_not_double_the_key_of_a_file_of_another_name(repo: Path, type_in: Type) -> None:
    make("flows")
    write("flows/named so.yml", a_flow())
    await type_in("flows", "sync")
    assert (await type_in("flows", "export", "flows")).code == 0
    assert set(files()) == {"named so.yml", f"{RECIPE}.yml"}


# sync


async def test_the_folder_becomes_equal_to_another(repo: Path, type_in: Type) -> None:
    make("flows")
    for name, text in {
        "gone.yml": a_flow("gone"),
        "gone.test.yml": TESTS,
        "wrong.yml": "\t",
        "mine.yml": a_flow(channel="#old"),
        "notes.txt": "mine",
    }.items():
        write(f"flows/{name}", text)
    await type_in("flows", "sync")
    await type_in("flows", "activate", "gone")
    await type_in("flows", "activate", "mine")
    said = await type_in("flows", "sync", "repo")
    assert said.code == 0
    assert said.out.splitlines() == [
        "gone: removed; it starts nothing more, and its history stays",
        "mine: changed, version 2, active",
        "other: new, version 1, inactive",
        "wrong: removed; it starts nothing more, and its history stays",
        "flows/gone.test.yml: removed",
        "flows/mine.test.yml: new",
        "Switch it on: zendesk-connector flows activate other",
    ]
    assert set(files()) == {"mine.yml", "mine.test.yml", "other.yml", "notes.txt"}
    gone = (await listed(type_in))["gone"]
    assert (gone["active"], gone["problem"]) == (False, "its file is gone")
    states = {row["key"]: row["state"] for row in (await type_in("flows", "sync", "repo", "--json")).json["flows"]}
    assert states == {"mine": "unchanged", "other": "unchanged"}


async def test_a_name_that_becomes_free_is_taken(repo: Path, type_in: Type) -> None:
    make("flows")
    write("flows/mine.yml", a_flow("gone"))
    write("flows/twice a.yml", a_flow("other"))
    write("flows/twice b.yml", a_flow("other"))
    said = await type_in("flows", "sync", "repo")
    assert said.code == 0, said.out
    assert set(files()) == {"mine.yml", "mine.test.yml", "twice a.yml"}
    assert files()["mine.yml"] == a_flow().encode()
    assert "other: flows/twice b.yml removed, which had its key too" in said.out


@pytest.mark.parametrize("name", ["empty", ".", "nowhere"])
async def test_a_folder_without_flow_files_removes_none(repo: Path, type_in: Type, name: str) -> None:
    make("empty")
    await type_in("flows", "import", "repo")
    before = files()
    for command in (["sync"], ["sync", "--check"]):
        said = await type_in("flows", *command, name)
        assert said.code == 1
        assert "no flow file" in said.err or said.lines[0] == "There is no folder nowhere."
    assert files() == before
    if name == "empty":
        assert (await type_in("flows", "sync", "empty", "--force")).code == 0
        assert files() == {}


async def test_the_folder_itself_is_read_again(repo: Path, type_in: Type) -> None:
    await type_in("flows", "import", "repo")
    said = await type_in("flows", "sync", str(repo.parent / "flows"))
    assert (said.code, said.out) == (0, f"Known flows: mine, {RECIPE}, other\n")
    said = await type_in("flows", "sync", "--force")
    assert (said.code, "--force goes with a FOLDER" in said.err) == (2, True)


# sync --check


async def test_a_repository_is_checked_without_a_database_or_any_account(
    repo: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_FLOWS", "repo")
    for typed in (["repo"], []):
        said = await type_in("flows", "sync", "--check", *typed)
        assert (said.code, said.out) == (0, "mine: new (repo/a file of mine.yml)\nother: new (repo/other.yml)\n")
    assert (await type_in("flows", "test", "--all")).code == 0
    assert set(os.listdir()) == {"repo"}  # nothing was made
    (repo / "bad.yml").write_text(a_flow("bad").replace("message:", "mesage:"))
    said = await type_in("flows", "sync", "--check", "repo", "--json")
    assert said.code == 1
    assert said.json["flows"][0] == {"key": "mine", "file": "repo/a file of mine.yml", "state": "new", "diff": ""}
    assert said.json["problems"][0]["file"] == "repo/bad.yml"
    assert (await type_in("flows", "sync", "--check", "repo")).out.splitlines()[2].startswith("repo/bad.yml:9: ")


async def test_a_check_says_what_would_change_and_changes_nothing(repo: Path, type_in: Type) -> None:
    await type_in("flows", "import", "repo")
    before = files()
    (repo / "a file of mine.yml").write_text(a_flow(channel="#escalations"))
    (repo / "other.yml").unlink()
    (repo / "third.yml").write_text(a_flow("third"))
    said = await type_in("flows", "sync", "--check", "repo")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[:3] == [
        "mine: changed (repo/a file of mine.yml)",
        "  --- mine (version 1)",
        "  +++ repo/a file of mine.yml",
    ]
    assert [line for line in lines if line.startswith(("  -  ", "  +  "))] == [
        '  -    inputs: {message: "About {{ trigger.subject }}", channel: "#support"}  # ☕',
        '  +    inputs: {message: "About {{ trigger.subject }}", channel: "#escalations"}  # ☕',
    ]
    assert lines[-2:] == ["other: would be removed (flows/other.yml)", "third: new (repo/third.yml)"]
    assert files() == before
    assert set(await listed(type_in)) == {"mine", "other", RECIPE}


# delete


async def test_a_deleted_flow_leaves_its_history(repo: Path, type_in: Type) -> None:
    await type_in("flows", "import", "repo")
    await type_in("flows", "activate", "mine")
    said = await type_in("flows", "delete", "mine", "--yes")
    assert said.code == 0
    assert said.out.splitlines() == [
        "mine (version 1, active)",
        "  to be removed: flows/mine.yml, flows/mine.test.yml",
        "  in the history, and staying there: 0 runs, 1 version",
        "mine is deleted.",
        "What it was: zendesk-connector flows history mine",
    ]
    assert set(files()) == {"other.yml"}
    assert "mine" not in await listed(type_in)
    assert "mine" not in (await type_in("flows", "sync", "--json")).json["flows"]
    assert (await type_in("flows", "show", "mine", "--version", "1")).out == a_flow()
    (version,) = (await type_in("flows", "history", "mine", "--json")).json
    assert (version["version"], version["is_current"]) == (1, False)
    for command in ("show", "activate", "delete"):
        said = await type_in("flows", command, "mine", *(["--yes"] if command == "delete" else []))
        assert (said.code, "was deleted" in said.err, "flows history mine" in said.err) == (1, True, True)


async def test_a_deleted_flow_that_comes_back_is_the_next_version_and_inactive(repo: Path, type_in: Type) -> None:
    await type_in("flows", "import", "repo")
    await type_in("flows", "activate", "mine")
    await type_in("flows", "delete", "mine", "--yes")
    write("flows/mine.yml", "key: mine\n")
    await type_in("flows", "sync")
    flow = (await listed(type_in))["mine"]
    assert (flow["version"], flow["active"], "is missing" in flow["problem"]) == (0, False, True)
    assert (await type_in("flows", "activate", "mine")).code == 1  # it is not the old one
    remove("flows/mine.yml")
    said = await type_in("flows", "import", "repo/a file of mine.yml")
    assert said.out.splitlines()[0] == "mine: new, version 2, inactive"
    assert [each["version"] for each in (await type_in("flows", "history", "mine", "--json")).json] == [2, 1]
    await type_in("flows", "delete", "mine", "--yes")
    write("flows/mine.yml", a_flow(more="active: true\n"))
    await type_in("flows", "sync")
    flow = (await listed(type_in))["mine"]
    assert (flow["version"], flow["active"]) == (3, True)


async def test_runs_that_have_not_ended_keep_a_deleted_flow_on_the_list(repo: Path, type_in: Type) -> None:
    await type_in("flows", "import", "repo")
    for number, status in enumerate(("waiting", "waiting", "queued", "succeeded")):
        rows(
            "insert into runs(id, flow, version, event_id, status, accepted_at)"
            " values (?, 'mine', 1, ?, ?, '2026-01-01T00:00:00Z')",
            f"e{number}:mine",
            f"e{number}",
            status,
        )
    found = (await type_in("flows", "delete", "mine", "--yes", "--json")).json
    assert found == {
        "key": "mine",
        "version": 1,
        "active": False,
        "owner": None,
        "open_runs": {"queued": 1, "waiting": 2},
        "runs": 4,
        "versions": 1,
        "files": ["flows/mine.yml"],
        "tests": "flows/mine.test.yml",
        "recipe": False,
    }
    flow = (await listed(type_in))["mine"]
    assert (flow["version"], flow["active"], flow["problem"]) == (0, False, None)
    row = next(line for line in (await type_in("flows", "list")).out.splitlines() if line.startswith("mine "))
    assert "deleted" in row
    rows("update runs set status = 'succeeded'")
    assert "mine" not in await listed(type_in)
    assert len((await type_in("runs", "list", "--flow", "mine", "--json")).json) == 4


async def test_the_recipe_that_a_file_stood_before_comes_to_light_inactive(repo: Path, type_in: Type) -> None:
    make("flows")
    write(f"flows/{RECIPE}.yml", a_flow(RECIPE, more="owner: noor@acme.example\n"))
    await type_in("flows", "sync")
    await type_in("flows", "activate", RECIPE)
    said = await type_in("flows", "delete", RECIPE, "--yes")
    assert said.out.splitlines()[0] == f"{RECIPE} (version 1, active, owner noor@acme.example)"
    assert f"The recipe {RECIPE} is in its place, inactive." in said.out
    flow = (await listed(type_in))[RECIPE]
    assert (flow["source"], flow["active"], flow["problem"]) == ("recipe", False, None)
    said = await type_in("flows", "delete", RECIPE, "--yes")
    assert (said.code, f"zendesk-connector flows deactivate {RECIPE}" in said.err) == (1, True)


async def test_a_flow_whose_file_is_gone_already_can_be_deleted(repo: Path, type_in: Type) -> None:
    await type_in("flows", "import", "repo")
    remove("flows/other.yml")
    await type_in("flows", "sync")
    assert (await listed(type_in))["other"]["problem"] == "its file is gone"
    said = await type_in("flows", "delete", "other", "--yes")
    assert said.out.splitlines()[1] == "  its file is gone already"
    assert "other" not in await listed(type_in)


async def test_nobody_to_ask_and_no_yes_is_wrong_use(repo: Path, type_in: Type) -> None:
    await type_in("flows", "import", "repo")
    said = await type_in("flows", "delete", "mine")
    assert (said.code, said.out, "--yes deletes it all the same" in " ".join(said.err.split())) == (2, "", True)
    said = await type_in("flows", "delete", "mne", "--yes")
    assert (said.code, "Did you mean 'mine'?" in said.err) == (1, True)
    assert "mine.yml" in files()


@pytest.mark.parametrize("answer", [True, False])
async def test_on_a_terminal_it_is_asked_first(
    repo: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    await type_in("flows", "import", "repo")
    asked = []
    monkeypatch.setattr("bolt_app.commands.keeping._can_ask", lambda: True)
    monkeypatch.setattr(typer, "confirm", lambda question, **_: asked.append(question) or answer)
    said = await type_in("flows", "delete", "mine")
    assert (said.code, asked) == (0 if answer else 1, ["Delete mine?"])
    assert said.out.splitlines()[1] == "  to be removed: flows/mine.yml, flows/mine.test.yml"
    assert ("mine.yml" in files()) is not answer


async def test_a_file_that_cannot_be_removed_leaves_the_flow_as_it_is(
    repo: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    await type_in("flows", "import", "repo")
    await type_in("flows", "activate", "mine")
    before, real = files(), Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.name == "mine.test.yml":
            raise OSError(errno.EROFS, "Read-only file system")
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    said = await type_in("flows", "delete", "mine", "--yes")
    assert (said.code, said.lines[0]) == (1, "flows cannot be written: Read-only file system. Nothing was changed.")
    assert files() == before
    assert (await listed(type_in))["mine"]["active"]


async def test_the_connector_that_runs_deletes_it_and_starts_nothing_more(
    shell: Path, repo: Path, type_in: Type, start_connector: StartConnector
) -> None:
    connector = await start_connector()
    library = connector.sides.bridge.library
    await type_in("flows", "import", "repo")
    await type_in("flows", "activate", "mine")
    trigger = "zendesk.ticket_agent_assignment_changed"
    assert {each.flow.key for each in library.starting_on(trigger)} == {"mine", RECIPE}
    assert (await type_in("flows", "delete", "mine", "--yes")).code == 0
    assert {each.flow.key for each in library.starting_on(trigger)} == {RECIPE}
    assert set(files()) == {"other.yml"}
    asked = await type_in("flows", "delete", "other", "--yes", "--json")
    assert json.loads(asked.out)["files"] == ["flows/other.yml"]
    assert asked.err == ""
