"""What is being worked on: log lines carry it, and waiting calls are told apart by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Context(NamedTuple):
    """The event, run and step that the current task works on; None where there is none."""

    event: str | None = None
    run: str | None = None
    step: str | None = None
    # Whether the run had to wait before and goes on now.
    resumed: bool = False
    # When its event was accepted, in seconds since the epoch: what waits longest goes first.
    since: float = 0.0
    # When its event arrived, or it was taken up again, by the clock that nobody sets: what is read must be no older.
    arrived: float | None = None

    def at(self, step: str) -> Context:
        """The same run's work on another step."""
        return Context(self.event, self.run, step, self.resumed, self.since, self.arrived)


#: The work of the current task. Every run has a task of its own, so setting it needs no undoing.
working_on: ContextVar[Context] = ContextVar("working_on", default=Context())  # noqa: B039 - it never changes


@contextmanager
def about_event(event: str) -> Iterator[None]:
    """Works on an event; afterwards on what it was before, as a connection's next request is about another."""
    before = working_on.set(Context(event=event))
    try:
        yield
    finally:
        working_on.reset(before)
