"""`zendesk-connector flows …`: list, show, check, switch and test action flows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bolt_app.commands import display
from bolt_app.commands.working import run, who
from bolt_app.composition import Sides

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Key = Annotated[str, typer.Argument(help="The flow's key.", show_default=False)]


def commands() -> typer.Typer:
    """The commands."""
    app = typer.Typer(help="Action flows.", no_args_is_help=True, rich_markup_mode=None)
    app.command("list")(list_flows)
    app.command("show")(show)
    app.command("check")(check)
    app.command("schema")(schema)
    app.command("sync")(sync)
    app.command("activate")(activate)
    app.command("deactivate")(deactivate)
    app.command("test")(run_now)
    return app


def list_flows(as_json: Json = False) -> None:
    """Lists the action flows: state, trigger, last run, and what is wrong with a file."""
    flows = run(lambda sides: sides.bridge.list_flows())
    display.json(flows) if as_json else display.flows(flows)


def show(key: Key, as_json: Json = False) -> None:
    """Shows one flow and its file."""
    flow = run(lambda sides: sides.bridge.show_flow(key))
    display.json(flow) if as_json else display.flow(flow)


def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[KEY|FILE|FOLDER]...", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Finds what is wrong in flow files: file, line, step, input, and what to write instead."""

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


def sync(as_json: Json = False) -> None:
    """Reads the folder of flow files again."""
    answer = run(lambda sides: sides.bridge.request("sync", {}, who()))
    if as_json:
        display.json(answer)
    else:
        display.synced(answer)
    raise typer.Exit(1 if answer["problems"] else 0)


def activate(key: Key) -> None:
    """Switches a flow on."""
    _switch("activate", key)


def deactivate(key: Key) -> None:
    """Switches a flow off."""
    _switch("deactivate", key)


def _switch(verb: str, key: str) -> None:
    answer = run(lambda sides: sides.bridge.request(verb, {"key": key}, who()))
    typer.echo(f"{answer['key']} is {'active' if answer['active'] else 'inactive'}")


def run_now(
    key: Key,
    ticket: Annotated[str | None, typer.Option(help="A ticket's number: runs as if it were assigned now.")] = None,
    event: Annotated[Path | None, typer.Option(help="A file with a webhook's JSON body.", dir_okay=False)] = None,
    dry: Annotated[bool, typer.Option("--dry", help="Do the reads, and show what would be sent.")] = False,
    as_json: Json = False,
) -> None:
    """Runs a flow now, whether it is active or not, and shows each step's inputs and outputs."""
    if (ticket is None) == (event is None):
        raise typer.BadParameter("give either --ticket or --event")

    async def work(sides: Sides) -> dict[str, Any]:
        from bolt_app.commands.testing import run_test

        body = event.read_bytes() if event else None
        return await run_test(sides, key, ticket, body, dry, (lambda step: None) if as_json else display.step)

    if event is not None and not event.is_file():
        raise typer.BadParameter(f"there is no file {event}")
    result = run(work)
    display.json(result) if as_json else display.run_end(result)
    raise typer.Exit(1 if result["status"] in ("failed", "cancelled") else 0)
