"""Rows and records: what is put in comes out again, and each row says what it should to who reads it."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from zendesk_bridge.flows import store
from zendesk_bridge.flows.journal import connect
from zendesk_bridge.flows.model import Event, Run, RunStatus, StepRun, StepStatus, utc_now
from zendesk_bridge.flows.tables import migrate

NOW = dt.datetime(2026, 1, 31, 9, 30, 0, 1, tzinfo=dt.UTC)
EVENT = Event(
    id="01HX",
    type="zendesk.ticket_agent_assignment_changed",
    source="webhook",
    occurred_at=NOW,
    data={"ticket_id": "4021", "tags": ["a", "b"], "is_public": True, "organization_id": None, "subject": "Kaffee ☕"},
    subject="ticket 4021",
)
RUN = Run(id="01HX:flow", flow="flow", version=3, event_id="01HX", status=RunStatus.QUEUED, accepted_at=NOW)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "connector.db")
    migrate(connection)
    yield connection
    connection.close()


def waiting(rows: sqlite3.Connection, name: str, wake_in: float, waiting_for: str | None = None) -> None:
    run = replace(RUN, id=name, event_id=name)
    store.insert_run(rows, run)
    wake_at = utc_now() + dt.timedelta(seconds=wake_in)
    store.update_run(rows, replace(run, status=RunStatus.WAITING, wake_at=wake_at, waiting_for=waiting_for))


def test_an_event_comes_out_as_it_went_in_and_is_stored_once(rows: sqlite3.Connection) -> None:
    assert store.insert_event(rows, EVENT, "01HX") is True
    assert store.insert_event(rows, replace(EVENT, data={}), "other") is False
    assert store.select_event(rows, "01HX") == EVENT
    assert store.select_event(rows, "nothing") is None


def test_a_run_comes_out_as_it_went_in_and_is_stored_once(rows: sqlite3.Connection) -> None:
    assert store.insert_run(rows, RUN) is True
    assert store.insert_run(rows, replace(RUN, version=9)) is False
    changed = replace(
        RUN,
        status=RunStatus.WAITING,
        started_at=NOW,
        wake_at=NOW,
        waiting_for="invite:C1",
        waiting_since=NOW,
        retries=2,
        error={"code": "needs_invite", "message": "m", "hint": "h"},
        note="a note",
    )
    store.update_run(rows, changed)
    assert store.select_run(rows, RUN.id) == changed


def test_a_step_comes_out_as_it_went_in_and_is_replaced_in_place(rows: sqlite3.Connection) -> None:
    step = StepRun(seq=0, key="a", action="far.make", status=StepStatus.RUNNING, started_at=NOW, begun_at=NOW)
    done = replace(
        step,
        status=StepStatus.SUCCEEDED,
        inputs={"what": "x"},
        outputs={"yes": True, "list": [1, "2"], "none": None},
        attempts=2,
        begun_at=None,
        looked_at=NOW,
        finished_at=NOW,
    )
    for each in (step, done, replace(step, seq=1, key="b"), replace(step, seq=2, key="c")):
        store.put_steps(rows, [store.step_row(RUN.id, each)])
    assert [each.key for each in store.select_steps(rows, RUN.id)] == ["a", "b", "c"]
    assert store.select_steps(rows, RUN.id)[0] == done
    store.delete_steps(rows, RUN.id, [1])
    assert [each.key for each in store.select_steps(rows, RUN.id)] == ["a", "c"]
    assert store.select_steps(rows, "other") == []


def test_open_runs_are_those_not_ended_and_not_asleep_oldest_first(rows: sqlite3.Connection) -> None:
    for number, status in enumerate(["running", "waiting", "queued", "succeeded", "failed", "cancelled", "running"]):
        run = replace(RUN, id=f"{9 - number}", event_id=str(number))
        store.insert_run(rows, run)
        store.update_run(rows, replace(run, status=RunStatus(status)))
    assert store.open_run_ids(rows) == ["9", "7", "3"]


def test_due_runs_come_longest_waiting_first_and_no_more_than_asked_for(rows: sqlite3.Connection) -> None:
    for name, wake_in in (("late", -1.0), ("later", 60.0), ("first", -20.0), ("second", -10.0)):
        waiting(rows, name, wake_in)
    assert store.due_run_ids(rows, utc_now(), 10) == ["first", "second", "late"]
    assert store.due_run_ids(rows, utc_now(), 2) == ["first", "second"]
    following = store.next_wake(rows, utc_now())
    assert following is not None
    assert 58 < (following - utc_now()).total_seconds() < 61
    assert store.next_wake(rows, utc_now() + dt.timedelta(minutes=2)) is None


def test_waking_touches_only_those_that_wait_for_it(rows: sqlite3.Connection) -> None:
    waiting(rows, "invite", 600, "invite:C1")
    waiting(rows, "other invite", 600, "invite:C2")
    waiting(rows, "connection", 600, "connection:slack")
    waiting(rows, "clock", 600)
    assert store.wake_waiting_for(rows, ["invite:C1", "connection:zendesk"]) == 1
    assert store.due_run_ids(rows, utc_now(), 9) == ["invite"]
    store.wake_uninvited(rows)
    assert set(store.due_run_ids(rows, utc_now(), 9)) == {"invite", "other invite"}


def test_a_signal_wakes_its_run_and_the_first_of_a_name_counts(rows: sqlite3.Connection) -> None:
    waiting(rows, "asks", 600, "signal:decision")
    waiting(rows, "asks too", 600, "signal:decision")
    store.put_signal(rows, "asks", "decision", {"send": True})
    store.put_signal(rows, "asks", "decision", {"send": False})
    assert store.due_run_ids(rows, utc_now(), 9) == ["asks"]
    assert store.select_signal(rows, "asks", "decision") == {"send": True}
    assert store.select_signal(rows, "asks too", "decision") is None


def test_a_run_that_cannot_be_taken_up_ends_with_its_reason(rows: sqlite3.Connection) -> None:
    waiting(rows, "damaged", -1, "invite:C1")
    store.fail_run(rows, "damaged", {"code": "no_event", "message": "m", "hint": ""})
    run = store.select_run(rows, "damaged")
    assert run is not None
    assert (run.status, run.wake_at, run.waiting_for) == (RunStatus.FAILED, None, None)
    assert run.finished_at is not None
    assert store.due_run_ids(rows, utc_now(), 9) == []
