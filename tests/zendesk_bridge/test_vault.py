"""Secrets at rest: encrypted in the database, the key elsewhere, and a key that is lost, damaged or changed."""

# ruff: noqa: ASYNC240 - small files of a test

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from zendesk_bridge.flows.errors import ConnectorError, SettingsError, StorageError
from zendesk_bridge.flows.journal import Journal
from zendesk_bridge.vault import Keyring, Vault, new_key, parse_keys

PAIR = {"access": "the-access-token", "refresh": "the-refresh-token", "expires_at": 1.5}


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "connector.db.key"


@pytest.fixture
def open_vault(journal: Journal, key_file: Path) -> Callable[..., Vault]:
    """A vault as a process that starts now has it, with the key file or with keys of the setting."""

    def make(*keys: str, write: Callable[..., Any] = journal.write) -> Vault:
        given = SecretStr(",".join(keys)) if keys else None
        return Vault(Keyring(given, key_file), read=journal.read, write=write)

    return make


async def code_of(work: Any) -> str:
    with pytest.raises(ConnectorError) as caught:
        await work
    return caught.value.code


async def rows(journal: Journal) -> list[str]:
    return await journal.read(
        lambda connection: [row["value"] for row in connection.execute("select value from secrets order by name")]
    )


# Keeping


async def test_what_is_kept_is_there_for_the_next_process_and_gone_when_it_is_dropped(
    open_vault: Callable[..., Vault],
) -> None:
    vault = open_vault()
    assert await vault.get("zendesk") is None
    await vault.put("zendesk", PAIR)
    await vault.put("webhook", {"secret": "é ☕ 🙏"})
    assert await open_vault().get("zendesk") == PAIR
    assert await open_vault().get("webhook") == {"secret": "é ☕ 🙏"}
    await vault.put("zendesk", PAIR | {"access": "another"})
    await vault.drop("webhook")
    assert await open_vault().get("zendesk") == PAIR | {"access": "another"}
    assert await open_vault().get("webhook") is None


async def test_nothing_of_a_secret_can_be_read_in_the_database_or_its_log(
    open_vault: Callable[..., Vault], journal: Journal, tmp_path: Path
) -> None:
    for _ in range(3):
        await open_vault().put("zendesk", PAIR)

    def written() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.glob("connector.db*") if path.suffix != ".key")

    assert (tmp_path / "connector.db-wal").exists()
    for text in ("the-access-token", "the-refresh-token", "refresh", "expires_at"):
        assert text.encode() not in written()
    key = (tmp_path / "connector.db.key").read_text().strip()
    assert key.encode() not in written()
    await journal.close()
    assert b"the-access-token" not in written()
    assert key.encode() not in written()


async def test_the_key_file_is_made_by_the_first_write_for_its_owner_alone(
    open_vault: Callable[..., Vault], key_file: Path
) -> None:
    old_mask = os.umask(0)
    try:
        vault = open_vault()
        await vault.get("zendesk")
        await vault.drop("zendesk")
        assert not key_file.exists()
        await vault.put("zendesk", PAIR)
    finally:
        os.umask(old_mask)
    assert key_file.stat().st_mode & 0o777 == 0o600
    key = key_file.read_text()
    await vault.put("webhook", {"secret": "s"})
    assert key_file.read_text() == key
    assert list(key_file.parent.glob("*.new")) == []


async def test_where_the_setting_has_a_key_no_file_is_made(open_vault: Callable[..., Vault], key_file: Path) -> None:
    key = new_key()
    await open_vault(key).put("zendesk", PAIR)
    await open_vault(key).get("zendesk")
    assert not key_file.exists()


async def test_first_writes_at_once_use_the_same_key(journal: Journal, tmp_path: Path) -> None:
    for attempt in range(20):
        key_file = tmp_path / f"key {attempt}"
        vault = Vault(Keyring(None, key_file), read=journal.read, write=journal.write)
        await asyncio.gather(*(vault.put(f"secret {number}", {"number": number}) for number in range(8)))
        for number in range(8):
            assert await vault.get(f"secret {number}") == {"number": number}


async def test_a_key_folder_that_cannot_be_written_stores_nothing(
    open_vault: Callable[..., Vault], journal: Journal, tmp_path: Path
) -> None:
    vault = Vault(Keyring(None, tmp_path / "no such folder" / "key"), read=journal.read, write=journal.write)
    with pytest.raises(StorageError, match="cannot be written"):
        await vault.put("zendesk", PAIR)
    assert await rows(journal) == []


# Another key


async def test_without_its_key_a_secret_is_a_wrong_key_and_reading_makes_no_new_one(
    open_vault: Callable[..., Vault], key_file: Path
) -> None:
    await open_vault().put("zendesk", PAIR)
    key = key_file.read_text()
    key_file.unlink()
    with pytest.raises(ConnectorError) as caught:
        await open_vault().get("zendesk")
    assert caught.value.code == "wrong_key"
    assert str(key_file) in caught.value.hint
    assert not key_file.exists()
    key_file.write_text(key)
    assert await open_vault().get("zendesk") == PAIR


@pytest.mark.parametrize("secret", ["another key of the setting", "another key in the file"])
async def test_with_another_key_a_secret_is_a_wrong_key_and_is_kept(
    open_vault: Callable[..., Vault], journal: Journal, key_file: Path, secret: str
) -> None:
    await open_vault().put("zendesk", PAIR)
    kept, key = await rows(journal), key_file.read_text()
    if "setting" in secret:
        vault = open_vault(new_key())
    else:
        key_file.write_text(new_key())
        vault = open_vault()
    assert await code_of(vault.get("zendesk")) == "wrong_key"
    assert await rows(journal) == kept
    key_file.write_text(key)
    assert await open_vault().get("zendesk") == PAIR


async def test_a_write_after_the_key_was_lost_does_not_hide_what_the_old_key_kept(
    open_vault: Callable[..., Vault], key_file: Path
) -> None:
    await open_vault().put("slack", {"token": "t"})
    key_file.unlink()
    await open_vault().put("zendesk", PAIR)  # connected anew
    assert await open_vault().get("zendesk") == PAIR
    assert await code_of(open_vault().get("slack")) == "wrong_key"


@pytest.mark.parametrize("state", ["gone", "another"])
async def test_rotating_without_the_right_key_changes_neither_the_file_nor_the_secrets(
    open_vault: Callable[..., Vault], journal: Journal, key_file: Path, caplog: pytest.LogCaptureFixture, state: str
) -> None:
    await open_vault().put("zendesk", PAIR)
    key, kept = key_file.read_text(), await rows(journal)
    if state == "gone":
        key_file.unlink()
    else:
        key_file.write_text(new_key())
    there = key_file.read_bytes() if key_file.exists() else None
    for _ in range(2):
        assert await code_of(open_vault().rotate()) == "wrong_key"
    assert [record for record in caplog.records if record.exc_info] == []  # no defect of ours: nothing to trace
    assert await rows(journal) == kept
    assert (key_file.read_bytes() if key_file.exists() else None) == there
    key_file.write_text(key)
    assert await open_vault().get("zendesk") == PAIR


@pytest.mark.parametrize(
    "damage",
    [b"", b"\n", b"\xff\xfe\x00", b"abc", b"x" * 44, b"half"],
    ids=["empty", "blank", "bytes", "short", "x", "half"],
)
async def test_a_damaged_key_file_is_told_and_never_written_over(
    open_vault: Callable[..., Vault], journal: Journal, key_file: Path, damage: bytes
) -> None:
    await open_vault().put("zendesk", PAIR)
    key = key_file.read_text().strip()
    content = key[:20].encode() if damage == b"half" else damage
    key_file.write_bytes(content)
    kept = await rows(journal)
    for work in (
        lambda vault: vault.get("zendesk"),
        lambda vault: vault.put("zendesk", {"access": "new"}),
        lambda vault: vault.rotate(),
    ):
        with pytest.raises(ConnectorError) as caught:
            await work(open_vault())
        assert str(key_file) in f"{caught.value.message} {caught.value.hint}"
        assert key[:20] not in str(caught.value)
    assert key_file.read_bytes() == content
    assert await rows(journal) == kept
    key_file.write_text(key)
    assert await open_vault().get("zendesk") == PAIR


async def test_a_key_file_that_cannot_be_read_is_a_problem_of_the_disk(
    open_vault: Callable[..., Vault], key_file: Path
) -> None:
    await open_vault().put("zendesk", PAIR)
    key_file.unlink()
    key_file.mkdir()
    with pytest.raises(StorageError, match="cannot be read"):
        await open_vault().get("zendesk")


def test_a_key_that_is_none_is_refused_and_never_repeated() -> None:
    for text in ("hunter2", f"{new_key()},hunter2", "é" * 44):
        with pytest.raises(ValueError, match="rotate-key --print-key") as caught:
            parse_keys(text)
        assert "hunter2" not in str(caught.value)
    one, two = new_key(), new_key()
    assert parse_keys(f" {one} , {two} ") == parse_keys(f"{one}\n{two}\n") == [one, two]


async def test_a_damaged_setting_is_told_by_its_name(journal: Journal, key_file: Path) -> None:
    vault = Vault(Keyring(SecretStr("hunter2"), key_file), read=journal.read, write=journal.write)
    with pytest.raises(SettingsError, match="CONNECTOR_SECRET_KEY") as caught:
        await vault.put("zendesk", PAIR)
    assert "hunter2" not in str(caught.value)


async def test_a_setting_of_commas_alone_keeps_nothing_that_cannot_be_read_again(
    journal: Journal, key_file: Path
) -> None:
    vault = Vault(Keyring(SecretStr(","), key_file), read=journal.read, write=journal.write)
    try:
        await vault.put("zendesk", PAIR)
    except SettingsError:
        return
    assert await vault.get("zendesk") == PAIR


# Rotating


async def test_rotating_encrypts_everything_with_a_new_key_and_lets_go_of_the_old_one(
    open_vault: Callable[..., Vault], journal: Journal, key_file: Path
) -> None:
    await open_vault().put("zendesk", PAIR)
    await open_vault().put("webhook", {"secret": "s"})
    old, kept = key_file.read_text().strip(), await rows(journal)
    assert await open_vault().rotate() == 2
    assert old not in key_file.read_text()
    assert len(parse_keys(key_file.read_text())) == 1
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert not set(kept) & set(await rows(journal))
    assert await open_vault().get("zendesk") == PAIR
    assert await open_vault().get("webhook") == {"secret": "s"}
    assert await code_of(open_vault(old).get("zendesk")) == "wrong_key"


async def test_new_and_old_key_of_the_setting_read_rotate_and_then_the_new_one_is_enough(
    open_vault: Callable[..., Vault], key_file: Path
) -> None:
    old, new = new_key(), new_key()
    await open_vault(old).put("zendesk", PAIR)
    assert await open_vault(new, old).get("zendesk") == PAIR
    assert await code_of(open_vault(new).get("zendesk")) == "wrong_key"
    await open_vault(new, old).put("webhook", {"secret": "s"})
    assert await open_vault(new).get("webhook") == {"secret": "s"}
    assert await open_vault(new, old).rotate() == 2
    assert await open_vault(new).get("zendesk") == PAIR
    assert not key_file.exists()


async def test_rotating_with_one_key_of_the_setting_says_what_to_do(open_vault: Callable[..., Vault]) -> None:
    key = new_key()
    await open_vault(key).put("zendesk", PAIR)
    with pytest.raises(ConnectorError) as caught:
        await open_vault(key).rotate()
    assert caught.value.code == "one_key"
    assert "CONNECTOR_SECRET_KEY=NEW,OLD" in caught.value.hint
    assert key not in str(caught.value)
    assert await open_vault(key).get("zendesk") == PAIR


@pytest.mark.parametrize("step", range(10))
async def test_a_sudden_end_at_any_step_of_rotating_loses_nothing(
    open_vault: Callable[..., Vault],
    journal: Journal,
    key_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    await open_vault().put("zendesk", PAIR)
    await open_vault().put("webhook", {"secret": "s"})
    steps = 0

    def dies_at(real: Callable[..., Any]) -> Callable[..., Any]:
        def work(*args: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == step + 1:
                raise Killed
            return real(*args, **options)

        return work

    async def write(work: Any) -> Any:
        before = dies_at(lambda: None)
        before()  # before the commit
        result = await journal.write(work)
        before()  # after it
        return result

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dies_at(os.fsync))
        patch.setattr(Path, "replace", dies_at(Path.replace))
        patch.setattr(Path, "unlink", dies_at(Path.unlink))
        try:
            await open_vault(write=write).rotate()
            ended = True
        except Killed:
            ended = False
    assert ended == (steps <= step)
    assert key_file.stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        assert await open_vault().get("zendesk") == PAIR
        assert await open_vault().get("webhook") == {"secret": "s"}
        await open_vault().put("zendesk", PAIR)
        await open_vault().rotate()
    assert len(parse_keys(key_file.read_text())) == 1


async def test_a_rotation_that_the_database_refuses_loses_nothing(
    open_vault: Callable[..., Vault], key_file: Path
) -> None:
    await open_vault().put("zendesk", PAIR)

    async def full(work: Any) -> Any:
        raise StorageError("the disk is full")

    assert await code_of(open_vault(write=full).rotate()) == "storage"
    assert await open_vault().get("zendesk") == PAIR
    await open_vault().rotate()
    assert await open_vault().get("zendesk") == PAIR


async def test_what_is_kept_while_the_key_is_rotated_can_be_read_afterwards(
    open_vault: Callable[..., Vault], journal: Journal
) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(work: Any) -> Any:
        if not started.is_set():  # the first write, which is the new pair's
            started.set()
            await go_on.wait()
        return await journal.write(work)

    await open_vault().put("zendesk", PAIR)
    vault = open_vault(write=slow)
    renewed = asyncio.create_task(vault.put("zendesk", PAIR | {"access": "renewed"}))
    await started.wait()
    rotating = asyncio.create_task(vault.rotate())
    await asyncio.wait([rotating], timeout=0.2)
    go_on.set()
    await asyncio.gather(renewed, rotating)
    assert await open_vault().get("zendesk") == PAIR | {"access": "renewed"}


async def test_what_is_read_while_the_key_is_rotated_can_be_read(
    open_vault: Callable[..., Vault], journal: Journal, key_file: Path
) -> None:
    await open_vault().put("zendesk", PAIR)
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(work: Any) -> Any:
        row = await journal.read(work)
        if not started.is_set():
            started.set()
            await go_on.wait()
        return row

    reading = Vault(Keyring(None, key_file), read=slow, write=journal.write)  # a command, in another process
    got = asyncio.create_task(reading.get("zendesk"))
    await started.wait()
    await open_vault().rotate()
    go_on.set()
    assert await got == PAIR
