"""What a service tells the app itself: stored once, dealt with once, tried again for some hours, then given up."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.incoming import Incoming

PAYLOAD = {"event": {"type": "app_mention", "text": "how are you?"}}


async def row(journal: Journal) -> dict[str, Any]:
    return dict(await journal.read(lambda connection: connection.execute("select * from incoming").fetchone()))


async def test_what_came_is_there_after_a_restart_and_known_when_it_comes_again(journal: Journal) -> None:
    assert await Incoming(journal).record("Ev1", "app_mention", PAYLOAD)
    await journal.close()
    await journal.open()
    incoming = Incoming(journal)
    assert not await incoming.record("Ev1", "app_mention", PAYLOAD)
    (left,) = await incoming.left()
    assert (left.id, left.payload) == ("Ev1", PAYLOAD)


async def test_what_has_just_come_is_left_to_whoever_recorded_it(journal: Journal) -> None:
    incoming = Incoming(journal)
    await incoming.record("Ev1", "app_mention", PAYLOAD)
    assert await incoming.due() == []
    await journal.write(lambda connection: connection.execute("update incoming set retry_at = '2026'"))
    assert [each.id for each in await incoming.due()] == ["Ev1"]


async def test_what_is_dealt_with_is_not_due_and_its_words_are_not_kept(journal: Journal) -> None:
    incoming = Incoming(journal)
    await incoming.record("Ev1", "app_mention", PAYLOAD)
    await incoming.settle("Ev1")
    assert await incoming.left() == []
    assert not await incoming.record("Ev1", "app_mention", PAYLOAD)
    stored = await row(journal)
    assert (stored["payload"], stored["problem"]) == (None, None)
    assert stored["settled_at"]


async def test_what_failed_is_due_again_later_and_later(journal: Journal) -> None:
    incoming = Incoming(journal)
    await incoming.record("Ev1", "app_mention", PAYLOAD)
    pauses = []
    for _ in range(8):
        await incoming.settle("Ev1")
        await incoming.try_again("Ev1", PAYLOAD, "Slack cannot be reached")
        assert await incoming.due() == []
        pauses.append(
            await journal.read(
                lambda connection: connection.execute(
                    "select round((julianday(retry_at) - julianday('now')) * 86400) from incoming"
                ).fetchone()[0]
            )
        )
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
    await journal.write(lambda connection: connection.execute("update incoming set retry_at = '2026'"))
    assert [each.payload for each in await incoming.due()] == [PAYLOAD]


async def test_after_some_hours_it_is_given_up_with_a_word_in_the_log(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    incoming = Incoming(journal)
    await incoming.record("Ev1", "app_mention", PAYLOAD)
    await journal.write(lambda connection: connection.execute("update incoming set received_at = '2026'"))
    with caplog.at_level(logging.ERROR):
        await incoming.try_again("Ev1", PAYLOAD, "Slack cannot be reached")
    assert caplog.messages == ["given up: Slack cannot be reached"]
    stored = await row(journal)
    assert stored["settled_at"]
    assert (stored["payload"], stored["problem"]) == (None, "Slack cannot be reached")
