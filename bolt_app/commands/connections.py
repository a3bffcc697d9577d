"""`zendesk-connector connections …`: the accounts at Slack and Zendesk."""

from __future__ import annotations

from typing import Any

import typer

from bolt_app.commands import display
from bolt_app.commands.flows import Json
from bolt_app.commands.working import run
from bolt_app.composition import Sides


def commands() -> typer.Typer:
    """The commands."""
    app = typer.Typer(help="Shows the accounts at Slack and Zendesk.", no_args_is_help=True, rich_markup_mode=None)
    app.command("list")(list_connections)
    app.callback()(_group)  # with one command alone, Typer would drop its name
    return app


def _group() -> None:
    """Shows the accounts at Slack and Zendesk."""


def list_connections(as_json: Json = False) -> None:
    """Lists the connections, as last seen.

    As the running connector last saw them; `doctor` tries them now.
    """

    async def work(sides: Sides) -> tuple[list[dict[str, Any]], bool]:
        return await sides.bridge.list_connections(), sides.bridge.is_served()

    connections, served = run(work)
    display.json(connections) if as_json else display.connections(connections, served)
