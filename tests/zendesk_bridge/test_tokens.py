"""The tokens of a consent, through the real client against the sandbox: renewed once, kept before they are used."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from zendesk_bridge import client as client_module
from zendesk_bridge import tokens as stored_tokens
from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.bridge import Bridge, BridgeSettings, Polling
from zendesk_bridge.client import MANAGING_SCOPE, ZendeskClient
from zendesk_bridge.flows.errors import ConnectorError, Credentials, StorageError, Transient, Uncertain
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.sandbox import Fault, ZendeskServer, people
from zendesk_bridge.sandbox import tokens as sandbox_tokens
from zendesk_bridge.tokens import (
    NAME,
    Pair,
    StoredTokens,
    authorize_address,
    lacks,
    new_verifier,
    pair_from,
    renewed_after,
)
from zendesk_bridge.vault import Keyring, Vault

REDIRECT = "http://127.0.0.1:1/zendesk/oauth_redirect"
TOKENS = "/oauth/tokens"
NOOR = str(people.NOOR)

Write = Callable[[Any], Awaitable[Any]]


class Killed(BaseException):
    """The process ends here."""


def settings_of(zendesk: ZendeskServer, **changes: Any) -> ZendeskSettings:
    return ZendeskSettings(
        **{"subdomain": "harbour", "api_url": zendesk.url, "client_id": people.PUBLIC_CLIENT_ID, **changes}
    )


async def consent(zendesk: ZendeskServer, client: ZendeskClient, scope: str = MANAGING_SCOPE) -> Pair:
    """The pair that an admin's consent gives."""
    verifier = new_verifier()
    address = authorize_address(client.settings, redirect=REDIRECT, scope=scope, state="s", verifier=verifier)
    code = sandbox_tokens.authorize(zendesk.state, dict(parse_qsl(urlsplit(address).query)), people.ADA)
    return await client.exchange(code, verifier=verifier, redirect=REDIRECT, connected_at="now", asked=scope)


def due(pair: Pair, *, expired: bool = False) -> Pair:
    return replace(pair, renew_at=time.time() - 1, expires_at=time.time() + (-1 if expired else 60))


def renewals(zendesk: ZendeskServer) -> int:
    return sum(call.path == TOKENS for call in zendesk.state.calls)


def paths(zendesk: ZendeskServer) -> list[str]:
    return [call.path.removesuffix(".json") for call in zendesk.state.calls]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


@dataclass(kw_only=True)
class Host:
    """A machine with a database; each process on it has clients of its own."""

    zendesk: ZendeskServer
    journal: Journal
    exits: AsyncExitStack

    def stored(self, write: Write | None = None) -> StoredTokens:
        @asynccontextmanager
        async def alone() -> AsyncIterator[None]:
            yield

        key = Keyring(None, self.journal.path.with_name("key"))
        return StoredTokens(Vault(key, read=self.journal.read, write=write or self.journal.write), alone)

    def client(self, write: Write | None = None, **changes: Any) -> ZendeskClient:
        """The client of a process that starts now."""
        client = ZendeskClient(settings_of(self.zendesk, **changes), stored=self.stored(write))
        self.exits.push_async_callback(client.close)
        return client

    async def keep(self, pair: Pair) -> None:
        await self.stored().save(pair)
        self.zendesk.state.calls.clear()

    async def pair(self) -> Pair:
        return await self.stored().load(settings_of(self.zendesk))

    async def connect(self) -> Pair:
        pair = await consent(self.zendesk, self.client())
        await self.keep(pair)
        return pair

    async def connect_long_ago(self) -> Pair:
        """Connected, and the access token has expired."""
        pair = due(await self.connect(), expired=True)
        self.zendesk.state.expire_tokens()
        await self.keep(pair)
        return pair


@pytest.fixture
async def host(journal: Journal, zendesk: ZendeskServer) -> AsyncIterator[Host]:
    async with AsyncExitStack() as exits:
        yield Host(zendesk=zendesk, journal=journal, exits=exits)


async def failure(work: Awaitable[Any]) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        await work
    return caught.value


def is_told_to_connect(problem: ConnectorError) -> bool:
    return isinstance(problem, Credentials) and "connections connect zendesk" in problem.hint


# Renewing


async def test_twenty_callers_who_meet_an_expired_token_renew_it_once(host: Host) -> None:
    old = await host.connect_long_ago()
    client = host.client()
    users = await asyncio.gather(*(client.user(NOOR) for _ in range(20)))
    assert {user["email"] for user in users} == {"noor@example.com"}
    assert renewals(host.zendesk) == 1
    assert all(call.status == 200 for call in host.zendesk.state.calls)
    pair = await host.pair()
    assert pair.access != old.access
    assert pair.refresh != old.refresh
    assert not pair.is_spent
    assert pair.connected_at == old.connected_at


async def test_a_renewed_pair_is_on_disk_before_it_is_used(host: Host) -> None:
    await host.connect_long_ago()
    go_on, writes = asyncio.Event(), 0

    async def slow(work: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes == 2:  # the first says that the old pair is spent
            await go_on.wait()
        return await host.journal.write(work)

    calls = [asyncio.create_task(host.client(slow).user(NOOR))]
    await until(lambda: writes == 2)
    await asyncio.sleep(0.05)
    assert paths(host.zendesk) == [TOKENS]
    go_on.set()
    await asyncio.gather(*calls)
    assert paths(host.zendesk) == [TOKENS, f"/api/v2/users/{NOOR}"]
    assert (await host.pair()).access in host.zendesk.state.tokens


async def test_that_a_pair_is_spent_is_on_disk_before_zendesk_hears_of_it(host: Host) -> None:
    old = await host.connect_long_ago()
    seen: list[bool] = []

    async def ask(body: Any) -> dict[str, Any]:
        seen.append((await host.pair()).is_spent)
        raise Transient("unreachable", "Zendesk cannot be reached")

    with pytest.raises(Transient):
        await host.stored().current(settings_of(host.zendesk), ask, None)
    assert seen == [True]
    assert (await host.pair()).refresh == old.refresh


async def test_a_token_that_zendesk_ended_in_mid_life_is_renewed_once_for_all(host: Host) -> None:
    await host.connect()
    client = host.client()
    await client.user(NOOR)
    host.zendesk.state.expire_tokens()
    await asyncio.gather(*(client.user(str(people.BEN)) for _ in range(10)))
    assert renewals(host.zendesk) == 1


async def test_idle_tokens_are_renewed_before_they_expire(host: Host) -> None:
    host.zendesk.state.token_seconds = 61  # renewed a minute before: at once
    await host.connect()
    keeping = asyncio.create_task(host.client().keep_fresh())
    await until(lambda: renewals(host.zendesk) == 1)
    keeping.cancel()
    assert all(call.status == 200 for call in host.zendesk.state.calls)


def test_a_token_is_renewed_at_nine_tenths_of_its_life_and_a_minute_before_its_end_at_the_latest() -> None:
    assert renewed_after(1800) == 1620
    assert renewed_after(300) == 240
    assert renewed_after(172_800) == 155_520
    assert renewed_after(30) == renewed_after(0) == renewed_after(-5) == 1


# Zendesk refuses, for now or for good


@pytest.mark.parametrize(
    "fault",
    [
        Fault(path=TOKENS, kind="rate_limited", times=-1),
        Fault(path=TOKENS, kind="status", status=503, times=-1),
        Fault(path=TOKENS, kind="html", times=-1),
    ],
    ids=lambda fault: f"{fault.kind}",
)
async def test_while_a_token_cannot_be_renewed_the_old_one_is_used_until_it_expires(host: Host, fault: Fault) -> None:
    old = due(await host.connect())
    await host.keep(old)
    host.zendesk.state.faults.append(replace(fault))
    client = host.client()
    for _ in range(5):
        assert (await client.user(NOOR))["email"] == "noor@example.com"
    assert renewals(host.zendesk) == 1
    host.zendesk.state.faults.clear()
    assert (await host.client().user(NOOR))["email"] == "noor@example.com"
    assert (await host.pair()).access != old.access


async def test_an_expired_token_that_cannot_be_renewed_for_now_is_renewed_later(host: Host) -> None:
    await host.connect_long_ago()
    client = host.client()
    host.zendesk.state.faults.append(Fault(path=TOKENS, kind="rate_limited"))
    assert isinstance(await failure(client.user(NOOR)), Transient)
    assert (await client.user(NOOR))["email"] == "noor@example.com"


@pytest.mark.parametrize("expired", [True, False], ids=["expired", "only due"])
async def test_after_a_lost_answer_the_admin_is_told_to_connect_anew(host: Host, expired: bool) -> None:
    pair = await host.connect()
    await host.keep(due(pair, expired=expired))
    host.zendesk.state.faults.append(Fault(path=TOKENS, kind="drop", after_work=True))
    client = host.client()
    problem = await failure(client.user(NOOR))
    if isinstance(problem, Uncertain):
        problem = await failure(client.user(NOOR))
    assert problem.code == "reconnect"
    assert is_told_to_connect(problem)
    assert "interrupted" in problem.message
    assert renewals(host.zendesk) == 2


async def test_a_renewal_that_zendesk_never_saw_is_made_again(host: Host) -> None:
    await host.connect_long_ago()
    host.zendesk.state.faults.append(Fault(path=TOKENS, kind="drop"))
    client = host.client()
    assert isinstance(await failure(client.user(NOOR)), Uncertain)
    assert (await client.user(NOOR))["email"] == "noor@example.com"
    assert not (await host.pair()).is_spent


async def test_a_renewal_that_waits_for_slow_calls_is_not_cut_off_after_it_was_sent(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The wait and the answer together take longer than one call may; the answer alone far less.
    monkeypatch.setattr(client_module, "TOTAL_SECONDS", 4.0)
    pair = await host.connect()
    client = host.client()
    await client.user(NOOR)
    host.zendesk.state.faults.append(Fault(path="/users/", kind="slow", delay=3.5, times=16))
    calls = [asyncio.create_task(client.user(NOOR)) for _ in range(16)]
    await until(lambda: not host.zendesk.state.faults)
    await host.keep(due(pair))
    client.forget_token()
    host.zendesk.state.faults.append(Fault(path=TOKENS, kind="slow", delay=1.0, after_work=True))
    await asyncio.wait([asyncio.create_task(client.user(str(people.BEN)))])
    await asyncio.gather(*calls, return_exceptions=True)
    await until(lambda: renewals(host.zendesk) >= 1)
    assert (await host.client().user(NOOR))["email"] == "noor@example.com"


async def test_tokens_that_zendesk_does_not_renew_are_not_asked_for_every_second(host: Host) -> None:
    host.zendesk.state.token_seconds = 61
    await host.connect()
    keeping = asyncio.create_task(host.client().keep_fresh())
    await asyncio.sleep(0.1)
    host.zendesk.state.tokens.clear()  # an admin has deleted them
    await asyncio.sleep(3.5)
    keeping.cancel()
    assert renewals(host.zendesk) == 1


async def test_tokens_that_an_admin_revoked_are_a_broken_connection_that_says_what_to_do(host: Host) -> None:
    await host.connect()
    host.zendesk.state.tokens.clear()
    client = host.client()
    for _ in range(2):
        problem = await failure(client.user(NOOR))
        assert problem.code == "reconnect"
        assert is_told_to_connect(problem)


async def test_a_pair_without_a_refresh_token_is_used_as_long_as_it_lives(host: Host) -> None:
    pair = await host.connect()
    await host.keep(replace(due(pair), refresh=None))
    assert (await host.client().user(NOOR))["email"] == "noor@example.com"
    await host.keep(replace(due(pair, expired=True), refresh=None))
    problem = await failure(host.client().user(NOOR))
    assert problem.code == "expired"
    assert is_told_to_connect(problem)


async def test_a_token_to_which_zendesk_gives_no_end_is_used_on(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients made before 30 April 2026 get such: without `expires_in`, and without a refresh token."""
    answer = {"access_token": people.OAUTH_TOKEN, "token_type": "bearer", "scope": "read write"}
    await host.keep(pair_from(answer, settings_of(host.zendesk), "now", "read"))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 7 * 86_400)
    assert (await host.client().user(NOOR))["email"] == "noor@example.com"


async def test_no_token_is_logged_or_told(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    old = await host.connect_long_ago()
    client = host.client()
    await client.user(NOOR)
    new = await host.pair()
    host.zendesk.state.tokens.clear()
    problem = await failure(client.user(NOOR))
    told = f"{caplog.text} {problem.message} {problem.hint}"
    for pair in (old, new):
        assert pair.access not in told
        assert str(pair.refresh) not in told


# Sudden ends, and a database that takes nothing


async def test_a_pair_that_the_database_refuses_is_kept_in_mind_and_stored_before_it_is_used(host: Host) -> None:
    await host.connect_long_ago()
    writes = 0

    async def full(work: Any) -> Any:
        nonlocal writes
        writes += 1
        if 2 <= writes <= 4:
            raise StorageError("the disk is full")
        return await host.journal.write(work)

    client = host.client(full)
    for _ in range(3):
        assert (await failure(client.user(NOOR))).code == "storage"
        assert paths(host.zendesk) == [TOKENS]
    assert (await client.user(NOOR))["email"] == "noor@example.com"
    assert renewals(host.zendesk) == 1
    assert (await host.client().user(NOOR))["email"] == "noor@example.com"
    assert renewals(host.zendesk) == 1


async def test_where_the_database_takes_nothing_a_pair_is_not_spent(host: Host) -> None:
    old = await host.connect_long_ago()

    async def full(work: Any) -> Any:
        raise StorageError("the disk is full")

    assert (await failure(host.client(full).user(NOOR))).code == "storage"
    assert paths(host.zendesk) == []
    assert await host.pair() == old


async def test_an_end_between_zendesks_answer_and_the_disk_is_told_to_the_admin(host: Host) -> None:
    await host.connect_long_ago()
    writes = 0

    async def dies(work: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes == 2:
            raise Killed
        return await host.journal.write(work)

    with pytest.raises(Killed):
        await host.client(dies).user(NOOR)
    problem = await failure(host.client().user(NOOR))
    assert problem.code == "reconnect"
    assert "interrupted" in problem.message
    assert is_told_to_connect(problem)


async def test_an_end_before_zendesk_was_asked_costs_nothing(host: Host) -> None:
    await host.connect_long_ago()

    async def dies(body: Any) -> dict[str, Any]:
        raise Killed

    with pytest.raises(Killed):
        await host.stored().current(settings_of(host.zendesk), dies, None)
    assert (await host.pair()).is_spent
    assert (await host.client().user(NOOR))["email"] == "noor@example.com"
    assert not (await host.pair()).is_spent


async def test_a_caller_who_gives_up_during_a_renewal_does_not_lose_the_pair(host: Host) -> None:
    await host.connect_long_ago()
    host.zendesk.state.faults.append(Fault(path=TOKENS, kind="slow", delay=0.2))
    client = host.client()
    call = asyncio.create_task(client.user(NOOR))
    await until(lambda: not host.zendesk.state.faults)
    call.cancel()
    await asyncio.wait([call])
    await until(lambda: renewals(host.zendesk) == 1)
    assert (await client.user(NOOR))["email"] == "noor@example.com"
    assert (await host.client().user(NOOR))["email"] == "noor@example.com"
    assert renewals(host.zendesk) == 1


# Consent


async def test_a_scope_that_is_too_narrow_is_a_broken_connection(host: Host) -> None:
    pair = await host.connect()
    await host.keep(replace(pair, scope="tickets:read webhooks:write"))
    problem = await failure(host.client().user(NOOR))
    assert problem.code == "scope_not_granted"
    assert "users:read" in problem.message


def test_wide_scopes_grant_the_narrow_ones_of_their_kind() -> None:
    assert lacks("read", ("tickets:read", "users:read")) == []
    assert lacks("tickets:read,users:read", ("tickets:read", "users:read")) == []
    assert lacks("read", ("webhooks:write",)) == ["webhooks:write"]
    assert lacks("write", ("tickets:read",)) == ["tickets:read"]
    assert lacks("", ("tickets:read",)) == ["tickets:read"]


async def test_a_visitor_without_a_name_is_no_connection(host: Host) -> None:
    pair = await host.connect()
    problem = await failure(host.client().identity_with(replace(pair, access="")))
    assert isinstance(problem, Credentials)
    assert problem.code == "anonymous"


@pytest.mark.parametrize("change", [{"client_id": "another"}, {"api_url": "http://127.0.0.1:9"}], ids=["client", "url"])
async def test_a_pair_of_another_client_or_account_is_not_used(host: Host, change: dict[str, str]) -> None:
    pair = await host.connect()
    problem = await failure(host.client(**change).user(NOOR))
    assert problem.code == "not_connected"
    assert is_told_to_connect(problem)
    assert paths(host.zendesk) == []
    assert await host.pair() == pair


async def test_a_pair_of_another_version_is_no_connection(host: Host) -> None:
    await host.connect()
    key = Keyring(None, host.journal.path.with_name("key"))
    vault = Vault(key, read=host.journal.read, write=host.journal.write)
    await vault.put(NAME, {"access": "a", "of_the_future": True})
    assert (await failure(host.client().user(NOOR))).code == "not_connected"


async def test_a_lost_key_is_a_broken_connection_that_says_so(host: Host) -> None:
    await host.connect()
    host.journal.path.with_name("key").unlink()
    problem = await failure(host.client().user(NOOR))
    assert isinstance(problem, Credentials)
    assert problem.code == "wrong_key"
    assert "key" in problem.hint


def test_a_pair_shows_no_token() -> None:
    pair = Pair(
        access="secret-a",
        refresh="secret-r",
        scope="read",
        expires_at=1,
        renew_at=1,
        client_id="c",
        base="b",
        connected_at="n",
    )
    assert "secret" not in repr(pair)


# Clocks


@pytest.mark.parametrize("hour", [3600.0, -3600.0], ids=["ahead", "behind"])
@pytest.mark.parametrize("when", ["in mid-life", "between two starts"])
@pytest.mark.parametrize("is_expired", [False, True], ids=["good", "expired"])
async def test_a_clock_that_is_set_costs_one_renewal_at_most(
    host: Host, monkeypatch: pytest.MonkeyPatch, hour: float, when: str, is_expired: bool
) -> None:
    await host.connect()
    client = host.client()
    await client.user(NOOR)
    if is_expired:
        host.zendesk.state.expire_tokens()
    host.zendesk.state.calls.clear()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + hour)
    if when == "between two starts":
        client = host.client()
    for _ in range(3):
        assert (await client.user(NOOR))["email"] == "noor@example.com"
    assert renewals(host.zendesk) <= 1
    monkeypatch.setattr(time, "time", real)  # and it is set right again
    for each in (client, host.client()):
        assert (await each.user(NOOR))["email"] == "noor@example.com"
    assert renewals(host.zendesk) <= 2


async def test_with_a_clock_set_back_a_due_token_is_used_while_it_cannot_be_renewed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.zendesk.state.token_seconds = 61
    await host.connect()
    client = host.client()
    await client.user(NOOR)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    host.zendesk.state.faults.append(Fault(path=TOKENS, kind="rate_limited", times=-1))
    await asyncio.sleep(1.05)
    assert (await client.user(NOOR))["email"] == "noor@example.com"


# Two processes


@pytest.fixture
async def bridge_of(zendesk: ZendeskServer, tmp_path: Path) -> AsyncIterator[Callable[[], Bridge]]:
    """Bridges of several processes on one database."""
    async with AsyncExitStack() as exits:

        def make() -> Bridge:
            bridge = Bridge(
                BridgeSettings(
                    database=tmp_path / "shared.db", zendesk=settings_of(zendesk), polling=Polling(every=0.0)
                )
            )
            exits.push_async_callback(bridge.stop)
            return bridge

        yield make


async def connect_bridge(zendesk: ZendeskServer, bridge: Bridge) -> Pair:
    pair = await consent(zendesk, bridge.zendesk)
    await bridge.vault.put(NAME, vars(due(pair, expired=True)))
    zendesk.state.expire_tokens()
    zendesk.state.calls.clear()
    return pair


async def test_who_does_not_hold_the_database_never_renews_and_sees_what_the_holder_renewed(
    zendesk: ZendeskServer, bridge_of: Callable[[], Bridge]
) -> None:
    holder, command = bridge_of(), bridge_of()
    await holder.open()
    old = await connect_bridge(zendesk, holder)
    waiting = asyncio.create_task(command.zendesk.user(NOOR))
    await asyncio.sleep(0.5)
    assert renewals(zendesk) == 0
    assert not waiting.done()
    await holder.zendesk.user(NOOR)
    assert (await waiting)["email"] == "noor@example.com"
    assert renewals(zendesk) == 1
    assert old.access not in zendesk.state.tokens


async def test_who_waits_in_vain_for_the_holder_is_told(
    zendesk: ZendeskServer, bridge_of: Callable[[], Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_tokens, "LOOK_FOR", 0.1)
    holder, command = bridge_of(), bridge_of()
    await holder.open()
    await connect_bridge(zendesk, holder)
    problem = await failure(command.zendesk.user(NOOR))
    assert isinstance(problem, Transient)
    assert problem.code == "renewing"
    assert renewals(zendesk) == 0


async def test_a_command_takes_the_holders_new_pair_after_a_401(
    zendesk: ZendeskServer, bridge_of: Callable[[], Bridge]
) -> None:
    holder, command = bridge_of(), bridge_of()
    await holder.open()
    await holder.vault.put(NAME, vars(await consent(zendesk, holder.zendesk)))
    await command.zendesk.user(NOOR)
    zendesk.state.expire_tokens()
    await holder.zendesk.user(NOOR)
    zendesk.state.calls.clear()
    await command.zendesk.user(NOOR)
    assert renewals(zendesk) == 0


async def test_a_command_without_a_running_connector_renews_and_lets_go_of_the_database(
    zendesk: ZendeskServer, bridge_of: Callable[[], Bridge]
) -> None:
    first = bridge_of()
    await first.open()
    await connect_bridge(zendesk, first)
    await first.stop()
    command = bridge_of()
    users = await asyncio.gather(*(command.zendesk.user(NOOR) for _ in range(5)))
    assert len(users) == 5
    assert renewals(zendesk) == 1
    next_one = bridge_of()
    await next_one.open()
    await next_one.zendesk.user(NOOR)
    assert renewals(zendesk) == 1


async def test_reading_the_database_beside_a_renewal_of_a_command_works(
    zendesk: ZendeskServer, bridge_of: Callable[[], Bridge]
) -> None:
    first = bridge_of()
    await first.open()
    await connect_bridge(zendesk, first)
    await first.stop()
    zendesk.state.faults.append(Fault(path=TOKENS, kind="slow", delay=0.1))
    command = bridge_of()
    renewing = asyncio.create_task(command.zendesk.user(NOOR))
    while not renewing.done():
        await command.list_flows()
    assert (await renewing)["email"] == "noor@example.com"


async def test_a_connector_that_is_stopped_during_a_renewal_is_connected_after_the_next_start(
    zendesk: ZendeskServer, bridge_of: Callable[[], Bridge]
) -> None:
    first = bridge_of()
    await first.open()
    await connect_bridge(zendesk, first)
    zendesk.state.faults.append(Fault(path=TOKENS, kind="slow", delay=0.3))
    await first.start()
    await until(lambda: not zendesk.state.faults)
    await first.stop()
    await until(lambda: renewals(zendesk) == 1)
    second = bridge_of()
    await second.open()
    assert (await second.zendesk.user(NOOR))["email"] == "noor@example.com"
