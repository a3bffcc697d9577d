"""`zendesk-connector runs …`: what happened, step by step."""

from __future__ import annotations

from typing import Annotated

import typer

from bolt_app.commands import display
from bolt_app.commands.flows import Json
from bolt_app.commands.working import run, who

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.", show_default=False)]

#: Runs shown on a terminal unless told otherwise.
SHOWN = 50


def commands() -> typer.Typer:
    """The commands."""
    app = typer.Typer(help="Runs of action flows.", no_args_is_help=True, rich_markup_mode=None)
    app.command("list")(list_runs)
    app.command("show")(show)
    app.command("retry")(retry)
    app.command("cancel")(cancel)
    return app


def list_runs(
    limit: Annotated[int | None, typer.Option(min=1, help=f"How many; {SHOWN} on a terminal, all with --json.")] = None,
    as_json: Json = False,
) -> None:
    """Lists runs, newest first."""
    most = limit if limit is not None or as_json else SHOWN
    runs = run(lambda sides: sides.bridge.list_runs(most))
    display.json(runs) if as_json else display.runs(runs)


def show(run_id: RunId, as_json: Json = False) -> None:
    """Shows one run: its trigger, and each step with inputs, outputs and error."""
    found = run(lambda sides: sides.bridge.show_run(run_id))
    display.json(found) if as_json else display.run(found)


def retry(run_id: RunId) -> None:
    """Does a failed or cancelled run again, from the step that failed."""
    _change("retry", run_id)


def cancel(run_id: RunId) -> None:
    """Ends a run that has not ended."""
    _change("cancel", run_id)


def _change(verb: str, run_id: str) -> None:
    answer = run(lambda sides: sides.bridge.request(verb, {"run": run_id}, who()))
    typer.echo(f"{answer['run']} is {answer['status']}")
