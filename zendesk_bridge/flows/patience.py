"""How often a step is tried, how long it waits in between, and when it is given up."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from zendesk_bridge.flows.definition import ActionStep, Retry
from zendesk_bridge.flows.errors import Paced, Permanent, Transient, Uncertain
from zendesk_bridge.flows.model import Run, StepRun, StepStatus, utc_now
from zendesk_bridge.flows.pauses import Suspended, Timing
from zendesk_bridge.flows.recording import Recording

#: The longest wait between two tries of a step that says how it is tried again, in seconds.
LONGEST_WAIT = 3600.0
#: So long a step may take at least, in seconds: one that comes late is tried all the same.
FIRST_TRY = 1.0
#: So much before its time a step may be tried again, in seconds.
EARLY = 0.05
#: Where a run waits for several things, it can name one of them only: it looks after the others so often, in seconds.
LOOK_AGAIN = 60.0


@dataclass(frozen=True, kw_only=True)
class Resting:
    """A step of a pass that waits while its run is woken for others. Times are by the clock that nobody sets."""

    # When it was tried.
    since: float
    # When it is tried again, and when the run wakes for it.
    due: float
    wakes: float
    pause: Suspended


#: Steps that wait, by their run and number.
AtRest = dict[tuple[str, int], Resting]


class Patience:
    """What a run, or a pass of a loop in it, has with the step that it is at."""

    def __init__(
        self,
        run: Run,
        recording: Recording,
        timing: Timing,
        at_rest: AtRest | None,
        was_woken: Callable[[str, float], bool],
    ) -> None:
        """
        Args:
            at_rest: the steps that wait. None where the run is woken for this step alone.
            was_woken: whether what a step waits for has come since.
        """
        self._run = run
        self._recording = recording
        self._timing = timing
        self._at_rest = at_rest
        self._was_woken = was_woken
        self._tried_at = time.monotonic()
        self._retry: Retry | None = None
        # Until when the step may take.
        self._limit: dt.datetime | None = None

    def begins(self, step: StepRun, said: ActionStep) -> None:
        """Before a step is tried: it may be too late for it, or too early. Raises Permanent, Suspended."""
        self._retry = said.retry
        timeout = said.timeout.total if said.timeout else None
        self._limit = None if timeout is None else step.started_at + dt.timedelta(seconds=timeout)
        self._tried_at = now = time.monotonic()
        if step.status is not StepStatus.WAITING:
            return  # a first try is always made
        if self._limit is not None and step.begun_at is None and utc_now() >= self._limit:
            raise _timed_out(step.key, step.error)  # what is in doubt is looked for all the same
        rest = self._at_rest.get((self._run.id, step.seq)) if self._at_rest else None
        if rest is None or rest.due - now <= EARLY:
            return
        name = rest.pause.waiting_for
        if name is None or not self._was_woken(name, rest.since):
            raise rest.pause.again(utc_now() + dt.timedelta(seconds=rest.wakes - now))

    def ends(self, step: StepRun) -> None:
        """The step is done with."""
        if self._at_rest:
            self._at_rest.pop((self._run.id, step.seq), None)

    def in_time(self, key: str, call: Awaitable[Mapping[str, Any]]) -> Awaitable[Mapping[str, Any]]:
        """What a call answers, if it does so in time. Not for one that sends something: that is waited for."""
        return call if self._limit is None else self._until(self._limit, key, call)

    async def _until(self, limit: dt.datetime, key: str, call: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(max((limit - utc_now()).total_seconds(), FIRST_TRY)):
                return await call
        except TimeoutError as problem:
            raise _timed_out(key) from problem

    @property
    def has_limits(self) -> bool:
        """Whether the flow says how often the step is tried, or how long it may take."""
        return self._retry is not None or self._limit is not None

    def outlasts(self, problem: Permanent) -> bool:
        """Whether the flow has the step tried again although it was refused for good."""
        return self._retry is not None and problem.code in self._retry.errors

    def again_later(self, step: StepRun, problem: Transient | Uncertain | Permanent) -> NoReturn:
        """Lets the step be tried again in a while. Raises Suspended, or Permanent where it was tried often enough."""
        timing, retry = self._timing, self._retry
        if isinstance(problem, Paced):
            step.attempts -= 1  # nothing was tried; and it is woken sooner, when its turn has come
            seconds = (problem.retry_after or 0.0) * 1.5 + timing.turn_margin
            self.wait(step, None, problem.as_json(), seconds, rests=False)
        tried = step.attempts + 1
        if retry is not None and tried >= retry.attempts:
            times = "once" if tried == 1 else f"{tried} times"
            raise Permanent(problem.code, f"{problem.message} (tried {times})", hint=problem.hint) from problem
        first, factor, longest = timing.retry_first, 2.0, timing.retry_longest
        if retry is not None:
            first, factor, longest = retry.wait.total or 0.0, retry.backoff, LONGEST_WAIT
        wait = min(first * factor ** min(step.attempts, 16), max(first, longest))
        wait *= random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries, keeps no secret
        limited = isinstance(problem, Transient) and problem.limit
        if isinstance(problem, Transient) and problem.retry_after is not None:
            wait = max(problem.retry_after, first)  # some say 0, and mean it
        code = "limit" if limited else "retry" if isinstance(problem, Permanent) else "unavailable"
        self.wait(step, None, {**problem.as_json(), "code": code}, wait)

    def wait(
        self,
        step: StepRun,
        waiting_for: str | None,
        error: dict[str, str],
        seconds: float | None = None,
        *,
        rests: bool = True,
    ) -> NoReturn:
        """Records that the step waits. A run waits for one thing for so long only. Raises Suspended, Permanent.

        Args:
            rests: whether it is not tried before its time, where the run is woken for another.
        """
        deadline = self.deadline(error)
        if self._limit is not None and step.begun_at is None:
            if utc_now() >= self._limit:
                raise _timed_out(step.key, error)
            deadline = min(deadline, self._limit)
        step.status = StepStatus.WAITING
        step.error = error
        step.attempts += 1
        self._recording.put(step)
        until = deadline if seconds is None else min(utc_now() + dt.timedelta(seconds=seconds), deadline)
        pause = Suspended(until=until, waiting_for=waiting_for, error=error)
        raise self.resting(step, pause) if rests else pause

    def resting(self, step: StepRun, pause: Suspended) -> Suspended:
        """A pause that the step keeps, although its run may be woken for another."""
        if self._at_rest is not None and pause.until is not None:
            now = time.monotonic()
            wakes = now + (pause.until - utc_now()).total_seconds()
            due = min(wakes, now + LOOK_AGAIN) if pause.waiting_for else wakes
            rest = Resting(since=self._tried_at, due=due, wakes=wakes, pause=pause)
            self._at_rest[self._run.id, step.seq] = rest
        return pause

    def deadline(self, error: Mapping[str, str]) -> dt.datetime:
        """Until when the run may wait. Raises Permanent where that is over."""
        now = utc_now()
        self._run.waiting_since = self._run.waiting_since or now
        deadline = self._run.waiting_since + dt.timedelta(seconds=self._timing.patience)
        if now >= deadline:
            raise Permanent(error["code"], f"Gave up after waiting too long: {error['message']}", hint=error["hint"])
        return deadline


def _timed_out(key: str, waited_for: Mapping[str, str] | None = None) -> Permanent:
    why = f": {waited_for['message']}" if waited_for else ""
    return Permanent("timeout", f"Step {key!r} took longer than its timeout{why}", hint="Give it a longer `timeout`.")
