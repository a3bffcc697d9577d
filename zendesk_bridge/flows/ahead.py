"""Look-ups that begin before their turn: nothing that is still to come can change what they ask for."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Any

from zendesk_bridge.flows.compiled import CompiledAction
from zendesk_bridge.flows.context import working_on
from zendesk_bridge.flows.surroundings import Surroundings

Outputs = Mapping[str, Any]


class Ahead:
    """The look-ups of a run, or of a pass of a loop, that were begun before their turn."""

    def __init__(self, around: Surroundings, run_id: str) -> None:
        self._around = around
        self._run_id = run_id
        # By step: when it was begun, with which inputs, and what it finds.
        self._begun: dict[str, tuple[dt.datetime, dict[str, Any], asyncio.Task[Outputs]]] = {}

    def begin(self, compiled: CompiledAction, inputs: dict[str, Any], moment: dt.datetime) -> None:
        """Begins one, unless its service cannot be reached.

        Args:
            moment: when it starts, as its templates saw it.
        """
        action, key = compiled.action, compiled.key
        if key in self._begun or self._around.is_broken(action.service):
            return

        async def read() -> Outputs:
            working_on.set(working_on.get().at(key))
            return await self._around.call(action, action.function, compiled.arguments(inputs))

        task = asyncio.create_task(read(), name=f"{self._run_id} {key}, ahead")
        task.add_done_callback(_seen)
        self._begun[key] = (moment, inputs, task)

    def began(self, key: str) -> dt.datetime | None:
        """When the step's look-up was begun, if it was."""
        begun = self._begun.get(key)
        return begun and begun[0]

    def take(self, key: str, inputs: dict[str, Any]) -> asyncio.Task[Outputs] | None:
        """The step's look-up, if it was begun with these inputs: its turn has come."""
        _, asked, task = self._begun.pop(key, (None, None, None))
        if task is not None and asked != inputs:
            task.cancel()
            return None
        return task

    def close(self) -> None:
        """Ends what is not needed any more."""
        for _, _, task in self._begun.values():
            task.cancel()


def _seen(task: asyncio.Task[Any]) -> None:
    """The run may have ended before; asyncio complains about errors nobody saw."""
    if not task.cancelled():
        task.exception()
