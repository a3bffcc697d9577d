"""The command `zendesk-connector`: every command by name, and what its exit code says."""

from __future__ import annotations

import sys

import typer

from bolt_app.commands import connections, doctor, flows, runs, sandbox, serve
from zendesk_bridge.flows.errors import ConnectorError, Locked, SettingsError, WrongVersion

#: What is said is wrong with the call, the settings or the host, not with the thing asked for.
WRONG_USE = (SettingsError, Locked, WrongVersion)


def commands() -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="zendesk-connector",
        help="Runs action flows between Zendesk and Slack.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.command("serve")(serve.serve)
    app.command("sandbox")(sandbox.sandbox)
    app.command("doctor")(doctor.doctor)
    app.add_typer(flows.commands(), name="flows")
    app.add_typer(runs.commands(), name="runs")
    app.add_typer(connections.commands(), name="connections")
    return app


def main() -> None:
    """Runs a command. Exit codes: 0 done; 1 the thing asked for failed; 2 wrong use, settings, lock or version."""
    try:
        commands()()
    except SettingsError as problem:
        for line in problem.problems:
            print(line, file=sys.stderr)
        sys.exit(2)
    except ConnectorError as problem:
        print(f"{problem.message}." if problem.message[-1:].isalnum() else problem.message, file=sys.stderr)
        if problem.hint:
            print(problem.hint, file=sys.stderr)
        sys.exit(2 if isinstance(problem, WRONG_USE) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
