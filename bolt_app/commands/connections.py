"""`zendesk-connector connections …`: the accounts at Slack and Zendesk."""

from __future__ import annotations

import typer

from bolt_app.commands import display
from bolt_app.commands.flows import Json
from bolt_app.commands.working import run


def commands() -> typer.Typer:
    """The commands."""
    app = typer.Typer(help="Connections to Slack and Zendesk.", no_args_is_help=True, rich_markup_mode=None)
    app.command("list")(list_connections)
    app.callback()(_group)
    return app


def _group() -> None:
    """Connections to Slack and Zendesk."""


def list_connections(as_json: Json = False) -> None:
    """Lists the connections as the running connector last saw them."""
    connections = run(lambda sides: sides.bridge.list_connections())
    display.json(connections) if as_json else display.connections(connections)
