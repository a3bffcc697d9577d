"""`zendesk-connector flows …`: list, show, check, switch and test action flows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bolt_app.commands import display
from bolt_app.commands.trying import known_flow, run_now
from bolt_app.commands.working import run, who
from bolt_app.composition import Sides
from zendesk_bridge.flows.errors import ConnectorError

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The flow's key: `flows list` names them.")]


def commands() -> typer.Typer:
    """The commands."""
    app = typer.Typer(
        help="Shows, checks, switches and tests action flows.", no_args_is_help=True, rich_markup_mode=None
    )
    app.command("list")(list_flows)
    app.command("show")(show)
    app.command("history")(history)
    app.command("diff")(diff)
    app.command("export")(export)
    app.command("check")(check)
    app.command("schema")(schema)
    app.command("reference")(reference)
    app.command("sync")(sync)
    app.command("activate")(activate)
    app.command("deactivate")(deactivate)
    app.command("test")(run_now)
    return app


def list_flows(as_json: Json = False) -> None:
    """Lists the action flows.

    With the state, the last run, and what is wrong with a file. The trigger and the number of steps are shown where
    the terminal is wide enough.
    """
    flows = run(lambda sides: sides.bridge.list_flows())
    display.json(flows) if as_json else display.flows(flows)


def show(
    key: Key,
    version: Annotated[int | None, typer.Option(min=1, metavar="N", help="An earlier version's file.")] = None,
    as_json: Json = False,
) -> None:
    """Shows one flow and its file."""
    if version is not None:
        text = run(lambda sides: sides.bridge.version_text(key, version))
        return display.json({"key": key, "version": version, "text": text}) if as_json else display.text(text)
    flow = run(lambda sides: sides.bridge.show_flow(key))
    return display.json(flow) if as_json else display.flow(flow)


def history(key: Key, as_json: Json = False) -> None:
    """Lists the versions of a flow.

    Each change of what a flow does makes one; a run keeps the one it began with.
    """
    found = run(lambda sides: sides.bridge.list_versions(key))
    display.json(found) if as_json else display.versions(found)


def diff(
    key: Key,
    old: Annotated[str | None, typer.Argument(metavar="OLD", help="A version; by default the one before.")] = None,
    new: Annotated[str | None, typer.Argument(metavar="NEW", help="A version; by default the current one.")] = None,
) -> None:
    """Shows what changed between two versions of a flow."""
    before, after = _version(old), _version(new)
    found = run(lambda sides: sides.bridge.version_diff(key, before, after))
    display.text(found) if found else display.done("Nothing differs.")


def _version(text: str | None) -> int | None:
    if text is not None and not text.isdecimal():
        raise typer.BadParameter(f"a version is a number, not {text!r}")
    return None if text is None else int(text)


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files go; made if it is not there.")],
    force: Annotated[bool, typer.Option("--force", help="Write over files that differ.")] = False,
) -> None:
    """Writes every flow into a folder, a file each.

    As they are, comments and order included: to keep them in git, and set CONNECTOR_FLOWS to the folder.
    """

    async def work(sides: Sides) -> list[tuple[str, str]]:
        shown = [await sides.bridge.show_flow(flow["key"]) for flow in await sides.bridge.list_flows()]
        return [(flow["key"], flow["text"]) for flow in shown if flow["text"]]

    flows = run(work)
    paths = {folder / f"{key}.yml": text for key, text in flows}
    differing = [path for path, text in paths.items() if path.exists() and path.read_text(encoding="utf-8") != text]
    if differing and not force:
        named = ", ".join(str(path) for path in differing)
        raise ConnectorError("differs", f"{named}: not as the flow is now", hint="Look, or write over it with --force.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise ConnectorError("not_written", f"{folder} cannot be written: {problem.strerror}") from problem
    for path in paths:
        display.done(str(path))


def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="KEY|FILE|FOLDER", help="What to check; all flows if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Finds what is wrong in flow files.

    A line a problem, with file, line, step, input, and what to write instead. Exit code 1 if there is any.
    """

    async def work(sides: Sides) -> list[Any]:
        return sides.bridge.check(names or [])

    problems = run(work)
    if as_json:
        display.json([problem.as_json() for problem in problems])
    else:
        display.problems(problems)
    raise typer.Exit(1 if problems else 0)


def schema() -> None:
    """Prints the JSON Schema of flow files, for editors."""

    async def work(sides: Sides) -> dict[str, Any]:
        return sides.bridge.schema()

    display.json(run(work))


def reference() -> None:
    """Prints the reference of actions and triggers.

    Markdown, with the operators and filters too.
    """

    async def work(sides: Sides) -> str:
        return sides.bridge.reference()

    typer.echo(run(work))


def sync(as_json: Json = False) -> None:
    """Reads the folder of flow files again.

    Exit code 1 if a file is wrong: its flow goes on as it was.
    """
    answer = run(lambda sides: sides.bridge.request("sync", {}, who()))
    if as_json:
        display.json(answer)
    else:
        display.synced(answer)
    raise typer.Exit(1 if answer["problems"] else 0)


def activate(key: Key, as_json: Json = False) -> None:
    """Switches a flow on."""
    _switch("activate", key, as_json)


def deactivate(key: Key, as_json: Json = False) -> None:
    """Switches a flow off."""
    _switch("deactivate", key, as_json)


def _switch(verb: str, key: str, as_json: bool) -> None:
    async def work(sides: Sides) -> tuple[dict[str, Any], bool]:
        try:
            return await sides.bridge.request(verb, {"key": key}, who()), sides.bridge.is_served()
        except ConnectorError as problem:
            if problem.code == "no_flow":
                await known_flow(sides, key)  # says what is wrong with its file, if it has one
            raise

    answer, served = run(work)
    if as_json:
        display.json(answer)
        return
    idle = answer["active"] and not served
    state = "active" if answer["active"] else "inactive"
    display.done(f"{answer['key']} is {state}", display.NOTHING_RUNS if idle else "")
