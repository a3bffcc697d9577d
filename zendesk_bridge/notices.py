"""Messages to the people who look after flows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from zendesk_bridge.flows.errors import ConnectorError, Credentials, Transient, Uncertain
from zendesk_bridge.flows.model import StoredFlow
from zendesk_bridge.memory import Memory

log = logging.getLogger(__name__)

#: Sends somebody (an e-mail address) plain text. Raises ConnectorError.
Send = Callable[[str, str], Awaitable[None]]
#: Finds somebody (an e-mail address), so that sending them something is one call. Raises ConnectorError.
Find = Callable[[str], Awaitable[None]]
#: Asks somebody (an e-mail address) to invite the app for a flow (its name) to a channel. Raises ConnectorError.
SendInvitation = Callable[[str, str, str], Awaitable[None]]

#: For how long nobody is told again that a flow waits for an invitation to a channel, in seconds.
TOLD_FOR = 86_400.0
#: How often it is tried again what was refused, and the pause before each, in seconds.
TRIES, PAUSE = 60, 60.0

#: The same for failures of one kind.
FAILURES_FOR = 3600.0

_INVITATION, _FAILURE = "invitation_told", "failure_told"


@dataclass(frozen=True, kw_only=True)
class _Notice:
    """Something that a flow's owner is told."""

    flow: str
    kind: str
    # What tells it apart from others of its kind.
    about: str
    # For how long the same is not told again, in seconds.
    again: float
    # What the log says where there is nobody to tell.
    what: str
    # Takes the owner's address and the flow's name.
    send: Callable[[str, str], Awaitable[None]]


async def _send_nowhere(person: str, text: str) -> None:
    """Without a way to tell people, the log must do."""


async def _find_nobody(person: str) -> None:
    """The same."""


async def _ask_nobody(person: str, flow: str, channel: str) -> None:
    """The same."""


class Notices:
    """Knows who is told, and how."""

    def __init__(
        self, admin: str | None, flows: Callable[[], Iterable[StoredFlow]], memory: Memory, pause: float = PAUSE
    ) -> None:
        """
        Args:
            admin: the e-mail address of the admin, if there is one.
            flows: the flows there are.
            pause: seconds before it is tried again what was refused.
        """
        self._admin = admin
        self._flows = flows
        self._memory = memory
        self._pause = pause
        #: How people are told.
        self.send: Send = _send_nowhere
        #: How people are found.
        self.find: Find = _find_nobody
        #: How people are asked for an invitation.
        self.send_invitation: SendInvitation = _ask_nobody
        self._telling: dict[tuple[str, str, str], asyncio.Task[None]] = {}

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

    def needs_invite(self, flow: str, channel: str) -> None:
        """A run of a flow waits for an invitation: its owner is told, once a day for each channel.

        Args:
            channel: its id, or `#name`.
        """
        what = f"waits for an invitation to {channel}"

        async def send(owner: str, name: str) -> None:
            await self.send_invitation(owner, name, channel)

        self._begin(_Notice(flow=flow, kind=_INVITATION, about=channel, again=TOLD_FOR, what=what, send=send))

    def failed(self, flow: str, run_id: str, subject: str, error: Mapping[str, str]) -> None:
        """A run of a flow has failed: its owner is told, once an hour for each kind of error.

        Args:
            subject: what the event is about.
        """

        async def send(owner: str, name: str) -> None:
            await self.send(owner, _failure(name, flow, run_id, subject, error))

        what = f"failed: {error['code']}"
        self._begin(_Notice(flow=flow, kind=_FAILURE, about=error["code"], again=FAILURES_FOR, what=what, send=send))

    def _begin(self, notice: _Notice) -> None:
        key = notice.flow, notice.kind, notice.about
        if key not in self._telling:
            task = asyncio.create_task(self._tell_owner(notice), name=f"notice {notice.flow}")
            self._telling[key] = task
            task.add_done_callback(lambda _: self._telling.pop(key, None))

    async def stop(self) -> None:
        """Ends what is under way: the runs wait again after the next start."""
        tasks = list(self._telling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell_owner(self, notice: _Notice) -> None:
        key = notice.flow
        try:
            about = f"{key}:{notice.about}"
            if await self._memory.recall(notice.kind, about, notice.again) is not None:
                return
            flow = next((each for each in self._flows() if each.key == key), None)
            owner = (flow.owner if flow else None) or self._admin
            if owner is None:
                log.warning("flow %s %s; it has no owner who could be told", key, notice.what)
                return
            for _ in range(TRIES):
                told = False
                try:
                    await self.find(owner)
                    # Before it is sent: rather once too few than twice.
                    await self._memory.remember(notice.kind, about, owner)
                    told = True
                    await notice.send(owner, flow.name if flow else key)
                    return
                except (Transient, Credentials, Uncertain) as problem:
                    if told and isinstance(problem, Uncertain):
                        raise
                    await self._memory.forget(notice.kind, about)
                    log.info("the owner of flow %s is told later: %s", key, problem.message)
                    await asyncio.sleep(self._pause)
        except ConnectorError as problem:
            log.warning("the owner of flow %s cannot be told: %s", key, problem.message)
        except Exception:
            log.exception("telling the owner of flow %s met a defect of this software", key)


def _failure(name: str, flow: str, run_id: str, subject: str, error: Mapping[str, str]) -> str:
    """What a flow's owner reads of a failed run."""
    about = f" ({subject})" if subject else ""
    hint = f"\n{error['hint']}" if error.get("hint") else ""
    return (
        f"A run of “{name}” failed{about}: {error['message']}.{hint}\n"
        f"Once that is mended: zendesk-connector runs retry {run_id}\n"
        f"Failures of this kind are told once an hour; all of them: zendesk-connector runs failures --flow {flow}"
    )
