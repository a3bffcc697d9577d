"""Open runs are counted by what they do and what they wait for, and those that have ended cost nothing."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from sample_flows import MAKE, REVOKED, UNINVITED

from zendesk_bridge.flows import open_runs
from zendesk_bridge.flows.errors import Permanent, Transient, Uncertain
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import utc_now

SHOUT = {"key": "message", "action": "far.shout"}


async def counted(engine: Any) -> open_runs.OpenRuns:
    found = await engine.journal.read(open_runs.count)
    assert isinstance(found, open_runs.OpenRuns)
    return found


@pytest.mark.parametrize(
    ("reason", "problem", "step"),
    [
        ("needs_invite", UNINVITED, MAKE),
        ("needs_connection", REVOKED, MAKE),
        ("in_doubt", Uncertain("timeout", "No answer"), SHOUT),
        ("limit", Transient("rate_limit", "Too many", retry_after=60, limit=True), MAKE),
        ("unavailable", Transient("unreachable", "Nobody there", retry_after=60), MAKE),
    ],
)
async def test_a_waiting_run_counts_under_what_it_waits_for(
    engine: Any, far: Any, reason: str, problem: Exception, step: dict[str, Any]
) -> None:
    before = utc_now()
    far.next(step["action"].removeprefix("far."), problem)
    (run,) = await engine.accept(await engine.flow(step))
    await engine.until(run.id, "waiting")
    found = await counted(engine)
    assert found.by_status == {"queued": 0, "running": 0, "waiting": 1}
    assert {name for name, number in found.by_reason.items() if number} == {reason}
    assert found.waiting_since is not None
    assert found.accepted_at is not None
    assert before <= found.accepted_at <= found.waiting_since <= utc_now()


async def test_a_run_that_looks_whether_its_message_was_sent_waits_for_something_else(engine: Any, far: Any) -> None:
    far.next("make", Uncertain("timeout", "No answer"))
    far.hidden_for = 100
    (run,) = await engine.accept(await engine.flow(MAKE))
    await engine.until(run.id, "waiting")
    assert (await counted(engine)).by_reason["other"] == 1


async def test_runs_that_have_ended_are_not_open(engine: Any) -> None:
    (run,) = await engine.accept(await engine.flow(MAKE))
    await engine.end(run.id)
    found = await counted(engine)
    assert (set(found.by_status.values()), set(found.by_reason.values())) == ({0}, {0})
    assert (found.waiting_since, found.accepted_at) == (None, None)


async def test_a_run_that_somebody_has_done_again_makes_no_run_old(engine: Any, far: Any) -> None:
    far.next("make", Permanent("is_archived", "It is archived"), UNINVITED)
    (run,) = await engine.accept(await engine.flow(MAKE))
    await engine.end(run.id)
    await engine.runner.retry_from(run.id)
    await engine.until(run.id, "waiting")
    found = await counted(engine)
    assert (found.by_status["waiting"], found.accepted_at) == (1, None)


async def test_counting_reads_no_run_that_has_ended(journal: Journal) -> None:
    asked: list[str] = []

    def count(connection: sqlite3.Connection) -> list[str]:
        connection.set_trace_callback(asked.append)
        open_runs.count(connection)
        connection.set_trace_callback(None)
        return [row["detail"] for sql in asked for row in connection.execute(f"explain query plan {sql}")]

    plans = [plan for plan in await journal.read(count) if " runs " in plan]
    assert len(plans) == len(asked)
    assert all(" USING " in plan and "INDEX" in plan for plan in plans), plans
