"""`zendesk-connector runs …`: what happened, step by step."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Annotated, Any

import typer

from bolt_app.commands import display, path
from bolt_app.commands.flows import Json
from bolt_app.commands.moments import moment
from bolt_app.commands.working import run, who
from bolt_app.composition import Sides
from zendesk_bridge.bridge import Wanted
from zendesk_bridge.flows.model import RunStatus
from zendesk_bridge.flows.outline import Outline

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.")]

OfFlow = Annotated[str | None, typer.Option("--flow", metavar="KEY", help="Only of this flow.")]
OfTicket = Annotated[str | None, typer.Option("--ticket", metavar="ID", help="Only about this ticket.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Only since then: 30m, 2h or 3d ago, or a date.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only before then.")]
Text = Annotated[
    str | None, typer.Option("--text", metavar="TEXT", help="Only with this in the event, a step or an error.")
]

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
    app.command("failures")(failures)
    app.command("replay")(replay)
    app.command("retry")(retry)
    app.command("cancel")(cancel)
    app.command("forget")(forget)
    return app


def list_runs(
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=f"How many; {SHOWN} if not given, all with --json.")
    ] = None,
    flow: OfFlow = None,
    status: Annotated[
        list[str] | None, typer.Option(metavar="STATUS", help="Only with this status; may be given several times.")
    ] = None,
    ticket: OfTicket = None,
    since: Since = None,
    until: Until = None,
    text: Text = None,
    as_json: Json = False,
) -> None:
    """Lists runs, newest first.

    With filters, only those to which all of them apply.
    """
    most = limit if limit is not None or as_json else SHOWN
    wanted = _wanted(flow, ticket, since, until, text, status or ())
    runs = run(lambda sides: _found(sides, sides.bridge.list_runs(most, wanted=wanted), of=None if as_json else flow))
    display.json(runs) if as_json else display.runs(runs, are_all=wanted == Wanted())


def failures(
    flow: OfFlow = None,
    ticket: OfTicket = None,
    since: Since = None,
    until: Until = None,
    text: Text = None,
    as_json: Json = False,
) -> None:
    """Groups failed runs by what failed.

    By flow, step and error, the most frequent first, with what to do and an example.
    """
    wanted = _wanted(flow, ticket, since, until, text)
    groups = run(lambda sides: _found(sides, sides.bridge.list_failures(wanted), of=None if as_json else flow))
    display.json(groups) if as_json else display.failures(groups)


def replay(
    event_id: Annotated[str, typer.Argument(metavar="EVENT", help="The event's id or a run's, or its beginning.")],
    flow: Annotated[
        str | None, typer.Option(metavar="KEY", help="Only this flow, active or not; else all active ones it starts.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Runs an event of the past again, with the flows as they are now.

    As new runs: what they send is sent again.
    """
    answer = run(lambda sides: sides.bridge.request("replay", {"event": event_id, "flow": flow}, who()))
    if as_json:
        return display.json(answer)
    for started in answer["runs"]:
        display.done(f"{started} started")
    return None


def show(
    run_id: RunId,
    everything: Annotated[bool, typer.Option("--all", help="Every pass of each loop, and long texts whole.")] = False,
    as_json: Json = False,
) -> None:
    """Shows one run with its steps.

    The trigger, and the way the run took: each step with its inputs, outputs, times and error; which case of a branch,
    the passes of a loop, what was done about an error. --json has all of it always.
    """

    async def work(sides: Sides) -> tuple[dict[str, Any], tuple[Outline, ...]]:
        shown = await sides.bridge.show_run(run_id)
        return shown, await sides.bridge.outline(shown["flow"], shown["version"])

    found, outline = run(work)
    display.json(found) if as_json else path.show(found, outline, everything=everything)


def retry(
    run_id: RunId,
    send: Annotated[bool, typer.Option("--send", help="In doubt: it was not sent, send it.")] = False,
    skip: Annotated[bool, typer.Option("--skip", help="In doubt: go on without it.")] = False,
    step: Annotated[
        str | None,
        typer.Option("--from", metavar="STEP", help="From this step on; what it and later ones did counts no more."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Does a failed run again, from the step that failed.

    With --from any ended run, from that step on. A run that waits because nobody can tell whether its message was sent
    needs --send or --skip.
    """
    if send and skip:
        raise typer.BadParameter("give either --send or --skip")
    if step is not None and (send or skip):
        raise typer.BadParameter("--from goes with neither --send nor --skip")
    _change("retry", {"run": run_id, "send": send if send or skip else None, "step": step}, as_json)


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


async def _found(sides: Sides, asked: Awaitable[list[dict[str, Any]]], of: str | None) -> list[dict[str, Any]]:
    """What was asked for, perhaps of a flow. Raises NotFound, naming the nearest, where that is none."""
    found = await asked
    if not found and of is not None:
        await sides.bridge.list_versions(of)  # also of a deleted one
    return found


def _wanted(
    flow: str | None,
    ticket: str | None,
    since: str | None,
    until: str | None,
    text: str | None,
    statuses: Sequence[str] = (),
) -> Wanted:
    for status in statuses:
        if status not in list(RunStatus):
            raise typer.BadParameter(f"a run's status is one of {', '.join(RunStatus)}", param_hint="--status")
    return Wanted(
        flow=flow,
        statuses=tuple(statuses),
        ticket=ticket.strip().removeprefix("#").rpartition("/")[2] if ticket else None,
        since=moment(since, "--since") if since else None,
        until=moment(until, "--until") if until else None,
        text=text,
    )


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
