"""`zendesk-connector flows test`: a flow is tried, for real, dry, or with both services simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bolt_app.commands import display, messages
from bolt_app.commands.testing import Listener, Start, run_test
from bolt_app.commands.working import run
from bolt_app.composition import Sides
from zendesk_bridge.flows.errors import NotFound

_WHICH = "give one of --sample, --ticket ID, --event FILE and --past EVENT"
_NOTHING_LEFT = {
    "dry": "A dry run: nothing was sent or recorded.",
    "sandbox": "A simulated run: Slack and Zendesk were in memory, and nothing of it is kept.",
}


def run_now(
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="The flow's key: `flows list` names them.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Start from the trigger's sample.")] = False,
    ticket: Annotated[
        str | None, typer.Option(metavar="ID", help="Start from a live ticket: as if it were assigned now.")
    ] = None,
    event: Annotated[Path | None, typer.Option(metavar="FILE", help="Start from a webhook's JSON body.")] = None,
    past: Annotated[
        str | None,
        typer.Option(metavar="EVENT", help="Start from an event of the history: its id or a run's, or its beginning."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME=VALUE", help="Another value for a variable of the trigger; repeatable."),
    ] = None,
    dry: Annotated[bool, typer.Option("--dry", help="Do the reads, and show what would be sent.")] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Run it with a Slack and a Zendesk in memory; nothing is needed.")
    ] = False,
    written: Annotated[bool, typer.Option("--all", help="Run the tests in KEY.test.yml; without KEY, of all.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Runs a flow now, active or not.

    With --all the tests that lie beside flow files instead: nothing is called, read or sent.

    Shows each step's inputs and outputs, and each message as Slack shows it. Without --dry or --sandbox the messages
    are sent. --with alone starts from the sample; --sandbox alone assigns a sample ticket. Exit code 1 if the run
    fails, or waits for something.
    """
    start_from = [each is not None for each in (ticket, event, past)] + [sample]
    if written:
        if any(start_from) or changes or dry or sandbox:
            raise typer.BadParameter("--all goes with KEY and --json, and with nothing else")
        results = run(lambda sides: sides.bridge.trials.rehearse(key))
        display.json(results) if as_json else display.rehearsals(results)
        raise typer.Exit(0 if all(result["ok"] for result in results) else 1)
    if key is None:
        raise typer.BadParameter("which flow? give its KEY, or --all")
    if dry and sandbox:
        raise typer.BadParameter("give either --dry or --sandbox")
    if sandbox and ticket is not None:
        raise typer.BadParameter(
            "--ticket is a live ticket of Zendesk, which --sandbox does not reach: "
            "take --sample, or --past with an event about the ticket"
        )
    if sum(start_from) > 1 or not (any(start_from) or changes or sandbox):
        raise typer.BadParameter(_WHICH)
    if wrong := next((each for each in changes or () if "=" not in each), None):
        raise typer.BadParameter(f"{wrong!r} is not NAME=VALUE, such as priority=high", param_hint="--with")
    try:
        body = event.read_bytes() if event else None
    except OSError as problem:
        raise typer.BadParameter(f"{event} cannot be read: {problem.strerror}") from problem
    sample = sample or bool(changes and not any(start_from))
    start = Start(ticket=ticket, body=body, past=past, sample=sample, changes=tuple(changes or ()))
    _try(key, start, "sandbox" if sandbox else "dry" if dry else "real", as_json)


def _try(key: str, start: Start, how: str, as_json: bool) -> None:
    """Tests a flow, shows it, and ends the command."""
    listener = _SILENT if as_json else _SHOWING

    async def work(sides: Sides) -> tuple[dict[str, Any], bool, dict[str, str]]:
        if how == "sandbox":
            # Here, so that nothing else loads a sandbox.
            from bolt_app.commands.simulation import simulate

            result, names = await simulate(sides, key, start, listener)
            return result, False, names
        served = sides.bridge.is_served()
        flow = None if how == "dry" else await known_flow(sides, key)  # before Zendesk is asked for anything
        if flow and served and not as_json and _changed_since(flow):
            display.done(f"Testing version {flow['version']}.", display.CHANGED_SINCE)
        return await run_test(sides, key, start, how == "dry", listener), served, {}

    result, served, names = run(work)
    names = messages.names_in(result) | names
    sent = messages.sendings(result, names)
    if as_json:
        display.json({**result, "messages": [each.as_json(names) for each in sent]})
    else:
        display.run_end(result)
        messages.show(sent, names)
        display.test_end(result, served, _NOTHING_LEFT.get(how))
    # A simulated run has nobody who goes on with it.
    ended_well = result["status"] == "succeeded" or (how == "real" and result["status"] not in ("failed", "cancelled"))
    raise typer.Exit(0 if ended_well and not result["error"] else 1)


def _ignored(_: object) -> None:
    """For those who are shown all of it in the end, as JSON."""


def _show_step(step: dict[str, Any]) -> None:
    display.step(step, message_follows=messages.is_sending(step))


_SILENT = Listener(step=_ignored, starts=_ignored, remark=_ignored)
_SHOWING = Listener(step=_show_step, starts=display.would_start, remark=display.remark)


async def known_flow(sides: Sides, key: str) -> dict[str, Any]:
    """A flow that can run. Raises NotFound where there is none, or its file was never right."""
    flow = await sides.bridge.show_flow(key)
    if not flow["version"]:
        raise NotFound(
            "no_version", f"Flow {key!r} cannot run: {flow['problem']}", hint=f"`zendesk-connector flows check {key}`"
        )
    return flow


def _changed_since(flow: dict[str, Any]) -> bool:
    """Whether a flow's file is another than the one that was read."""
    try:
        text = Path(flow["source"]).read_bytes().decode()
    except (OSError, ValueError):  # a recipe, or gone
        return False
    return bool(text != flow["text"])
