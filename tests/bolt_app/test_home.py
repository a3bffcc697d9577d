"""Home tabs: shown when they are opened, and again when something changed; not more often than Slack allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from driving import until

from bolt_app.home import Homes
from bolt_app.roles import REFUSED, Roles
from bolt_app.sandbox import Fault, SlackServer
from bolt_app.sandbox.people import ADA, BEN, GUEST, NOOR
from bolt_app.server import Connector
from zendesk_bridge.sandbox import Fault as ZendeskFault
from zendesk_bridge.sandbox import ZendeskServer, people

RECIPE = "notify-assigned-agents"


@pytest.fixture
async def homes(connector: Connector) -> AsyncIterator[Homes]:
    """Tabs that are changed up to five times a second."""
    sides = connector.sides
    homes = Homes(sides.bridge, sides.slack, Roles(sides.slack, frozenset()), every=0.2)
    sides.bridge.changed = homes.changed
    await homes.start()
    yield homes
    await homes.stop()


def shown(slack: SlackServer, user_id: str) -> str:
    """All that somebody's tab says."""
    view = slack.state.homes.get(user_id)
    return str(view.content) if view else ""


def publishes(slack: SlackServer, user_id: str) -> list[Any]:
    return [call for call in slack.state.calls_to("views.publish") if call.arguments["user_id"] == user_id]


async def test_an_opened_tab_shows_connections_flows_and_runs(
    homes: Homes, slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    await zendesk.assign(people.GRINDER, people.NOOR)
    await connector.sides.bridge.idle()
    await homes.opened(ADA.id)
    await until(lambda: "succeeded" in shown(slack, ADA.id))
    for word in ("Sandbox Support", "harbour", "Notify agents of newly assigned tickets"):
        assert word in shown(slack, ADA.id)


async def test_a_tab_follows_what_changes_by_itself(
    homes: Homes, slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    await homes.opened(ADA.id)
    await until(lambda: "flow_deactivate" in shown(slack, ADA.id))
    await connector.sides.bridge.request("deactivate", {"key": RECIPE}, "a test")
    await until(lambda: "flow_activate" in shown(slack, ADA.id))
    await connector.sides.bridge.request("activate", {"key": RECIPE}, "a test")
    await zendesk.assign(people.GRINDER, people.NOOR)
    await until(lambda: "succeeded" in shown(slack, ADA.id))
    zendesk.state.expire_tokens()
    zendesk.state.clients = {}
    await zendesk.assign(people.GRINDER, people.BEN)
    await until(lambda: "refused the credentials" in shown(slack, ADA.id))


async def test_many_changes_are_shown_together_and_what_is_as_shown_is_not_shown_again(
    homes: Homes, slack: SlackServer, connector: Connector
) -> None:
    await homes.opened(ADA.id)
    await until(lambda: bool(publishes(slack, ADA.id)))
    before = len(publishes(slack, ADA.id))
    for _ in range(100):
        homes.changed()
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.4)
    assert len(publishes(slack, ADA.id)) <= before + 1  # the connections may just have been checked
    loop = asyncio.get_running_loop()
    began = loop.time()
    for count in range(40):
        verb = "activate" if count % 2 else "deactivate"
        await connector.sides.bridge.request(verb, {"key": RECIPE}, "a test")
        await asyncio.sleep(0.02)
    await until(lambda: "flow_deactivate" in shown(slack, ADA.id))  # the last change is shown
    assert len(publishes(slack, ADA.id)) - before <= (loop.time() - began) / 0.2 + 2


async def test_a_member_sees_no_buttons_and_a_guest_one_sentence(homes: Homes, slack: SlackServer) -> None:
    await homes.opened(NOOR.id)
    await until(lambda: "Notify agents" in shown(slack, NOOR.id))
    for button in ("flow_deactivate", "flow_test", "run_show", "run_retry"):
        assert button not in shown(slack, NOOR.id)
    await homes.opened(GUEST.id)
    assert REFUSED in shown(slack, GUEST.id)
    assert len(slack.state.homes[GUEST.id].content["blocks"]) == 1
    homes.changed()
    await asyncio.sleep(0.3)
    assert len(publishes(slack, GUEST.id)) == 1


async def test_somebody_who_becomes_a_guest_sees_nothing_any_more(homes: Homes, slack: SlackServer) -> None:
    await homes.opened(BEN.id)
    await until(lambda: "Notify agents" in shown(slack, BEN.id))
    slack.state.people[BEN.id] = type(BEN)(**{**vars(BEN), "is_restricted": True})
    homes._roles._known.clear()  # as after five minutes
    homes.changed()
    await until(lambda: REFUSED in shown(slack, BEN.id))


async def test_tabs_that_were_open_are_kept_up_to_date_after_a_restart(
    homes: Homes, slack: SlackServer, connector: Connector
) -> None:
    await homes.opened(ADA.id)
    await until(lambda: bool(shown(slack, ADA.id)))
    await homes.stop()
    await connector.sides.bridge.request("deactivate", {"key": RECIPE}, "a test")
    after = Homes(connector.sides.bridge, connector.sides.slack, homes._roles, every=0.2)
    await after.start()
    await until(lambda: "flow_activate" in shown(slack, ADA.id))
    await after.stop()


async def test_a_tab_that_slack_did_not_take_is_shown_later(
    homes: Homes, slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bolt_app.home.PAUSE", 0.1)
    slack.state.faults.append(Fault(method="views.publish", kind="http", status=503, times=2))
    await homes.opened(ADA.id)
    await until(lambda: "Notify agents" in shown(slack, ADA.id))
    assert len(publishes(slack, ADA.id)) == 3


async def test_a_tab_says_that_the_database_cannot_be_read(
    homes: Homes, slack: SlackServer, connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zendesk_bridge.flows.errors import StorageError

    async def broken(*args: Any, **how: Any) -> Any:
        raise StorageError("connector.db cannot be read: disk I/O error")

    monkeypatch.setattr(connector.sides.bridge, "list_flows", broken)
    await homes.opened(ADA.id)
    await until(lambda: "The database does not work: not_readable" in shown(slack, ADA.id))
    assert "connector.db" not in shown(slack, ADA.id)


async def test_opening_a_tab_asks_how_the_services_are_so_that_an_outage_shows(
    homes: Homes, slack: SlackServer, zendesk: ZendeskServer, connector: Connector
) -> None:
    await until(lambda: set(connector.sides.bridge.connections.statuses.values()) == {"ok"})
    zendesk.state.faults.append(ZendeskFault(path="*", kind="status", status=503, times=-1))
    await homes.opened(ADA.id)
    await until(lambda: "Zendesk" in shown(slack, ADA.id) and "`unavailable`" in shown(slack, ADA.id))


async def test_a_guest_who_opens_a_tab_while_tabs_are_shown_holds_nobody_up(
    homes: Homes, slack: SlackServer, connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await homes.opened(NOOR.id)
    await homes.opened(BEN.id)
    await until(lambda: bool(shown(slack, NOOR.id) and shown(slack, BEN.id)))
    views = homes._views

    async def meanwhile() -> Any:
        monkeypatch.setattr(homes, "_views", views)
        slack.state.people[NOOR.id] = replace(NOOR, is_restricted=True)
        homes._roles._known.clear()
        await homes.opened(NOOR.id)
        return await views()

    monkeypatch.setattr(homes, "_views", meanwhile)
    await connector.sides.bridge.request("deactivate", {"key": RECIPE}, "a test")
    await until(lambda: "inactive" in shown(slack, BEN.id))
    assert REFUSED in shown(slack, NOOR.id)
