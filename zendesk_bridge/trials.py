"""What it takes to try flows: events to try them with, flows as their files are now, and their tests."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from zendesk_bridge import recipes, rehearsal, trial
from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.dry import Show, dry_run
from zendesk_bridge.flows import history
from zendesk_bridge.flows.catalog import Catalog
from zendesk_bridge.flows.compiled import CompiledFlow
from zendesk_bridge.flows.errors import NotFound
from zendesk_bridge.flows.model import Event

T = TypeVar("T")


class Read(Protocol):
    """Reads from the database, whoever holds it."""

    def __call__(self, work: Callable[[sqlite3.Connection], T], /) -> Awaitable[T]:
        """What the work returns. Raises StorageError."""


class Trials:
    """Tries flows for people: from Slack, from the command line, and in a repository's CI."""

    def __init__(self, catalog: Catalog, zendesk: ZendeskClient, folder: Callable[[], Path | None], read: Read) -> None:
        """
        Args:
            folder: the folder of flow files, None where there is none.
        """
        self._catalog = catalog
        self._zendesk = zendesk
        self._folder = folder
        self._read = read

    async def event_of_ticket(self, ticket: str) -> Event:
        """The event of a live ticket (its number, or its page's address), as if it were assigned now."""
        return await trial.event_of_ticket(self._zendesk, ticket)

    def is_ticket(self, text: str) -> bool:
        """Whether a text names a ticket: by its number, or its page's address."""
        return trial.is_ticket(text)

    def trigger_variables(self, trigger: str) -> list[dict[str, str]]:
        """The variables of a trigger, as `{name, type, description}`."""
        return [
            {"name": output.name, "type": output.type, "description": output.description}
            for output in self._catalog.triggers[trigger].outputs
        ]

    def read_changes(self, trigger: str, text: str) -> dict[str, Any]:
        """Variables of a trigger that a test changes, `name: value` a line. Raises FlowError that names the line."""
        return trial.read_changes(self._catalog.triggers[trigger], text)

    def read_assignments(self, trigger: str, texts: Iterable[str]) -> dict[str, Any]:
        """The same from a command line: `name=value` each. Raises FlowError that names what is wrong."""
        return trial.read_assignments(self._catalog.triggers[trigger], texts)

    def changed_event(self, event: Event, changes: Mapping[str, Any]) -> Event:
        """An event with other variables, and about the ticket that they name."""
        return trial.changed(event, changes)

    def event_in(self, body: bytes) -> Event:
        """The event in the body of a webhook. Raises FlowError where there is none."""
        return trial.event_in(body)

    def event_of_sample(self, trigger: str) -> Event:
        """The event that a trigger's sample tells of, as if it came now."""
        return trial.event_of_sample(self._catalog.triggers[trigger])

    async def past_event(self, text: str) -> Event:
        """An event of the history, for a test: by how its id begins, or that of one of its runs. Raises NotFound."""
        return trial.of_the_past(await self._read(lambda connection: history.event(connection, text)[0]))

    async def flow_to_test(self, key: str, *, as_written: bool) -> CompiledFlow:
        """A flow as its file is now, or as the database has it. Raises NotFound, FlowError."""
        written = trial.as_written(key, recipes.texts(), self._folder(), self._catalog) if as_written else None
        if written is not None:
            return written[0]
        return await self._read(lambda connection: history.compiled(connection, key, self._catalog))

    async def text_to_test(self, key: str) -> str:
        """The text of a flow's file as it is now, or as the database has it. Raises NotFound, FlowError."""
        written = trial.as_written(key, recipes.texts(), self._folder(), self._catalog)
        if written is not None:
            return written[1]
        return await self._read(lambda connection: str(history.show_flow(connection, key, self._catalog)["text"]))

    def would_start(self, flow: CompiledFlow, event: Event) -> bool:
        """Whether an event would start a flow, if it were active: whether the trigger's conditions hold."""
        return trial.would_start(flow, event)

    async def rehearse(self, key: str | None) -> list[dict[str, Any]]:
        """Runs the tests that lie beside flow files, of one flow or of all: `[{flow, test, ok, differences, steps}]`.

        Raises NotFound where there are none; FlowError where a file of tests, or its flow, is wrong.
        """
        folder = self._folder()
        paths = sorted(folder.glob(f"*{rehearsal.SUFFIX}")) if folder else []
        paths = [path for path in paths if key is None or path.name == f"{key}{rehearsal.SUFFIX}"]
        if not paths:
            hint = f"A file KEY{rehearsal.SUFFIX} beside a flow's file has them: the README says how."
            raise NotFound("no_tests", f"There are no tests {f'of {key!r}' if key else 'of flows'}", hint=hint)
        results = []
        for path in paths:
            cases = await asyncio.to_thread(rehearsal.read_cases, path)
            flow = await self.flow_to_test(path.name.removesuffix(rehearsal.SUFFIX), as_written=True)
            results += [await rehearsal.rehearse(flow, case, self._catalog) for case in cases]
        return results

    async def dry_test(self, flow: CompiledFlow, event: Event, show: Show) -> dict[str, Any]:
        """Runs a flow without sending anything; `show` is called with each step."""
        return await dry_run(flow, event, self._catalog, show)
