"""Order: runs of one flow for the same thing (a ticket, say) go one after the other, in the order of their events."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from zendesk_bridge.flows import store
from zendesk_bridge.flows.model import Run, RunStatus, utc_now

#: How what a run waits for begins, where it is its turn.
TURN = "turn:"

# A run has its turn from its first step to its end, also while it waits for something else.
_BEFORE = """
select id from runs where flow = ? and turn = ? and number <> (select number from runs where id = ?)
  and status in ('queued', 'running', 'waiting')
  and (number < (select number from runs where id = ?)
       or status = 'running' or (status = 'waiting' and coalesce(waiting_for, '') not like 'turn:%'))
order by number limit 1
"""


def must_ask(run: Run) -> bool:
    """Whether a run goes on only if it is its turn."""
    return run.turn is not None and (
        run.status is RunStatus.QUEUED or (run.status is RunStatus.WAITING and (run.waiting_for or "").startswith(TURN))
    )


def take(connection: sqlite3.Connection, run: Run) -> Run:
    """Gives a run its turn, or lets it wait for the one before it; returns it as it is then."""
    row = connection.execute(_BEFORE, (run.flow, run.turn, run.id, run.id)).fetchone()
    if row is None:
        started = run.started_at or utc_now()
        taken = replace(run, status=RunStatus.RUNNING, started_at=started, waiting_for=None, wake_at=None, note=None)
    else:
        note = f"waits until {row['id']} has ended: one at a time for {run.turn}"
        taken = replace(run, status=RunStatus.WAITING, waiting_for=f"{TURN}{row['id']}", wake_at=None, note=note)
    store.update_run(connection, taken)
    return taken
