"""A dry run: reads are done, and what would be sent is shown instead of sent. Nothing is recorded."""

from __future__ import annotations

import datetime as dt
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from zendesk_bridge.flows.catalog import Action, Catalog, Output, dumped
from zendesk_bridge.flows.compiled import CompiledAction, CompiledFlow
from zendesk_bridge.flows.context import Context, working_on
from zendesk_bridge.flows.errors import ConnectorError, NeedsInvite, Permanent
from zendesk_bridge.flows.interpreter import EMPTY, Pass, interpret
from zendesk_bridge.flows.model import Event, rfc3339, utc_now

#: The message id of a message that was not sent.
MADE_UP_TS = "0000000000.000000"

#: What stands for an output that only a real call can give.
MADE_UP = "(known once it is sent)"

Show = Callable[[dict[str, Any]], None]


@runtime_checkable
class LooksUp(Protocol):
    """Marks an input's type that names something at the service: a dry run asks whether it is there."""

    async def look_up(self, client: Any, value: str) -> str:
        """What the service calls it. Raises ConnectorError where it is not there."""


class UnrecordedPort(ABC):
    """Where a flow meets no journal: each step is shown as it ends, nothing waits. What a step does is for others."""

    def __init__(self, show: Show) -> None:
        self.steps: list[dict[str, Any]] = []
        self._show = show
        self._began = utc_now()
        self._key = ""

    @abstractmethod
    async def step(self, step: CompiledAction, inputs: dict[str, Any]) -> Mapping[str, Any]: ...

    def begins(self, key: str, action: str) -> tuple[dt.datetime, None]:
        self._key = key
        self._began = utc_now()
        return self._began, None

    async def passes(self, passes: Mapping[str, Pass], at_once: int) -> list[dict[str, Any]]:
        """One after the other: that is easier to follow."""
        return [await each(self) for each in passes.values()]

    def meanwhile(self, work: Callable[[], None]) -> None:  # noqa: B027 - nothing is what it does
        """Does nothing: steps one after the other are easier to follow."""

    def read_ahead(self, step: CompiledAction, inputs: dict[str, Any], moment: dt.datetime) -> None:  # noqa: B027
        """Leaves the read to its turn."""

    async def sleep(self, key: str, action: str, until: Callable[[], dt.datetime]) -> Mapping[str, Any]:
        """Says until when, and goes on at once."""
        return await self.note(key, action, {"until": rfc3339(until())})

    async def note(self, key: str, action: str, outputs: dict[str, Any]) -> Mapping[str, Any]:
        self._add(key, action, "succeeded", {}, outputs, None)
        return outputs

    async def skip(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError | None) -> None:
        self._add(key, action, "skipped", inputs, dict(EMPTY), error)

    async def excuse(self, key: str, action: str, inputs: dict[str, Any], error: ConnectorError) -> Mapping[str, Any]:
        outputs = {"error": error.as_json()}
        self._add(key, action, "skipped", inputs, outputs, error)
        return outputs

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


class _DryPort(UnrecordedPort):
    def __init__(self, catalog: Catalog, show: Show) -> None:
        super().__init__(show)
        self._catalog = catalog

    async def step(self, step: CompiledAction, inputs: dict[str, Any]) -> Mapping[str, Any]:
        action, key = step.action, self._key
        sends = action.effect != "read" or any(is_made_up(value) for value in inputs.values())
        try:
            outputs = await (self._imagine(action, inputs) if sends else self._read(step, inputs))
        except Permanent:
            raise  # the interpreter decides, and has it shown
        except NeedsInvite as problem:
            raise Permanent(problem.code, problem.message, hint=problem.hint) from problem
        except ConnectorError as problem:
            self._add(key, action.id, "failed", inputs, {}, problem)
            raise
        self._add(key, action.id, "not_sent" if sends else "succeeded", inputs, outputs, None)
        return action.restore(outputs)

    async def _read(self, step: CompiledAction, inputs: dict[str, Any]) -> dict[str, Any]:
        action = step.action
        extra = {"wanted": step.wanted} if action.takes_wanted else {}
        return dumped(await action.function(self._catalog.client(action.service), **inputs, **extra))

    async def _imagine(self, action: Action, inputs: dict[str, Any]) -> dict[str, Any]:
        """Outputs as if the step had been done; what its inputs name is looked up."""
        known = dict(inputs)
        for name, form in action.form.model_fields.items():
            for mark in form.metadata:
                value = known.get(name)
                if isinstance(mark, LooksUp) and isinstance(value, str) and not is_made_up(value):
                    known[name] = await mark.look_up(self._catalog.client(action.service), value)
        return {output.name: made_up(output, known) for output in action.outputs}


def made_up(output: Output, inputs: Mapping[str, Any]) -> Any:
    """What goes in comes out; what a service would give is made up, so that later steps have something to go on."""
    given = inputs.get(output.name)
    if given is not None:
        return given
    if output.name in ("ts", "thread_ts", "timestamp"):
        return MADE_UP_TS
    return {"boolean": True, "list": [], "object": {}, "number": 0, "decimal": 0}.get(output.type, MADE_UP)


def is_made_up(value: object) -> bool:
    return isinstance(value, str) and (MADE_UP_TS in value or MADE_UP in value)


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
    before = working_on.set(Context(event=event.id, arrived=time.monotonic()))
    try:
        note = await interpret(flow, event.data, port)
    except ConnectorError as problem:
        error = problem.as_json()
    finally:
        working_on.reset(before)
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
