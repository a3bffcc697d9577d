"""The state of each connection: who we are there, that a broken one is tried again, and its runs told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from zendesk_bridge.connections import Connections
from zendesk_bridge.flows import history
from zendesk_bridge.flows.catalog import Connector, Identity
from zendesk_bridge.flows.errors import Credentials, Permanent, StorageError, Transient, Uncertain
from zendesk_bridge.flows.journal import Journal

REVOKED = Credentials("token_revoked", "The token was revoked", service="slack", hint="Connect again.")
AWAY = Transient("unreachable", "Slack cannot be reached")


class Service:
    """Answers who we are there, or raises what it was given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0
        self.answers: list[Any] = []
        self.identity = Identity(account=f"{name}-account", connected_by="U1", scopes=["chat:write"])

    async def identify(self) -> Identity:
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else self.identity
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Identity) else self.identity

    def connector(self) -> Connector:
        return Connector(service=self.name, title=self.name.title(), client=None, identify=self.identify, actions=())


class Watched:
    def __init__(self, journal: Journal, *services: Service) -> None:
        self.mended: list[str] = []
        self.failures: list[Exception] = []
        self.journal = journal
        self.connections = Connections([each.connector() for each in services], journal, self._mended, 0.01)

    async def _mended(self, service: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.mended.append(service)

    async def see(self, **statuses: str) -> None:
        async with asyncio.timeout(30):
            while True:
                if self.connections.statuses == statuses:
                    return
                await asyncio.sleep(0.002)

    async def told(self, *services: str) -> None:
        """Waits until the runs of these were told, in this order."""
        async with asyncio.timeout(30):
            while True:
                if self.mended == list(services):
                    return
                await asyncio.sleep(0.002)

    async def rows(self) -> list[dict[str, Any]]:
        await self.journal.write(lambda connection: None)
        return await self.journal.read(history.list_connections)


@pytest.fixture
def slack() -> Service:
    return Service("slack")


@pytest.fixture
async def watched(journal: Journal, slack: Service) -> AsyncGenerator[Watched]:
    watched = Watched(journal, slack, Service("zendesk"))
    yield watched
    await watched.connections.stop()


async def test_a_connection_that_answers_is_ok_and_kept_with_its_account(watched: Watched) -> None:
    assert watched.connections.statuses == {"slack": "checking", "zendesk": "checking"}
    await watched.connections.start()
    await watched.see(slack="ok", zendesk="ok")
    first, second = await watched.rows()
    assert (first["service"], first["account"], first["connected_by"]) == ("slack", "slack-account", "U1")
    assert (first["scopes"], first["status"], second["service"]) == (["chat:write"], "ok", "zendesk")
    assert first["since"].endswith("Z")


async def test_a_broken_connection_is_tried_again_until_it_answers_and_its_runs_are_told(
    watched: Watched, slack: Service
) -> None:
    slack.answers = [REVOKED, AWAY, REVOKED]
    await watched.connections.start()
    await watched.see(slack="token_revoked", zendesk="ok")
    assert watched.connections.is_broken("slack")
    assert not watched.connections.is_broken("zendesk")
    await watched.see(slack="ok", zendesk="ok")
    assert not watched.connections.is_broken("slack")
    await watched.told("zendesk", "slack")
    assert slack.asked == 4


async def test_an_outage_alone_does_not_break_a_connection(watched: Watched, slack: Service) -> None:
    slack.answers = [AWAY] * 3
    await watched.connections.start()
    await watched.see(slack="unreachable", zendesk="ok")
    assert not watched.connections.is_broken("slack")
    await watched.see(slack="ok", zendesk="ok")


async def test_what_a_run_reports_broken_is_checked_and_said_once(
    watched: Watched, slack: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await watched.connections.start()
    await watched.see(slack="ok", zendesk="ok")
    slack.answers = [REVOKED] * 3
    with caplog.at_level(logging.WARNING):
        for _ in range(40):
            watched.connections.broke(REVOKED)
        assert watched.connections.is_broken("slack")
        await watched.see(slack="ok", zendesk="ok")
        await watched.told("slack", "zendesk", "slack")
    assert slack.asked == 5
    assert sum("is broken" in record.message for record in caplog.records) == 1


async def test_since_is_kept_for_the_same_account_and_begins_anew_for_another(watched: Watched, slack: Service) -> None:
    await watched.connections.start()
    await watched.see(slack="ok", zendesk="ok")
    before = (await watched.rows())[0]
    slack.answers = [REVOKED]
    watched.connections.broke(REVOKED)
    await watched.see(slack="ok", zendesk="ok")
    again = (await watched.rows())[0]
    assert (again["since"], again["account"], again["status"]) == (before["since"], before["account"], "ok")
    assert again["ok_at"] > before["ok_at"]
    assert again["failure"].startswith("token_revoked: ")
    slack.identity = Identity(account="another", connected_by="U2", scopes=[])
    watched.connections.broke(REVOKED)
    await watched.see(slack="ok", zendesk="ok")
    after = (await watched.rows())[0]
    assert (after["account"], after["connected_by"]) == ("another", "U2")
    assert after["since"] > before["since"]


async def test_a_refused_connection_keeps_what_was_known_and_shows_its_code(watched: Watched, slack: Service) -> None:
    await watched.connections.start()
    await watched.see(slack="ok", zendesk="ok")
    slack.answers = [REVOKED] * 200
    watched.connections.broke(REVOKED)
    async with asyncio.timeout(30):
        while True:
            row = (await watched.rows())[0]
            if row["status"] == "token_revoked":
                break
    assert (row["account"], row["scopes"]) == ("slack-account", ["chat:write"])


async def test_runs_that_could_not_be_told_are_told_later(watched: Watched, slack: Service) -> None:
    watched.failures = [StorageError("database or disk is full")]
    await watched.connections.start()
    await watched.told("zendesk", "slack")
    assert slack.asked == 2


async def test_a_defect_in_asking_does_not_end_the_checking(watched: Watched, slack: Service) -> None:
    slack.answers = [KeyError("team")]
    await watched.connections.start()
    await watched.see(slack="ok", zendesk="ok")
    assert slack.asked == 2


# Telling people


class Told(Watched):
    """Connections with somebody to tell."""

    def __init__(self, journal: Journal, *services: Service) -> None:
        super().__init__(journal, *services)
        self.messages: list[str] = []
        self.refusals: list[Exception] = []
        self.connections = Connections([each.connector() for each in services], journal, self._mended, 0.01, self._tell)

    async def _tell(self, text: str) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.messages.append(text)


async def test_a_broken_connection_is_told_once_also_across_restarts_and_again_when_it_breaks_again(
    journal: Journal,
) -> None:
    slack = Service("slack")
    slack.answers = [REVOKED] * 10
    for _ in range(2):
        watched = Told(journal, slack)
        await watched.connections.start()
        asked = slack.asked
        async with asyncio.timeout(30):
            while slack.asked < asked + 5:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.002)
        await watched.connections.stop()
        if not slack.answers:
            break
        (message,) = watched.messages
        assert message.startswith("The connection to Slack is broken: The token was revoked.\nConnect again.")
        first = watched
    assert (len(first.messages), watched.messages) == (1, [])
    watched = Told(journal, slack)
    await watched.connections.start()
    await watched.see(slack="ok")
    slack.answers = [REVOKED] * 5
    watched.connections.broke(REVOKED)
    await watched.told("slack", "slack")
    await watched.connections.stop()
    assert len(watched.messages) == 1


async def test_a_blink_of_a_connection_is_not_told(journal: Journal) -> None:
    slack = Service("slack")
    watched = Told(journal, slack)
    await watched.connections.start()
    await watched.see(slack="ok")
    watched.connections.broke(REVOKED)
    await watched.told("slack", "slack")
    await watched.connections.stop()
    assert watched.messages == []


async def test_what_cannot_be_told_now_is_told_later_and_what_may_have_arrived_is_not_repeated(
    journal: Journal,
) -> None:
    slack, desk = Service("slack"), Service("zendesk")
    slack.answers, desk.answers = [REVOKED] * 20, [Credentials("unauthorized", "No", service="zendesk")] * 20
    watched = Told(journal, slack, desk)
    watched.refusals = [AWAY, AWAY, Uncertain("timeout", "No answer")]
    await watched.connections.start()
    await watched.told("slack", "zendesk")
    await watched.connections.stop()
    assert watched.refusals == []
    assert len(watched.messages) == 1


async def test_what_nobody_connected_yet_is_not_broken(journal: Journal) -> None:
    slack = Service("slack")
    slack.answers = [Credentials("not_connected", "Slack is not connected yet", service="slack")] * 5
    watched = Told(journal, slack)
    await watched.connections.start()
    await watched.told("slack")
    await watched.connections.stop()
    assert watched.messages == []


async def test_some_calls_without_an_answer_are_an_outage_until_one_has_one(watched: Watched, slack: Service) -> None:
    await watched.connections.start()
    await watched.see(slack="ok", zendesk="ok")
    slack.answers = [AWAY] * 1000
    for _ in range(2):
        watched.connections.answered("slack", AWAY)
    assert watched.connections.statuses["slack"] == "ok"
    watched.connections.answered("slack", Uncertain("timeout", "Slack did not answer in time"))
    assert watched.connections.statuses["slack"] == "timeout"
    assert not watched.connections.is_broken("slack")  # runs try again by themselves
    await watched.see(slack="unreachable", zendesk="ok")  # asked anew
    assert (await watched.rows())[0]["message"] == "Slack cannot be reached"
    watched.connections.answered("slack", None)
    assert watched.connections.statuses["slack"] == "ok"
    assert (await watched.rows())[0]["message"] is None


async def test_a_limit_or_a_refusal_is_no_outage(watched: Watched) -> None:
    await watched.connections.start()
    await watched.see(slack="ok", zendesk="ok")
    for _ in range(10):
        watched.connections.answered("slack", Transient("ratelimited", "Too much", limit=True))
        watched.connections.answered("zendesk", Permanent("not_found", "No such ticket"))
    assert watched.connections.statuses == {"slack": "ok", "zendesk": "ok"}


async def test_a_broken_connection_stays_broken_whatever_a_late_call_says(watched: Watched, slack: Service) -> None:
    await watched.connections.start()
    await watched.see(slack="ok", zendesk="ok")
    slack.answers = [REVOKED] * 1000
    watched.connections.broke(REVOKED)
    watched.connections.answered("slack", None)
    assert watched.connections.statuses["slack"] == "token_revoked"
    assert watched.connections.is_broken("slack")


async def test_whoever_shows_the_connections_hears_of_each_change_and_may_have_them_asked_now(
    journal: Journal, slack: Service
) -> None:
    heard: list[str] = []

    async def mended(service: str) -> None:
        pass

    connections = Connections(
        [slack.connector()], journal, mended, 60.0, changed=lambda: heard.append(connections.statuses["slack"])
    )
    try:
        await connections.start()
        async with asyncio.timeout(30):
            while heard != ["ok"]:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.002)
        slack.answers = [AWAY]
        await connections.check_now(5)
        assert heard == ["ok", "unreachable"]
        await connections.check_now(5)
        assert heard == ["ok", "unreachable", "ok"]
    finally:
        await connections.stop()


@pytest.mark.parametrize("problem", [REVOKED, AWAY])
async def test_what_somebody_asks_in_a_bad_moment_is_asked_again_by_itself(
    journal: Journal, problem: Exception
) -> None:
    service = Service("slack")
    watched = Watched(journal, service)
    await watched.connections.start()
    try:
        await watched.see(slack="ok")
        await asyncio.sleep(0.05)  # nothing is left to be checked
        service.answers = [problem]
        await watched.connections.check_now(1)
        assert service.asked >= 2
        await watched.see(slack="ok")
        assert not watched.connections.is_broken("slack")
    finally:
        await watched.connections.stop()


async def test_a_call_that_was_given_up_does_not_hide_an_outage(watched: Watched) -> None:
    await watched.connections.start()
    await watched.see(slack="ok", zendesk="ok")
    for _ in range(3):
        watched.connections.answered("slack", AWAY)
        watched.connections.answered("slack", asyncio.CancelledError())
    assert watched.connections.statuses["slack"] == "unreachable"
