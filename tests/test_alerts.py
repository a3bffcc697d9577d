"""The example alerts ask for figures that there are."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from bolt_app.sandbox import Fault as SlackFault
from bolt_app.sandbox import SlackServer
from bolt_app.server import Connector
from zendesk_bridge.metrics import Metrics
from zendesk_bridge.sandbox import Fault as ZendeskFault
from zendesk_bridge.sandbox import ZendeskServer, people

FILE = Path(__file__).parents[1] / "prometheus-alerts.yml"
ASKED = re.compile(r"(zendesk_connector_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)=(~?)\"([^\"]*)\"")
#: What only a service that misbehaves answers, or only a poller meets.
RARE = {("outcome", "forbidden"), ("outcome", "rate_limited"), ("endpoint", "/api/v2/incremental/ticket_events")}


def alerts() -> list[dict[str, Any]]:
    """All alerts of the file."""
    document = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


@pytest.fixture
async def shown(connector: Connector, zendesk: ZendeskServer, slack: SlackServer) -> dict[str, list[dict[str, str]]]:
    """The labels of each figure by its name, after a run that met limits of both services."""
    zendesk.state.faults.append(ZendeskFault(path="/api/v2/tickets", kind="status", status=429, retry_after=0))
    slack.state.faults.append(SlackFault(method="chat.postMessage", kind="rate_limited", retry_after=0))
    assert (await zendesk.assign(people.GRINDER, people.NOOR)).deliveries[0].status == 200
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{connector.url}/metrics") as answered:
                text = await answered.text()
            if 'runs_total{status="succeeded"} 1.0' in text:
                break
    with_poller = Metrics(connector.sides.bridge._journal, poller_lag=lambda: 1.0)
    text += (await with_poller.render()).decode()
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


async def test_every_figure_that_an_alert_asks_for_is_shown_with_its_labels(
    shown: dict[str, list[dict[str, str]]],
) -> None:
    for alert in alerts():
        asked = ASKED.findall(alert["expr"])
        assert asked, alert["alert"]
        kept = set()
        for name, matchers in asked:
            assert name in shown, (alert["alert"], name)
            kept |= {label for labels in shown[name] for label in labels}
            for label, is_pattern, value in MATCHER.findall(matchers):
                values = {labels.get(label) for labels in shown[name]}
                for wanted in value.split("|") if is_pattern else [value]:
                    assert values - {None}, (alert["alert"], label)
                    assert wanted in values or (label, wanted) in RARE, (alert["alert"], label, wanted)
        named = set(re.findall(r"(?:by|without) \(([\w, ]+)\)", alert["expr"]))
        assert {label for labels in named for label in re.findall(r"\w+", labels)} <= kept, alert["alert"]
        told = re.findall(r"\$labels\.(\w+)", str(alert["annotations"]))
        assert set(told) <= kept, alert["alert"]


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    names = [alert["alert"] for alert in alerts()]
    assert len(names) == len(set(names)) >= 10
    for alert in alerts():
        assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
        assert alert["labels"]["severity"] in ("warning", "critical")
        assert re.fullmatch(r"\d+m", alert.get("for", "1m"))
        assert len(alert["annotations"]["summary"]) < 80
        assert len(alert["annotations"]["description"]) > 80
