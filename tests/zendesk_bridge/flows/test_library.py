"""The flows there are: versions, files that are wrong or gone, and who decides whether a flow is active."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zendesk_bridge.flows import history
from zendesk_bridge.flows.catalog import Catalog, Connector, Trigger
from zendesk_bridge.flows.errors import FlowError, NotFound
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.library import Library

HAPPENS = Trigger(
    id="far.happens", title="Happens", description="", service="far", outputs=(), sample={"what": "something"}
)


def text(key: str = "greet", *, name: str = "Greet", what: str = "hello", active: bool | None = None) -> str:
    line = "" if active is None else f"active: {json.dumps(active)}\n"
    return (
        f"key: {key}\nname: {name}\n{line}trigger:\n  event: far.happens\n"
        f"steps:\n  - key: message\n    action: far.make\n    inputs: {{what: {what}}}\n"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    folder.mkdir()
    return folder


@pytest.fixture
def library_of(journal: Journal, engine_catalog: Catalog, folder: Path) -> Callable[..., Library]:
    def make(recipes: dict[str, str] | None = None, where: Path | None = folder) -> Library:
        return Library(journal, engine_catalog, recipes or {}, lambda: where)

    return make


@pytest.fixture
def engine_catalog(far: Any, engine_actions: Any) -> Catalog:
    connector = Connector(
        service="far", title="Far", client=far, identify=_nobody, actions=engine_actions, triggers=(HAPPENS,)
    )
    return Catalog([connector])


async def _nobody() -> Any:
    raise NotImplementedError


async def listed(journal: Journal) -> dict[str, dict[str, Any]]:
    """`flows list --json`, by key."""
    rows = await journal.read(lambda connection: history.list_flows(connection, Catalog([])))
    return {row["key"]: row for row in rows}


async def versions(journal: Journal) -> list[tuple[str, int]]:
    def work(connection: sqlite3.Connection) -> list[tuple[str, int]]:
        return [tuple(row) for row in connection.execute("select flow, version from flow_versions order by 1, 2")]

    return await journal.read(work)


async def activated_at(journal: Journal, key: str) -> str | None:
    return await journal.read(
        lambda connection: connection.execute("select activated_at from flows where key = ?", (key,)).fetchone()[0]
    )


def starts(library: Library) -> list[tuple[str, int]]:
    return [(flow.flow.key, flow.version) for flow in library.starting_on("far.happens")]


async def test_a_version_is_made_only_where_the_content_changes(
    journal: Journal, folder: Path, library_of: Any
) -> None:
    file = folder / "greet.yml"
    library = library_of()
    for content in (text(), text(), "# a comment\n" + text().replace("name: Greet", "name:   Greet"), text()):
        file.write_text(content)
        assert await library.sync() == []
    assert await versions(journal) == [("greet", 1)]
    file.write_text(text(what="goodbye"))
    await library.sync()
    file.write_text(text())  # back to how it was
    await library.sync()
    assert await versions(journal) == [("greet", 1), ("greet", 2), ("greet", 3)]
    assert library.flow("greet").version == 3


async def test_a_file_is_kept_byte_for_byte_also_where_it_makes_no_version(
    journal: Journal, folder: Path, library_of: Any
) -> None:
    file, library = folder / "greet.yml", library_of()
    for content in (text(), "# Grüße\n" + text(), text().replace("\n", "\r\n")):
        file.write_bytes(content.encode())
        assert await library.sync() == []
        shown = await journal.read(lambda connection: history.show_flow(connection, "greet", Catalog([])))
        assert (shown["text"].encode(), shown["version"]) == (content.encode(), 1)


async def test_recipes_are_listed_from_the_start_and_start_nothing(journal: Journal, library_of: Any) -> None:
    library = library_of({"greet.yml": text()})
    await library.sync()
    row = (await listed(journal))["greet"]
    assert (row["active"], row["version"], row["problem"], row["steps"]) == (False, 1, None, 1)
    assert library.starting_on("far.happens") == ()
    assert [flow.key for flow in library.all()] == ["greet"]


@pytest.mark.parametrize("name", ["greet.yml", "another-name.yml"])
@pytest.mark.parametrize(
    "wrong",
    ["key: [", "key: greet\nname: x\n", text(what='"{{ nowhere.value }}"'), text().replace("far.make", "far.maek")],
)
async def test_a_file_that_is_wrong_keeps_its_last_good_version_and_shows_why(
    journal: Journal, folder: Path, library_of: Any, name: str, wrong: str
) -> None:
    library = library_of()
    (folder / name).write_text(text())
    await library.sync()
    await library.set_active("greet", True)
    (folder / name).write_text(wrong)
    problems = await library.sync()
    assert problems
    rows = await listed(journal)
    assert list(rows) == ["greet"]
    assert rows["greet"]["active"] is True
    assert rows["greet"]["problem"].startswith("line ")
    assert starts(library) == [("greet", 1)]
    again = library_of()
    await again.sync()  # after a restart too
    assert starts(again) == [("greet", 1)]
    (folder / name).write_text(text())
    assert await library.sync() == []
    assert (await listed(journal))["greet"]["problem"] is None
    assert await versions(journal) == [("greet", 1)]


async def test_a_file_that_was_never_good_is_listed_with_its_problem(
    journal: Journal, folder: Path, library_of: Any
) -> None:
    library = library_of()
    (folder / "broken.yml").write_text("key: [")
    await library.sync()
    row = (await listed(journal))["broken"]
    assert (row["version"], row["active"], row["trigger"]) == (0, False, None)
    assert row["problem"]
    with pytest.raises(NotFound):
        await library.set_active("broken", True)
    (folder / "broken.yml").unlink()
    await library.sync()
    assert await listed(journal) == {}


async def test_two_files_of_one_key_name_each_other_and_keep_the_last_good_version(
    journal: Journal, folder: Path, library_of: Any
) -> None:
    library = library_of()
    (folder / "a.yml").write_text(text())
    await library.sync()
    await library.set_active("greet", True)
    (folder / "b.yml").write_text(text(what="another"))
    problems = await library.sync()
    assert {problem.code for problem in problems} == {"doubled_key"}
    assert {Path(problem.file).name for problem in problems} == {"a.yml", "b.yml"}
    assert "b.yml" in (await listed(journal))["greet"]["problem"]
    assert starts(library) == [("greet", 1)]
    (folder / "a.yml").unlink()
    assert await library.sync() == []
    assert starts(library) == [("greet", 2)]


async def test_a_file_stands_before_a_recipe_of_its_key(journal: Journal, folder: Path, library_of: Any) -> None:
    library = library_of({"greet.yml": text()})
    await library.sync()
    await library.set_active("greet", True)
    (folder / "mine.yml").write_text(text(what="mine"))
    await library.sync()
    assert starts(library) == [("greet", 2)]
    assert library.flow("greet").source.endswith("mine.yml")
    (folder / "mine.yml").unlink()
    await library.sync()
    # Its file is gone: the recipe is there again, and does not send in its place unasked.
    assert library.flow("greet").source == "recipe"
    assert starts(library) == []


async def test_a_file_that_is_gone_deactivates_deletes_nothing_and_may_come_back(
    journal: Journal, folder: Path, library_of: Any
) -> None:
    library = library_of()
    file = folder / "greet.yml"
    file.write_text(text())
    await library.sync()
    await library.set_active("greet", True)
    file.unlink()
    await library.sync()
    row = (await listed(journal))["greet"]
    assert (row["active"], row["problem"], row["version"]) == (False, "its file is gone", 1)
    assert starts(library) == []
    with pytest.raises(FlowError, match="gone") as caught:
        await library.set_active("greet", True)
    assert "greet.yml" in caught.value.message
    file.write_text(text())
    await library.sync()
    assert await versions(journal) == [("greet", 1)]
    await library.set_active("greet", True)
    assert starts(library) == [("greet", 1)]


async def test_a_folder_that_cannot_be_read_deactivates_nothing(
    journal: Journal, folder: Path, library_of: Any
) -> None:
    (folder / "greet.yml").write_text(text())
    library = library_of()
    await library.sync()
    await library.set_active("greet", True)
    await asyncio.to_thread(folder.rename, folder.with_name("elsewhere"))  # a disk that is not mounted
    (problem,) = await library.sync()
    assert (problem.code, problem.file) == ("no_folder", str(folder))
    assert starts(library) == [("greet", 1)]
    await asyncio.to_thread(folder.with_name("elsewhere").rename, folder)
    assert await library.sync() == []
    assert starts(library) == [("greet", 1)]


async def test_where_the_file_says_active_it_decides(journal: Journal, folder: Path, library_of: Any) -> None:
    library = library_of()
    file = folder / "greet.yml"
    file.write_text(text(active=True))
    await library.sync()
    assert starts(library) == [("greet", 1)]
    for wanted in (True, False):
        with pytest.raises(FlowError, match="active: true") as caught:
            await library.set_active("greet", wanted)
        assert str(file) in caught.value.message
        assert "sync" in caught.value.hint
    since = await activated_at(journal, "greet")
    file.write_text(text(active=True, what="changed"))
    await library.sync()
    assert await activated_at(journal, "greet") == since is not None
    file.write_text(text(active=False))
    await library.sync()
    assert (starts(library), await activated_at(journal, "greet")) == ([], None)


async def test_activation_is_kept_over_a_restart_with_its_time(journal: Journal, folder: Path, library_of: Any) -> None:
    (folder / "greet.yml").write_text(text())
    library = library_of()
    await library.sync()
    await library.set_active("greet", True)
    since = await activated_at(journal, "greet")
    assert since is not None
    await library.set_active("greet", True)  # changes nothing
    again = library_of()
    await again.sync()
    assert starts(again) == [("greet", 1)]
    assert await activated_at(journal, "greet") == since
    await again.set_active("greet", False)
    assert (starts(again), await activated_at(journal, "greet")) == ([], None)


async def test_switching_many_flows_at_once_loses_no_switch(journal: Journal, folder: Path, library_of: Any) -> None:
    for number in range(12):
        (folder / f"f{number}.yml").write_text(text(f"f{number}"))
    library = library_of()
    await library.sync()
    await asyncio.gather(*(library.set_active(f"f{number}", True) for number in range(12)), library.sync())
    assert len(starts(library)) == 12


async def test_a_flow_that_is_not_there_names_the_nearest(library_of: Any) -> None:
    library = library_of({"greet.yml": text()})
    await library.sync()
    with pytest.raises(NotFound) as caught:
        await library.set_active("gret", True)
    assert caught.value.hint == "Did you mean 'greet'?"


async def test_a_run_keeps_its_version_while_the_flow_changes(
    database: Path, folder: Path, engine_at: Any, far: Any
) -> None:
    """Also over a restart: the definition is in the database, not in the file."""
    engine = await engine_at()
    far.next("make", asyncio.Event())
    old = await engine.flow({"key": "message", "action": "far.make", "inputs": {"what": "old"}})
    (run,) = await engine.accept(old)
    await engine.see(lambda: far.count("make") == 1)
    await engine.flow({"key": "message", "action": "far.make", "inputs": {"what": "new"}}, version=2)
    await engine.kill()
    engine = await engine_at()
    shown = await engine.end(run.id)
    assert (shown["status"], shown["version"], far.values()) == ("succeeded", 1, {"old": 1})
