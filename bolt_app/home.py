"""The Home tabs people have open: shown when they open one, and again when something has changed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass, replace
from typing import Any

from bolt_app.client import SlackClient
from bolt_app.roles import REFUSED, Role, Roles
from bolt_app.views.home import HomeState, home, refused_home
from zendesk_bridge.bridge import Bridge
from zendesk_bridge.flows.errors import ConnectorError

log = logging.getLogger(__name__)

#: How often somebody's tab is changed at most, in seconds.
EVERY = 3.0
#: The same for each person who has one open: Slack allows about 100 a minute in a workspace.
EVERY_EACH = 0.75
#: How long after opening it somebody's tab is kept up to date, in seconds.
OPEN_FOR = 12 * 3600.0
#: How long the services are not asked again how they are when somebody opens a tab, in seconds.
CHECKED_EVERY = 30.0
#: How long a tab is left alone that Slack did not take, in seconds.
PAUSE = 30.0
#: Runs shown.
RUNS = 10

_VIEWER = "home_viewer"


@dataclass(kw_only=True)
class _Viewer:
    opened_at: float
    # By the loop's clock; before any time where it was not shown yet.
    shown_at: float = float("-inf")
    # Of what is shown.
    digest: str = ""
    # Not before that time, by the loop's clock.
    not_before: float = float("-inf")


class Homes:
    """Publishes Home tabs: what a tab shows follows from the bridge's state alone."""

    def __init__(self, bridge: Bridge, slack: SlackClient, roles: Roles, every: float = EVERY) -> None:
        """
        Args:
            every: how often somebody's tab is changed at most, in seconds.
        """
        self._bridge = bridge
        self._slack = slack
        self._roles = roles
        self._every = every
        self._viewers: dict[str, _Viewer] = {}
        # When the services were last asked how they are, by the loop's clock.
        self._checked_at = float("-inf")
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Keeps the tabs up to date that were open before."""
        now = asyncio.get_running_loop().time()
        for user_id in await self._bridge.memory.recall_all(_VIEWER, OPEN_FOR):
            self._viewers.setdefault(user_id, _Viewer(opened_at=now))
        self._task = asyncio.create_task(self._keep_up(), name="homes")
        self._dirty.set()

    async def stop(self) -> None:
        """Leaves the tabs as they are."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def changed(self) -> None:
        """Something is not any more as the tabs show it."""
        self._dirty.set()

    async def opened(self, user_id: str) -> None:
        """Somebody opened their tab. Raises ConnectorError where it cannot be shown."""
        if await self._roles.of(user_id) is Role.NOBODY:
            self._viewers.pop(user_id, None)
            await self._slack.surfaces.publish_home(user_id, refused_home(REFUSED))
            return
        now = asyncio.get_running_loop().time()
        viewer = self._viewers.setdefault(user_id, _Viewer(opened_at=now))
        viewer.opened_at = now
        await self._bridge.memory.remember(_VIEWER, user_id, "")
        self._dirty.set()
        if now - self._checked_at > CHECKED_EVERY:
            self._checked_at = now
            await self._bridge.connections.check_now(0)

    async def _keep_up(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                wait = await self._round()
            except Exception:
                log.exception("showing Home tabs met a defect of this software")
                wait = PAUSE
            if wait is not None:
                asyncio.get_running_loop().call_later(wait, self._dirty.set)
            # What changes meanwhile is shown with the next round.
            await asyncio.sleep(min(self._every, 0.2))

    async def _round(self) -> float | None:
        """Shows each tab that is not as it should be; returns the seconds after which one is due that was too early."""
        now = asyncio.get_running_loop().time()
        self._viewers = {user: each for user, each in self._viewers.items() if now - each.opened_at < OPEN_FOR}
        every = max(self._every, EVERY_EACH * len(self._viewers))
        due = {user: max(each.shown_at + every, each.not_before) for user, each in self._viewers.items()}
        ready = [user for user, at in due.items() if at <= now]
        if ready:
            views = await self._views()
            for user in ready:
                await self._show(user, views)
        waits = [at - now for at in due.values() if at > now]
        refused = [self._viewers[user].not_before for user in ready if user in self._viewers]
        waits += [at - now for at in refused if at > now]
        return min(waits, default=None)

    async def _show(self, user_id: str, views: dict[Role, tuple[str, dict[str, Any]]]) -> None:
        viewer = self._viewers.get(user_id)
        if viewer is None:
            return  # a guest by now, who opened the tab meanwhile
        now = asyncio.get_running_loop().time()
        try:
            role = await self._roles.of(user_id)
            if role is Role.NOBODY:
                self._viewers.pop(user_id, None)
                await self._slack.surfaces.publish_home(user_id, refused_home(REFUSED))
                return
            digest, view = views[role]
            if digest == viewer.digest:
                return
            viewer.shown_at = now
            await self._slack.surfaces.publish_home(user_id, view)
            viewer.digest = digest
        except ConnectorError as problem:
            log.warning("a Home tab cannot be shown now: %s", problem.message)
            viewer.not_before = now + max(PAUSE, getattr(problem, "retry_after", None) or 0.0)

    async def _views(self) -> dict[Role, tuple[str, dict[str, Any]]]:
        state = await self.state()
        views = {Role.ADMIN: home(replace(state, admin=True)), Role.MEMBER: home(state)}
        return {role: (hashlib.blake2b(json.dumps(view).encode()).hexdigest(), view) for role, view in views.items()}

    async def state(self) -> HomeState:
        """What a member's tab shows."""
        bridge = self._bridge
        readiness = await bridge.readiness()
        try:
            connections, flows = await bridge.list_connections(), await bridge.list_flows()
            runs = await bridge.list_runs(RUNS + 1)
        except ConnectorError as problem:
            log.warning("Home tabs cannot show anything: %s", problem.message)
            return HomeState(
                connections=[], flows=[], runs=[], more_runs=False, database="not_readable", poll=None, admin=False
            )
        return HomeState(
            connections=connections,
            flows=flows,
            runs=runs[:RUNS],
            more_runs=len(runs) > RUNS,
            database=readiness.database,
            poll=readiness.parts.get("poll"),
            admin=False,
        )
