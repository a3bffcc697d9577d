"""What people may do with a run that is stored: end it, or have it done again."""

from __future__ import annotations

import sqlite3

from zendesk_bridge.flows import store
from zendesk_bridge.flows.definition import Flow, LoopStep, every_step
from zendesk_bridge.flows.errors import ConnectorError, NotFound
from zendesk_bridge.flows.model import CUT_SHORT, Run, RunStatus, StepRun, StepStatus, passes_of, utc_now


def existing(connection: sqlite3.Connection, run_id: str) -> Run:
    """The run of that id. Raises NotFound."""
    run = store.select_run(connection, run_id)
    if run is None:
        raise NotFound("no_run", f"There is no run {run_id!r}")
    return run


def cancel(connection: sqlite3.Connection, run_id: str) -> tuple[Run, RunStatus]:
    """Ends a run; returns it and what it was before."""
    run = existing(connection, run_id)
    before = run.status
    if before.ended and before is not RunStatus.CANCELLED:
        raise ConnectorError("ended", f"The run has {before} already")
    if before is not RunStatus.CANCELLED:
        run.status, run.finished_at, run.wake_at, run.waiting_for = RunStatus.CANCELLED, utc_now(), None, None
        store.update_run(connection, run)
    return run, before


def retry(connection: sqlite3.Connection, run_id: str, key: str | None) -> Run:
    """Queues a run again, from a step on or from what is not over. Raises NotFound, ConnectorError."""
    run = existing(connection, run_id)
    if not run.status.ended:
        raise _still_going(run)
    if run.status is RunStatus.SUCCEEDED and key is None:
        raise ConnectorError(
            "succeeded", "The run has succeeded", hint="`runs retry RUN --from STEP` does it again from a step on."
        )
    steps = store.select_steps(connection, run_id)
    chosen = [] if key is None else _from(key, steps, store.select_definition(connection, run.flow, run.version))
    if key and not chosen:
        raise NotFound("no_step", f"The run has no step {key!r}")
    # A step that is in doubt keeps its mark, and is looked for before it is sent again.
    again = {step.seq for step in steps if not step.is_over and step.begun_at is None}
    again |= {step.seq for step in chosen}
    if again:
        store.delete_steps(connection, run_id, again)
        run.retries += 1
    run.status, run.finished_at, run.error, run.note = RunStatus.QUEUED, None, None, None
    run.waiting_since = None
    store.update_run(connection, run)
    return run


def _from(key: str, steps: list[StepRun], flow: Flow | None) -> list[StepRun]:
    """A step and all that came after it, but what other items of a loop did at the same time."""
    first = next((step for step in steps if step.key == key), None)
    if first is None:
        return []
    loops = [step for _, step in every_step(flow.steps)] if flow else []
    at_once = {step.key for step in loops if isinstance(step, LoopStep) and step.loop.at_once > 1}
    own = _passes(key, at_once)

    def is_beside(other: str) -> bool:
        return any(own.get(loop, number) != number for loop, number in _passes(other, at_once).items())

    return [step for step in steps if step.seq >= first.seq and not is_beside(step.key)]


def _passes(key: str, loops: set[str]) -> dict[str, int]:
    """Which passes of these loops a step belongs to: the loop's key in the history to the item's number."""
    return {loop: number for loop, number in passes_of(key) if loop.rpartition(".")[2] in loops}


def end_sleep(connection: sqlite3.Connection, run_id: str) -> bool:
    """Cuts a run's waits short and queues it; whether it slept in one. Raises NotFound."""
    run = existing(connection, run_id)
    asleep = [
        step
        for step in store.select_steps(connection, run_id)
        if step.action == "wait" and step.status is StepStatus.WAITING
    ]
    if run.status is not RunStatus.WAITING or not asleep:
        return False
    for step in asleep:
        step.inputs = {**step.inputs, CUT_SHORT: True}
    store.put_steps(connection, [store.step_row(run_id, step) for step in asleep])
    run.status, run.wake_at, run.note = RunStatus.QUEUED, None, None
    store.update_run(connection, run)
    return True


def _still_going(run: Run) -> ConnectorError:
    if run.decision:
        hint = "`runs retry RUN --send` if it was not sent, `--skip` to go on without it."
        return ConnectorError("running", "The run waits for your decision", hint=hint)
    return ConnectorError("running", f"The run is {run.status}", hint="Cancel it first, or wait.")
