"""What goes wrong at Zendesk, on the way, or on disk: the poller waits, says so, and goes on where it was."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import Any, cast

import pytest
from polling import (
    NO_POLLS,
    QUICK_POLLS,
    StartBridge,
    change_rows,
    export_calls,
    pages,
    triggers_of,
    until,
)

from bolt_app.settings import Settings
from zendesk_bridge.bridge import Bridge, Polling
from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.flows.errors import Permanent, StorageError, Transient, Uncertain
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.poller import Poller
from zendesk_bridge.sandbox import ZendeskServer, people
from zendesk_bridge.sandbox.state import Fault

HOUR = 3600


# Pages


def page(*, end: object, **more: Any) -> dict[str, Any]:
    return {"ticket_events": [], "end_time": end, "end_of_stream": True, "next_page": None} | more


@pytest.mark.parametrize(
    ("after", "moves"),
    [
        ({"end": 30}, 30),
        ({"end": "30"}, 30),
        ({"end": None}, 0),
        ({"end": -5}, 0),
        ({"end": True}, 0),
        ({"end": [1]}, 0),
        # A second that holds more than a page: all of it was on the page.
        ({"end": 0, "end_of_stream": False}, 1),
        ({"end": 0, "end_of_stream": None, "ticket_events": [{}] * 1000, "next_page": "https://x"}, 1),
        ({"end": 0, "end_of_stream": None, "ticket_events": [{}] * 1000}, 0),
        ({"end": 0, "end_of_stream": None, "ticket_events": [{}] * 999, "next_page": "https://x"}, 0),
        ({"end": 0, "count": 5000}, 0),
    ],
)
async def test_the_next_page_begins_where_this_one_ended_by_zendesks_clock(
    start_bridge: StartBridge,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    after: dict[str, Any],
    moves: int,
) -> None:
    bridge = await start_bridge(polling=NO_POLLS)
    await bridge.stop()
    then = int(time.time()) - HOUR
    change_rows(settings.connector_database, "insert into cursors values ('zendesk_ticket_events', ?, '')", str(then))
    asked: list[int] = []
    end = after["end"]
    if isinstance(end, int | str) and not isinstance(end, bool):
        end = type(end)(then + int(end))

    async def ticket_events(self: ZendeskClient, start_time: int, *, ai_agents: bool = False) -> dict[str, Any]:
        asked.append(start_time)
        return page(**{**after, "end": end}) if len(asked) == 1 else page(end=None)

    monkeypatch.setattr(ZendeskClient, "ticket_events", ticket_events)
    await start_bridge()
    await until(lambda: len(asked) >= 2)
    assert asked[:2] == [then, then + moves]


@pytest.mark.parametrize("answer", [{}, {"ticket_events": None}, {"ticket_events": {"0": {}}}])
async def test_an_answer_that_is_no_page_is_asked_for_again(
    start_bridge: StartBridge, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    asked: list[int] = []

    async def ticket_events(self: ZendeskClient, start_time: int, *, ai_agents: bool = False) -> dict[str, Any]:
        asked.append(start_time)
        return answer

    monkeypatch.setattr(ZendeskClient, "ticket_events", ticket_events)
    bridge = await start_bridge()
    await until(lambda: len(asked) >= 3)
    assert bridge.poller is not None
    assert (bridge.poller.state, len(set(asked))) == ("unexpected_answer", 1)


async def test_pauses_grow_to_a_minute() -> None:
    poller = Poller(
        cast(ZendeskClient, None),
        cast(Journal, None),
        Polling(),
        handle=lambda event: NotImplemented,
        is_awaited=lambda event: True,
    )
    lost = Uncertain("timeout", "No answer")
    assert [poller._failed(lost) for _ in range(5)] == [10.0, 20.0, 40.0, 60.0, 60.0]
    assert poller._failed(Transient("rate_limit", "…", retry_after=7.0)) == 7.0
    assert poller._failed(Permanent("forbidden", "…")) == 600.0


# What goes wrong


@pytest.mark.parametrize(
    "fault",
    [
        Fault("incremental", "drop", times=2),
        Fault("incremental", "html", times=2),
        Fault("incremental", "half_body", times=2),
        Fault("incremental", "status", times=2, status=503),
        Fault("show_many", "drop", times=2),
        Fault("show_many", "status", times=2, status=500),
    ],
    ids=lambda fault: f"{fault.path} {fault.kind}",
)
async def test_what_goes_wrong_at_zendesk_is_tried_again(
    start_bridge: StartBridge, zendesk: ZendeskServer, fault: Fault
) -> None:
    bridge = await start_bridge()
    zendesk.state.faults.append(replace(fault))
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    await until(lambda: not zendesk.state.faults)
    await pages(zendesk)
    assert bridge.poller is not None
    assert bridge.poller.state == "ok"
    assert len(await triggers_of(bridge)) == 1


async def test_where_zendesk_says_when_to_ask_again_it_is_asked_no_sooner(
    start_bridge: StartBridge, zendesk: ZendeskServer
) -> None:
    await start_bridge()
    zendesk.state.faults.append(Fault("incremental", "rate_limited", retry_after=1))
    await until(lambda: export_calls(zendesk, 429))
    await pages(zendesk, 1)
    calls = [call for call in zendesk.state.calls if "incremental" in call.path]
    refused = next(number for number, call in enumerate(calls) if call.status == 429)
    assert calls[refused + 1].time - calls[refused].time >= 0.99


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "cannot be polled" in record.message]


async def test_who_may_not_read_the_export_is_told_once_and_it_is_tried_again_later(
    start_bridge: StartBridge, zendesk: ZendeskServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = zendesk.state.clients[people.CLIENT_ID]
    zendesk.state.clients[people.CLIENT_ID] = replace(client, user_id=people.NOOR)
    with caplog.at_level(logging.WARNING):
        bridge = await start_bridge()
        alone = await start_bridge(webhook_secret=None, database=bridge.settings.database.with_name("other.db"))
        await until(lambda: len(told(caplog)) >= 2)
        before = export_calls(zendesk, 403)
        await until(lambda: export_calls(zendesk, 403) >= before + 6)
    assert len(told(caplog)) == 2, "each of the two once"
    assert "Only admins" in told(caplog)[0]
    for each, ok in ((bridge, True), (alone, False)):
        await until(lambda each=each: each.connections.statuses["zendesk"] == "ok")  # type: ignore[misc]
        readiness = await each.readiness()
        assert (readiness.ok, readiness.parts["poll"]) == (ok, "forbidden")
    zendesk.state.clients[people.CLIENT_ID] = client
    zendesk.state.expire_tokens()
    await pages(zendesk)
    assert (await alone.readiness()).ok


async def test_a_clock_that_is_ahead_of_zendesks_is_waited_for(
    start_bridge: StartBridge, zendesk: ZendeskServer
) -> None:
    zendesk.state.withheld_seconds = 60.0
    bridge = await start_bridge()
    await until(lambda: export_calls(zendesk, 422) >= 2)
    assert bridge.poller is not None
    assert (bridge.poller.state, bridge.poller.lag) == ("too_recent", None)
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    zendesk.state.withheld_seconds = 0.0
    await pages(zendesk)
    assert len(await triggers_of(bridge)) == 1
    assert bridge.poller.lag is not None
    assert bridge.poller.lag < 5


async def test_nothing_is_asked_for_that_is_less_than_a_minute_old(
    start_bridge: StartBridge, zendesk: ZendeskServer, settings: Settings
) -> None:
    zendesk.state.withheld_seconds = 60.0
    bridge = await start_bridge(polling=replace(QUICK_POLLS, margin=65.0))
    await asyncio.sleep(0.1)
    assert export_calls(zendesk) + export_calls(zendesk, 422) == 0
    await bridge.stop()
    change_rows(settings.connector_database, "update cursors set value = ?", str(int(time.time()) - 66))
    await start_bridge(polling=replace(QUICK_POLLS, margin=65.0))
    await pages(zendesk)
    assert export_calls(zendesk, 422) == 0


async def test_a_refused_token_is_told_to_whoever_mends_connections(
    start_bridge: StartBridge, zendesk: ZendeskServer
) -> None:
    bridge = await start_bridge()
    await pages(zendesk, 1)
    client = zendesk.state.clients.pop(people.CLIENT_ID)
    zendesk.state.expire_tokens()
    await until(lambda: bridge.connections.is_broken("zendesk"))
    zendesk.state.clients[people.CLIENT_ID] = client
    await pages(zendesk)
    assert bridge.poller is not None
    assert bridge.poller.state == "ok"


async def test_a_defect_costs_its_own_event_and_no_other(
    start_bridge: StartBridge, zendesk: ZendeskServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Bridge.handle

    async def breaks(self: Bridge, event: Any) -> bool:
        if event.data["ticket_id"] == str(people.GRINDER):
            raise ZeroDivisionError
        return await own(self, event)

    monkeypatch.setattr(Bridge, "handle", breaks)
    bridge = await start_bridge()
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    await zendesk.assign(people.MARKUP, people.NOOR, deliver=False)
    await pages(zendesk)
    assert [each["ticket_id"] for each in await triggers_of(bridge)] == [str(people.MARKUP)]


async def test_a_page_is_left_behind_only_when_all_of_it_is_stored(
    start_bridge: StartBridge, zendesk: ZendeskServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, refused = Bridge.handle, []

    async def full_at_first(self: Bridge, event: Any) -> bool:
        if len(refused) < 3:
            refused.append(event.id)
            raise StorageError("the disk is full")
        return await own(self, event)

    monkeypatch.setattr(Bridge, "handle", full_at_first)
    bridge = await start_bridge()
    await pages(zendesk, 1)
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    zendesk.state.clock = lambda: time.time() + 1
    await zendesk.assign(people.MARKUP, people.NOOR, deliver=False)
    await until(lambda: len(refused) == 3)
    await pages(zendesk)
    assert len(set(refused)) == 1
    started = [each["ticket_id"] for each in await triggers_of(bridge)]
    assert started == [str(people.GRINDER), str(people.MARKUP)]


async def test_it_stops_at_once_also_while_zendesk_is_slow(start_bridge: StartBridge, zendesk: ZendeskServer) -> None:
    zendesk.state.faults.append(Fault("incremental", "slow", times=-1, delay=60.0))
    bridge = await start_bridge()
    await asyncio.sleep(0.1)
    async with asyncio.timeout(30):
        await bridge.stop()


async def test_polls_can_be_switched_off(start_bridge: StartBridge, zendesk: ZendeskServer) -> None:
    bridge = await start_bridge(polling=NO_POLLS)
    await until(lambda: bridge.connections.statuses["zendesk"] == "ok")
    assert bridge.poller is None
    assert "poll" not in (await bridge.readiness()).parts


async def test_whoever_shows_the_polls_is_told_that_they_fail_and_that_they_work_again(
    start_bridge: StartBridge, zendesk: ZendeskServer
) -> None:
    bridge = await start_bridge()
    assert bridge.poller is not None
    states: list[str] = []
    bridge.changed = lambda: states.append(bridge.poller.state if bridge.poller else "")
    fault = Fault(path="incremental", kind="status", status=503, times=-1)
    zendesk.state.faults.append(fault)
    await until(lambda: "unavailable" in states)
    zendesk.state.faults.remove(fault)
    await until(lambda: states[-1] == "ok")
