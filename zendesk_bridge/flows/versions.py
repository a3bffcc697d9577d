"""The versions of a flow: each change of what it does makes one, and runs keep the one they began with."""

from __future__ import annotations

import difflib
import sqlite3
from dataclasses import dataclass
from typing import Any

from zendesk_bridge.flows.catalog import nearest
from zendesk_bridge.flows.errors import NotFound


def list_versions(connection: sqlite3.Connection, key: str) -> list[dict[str, Any]]:
    """`[{version, created_at, is_current, runs}]`, newest first; `runs` is how many are kept. Raises NotFound."""
    current = _current(connection, key)
    rows = connection.execute(
        "select version, created_at,"
        " (select count(*) from runs where runs.flow = flow_versions.flow and runs.version = flow_versions.version)"
        " as runs from flow_versions where flow = ? order by version desc",
        (key,),
    )
    return [
        {
            "version": row["version"],
            "created_at": row["created_at"],
            "is_current": row["version"] == current,
            "runs": row["runs"],
        }
        for row in rows
    ]


def text_of(connection: sqlite3.Connection, key: str, version: int) -> str:
    """The file of a version, as it was. Raises NotFound."""
    _current(connection, key)
    row = connection.execute("select text from flow_versions where flow = ? and version = ?", (key, version)).fetchone()
    if row is None:
        hint = f"`zendesk-connector flows history {key}` names them."
        raise NotFound("no_version", f"Flow {key!r} has no version {version}", hint=hint)
    return str(row["text"])


def diff(connection: sqlite3.Connection, key: str, old: int | None, new: int | None) -> str:
    """What changed between two versions, as a unified diff; empty where nothing did. Raises NotFound.

    Args:
        old: by default the one before `new`.
        new: by default the current one.
    """
    new = _current(connection, key) or _newest(connection, key) if new is None else new
    if old is None:
        earlier = [each["version"] for each in list_versions(connection, key) if each["version"] < new]
        if not earlier:
            raise NotFound("no_version", f"Flow {key!r} has no version before {new}")
        old = max(earlier)
    before, after = text_of(connection, key, old), text_of(connection, key, new)
    return unified(before, after, f"{key} (version {old})", f"{key} (version {new})")


def unified(before: str, after: str, old: str, new: str) -> str:
    """A unified diff of two texts; empty where at most the ends of lines differ.

    Args:
        old: what the text before is called.
        new: what the text after is called.
    """
    return "".join(difflib.unified_diff(_lines(before), _lines(after), old, new))


def _lines(text: str) -> list[str]:
    return [f"{line}\n" for line in text.splitlines()]


@dataclass(frozen=True, kw_only=True)
class Current:
    """A flow as the database has it now."""

    # 0 where its file was never right.
    version: int
    text: str
    # "recipe", or the path of the file.
    source: str


def select_current(connection: sqlite3.Connection) -> dict[str, Current]:
    """The flows whose file or recipe is there, by key."""
    rows = connection.execute(
        "select flows.key, flows.version, flows.source, flow_versions.text from flows left join flow_versions"
        " on flow_versions.flow = flows.key and flow_versions.version = flows.version where flows.present"
    )
    return {row["key"]: Current(version=row["version"], text=row["text"] or "", source=row["source"]) for row in rows}


def _newest(connection: sqlite3.Connection, key: str) -> int:
    row = connection.execute("select max(version) from flow_versions where flow = ?", (key,)).fetchone()
    return int(row[0] or 0)


def _current(connection: sqlite3.Connection, key: str) -> int:
    """The current version; 0 where the flow was deleted, or its file was never right. Raises NotFound."""
    row = connection.execute("select version from flows where key = ?", (key,)).fetchone()
    if row is None:
        close = nearest(key, [each["key"] for each in connection.execute("select key from flows")])
        hint = f"Did you mean {close!r}?" if close else "`zendesk-connector flows list` names them."
        raise NotFound("no_flow", f"There is no flow {key!r}", hint=hint)
    return int(row["version"])
