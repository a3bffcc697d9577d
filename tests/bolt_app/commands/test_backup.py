"""`backup`: a whole copy while the connector runs, and what is not in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bolt_app.server import Connector
from zendesk_bridge.bridge import new_key
from zendesk_bridge.flows import history
from zendesk_bridge.flows.journal import connect_to_read
from zendesk_bridge.sandbox import ZendeskServer, people

Type = Callable[..., Awaitable[Any]]


def runs_in(database: Path) -> list[str]:
    connection = connect_to_read(database)
    runs = [run["status"] for run in history.list_runs(connection)]
    connection.close()
    return runs


async def test_a_copy_is_made_while_the_connector_runs_and_the_key_is_named(
    shell: Path, connector: Connector, zendesk: ZendeskServer, type_in: Type
) -> None:
    await zendesk.assign(people.GRINDER, people.NOOR)
    await connector.sides.bridge.idle()
    said = await type_in("backup", "copy.db")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("copy.db: 0.")
    assert "connector.db.key too, and apart" in said.out
    assert stat.S_IMODE((shell / "copy.db").stat().st_mode) == 0o600
    assert runs_in(shell / "copy.db") == ["succeeded"]

    again = await type_in("backup", "copy.db")
    assert (again.code, again.out) == (1, "")
    assert "copy.db is there already" in again.err
    told = (await type_in("backup", "other.db", "--json")).json
    database = connector.sides.bridge.settings.database
    assert told == {
        "file": "other.db",
        "bytes": (shell / "other.db").stat().st_size,
        "key_file": f"{database}.key",
    }


KEY = new_key()


async def test_a_key_from_the_environment_is_named_as_that(
    shell: Path, connector: Connector, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_SECRET_KEY", KEY)
    said = await type_in("backup", "copy.db")
    assert "keep CONNECTOR_SECRET_KEY too" in said.out
    assert (await type_in("backup", "other.db", "--json")).json["key_file"] is None
    assert KEY not in said.out


async def test_without_a_database_there_is_nothing_to_copy(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("backup", "copy.db")
    assert (said.code, said.out) == (1, "")
    assert "there is no database zendesk-connector.db" in said.err
    assert os.listdir(empty_shell) == []
