"""Deleting a flow: what depends on it is told, its file goes, and its versions and runs stay."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zendesk_bridge.flows.errors import ConnectorError, NotFound
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.library import RECIPE, Library
from zendesk_bridge.folder import FlowFiles

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What the database has of a flow."""

    active: bool = False
    owner: str | None = None
    source: str | None = None
    # Whether its file, or recipe, was there when it was last looked.
    present: bool = False
    version: int = 0
    versions: int = 0
    runs: int = 0
    # How many have not ended, by status.
    open_runs: dict[str, int]


async def depends(
    journal: Journal, library: Library, files: FlowFiles, key: str, default_owner: str | None
) -> dict[str, Any]:
    """What depends on a flow.

    Args:
        default_owner: whose flows are that name no owner.

    Returns:
        `{key, version, active, owner, open_runs, runs, versions, files, tests, recipe}`: `open_runs` are those that
        have not ended, by status; `recipe` says whether its file stands before a recipe.

    Raises:
        NotFound: there is no such flow, or it was deleted before.
        ConnectorError: it is a recipe, or its file is nowhere that this process looks.
    """
    rows = await journal.read(lambda connection: _rows(connection, key))
    paths, tests = await asyncio.to_thread(files.of, key)
    if not paths:
        _require_deletable(library, files, key, rows)
    return {
        "key": key,
        "version": rows.version,
        "active": rows.active,
        "owner": rows.owner or default_owner,
        "open_runs": rows.open_runs,
        "runs": rows.runs,
        "versions": rows.versions,
        "files": [str(path) for path in paths],
        "tests": None if tests is None else str(tests),
        "recipe": files.has_recipe(key),
    }


async def delete(library: Library, files: FlowFiles, found: dict[str, Any], by: str) -> dict[str, Any]:
    """Deletes a flow that was looked at; returns that. It is listed no more once its runs have ended.

    Raises ConnectorError where its files cannot be removed: then nothing has changed.
    """
    paths = [Path(file) for file in (*found["files"], found["tests"]) if file]
    await asyncio.to_thread(files.remove, paths)
    await library.delete(found["key"])
    log.info("flow %s is deleted, by %s", found["key"], by)
    return found


def _require_deletable(library: Library, files: FlowFiles, key: str, rows: _Rows) -> None:
    """A flow without a file: it may be a recipe, or gone, or elsewhere, or never have been."""
    if rows.source == RECIPE:
        hint = f"`zendesk-connector flows deactivate {key}` switches it off."
        raise ConnectorError("recipe", f"{key!r} is a recipe of this software, and cannot be deleted", hint=hint)
    if rows.present and not files.folder.is_dir():
        hint = "Set CONNECTOR_FLOWS to the folder of that file, so that it can be removed."
        raise ConnectorError("no_folder", f"Flow {key!r} has a file elsewhere: {rows.source}", hint=hint)
    if not rows.version and rows.versions:
        hint = f"`zendesk-connector flows history {key}` has its versions."
        raise NotFound("no_flow", f"Flow {key!r} was deleted already", hint=hint)
    if not rows.version:
        library.flow(key)


def _rows(connection: sqlite3.Connection, key: str) -> _Rows:
    row = connection.execute("select * from flows where key = ?", (key,)).fetchone()
    # The plus has the open runs looked through, not all of the flow's history.
    open_runs = connection.execute(
        "select status, count(*) from runs where status in ('queued', 'running', 'waiting') and +flow = ?"
        " group by status",
        (key,),
    )
    counts: dict[str, int] = dict(open_runs.fetchall())
    if row is None:
        return _Rows(open_runs=counts)
    return _Rows(
        active=bool(row["active"]),
        owner=row["owner"],
        source=row["source"],
        present=bool(row["present"]),
        version=row["version"],
        versions=_count(connection, "select count(*) from flow_versions where flow = ?", key),
        runs=_count(connection, "select count(*) from runs where flow = ?", key),
        open_runs=counts,
    )


def _count(connection: sqlite3.Connection, statement: str, key: str) -> int:
    return int(connection.execute(statement, (key,)).fetchone()[0])
