"""Keeps secrets in the database, encrypted: tokens, and the webhook's signing secret. The key is elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar

from pydantic import SecretStr

from zendesk_bridge.flows.errors import ConnectorError, SettingsError, StorageError
from zendesk_bridge.flows.model import rfc3339, utc_now

T = TypeVar("T")

SETTING = "CONNECTOR_SECRET_KEY"


class Read(Protocol):
    """Reads the database."""

    async def __call__(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """The work's result; None where there is no database yet. Raises StorageError."""


def parse_keys(text: str) -> list[str]:
    """The keys in a setting, the one that encrypts first. Raises ValueError, never with a key in it."""
    keys = text.replace(",", " ").split()
    if text and not keys:
        raise ValueError("must be keys as `zendesk-connector rotate-key --print-key` prints them")
    if keys and not all(map(_sealing().is_key, keys)):
        raise ValueError("must be keys as `zendesk-connector rotate-key --print-key` prints them")
    return keys


class Keyring:
    """The keys that secrets are encrypted with: those of the setting, or a file of mode 0600 beside the database."""

    def __init__(self, given: SecretStr | None, file: Path) -> None:
        self._given = given
        #: Where the key is if no setting has it.
        self.file = file

    @property
    def is_given(self) -> bool:
        """Whether the keys come from the setting."""
        return self._given is not None

    def keys(self) -> list[str]:
        """The keys there are, the one that encrypts first. Blocks. Raises SettingsError, StorageError."""
        try:
            if self._given is not None:
                return parse_keys(self._given.get_secret_value())
            keys = parse_keys(self.file.read_text("ascii"))
            if not keys:
                raise ValueError("has no key in it: bring back the file")
            return keys
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise StorageError(f"{self.file} cannot be read: {problem.strerror}") from problem
        except ValueError as problem:
            raise SettingsError([f"{SETTING if self.is_given else self.file}: {problem}"]) from None

    def keys_to_write(self) -> list[str]:
        """The same; makes the file with a new key where there is none. Blocks."""
        keys = self.keys()
        if not keys:
            keys = [new_key()]
            self.put(keys)
        return keys

    def put(self, keys: list[str]) -> None:
        """Writes the file, so that a sudden end leaves the old keys or the new ones. Blocks. Raises StorageError."""
        fresh = self.file.with_name(self.file.name + ".new")
        try:
            fresh.unlink(missing_ok=True)
            number = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "w", encoding="ascii") as file:
                file.write("\n".join(keys) + "\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.file)
            folder = os.open(self.file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as problem:
            raise StorageError(f"{self.file} cannot be written: {problem.strerror}") from problem


class Vault:
    """Secrets by name, each a JSON object."""

    def __init__(self, keyring: Keyring, *, read: Read, write: Callable[..., Awaitable[Any]]) -> None:
        """
        Args:
            read: reads the database, in any process.
            write: writes it; only the process that holds it may.
        """
        self.keyring = keyring
        self._read = read
        self._write = write
        # What is encrypted with the old key must not land behind a rotation; and the first key is made once.
        self._turn = asyncio.Lock()

    async def get(self, name: str) -> dict[str, Any] | None:
        """What is kept under a name. Raises ConnectorError `wrong_key`, StorageError, SettingsError."""
        before = None
        while True:
            row = await self._read(lambda connection: _row(connection, name))
            if row is None:
                return None
            keys = await asyncio.to_thread(self.keyring.keys)
            try:
                value = json.loads(_sealing().unseal(keys, row))
            except (_sealing().Unreadable, ValueError):
                if (row, keys) != before:  # the key may have been rotated between the two readings
                    before = (row, keys)
                    continue
                raise self._wrong_key() from None
            return value if isinstance(value, dict) else None

    async def put(self, name: str, value: Mapping[str, Any]) -> None:
        """Keeps something; it is on disk when this returns. Raises StorageError, SettingsError."""
        async with self._turn:
            await self._put(name, value)

    async def _put(self, name: str, value: Mapping[str, Any]) -> None:
        keys = await asyncio.to_thread(self.keyring.keys_to_write)
        kept = _sealing().seal(keys, json.dumps(value))
        now = rfc3339(utc_now())
        await self._write(
            lambda connection: (
                connection.execute(
                    "insert or replace into secrets(name, value, at) values (?, ?, ?)", (name, kept, now)
                )
                and None
            )
        )

    async def drop(self, name: str) -> None:
        """Forgets something. Raises StorageError."""
        await self._write(lambda connection: connection.execute("delete from secrets where name = ?", (name,)) and None)

    async def rotate(self) -> int:
        """Encrypts everything anew with a new key (of the setting: with its first); returns how many secrets.

        A sudden end loses nothing: until all is encrypted anew, both keys are kept.

        Raises:
            ConnectorError: `wrong_key`; `one_key` where the setting has no second key.
        """
        async with self._turn:
            return await self._rotate()

    async def _rotate(self) -> int:
        keyring = self.keyring
        keys = await asyncio.to_thread(keyring.keys)
        if keyring.is_given and len(keys) < 2:
            raise ConnectorError(
                "one_key",
                f"{SETTING} has one key alone",
                hint=f"Put a new one before it, {SETTING}=NEW,OLD (`zendesk-connector rotate-key --print-key` makes "
                "one), restart, and rotate again; then take the old one out.",
            )
        for value in await self._read(_values) or ():
            try:
                _sealing().unseal(keys, value)
            except _sealing().Unreadable:
                raise self._wrong_key() from None
        if not keyring.is_given:
            keys = [new_key(), *keys]
            await asyncio.to_thread(keyring.put, keys)
        reseal, unreadable = _sealing().reseal, _sealing().Unreadable

        def work(connection: sqlite3.Connection) -> int:
            rows = connection.execute("select name, value from secrets").fetchall()
            for name, value in rows:
                connection.execute("update secrets set value = ? where name = ?", (reseal(keys, value), name))
            return len(rows)

        try:
            count: int = await self._write(work)
        except unreadable:
            raise self._wrong_key() from None
        if not keyring.is_given:
            await asyncio.to_thread(keyring.put, keys[:1])
        return count

    def _wrong_key(self) -> ConnectorError:
        place = SETTING if self.keyring.is_given else str(self.keyring.file)
        return ConnectorError(
            "wrong_key",
            "What is stored of the connections cannot be decrypted: the key is another, or gone",
            hint=f"Bring back the key ({place}), or connect anew: `zendesk-connector connections connect`.",
        )


def new_key() -> str:
    """A new key."""
    return str(_sealing().new_key())


def _sealing() -> ModuleType:
    """The encryption, loaded once something is encrypted: it takes 8 MB, and who has all in the settings needs none."""
    from zendesk_bridge import sealing

    return sealing


def _values(connection: sqlite3.Connection) -> list[str]:
    return [str(row["value"]) for row in connection.execute("select value from secrets")]


def _row(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("select value from secrets where name = ?", (name,)).fetchone()
    return None if row is None else str(row["value"])
