"""What the execution of every run needs: the journal, the catalog, and what the runner knows of the services."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zendesk_bridge.flows.catalog import Action, Catalog, Function, Result, dumped
from zendesk_bridge.flows.errors import Credentials
from zendesk_bridge.flows.interpreter import EMPTY
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.patience import AtRest
from zendesk_bridge.flows.pauses import Timing

#: Told of each call of a step: the action, what was wrong, if anything, and the seconds it took.
Observe = Callable[[Action, BaseException | None, float], None]


def unobserved(action: Action, problem: BaseException | None, seconds: float) -> None:
    """For those who count nothing."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Of a runner: the same for all its runs."""

    journal: Journal
    catalog: Catalog
    timing: Timing
    is_broken: Callable[[str], bool]
    broke: Callable[[Credentials], None]
    stopping: Callable[[], bool]
    observe: Observe = unobserved
    # When the effects under way were begun, by the clock that nobody sets: run and step to seconds.
    begun: dict[tuple[str, int], float] = field(default_factory=dict)
    # Steps that wait in passes of a loop: their runs may be woken for other passes.
    at_rest: AtRest = field(default_factory=dict)
    # Whether what a run waits for has come since that moment, by the same clock.
    was_woken: Callable[[str, float], bool] = lambda name, since: False

    def forget(self, run_id: str) -> None:
        """After a run has ended."""
        for key in [key for key in (*self.begun, *self.at_rest) if key[0] == run_id]:
            self.begun.pop(key, None)
            self.at_rest.pop(key, None)

    async def call(self, action: Action, function: Function, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Calls a service; returns the outputs, empty where a look-up found nothing."""
        began = time.monotonic()
        try:
            result: Result | None = await function(self.catalog.client(action.service), **arguments)
        except BaseException as problem:
            self.observe(action, problem, time.monotonic() - began)
            raise
        self.observe(action, None, time.monotonic() - began)
        return EMPTY if result is None else dumped(result)
