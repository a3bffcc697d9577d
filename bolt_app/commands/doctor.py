"""`zendesk-connector doctor`: every setting, where it came from, and what is wrong."""

from __future__ import annotations

import os
from typing import Any

import typer

from bolt_app.commands import accounts, display
from bolt_app.commands.flows import Json
from bolt_app.commands.working import run
from bolt_app.composition import Sides
from bolt_app.scopes import missing
from bolt_app.settings import Reading, Settings, examine
from zendesk_bridge.flows.errors import ConnectorError


def doctor(as_json: Json = False) -> None:
    """Shows every setting and what is wrong.

    Also where each came from, and whether Slack and Zendesk answer. Exit code 0 if all is well, 1 if something is
    missing or does not work, 2 if a setting's value cannot be used.
    """
    reading = examine()
    findings = [*_settings(reading), *run(lambda sides: _checks(sides, reading.settings), reading.settings)]
    display.json(findings) if as_json else accounts.findings(findings)
    if reading.wrong:
        raise typer.Exit(2)
    raise typer.Exit(0 if all(finding["ok"] for finding in findings) else 1)


def _settings(reading: Reading) -> list[dict[str, Any]]:
    unset = dict(line.split(": ", 1) for line in reading.settings.problems())
    wrong = unset | reading.wrong
    remarks = dict(reading.settings.warnings()) | wrong
    findings = [
        _finding(each.name, each.source, each.name not in wrong, remarks.pop(each.name, each.value))
        for each in reading.origins
    ]
    findings += [_finding(name, "file", False, message) for name, message in remarks.items()]
    for name, meant in reading.misspelt.items():
        findings.append(_finding(name, "environment or .env", False, f"is no setting: did you mean {meant}?"))
    return findings


async def _checks(sides: Sides, settings: Settings) -> list[dict[str, Any]]:
    findings = []
    await sides.slack.start()
    for connector in sides.bridge.catalog.connectors:
        try:
            identity = await connector.identify()
        except ConnectorError as problem:
            findings.append(_finding(connector.title, "connection", False, _words(problem)))
        else:
            way = _slack_way(settings) if connector.service == "slack" else _zendesk_way(settings)
            message = f"connected to {identity.account} as {identity.acts_as or identity.connected_by}, {way}"
            findings.append(_finding(connector.title, "connection", True, message))
            lacking = missing(identity.scopes, joins=settings.connector_join_public_channels)
            if connector.service == "slack" and identity.scopes and lacking:
                what = f"{', '.join(lacking)} missing: OAuth & Permissions > Scopes, then install the app again"
                findings.append(_finding("Slack scopes", "connection", False, what))
            if connector.service == "zendesk":
                findings.append(await _webhook(sides))
    if settings.slack_app_token is not None:
        from bolt_app.server import try_app_token

        refused = await try_app_token(sides, settings.slack_app_token.get_secret_value())
        findings.append(_finding("Socket Mode", "connection", refused is None, refused or "Slack takes the app token"))
    findings.append(await _database(sides))
    for wrong in sides.bridge.check([]):
        findings.append(_finding("flow file", wrong.file, False, str(wrong)))
    return findings


def _slack_way(settings: Settings) -> str:
    return "by SLACK_BOT_TOKEN" if settings.slack_bot_token is not None else "by the connection made in the browser"


def _zendesk_way(settings: Settings) -> str:
    zendesk = settings.bridge().zendesk
    if zendesk.oauth_token is not None:
        return "by ZENDESK_OAUTH_TOKEN"
    if zendesk.has_own_rights:
        return "by ZENDESK_CLIENT_SECRET"
    return "by the connection made in the browser" if zendesk.needs_consent else "by ZENDESK_API_TOKEN"


async def _webhook(sides: Sides) -> dict[str, Any]:
    """Whether the webhook at Zendesk is what it should be."""
    try:
        active = [flow["trigger"] for flow in await sides.bridge.list_flows() if flow["active"]]
        ok, message = await sides.bridge.subscription.inspect(sides.bridge.events_of(active))
    except ConnectorError as problem:
        return _finding("Zendesk webhook", "connection", False, f"cannot be looked at: {_words(problem)}")
    return _finding("Zendesk webhook", "connection", ok, message)


async def _database(sides: Sides) -> dict[str, Any]:
    path = sides.bridge.settings.database
    if not path.exists():
        folder = next((each for each in path.absolute().parents if each.exists()), path.parent)
        if not os.access(folder, os.W_OK):
            return _finding("database", "file", False, f"{path}: nothing can be written in {folder}")
        return _finding("database", "file", True, f"{path}: made on the first start")
    try:
        flows = await sides.bridge.list_flows()
    except ConnectorError as problem:
        return _finding("database", "file", False, _words(problem))
    active = sum(flow["active"] for flow in flows)
    served = "in use by a running connector" if sides.bridge.is_served() else "no connector is running"
    return _finding("database", "file", True, f"{path}: flows known: {len(flows)}, active: {active}; {served}")


def _words(problem: ConnectorError) -> str:
    return f"{problem.message.rstrip('.')}. {problem.hint}".strip()


def _finding(name: str, source: str, ok: bool, message: str) -> dict[str, Any]:
    return {"name": name, "source": source, "ok": ok, "message": message}
