"""The command `zendesk-connector`: every command by name, and what its exit code says."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bolt_app.commands import backup, connections, display, doctor, flows, manifest, rotation, runs, serve
from zendesk_bridge.flows.errors import ConnectorError, Locked, SettingsError, WrongVersion

#: What is said is wrong with the call, the settings or the host, not with the thing asked for.
WRONG_USE = (SettingsError, Locked, WrongVersion)


#: What else people call them.
OTHER_NAMES = {"flow": "flows", "action-flows": "flows", "workflow": "flows", "workflows": "flows", "run": "runs"}


class _Commands(TyperGroup):
    """Takes the other names too."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, OTHER_NAMES.get(cmd_name, cmd_name))


def commands() -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="zendesk-connector",
        cls=_Commands,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_group)
    app.command("serve")(serve.serve)
    app.command("sandbox")(sandbox)
    app.command("doctor")(doctor.doctor)
    app.command("backup")(backup.backup)
    app.command("rotate-key")(rotation.rotate_key)
    app.command("manifest")(manifest.manifest)
    app.add_typer(flows.commands(), name="flows")
    app.add_typer(runs.commands(), name="runs")
    app.add_typer(connections.commands(), name="connections")
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"zendesk-connector {version('zendesk-connector')}")
        raise typer.Exit


def _group(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Runs action flows between Zendesk and Slack.

    Start with `sandbox` to see it work without any account; with `doctor` to see which settings are missing.
    """


def sandbox(
    once: Annotated[bool, typer.Option("--once", help="Assign one ticket, show the message, end.")] = False,
) -> None:
    """Shows the main job without any account.

    Starts a Slack and a Zendesk in memory and the connector between them, assigns a ticket, shows the run step by step,
    and the message that the agent gets. With --once it ends then: exit code 0 if exactly that message arrived.
    """
    # Here, so that nothing else loads a sandbox.
    from bolt_app.commands.sandbox import play

    raise typer.Exit(play(once))


def main() -> None:
    """Runs a command. Exit codes: 0 done; 1 the thing asked for failed; 2 wrong use, settings, lock or version."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # closed, or not a file
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        commands()()
    except SettingsError as problem:
        for line in problem.problems:
            display.complaint(line)
        sys.exit(2)
    except ConnectorError as problem:
        display.complaint(problem.message if problem.message[-1:] in ".?!" else f"{problem.message}.")
        if problem.hint:
            display.complaint(problem.hint)
        sys.exit(2 if isinstance(problem, WRONG_USE) else 1)
    except UnicodeEncodeError:
        display.complaint("What was typed is no Unicode text.")
        sys.exit(2)
    except BrokenPipeError:
        # Whoever read has seen enough; the interpreter must not try to write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
