"""Testing a flow from Slack: a modal asks with which ticket, another warns, and the result comes step by step."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bolt_app.listeners.answering import ANSWER_WITHIN, in_words
from bolt_app.parts import Parts
from bolt_app.roles import ADMINS_ONLY, Role
from bolt_app.views import testing as views
from bolt_app.views.ids import TEST_FORM, TEST_WARNING
from bolt_app.watching import watch
from zendesk_bridge.flows.errors import ConnectorError, FlowError, NotFound
from zendesk_bridge.flows.model import Event

log = logging.getLogger(__name__)

#: How often the modal is changed at most while a test runs, in seconds.
SHOWN_EVERY = 1.0
#: How long Slack may take to show what a form was answered with, in seconds: what came before would be lost under it.
SETTLES_IN = 0.7
#: How long a test is watched, in seconds; a real one goes on without us after that.
WATCHED_FOR = 120.0

View = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What somebody wants tested."""

    flow: str
    ticket: str
    # Lines of `name: value` that change the trigger's variables.
    changes: str = ""
    really: bool = False


def register(app: AsyncApp, parts: Parts) -> None:
    """Registers the listeners of both modals."""

    @app.view(TEST_FORM)
    async def asked(ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        values = view.get("state", {}).get("values", {})
        about = json.loads(view.get("private_metadata") or "{}")
        how = (values.get("how", {}).get("how", {}).get("selected_option") or {}).get("value")
        wanted = Asked(
            flow=str(about.get("flow") or ""),
            ticket=str(values.get("ticket", {}).get("ticket", {}).get("value") or ""),
            changes=str(values.get("changes", {}).get("changes", {}).get("value") or ""),
            really=how == "real",
        )
        await _submitted(parts, ack, body, view, wanted, warned=False)

    @app.view(TEST_WARNING)
    async def warned(ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        about = json.loads(view.get("private_metadata") or "{}")
        wanted = Asked(
            flow=str(about.get("flow") or ""),
            ticket=str(about.get("ticket") or ""),
            changes=str(about.get("changes") or ""),
            really=True,
        )
        await _submitted(parts, ack, body, view, wanted, warned=True)


async def open_test(parts: Parts, trigger_id: str, key: str, ticket: str = "") -> None:
    """Opens the form, or with a ticket tests the flow with it at once, dry. Raises ConnectorError."""
    flow = await parts.bridge.show_flow(key)
    if not flow["version"]:
        raise NotFound("no_version", f"Flow {key!r} cannot run: {flow['problem']}", hint="Mend its file first.")
    if not ticket:
        variables = parts.bridge.trials.trigger_variables(flow["trigger"])
        await parts.slack.surfaces.open_modal(trigger_id, views.form(flow, variables=variables))
        return
    if not parts.bridge.trials.is_ticket(ticket):
        raise FlowError("no_ticket", f"{ticket[:40]} is no ticket's number", hint="It is: /action-flows test KEY 4021.")
    view_id = await parts.slack.surfaces.open_modal(trigger_id, views.under_way(flow["name"], steps=[], dry=True))
    parts.background.start(_Test(parts, Asked(flow=key, ticket=ticket), view_id, "").run())


async def _submitted(
    parts: Parts, ack: AsyncAck, body: dict[str, Any], view: View, wanted: Asked, *, warned: bool
) -> None:
    """Answers a submitted modal: with what is wrong under its field, with the warning, or by running the test."""
    user = body.get("user") or {}
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            if await parts.roles.of(str(user.get("id"))) is not Role.ADMIN:
                await ack(response_action="update", view=views.not_tested("Test", ADMINS_ONLY, ""))
                return
            flow = await parts.bridge.show_flow(wanted.flow)
            wrong = _wrong(parts, flow, wanted)
    except TimeoutError:
        await ack(
            response_action="update", view=views.not_tested("Test", "That took too long.", "Try again in a minute.")
        )
        return
    except ConnectorError as problem:
        await ack(response_action="update", view=views.not_tested("Test", in_words(problem), ""))
        return
    if wrong and not warned:
        await ack(response_action="errors", errors=wrong)
    elif wanted.really and not warned:
        await ack(response_action="update", view=views.warning(flow, ticket=wanted.ticket, changes=wanted.changes))
    else:
        await ack(response_action="update", view=views.under_way(flow["name"], steps=[], dry=not wanted.really))
        by = f"{user.get('username') or user.get('name') or 'somebody'} (Slack, {user.get('id')})"
        parts.background.start(_Test(parts, wanted, str(view["id"]), by).run())


def _wrong(parts: Parts, flow: Mapping[str, Any], wanted: Asked) -> dict[str, str]:
    """What is wrong with a form, by field."""
    wrong = {}
    if not parts.bridge.trials.is_ticket(wanted.ticket):
        wrong["ticket"] = "Give a ticket's number, such as 4021, or the address of its page."
    try:
        parts.bridge.trials.read_changes(flow["trigger"], wanted.changes)
    except FlowError as problem:
        wrong["changes"] = in_words(problem)
    return wrong


class _Test:
    """One test, shown in a modal as it goes on."""

    def __init__(self, parts: Parts, wanted: Asked, view_id: str, by: str) -> None:
        self._parts = parts
        self._wanted = wanted
        self._view_id = view_id
        self._by = by
        self._name = wanted.flow
        self._steps: list[dict[str, Any]] = []
        self._dirty = asyncio.Event()
        self._not_before = asyncio.get_running_loop().time() + SETTLES_IN

    async def run(self) -> None:
        """Tests, and shows how it ended."""
        showing = asyncio.create_task(self._keep_showing())
        try:
            result = await self._result()
        except ConnectorError as problem:
            result = views.not_tested(
                self._name, problem.message, in_words(problem)[len(problem.message) :].lstrip(". ")
            )
        except TimeoutError:
            result = views.not_tested(self._name, "The dry run took longer than two minutes.", "Nothing was sent.")
        except Exception:
            log.exception("testing flow %s from Slack met a defect of this software", self._wanted.flow)
            result = views.not_tested(self._name, "This met a defect of the connector.", "Its log has the details.")
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
        if not await self._show(result):
            await self._show(views.not_shown(self._name))

    async def _result(self) -> View:
        bridge, wanted = self._parts.bridge, self._wanted
        described = await bridge.show_flow(wanted.flow)
        self._name = described["name"]
        changes = bridge.trials.read_changes(described["trigger"], wanted.changes)
        event = await self._event(changes)
        flow = await bridge.trials.flow_to_test(wanted.flow, as_written=not wanted.really)
        starts = bridge.trials.would_start(flow, event)
        if wanted.really:
            answer = await bridge.request("test", {"key": wanted.flow, "event": event.as_json()}, self._by)
            run = await watch(bridge, answer["run"], self._stepped, WATCHED_FOR)
        else:
            async with asyncio.timeout(WATCHED_FOR):
                run = await bridge.trials.dry_test(flow, event, self._stepped)
        return views.ended(run, flow_name=self._name, dry=not wanted.really, starts=starts)

    async def _event(self, changes: Mapping[str, Any]) -> Event:
        event = await self._parts.bridge.trials.event_of_ticket(self._wanted.ticket)
        return self._parts.bridge.trials.changed_event(event, changes)

    def _stepped(self, step: dict[str, Any]) -> None:
        self._steps.append(step)
        self._dirty.set()

    async def _keep_showing(self) -> None:
        while True:
            await asyncio.sleep(SHOWN_EVERY)
            await self._dirty.wait()
            self._dirty.clear()
            await self._show(views.under_way(self._name, steps=self._steps, dry=not self._wanted.really))

    async def _show(self, view: View) -> bool:
        """Whether Slack took it, or nobody looks any more."""
        await asyncio.sleep(self._not_before - asyncio.get_running_loop().time())
        try:
            await self._parts.slack.surfaces.update_modal(self._view_id, view)
        except ConnectorError as problem:
            is_closed = problem.code == "not_found"
            log.log(logging.INFO if is_closed else logging.WARNING, "a test is not shown: %s", problem.message)
            return is_closed
        return True
