"""The nouns of the engine: events, flows, runs and steps, as they are stored and as people see them."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

import orjson

from zendesk_bridge.flows.definition import Flow, Values

#: How the signals begin by which people decide what nobody can tell.
DECISION = "decision:"
#: What a wait's inputs say where somebody had it end before its time.
CUT_SHORT = "cut_short"


# How the key of a step in a pass of a loop begins: `each[2].`
_PASS = re.compile(r"\[(\d+)\]\.")


def place_of_pass(loop: str, number: int) -> str:
    """What the keys of steps begin with in one pass of a loop; `loop` is its key in the history."""
    return f"{loop}[{number}]."


def passes_of(key: str) -> Iterator[tuple[str, int]]:
    """The passes that a step is in, by its key in the history: each loop's key, and the item's number."""
    return ((key[: found.start()], int(found[1])) for found in _PASS.finditer(key))


def utc_now() -> dt.datetime:
    """The time now, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


def rfc3339(moment: dt.datetime) -> str:
    """`2026-11-22T20:04:51.123456Z`: the form every time has in JSON and in the database."""
    if moment.tzinfo is not dt.UTC:
        moment = moment.astimezone(dt.UTC)
    if moment.microsecond:  # then orjson writes it so, and in a fraction of the time
        return orjson.dumps(moment, option=orjson.OPT_UTC_Z)[1:-1].decode()
    return moment.isoformat("T", "microseconds")[:-6] + "Z"


def parse_time(text: str) -> dt.datetime:
    """The opposite of `rfc3339`; takes any RFC 3339 time, and nanoseconds. Raises ValueError."""
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def from_json(text: bytes) -> Any:
    """What a JSON text says. Raises ValueError, RecursionError."""
    try:
        return orjson.loads(text)
    except ValueError:
        # Half an emoji, as a careless cut leaves it, is no JSON to everybody; nor is NaN, which nobody can store.
        return json.loads(text, parse_constant=lambda _: None)


class RunStatus(StrEnum):
    """What a run is doing, in one word."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED)


class StepStatus(StrEnum):
    """What became of a step, in one word."""

    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened, with an id that never changes."""

    id: str
    # The trigger's id, for instance zendesk.ticket_agent_assignment_changed.
    type: str
    # "webhook", "poll" or "test".
    source: str
    occurred_at: dt.datetime
    # The trigger's output variables.
    data: dict[str, Any]
    # What the event is about, for instance "ticket 5158".
    subject: str = ""

    def as_json(self) -> dict[str, Any]:
        """The event as a request carries it."""
        return {**asdict(self), "occurred_at": rfc3339(self.occurred_at)}

    @classmethod
    def from_json(cls, value: Values) -> Event:
        """The opposite of `as_json`."""
        return cls(**{**value, "occurred_at": parse_time(value["occurred_at"])})

    def with_data(self, changes: Values) -> Event:
        """The same with other variables."""
        return replace(self, data={**self.data, **changes})


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with a flow file, and where."""

    file: str
    line: int
    step: str | None = None
    input: str | None = None
    code: str
    message: str
    suggestion: str | None = None

    def as_json(self) -> dict[str, Any]:
        """`{file, line, step, input, code, message, suggestion}`."""
        return {
            "file": self.file,
            "line": self.line,
            "step": self.step,
            "input": self.input,
            "code": self.code,
            "message": self.message,
            "suggestion": self.suggestion,
        }

    def __str__(self) -> str:
        places = [f"{kind} {name}" for kind, name in (("step", self.step), ("input", self.input)) if name]
        where = f"{', '.join(places)}: " if places else ""
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.file}:{self.line}: {where}{self.message}{hint}"


@dataclass(kw_only=True, slots=True)
class StepRun:
    """One step in a run, as the journal has it."""

    seq: int
    key: str
    action: str
    status: StepStatus
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    attempts: int = 0
    started_at: dt.datetime
    # Set while an effect may be under way and its answer is not recorded.
    begun_at: dt.datetime | None = None
    # When the far side was last asked whether the effect happened.
    looked_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether the step is done with, and not to be done again."""
        return self.status is StepStatus.SUCCEEDED or self.status is StepStatus.SKIPPED


@dataclass(kw_only=True, slots=True)
class Run:
    """One execution of a flow for one event."""

    id: str
    flow: str
    version: int
    event_id: str
    status: RunStatus
    accepted_at: dt.datetime
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    wake_at: dt.datetime | None = None
    # What the run waits for, for instance "invite:C024BE91L", "connection:slack" or "decision".
    waiting_for: str | None = None
    # Since when it waits for that; a wait ends after seven days.
    waiting_since: dt.datetime | None = None
    # For runs that go one at a time: the value they have in common.
    turn: str | None = None
    # How often a person had it done again.
    retries: int = 0
    error: dict[str, str] | None = None
    note: str | None = None

    @property
    def decision(self) -> str | None:
        """The signal by which a person decides, where the run waits for that."""
        name = (self.waiting_for or "").removeprefix("signal:")
        return name if name.startswith(DECISION) else None


@dataclass(frozen=True, kw_only=True)
class StoredFlow:
    """A flow as the database has it: its newest good version and its state."""

    key: str
    name: str
    version: int
    active: bool
    owner: str | None
    # "recipe", or the path of the file.
    source: str
    # Whether the file itself says if the flow is active.
    file_decides: bool
    activated_at: dt.datetime | None
    definition: Flow
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Whether the connector can do its work: one word for each part."""

    ok: bool
    database: str
    parts: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """`{"ok": …, "database": …, "slack": …, "zendesk": …}`."""
        return {"ok": self.ok, "database": self.database, **self.parts}
