"""`zendesk-connector connections …`: the accounts at Slack and Zendesk."""

from __future__ import annotations

import asyncio
import sys
import time
import webbrowser
from typing import Annotated, Any

import typer

from bolt_app.commands import accounts, display
from bolt_app.commands.flows import Json
from bolt_app.commands.working import run, who
from bolt_app.composition import Sides
from bolt_app.connecting.visits import LIFETIME, fingerprint, new_secret
from zendesk_bridge.flows.errors import ConnectorError

SERVICES = ("slack", "zendesk")
#: How often it is looked whether somebody has finished in the browser, in seconds.
LOOK_EVERY = 1.0

Service = Annotated[str, typer.Argument(metavar="slack|zendesk", help="The service.")]


def commands() -> typer.Typer:
    """The commands."""
    app = typer.Typer(
        help="Connects Slack and Zendesk, and shows the accounts.", no_args_is_help=True, rich_markup_mode=None
    )
    app.command("list")(list_connections)
    app.command("connect")(connect)
    app.command("disconnect")(disconnect)
    return app


def list_connections(as_json: Json = False) -> None:
    """Lists the connections, as last seen.

    As the running connector last saw them; `doctor` tries them now.
    """

    async def work(sides: Sides) -> tuple[list[dict[str, Any]], bool]:
        rows, served = await sides.bridge.list_connections(), sides.bridge.is_served()
        budgets = (await sides.bridge.request("budgets", {}, who()))["budgets"] if served else {}
        return [{**row, "budgets": budgets.get(row["service"])} for row in rows], served

    connections, served = run(work)
    display.json(connections) if as_json else accounts.connections(connections, served)


def connect(service: Service, as_json: Json = False) -> None:
    """Connects Slack or Zendesk.

    Prints a link that is good once, for 15 minutes: open it in a browser, signed in as whoever the connector is to act
    for. Zendesk with a client secret needs no browser. Where it can be, the webhook at Zendesk is made.
    """
    _check(service)

    secret = new_secret()  # it goes to whoever reads it here, and nowhere else

    async def begin(sides: Sides) -> dict[str, Any]:
        asked = {"service": service, "link": fingerprint(secret)}
        return await sides.bridge.request("connect", asked, who())

    answer = run(begin)
    if "link" in answer:
        answer["link"] += secret
    if as_json:
        return display.json(answer)
    if "link" not in answer:
        return accounts.connected(answer)
    accounts.link(answer["link"])
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        return None
    if typer.confirm("Open it here in a browser?", default=True):
        webbrowser.open(answer["link"])
    accounts.waits_for_browser()
    found = run(lambda sides: _wait(sides, service, secret))
    if found is None:
        raise ConnectorError(
            "not_finished",
            f"Nobody finished connecting {service.capitalize()} in the browser",
            hint=f"`zendesk-connector connections connect {service}` makes a new link.",
        )
    return accounts.connected(found)


async def _wait(sides: Sides, service: str, secret: str) -> dict[str, Any] | None:
    """What the browser led to; None where nobody finishes."""
    deadline = time.monotonic() + LIFETIME
    while time.monotonic() < deadline:
        outcome = (await sides.bridge.request("outcome", {"service": service, "link": fingerprint(secret)}, who()))[
            "outcome"
        ]
        if outcome is not None:
            return dict(outcome)
        await asyncio.sleep(LOOK_EVERY)
    return None


def disconnect(service: Service, as_json: Json = False) -> None:
    """Takes a connection out.

    Ends and forgets its tokens, and removes the webhook that the connector made at Zendesk; nothing that others made.
    """
    _check(service)

    async def work(sides: Sides) -> dict[str, Any]:
        return await sides.bridge.request("disconnect", {"service": service}, who())

    answer = run(work)
    display.json(answer) if as_json else accounts.disconnected(answer)


def _check(service: str) -> None:
    if service not in SERVICES:
        raise typer.BadParameter(f"must be slack or zendesk, not {service!r}", param_hint="SERVICE")
