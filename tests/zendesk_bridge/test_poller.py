"""What no webhook brings, the poller finds: from the first start on, after any downtime, once."""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest
from polling import (
    NO_POLLS,
    QUICK_POLLS,
    StartBridge,
    bring,
    change_rows,
    flow_file,
    pages,
    row,
    triggers_of,
    until,
)

from bolt_app.settings import Settings
from zendesk_bridge import poller as poller_module
from zendesk_bridge import triggers
from zendesk_bridge.flows.model import rfc3339
from zendesk_bridge.sandbox import ZendeskServer, people

HOUR = 3600


def looked_up(zendesk: ZendeskServer) -> int:
    return sum("show_many" in call.path for call in zendesk.state.calls)


# What is found


async def test_an_assignment_that_no_webhook_brings_starts_the_flow_once(
    start_bridge: StartBridge, zendesk: ZendeskServer
) -> None:
    bridge = await start_bridge()
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    await until(lambda: looked_up(zendesk))
    await pages(zendesk)
    (trigger,) = await triggers_of(bridge)
    assert trigger["event_id"].startswith("audit-")
    assert (trigger["ticket_id"], trigger["assignee_id"]) == (str(people.GRINDER), str(people.NOOR))
    assert looked_up(zendesk) == 1


async def test_a_polled_event_has_the_variables_of_the_webhooks(
    start_bridge: StartBridge, zendesk: ZendeskServer, tmp_path: Path
) -> None:
    polled, brought = await start_bridge(), await start_bridge(polling=NO_POLLS, database=tmp_path / "other.db")
    event = (await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)).event
    assert await bring(brought, zendesk, event) == 200
    await until(lambda: looked_up(zendesk))
    await pages(zendesk)
    (by_poll,), (by_webhook,) = await triggers_of(polled), await triggers_of(brought)
    differ = {name for name in by_webhook if by_webhook[name] != by_poll[name]}
    # Times of audits are whole seconds, and tickets name the channel in their own words.
    assert differ == {"event_id", "occurred_at", "via_channel"}
    assert by_poll["subject"]
    assert by_poll["occurred_at"][:19] == by_webhook["occurred_at"][:19]


async def test_taking_a_ticket_away_is_found(start_bridge: StartBridge, zendesk: ZendeskServer) -> None:
    bridge = await start_bridge()
    await zendesk.assign(people.MARKUP, None, deliver=False)
    await pages(zendesk)
    (trigger,) = await triggers_of(bridge)
    assert (trigger["assignee_id"], trigger["previous_assignee_id"]) == (None, str(people.BEN))


async def test_a_ticket_made_with_an_agent_is_an_assignment_and_one_without_is_none(
    start_bridge: StartBridge, zendesk: ZendeskServer
) -> None:
    bridge = await start_bridge()
    await zendesk.create_ticket("Without", "…", requester_id=people.MIRA, deliver=False)
    await zendesk.create_ticket("With", "…", requester_id=people.MIRA, assignee_id=people.NOOR, deliver=False)
    await pages(zendesk)
    (trigger,) = await triggers_of(bridge)
    assert (trigger["subject"], trigger["assignee_id"]) == ("With", str(people.NOOR))


async def test_a_ticket_that_is_gone_meanwhile_leaves_what_the_export_says(
    start_bridge: StartBridge, zendesk: ZendeskServer
) -> None:
    bridge = await start_bridge()
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    del zendesk.state.tickets[people.GRINDER]
    await pages(zendesk)
    (trigger,) = await triggers_of(bridge)
    found = (trigger["assignee_id"], trigger["actor_id"], trigger["subject"])
    assert found == (str(people.NOOR), str(people.ADA), None)


async def test_tickets_of_ai_agents_are_left_out_unless_asked_for(
    start_bridge: StartBridge, zendesk: ZendeskServer, tmp_path: Path
) -> None:
    zendesk.state.ai_agent_tickets.add(people.GRINDER)
    without = await start_bridge()
    everything = await start_bridge(polling=replace(QUICK_POLLS, ai_agent_tickets=True), database=tmp_path / "other.db")
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    await zendesk.assign(people.MARKUP, people.NOOR, deliver=False)
    await pages(zendesk, 8)
    assert [each["ticket_id"] for each in await triggers_of(without)] == [str(people.MARKUP)]
    assert [each["ticket_id"] for each in await triggers_of(everything)] == [str(people.GRINDER), str(people.MARKUP)]


# Both sources


async def test_what_both_report_runs_once_and_its_ticket_is_not_asked_for(
    start_bridge: StartBridge, zendesk: ZendeskServer
) -> None:
    bridge = await start_bridge()
    event = (await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)).event
    assert await bring(bridge, zendesk, event) == 200
    await pages(zendesk)
    assert [each["event_id"] for each in await triggers_of(bridge)] == [event["id"]]
    assert looked_up(zendesk) == 0


async def test_a_webhook_that_comes_after_the_poll_starts_nothing_more(
    start_bridge: StartBridge, zendesk: ZendeskServer
) -> None:
    bridge = await start_bridge()
    event = (await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)).event
    await until(lambda: looked_up(zendesk))
    await pages(zendesk)
    assert await bring(bridge, zendesk, event) == 200
    assert [each["event_id"] for each in await triggers_of(bridge)] == [event["id"]]


async def test_what_the_conditions_refused_is_not_started_by_the_poll_with_a_later_state(
    start_bridge: StartBridge, zendesk: ZendeskServer, tmp_path: Path
) -> None:
    urgent = "{all: [{variable: trigger.priority, operator: is, value: urgent}]}"
    bridge = await start_bridge(flows=flow_file(tmp_path / "flows", urgent), polling=NO_POLLS)
    event = (await zendesk.assign(people.MARKUP, people.NOOR, deliver=False)).event
    assert await bring(bridge, zendesk, event) == 204
    zendesk.state.tickets[people.MARKUP]["priority"] = "urgent"
    await bridge.stop()
    bridge = await start_bridge(flows=tmp_path / "flows")
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    zendesk.state.tickets[people.GRINDER]["priority"] = "urgent"
    await pages(zendesk)
    assert [each["ticket_id"] for each in await triggers_of(bridge)] == [str(people.GRINDER)]


@pytest.mark.parametrize("order", ["w0p0w1p1w2p2", "p0p1p2w0w1w2", "w2w1w0p0p1p2", "p2w0w1p1w2p0", "p1w2p0w1w0p2"])
async def test_to_and_fro_within_a_minute_starts_three_runs_in_any_order_of_reports(
    start_bridge: StartBridge, zendesk: ZendeskServer, order: str
) -> None:
    bridge = await start_bridge(polling=NO_POLLS)
    before = len(zendesk.state.updates)
    told = [
        (await zendesk.assign(people.MARKUP, agent, deliver=False)).event
        for agent in (people.NOOR, people.BEN, people.NOOR)
    ]
    page = await bridge.zendesk.ticket_events(int(zendesk.state.updates[before].at))
    polled = triggers.parse_audits(page["ticket_events"])
    assert len(polled) == 3
    for source, number in zip(order[::2], order[1::2], strict=True):
        if source == "w":
            await bring(bridge, zendesk, told[int(number)])
        else:
            await bridge.handle(polled[int(number)])
    assert len(await triggers_of(bridge)) == 3


# Where it goes on


async def test_the_first_start_begins_at_its_own_second(
    start_bridge: StartBridge, zendesk: ZendeskServer, tmp_path: Path
) -> None:
    now = time.time()
    zendesk.state.clock = lambda: time.time() - HOUR
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    zendesk.state.clock = time.time
    bridge = await start_bridge()
    await pages(zendesk)
    assert await triggers_of(bridge) == []
    assert min(int(call.query["start_time"]) for call in zendesk.state.calls if "incremental" in call.path) >= int(now)


async def test_the_first_start_looks_back_to_when_the_first_flow_was_switched_on(
    start_bridge: StartBridge, zendesk: ZendeskServer, settings: Settings
) -> None:
    bridge = await start_bridge(polling=NO_POLLS)
    await bridge.stop()
    since = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=10)
    change_rows(settings.connector_database, "update flows set activated_at = ? where active", rfc3339(since))
    for minutes, ticket in ((20, people.MARKUP), (5, people.GRINDER)):
        zendesk.state.clock = lambda minutes=minutes: time.time() - 60 * minutes  # type: ignore[misc]
        await zendesk.assign(ticket, people.LIN, deliver=False)
    zendesk.state.clock = time.time
    bridge = await start_bridge()
    await pages(zendesk)
    assert [each["ticket_id"] for each in await triggers_of(bridge)] == [str(people.GRINDER)]


async def test_hours_of_downtime_are_made_up_for_page_by_page_in_order(
    start_bridge: StartBridge, zendesk: ZendeskServer, settings: Settings
) -> None:
    bridge = await start_bridge()
    await pages(zendesk, 1)
    await bridge.stop()
    then = int(time.time()) - 5 * HOUR
    change_rows(settings.connector_database, "update cursors set value = ?", str(then))
    change_rows(settings.connector_database, "update flows set activated_at = '2020-01-01T00:00:00.000000Z'")
    zendesk.state.export_page_size = 3
    tickets = [people.GRINDER, people.MARKUP, people.UNICODE]
    expected = []
    for number in range(20):
        # Some happen within one second, more than a page holds.
        zendesk.state.clock = lambda number=number: then + 600 * (number if not 5 <= number < 10 else 5)  # type: ignore[misc]
        agent = people.NOOR if (number // 3) % 2 == 0 else people.LIN
        if zendesk.state.tickets[tickets[number % 3]]["assignee_id"] == agent:
            agent = people.ADA
        await zendesk.assign(tickets[number % 3], agent, deliver=False)
        expected.append((str(tickets[number % 3]), str(agent)))
    zendesk.state.clock = time.time
    asked = len(zendesk.state.calls)
    bridge = await start_bridge()
    await until(lambda: bridge.poller is not None and (bridge.poller.lag or HOUR) < 10)
    assert [(each["ticket_id"], each["assignee_id"]) for each in await triggers_of(bridge)] == expected
    starts = [int(call.query["start_time"]) for call in zendesk.state.calls[asked:] if "incremental" in call.path]
    assert starts[0] == then
    assert starts == sorted(starts)
    assert len(set(starts)) >= 5


async def test_a_page_whose_end_was_not_stored_is_read_again_and_starts_nothing_twice(
    start_bridge: StartBridge,
    zendesk: ZendeskServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(connection: sqlite3.Connection, *, name: str, value: str) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    bridge = await start_bridge()
    await pages(zendesk, 1)
    first = row(settings.connector_database, "select value from cursors")
    await until(lambda: int(time.time()) > int(first))
    with monkeypatch.context() as broken:
        broken.setattr(poller_module.store, "put_cursor", full)
        await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
        await pages(zendesk, 4)
        assert bridge.poller is not None
        assert bridge.poller.state == "storage"
        assert row(settings.connector_database, "select value from cursors") == first
        await bridge.stop()
    bridge = await start_bridge()
    await pages(zendesk)
    assert len(await triggers_of(bridge)) == 1
    assert int(row(settings.connector_database, "select value from cursors")) > int(first)


async def test_a_flow_starts_only_on_what_was_polled_of_the_time_since_its_activation(
    start_bridge: StartBridge, zendesk: ZendeskServer, settings: Settings
) -> None:
    bridge = await start_bridge(polling=NO_POLLS)
    await zendesk.assign(people.GRINDER, people.NOOR, deliver=False)
    at = int(zendesk.state.updates[-1].at)
    polled = triggers.parse_audits((await bridge.zendesk.ticket_events(at))["ticket_events"])
    await bridge.stop()
    for activated, runs in ((at + 1, 0), (at + 0.999, 1)):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(activated)) + f"{activated % 1:.6f}"[1:] + "Z"
        change_rows(settings.connector_database, "update flows set activated_at = ?", stamp)
        bridge = await start_bridge(polling=NO_POLLS)
        assert await bridge.handle(polled[-1]) is bool(runs)
        assert len(await triggers_of(bridge)) == runs
        assert row(settings.connector_database, "select count(*) from assignments") == runs
        await bridge.stop()
