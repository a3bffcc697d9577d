"""`zendesk-connector flows …`: list, show, check, switch and test action flows."""

from __future__ import annotations

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
    from bolt_app.commands import keeping  # which has the key and the switch for JSON from here

    app = typer.Typer(
        help="Shows, checks, switches, tests and keeps action flows.", no_args_is_help=True, rich_markup_mode=None
    )
    app.command("list")(list_flows)
    app.command("show")(show)
    app.command("history")(history)
    app.command("diff")(diff)
    app.command("import")(keeping.take_in)
    app.command("export")(keeping.export)
    app.command("check")(check)
    app.command("schema")(schema)
    app.command("reference")(reference)
    app.command("sync")(keeping.sync)
    app.command("delete")(keeping.delete)
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
