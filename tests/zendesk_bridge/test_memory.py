"""What is remembered between calls: kept over a restart, forgotten when wrong, and never in the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from zendesk_bridge import memory as memory_module
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.flows.model import utc_now
from zendesk_bridge.memory import Memory


async def test_what_is_remembered_is_known_at_once_and_after_a_restart(journal: Journal) -> None:
    memory = Memory(journal)
    assert await memory.recall("slack_user", "ada@example.com") is None
    await memory.remember("slack_user", "ada@example.com", "U1")
    assert await memory.recall("slack_user", "ada@example.com") == "U1"
    assert await memory.recall("slack_dm", "ada@example.com") is None
    await journal.close()
    await journal.open()
    assert await Memory(journal).recall("slack_user", "ada@example.com") == "U1"


async def test_a_newer_value_replaces_the_older(journal: Journal) -> None:
    memory = Memory(journal)
    for value in ("U1", "U2"):
        await memory.remember("slack_user", "ada", value)
    await journal.write(lambda connection: None)
    assert await memory.recall("slack_user", "ada") == await Memory(journal).recall("slack_user", "ada") == "U2"


async def test_what_is_forgotten_is_gone_here_and_in_the_file(journal: Journal) -> None:
    memory = Memory(journal)
    await memory.remember("slack_user", "ada", "U1")
    await memory.forget("slack_user", "ada")
    assert await memory.recall("slack_user", "ada") is None
    assert await Memory(journal).recall("slack_user", "ada") is None
    await memory.remember("slack_user", "ada", "U2")
    assert await memory.recall("slack_user", "ada") == "U2"


async def test_old_knowledge_does_not_count(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(journal)
    await memory.remember("slack_user", "ada", "U1")
    await journal.write(lambda connection: None)
    later = utc_now() + memory_module.dt.timedelta(hours=2)
    monkeypatch.setattr(memory_module, "utc_now", lambda: later)
    for each in (memory, Memory(journal)):
        assert await each.recall("slack_user", "ada", max_age=3600) is None
        assert await each.recall("slack_user", "ada", max_age=8000) == "U1"
        assert await each.recall("slack_user", "ada") == "U1"


@pytest.mark.parametrize("newer", ["U2", None])
async def test_what_is_learned_while_the_file_is_read_counts(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, newer: str | None
) -> None:
    await Memory(journal).remember("slack_user", "ada", "U1")
    await journal.write(lambda connection: None)
    memory, gate, original = Memory(journal), asyncio.Event(), journal.read

    async def slowly(work: object) -> object:
        found = await original(work)  # type: ignore[arg-type]
        await gate.wait()
        return found

    monkeypatch.setattr(journal, "read", slowly)
    recalling = asyncio.create_task(memory.recall("slack_user", "ada"))
    await asyncio.sleep(0.02)
    if newer:
        await memory.remember("slack_user", "ada", newer)
    else:
        await memory.forget("slack_user", "ada")
    gate.set()
    assert await recalling == newer
    assert await memory.recall("slack_user", "ada") == newer


async def test_without_a_database_nothing_is_remembered_and_nothing_fails(tmp_path: Path) -> None:
    """A dry run opens none."""
    memory = Memory(Journal(tmp_path / "connector.db"))
    assert await memory.recall("slack_user", "ada") is None
    await memory.remember("slack_user", "ada", "U1")
    assert await memory.recall("slack_user", "ada") == "U1"
    await memory.forget("slack_user", "ada")
    assert await memory.recall("slack_user", "ada") is None
