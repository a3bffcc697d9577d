"""What the commands print of the accounts at Slack and Zendesk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bolt_app.commands.terminal import cell, new_table, open_console, print_table, say, when


def connections(rows: list[dict[str, Any]], served: bool) -> None:
    """The connections, as a table."""
    if not rows:
        say("Nothing is connected yet: start `zendesk-connector serve`, or see `zendesk-connector doctor`.", "dim")
        return
    console = open_console()
    table = new_table("Service", "Account", "Connected by", "Since", "Status", whole=("Service", "Since", "Status"))
    for row in rows:
        cells = [row["service"], row["account"] or "", row["connected_by"] or "", when(row["since"]), row["status"]]
        table.add_row(*(cell(each) for each in cells[:-1]), cell(cells[-1], "red"))
    print_table(console, table)
    for row in rows:
        for line, style in _details(row):
            say(line, style)
    for row in rows:
        if row["scopes"]:
            say(f"Scopes of {row['service']}: {', '.join(row['scopes'])}", "dim")
    if not served:
        say("No connector is running: this is as it was last seen. `zendesk-connector doctor` tries it now.", "yellow")


def _details(row: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """How a connection does, beside the table."""
    name = str(row["service"]).capitalize()
    lines: list[tuple[str, str | None]] = []
    if row["acts_as"] and row["acts_as"] != row["connected_by"]:
        lines.append((f"{name}: actions are done as {row['acts_as']}.", None))
    if row["message"] and row["status"] != "ok":
        message = str(row["message"])
        lines.append((message if message.startswith(name) else f"{name}: {message}", "red"))
    if row["ok_at"]:
        last = f"{name}: last seen to work {when(row['ok_at'])}"
        if row["failure"]:
            last += f"; last failure {when(row['failed_at'])}: {row['failure']}"
        lines.append((last, "dim"))
    left = [f"{kind} {calls:.0f}" for kind, calls in (row["budgets"] or {}).items() if calls is not None]
    if left and row["account"]:
        lines.append((f"{name}: calls that may be made now: {', '.join(left)}", "dim"))
    return lines


def findings(rows: list[dict[str, Any]]) -> None:
    """What the doctor found, as a table: what is wrong last, where it is seen."""
    table = new_table("", "Setting", "From", "Value or finding", whole=("", "Setting", "From"))
    for row in sorted(rows, key=lambda row: not row["ok"]):
        mark = cell("ok") if row["ok"] else cell("✗", "red")
        table.add_row(mark, *(cell(row[name], "") for name in ("name", "source", "message")))
    print_table(open_console(), table)
    wrong = sum(not row["ok"] for row in rows)
    say(f"{wrong} to mend." if wrong else "All is well.", "red" if wrong else "green")


def link(address: str) -> None:
    """A one-time link."""
    say("Open this in a browser, signed in as whoever the connector is to act for:", None)
    say(f"\n  {address}\n", "bold")
    say("It works once, for 15 minutes.", "dim")


def waits_for_browser() -> None:
    """What happens next."""
    say("Waiting for the browser … (Ctrl-C stops waiting; the link stays good)", "dim")


def connected(answer: Mapping[str, Any]) -> None:
    """What is connected now, and what there is to do next."""
    title = str(answer["service"]).capitalize()
    say(f"{title} is connected to {answer['account']}, by {answer['connected_by']}.", "green")
    if answer["scopes"]:
        say(f"Granted: {', '.join(answer['scopes'])}", "dim")
    if answer.get("missing"):
        lacking = ", ".join(answer["missing"])
        say(f"Missing: {lacking}: add them under OAuth & Permissions > Scopes, and connect again", "red")
    for did in answer.get("webhook", ()):
        say(f"Webhook: {did}", None)
    if answer.get("clicks"):
        say("To make the webhook by hand:", "yellow")
        for number, click in enumerate(answer["clicks"], 1):
            say(f"  {number}. {click}", None)
    if answer["service"] == "slack":
        say("Next, in each channel that flows post to or read: /invite @Zendesk Connector", "yellow")


def disconnected(answer: Mapping[str, Any]) -> None:
    """What was done."""
    for did in answer["done"]:
        say(f"{str(answer['service']).capitalize()}: {did}.", None)


def rotated(answer: Mapping[str, Any], *, in_setting: bool) -> None:
    """What was encrypted anew."""
    say(f"Encrypted anew: {answer['secrets']} stored secrets.", "green")
    if in_setting:
        say("Now take the old key out of CONNECTOR_SECRET_KEY.", "yellow")
