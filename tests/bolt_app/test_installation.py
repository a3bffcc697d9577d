"""The installation: exchanged, pinned, kept, revoked, taken out; and what the connector does without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from driving import SIGNING_SECRET
from pydantic import SecretStr

from bolt_app.installation import InstallationStore
from bolt_app.sandbox import SlackDelivery, SlackServer
from bolt_app.sandbox.grants import SANDBOX, issue_code, workspaces
from bolt_app.sandbox.people import ADA, NOOR
from bolt_app.sandbox.records import Fault
from bolt_app.scopes import scopes
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.bridge import new_key
from zendesk_bridge.flows.errors import ConnectorError
from zendesk_bridge.sandbox import ZendeskServer, people

StartConnector = Callable[..., Awaitable[Connector]]
Type = Callable[..., Awaitable[Any]]

REDIRECT = "http://127.0.0.1:1/slack/oauth_redirect"
OTHER = ("T0OTHER", "Other Company")

#: Who installs the app.
BY_ADA = f"{ADA.real_name} ({ADA.id})"


@pytest.fixture
def start(start_connector: StartConnector, slack: SlackServer) -> StartConnector:
    """Starts connectors that were given the Slack app, and no token."""
    slack.state.requires_install = True

    async def begin(**changes: Any) -> Connector:
        given = {
            "slack_bot_token": None,
            "slack_client_id": slack.state.client_id,
            "slack_client_secret": SecretStr(slack.state.client_secret),
        }
        return await start_connector(**given | changes)

    return begin


@pytest.fixture
async def connector(start: StartConnector) -> Connector:
    """A connector that is connected to no Slack yet."""
    connector = await start()
    await connector.sides.bridge.connections.check("slack")
    return connector


def code_for(slack: SlackServer, workspace: str = SANDBOX.id) -> str:
    """Somebody consents, in a workspace."""
    where = next(each for each in workspaces(slack.state) if each.id == workspace)
    return issue_code(slack.state, where, frozenset(scopes(joins=False)), REDIRECT)


async def install(connector: Connector, slack: SlackServer, workspace: str = SANDBOX.id) -> Any:
    return await connector.sides.installer.finish(code_for(slack, workspace), redirect=REDIRECT)


async def kept(connector: Connector) -> dict[str, Any] | None:
    return await connector.sides.bridge.vault.get("slack")


async def row(connector: Connector) -> dict[str, Any]:
    rows = await connector.sides.bridge.list_connections()
    return next((each for each in rows if each["service"] == "slack"), {})


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def says(connector: Connector, *statuses: str) -> bool:
    return (await row(connector)).get("status") in statuses


async def ready(connector: Connector) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(f"{connector.url}/readyz") as response:
        return response.status, await response.json()


async def disconnect(connector: Connector) -> list[str]:
    answer = await connector.sides.bridge.request("disconnect", {"service": "slack"}, "a test")
    return list(answer["done"])


# Connecting


async def test_a_consent_becomes_the_connection(connector: Connector, slack: SlackServer) -> None:
    installed = await install(connector, slack)
    assert (installed.account, installed.connected_by, installed.missing) == ("Sandbox Support", BY_ADA, [])
    shown = await row(connector)
    assert (shown["status"], shown["account"], shown["connected_by"]) == ("ok", "Sandbox Support", BY_ADA)
    (token,) = slack.state.tokens
    assert token not in str(shown)
    assert token not in str(installed)


async def test_a_code_is_good_once(connector: Connector, slack: SlackServer) -> None:
    code = code_for(slack)
    await connector.sides.installer.finish(code, redirect=REDIRECT)
    before = await kept(connector)
    with pytest.raises(ConnectorError, match="code_already_used"):
        await connector.sides.installer.finish(code, redirect=REDIRECT)
    assert await kept(connector) == before
    await connector.sides.bridge.connections.check("slack")
    assert await says(connector, "ok")


async def test_connecting_again_with_a_failing_service_leaves_the_connection_that_works(
    connector: Connector, slack: SlackServer
) -> None:
    """Slack gives an app that is installed again the token it has: ending that one ends the connection in use."""
    await install(connector, slack)
    (token,) = slack.state.tokens
    code = code_for(slack)
    slack.state.faults.append(Fault(method="auth.test", kind="http", status=500))
    with pytest.raises(ConnectorError):
        await connector.sides.installer.finish(code, redirect=REDIRECT)
    assert list(slack.state.tokens) == [token]
    await connector.sides.bridge.connections.check("slack")
    assert (await row(connector))["status"] == "ok"


async def test_the_token_of_another_workspace_is_ended_before_it_is_kept(
    connector: Connector, slack: SlackServer
) -> None:
    slack.state.other_workspaces = [OTHER]
    await install(connector, slack)
    before = await kept(connector)
    with pytest.raises(ConnectorError, match="belongs to the workspace Sandbox Support, and you chose Other Company"):
        await install(connector, slack, OTHER[0])
    assert await kept(connector) == before
    assert [grant.workspace.id for grant in slack.state.tokens.values()] == [SANDBOX.id]


async def test_of_two_workspaces_at_once_only_the_first_is_connected(connector: Connector, slack: SlackServer) -> None:
    slack.state.other_workspaces = [OTHER]
    await connector.sides.bridge.vault.put("something", {})  # there is a key already
    slack.state.faults.append(Fault(method="auth.test", kind="slow", delay=0.2, times=2))
    results = await asyncio.gather(
        install(connector, slack), install(connector, slack, OTHER[0]), return_exceptions=True
    )
    refused = [each for each in results if isinstance(each, ConnectorError)]
    assert [each.code for each in refused] == ["wrong_workspace"]
    assert len(slack.state.tokens) == 1


async def test_disconnecting_while_somebody_connects_leaves_no_half_connection(
    connector: Connector, slack: SlackServer
) -> None:
    slack.state.faults.append(Fault(method="auth.test", kind="slow", delay=0.2))
    connecting = asyncio.create_task(install(connector, slack))
    await asyncio.sleep(0.1)
    await disconnect(connector)
    await connecting
    assert (await kept(connector) is None) == (connector.sides.slack.web.token is None)
    await connector.sides.bridge.connections.check("slack")
    assert (await row(connector))["status"] == ("ok" if await kept(connector) else "not_connected")


@pytest.mark.parametrize(
    "changes",
    [
        {"is_enterprise_install": True, "team": None, "enterprise": {"id": "E1", "name": "Acme"}},
        {"team": None},
        {"team": {}},
        {"is_enterprise_install": True},
    ],
)
async def test_an_installation_for_a_whole_organization_is_refused(
    start: StartConnector, changes: dict[str, Any]
) -> None:
    async with stand_in(changes) as (address, ended):
        connector = await start(slack_api_url=address)
        with pytest.raises(ConnectorError) as caught:
            await connector.sides.installer.finish("a code", redirect=REDIRECT)
        assert caught.value.code == "organization"
        assert "one workspace" in caught.value.hint
        assert await kept(connector) is None
        assert ended == ["Bearer xoxb-of-a-stand-in"]


@pytest.mark.parametrize(
    "changes",
    [
        {"authed_user": ["U1"]},
        {"authed_user": "U1"},
        {"authed_user": None},
        {"scope": 5},
        {"scope": None},
        {"team": {"id": 5, "name": 5}},
        {"access_token": 5},
        {"access_token": None},
        {"bot_user_id": None},
    ],
    ids=str,
)
async def test_an_odd_answer_is_an_error_or_a_connection_and_nothing_in_between(
    start: StartConnector, changes: dict[str, Any]
) -> None:
    async with stand_in(changes) as (address, ended):
        connector = await start(slack_api_url=address)
        try:
            await connector.sides.installer.finish("a code", redirect=REDIRECT)
        except ConnectorError:
            assert await kept(connector) is None
            assert ended or "access_token" in changes
        else:
            assert await kept(connector) is not None


@asynccontextmanager
async def stand_in(changes: dict[str, Any]) -> AsyncGenerator[tuple[str, list[str]]]:
    """A Slack that answers the exchange otherwise than usual: its address, and what tokens were ended there."""
    answered = {
        "ok": True,
        "access_token": "xoxb-of-a-stand-in",
        "token_type": "bot",
        "scope": "chat:write",
        "bot_user_id": "U1",
        "app_id": "A1",
        "team": {"id": SANDBOX.id, "name": "Acme"},
        "enterprise": None,
        "authed_user": {"id": ADA.id},
        "is_enterprise_install": False,
    }
    ended: list[str] = []

    async def access(request: web.Request) -> web.Response:
        return web.json_response(answered | changes)

    async def test(request: web.Request) -> web.Response:
        known = {"url": "https://acme.slack.com/", "team": "Acme", "team_id": SANDBOX.id, "user": "connector"}
        return web.json_response({"ok": True, **known, "user_id": "U1", "bot_id": "B1"})

    async def revoke(request: web.Request) -> web.Response:
        ended.append(request.headers.get("Authorization", ""))
        return web.json_response({"ok": True, "revoked": True})

    application = web.Application()
    application.router.add_post("/api/oauth.v2.access", access)
    application.router.add_route("*", "/api/auth.test", test)
    application.router.add_route("*", "/api/auth.revoke", revoke)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/", ended
    finally:
        await runner.cleanup()


async def test_a_database_that_takes_nothing_leaves_no_token_behind(
    connector: Connector, slack: SlackServer, tmp_path: Path
) -> None:
    (tmp_path / "connector.db.key").mkdir()  # where the key would be written
    with pytest.raises(ConnectorError):
        await install(connector, slack)
    assert connector.sides.slack.web.token is None
    assert slack.state.tokens == {}


# Where settings win


async def test_a_token_in_the_settings_wins_and_connecting_is_refused(
    start: StartConnector, slack: SlackServer
) -> None:
    first = await start()
    await install(first, slack)
    await first.stop()
    slack.state.requires_install = False
    connector = await start(slack_bot_token=SecretStr(slack.state.bot_token))
    assert connector.sides.slack.web.token == slack.state.bot_token
    for verb in ("connect", "disconnect"):
        with pytest.raises(ConnectorError, match="SLACK_BOT_TOKEN is set") as caught:
            await connector.sides.bridge.request(verb, {"service": "slack"}, "a test")
        assert "restart" in caught.value.hint
    assert await kept(connector) is not None


async def test_without_a_client_connecting_says_what_to_set(start: StartConnector, slack: SlackServer) -> None:
    connector = await start(slack_client_secret=None)
    with pytest.raises(ConnectorError, match="SLACK_CLIENT_SECRET"):
        await connector.sides.bridge.request("connect", {"service": "slack"}, "a test")


async def test_connecting_a_real_slack_needs_a_public_address(start: StartConnector) -> None:
    connector = await start(slack_api_url="https://slack.example.invalid/api/")
    with pytest.raises(ConnectorError, match="CONNECTOR_PUBLIC_URL is not set"):
        await connector.sides.bridge.request("connect", {"service": "slack"}, "a test")


@pytest.mark.parametrize("service", ["slack", "zendesk"])
async def test_connecting_while_nothing_serves_says_so(shell: Path, type_in: Type, service: str) -> None:
    said = await type_in("connections", "connect", service)
    assert said.code == 1
    assert "No connector is running" in said.err
    assert "zendesk-connector serve" in said.err


async def test_the_command_prints_a_link_that_opens_and_says_when_a_token_is_set(
    shell: Path, type_in: Type, start: StartConnector, slack: SlackServer
) -> None:
    connector = await start()
    said = await type_in("connections", "connect", "slack", "--json")
    assert (said.code, sorted(said.json)) == (0, ["expires_at", "link", "service"])
    async with aiohttp.ClientSession() as session, session.get(said.json["link"]) as response:
        assert response.status == 200
    shown = await type_in("connections", "connect", "slack")
    assert f"{connector.url}/slack/install?link=" in shown.out
    assert "15 minutes" in shown.out
    await connector.stop()

    slack.state.requires_install = False
    await start(slack_bot_token=SecretStr(slack.state.bot_token))
    said = await type_in("connections", "connect", "slack")
    assert said.code == 1
    assert "SLACK_BOT_TOKEN is set" in said.err
    assert "link=" not in said.out


async def test_the_command_disconnects_and_lists_what_is_left(
    shell: Path, type_in: Type, connector: Connector, slack: SlackServer
) -> None:
    await install(connector, slack)
    said = await type_in("connections", "disconnect", "slack")
    assert said.code == 0
    assert "the token was revoked" in said.out
    assert "Sandbox Support is forgotten" in said.out
    rows = (await type_in("connections", "list", "--json")).json
    assert [(each["status"], each["account"]) for each in rows if each["service"] == "slack"] == [
        ("not_connected", None)
    ]


@pytest.mark.parametrize("signing", [None, SecretStr(SIGNING_SECRET)])
async def test_socket_mode_starts_without_a_bot_token_and_takes_one_later(
    start: StartConnector, slack: SlackServer, signing: SecretStr | None
) -> None:
    connector = await start(slack_app_token=SecretStr("xapp-sandbox"), slack_signing_secret=signing)
    status, body = await ready(connector)
    assert (status, body["slack"] in ("not_connected", "checking")) == (503, True)
    await install(connector, slack)
    await slack.sockets.wait_connected()
    assert await slack.socket_command("help", ADA.id, next(iter(slack.state.channels)))


async def test_a_client_without_any_way_for_events_is_a_problem(settings: Settings, slack: SlackServer) -> None:
    """Neither over HTTP nor over Socket Mode: invitations and commands never arrive."""
    given = {
        "slack_bot_token": None,
        "slack_signing_secret": None,
        "slack_client_id": "1.2",
        "slack_client_secret": SecretStr("a secret"),
    }
    changed = settings.model_copy(update=given)
    said = " ".join([*changed.problems(), *(f"{name} {text}" for name, text in changed.warnings())])
    assert "SLACK_APP_TOKEN" in said
    assert "SLACK_SIGNING_SECRET" in said


# What is kept


async def test_a_restart_keeps_the_connection(start: StartConnector, slack: SlackServer) -> None:
    first = await start()
    await install(first, slack)
    await first.stop()
    connector = await start()
    await until(lambda: says(connector, "ok"))
    shown = await row(connector)
    assert (shown["account"], shown["connected_by"]) == ("Sandbox Support", BY_ADA)


async def test_the_token_cannot_be_read_in_the_file(connector: Connector, slack: SlackServer, tmp_path: Path) -> None:
    await install(connector, slack)
    (token,) = slack.state.tokens
    files = await asyncio.to_thread(lambda: [each.read_bytes() for each in tmp_path.glob("connector.db*")])
    assert len(files) > 1
    assert not any(token.encode() in each for each in files)


async def test_a_bot_of_another_workspace_is_not_found(connector: Connector, slack: SlackServer) -> None:
    await install(connector, slack)
    store: InstallationStore = connector.sides.installer.store
    mine = await store.async_find_bot(enterprise_id=None, team_id=SANDBOX.id)
    assert mine is not None
    assert mine.bot_token in slack.state.tokens
    assert await store.async_find_bot(enterprise_id=None, team_id="T0OTHER") is None
    await store.async_delete_installation(enterprise_id=None, team_id="T0OTHER")
    assert await kept(connector) is not None


async def test_what_another_version_kept_does_not_keep_the_connector_from_starting(
    start: StartConnector, slack: SlackServer
) -> None:
    first = await start()
    await install(first, slack)
    value = await kept(first)
    assert value is not None
    await first.sides.bridge.vault.put("slack", value | {"a_field_of_a_later_version": 1})
    await first.stop()
    connector = await start()
    assert (await ready(connector))[0] in (200, 503)


async def test_two_services_that_are_connected_first_at_the_same_moment_are_both_kept(connector: Connector) -> None:
    """The first who keeps anything makes the key: there must be one of it."""
    vault = connector.sides.bridge.vault
    names = ("slack", "zendesk", "webhook")
    await asyncio.gather(*(vault.put(name, {"name": name}) for name in names))
    assert [await vault.get(name) for name in names] == [{"name": name} for name in names]


# Another key


@pytest.fixture
async def locked_out(start: StartConnector, slack: SlackServer, tmp_path: Path) -> Connector:
    """A connector whose key file is another than the one its connection was kept with."""
    first = await start()
    await install(first, slack)
    await first.stop()
    (tmp_path / "connector.db.key").write_text(new_key() + "\n")
    return await start()


async def test_with_another_key_it_serves_and_says_so(locked_out: Connector) -> None:
    await until(lambda: says(locked_out, "wrong_key"))
    status, body = await ready(locked_out)
    assert (status, body["slack"], body["database"]) == (503, "wrong_key", "ok")
    message = (await row(locked_out))["message"]
    assert "cannot be decrypted" in message
    assert "connections connect" in message


async def test_with_another_key_connecting_anew_mends_it_as_the_hint_says(
    locked_out: Connector, slack: SlackServer
) -> None:
    await until(lambda: says(locked_out, "wrong_key"))
    await install(locked_out, slack)
    assert (await row(locked_out))["status"] == "ok"


async def test_with_another_key_a_vain_try_does_not_end_the_token_that_the_old_key_still_opens(
    locked_out: Connector, slack: SlackServer
) -> None:
    (token,) = slack.state.tokens
    try:
        await install(locked_out, slack)
    except ConnectorError:
        assert token in slack.state.tokens


async def test_with_another_key_disconnecting_forgets_what_cannot_be_read(
    locked_out: Connector, slack: SlackServer
) -> None:
    await until(lambda: says(locked_out, "wrong_key"))
    await disconnect(locked_out)
    assert (await row(locked_out))["status"] == "not_connected"


@pytest.mark.parametrize("text", ["", "nonsense\n", "\xff\xfe"])
async def test_a_key_file_that_is_no_key_is_said_and_the_rest_works(
    start: StartConnector, slack: SlackServer, tmp_path: Path, text: str
) -> None:
    first = await start()
    await install(first, slack)
    await first.stop()
    (tmp_path / "connector.db.key").write_text(text, encoding="latin-1")
    connector = await start()
    await until(lambda: says(connector, "wrong_key", "settings"))
    assert (await ready(connector))[0] == 503


# Disconnecting


async def test_disconnecting_ends_the_token_and_lets_another_workspace_in(
    connector: Connector, slack: SlackServer
) -> None:
    slack.state.other_workspaces = [OTHER]
    await install(connector, slack)
    done = await disconnect(connector)
    assert "the token was revoked" in done
    assert slack.state.tokens == {}
    assert await kept(connector) is None
    assert (await row(connector))["status"] == "not_connected"
    assert (await row(connector))["account"] is None
    assert (await install(connector, slack, OTHER[0])).account == "Other Company"


async def test_disconnecting_twice_says_that_nothing_was_connected(connector: Connector, slack: SlackServer) -> None:
    await install(connector, slack)
    await disconnect(connector)
    assert await disconnect(connector) == ["nothing was connected"]


async def test_a_token_that_cannot_be_ended_is_forgotten_and_that_is_said(
    connector: Connector, slack: SlackServer
) -> None:
    await install(connector, slack)
    slack.state.faults.append(Fault(method="auth.revoke", kind="http", status=500))
    done = " ".join(await disconnect(connector))
    assert "could not be revoked" in done
    assert await kept(connector) is None


async def test_disconnecting_forgets_every_id_of_the_workspace(connector: Connector, slack: SlackServer) -> None:
    """Ids of one workspace are nobody's in another: also of those who have the app's Home open."""
    await install(connector, slack)
    memory = connector.sides.bridge.memory
    for kind in ("slack_user", "slack_dm", "slack_channel", "home_viewer"):
        await memory.remember(kind, NOOR.id, "x")
    await disconnect(connector)
    for kind in ("slack_user", "slack_dm", "slack_channel", "home_viewer"):
        assert await memory.recall_all(kind, 86_400.0) == {}, kind
        assert await memory.recall(kind, NOOR.id) is None, kind


# Slack takes the app out


@pytest.mark.parametrize("ways", [["app_uninstalled"], ["tokens_revoked"], ["app_uninstalled", "tokens_revoked"]])
async def test_what_slack_ends_is_seen_and_connecting_again_lets_a_waiting_run_go_on(
    start: StartConnector, slack: SlackServer, zendesk: ZendeskServer, ways: list[str]
) -> None:
    connector = await start()
    await install(connector, slack)
    await until(lambda: says(connector, "ok"))
    delivery = SlackDelivery(SIGNING_SECRET, f"{connector.url}/slack/events", slack.state)
    await connector.sides.slack.revoke(connector.sides.slack.web.token or "")
    events = {each["event"]["type"]: each for each in slack.state.unsent_events}
    for way in ways:
        assert (await delivery.event(events[way])).status == 200
    await until(lambda: says(connector, "token_revoked", "account_inactive", "invalid_auth"))
    shown = await row(connector)
    assert (await ready(connector))[0] == 503

    told = await zendesk.assign(people.GRINDER, people.NOOR)
    assert [each.status for each in told.deliveries] == [200]

    async def waits() -> bool:
        return [run["status"] for run in await connector.sides.bridge.list_runs()] == ["waiting"]

    await until(waits)
    assert slack.state.messages_to(NOOR.id) == []
    await install(connector, slack)
    assert (await row(connector))["status"] == "ok"

    async def arrived() -> bool:
        return len(slack.state.messages_to(NOOR.id)) == 1

    await until(arrived)
    assert (await ready(connector))[1]["slack"] == "ok"
    assert shown["account"] == "Sandbox Support"


async def test_what_to_do_about_a_revoked_connection_is_to_connect_again(
    connector: Connector, slack: SlackServer
) -> None:
    """It was made in the browser: setting SLACK_BOT_TOKEN would switch that off."""
    await install(connector, slack)
    await connector.sides.slack.revoke(connector.sides.slack.web.token or "")
    await connector.sides.bridge.connections.check("slack")
    message = (await row(connector))["message"]
    assert "connections connect slack" in message
    assert "set SLACK_BOT_TOKEN" not in message
