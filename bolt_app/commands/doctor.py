"""`zendesk-connector doctor`: every setting, where it came from, and what is wrong."""

from __future__ import annotations

from typing import Any

import typer

from bolt_app.commands import display
from bolt_app.commands.flows import Json
from bolt_app.commands.working import run
from bolt_app.composition import Sides
from bolt_app.settings import Settings, load, origins
from zendesk_bridge.flows.errors import ConnectorError


def doctor(as_json: Json = False) -> None:
    """Shows each setting and where it came from, tries both connections, and says what is wrong."""
    settings = load()
    findings = [*_settings(settings), *run(_checks)]
    display.json(findings) if as_json else display.findings(findings)
    raise typer.Exit(0 if all(finding["ok"] for finding in findings) else 1)


def _settings(settings: Settings) -> list[dict[str, Any]]:
    wrong: dict[str, str] = {}
    for line in settings.problems():
        name, _, message = line.partition(": ")
        wrong[name] = message
    remarks = dict(settings.warnings())
    remarks |= wrong
    return [
        _finding(each.name, each.source, each.name not in wrong, remarks.get(each.name, each.value))
        for each in origins(settings)
    ]


async def _checks(sides: Sides) -> list[dict[str, Any]]:
    findings = []
    await sides.slack.start()
    for connector in sides.bridge.catalog.connectors:
        try:
            identity = await connector.identify()
        except ConnectorError as problem:
            findings.append(_finding(connector.title, "connection", False, _words(problem)))
        else:
            message = f"connected to {identity.account} as {identity.connected_by}"
            findings.append(_finding(connector.title, "connection", True, message))
    try:
        flows = await sides.bridge.list_flows()
    except ConnectorError as problem:
        return [*findings, _finding("database", "file", False, _words(problem))]
    findings.append(_finding("database", "file", True, str(sides.bridge.settings.database)))
    for wrong in sides.bridge.check([]):
        findings.append(_finding("flow file", wrong.file, False, str(wrong)))
    active = sum(flow["active"] for flow in flows)
    findings.append(_finding("flows", "database", True, f"{len(flows)} known, {active} active"))
    return findings


def _words(problem: ConnectorError) -> str:
    return f"{problem.message}. {problem.hint}".strip()


def _finding(name: str, source: str, ok: bool, message: str) -> dict[str, Any]:
    return {"name": name, "source": source, "ok": ok, "message": message}
