"""Connecting and disconnecting the account, through the real client against the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from polling import flow_file, until
from pydantic import SecretStr

from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.bridge import Bridge, BridgeSettings, Linked, Polling
from zendesk_bridge.flows.errors import ConnectorError, StorageError
from zendesk_bridge.sandbox import Fault, ZendeskServer, people
from zendesk_bridge.sandbox import tokens as sandbox_tokens
from zendesk_bridge.sandbox.tokens import Client
from zendesk_bridge.tokens import NAME

#: Where nobody listens.
PUBLIC = "http://127.0.0.1:9"
REDIRECT = f"{PUBLIC}/zendesk/oauth_redirect"
TOKENS = "/oauth/tokens"
NOOR = str(people.NOOR)

Start = Callable[..., Awaitable[Bridge]]


@pytest.fixture
async def start(zendesk: ZendeskServer, tmp_path: Path) -> AsyncIterator[Start]:
    """Opens bridges with an active flow; their OAuth client has no secret, and is connected to nothing."""
    flows = flow_file(tmp_path / "flows")
    async with AsyncExitStack() as exits:

        async def opened(*, account: dict[str, Any] | None = None, **changes: Any) -> Bridge:
            given = {"subdomain": "harbour", "api_url": zendesk.url, "client_id": people.PUBLIC_CLIENT_ID}
            settings = BridgeSettings(
                database=tmp_path / "connector.db",
                flows=flows,
                zendesk=ZendeskSettings(**given | (account or {})),
                public_url=PUBLIC,
                polling=Polling(every=0.0),
            )
            bridge = Bridge(replace(settings, **changes))
            await bridge.open()
            exits.push_async_callback(bridge.stop)
            return bridge

        yield opened


CONFIDENTIAL = {"client_id": people.CLIENT_ID, "client_secret": SecretStr(people.CLIENT_SECRET)}


def code_for(zendesk: ZendeskServer, bridge: Bridge, user: int = people.ADA) -> tuple[str, str]:
    """The code of somebody's consent, and the secret of PKCE."""
    address, verifier = bridge.linking.address(redirect=REDIRECT, state="s")
    return sandbox_tokens.authorize(zendesk.state, dict(parse_qsl(urlsplit(address).query)), user), verifier


async def link(zendesk: ZendeskServer, bridge: Bridge, user: int = people.ADA) -> Linked:
    code, verifier = code_for(zendesk, bridge, user)
    return await bridge.linking.finish(code, verifier=verifier, redirect=REDIRECT)


async def failure(work: Any) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        await work
    return caught.value


def ours(zendesk: ZendeskServer) -> list[str]:
    """Our tokens at Zendesk; the account itself has one more."""
    return [value for value in zendesk.state.tokens if value != people.OAUTH_TOKEN]


async def status(bridge: Bridge) -> str:
    rows = await bridge.list_connections()
    return next((str(row["status"]) for row in rows if row["service"] == "zendesk"), "no row")


async def grow_old(zendesk: ZendeskServer, bridge: Bridge) -> None:
    """The access token has expired, here as there."""
    value = await bridge.vault.get(NAME)
    assert value is not None
    await bridge.vault.put(NAME, value | {"renew_at": time.time() - 1, "expires_at": time.time() - 1})
    bridge.zendesk.forget_token()
    zendesk.state.expire_tokens()


# By consent


async def test_a_consent_connects_the_account_and_makes_the_webhook(start: Start, zendesk: ZendeskServer) -> None:
    bridge = await start()
    linked = await link(zendesk, bridge)
    assert (linked.account, linked.connected_by) == ("harbour.zendesk.com", "ada@example.com")
    assert "read" in linked.scopes
    assert len(zendesk.state.webhooks) == 1
    assert await status(bridge) == "ok"
    assert (await bridge.zendesk.user(NOOR))["email"] == "noor@example.com"


async def test_a_code_is_good_once_and_only_with_its_verifier(start: Start, zendesk: ZendeskServer) -> None:
    bridge = await start()
    code, _ = code_for(zendesk, bridge)
    assert await failure(bridge.linking.finish(code, verifier="another", redirect=REDIRECT))
    code, verifier = code_for(zendesk, bridge)
    await bridge.linking.finish(code, verifier=verifier, redirect=REDIRECT)
    kept = await bridge.vault.get(NAME)
    assert await failure(bridge.linking.finish(code, verifier=verifier, redirect=REDIRECT))
    assert await bridge.vault.get(NAME) == kept


async def test_a_scope_that_is_too_narrow_is_given_back_and_nothing_is_kept(
    start: Start, zendesk: ZendeskServer
) -> None:
    bridge = await start()
    zendesk.state.granted_scope = "tickets:read"
    problem = await failure(link(zendesk, bridge))
    assert problem.code == "scope_not_granted"
    assert "users:read" in problem.message
    assert ours(zendesk) == []
    assert await bridge.vault.get(NAME) is None


async def test_where_only_reading_was_granted_the_account_is_connected_and_an_admin_is_told_the_clicks(
    start: Start, zendesk: ZendeskServer
) -> None:
    bridge = await start()
    zendesk.state.granted_scope = "tickets:read users:read organizations:read"
    linked = await link(zendesk, bridge)
    assert any("Create webhook" in each for each in linked.clicks)
    assert zendesk.state.webhooks == {}
    assert (await bridge.zendesk.user(NOOR))["email"] == "noor@example.com"


async def test_an_agents_consent_connects_the_account_and_an_admin_is_told_the_clicks(
    start: Start, zendesk: ZendeskServer
) -> None:
    bridge = await start()
    linked = await link(zendesk, bridge, people.NOOR)
    assert linked.connected_by == "noor@example.com"
    assert any(f"{PUBLIC}/zendesk/events" in each for each in linked.clicks)
    assert await status(bridge) == "ok"


async def test_a_webhook_that_does_not_arrive_leaves_the_account_connected_and_needs_no_clicks(
    start: Start, zendesk: ZendeskServer
) -> None:
    bridge = await start()
    linked = await link(zendesk, bridge)
    assert "test request was answered" in linked.webhook[0]
    assert linked.clicks == []
    assert await status(bridge) == "ok"


async def test_without_a_public_address_reading_alone_is_asked_for(start: Start, zendesk: ZendeskServer) -> None:
    bridge = await start(public_url=None)
    assert bridge.linking.scope == "read"
    linked = await link(zendesk, bridge)
    assert "CONNECTOR_PUBLIC_URL" in linked.webhook[0]
    assert await status(bridge) == "ok"


async def test_where_zendesk_does_not_say_who_it_is_nothing_is_kept(start: Start, zendesk: ZendeskServer) -> None:
    bridge = await start()
    zendesk.state.faults.append(Fault(path="/users/me", kind="html"))
    assert await failure(link(zendesk, bridge))
    assert await bridge.vault.get(NAME) is None
    assert ours(zendesk) == []


async def test_a_pair_that_cannot_be_stored_is_given_back(
    start: Start, zendesk: ZendeskServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = await start()

    async def full(*_: Any) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(bridge.vault, "_write", full)
    assert (await failure(link(zendesk, bridge))).code == "storage"
    assert ours(zendesk) == []


async def test_an_address_without_a_zendesk_is_told(start: Start, zendesk: ZendeskServer) -> None:
    bridge = await start()
    await bridge.linking.look()
    zendesk.state.faults.append(Fault(path="*", kind="html", times=-1))
    assert (await failure(bridge.linking.look())).code == "no_account"


async def test_connecting_anew_leaves_one_webhook_and_goes_on_as_who_consented_last(
    start: Start, zendesk: ZendeskServer
) -> None:
    bridge = await start()
    await link(zendesk, bridge)
    zendesk.state.users[people.BEN]["role"] = "admin"
    linked = await link(zendesk, bridge, people.BEN)
    assert linked.connected_by == "ben@example.com"
    assert (await bridge.zendesk.identity()).connected_by == "ben@example.com"
    assert len(zendesk.state.webhooks) == 1


async def test_connecting_anew_gives_the_old_tokens_back(start: Start, zendesk: ZendeskServer) -> None:
    bridge = await start()
    await link(zendesk, bridge)
    await link(zendesk, bridge)
    value = await bridge.vault.get(NAME)
    assert value is not None
    assert ours(zendesk) == [value["access"]]


async def test_a_consent_mends_a_connection_whose_renewal_was_interrupted(start: Start, zendesk: ZendeskServer) -> None:
    bridge = await start()
    await link(zendesk, bridge)
    await grow_old(zendesk, bridge)
    zendesk.state.faults.append(Fault(path=TOKENS, kind="drop", after_work=True))
    for _ in range(2):
        problem = await failure(bridge.zendesk.user(NOOR))
    assert problem.code == "reconnect"
    await link(zendesk, bridge)
    assert (await bridge.zendesk.user(NOOR))["email"] == "noor@example.com"
    assert await status(bridge) == "ok"


async def test_a_consent_given_while_the_old_pair_is_renewed_is_the_one_that_stays(
    start: Start, zendesk: ZendeskServer
) -> None:
    bridge = await start()
    await link(zendesk, bridge)
    await grow_old(zendesk, bridge)
    zendesk.state.users[people.BEN]["role"] = "admin"
    zendesk.state.faults.append(Fault(path=TOKENS, kind="slow", delay=0.4))
    renewing = asyncio.create_task(bridge.zendesk.user(NOOR))
    await until(lambda: not zendesk.state.faults)
    await link(zendesk, bridge, people.BEN)
    await asyncio.gather(renewing, return_exceptions=True)
    bridge.zendesk.forget_token()
    assert (await bridge.zendesk.identity()).connected_by == "ben@example.com"


# Disconnecting


async def test_disconnecting_removes_the_webhook_revokes_the_tokens_and_forgets(
    start: Start, zendesk: ZendeskServer
) -> None:
    bridge = await start()
    await link(zendesk, bridge)
    done = await bridge.linking.disconnect()
    assert done == ["the webhook was removed", "the tokens were revoked"]
    assert zendesk.state.webhooks == {}
    assert ours(zendesk) == []
    assert await bridge.vault.get(NAME) is None
    assert await bridge.vault.get("webhook") is None
    assert bridge.subscription.secret is None
    assert (await failure(bridge.zendesk.user(NOOR))).code == "not_connected"
    assert await status(bridge) == "not_connected"
    (row,) = await bridge.list_connections()
    assert row["connected_by"] is None
    await link(zendesk, bridge)
    assert await status(bridge) == "ok"


async def test_disconnecting_twice_is_no_failure(start: Start, zendesk: ZendeskServer) -> None:
    bridge = await start()
    await link(zendesk, bridge)
    await bridge.linking.disconnect()
    assert await bridge.linking.disconnect() == []


@pytest.mark.parametrize("refusal", ["tokens are gone", "unavailable", "forbidden", "unreachable"])
async def test_disconnecting_forgets_also_where_the_account_refuses(
    start: Start, zendesk: ZendeskServer, refusal: str
) -> None:
    bridge = await start()
    await link(zendesk, bridge)
    match refusal:
        case "tokens are gone":
            zendesk.state.tokens.clear()
        case "unavailable":
            zendesk.state.faults.append(Fault(path="*", kind="status", status=503, times=-1))
        case "forbidden":
            zendesk.state.faults.append(Fault(path="*", kind="status", status=403, times=-1))
        case "unreachable":
            await zendesk.stop()
    done = await bridge.linking.disconnect()
    assert any("Admin Center" in each for each in done)
    assert "the tokens were revoked" not in done
    assert await bridge.vault.get(NAME) is None
    assert await bridge.vault.get("webhook") is None
    assert await status(bridge) == "not_connected"


async def test_disconnecting_during_a_renewal_forgets_what_was_renewed(start: Start, zendesk: ZendeskServer) -> None:
    bridge = await start()
    await link(zendesk, bridge)
    await grow_old(zendesk, bridge)
    zendesk.state.faults.append(Fault(path=TOKENS, kind="slow", delay=0.3))
    renewing = asyncio.create_task(bridge.zendesk.user(NOOR))
    await until(lambda: not zendesk.state.faults)
    await bridge.linking.disconnect()
    with contextlib.suppress(ConnectorError):
        await renewing
    assert await bridge.vault.get(NAME) is None
    assert ours(zendesk) == []
    assert zendesk.state.webhooks == {}
    assert (await failure(bridge.zendesk.user(NOOR))).code == "not_connected"


async def test_with_a_lost_key_disconnecting_still_forgets(start: Start, zendesk: ZendeskServer) -> None:
    bridge = await start()
    await link(zendesk, bridge)
    bridge.vault.keyring.file.unlink()
    done = await bridge.linking.disconnect()
    assert any("Admin Center" in each for each in done)
    assert await bridge.vault.get(NAME) is None
    await link(zendesk, bridge)
    assert await status(bridge) == "ok"


async def test_with_a_lost_key_connecting_anew_mends_everything(start: Start, zendesk: ZendeskServer) -> None:
    first = await start()
    await link(zendesk, first)
    await first.stop()
    first.vault.keyring.file.unlink()
    bridge = await start()
    assert bridge.subscription.secret is None
    linked = await link(zendesk, bridge)
    assert linked.clicks == []
    assert bridge.subscription.secret in zendesk.state.webhook_secrets.values()


# By the client alone


async def test_a_client_with_a_secret_asks_for_wide_scopes_for_managing_alone(
    start: Start, zendesk: ZendeskServer
) -> None:
    bridge = await start(account=CONFIDENTIAL)
    await bridge.zendesk.user(NOOR)
    assert [zendesk.state.tokens[value].scope for value in ours(zendesk)] == ["read"]
    linked = await bridge.linking.connect()
    assert linked.clicks == []
    assert [zendesk.state.tokens[value].scope for value in ours(zendesk)] == [
        "read",
        "read webhooks:write triggers:write",
    ]
    assert len(zendesk.state.webhooks) == 1
    assert bridge.zendesk.granted == "read"
    await bridge.zendesk.user(NOOR)
    await bridge.subscription.ensure(test=False)
    assert len(ours(zendesk)) == 2


async def test_a_client_that_may_only_read_is_connected_and_an_admin_is_told_the_clicks(
    start: Start, zendesk: ZendeskServer
) -> None:
    zendesk.state.clients[people.CLIENT_ID] = Client(
        identifier=people.CLIENT_ID,
        secret=people.CLIENT_SECRET,
        user_id=people.ADA,
        scopes=frozenset({"read"}),
    )
    bridge = await start(account=CONFIDENTIAL)
    linked = await bridge.linking.connect()
    assert linked.connected_by == "ada@example.com"
    assert any("Create webhook" in each for each in linked.clicks)
    assert "invalid_scope" in linked.webhook[0]
    assert await status(bridge) == "ok"
    assert (await bridge.zendesk.user(NOOR))["email"] == "noor@example.com"


async def test_disconnecting_a_client_with_a_secret_removes_the_webhook_and_stays_connected(
    start: Start, zendesk: ZendeskServer
) -> None:
    bridge = await start(account=CONFIDENTIAL)
    await bridge.linking.connect()
    done = await bridge.linking.disconnect()
    assert done == ["the webhook was removed", "the account stays connected: its settings are in the environment"]
    assert zendesk.state.webhooks == {}
    assert (await bridge.zendesk.user(NOOR))["email"] == "noor@example.com"
