"""What holds for every command: help, names, exit codes, complaints, pipes."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from bolt_app.cli import commands
from bolt_app.commands import display

Start = Callable[..., Any]
Type = Callable[..., Awaitable[Any]]


def every_command() -> list[tuple[str, ...]]:
    """Each command and group as it is typed."""

    def below(group: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = [path]
        for name, each in getattr(group, "commands", {}).items():
            found += below(each, (*path, name))
        return found

    return below(typer.main.get_command(commands()), ())


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
async def test_every_command_explains_itself_in_80_columns(
    path: tuple[str, ...], empty_shell: Path, type_in: Type
) -> None:
    said = await type_in(*path, "--help")
    assert (said.code, said.err) == (0, "")
    assert max(len(line) for line in said.out.splitlines()) <= 80
    # A line in a list of commands that does not fit ends in dots.
    assert "..." not in said.out.partition("Options:")[2]
    for name in ("<int", "{key}", "[[", "None"):
        assert name not in said.out


def test_there_are_the_commands_that_the_documentation_names() -> None:
    assert {" ".join(path) for path in every_command() if path} == {
        "serve",
        "sandbox",
        "doctor",
        "backup",
        "manifest",
        *("flows", "flows list", "flows show", "flows check", "flows schema"),
        *("flows reference", "flows sync", "flows history", "flows diff", "flows export"),
        *("flows activate", "flows deactivate", "flows test", "flows import", "flows delete"),
        *("runs", "runs list", "runs show", "runs retry", "runs cancel", "runs forget"),
        *("runs failures", "runs replay"),
        *("connections", "connections list", "connections connect", "connections disconnect"),
        "rotate-key",
    }


async def test_the_version_is_shown(type_in: Type) -> None:
    said = await type_in("--version")
    assert (said.code, said.out.split()[0]) == (0, "zendesk-connector")


@pytest.mark.parametrize("name", ["workflows", "workflow", "flow", "action-flows"])
async def test_other_names_for_flows_work_too(name: str, empty_shell: Path, type_in: Type) -> None:
    assert (await type_in(name, "list", "--json")).json[0]["key"] == "notify-assigned-agents"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["flow-s"], "No such command 'flow-s'"),
        (["flows", "lst"], "Did you mean 'list'?"),
        (["flows", "show"], "Missing argument 'KEY'"),
        (["runs", "list", "--limit", "0"], "--limit"),
        (["runs", "list", "--limit", "x"], "--limit"),
        (["flows", "test", "a-flow"], "give one of --sample, --ticket ID, --event FILE and --past EVENT"),
        (["flows", "test", "a-flow", "--dry"], "give one of --sample, --ticket ID, --event FILE and --past EVENT"),
        (["flows", "test", "a-flow", "--ticket", "1", "--event", "x"], "give one of --sample, --ticket ID"),
        (["flows", "test", "a-flow", "--sample", "--past", "x", "--sandbox"], "give one of --sample, --ticket ID"),
        (["flows", "test", "a-flow", "--event", "no-such-file"], "no-such-file"),
        (["flows", "test", "a-flow", "--sample", "--dry", "--sandbox"], "give either --dry or --sandbox"),
        (["flows", "test", "a-flow", "--ticket", "1", "--sandbox"], "which --sandbox does not reach"),
        (["flows", "test", "a-flow", "--with", "priority"], "'priority' is not NAME=VALUE, such as priority=high"),
        (["flows", "test", "--all", "--sandbox"], "--all goes with KEY and --json"),
    ],
)
async def test_wrong_use_ends_with_2_and_says_how_it_goes(
    typed: list[str], told: str, empty_shell: Path, type_in: Type
) -> None:
    said = await type_in(*typed)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert "--help" in said.err


READING = [["flows", "list"], ["runs", "list"], ["connections", "list"], ["flows", "check"], ["flows", "schema"]]


@pytest.mark.parametrize("typed", READING, ids=" ".join)
async def test_what_only_reads_works_on_a_new_host(typed: list[str], empty_shell: Path, type_in: Type) -> None:
    said = await type_in(*typed)
    assert (said.code, said.err) == (0, "")
    assert said.out


async def test_a_database_of_a_newer_version_ends_with_2(empty_shell: Path, type_in: Type) -> None:
    await type_in("flows", "list")
    with sqlite3.connect("zendesk-connector.db") as database:
        database.execute(
            "insert into _sqlite_migrations(migration_set, name, applied_at)"
            " values ('zendesk_connector', 'm999_from_the_future', '2030-01-01')"
        )
    for typed in (["flows", "list"], ["flows", "activate", "notify-assigned-agents"], ["runs", "list"]):
        said = await type_in(*typed)
        assert said.code == 2
        assert "newer version" in said.err


async def test_a_file_that_is_no_database_ends_with_1_and_a_line(
    empty_shell: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_shell / "letter.txt").write_text("Dear database,\n" * 100)
    monkeypatch.setenv("CONNECTOR_DATABASE", "letter.txt")
    for typed in (["runs", "list"], ["flows", "activate", "notify-assigned-agents"]):
        said = await type_in(*typed)
        assert said.code == 1
        assert said.lines[0].startswith("letter.txt")
        assert "Traceback" not in said.err


async def test_wrong_settings_end_every_command_with_2(
    empty_shell: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_FLOWS", "no-such-folder")
    for typed in (["flows", "list"], ["flows", "sync"], ["flows", "activate", "notify-assigned-agents"]):
        said = await type_in(*typed)
        assert (said.code, said.lines) == (2, ["CONNECTOR_FLOWS: names no folder"])


async def test_what_is_complained_about_cannot_steer_the_terminal(empty_shell: Path, type_in: Type) -> None:
    for typed in (["flows", "check", "\x1b[2Jx"], ["runs", "show", "\x9b2J"]):
        said = await type_in(*typed)
        assert said.code == 1
        assert not set("\x1b\x9b") & set(said.err)


def test_a_reader_that_has_seen_enough_is_no_error(empty_shell: Path) -> None:
    command = f"{Path(sys.executable).with_name('zendesk-connector')} flows schema | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_json_stays_json_in_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"subject": "café ☕", "lone": "\ud83d", "control": "\x9b\u202e"}
    for encoding in ("ascii", "latin-1", "utf-8"):
        raw = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace"))
            display.json(value)
            sys.stdout.flush()
            assert json.loads(raw.getvalue().decode(encoding)) == value


async def test_half_a_character_ends_with_2_and_a_line(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("runs", "show", "\udcff")
    assert (said.code, said.lines) == (2, ["What was typed is no Unicode text."])
