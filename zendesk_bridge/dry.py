"""A dry run: reads are done, and what would be sent is shown instead of sent. Nothing is recorded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from zendesk_bridge.flows.catalog import Catalog
from zendesk_bridge.flows.errors import ConnectorError, NeedsInvite, Permanent
from zendesk_bridge.flows.interpreter import EMPTY, CompiledFlow, CompiledStep, interpret
from zendesk_bridge.flows.model import Event, rfc3339, utc_now

#: The message id of a message that was not sent.
MADE_UP_TS = "0000000000.000000"

Show = Callable[[dict[str, Any]], None]


class _DryPort:
    def __init__(self, catalog: Catalog, show: Show) -> None:
        self.steps: list[dict[str, Any]] = []
        self._catalog = catalog
        self._show = show
        self._began = utc_now()

    async def begins(self, key: str, action: str) -> dt.datetime:
        self._began = utc_now()
        return self._began

    def recorded(self, key: str) -> Mapping[str, Any] | None:
        return None

    async def step(self, step: CompiledStep, inputs: dict[str, Any]) -> Mapping[str, Any]:
        action = step.action
        if action.effect == "read":
            extra = {"wanted": step.wanted} if action.takes_wanted else {}
            try:
                result: BaseModel = await action.function(self._catalog.client(action.service), **inputs, **extra)
            except NeedsInvite as problem:
                raise Permanent(problem.code, problem.message, hint=problem.hint) from problem
            outputs = result.model_dump(mode="json")
        else:
            # Outputs that later steps may use: what goes in comes out, message ids are made up.
            outputs = {output.name: inputs.get(output.name) for output in action.outputs}
            outputs |= {name: MADE_UP_TS for name in ("ts", "timestamp") if name in outputs}
        status = "succeeded" if action.effect == "read" else "not_sent"
        self._add(step.step.key, action.id, status, inputs, dict(outputs), None)
        return action.restore(outputs)

    async def skip(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError | None) -> None:
        self._add(key, action, "skipped", inputs, dict(EMPTY), error)

    async def fail(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError) -> None:
        self._add(key, action, "failed", inputs, {}, error)

    def _add(
        self,
        key: str,
        action: str,
        status: str,
        inputs: dict[str, Any],
        outputs: dict[str, Any],
        error: ConnectorError | None,
    ) -> None:
        step = {
            "key": key,
            "action": action,
            "status": status,
            "inputs": inputs,
            "outputs": outputs,
            "error": error.as_json() if error else None,
            "attempts": 1,
            "started_at": rfc3339(self._began),
            "finished_at": rfc3339(utc_now()),
        }
        self.steps.append(step)
        self._show(step)


async def dry_run(flow: CompiledFlow, event: Event, catalog: Catalog, show: Show) -> dict[str, Any]:
    """Runs a flow without sending anything.

    Args:
        show: called with each step as it ends, in the form that `runs show` has.

    Returns:
        The run in the form of `runs show`; a step that would send has the status `not_sent`.
    """
    began = utc_now()
    port = _DryPort(catalog, show)
    note, error = None, None
    try:
        note = await interpret(flow, event.data, port)
    except ConnectorError as problem:
        error = problem.as_json()
    return {
        "id": None,
        "flow": flow.flow.key,
        "version": flow.version,
        "event_id": event.id,
        "status": "failed" if error else "succeeded",
        "started_at": rfc3339(began),
        "finished_at": rfc3339(utc_now()),
        "error": error,
        "note": note,
        "trigger": event.data,
        "steps": port.steps,
    }
