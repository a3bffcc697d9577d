"""One assignment is one event, whoever reports it, in whatever order, however often."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from zendesk_bridge import assignments
from zendesk_bridge.flows.journal import connect
from zendesk_bridge.flows.tables import migrate

NOON = dt.datetime(2026, 1, 31, 12, 0, 0, tzinfo=dt.UTC)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "connector.db")
    migrate(connection)
    connection.execute("begin")
    yield connection
    connection.close()


def see(
    rows: sqlite3.Connection,
    source: Any,
    service_id: str,
    *,
    previous: str | None = None,
    current: str | None = "B",
    at: float = 0.0,
    ticket: str = "7",
) -> tuple[str, str, bool]:
    return assignments.sighted(
        rows,
        ticket_id=ticket,
        previous=previous,
        current=current,
        at=NOON + dt.timedelta(seconds=at),
        source=source,
        service_id=service_id,
    )


def count(rows: sqlite3.Connection) -> int:
    return int(rows.execute("select count(*) from assignments").fetchone()[0])


def test_a_webhook_and_then_the_poll_are_one_event_shown_by_the_webhooks_id(rows: sqlite3.Connection) -> None:
    assert see(rows, "webhook", "w1") == ("w1", "w1", True)
    assert see(rows, "poll", "p1", at=3) == ("w1", "w1", False)
    assert count(rows) == 1


def test_a_poll_and_then_the_webhook_are_one_event_shown_by_the_webhooks_id(rows: sqlite3.Connection) -> None:
    rows.execute("insert into events(id, service_id) values ('p1', 'p1')")
    assert see(rows, "poll", "p1") == ("p1", "p1", True)
    assert see(rows, "webhook", "w1", at=-3) == ("p1", "w1", False)
    assert rows.execute("select service_id from events").fetchone()[0] == "w1"
    assert see(rows, "poll", "p1") == ("p1", "w1", False)


@pytest.mark.parametrize("source", ["webhook", "poll"])
def test_what_is_reported_again_is_the_same_event(rows: sqlite3.Connection, source: str) -> None:
    assert see(rows, source, "x1") == ("x1", "x1", True)
    assert [see(rows, source, "x1", at=moment) for moment in (0, 1, 3600)] == [("x1", "x1", False)] * 3
    assert see(rows, source, "x2") == ("x2", "x2", True)  # another id of the same source is another event
    assert count(rows) == 2


SEEN = tuple(
    (source, f"{source[0]}{number}", previous, current, at + (2.0 if source == "poll" else 0.0))
    for number, (previous, current, at) in enumerate([("A", "B", 0.0), ("B", "A", 20.0), ("A", "B", 40.0)])
    for source in ("webhook", "poll")
)


@pytest.mark.parametrize("unknowing", ["", "poll", "webhook"])
def test_to_and_fro_within_a_minute_is_three_new_events_in_any_order_of_reports(
    rows: sqlite3.Connection, unknowing: str
) -> None:
    """All 720 orders. One source may not know who had the ticket before; a Zendesk trigger only knows the minute."""
    for order in permutations(SEEN):
        rows.execute("delete from assignments")
        seen = []
        for source, name, previous, current, at in order:
            known = None if source == unknowing else previous
            told_at = 0.0 if source == unknowing == "webhook" else at
            seen.append(see(rows, source, name, previous=known, current=current, at=told_at))
            assert see(rows, source, name, previous=known, current=current, at=told_at) == (*seen[-1][:2], False)
        assert len({event_id for event_id, _, _ in seen}) == count(rows) == 3, order
        assert [is_new for _, _, is_new in seen].count(True) == 3, order


def test_looking_which_are_new_counts_what_comes_before_and_stores_nothing(rows: sqlite3.Connection) -> None:
    see(rows, "webhook", "w1")
    before = list(rows.iterdump())

    def polled(name: str, **fields: Any) -> Callable[[sqlite3.Connection], tuple[str, str, bool]]:
        return lambda connection: see(connection, "poll", name, **fields)

    sightings = [polled("p1"), polled("p1"), polled("p2"), polled("p2"), polled("p3", ticket="8")]
    assert assignments.are_new(rows, sightings) == [False, False, True, False, True]
    assert list(rows.iterdump()) == before


def test_reports_in_order_join_the_nearest(rows: sqlite3.Connection) -> None:
    for source, name, previous, current, at in sorted(SEEN, key=lambda each: each[0], reverse=True):
        see(rows, source, name, previous=previous, current=current, at=at)
    pairs = rows.execute("select webhook_id, audit_id from assignments order by id").fetchall()
    assert [tuple(pair) for pair in pairs] == [("w0", "p0"), ("w1", "p1"), ("w2", "p2")]


@pytest.mark.parametrize(("previous", "other"), [(None, "A"), ("A", None), (None, None), ("A", "A")])
def test_an_unknown_previous_joins_any(rows: sqlite3.Connection, previous: str | None, other: str | None) -> None:
    see(rows, "webhook", "w1", previous=previous)
    assert see(rows, "poll", "p1", previous=other)[0] == "w1"


@pytest.mark.parametrize(
    "other",
    [{"previous": "C"}, {"current": "C"}, {"current": None}, {"ticket": "8"}, {"at": 121.0}, {"at": -121.0}],
)
def test_what_differs_is_another_event(rows: sqlite3.Connection, other: dict[str, Any]) -> None:
    see(rows, "webhook", "w1", previous="A")
    assert see(rows, "poll", "p1", **{"previous": "A", **other})[0] == "p1"
    assert count(rows) == 2


@pytest.mark.parametrize("at", [-120.0, -119.999, 0.0, 119.999, 120.0])
def test_two_minutes_apart_is_still_one_event(rows: sqlite3.Connection, at: float) -> None:
    see(rows, "webhook", "w1")
    assert see(rows, "poll", "p1", at=at)[0] == "w1"


def test_unassigning_joins_unassigning(rows: sqlite3.Connection) -> None:
    see(rows, "webhook", "w1", previous="A", current=None)
    assert see(rows, "poll", "p1", previous="A", current=None)[0] == "w1"


def test_two_alike_within_two_minutes_stay_two_with_each_source(rows: sqlite3.Connection) -> None:
    for order in permutations(
        [("webhook", "w1", 0.0), ("webhook", "w2", 60.0), ("poll", "p1", 1.0), ("poll", "p2", 61.0)]
    ):
        rows.execute("delete from assignments")
        ids = {see(rows, source, name, at=at)[0] for source, name, at in order}
        assert len(ids) == 2, order
