"""Whatever is sent to the webhook: nobody unsigned gets in, and what gets in breaks nothing."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from pydantic import SecretStr
from real_connectors import CONNECTORS

from zendesk_bridge import triggers
from zendesk_bridge.bridge import Bridge, BridgeSettings
from zendesk_bridge.flows.errors import NotFound
from zendesk_bridge.flows.model import rfc3339, utc_now

SECRET = "a webhook's signing secret"
RECIPE = "notify-assigned-agents"
SEEDED = settings(derandomize=True, deadline=None, max_examples=200)
HOSTILE = (
    "x' or '1'='1",
    "x'); drop table runs; --",
    '"; delete from events; --',
    "%",
    "_",
    "\x00",
    "\ud800",
    "\n",
    "../../x",
    "💣",
)


def signed(body: bytes, *, secret: str = SECRET, age: float = 0.0) -> CIMultiDict[str]:
    stamp = rfc3339(utc_now() - dt.timedelta(seconds=age))
    signature = base64.b64encode(hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest()).decode()
    return CIMultiDict({triggers.TIMESTAMP: stamp, triggers.SIGNATURE: signature})


class Door:
    """A bridge whose events come in, and wait for a Zendesk there is not."""

    def __init__(self, folder: Path, loop: asyncio.Runner) -> None:
        self.database = folder / "connector.db"
        self._loop = loop
        self.bridge = Bridge(BridgeSettings(database=self.database, webhook_secret=SecretStr(SECRET)))
        self.bridge.add(CONNECTORS[1])

    async def open(self) -> None:
        await self.bridge.open()
        await self.bridge.request("activate", {"key": RECIPE}, "a test")

    def knock(self, headers: CIMultiDict[str], body: bytes) -> int:
        """What the webhook answers."""
        return self._loop.run(self.bridge.receive_webhook(headers, body))

    def counts(self) -> dict[str, int]:
        """How many rows each table has, without those that a heartbeat writes."""
        connection = sqlite3.connect(self.database)
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        counts = {name: connection.execute(f'select count(*) from "{name}"').fetchone()[0] for name in names}
        connection.close()
        return counts


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with asyncio.Runner() as loop:
        door = Door(tmp_path_factory.mktemp("door"), loop)
        loop.run(door.open())
        yield door
        loop.run(door.bridge.stop(grace=0.1))


odd = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(HOSTILE)
json_values = st.recursive(
    odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = (
    "id",
    "assignee_id",
    "subject",
    "status",
    "tags",
    "requester_id",
    "updated_at",
    "via",
    "created_at",
    "priority",
)
details = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6)
KINDS = (
    "zen:event-type:ticket.agent_assignment_changed",
    "zendesk-connector.assignment",
    "zen:event-type:user.created",
)
events = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS) | json_values},
    optional={
        "id": st.uuids().map(str) | json_values,
        "time": st.sampled_from(["2026-01-31T09:30:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z"])
        | json_values,
        "detail": details | json_values | details.map(lambda detail: {**detail, "id": "4021"}),
        "event": st.fixed_dictionaries({}, optional={"current": json_values, "previous": json_values}) | json_values,
        "ticket_id": st.sampled_from(["4021", 4021]) | json_values,
        "assignee_id": st.sampled_from(["9001", 9001, ""]) | json_values,
        "updated_at": st.sampled_from(["2026-01-31T09:30:00Z"]) | json_values,
    },
)
bodies = (
    st.binary(max_size=60)
    | json_values.map(lambda value: json.dumps(value).encode())
    | events.map(lambda event: json.dumps(event).encode())
)
header_values = st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@SEEDED
@given(bodies)
@example(b"[" * 100_000)
@example(b"9" * 5_000)
@example(b'{"type": ' + b'{"a":' * 50_000)
@example(b'\xef\xbb\xbf{"type": 1}')
@example('{"type": "zen:event-type:ticket.agent_assignment_changed"}'.encode("utf-16"))
def test_a_signed_body_of_any_kind_is_answered_and_breaks_nothing(door: Door, body: bytes) -> None:
    assert door.knock(signed(body), body) in (200, 204, 400)
    assert door.knock(signed(body), body) in (200, 204, 400)


@SEEDED
@given(bodies, header_values, header_values, st.booleans())
@example(b"{}", "2026-01-31T09:30:00Z", "é" * 44, False)
@example(b"{}", "9" * 10_000, "A" * 100_000, True)
def test_whoever_cannot_sign_gets_401_alone(door: Door, body: bytes, stamp: str, given_value: str, twice: bool) -> None:
    before = door.counts()
    for headers in (
        CIMultiDict(),
        CIMultiDict({triggers.TIMESTAMP: stamp, triggers.SIGNATURE: given_value}),
        CIMultiDict({**signed(body), triggers.TIMESTAMP: stamp}),
        CIMultiDict({**signed(body), triggers.SIGNATURE: given_value}),
        signed(body, secret=SECRET + " "),
        signed(body + b" "),
        signed(body, age=3700),
        signed(body, age=-400),
    ):
        if twice:  # only the first counts, and all are the caller's
            headers.add(triggers.SIGNATURE, given_value)
        assert door.knock(headers, body) == 401
    assert door.counts() == before


def body_of(event_id: str, ticket_id: Any = "4021", **detail: Any) -> bytes:
    event = {
        "type": KINDS[0],
        "id": event_id,
        "time": "2026-01-31T09:30:00Z",
        "detail": {"id": ticket_id, "assignee_id": "9001", **detail},
        "event": {"current": "9001", "previous": None},
    }
    return json.dumps(event).encode()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_words_are_stored_as_they_are_and_change_nothing_else(door: Door, hostile: str) -> None:
    before = door.counts()
    body = body_of(f"evil {hostile}", subject=hostile, tags=[hostile], status=hostile)
    assert door.knock(signed(body), body) in (200, 204)
    after = door.counts()
    assert {name for name in after if after[name] < before[name]} == set()
    assert all(after[name] - before[name] <= 1 for name in ("events", "runs", "assignments", "flows"))


@pytest.mark.parametrize("hostile", [*(each for each in HOSTILE if each.isascii()), "", "' or 1=1 --", "*", "?"])
async def test_hostile_names_find_nothing_and_change_nothing(tmp_path: Path, hostile: str) -> None:
    bridge = Bridge(BridgeSettings(database=tmp_path / "connector.db", webhook_secret=SecretStr(SECRET)))
    bridge.add(CONNECTORS[1])
    await bridge.open()
    before = await bridge.list_flows()
    for verb in ("activate", "deactivate"):
        with pytest.raises(NotFound):
            await bridge.request(verb, {"key": hostile}, hostile)
    for verb in ("retry", "cancel"):
        with pytest.raises(NotFound):
            await bridge.request(verb, {"run": hostile}, hostile)
    with pytest.raises(NotFound):
        await bridge.show_run(hostile)
    with pytest.raises(NotFound):
        await bridge.show_flow(hostile)
    await bridge.invited(hostile)
    assert await bridge.list_flows() == before
    await bridge.stop()
