"""One-time links: each opens one visit, in one browser, to one service; nothing of it lies in the database."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: How long a link is good for, and all that it began, in seconds.
LIFETIME = 15 * 60.0
#: Links that are remembered; the oldest are forgotten first.
MOST = 100


class Refused(Exception):
    """A visit that cannot go on; `reason` is one of the pages' reasons."""

    def __init__(self, reason: str, visit: Visit | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.visit = visit


@dataclass(kw_only=True)
class Visit:
    """What became of a link."""

    service: str
    # By the clock that nobody sets.
    ends_at: float
    # Hashes: who reads the memory of another visit must not be able to go on with this one.
    link: bytes
    browser: bytes | None = None
    state: bytes | None = None
    # PKCE's secret, until the code was exchanged.
    verifier: str = field(default="", repr=False)
    # Whether the service has answered; its answer counts once.
    is_answered: bool = False
    # What the last page shows; None until there is something.
    outcome: dict[str, Any] | None = None
    # Set once there is an outcome.
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    # Whether a newer link took the place of this one.
    is_replaced: bool = False

    def end(self, outcome: dict[str, Any]) -> None:
        """Says what became of it."""
        self.outcome = outcome
        self.ended.set()


class Visits:
    """The links that are good at this moment."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._visits: list[Visit] = []

    def invite(self, service: str, hashed: str | None = None) -> str:
        """A new link's secret part. Earlier links to the same service that nobody followed end.

        Args:
            hashed: the hash of the secret part, where whoever asks made it and keeps it; the answer is empty then.
        """
        for visit in self._visits:
            visit.is_replaced = visit.is_replaced or (visit.service == service and visit.browser is None)
        self._visits = self._visits[-MOST:]
        secret = "" if hashed else new_secret()
        link = bytes.fromhex(hashed) if hashed else _hash(secret)
        self._visits.append(Visit(service=service, ends_at=self._clock() + LIFETIME, link=link))
        return secret

    def look(self, service: str, link: str) -> Visit:
        """The visit that a link opens, not begun yet. Raises Refused `unknown`, `expired`, `used`, `replaced`."""
        return self._fresh(service, "link", link)

    def begin(self, service: str, link: str) -> tuple[Visit, str, str]:
        """Follows a link, once; returns the visit, what the browser is known by, and the state to hand over."""
        visit = self._fresh(service, "link", link)
        browser, state = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        visit.browser, visit.state = _hash(browser), _hash(state)
        return visit, browser, state

    def answered(self, service: str, state: str, browser: str) -> Visit:
        """The visit that a service answers to, once.

        Raises Refused `unknown_state`, `expired`, `answered` (with the visit), `another_browser`.
        """
        try:
            visit = self._find(service, "state", state)
        except Refused as problem:
            raise Refused("unknown_state" if problem.reason == "unknown" else problem.reason) from problem
        if visit.browser is None or not hmac.compare_digest(visit.browser, _hash(browser)):
            raise Refused("another_browser")
        if visit.is_answered:
            raise Refused("answered", visit)
        visit.is_answered = True
        return visit

    def outcome(self, service: str, browser: str) -> Visit:
        """The visit of a browser; its outcome is None while it is under way. Raises Refused `unknown`, `expired`."""
        return self._find(service, "browser", browser)

    def of_link(self, service: str, hashed: str) -> Visit:
        """The visit of a link, by its hash as `fingerprint` gives it. Raises Refused `unknown`, `expired`."""
        for visit in self._visits:
            if visit.service == service and visit.link.hex() == hashed:
                return self._good(visit)
        raise Refused("unknown")

    def _fresh(self, service: str, name: str, secret: str) -> Visit:
        visit = self._find(service, name, secret)
        if visit.browser is not None:
            raise Refused("used", visit)
        if visit.is_replaced:
            raise Refused("replaced")
        return visit

    def _find(self, service: str, name: str, secret: str) -> Visit:
        hashed = _hash(secret)
        for visit in self._visits:
            kept = getattr(visit, name)
            if visit.service == service and kept is not None and hmac.compare_digest(kept, hashed):
                return self._good(visit)
        raise Refused("unknown")

    def _good(self, visit: Visit) -> Visit:
        if self._clock() > visit.ends_at:
            raise Refused("expired")
        return visit


def new_secret() -> str:
    """The secret part of a link."""
    return secrets.token_urlsafe(32)


def fingerprint(secret: str) -> str:
    """What a link is asked for by, and asked about: its secret part must not be written anywhere."""
    return _hash(secret).hex()


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()
