"""The flows there are: recipes and files become versions in the database, and some of them are active."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from zendesk_bridge.flows import store
from zendesk_bridge.flows.catalog import Catalog, nearest
from zendesk_bridge.flows.compiled import CompiledFlow, compile_flow
from zendesk_bridge.flows.errors import ConnectorError, FlowError, NotFound
from zendesk_bridge.flows.files import FlowFile, read_file, read_flow
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import Problem, StoredFlow, rfc3339, utc_now

log = logging.getLogger(__name__)

RECIPE = "recipe"
#: The code of the problem that the folder cannot be read: its flows then stay as they are.
NO_FOLDER = "no_folder"


class Library:
    """Keeps the database's flows in step with the files, and the active ones ready to run."""

    def __init__(
        self, journal: Journal, catalog: Catalog, recipes: Mapping[str, str], folder: Callable[[], Path | None]
    ) -> None:
        """
        Args:
            folder: the folder of flow files as it is at the moment, None where there is none.
        """
        self._journal = journal
        self._catalog = catalog
        self._recipes = recipes
        self._folder = folder
        self._flows: dict[str, StoredFlow] = {}
        self._active: dict[str, tuple[CompiledFlow, ...]] = {}

    def starting_on(self, trigger: str, since: dt.datetime | None = None) -> tuple[CompiledFlow, ...]:
        """The active flows that start on a trigger; with `since`, those that were active then, to the whole second."""
        active = self._active.get(trigger, ())
        return active if since is None else tuple(each for each in active if self._was_active(each.flow.key, since))

    def _was_active(self, key: str, then: dt.datetime) -> bool:
        activated_at = self._flows[key].activated_at
        return activated_at is None or activated_at.replace(microsecond=0) <= then

    def compiled(self, key: str) -> CompiledFlow:
        """The newest version of a flow, active or not. Raises NotFound, FlowError."""
        flow = self.flow(key)
        return compile_flow(flow.definition, flow.version, self._catalog)

    def flow(self, key: str) -> StoredFlow:
        """A flow by its key. Raises NotFound, naming the nearest."""
        if key not in self._flows:
            close = nearest(key, self._flows)
            hint = f"Did you mean {close!r}?" if close else "`zendesk-connector flows list` names them."
            raise NotFound("no_flow", f"There is no flow {key!r}", hint=hint)
        return self._flows[key]

    def active_since(self) -> float:
        """When the first of the active flows was switched on, in seconds since 1970; now where none is."""
        times = [flow.activated_at for flow in self._flows.values() if flow.active and flow.activated_at]
        return min(times, default=utc_now()).timestamp()

    def all(self) -> list[StoredFlow]:
        """Every flow, by key."""
        return [self._flows[key] for key in sorted(self._flows)]

    async def sync(self) -> list[Problem]:
        """Reads recipes and files again. A file that is wrong keeps the last good version; returns what is wrong."""
        folder = self._folder()
        files, problems = await asyncio.to_thread(read_all, self._recipes, folder, self._catalog)
        for problem in problems:
            log.warning("flow file: %s", problem)
        # Started in another folder, or from a disk that is not mounted, nothing is known of the files.
        all_seen = folder is not None and not any(problem.code == NO_FOLDER for problem in problems)
        await self._journal.write(lambda connection: _store_files(connection, files, problems, all_seen))
        await self._reload()
        return problems

    async def set_active(self, key: str, active: bool) -> StoredFlow:
        """Switches a flow on or off. Raises NotFound, or FlowError where its file decides."""
        flow = self.flow(key)
        if flow.file_decides:
            raise FlowError(
                "file_decides",
                f"{flow.source} says `active: {str(flow.active).lower()}`",
                hint="Change it there and run `zendesk-connector flows sync`, or remove the line.",
            )
        if active:
            compile_flow(flow.definition, flow.version, self._catalog)
        if flow.active != active:
            await self._journal.write(lambda connection: _store_active(connection, key, active))
            await self._reload()
        return self.flow(key)

    async def delete(self, key: str) -> None:
        """Takes a flow whose file was removed off the list; its versions and runs stay.

        A recipe of its key that comes to light then is a flow like any other.
        """
        await self.sync()
        await self._journal.write(lambda connection: _store_deleted(connection, key))
        await self._reload()

    async def _reload(self) -> None:
        flows = await self._journal.read(store.select_flows)
        self._flows = {flow.key: flow for flow in flows}
        active: dict[str, list[CompiledFlow]] = defaultdict(list)
        for flow in flows:
            if not flow.active:
                continue
            try:
                compiled = compile_flow(flow.definition, flow.version, self._catalog)
            except ConnectorError as problem:
                log.warning("flow %s cannot run: %s", flow.key, problem.message)
                continue
            active[flow.definition.trigger.event].append(compiled)
        self._active = {event: tuple(compiled) for event, compiled in active.items()}


def read_all(
    recipes: Mapping[str, str], folder: Path | None, catalog: Catalog
) -> tuple[dict[str, FlowFile], list[Problem]]:
    """Reads every recipe and file: the good ones by key, and what is wrong with the others."""
    good: dict[str, FlowFile] = {}
    problems: list[Problem] = []
    for name, text in recipes.items():
        recipe = read_flow(text, f"{RECIPE}:{name}", catalog)
        problems += recipe.problems
        if recipe.flow is not None:
            good[recipe.flow.key] = recipe
    files: dict[str, list[FlowFile]] = defaultdict(list)
    try:
        paths = flow_paths(folder)
    except OSError as problem:
        message = f"the folder of flow files cannot be read: {problem.strerror}"
        problems.append(Problem(file=str(folder), line=1, code=NO_FOLDER, message=message))
        paths = []
    for path in paths:
        file = read_file(path, catalog)
        problems += file.problems
        files[file.key or path.stem].append(file)
    for key, candidates in files.items():
        if len(candidates) > 1:
            problems += doubled(key, [each.file for each in candidates])
            good[key] = FlowFile(file=candidates[0].file, text="", key=key)
        else:
            good[key] = candidates[0]
    return good, problems


def doubled(key: str, files: list[str]) -> list[Problem]:
    """What is wrong with files that have one key."""
    return [
        Problem(
            file=file,
            line=1,
            code="doubled_key",
            message=f"the key {key!r} is also in {', '.join(other for other in files if other != file)}",
        )
        for file in files
    ]


def check(names: list[str], recipes: Mapping[str, str], folder: Path | None, catalog: Catalog) -> list[Problem]:
    """What is wrong with flow files, folders or keys; with everything where none is named. Raises NotFound."""
    good, problems = read_all(recipes, folder, catalog)
    if not names:
        return problems
    found: list[Problem] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found += read_all({}, path, catalog)[1]
        elif path.is_file():
            found += read_file(path, catalog).problems
        elif name in good:
            found += [problem for problem in problems if problem.file == good[name].file]
        else:
            close = nearest(name, good)
            hint = f"Did you mean {close!r}?" if close else "`zendesk-connector flows list` names the flows."
            raise NotFound("no_flow", f"There is no flow, file or folder {name!r}", hint=hint)
    return found


def flow_paths(folder: Path | None) -> list[Path]:
    """The flow files of a folder, by name. Raises OSError where it cannot be read."""
    if folder is None:
        return []
    # Tests of flows lie beside them.
    found = (path for path in folder.iterdir() if path.suffix in (".yml", ".yaml") and path.is_file())
    return sorted(path for path in found if not path.stem.endswith(".test"))


def _store_files(
    connection: sqlite3.Connection, files: Mapping[str, FlowFile], problems: list[Problem], all_seen: bool
) -> None:
    now = rfc3339(utc_now())
    known = {row["key"]: row for row in connection.execute("select * from flows")}
    keys = {row["source"]: key for key, row in known.items() if row["version"]}
    for key, file in files.items():
        if file.key is None and keys.get(file.file) not in (None, *files):
            key = keys[file.file]  # its key cannot be read now; the last good version told it
        wrong = "; ".join(f"line {each.line}: {each.message}" for each in problems if each.file == file.file) or None
        before = known.pop(key, None)
        if file.flow is None:
            _store_wrong(connection, key, file, wrong, before, now)
            continue
        definition = file.flow.model_dump_json(by_alias=True, exclude_defaults=True)
        version = before["version"] if before else 0
        if not version or not _same(connection, key, version, definition):
            version = _next_version(connection, key)
            connection.execute(
                "insert into flow_versions(flow, version, definition, text, created_at) values (?, ?, ?, ?, ?)",
                (key, version, definition, file.text, now),
            )
        else:  # another comment makes no version, and is kept
            connection.execute(
                "update flow_versions set text = ? where flow = ? and version = ? and text <> ?",
                (file.text, key, version, file.text),
            )
        decides = file.flow.active is not None
        # Where a file is gone that stood before a recipe, the recipe does not take its place unasked.
        gone = before is not None and _source(file) == RECIPE != before["source"]
        was_active = bool(before["active"]) and not gone if before else False
        active = bool(file.flow.active) if decides else was_active
        activated_at = (before["activated_at"] if before and was_active else now) if active else None
        connection.execute(
            "insert or replace into flows(key, name, version, active, activated_at, owner, source, file_decides,"
            " present, problem, updated_at) values (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
            (
                key,
                file.flow.name,
                version,
                active,
                activated_at,
                file.flow.owner,
                _source(file),
                decides,
                wrong,
                now,
            ),
        )
    for key, row in known.items():
        if not all_seen and row["source"] != RECIPE:
            continue
        # Its file is gone: it starts nothing more, and nothing is deleted.
        connection.execute(
            "update flows set active = 0, activated_at = null, present = 0, file_decides = 0,"
            " problem = 'its file is gone' where key = ? and (present or active)",
            (key,),
        )


def _store_wrong(
    connection: sqlite3.Connection,
    key: str,
    file: FlowFile,
    wrong: str | None,
    before: sqlite3.Row | None,
    now: str,
) -> None:
    """A file that is wrong: the flow keeps its last good version, or is listed with its problem alone."""
    if before is not None:
        connection.execute("update flows set problem = ?, present = 1 where key = ?", (wrong, key))
    else:
        connection.execute(
            "insert into flows(key, name, version, active, source, file_decides, present, problem, updated_at)"
            " values (?, ?, 0, 0, ?, 0, 1, ?, ?)",
            (key, key, _source(file), wrong, now),
        )


def _store_active(connection: sqlite3.Connection, key: str, active: bool) -> None:
    now = rfc3339(utc_now())
    row = connection.execute("select source, present from flows where key = ?", (key,)).fetchone()
    if active and not row["present"]:
        raise FlowError(
            "no_file", f"The file of flow {key!r} is gone: {row['source']}", hint="Put it back, then `flows sync`."
        )
    connection.execute(
        "update flows set active = ?, activated_at = ?, updated_at = ? where key = ?",
        (active, now if active else None, now, key),
    )


def _store_deleted(connection: sqlite3.Connection, key: str) -> None:
    # Without a current version: a file that comes back makes the next one.
    connection.execute(
        "update flows set version = 0, problem = null, updated_at = ? where key = ? and not present and not active",
        (rfc3339(utc_now()), key),
    )


def _source(file: FlowFile) -> str:
    return RECIPE if file.file.startswith(f"{RECIPE}:") else file.file


def _same(connection: sqlite3.Connection, key: str, version: int, definition: str) -> bool:
    row = connection.execute(
        "select definition from flow_versions where flow = ? and version = ?", (key, version)
    ).fetchone()
    return row is not None and json.loads(row[0]) == json.loads(definition)


def _next_version(connection: sqlite3.Connection, key: str) -> int:
    row = connection.execute("select max(version) from flow_versions where flow = ?", (key,)).fetchone()
    return int(row[0] or 0) + 1
