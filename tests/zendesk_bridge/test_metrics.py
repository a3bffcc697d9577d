"""What Prometheus is shown: figures of the work at hand, with labels of few values."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bolt_app.sandbox import Fault as SlackFault
from bolt_app.sandbox import SlackServer
from bolt_app.server import Connector
from zendesk_bridge.flows.errors import NeedsInvite, Paced, Permanent, Transient, Uncertain
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.metrics import BUCKETS, MOST_CALLS, Metrics
from zendesk_bridge.sandbox import ZendeskServer, people

StartConnector = Callable[..., Awaitable[Connector]]
Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def figures(text: str) -> Figures:
    """Every figure, by its name without the prefix and its labels."""
    return {
        (sample.name.removeprefix("zendesk_connector_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figure(found: Figures, name: str, **labels: str) -> float | None:
    """One figure; None where it is not there."""
    return found.get((name, frozenset(labels.items())))


async def scraped(connector: Connector) -> Figures:
    """What `/metrics` of a running connector shows."""
    async with aiohttp.request("GET", f"{connector.url}/metrics") as answered:
        assert answered.status == 200
        return figures(await answered.text())


async def shown(metrics: Metrics) -> Figures:
    return figures((await metrics.render()).decode())


async def test_a_step_is_timed_by_its_action(connector: Connector, zendesk: ZendeskServer) -> None:
    assert (await zendesk.assign(people.GRINDER, people.NOOR)).deliveries[0].status == 200
    await connector.sides.bridge.idle()
    found = await scraped(connector)
    posted = {"action": "slack.send_direct_message", "outcome": "ok"}
    assert figure(found, "step_duration_seconds_count", **posted) == 1
    assert 0 < (figure(found, "step_duration_seconds_sum", **posted) or 0) < 10
    assert figure(found, "step_duration_seconds_bucket", **posted, le="60.0") == 1
    assert figure(found, "step_duration_seconds_bucket", **posted, le="0.005") is not None
    assert figure(found, "runs_total", status="succeeded") == 1
    assert figure(found, "accepted_events_total", source="webhook") == 1
    assert figure(found, "accepted_events_total", source="poll") == 0
    assert figure(found, "open_runs", status="running") == 0
    assert (figure(found, "journal_commits_total") or 0) > 0
    assert figure(found, "database_readable") == 1


async def test_a_run_that_waits_for_a_broken_connection_is_seen(
    connector: Connector, zendesk: ZendeskServer, slack: SlackServer
) -> None:
    slack.state.faults.append(SlackFault(method="*", kind="error", times=1_000, error="token_revoked"))
    assert (await zendesk.assign(people.GRINDER, people.NOOR)).deliveries[0].status == 200
    found = await scraped(connector)
    async with asyncio.timeout(30):
        while not figure(found, "waiting_runs", reason="needs_connection"):
            found = await scraped(connector)
    assert figure(found, "connection_up", service="slack") == 0
    assert figure(found, "connection_up", service="zendesk") == 1
    assert figure(found, "open_runs", status="waiting") == 1
    assert figure(found, "waiting_runs", reason="limit") == 0
    waiting, opened = (figure(found, f"oldest_{name}_run_age_seconds") for name in ("waiting", "open"))
    assert waiting is not None
    assert opened is not None
    assert 0 < waiting <= opened < 20


async def test_what_is_left_of_the_services_limits_is_shown(connector: Connector, zendesk: ZendeskServer) -> None:
    assert (await zendesk.assign(people.GRINDER, people.NOOR)).deliveries[0].status == 200
    await connector.sides.bridge.idle()
    found = await scraped(connector)
    assert (figure(found, "budget_remaining", service="zendesk", bucket="account") or 0) > 0
    assert figure(found, "waiting_calls", service="zendesk", bucket="account") == 0
    services = {dict(labels)["service"] for name, labels in found if name == "budget_remaining"}
    assert services == {"slack", "zendesk"}


async def test_where_the_database_cannot_be_read_the_other_figures_come(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr("zendesk_bridge.flows.open_runs.count", broken)
    found = await scraped(connector)
    assert figure(found, "database_readable") == 0
    assert figure(found, "events_total", result="accepted") == 0
    assert figure(found, "connection_up", service="slack") is not None
    assert figure(found, "open_runs", status="waiting") is None


async def test_a_slow_database_holds_up_nobody_else(journal: Journal) -> None:
    metrics = Metrics(journal)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)

    slow = asyncio.create_task(journal.read(lambda connection: _take_long(connection)))
    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await metrics.render()
    assert slow.done()
    assert ticks > 3
    ticking.cancel()


def _take_long(connection: sqlite3.Connection) -> None:
    connection.execute(
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 600000) select count(*) from n"
    )


async def test_what_is_not_known_is_left_out(journal: Journal) -> None:
    found = await shown(Metrics(journal))
    assert not {"poller_lag_seconds", "journal_queued_writes", "last_write_timestamp_seconds"} & {
        name for name, _ in found
    }
    found = await shown(
        Metrics(journal, poller_lag=lambda: 75.5, queued_writes=lambda: 3, written_at=lambda: 1_800_000_000.0)
    )
    assert figure(found, "poller_lag_seconds") == 75.5
    assert figure(found, "journal_queued_writes") == 3
    assert figure(found, "last_write_timestamp_seconds") == 1_800_000_000.0


async def test_outcomes_of_steps_are_named_by_what_happens_next(journal: Journal) -> None:
    metrics = Metrics(journal)
    problems: Mapping[str, BaseException | None] = {
        "ok": None,
        "paced": Paced("It waits its turn", retry_after=3),
        "transient": Transient("ratelimited", "Too many"),
        "uncertain": Uncertain("timeout", "No answer"),
        "permanent": Permanent("is_archived", "The channel is archived"),
        "needs_invite": NeedsInvite("not_in_channel", "Not in it", channel="C1"),
        "internal": KeyError("a defect"),
        "cancelled": asyncio.CancelledError(),
    }
    for problem in problems.values():
        metrics.step("far.make", problem, 0.3)
        metrics.step("far.make", problem, 0.3)
    found = await shown(metrics)
    for outcome in problems:
        assert figure(found, "step_duration_seconds_count", action="far.make", outcome=outcome) == 2
        assert figure(found, "step_duration_seconds_bucket", action="far.make", outcome=outcome, le="0.25") == 0
        assert figure(found, "step_duration_seconds_bucket", action="far.make", outcome=outcome, le="0.5") == 2


@pytest.mark.parametrize("code", ["xoxb-1234-secret", "noor@example.com", "a" * 51, "No such thing", "", "1", "ä"])
async def test_a_code_that_a_service_makes_up_is_not_shown(journal: Journal, code: str) -> None:
    metrics = Metrics(journal)
    metrics.call("slack", "chat.postMessage", code)
    found = await shown(metrics)
    assert figure(found, "api_calls_total", service="slack", endpoint="chat.postMessage", outcome="other") == 1
    assert not code or code not in {value for _, labels in found for _, value in labels} - {"1"}


async def test_labels_have_a_bounded_number_of_values(journal: Journal) -> None:
    metrics = Metrics(journal)
    for number in range(3 * MOST_CALLS):
        metrics.call("slack", "chat.postMessage", f"error_{number}")
    metrics.call("slack", "chat.postMessage", "error_1")
    found = {
        dict(labels)["outcome"]: value
        for (name, labels), value in (await shown(metrics)).items()
        if name == "api_calls_total"
    }
    assert len(found) == MOST_CALLS + 1
    assert (found["error_1"], found["other"]) == (2, 2 * MOST_CALLS)


async def test_figures_are_written_as_the_library_of_prometheus_writes_its_own(journal: Journal) -> None:
    metrics, library = Metrics(journal), CollectorRegistry()
    calls = Counter(
        "zendesk_connector_api_calls",
        "Calls to Slack and Zendesk, by endpoint and outcome.",
        ["service", "endpoint", "outcome"],
        registry=library,
    )
    steps = Histogram(
        "zendesk_connector_step_duration_seconds",
        "What the calls of steps took, looks for lost answers among them, by action and outcome.",
        ["action", "outcome"],
        buckets=BUCKETS,
        registry=library,
    )
    chance = Random(7)
    for _ in range(2_000):
        called = (
            chance.choice(("slack", "zendesk")),
            chance.choice(("a.b", 'c"d\n')),
            chance.choice(("ok", "timeout")),
        )
        metrics.call(*called)
        calls.labels(*called).inc()
        action, seconds = chance.choice(("far.make", "far.look")), chance.choice((*BUCKETS, chance.expovariate(0.1)))
        problem = chance.choice((None, Transient("ratelimited", "Too many"), Paced("It waits", retry_after=3)))
        metrics.step(action, problem, seconds)
        steps.labels(action, {type(None): "ok", Transient: "transient", Paced: "paced"}[type(problem)]).observe(seconds)
    shown = (await metrics.render()).decode().splitlines()
    wanted = [line for line in generate_latest(library).decode().splitlines() if "_created{" not in line]
    missing = [line for line in wanted if line not in shown]
    # The histogram does not say since when it counts.
    assert missing == [line for line in wanted if "step_duration_seconds_created" in line]


async def test_since_when_figures_are_counted_is_left_out_where_the_library_is_told_so(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_DISABLE_CREATED_SERIES", "True")
    text = (await Metrics(journal).render()).decode()
    assert "zendesk_connector_runs_total{" in text
    assert "_created" not in text


async def test_each_figure_says_since_when_it_is_counted(journal: Journal) -> None:
    before = time.time()
    metrics = Metrics(journal)
    metrics.run_ended("succeeded")
    since = figure(await shown(metrics), "runs_created", status="succeeded")
    assert since is not None
    assert before <= since <= time.time()


async def test_what_threads_count_at_once_is_counted(journal: Journal) -> None:
    metrics = Metrics(journal)

    def count() -> None:
        for _ in range(2_000):
            metrics.call("zendesk", "tickets", "ok")

    await asyncio.gather(*(asyncio.to_thread(count) for _ in range(4)))
    found = await shown(metrics)
    assert figure(found, "api_calls_total", service="zendesk", endpoint="tickets", outcome="ok") == 8_000


async def test_build_info_says_the_version_that_runs(journal: Journal) -> None:
    labels: list[dict[str, Any]] = [
        dict(labels) for name, labels in await shown(Metrics(journal)) if name == "build_info"
    ]
    assert [list(each) for each in labels] == [["version"]]
    assert labels[0]["version"][0].isdigit()
