"""`zendesk-connector runs …`: what happened, step by step."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bolt_app.commands import display
from bolt_app.commands.flows import Json
from bolt_app.commands.working import run, who
from bolt_app.composition import Sides

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.")]

#: Runs shown on a terminal unless told otherwise.
SHOWN = 50


def commands() -> typer.Typer:
    """The commands."""
    app = typer.Typer(
        help="Shows what happened, step by step; retries, cancels, forgets.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.command("list")(list_runs)
    app.command("show")(show)
    app.command("retry")(retry)
    app.command("cancel")(cancel)
    app.command("forget")(forget)
    return app


def list_runs(
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=f"How many; {SHOWN} if not given, all with --json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Lists runs, newest first."""
    most = limit if limit is not None or as_json else SHOWN
    runs = run(lambda sides: sides.bridge.list_runs(most))
    display.json(runs) if as_json else display.runs(runs)


def show(run_id: RunId, as_json: Json = False) -> None:
    """Shows one run with its steps.

    The trigger, and each step with its inputs, outputs, times and error.
    """
    found = run(lambda sides: sides.bridge.show_run(run_id))
    display.json(found) if as_json else display.run(found)


def retry(
    run_id: RunId,
    send: Annotated[bool, typer.Option("--send", help="In doubt: it was not sent, send it.")] = False,
    skip: Annotated[bool, typer.Option("--skip", help="In doubt: go on without it.")] = False,
    as_json: Json = False,
) -> None:
    """Does a failed run again, from the step that failed.

    A run that waits because nobody can tell whether its message was sent needs --send or --skip.
    """
    if send and skip:
        raise typer.BadParameter("give either --send or --skip")
    _change("retry", {"run": run_id, "send": send if send or skip else None}, as_json)


def cancel(run_id: RunId, as_json: Json = False) -> None:
    """Ends a run that has not ended."""
    _change("cancel", {"run": run_id}, as_json)


def forget(
    requester: Annotated[str, typer.Option(metavar="EMAIL", help="The e-mail address, or the Zendesk id.")],
    as_json: Json = False,
) -> None:
    """Removes what is recorded of a requester.

    The runs about their tickets with all that was read and sent, and what is remembered of the address. Nothing of it
    is left in the database's files. Runs that have not ended are left, and named.
    """
    if "@" not in requester and not requester.strip().isdigit():
        raise typer.BadParameter("give an e-mail address or a Zendesk id", param_hint="--requester")
    answer = run(lambda sides: sides.bridge.request("forget", {"requester": requester}, who()))
    display.json(answer) if as_json else display.forgotten(answer)


def _change(verb: str, args: dict[str, Any], as_json: bool) -> None:
    async def work(sides: Sides) -> tuple[dict[str, Any], bool]:
        return await sides.bridge.request(verb, args, who()), sides.bridge.is_served()

    answer, served = run(work)
    if as_json:
        display.json(answer)
        return
    decided = args.get("send") is not None
    idle = (decided or answer["status"] == "queued") and not served
    done = "goes on" if decided else f"is {answer['status']}"
    display.done(f"{answer['run']} {done}", display.GOES_ON if idle else "")
