"""Figures for Prometheus. They hold no names, ids, addresses or secrets, and every label has few values."""

from __future__ import annotations

import os
import re
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import version
from itertools import accumulate
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from zendesk_bridge.flows import open_runs
from zendesk_bridge.flows.catalog import Connector
from zendesk_bridge.flows.errors import (
    Credentials,
    NeedsInvite,
    Paced,
    Permanent,
    StorageError,
    Transient,
    Uncertain,
)
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import utc_now

#: From a local answer to the longest a call may take, in seconds.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Different calls and outcomes that are counted apart; what comes later counts as `other`.
MOST_CALLS = 500
OTHER = "other"

# Outcomes of a step's call: by what happens next, as the errors are named.
_OUTCOMES = (
    (Paced, "paced"),
    (Transient, "transient"),
    (Uncertain, "uncertain"),
    (Permanent, "permanent"),
    (NeedsInvite, "needs_invite"),
    (Credentials, "credentials"),
)
# Services make up the codes that they answer with.
_CODE = re.compile(r"[a-z][a-z0-9_]{0,49}")


class Metrics:
    """What `/metrics` shows."""

    def __init__(
        self,
        journal: Journal,
        *,
        statuses: Callable[[], Mapping[str, str]] = dict,
        connectors: Callable[[], Iterable[Connector]] = tuple,
        poller_lag: Callable[[], float | None] = lambda: None,
        queued_writes: Callable[[], int | None] = lambda: None,
        written_at: Callable[[], float | None] = lambda: None,
    ) -> None:
        """
        Args:
            statuses: one word for each connection, `ok` where it works.
            connectors: the services, with what paces the calls to them.
            poller_lag: how far the poller is behind, in seconds; None leaves it out.
            queued_writes: writes that wait for the journal's next commit; None leaves it out.
            written_at: when the journal last committed, as a Unix time; None leaves it out.
        """
        self._journal = journal
        self._statuses = statuses
        self._connectors = connectors
        self._poller_lag = poller_lag
        self._queued_writes = queued_writes
        self._written_at = written_at
        self._registry = CollectorRegistry()
        self._runs = _Counts("zendesk_connector_runs", "Runs that ended, by status.", ("status",))
        self._events = _Counts("zendesk_connector_events", "Zendesk webhook requests, by result.", ("result",))
        self._accepted = _Counts(
            "zendesk_connector_accepted_events",
            "Events that an active flow wanted, by what reported them; both may report one.",
            ("source",),
        )
        self._calls = _Counts(
            "zendesk_connector_api_calls",
            "Calls to Slack and Zendesk, by endpoint and outcome.",
            ("service", "endpoint", "outcome"),
        )
        self._steps = _Durations(
            "zendesk_connector_step_duration_seconds",
            "What the calls of steps took, looks for lost answers among them, by action and outcome.",
            ("action", "outcome"),
        )
        self._missed = _Counts(
            "zendesk_connector_side_load_misses",
            "Look-ups that needed a call because what came beside the ticket was not enough, by kind.",
            ("kind",),
        )
        for figures in (self._runs, self._events, self._accepted, self._calls, self._steps, self._missed):
            self._registry.register(figures)
        # Counted from nothing, so that the first of a kind is an increase.
        for counts, values in (
            (self._runs, ("succeeded", "failed", "cancelled")),
            (self._events, ("accepted", "unwanted", "unknown", "malformed", "refused", "not_stored")),
            (self._accepted, ("webhook", "poll")),
            (self._missed, ("users", "organizations", "metric_sets")),
        ):
            for value in values:
                counts.add((value,), 0)
        # What each call is counted as.
        self._called: dict[tuple[str, str, str], tuple[str, str, str]] = {}
        # What each step's calls with one kind of problem took.
        self._took: dict[tuple[str, type[Any]], _Times] = {}

    def run_ended(self, status: str) -> None:
        """Counts a run that ended."""
        self._runs.add((status,))

    def event(self, result: str) -> None:
        """Counts a webhook request by what became of it."""
        self._events.add((result,))

    def event_accepted(self, source: str) -> None:
        """Counts an event that is stored with its runs, by its source: webhook, poll."""
        self._accepted.add((source,))

    def side_load_missed(self, kind: str) -> None:
        """Counts that what came beside a ticket was not enough: of the users, organizations or metric_sets."""
        self._missed.add((kind,))

    def call(self, service: str, endpoint: str, outcome: str) -> None:
        """Counts a call to a service. Threads may call it."""
        called = (service, endpoint, outcome)
        known = self._called.get(called)
        if known is None:
            known = (service, endpoint, outcome if _CODE.fullmatch(outcome) else OTHER)
            if len(self._called) >= MOST_CALLS:
                known = (service, OTHER, OTHER)
            else:
                self._called[called] = known
        self._calls.add(known)

    def step(self, action: str, problem: BaseException | None, seconds: float) -> None:
        """Counts a call of a step, and what it took."""
        kind = (action, type(problem))
        took = self._took.get(kind)
        if took is None:
            took = self._took[kind] = self._steps.of((action, _outcome(problem)))
        took.add(seconds)

    async def render(self) -> bytes:
        """All figures in Prometheus' text format. What cannot be read is left out."""
        now = [*await self._of_runs(), *self._of_services(), *self._of_journal(), _build()]
        if (lag := self._poller_lag()) is not None:
            now.append(_gauge("poller_lag_seconds", "How far the poller's reading is behind.", {(): lag}))
        return generate_latest(self._registry) + generate_latest(_Now(now))

    async def _of_runs(self) -> list[Metric]:
        try:
            runs, readable = await self._journal.read(open_runs.count), True
        except StorageError:
            runs, readable = None, False
        found = [_gauge("database_readable", "Whether the database can be read: 1 or 0.", {(): readable})]
        if runs is None:
            return found
        ages = {
            "oldest_waiting_run_age_seconds": (
                "How long the run that waits longest for something has waited; 0 where none does.",
                runs.waiting_since,
            ),
            "oldest_open_run_age_seconds": (
                "How long ago the oldest open run was accepted, retried ones left out; 0 where none is open.",
                runs.accepted_at,
            ),
        }
        now = utc_now()
        return [
            *found,
            _gauge("open_runs", "Runs that have not ended, by status.", _by(runs.by_status), "status"),
            _gauge("waiting_runs", "Waiting runs, by what they wait for.", _by(runs.by_reason), "reason"),
            *(
                _gauge(name, says, {(): max((now - since).total_seconds(), 0.0) if since else 0.0})
                for name, (says, since) in ages.items()
            ),
        ]

    def _of_services(self) -> list[Metric]:
        up: dict[tuple[str, ...], float] = {(service,): status == "ok" for service, status in self._statuses().items()}
        budgets: dict[tuple[str, ...], float] = {}
        waiting: dict[tuple[str, ...], float] = {}
        for connector in self._connectors():
            if connector.scheduler is not None:
                budgets |= {(connector.service, pool): left for pool, left in connector.scheduler.budgets().items()}
                waiting |= {(connector.service, pool): calls for pool, calls in connector.scheduler.waiting().items()}
        return [
            _gauge("connection_up", "Whether the connection to a service works: 1 or 0.", up, "service"),
            _gauge("budget_remaining", "Calls that may leave now, by limit.", budgets, "service", "bucket"),
            _gauge("waiting_calls", "Calls that wait for their turn, by limit.", waiting, "service", "bucket"),
        ]

    def _of_journal(self) -> list[Metric]:
        commits = CounterMetricFamily("zendesk_connector_journal_commits", "Commits to the database.")
        commits.add_metric([], self._journal.commits)
        found: list[Metric] = [commits]
        if (queued := self._queued_writes()) is not None:
            found.append(_gauge("journal_queued_writes", "Writes that wait for the next commit.", {(): queued}))
        if (written := self._written_at()) is not None:
            found.append(_gauge("last_write_timestamp_seconds", "When the database last took a write.", {(): written}))
        return found


class _Counts(Collector):
    """A counter that counts quickly: of the library's, finding the one with some labels takes longer than counting."""

    def __init__(self, name: str, says: str, labels: tuple[str, ...]) -> None:
        self._name, self._says, self._labels = name, says, labels
        # As the library has it: https://prometheus.github.io/client_python/instrumenting/#disabling-_created-metrics
        disabled = os.environ.get("PROMETHEUS_DISABLE_CREATED_SERIES", "").lower() in ("true", "1", "t")
        self._says_since = not disabled
        # Threads count as well.
        self._lock = Lock()
        self._counts: dict[tuple[str, ...], int] = {}
        self._created: dict[tuple[str, ...], float] = {}

    def add(self, labels: tuple[str, ...], more: int = 1) -> None:
        """Counts something."""
        with self._lock:
            if labels not in self._counts:
                self._counts[labels], self._created[labels] = 0, time.time()
            self._counts[labels] += more

    def collect(self) -> list[Metric]:
        """All that was counted, and since when."""
        family = CounterMetricFamily(self._name, self._says, labels=self._labels)
        with self._lock:
            for labels, count in self._counts.items():
                family.add_metric(labels, count, self._created[labels] if self._says_since else None)
        return [family]


class _Times:
    """How often something took how long, by bucket, and the sum of it in seconds."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds


class _Durations(Collector):
    """A histogram that counts quickly: the library's own takes as long as a step's other bookkeeping."""

    def __init__(self, name: str, says: str, labels: tuple[str, ...]) -> None:
        self._name, self._says, self._labels = name, says, labels
        self._times: dict[tuple[str, ...], _Times] = {}

    def of(self, labels: tuple[str, ...]) -> _Times:
        """Where to add what took its time."""
        return self._times.setdefault(labels, _Times())

    def collect(self) -> list[Metric]:
        """All that was counted, as Prometheus has it: each bucket with those below it."""
        family = HistogramMetricFamily(self._name, self._says, labels=self._labels)
        bounds = [*map(floatToGoString, BUCKETS), "+Inf"]
        for labels, times in self._times.items():
            family.add_metric(labels, list(zip(bounds, accumulate(times.counts), strict=True)), times.sum)
        return [family]


class _Now(Collector):
    """Figures as they are at this moment."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _gauge(name: str, says: str, values: Mapping[tuple[str, ...], float], *labels: str) -> Metric:
    family = GaugeMetricFamily(f"zendesk_connector_{name}", says, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _by(counts: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): count for name, count in counts.items()}


@cache
def _build() -> Metric:
    return _gauge("build_info", "The version that runs.", {(version("zendesk-connector"),): 1}, "version")


def _outcome(problem: BaseException | None) -> str:
    if problem is None:
        return "ok"
    if not isinstance(problem, Exception):
        return "cancelled"
    return next((word for error, word in _OUTCOMES if isinstance(problem, error)), "internal")
