"""`zendesk-connector flows import`, `export`, `sync` and `delete`: flow files come, go and are kept in git."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bolt_app.commands import display, kept
from bolt_app.commands.flows import Json, Key
from bolt_app.commands.working import run, who
from bolt_app.composition import Sides
from zendesk_bridge.bridge import Plan
from zendesk_bridge.flows.errors import ConnectorError

Force = Annotated[bool, typer.Option("--force", help="Write over files that differ.")]


def take_in(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE|FOLDER", help="Flow files, or folders of them.", show_default=False)
    ],
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Takes flow files into the folder of flows.

    Byte for byte, and the tests that lie beside them. All are checked first: where one is wrong, none is taken. Then
    the folder is read again.
    """

    async def work(sides: Sides) -> tuple[Plan, dict[str, Any]]:
        plan = await asyncio.to_thread(sides.bridge.files.take_in, files)
        return plan, await _carry_out(sides, plan, force=force)

    _show(*run(work), as_json)


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files go; made if it is not there.")],
    force: Force = False,
) -> None:
    """Writes every flow into a folder, a file each.

    As they are, comments and order included, and the tests that lie beside them: to keep them in git, and set
    CONNECTOR_FLOWS to the folder.
    """

    async def work(sides: Sides) -> Plan:
        keys = [flow["key"] for flow in await sides.bridge.list_flows() if flow["version"]]
        shown = [await sides.bridge.show_flow(key) for key in keys]
        texts = {flow["key"]: flow["text"] for flow in shown}
        return await asyncio.to_thread(sides.bridge.files.put_out, texts, folder)

    plan = run(work)
    if plan.problems:
        kept.refused([problem.as_json() for problem in plan.problems])
        raise typer.Exit(1)
    _require_same(plan, force)
    plan.carry_out()
    for change in plan.changes:
        display.done(str(change.target))


def sync(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Make the folder of flows equal to this one first.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing: say what would change.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also where FOLDER has no flow file.")] = False,
    as_json: Json = False,
) -> None:
    """Reads the folder of flow files again.

    Exit code 1 if a file is wrong: its flow goes on as it was. With FOLDER, such as a checkout of a git repository, the
    files become those of FOLDER first: what differs is written over, and what is not there is removed. Where a file
    of FOLDER is wrong, nothing changes. --check works without a database and without any account.
    """
    if check:
        found = run(lambda sides: sides.bridge.compare_flows(folder, empty=force))
        display.json(found) if as_json else kept.compared(found)
        raise typer.Exit(1 if found["problems"] else 0)
    if folder is None and force:
        raise typer.BadParameter("--force goes with a FOLDER")

    async def work(sides: Sides) -> tuple[Plan | None, dict[str, Any]]:
        if folder is None or sides.bridge.files.is_folder(folder):
            return None, await sides.bridge.request("sync", {}, who())
        plan = await asyncio.to_thread(sides.bridge.files.mirror, folder, empty=force)
        return plan, await _carry_out(sides, plan, force=True)

    plan, answer = run(work)
    if plan is not None:
        _show(plan, answer, as_json)
        return
    display.json(answer) if as_json else display.synced(answer)
    raise typer.Exit(1 if answer["problems"] else 0)


def delete(
    key: Key,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Deletes a flow: its file, and its tests.

    Says what depends on it, and asks. Its versions and runs stay in the history; runs that have not ended go on. A
    file that comes back makes its next version.
    """
    if not yes and not _can_ask():
        raise typer.BadParameter("nobody can be asked without a terminal: --yes deletes it all the same")
    found = run(lambda sides: sides.bridge.request("depends", {"key": key}, who()))
    if not as_json:
        kept.depending(found)
    if not yes and not typer.confirm(f"Delete {key}?", err=True):
        display.complaint("Nothing was deleted.")
        raise typer.Exit(1)
    found = run(lambda sides: sides.bridge.request("delete", {"key": key}, who()))
    display.json(found) if as_json else kept.deleted(found)


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


async def _carry_out(sides: Sides, plan: Plan, *, force: bool) -> dict[str, Any]:
    """Changes the files, has them read, and says what became of each: `{folder, made, flows, tests, problems}`."""
    if plan.problems:
        problems = [problem.as_json() for problem in plan.problems]
        return {"folder": str(plan.folder), "made": False, "flows": [], "tests": [], "problems": problems}
    _require_same(plan, force)
    before = await _require_one_folder(sides)
    made = await asyncio.to_thread(plan.carry_out)
    try:
        answer = await sides.bridge.request("sync", {}, who())
    except ConnectorError as problem:
        hint = "The files are changed, and were not read: `zendesk-connector flows sync` has them read. "
        raise ConnectorError(problem.code, problem.message, hint=hint + problem.hint) from problem
    after = {flow["key"]: flow for flow in await sides.bridge.list_flows()}
    rows = [
        {
            "key": change.key,
            "file": str(change.target),
            "state": change.state,
            **_became(before.get(change.key), after.get(change.key)),
        }
        for change in plan.changes
        if not change.is_test
    ]
    tests = [{"file": str(change.target), "state": change.state} for change in plan.changes if change.is_test]
    rows.sort(key=lambda row: str(row["key"]))
    problems = answer["problems"]
    return {"folder": str(plan.folder), "made": made, "flows": rows, "tests": tests, "problems": problems}


def _became(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, Any]:
    version = after["version"] if after else 0
    return {
        "version": version,
        "is_new_version": bool(after) and version != (before["version"] if before else 0),
        "active": bool(after and after["active"]),
        "file_decides": bool(after and after["file_decides"]),
        "source": after["source"] if after else None,
    }


def _require_same(plan: Plan, force: bool) -> None:
    if plan.differing and not force:
        named = ", ".join(str(path) for path in plan.differing)
        raise ConnectorError(
            "differs", f"{named}: there already, and not the same", hint="Look, or write over it with --force."
        )


async def _require_one_folder(sides: Sides) -> dict[str, dict[str, Any]]:
    """The flows there are, once it is known that whoever holds the database answers, and reads this very folder."""
    ours = sides.bridge.files.folder
    theirs = (await sides.bridge.request("folder", {}, who()))["folder"]
    flows = await sides.bridge.list_flows()
    if not sides.bridge.files.is_at(theirs):
        raise ConnectorError(
            "other_folder",
            f"The running connector reads {theirs}, and here it would be {ours.absolute()}",
            hint=f"Set CONNECTOR_FLOWS={theirs} here too, or start the connector with this one.",
        )
    elsewhere = [flow for flow in flows if flow["source"] != "recipe" and flow["version"] and not flow["problem"]]
    if elsewhere and not ours.is_dir():
        raise ConnectorError(
            "other_folder",
            f"There is no folder {ours} here, and flow {elsewhere[0]['key']!r} has the file {elsewhere[0]['source']}",
            hint=f"Set CONNECTOR_FLOWS to the folder of that file. If it is lost, make {ours} first.",
        )
    return {flow["key"]: flow for flow in flows}


def _show(plan: Plan, answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        display.json(answer)
    elif plan.problems:
        kept.refused(answer["problems"])
    else:
        kept.brought(answer)
    # What is wrong with other files was so before.
    raise typer.Exit(1 if plan.problems else 0)
