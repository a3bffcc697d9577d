"""Requests of Zendesk's webhook: what each is answered with."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from zendesk_bridge import triggers
from zendesk_bridge.flows.context import about_event
from zendesk_bridge.flows.errors import StorageError
from zendesk_bridge.flows.model import Event, utc_now

log = logging.getLogger(__name__)

#: How often the log says that requests are refused, in seconds.
COMPLAIN_EVERY = 60.0


class Webhook:
    """Takes requests: looks at the signature, reads the event, hands it on."""

    def __init__(
        self,
        secret: Callable[[], str | None],
        max_age: float,
        handle: Callable[[Event], Awaitable[bool]],
        count: Callable[[str], None],
    ) -> None:
        """
        Args:
            secret: the signing secret, as it is now.
            max_age: seconds a signature is good for.
            handle: stores an event and starts its runs; False where no flow wants it. Raises StorageError.
            count: told what became of each request.
        """
        self._secret = secret
        self._max_age = max_age
        self._handle = handle
        self._count = count
        self._complained_at = float("-inf")

    async def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """The HTTP status to answer a request with."""
        result, status = await self._receive(headers, body)
        self._count(result)
        return status

    async def _receive(self, headers: Mapping[str, str], body: bytes) -> tuple[str, int]:
        wrong = triggers.refusal(self._secret(), headers, body, self._max_age, utc_now())
        if wrong:
            self._complain(wrong)
            return "refused", 401
        try:
            event = triggers.parse_webhook(body, headers.get(triggers.INVOCATION))
        except triggers.NotAnObject:
            return "malformed", 400
        if event is None:
            return "unknown", 204
        try:
            wanted = await self._handle(event)
        except StorageError:
            return "not_stored", 503
        if not wanted:
            with about_event(event.id):
                log.info("event %s (%s): no active flow wants it", event.id, event.subject)
        return ("accepted", 200) if wanted else ("unwanted", 204)

    def _complain(self, wrong: str) -> None:
        """Logs why requests are refused, once a minute: anybody can send them."""
        now = time.monotonic()
        if now - self._complained_at > COMPLAIN_EVERY:
            self._complained_at = now
            log.warning("a request to /zendesk/events was refused: %s", wrong)
