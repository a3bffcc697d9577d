"""The slash command `/action-flows`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bolt_app.listeners import pages, testing
from bolt_app.listeners.answering import Message, answer
from bolt_app.parts import Parts
from bolt_app.roles import ADMINS_ONLY, REFUSED, Role
from bolt_app.views.help import help_message, sentence
from zendesk_bridge.flows.catalog import nearest

#: What people call action flows before the verb.
OTHER_NAMES = ("workflow", "workflows", "flow", "flows", "action-flow", "action-flows")
#: What surrounds a word that was copied from somewhere.
_QUOTES = "`'\"“”‘’"

Answer = Callable[[Parts, "Typed"], Awaitable[Message]]


class Typed:
    """A command as somebody typed it."""

    def __init__(self, command: dict[str, Any]) -> None:
        words = [word.strip(_QUOTES) for word in str(command.get("text") or "").split()]
        words = [word for word in words if word]
        if words and words[0].lower() in OTHER_NAMES:
            words = words[1:]
        self.verb = words[0].lower() if words else "list"
        self.words = words[1:]
        self.user_id = str(command.get("user_id") or "")
        self.trigger_id = str(command.get("trigger_id") or "")
        self.by = f"{command.get('user_name') or 'somebody'} (Slack, {self.user_id})"
        self.role = Role.NOBODY


async def _list(parts: Parts, typed: Typed) -> Message:
    return await pages.flows(parts, typed.role, 0)


async def _show(parts: Parts, typed: Typed) -> Message:
    return await pages.flow(parts, typed.role, typed.words[0])


async def _runs(parts: Parts, typed: Typed) -> Message:
    return await pages.runs(parts, typed.role, typed.words[0] if typed.words else None, 0)


async def _status(parts: Parts, typed: Typed) -> Message:
    return await pages.status(parts, typed.role)


async def _help(parts: Parts, typed: Typed) -> Message:
    return help_message(admin=typed.role is Role.ADMIN)


async def _switch(parts: Parts, typed: Typed) -> Message:
    answered = await parts.bridge.request(typed.verb, {"key": typed.words[0]}, typed.by)
    return sentence(f"{answered['key']} is {'active' if answered['active'] else 'inactive'}.")


async def _test(parts: Parts, typed: Typed) -> Message:
    ticket = typed.words[1] if len(typed.words) > 1 else ""
    await testing.open_test(parts, typed.trigger_id, typed.words[0], ticket)
    return {"text": ""}


#: By verb: who may, the least and the most words after it, and what is answered.
VERBS: dict[str, tuple[Role, int, int, Answer]] = {
    "list": (Role.MEMBER, 0, 0, _list),
    "show": (Role.MEMBER, 1, 1, _show),
    "runs": (Role.MEMBER, 0, 1, _runs),
    "status": (Role.MEMBER, 0, 0, _status),
    "help": (Role.MEMBER, 0, 0, _help),
    "test": (Role.ADMIN, 1, 2, _test),
    "activate": (Role.ADMIN, 1, 1, _switch),
    "deactivate": (Role.ADMIN, 1, 1, _switch),
}
_USAGE = {"show": "show KEY", "runs": "runs [KEY]", "test": "test KEY [TICKET]"}


def register(app: AsyncApp, parts: Parts) -> None:
    """Registers the listener."""

    @app.command("/action-flows")
    async def action_flows(ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any]) -> None:
        await answer(ack, respond, _answer(parts, Typed(command)))


async def _answer(parts: Parts, typed: Typed) -> Message:
    typed.role = await parts.roles.of(typed.user_id)
    if typed.role is Role.NOBODY:
        return sentence(REFUSED)
    if typed.verb not in VERBS:
        close = nearest(typed.verb, VERBS)
        hint = f"Did you mean /action-flows {close}?" if close else "/action-flows help names all there is."
        return sentence(f"There is no /action-flows {typed.verb[:40]}. {hint}")
    least, fewest, most, work = VERBS[typed.verb]
    if typed.role < least:
        return sentence(ADMINS_ONLY)
    if not fewest <= len(typed.words) <= most:
        usage = _USAGE.get(typed.verb, typed.verb if most == 0 else f"{typed.verb} KEY")
        return sentence(f"It is: /action-flows {usage}. /action-flows list names the keys.")
    return await work(parts, typed)
