"""Buttons: in the answers of the slash command, in the Home tab, and in modals."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bolt_app.listeners import pages, testing
from bolt_app.listeners.answering import Message, in_words, send
from bolt_app.parts import Parts
from bolt_app.roles import ADMINS_ONLY, REFUSED, Role
from bolt_app.views import ids
from bolt_app.views.help import as_modal, sentence
from bolt_app.views.runs import run_modal
from zendesk_bridge.flows.errors import ConnectorError

log = logging.getLogger(__name__)


class Press:
    """Somebody pressed a button. Nothing of it is taken on trust: the value may be forged."""

    def __init__(self, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond) -> None:
        user = body.get("user") or {}
        self.user_id = str(user.get("id") or "")
        self.by = f"{user.get('username') or user.get('name') or 'somebody'} (Slack, {self.user_id})"
        self.value = str(action.get("value") or "")
        self.trigger_id = str(body.get("trigger_id") or "")
        view = body.get("view") or {}
        self.modal_id = str(view.get("id") or "") if view.get("type") == "modal" else ""
        # Not in a modal or the Home tab.
        self.in_message = bool(body.get("response_url")) and not view
        self.is_alone = str(action.get("action_id")).endswith(ids.ALONE)
        self._respond = respond
        self.role = Role.NOBODY

    async def say(self, parts: Parts, message: Message, *, instead: bool = False) -> None:
        """Answers: beside a message or in its place, in a modal over the Home tab, or in the modal it was pressed in.

        Args:
            instead: whether the answer takes the place of the message with the button.
        """
        if self.in_message:
            await send(self._respond, message, instead=instead)
        else:
            await self.show(parts, as_modal("Action flows", message))

    async def show(self, parts: Parts, view: dict[str, Any]) -> None:
        """Shows a modal. Raises ConnectorError."""
        if self.modal_id:
            await parts.slack.surfaces.update_modal(self.modal_id, view)
        else:
            await parts.slack.surfaces.open_modal(self.trigger_id, view)

    def page(self) -> tuple[str | None, int]:
        """The flow and the offset that a button for a page names."""
        try:
            value = json.loads(self.value)
            flow, offset = value.get("flow"), int(value.get("offset") or 0)
        except (ValueError, TypeError, AttributeError):
            return None, 0
        return flow if isinstance(flow, str) else None, min(max(offset, 0), 1_000_000)


async def _switch(parts: Parts, press: Press, verb: str) -> None:
    await parts.bridge.request(verb, {"key": press.value}, press.by)
    if press.is_alone:
        await press.say(parts, await pages.flow(parts, press.role, press.value), instead=True)
    elif press.in_message:
        await press.say(parts, await pages.flows_around(parts, press.role, press.value), instead=True)


async def _activate(parts: Parts, press: Press) -> None:
    await _switch(parts, press, "activate")


async def _deactivate(parts: Parts, press: Press) -> None:
    await _switch(parts, press, "deactivate")


async def _test(parts: Parts, press: Press) -> None:
    await testing.open_test(parts, press.trigger_id, press.value)


async def _flow(parts: Parts, press: Press) -> None:
    await press.say(parts, await pages.flow(parts, press.role, press.value))


async def _flow_runs(parts: Parts, press: Press) -> None:
    await press.say(parts, await pages.runs(parts, press.role, press.value or None, 0))


async def _flows_page(parts: Parts, press: Press) -> None:
    await press.say(parts, await pages.flows(parts, press.role, press.page()[1]), instead=True)


async def _runs_page(parts: Parts, press: Press) -> None:
    flow, offset = press.page()
    await press.say(parts, await pages.runs(parts, press.role, flow, offset), instead=True)


async def _run(parts: Parts, press: Press) -> None:
    await press.show(parts, run_modal(await parts.bridge.show_run(press.value)))


async def _retry(parts: Parts, press: Press) -> None:
    await parts.bridge.request("retry", {"run": press.value}, press.by)
    if press.modal_id:
        await press.show(parts, run_modal(await parts.bridge.show_run(press.value)))
    elif press.in_message:
        await press.say(parts, sentence("The run is done again. /action-flows runs shows how it ends."))


#: By action id: who may, and what it does.
BUTTONS: dict[str, tuple[Role, Callable[[Parts, Press], Awaitable[None]]]] = {
    ids.FLOW_ACTIVATE: (Role.ADMIN, _activate),
    ids.FLOW_DEACTIVATE: (Role.ADMIN, _deactivate),
    ids.FLOW_TEST: (Role.ADMIN, _test),
    ids.FLOW_SHOW: (Role.MEMBER, _flow),
    ids.FLOW_RUNS: (Role.MEMBER, _flow_runs),
    ids.FLOWS_PAGE: (Role.MEMBER, _flows_page),
    ids.RUNS_PAGE: (Role.MEMBER, _runs_page),
    ids.RUN_SHOW: (Role.ADMIN, _run),
    ids.RUN_RETRY: (Role.ADMIN, _retry),
}


def register(app: AsyncApp, parts: Parts) -> None:
    """Registers the listener of all buttons."""

    @app.action(re.compile(".*"))
    async def pressed(ack: AsyncAck, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()
        action_id = str(action.get("action_id")).removesuffix(ids.NEXT).removesuffix(ids.ALONE)
        if action_id not in BUTTONS:
            # Choosing in a form is an action too, and is read when the form is submitted.
            log.debug("nothing is done for the action %s", action_id)
            return
        await _press(parts, Press(body, action, respond), *BUTTONS[action_id])


async def _press(parts: Parts, press: Press, least: Role, work: Callable[[Parts, Press], Awaitable[None]]) -> None:
    try:
        press.role = await parts.roles.of(press.user_id)
        if press.role < least:
            refusal = REFUSED if press.role is Role.NOBODY else ADMINS_ONLY
            await press.say(parts, sentence(refusal))
            return
        await work(parts, press)
    except ConnectorError as problem:
        await _excuse(parts, press, in_words(problem))
    except Exception:
        log.exception("a button met a defect of this software")
        await _excuse(parts, press, "This met a defect of the connector. Its log has the details.")


async def _excuse(parts: Parts, press: Press, why: str) -> None:
    try:
        await press.say(parts, sentence(why))
    except ConnectorError as problem:
        log.warning("somebody who pressed a button could not be told: %s (%s)", why, problem.message)
