"""Slack's events: stored before they are acknowledged, dealt with once, and again after a crash or an outage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse

from bolt_app.inbox import Delivery, Handle, Inbox
from zendesk_bridge.bridge import Incoming
from zendesk_bridge.flows.errors import ConnectorError, Credentials, Permanent, Transient, Uncertain
from zendesk_bridge.flows.journal import Journal

AWAY = Transient("unreachable", "Slack cannot be reached")


def envelope(event_id: str = "Ev1", **more: Any) -> dict[str, Any]:
    event = {"type": "app_mention", "user": "U1", "text": "how are you?", "channel": "C1", "ts": "1.000100"}
    return {
        "type": "event_callback",
        "token": "verification",
        "team_id": "T1",
        "event_id": event_id,
        "event": event,
    } | more


async def _authorize(team_id: str | None) -> AuthorizeResult:
    return AuthorizeResult(enterprise_id=None, team_id=team_id, bot_token="xoxb-1")


class Slack:
    """Delivers to a real Bolt app with one listener."""

    def __init__(self, journal: Journal, look_every: float = 0.02) -> None:
        self.journal = journal
        self.inbox = Inbox(Incoming(journal), look_every)
        self.handled: list[str] = []
        self.outcomes: list[ConnectorError | Exception] = []
        self.settles_first = False
        self.app = AsyncApp(signing_secret="s", authorize=_authorize, raise_error_for_unhandled_request=False)

        @self.app.error
        async def failed(error: Exception) -> BoltResponse:
            return BoltResponse(status=503)

        self.app.middleware(self.inbox.record)
        self.app.event("app_mention")(self.inbox.listener(self.handle))

    async def handle(self, delivery: Delivery) -> None:
        self.handled.append(str(delivery.body["event_id"]))
        if self.settles_first:
            await delivery.settle()
        if self.outcomes:
            raise self.outcomes.pop(0)

    async def send(self, body: dict[str, Any]) -> int:
        request = AsyncBoltRequest(body=json.dumps(body), mode="socket_mode")
        return (await self.app.async_dispatch(request)).status

    async def see(self, *handled: str) -> None:
        """Waits until these events were handled, in this order, and a moment longer."""
        async with asyncio.timeout(30):
            while self.handled[: len(handled)] != list(handled):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        assert self.handled == list(handled)

    async def due_now(self) -> None:
        await self.journal.write(lambda connection: connection.execute("update incoming set retry_at = '2026'"))

    async def open_rows(self) -> int:
        query = "select count(*) from incoming where settled_at is null"
        return int(await self.journal.read(lambda connection: connection.execute(query).fetchone()[0]))


@pytest.fixture
async def slack(journal: Journal) -> AsyncIterator[Slack]:
    slack = Slack(journal)
    yield slack
    await slack.inbox.stop()


async def test_an_event_is_on_disk_when_it_is_acknowledged_without_slacks_token(slack: Slack) -> None:
    gate = asyncio.Event()

    async def slow(delivery: Delivery) -> None:
        await gate.wait()

    slack.app.event("app_home_opened")(slack.inbox.listener(slow))
    body = envelope(event={"type": "app_home_opened", "user": "U1"})
    assert await slack.send(body) == 200
    (row,) = await slack.journal.read(lambda connection: connection.execute("select * from incoming").fetchall())
    assert (row["id"], row["type"], row["settled_at"]) == ("Ev1", "app_home_opened", None)
    assert json.loads(row["payload"]) == {name: value for name, value in body.items() if name != "token"}
    gate.set()


async def test_an_event_that_slack_sends_again_is_acknowledged_and_dealt_with_once(slack: Slack) -> None:
    assert [await slack.send(envelope()) for _ in range(3)] == [200, 200, 200]
    await slack.see("Ev1")
    assert await slack.send(envelope()) == 200
    await slack.see("Ev1")
    assert await slack.send(envelope("Ev2")) == 200
    await slack.see("Ev1", "Ev2")


async def test_what_cannot_be_stored_is_not_acknowledged(slack: Slack) -> None:
    await slack.journal.close()
    assert await slack.send(envelope()) == 503
    assert slack.handled == []
    await slack.journal.open()
    assert await slack.send(envelope()) == 200
    await slack.see("Ev1")


@pytest.mark.parametrize(
    "problem",
    [AWAY, Uncertain("timeout", "No answer"), Credentials("token_revoked", "Revoked", service="slack")],
    ids=lambda problem: problem.code,
)
async def test_what_did_not_work_is_dealt_with_again_until_it_does(slack: Slack, problem: ConnectorError) -> None:
    slack.outcomes = [problem, problem]
    slack.inbox.start(slack.app)
    await slack.send(envelope())
    await slack.see("Ev1")
    for count in (2, 3):
        await slack.due_now()
        await slack.see(*["Ev1"] * count)
    assert await slack.open_rows() == 0
    await slack.due_now()
    await slack.see(*["Ev1"] * 3)


@pytest.mark.parametrize("problem", [Permanent("is_archived", "Archived"), RuntimeError("a defect")])
async def test_what_never_will_work_is_not_tried_again(slack: Slack, problem: Exception) -> None:
    slack.outcomes = [problem]
    slack.inbox.start(slack.app)
    await slack.send(envelope())
    await slack.see("Ev1")
    assert await slack.open_rows() == 0


async def test_what_may_have_happened_is_not_done_again_and_what_was_refused_is(slack: Slack) -> None:
    slack.settles_first = True
    slack.outcomes = [Uncertain("timeout", "No answer")]
    slack.inbox.start(slack.app)
    await slack.send(envelope("Ev1"))
    await slack.see("Ev1")
    assert await slack.open_rows() == 0
    slack.outcomes = [AWAY]
    await slack.send(envelope("Ev2"))
    await slack.see("Ev1", "Ev2")
    assert await slack.open_rows() == 1
    await slack.due_now()
    await slack.see("Ev1", "Ev2", "Ev2")


async def test_an_event_is_dealt_with_after_a_crash_between_the_answer_and_the_work(journal: Journal) -> None:
    before = Slack(journal)
    stuck: Handle = _never
    before.app.event("app_home_opened")(before.inbox.listener(stuck))
    assert await before.send(envelope("Ev1", event={"type": "app_home_opened"})) == 200
    await journal.write(lambda connection: None)
    for task in list(before.inbox._under_way.values()):
        task.cancel()
    after = Slack(journal)
    dealt: list[str] = []

    async def deal(delivery: Delivery) -> None:
        dealt.append(str(delivery.body["event_id"]))

    after.app.event("app_home_opened")(after.inbox.listener(deal))
    await after.inbox.open()
    after.inbox.start(after.app)
    async with asyncio.timeout(30):
        while not dealt or await after.open_rows():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    await after.inbox.stop()
    assert dealt == ["Ev1"]


async def _never(delivery: Delivery) -> None:
    await asyncio.Event().wait()


async def test_requests_that_are_no_events_pass(slack: Slack) -> None:
    seen: list[str] = []

    @slack.app.command("/action-flows")
    async def typed(ack: Any) -> None:
        seen.append("command")
        await ack()

    await slack.app.async_dispatch(
        AsyncBoltRequest(body={"command": "/action-flows", "text": "", "team_id": "T1"}, mode="socket_mode")
    )
    assert seen == ["command"]
    assert await slack.open_rows() == 0
