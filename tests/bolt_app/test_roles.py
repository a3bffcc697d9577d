"""Who may see what: asked of Slack, remembered for five minutes, and never guessed upwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bolt_app.client import SlackClient
from bolt_app.records import SlackPerson
from bolt_app.roles import Role, Roles
from bolt_app.sandbox import Fault, SlackServer
from bolt_app.sandbox.people import ADA, BEN, BOT, GONE, GUEST, NOOR
from zendesk_bridge.bridge import Memory
from zendesk_bridge.flows.errors import ConnectorError
from zendesk_bridge.flows.journal import Journal


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(slack: SlackServer, tmp_path: Path) -> AsyncIterator[SlackClient]:
    journal = Journal(tmp_path / "connector.db")
    client = SlackClient(token=slack.state.bot_token, base_url=slack.url, memory=Memory(journal))
    await client.start()
    yield client
    await client.close()


@pytest.fixture
def roles(client: SlackClient, clock: Clock) -> Roles:
    return Roles(client, frozenset({BEN.id}), clock)


async def test_admins_are_those_of_the_workspace_and_those_the_settings_name(roles: Roles) -> None:
    assert await roles.of(ADA.id) is Role.ADMIN
    assert await roles.of(BEN.id) is Role.ADMIN
    assert await roles.of(NOOR.id) is Role.MEMBER


async def test_guests_apps_people_who_left_and_strangers_are_nobody(roles: Roles, slack: SlackServer) -> None:
    for someone in (GUEST.id, BOT.id, GONE.id, "U0NOTHERE1", ""):
        assert await roles.of(someone) is Role.NOBODY, someone
    single = slack.state.add_person("one.channel", is_ultra_restricted=True)
    assert await roles.of(single.id) is Role.NOBODY


async def test_a_guest_whom_the_settings_name_stays_a_guest(client: SlackClient) -> None:
    assert await Roles(client, frozenset({GUEST.id})).of(GUEST.id) is Role.NOBODY


def test_somebody_of_another_workspace_is_a_stranger_and_of_ours_in_an_organization_is_not(roles: Roles) -> None:
    def seen(*teams: str, **more: bool) -> SlackPerson:
        return SlackPerson(
            id="U1", display_name="", real_name="", email=None, teams=frozenset(teams), **{"is_admin": True, **more}
        )

    assert roles._role(seen("T2"), "T1") is Role.NOBODY
    assert roles._role(seen(), "T1") is Role.NOBODY
    assert roles._role(seen("T2", "T1"), "T1") is Role.ADMIN


async def test_a_role_is_asked_for_once_in_five_minutes(roles: Roles, slack: SlackServer, clock: Clock) -> None:
    for _ in range(3):
        await roles.of(NOOR.id)
    assert len(slack.state.calls_to("users.info")) == 1
    clock.now += 301
    await roles.of(NOOR.id)
    assert len(slack.state.calls_to("users.info")) == 2


async def test_while_slack_does_not_answer_an_admin_is_a_member_and_nobody_gains_anything(
    roles: Roles, slack: SlackServer, clock: Clock
) -> None:
    for someone in (ADA, GUEST):
        await roles.of(someone.id)
    clock.now += 301
    slack.state.faults.append(Fault(method="users.info", kind="http", status=503, times=10))
    assert await roles.of(ADA.id) is Role.MEMBER
    assert await roles.of(GUEST.id) is Role.NOBODY
    with pytest.raises(ConnectorError):
        await roles.of(NOOR.id)  # nothing is known of her
    clock.now += 86_400
    with pytest.raises(ConnectorError):
        await roles.of(ADA.id)
