"""Encrypts what is kept: https://cryptography.io/en/latest/fernet/. Imported only where it is needed: it is large."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Unreadable(Exception):
    """None of the keys opens it."""


def is_key(text: str) -> bool:
    """Whether a text is a key."""
    try:
        Fernet(text)
    except ValueError:
        return False
    return True


def new_key() -> str:
    """A new key."""
    return Fernet.generate_key().decode()


def seal(keys: list[str], text: str) -> str:
    """Encrypts with the first key."""
    return Fernet(keys[0]).encrypt(text.encode()).decode()


def unseal(keys: list[str], sealed: str) -> str:
    """Decrypts with whichever key fits. Raises Unreadable."""
    try:
        return _all(keys).decrypt(sealed).decode()
    except InvalidToken:
        raise Unreadable from None


def reseal(keys: list[str], sealed: str) -> str:
    """Encrypts anew, with the first key. Raises Unreadable."""
    try:
        return _all(keys).rotate(sealed).decode()
    except InvalidToken:
        raise Unreadable from None


def _all(keys: list[str]) -> MultiFernet:
    # Without any key nothing can be read, which is what a key of its own says.
    return MultiFernet([Fernet(key) for key in keys or [new_key()]])
