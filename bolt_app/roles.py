"""Who may see what in Slack: members of the workspace some, its admins all, guests and strangers nothing."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum

from bolt_app.client import SlackClient
from bolt_app.records import SlackPerson
from zendesk_bridge.flows.errors import ConnectorError

#: How long it is remembered what somebody may see, in seconds.
KNOWN_FOR = 300.0
#: How long what was known before does where Slack does not answer: for a member's rights at most. In seconds.
OUTDATED_AFTER = 86_400.0
#: How many people are remembered.
PEOPLE = 10_000

REFUSED = "Zendesk Connector is for full members of this workspace."
ADMINS_ONLY = "Only admins may do this: those of the workspace, and the people CONNECTOR_ADMINS names on the host."


class Role(IntEnum):
    """What somebody is to the connector."""

    #: A guest, somebody of another workspace, or an app: may see nothing.
    NOBODY = 0
    #: May see what flows there are and how they are.
    MEMBER = 1
    #: May see and do all there is in Slack.
    ADMIN = 2


class Roles:
    """Finds out who somebody is (users.info), and remembers it for five minutes."""

    def __init__(self, slack: SlackClient, admins: frozenset[str], clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            admins: the Slack ids of people who are admins beside the workspace's own.
        """
        self._slack = slack
        self._admins = admins
        self._clock = clock
        self._known: OrderedDict[str, tuple[Role, float]] = OrderedDict()

    async def of(self, user_id: str) -> Role:
        """What somebody may see. Raises ConnectorError where Slack does not say, and nothing is known of them."""
        if not user_id:
            return Role.NOBODY
        known = self._known.get(user_id)
        asked = self._clock()
        if known is not None and asked - known[1] < KNOWN_FOR:
            return known[0]
        try:
            role = self._role(await self._slack.user(user_id), (await self._slack.identity()).team_id)
        except ConnectorError as problem:
            if problem.code in ("user_not_found", "user_not_visible"):
                role = Role.NOBODY
            elif known is not None and asked - known[1] < OUTDATED_AFTER:
                return min(known[0], Role.MEMBER)
            else:
                raise
        while len(self._known) >= PEOPLE:
            self._known.popitem(last=False)
        self._known.pop(user_id, None)
        self._known[user_id] = (role, asked)
        return role

    def _role(self, person: SlackPerson, team_id: str) -> Role:
        if person.is_nobody or person.is_guest or team_id not in person.teams:
            return Role.NOBODY
        return Role.ADMIN if person.is_admin or person.id in self._admins else Role.MEMBER
