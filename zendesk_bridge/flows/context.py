"""What is being worked on: log lines carry it, and waiting calls are told apart by it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Context:
    """The event, run and step that the current task works on; None where there is none."""

    event: str | None = None
    run: str | None = None
    step: str | None = None
    # Whether the run had to wait before and goes on now.
    resumed: bool = False


#: The work of the current task. Every run has a task of its own, so setting it needs no undoing.
working_on: ContextVar[Context] = ContextVar("working_on", default=Context())  # noqa: B039 - it never changes
