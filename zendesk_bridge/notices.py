"""Messages to the people who look after flows."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable

from zendesk_bridge.flows.errors import ConnectorError
from zendesk_bridge.flows.model import StoredFlow

log = logging.getLogger(__name__)

#: Sends somebody (an e-mail address) plain text. Raises ConnectorError.
Send = Callable[[str, str], Awaitable[None]]


async def _send_nowhere(person: str, text: str) -> None:
    """Without a way to tell people, the log must do."""


class Notices:
    """Knows who is told, and how."""

    def __init__(self, admin: str | None, flows: Callable[[], Iterable[StoredFlow]]) -> None:
        """
        Args:
            admin: the e-mail address of the admin, if there is one.
            flows: the flows there are.
        """
        self._admin = admin
        self._flows = flows
        #: How people are told.
        self.send: Send = _send_nowhere

    async def tell_admin(self, text: str) -> None:
        """Tells the admin, or the owners of active flows where none is named. Raises ConnectorError."""
        owners = {flow.owner for flow in self._flows() if flow.active and flow.owner}
        people = {self._admin} if self._admin else owners
        problems = []
        for person in people:
            try:
                await self.send(person, text)
            except ConnectorError as problem:
                log.warning("somebody could not be told: %s", problem.message)
                problems.append(problem)
        if problems and len(problems) == len(people):
            raise problems[0]
