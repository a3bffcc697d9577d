"""Counts for Prometheus. They hold no names, ids, addresses or secrets."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest


class Metrics:
    """What `/metrics` shows."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._runs = Counter(
            "zendesk_connector_runs", "Runs that ended, by status.", ["status"], registry=self._registry
        )
        self._events = Counter(
            "zendesk_connector_events", "Zendesk webhook requests, by result.", ["result"], registry=self._registry
        )
        self._calls = Counter(
            "zendesk_connector_api_calls",
            "Calls to Slack and Zendesk, by endpoint and outcome.",
            ["service", "endpoint", "outcome"],
            registry=self._registry,
        )

    def run_ended(self, status: str) -> None:
        """Counts a run that ended."""
        self._runs.labels(status).inc()

    def event(self, result: str) -> None:
        """Counts a webhook request by what became of it."""
        self._events.labels(result).inc()

    def call(self, service: str, endpoint: str, outcome: str) -> None:
        """Counts a call to a service."""
        self._calls.labels(service, endpoint, outcome).inc()

    def render(self) -> bytes:
        """All counts in Prometheus' text format."""
        return generate_latest(self._registry)
