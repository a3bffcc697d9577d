"""What people are shown: the same keys as the contract names, newest first, found by the beginning of an id."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zendesk_bridge.flows import history, store
from zendesk_bridge.flows.catalog import Catalog
from zendesk_bridge.flows.errors import NotFound, Permanent
from zendesk_bridge.flows.journal import connect, connect_to_read
from zendesk_bridge.flows.model import Event, Run, RunStatus, utc_now
from zendesk_bridge.flows.tables import migrate

RUN_KEYS = ["id", "flow", "version", "event_id", "status", "started_at", "finished_at", "error", "note"]
STEP_KEYS = ["key", "action", "status", "inputs", "outputs", "error", "attempts", "started_at", "finished_at"]
FLOW_KEYS = ["key", "name", "version", "active", "owner", "trigger", "steps", "last_run", "problem"]
NEVER = {"variable": "one.value", "operator": "is_not_present"}


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "connector.db")
    migrate(connection)
    yield connection
    connection.close()


def add(rows: sqlite3.Connection, event: str, flow: str = "flow", **more: Any) -> str:
    now = utc_now()
    happened = Event(id=event, type="t", source="webhook", occurred_at=now, data={"ticket_id": "7"})
    store.insert_event(rows, happened, more.pop("service_id", event))
    run = Run(
        id=store.run_id(event, flow),
        flow=flow,
        version=1,
        event_id=event,
        status=RunStatus.QUEUED,
        accepted_at=now,
    )
    store.insert_run(rows, run)
    store.update_run(rows, replace(run, **more))
    return run.id


async def test_a_run_is_shown_with_its_event_steps_and_times(engine: Any, far: Any) -> None:
    far.next("mark", Permanent("is_archived", "The channel is archived", hint="Unarchive it."))
    steps = (
        {"key": "one", "action": "far.look"},
        {
            "key": "two",
            "action": "far.look",
            "only_if": {"all": [{"variable": "one.value", "operator": "is_not_present"}]},
        },
        {"key": "three", "action": "far.mark"},
    )
    (run,) = await engine.accept(await engine.flow(*steps))
    shown = await engine.end(run.id)
    assert list(shown) == [*RUN_KEYS, "trigger", "steps"]
    assert (shown["id"], shown["flow"], shown["version"], shown["event_id"]) == ("event:flow", "flow", 1, "event")
    assert shown["trigger"] == {"what": "it"}
    error = {"code": "is_archived", "message": "The channel is archived", "hint": "Unarchive it."}
    assert (shown["status"], shown["error"], shown["note"]) == ("failed", error, None)
    assert all(list(step) == STEP_KEYS for step in shown["steps"])
    kept = [(step["status"], step["inputs"], step["outputs"], step["error"]) for step in shown["steps"]]
    assert kept == [
        ("succeeded", {"what": "one"}, {"value": "seen one"}, None),
        ("skipped", {}, {}, None),
        ("failed", {"what": "three"}, {}, error),
    ]
    times = [shown[name] for name in ("started_at", "finished_at")]
    times += [step[name] for step in shown["steps"] for name in ("started_at", "finished_at")]
    assert all(len(time) == 27 and time.endswith("Z") for time in times)


async def test_runs_come_newest_first_with_the_contracts_keys(engine: Any) -> None:
    flow = await engine.flow({"key": "a", "action": "far.look"})
    for number in range(5):
        await engine.accept(flow, id=f"event{number}")
    await engine.runner.idle()
    for limit, expected in ((None, 5), (2, 2), (0, 0), (99, 5)):
        runs = await engine.journal.read(lambda connection, limit=limit: history.list_runs(connection, limit))
        assert [run["id"] for run in runs] == [f"event{4 - number}:flow" for number in range(expected)]
        assert all(list(run) == RUN_KEYS for run in runs)


def test_the_event_is_named_as_the_service_does(rows: sqlite3.Connection) -> None:
    add(rows, "audit-1", service_id="01HWEBHOOK")
    (run,) = history.list_runs(rows)
    assert (run["id"], run["event_id"]) == ("audit-1:flow", "01HWEBHOOK")


def test_a_run_is_found_by_the_beginning_of_its_id(rows: sqlite3.Connection) -> None:
    add(rows, "01HXA")
    add(rows, "01HXB")
    assert history.show_run(rows, "01HXA")["id"] == "01HXA:flow"
    assert history.show_run(rows, "01HXB:fl")["id"] == "01HXB:flow"
    for prefix in ("01HX", ""):
        with pytest.raises(NotFound, match="ambiguous") as caught:
            history.show_run(rows, prefix)
        assert caught.value.hint
    for prefix in ("02", "01hxa", "01HXA:flow2"):
        with pytest.raises(NotFound, match="no_run"):
            history.show_run(rows, prefix)


def test_a_whole_id_is_found_though_others_begin_with_it(rows: sqlite3.Connection) -> None:
    add(rows, "01HXA")
    add(rows, "01HXA", "flow-b")
    assert history.show_run(rows, "01HXA:flow")["flow"] == "flow"


def test_where_several_flows_start_on_an_event_both_beginnings_name_the_run(rows: sqlite3.Connection) -> None:
    add(rows, "01HXA", "notify")
    add(rows, "01HXA", "post")
    assert history.show_run(rows, "01H:po")["id"] == "01HXA:post"
    with pytest.raises(NotFound) as caught:
        history.show_run(rows, "01H")
    assert "01HXA:notify" in caught.value.hint
    assert "01HXA:post" in caught.value.hint


@pytest.mark.parametrize("prefix", ["%", "_1", "01%", "01_X", "01HX\\", "*", "?", "'", '"', "01HX'; drop table runs"])
def test_a_prefix_has_no_wildcards(rows: sqlite3.Connection, prefix: str) -> None:
    add(rows, "01HXA")
    with pytest.raises(NotFound, match="no_run"):
        history.show_run(rows, prefix)


@pytest.mark.parametrize("event", ["100%", "a_b", "x\\y", "naïve", "it's"])
def test_an_id_with_strange_signs_is_found(rows: sqlite3.Connection, event: str) -> None:
    add(rows, event)
    add(rows, event.replace("_", "c").replace("%", "1"), "other")
    assert history.show_run(rows, f"{event}:f")["id"] == f"{event}:flow"


def test_flows_are_listed_with_their_last_run(rows: sqlite3.Connection) -> None:
    definition = (
        '{"key": "greet", "name": "Greet", "trigger": {"event": "far.happens"},'
        ' "steps": [{"key": "a", "action": "far.look"}, {"key": "b", "action": "far.look"}]}'
    )
    rows.execute("insert into flow_versions values ('greet', 1, ?, 'the text', '')", (definition,))
    rows.execute(
        "insert into flows(key, name, version, active, source, file_decides, present)"
        " values ('greet', 'Greet', 1, 1, 'recipe', 0, 1), ('idle', 'Idle', 0, 0, 'idle.yml', 0, 1)"
    )
    add(rows, "first", "greet")
    add(rows, "second", "greet", status=RunStatus.RUNNING)
    greet, idle = history.list_flows(rows, Catalog([]), "ada@example.com")
    assert set(greet) >= set(FLOW_KEYS)
    assert (greet["active"], greet["owner"], greet["steps"]) == (True, "ada@example.com", 2)
    assert greet["trigger"] == "far.happens"
    assert greet["last_run"] == {"id": "second:greet", "status": "running", "started_at": None, "error": None}
    assert (idle["last_run"], idle["steps"], idle["trigger"]) == (None, 0, None)
    shown = history.show_flow(rows, "greet", Catalog([]))
    assert (shown["text"], shown["description"], shown["owner"]) == ("the text", "", None)
    with pytest.raises(NotFound) as caught:
        history.show_flow(rows, "gret", Catalog([]))
    assert caught.value.hint == "Did you mean 'greet'?"


def test_connections_are_listed_with_the_contracts_keys(rows: sqlite3.Connection) -> None:
    rows.execute(
        "insert into connections(service, account, connected_by, since, scopes, status)"
        " values ('slack', 'acme', 'U1', '2026-01-31T09:30:00.000000Z', '[\"chat:write\"]', 'ok')"
    )
    (connection,) = history.list_connections(rows)
    contract = ["service", "account", "connected_by", "since", "scopes", "status"]
    assert list(connection) == [*contract, "message", "acts_as", "ok_at", "failed_at", "failure"]
    assert connection["scopes"] == ["chat:write"]


async def test_history_is_read_while_runs_are_written(engine: Any, database: Path) -> None:
    """Another process reads the file directly, and holds nobody up."""
    flow = await engine.flow({"key": "a", "action": "far.look"})
    reader = await asyncio.to_thread(connect_to_read, database)
    for number in range(30):
        (run,) = await engine.accept(flow, id=f"event{number}")
        assert history.list_runs(reader, 1)[0]["id"] == run.id  # what is acknowledged is there to see
    await engine.runner.idle()
    assert {run["status"] for run in history.list_runs(reader)} == {"succeeded"}
    reader.close()
