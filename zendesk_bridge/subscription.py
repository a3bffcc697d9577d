"""The webhook at Zendesk, made and kept in step for the admin: exactly the events that active flows start from."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from zendesk_bridge.flows.errors import ConnectorError, Permanent, Transient, Uncertain
from zendesk_bridge.vault import Vault

log = logging.getLogger(__name__)

#: The name in the vault.
NAME = "webhook"
TITLE = "Zendesk Connector"
PATH = "/zendesk/events"
#: What a webhook subscribes to that a trigger calls.
FOR_TRIGGERS = "conditional_ticket_events"
#: What our own trigger sends: ids alone, as placeholders are not escaped.
TRIGGER_BODY = json.dumps(
    {
        "type": "zendesk-connector.assignment",
        "ticket_id": "{{ticket.id}}",
        "assignee_id": "{{ticket.assignee.id}}",
        "updated_at": "{{ticket.updated_at_with_timestamp}}",
    }
)
#: Tells Zendesk's test request apart; the connector answers what is no event with 204.
TEST_BODY = json.dumps({"type": "zendesk-connector.test"})
#: How long changes of flows are gathered before the webhook follows, in seconds.
SETTLES = 0.5

CLICKS = (
    "Admin Center > Apps and integrations > Webhooks > Create webhook > Zendesk events",
    "Ticket events: {events}",
    "Name: Zendesk Connector; endpoint URL: {endpoint}; no authentication. Create webhook",
    "On the webhook's page > Show: copy the signing secret",
    "Set ZENDESK_WEBHOOK_SECRET to it and restart the connector",
)


class Manage(Protocol):
    """A call that manages webhooks and triggers."""

    async def __call__(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer. Raises ConnectorError; Permanent `not_found`, `forbidden`, …"""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What was made at Zendesk, as the vault keeps it."""

    # What tells ours from everybody else's; it stands in the description.
    mark: str
    endpoint: str
    webhook_id: str | None = None
    # Where Zendesk takes no events: the trigger that calls the webhook.
    trigger_id: str | None = None
    events: tuple[str, ...] = ()
    for_triggers: bool = False
    secret: str | None = field(default=None, repr=False)

    @property
    def description(self) -> str:
        """What it says of itself at Zendesk."""
        return f"Made by Zendesk Connector ({self.mark}). It is changed and removed by the connector."


class Subscription:
    """Makes, changes, tests and removes the webhook. Nothing that it did not make is ever touched."""

    def __init__(
        self,
        manage: Manage,
        vault: Vault,
        wanted: Callable[[], Iterable[str]],
        *,
        known: Iterable[str],
        public_url: str | None,
        by_hand: bool,
    ) -> None:
        """
        Args:
            wanted: the event types that active flows start from.
            known: all event types that flows can start from.
            public_url: the address the world reaches; None where there is none.
            by_hand: whether the settings have the signing secret of a webhook that somebody made.
        """
        self._manage = manage
        self._vault = vault
        self._wanted = wanted
        self._known = sorted(known)
        self._endpoint = f"{public_url.rstrip('/')}{PATH}" if public_url else None
        self._by_hand = by_hand
        self._one_at_a_time = asyncio.Lock()
        self._changed = False
        self._following: asyncio.Task[None] | None = None
        #: The signing secret of the webhook that was made; None where none is.
        self.secret: str | None = None

    async def load(self) -> None:
        """Reads the signing secret. Raises ConnectorError."""
        made = await self._made()
        self.secret = made.secret if made else None

    def follow(self) -> None:
        """The flows have changed: the webhook follows in the background, if there is one."""
        self._changed = True
        if self.secret is not None and (self._following is None or self._following.done()):
            self._following = asyncio.create_task(self._follow(), name="webhook")

    async def stop(self) -> None:
        """Ends what is under way."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self) -> None:
        pause = SETTLES
        while self._changed:
            await asyncio.sleep(pause)
            self._changed = False
            try:
                for did in await self.ensure(test=False):
                    log.info("webhook at Zendesk: %s", did)
                pause = SETTLES
            except ConnectorError as problem:
                log.warning("the webhook at Zendesk could not follow the flows: %s. %s", problem.message, problem.hint)
                if isinstance(problem, Transient | Uncertain):
                    self._changed, pause = True, min(max(pause * 2, SETTLES), 300.0)

    async def ensure(self, *, test: bool = True) -> list[str]:
        """Makes the webhook, or brings it in step with the flows; returns what was done, for people.

        Raises ConnectorError: what Zendesk refused; `clicks` says how an admin makes it by hand.
        """
        if self._by_hand:
            return ["ZENDESK_WEBHOOK_SECRET is set: the webhook is looked after by hand"]
        if self._endpoint is None:
            raise ConnectorError(
                "no_public_url",
                "CONNECTOR_PUBLIC_URL is not set: Zendesk does not know where to send events",
                hint="Set it and connect again, or go on with polling alone.",
            )
        async with self._one_at_a_time:
            made = await self._made_or_lost()
            if made is None:
                made = Made(mark=secrets.token_hex(8), endpoint=self._endpoint)
                await self._keep(made)  # before anything is made, so that it is found again after a sudden end
            return await self._bring_in_step(replace(made, endpoint=self._endpoint), test)

    async def _bring_in_step(self, made: Made, test: bool) -> list[str]:
        events = tuple(sorted(set(self._wanted())))
        there = await self._find(made)
        done: list[str] = []
        if there is None:
            trigger = made.trigger_id or (await self._trigger_of(made) if made.for_triggers else None)
            if trigger is not None:  # it calls a webhook that is gone
                await self._gone(f"/api/v2/triggers/{trigger}.json")
            made, done = await self._make(replace(made, webhook_id=None, trigger_id=None), events)
        else:
            made = replace(made, webhook_id=str(there["id"]))
            done += await self._change(made, there, events)
            made = replace(made, for_triggers=FOR_TRIGGERS in (there.get("subscriptions") or ()))
        if made.for_triggers:
            made, more = await self._trigger(made)
            done += more
        answer = await self._manage("GET", f"/api/v2/webhooks/{made.webhook_id}/signing_secret")
        secret = (answer.get("signing_secret") or {}).get("secret")
        if not isinstance(secret, str) or not secret:
            raise Permanent("no_secret", "Zendesk did not show the webhook's signing secret")
        made = replace(made, secret=secret, events=events)
        await self._keep(made)
        self.secret = secret
        return [*done, await self._test(made)] if test else done

    async def _make(self, made: Made, events: tuple[str, ...]) -> tuple[Made, list[str]]:
        wanted = {
            "name": TITLE,
            "description": made.description,
            "status": "active" if events else "inactive",
            "endpoint": made.endpoint,
            "http_method": "POST",
            "request_format": "json",
        }
        subscriptions = list(events or self._known)
        try:
            answer = await self._manage(
                "POST", "/api/v2/webhooks", {"webhook": {**wanted, "subscriptions": subscriptions}}
            )
            did = (
                f"made, subscribed to {_named(subscriptions)}"
                if events
                else "made, and switched off until it is needed"
            )
        except Permanent as problem:
            if problem.code in ("forbidden", "not_found"):
                raise
            log.info("Zendesk takes no event subscription (%s): a trigger is made instead", problem.message)
            answer = await self._manage(
                "POST", "/api/v2/webhooks", {"webhook": {**wanted, "subscriptions": [FOR_TRIGGERS]}}
            )
            did = "made, to be called by a trigger: Zendesk refused a subscription to events"
        webhook = answer.get("webhook") or {}
        made = replace(made, webhook_id=str(webhook["id"]), for_triggers=did.startswith("made, to be called"))
        await self._keep(made)
        return made, [did]

    async def _change(self, made: Made, there: Mapping[str, Any], events: tuple[str, ...]) -> list[str]:
        """Changes what is not as it should be."""
        wrong = _differences(made, there, events)
        if not wrong:
            return ["as it should be"]
        changes: dict[str, Any] = {"endpoint": made.endpoint, "status": "active" if events else "inactive"}
        if events and FOR_TRIGGERS not in (there.get("subscriptions") or ()):
            changes["subscriptions"] = list(events)
        await self._manage("PATCH", f"/api/v2/webhooks/{made.webhook_id}", {"webhook": changes})
        return [f"changed: {'; '.join(wrong)}"]

    async def _trigger(self, made: Made) -> tuple[Made, list[str]]:
        """Makes the trigger that calls the webhook, where it is not there."""
        there = await self._trigger_there(made)
        if there is not None and _calls(there, made):
            return made, []
        trigger = {
            "title": f"{TITLE}: assignee changed ({made.mark})",
            "description": made.description,
            "active": True,
            "conditions": {"all": [{"field": "assignee_id", "operator": "changed", "value": None}], "any": []},
            "actions": [{"field": "notification_webhook", "value": [made.webhook_id, TRIGGER_BODY]}],
        }
        found = str(there["id"]) if there is not None else await self._trigger_of(made)
        if found is not None:
            await self._manage("PUT", f"/api/v2/triggers/{found}.json", {"trigger": trigger})
        else:
            found = str((await self._manage("POST", "/api/v2/triggers.json", {"trigger": trigger}))["trigger"]["id"])
        made = replace(made, trigger_id=found)
        await self._keep(made)
        return made, ["the trigger “Zendesk Connector: assignee changed” calls it"]

    async def _trigger_there(self, made: Made) -> Mapping[str, Any] | None:
        if made.trigger_id is None:
            return None
        try:
            found = (await self._manage("GET", f"/api/v2/triggers/{made.trigger_id}.json")).get("trigger")
        except Permanent as problem:
            if problem.code != "not_found":
                raise
            return None
        return found if isinstance(found, dict) else None

    async def _trigger_of(self, made: Made) -> str | None:
        """Our trigger, where a sudden end kept us from noting it."""
        found = await self._marked(made, "/api/v2/triggers.json?page[size]=100", "triggers", "title")
        return None if found is None else str(found["id"])

    async def _test(self, made: Made) -> str:
        """Has Zendesk send a request, and says how it was answered."""
        if not made.events:
            return "not tested: no active flow starts from an event of Zendesk's"
        request = {
            "endpoint": made.endpoint,
            "http_method": "POST",
            "request_format": "json",
            "payload": TEST_BODY,
        }
        try:
            path = f"/api/v2/webhooks/test?webhook_id={made.webhook_id}"
            answer = await self._manage("POST", path, {"request": request})
        except ConnectorError as problem:
            return f"could not be tested: {problem.message}"
        status = (answer.get("response") or {}).get("status")
        if status == 204:
            return "tested: Zendesk's request arrived, and its signature is good"
        raise ConnectorError(
            "test_failed",
            f"The webhook was made, but Zendesk's test request was answered {status or 'not at all'}",
            hint=f"Can the world reach {made.endpoint}? It must pass requests on unchanged.",
        )

    async def inspect(self, wanted: Iterable[str]) -> tuple[bool, str]:
        """Whether what is there is what should be, and what is, for people; changes nothing. Raises ConnectorError.

        Args:
            wanted: the event types that active flows start from.
        """
        if self._by_hand:
            return True, "made by hand: ZENDESK_WEBHOOK_SECRET is set"
        made = await self._made()
        if made is None or made.webhook_id is None:
            return True, "none was made: events are polled, or `connections connect zendesk` makes one"
        events = tuple(sorted(set(wanted)))
        there = await self._find(made)
        if there is None:
            return False, "is gone from Zendesk: `zendesk-connector connections connect zendesk` makes it anew"
        wrong = _differences(replace(made, endpoint=self._endpoint or made.endpoint), there, events)
        if made.for_triggers:
            trigger = await self._trigger_there(made)
            if trigger is None:
                wrong.append("its trigger is gone")
            elif not trigger.get("active"):
                wrong.append("its trigger is switched off")
            elif not _calls(trigger, made):
                wrong.append("its trigger calls another webhook")
        if wrong:
            return False, f"{'; '.join(wrong)}: `zendesk-connector connections connect zendesk` mends it"
        return True, f"as it should be: {_named(events) if events else 'inactive, as no flow is active'}"

    async def remove(self) -> list[str]:
        """Removes what was made; returns what was done. Raises ConnectorError."""
        async with self._one_at_a_time:
            made = await self._made()
            if made is None:
                return []
            done = []
            trigger = made.trigger_id or (await self._trigger_of(made) if made.for_triggers else None)
            if trigger is not None and await self._gone(f"/api/v2/triggers/{trigger}.json"):
                done.append("the trigger was removed")
            there = await self._find(made)
            if there is not None and await self._gone(f"/api/v2/webhooks/{there['id']}"):
                done.append("the webhook was removed")
            await self.forget()
            return done

    async def forget(self) -> None:
        """Forgets what was made. Raises StorageError."""
        await self._vault.drop(NAME)
        self.secret = None

    def clicks(self) -> list[str]:
        """How an admin makes the webhook by hand."""
        endpoint = self._endpoint or f"https://YOUR-HOST{PATH}"
        return [each.format(events=_named(self._wanted() or self._known), endpoint=endpoint) for each in CLICKS]

    async def _gone(self, path: str) -> bool:
        try:
            await self._manage("DELETE", path)
        except Permanent as problem:
            if problem.code != "not_found":
                raise
            return False
        return True

    async def _find(self, made: Made) -> Mapping[str, Any] | None:
        """Our webhook as Zendesk has it: by its id, or by the mark where a sudden end kept us from noting the id."""
        if made.webhook_id is not None:
            try:
                webhook = (await self._manage("GET", f"/api/v2/webhooks/{made.webhook_id}")).get("webhook")
            except Permanent as problem:
                if problem.code != "not_found":
                    raise
                return None
            return webhook if isinstance(webhook, dict) else None
        path = "/api/v2/webhooks?filter[name_contains]=Zendesk+Connector&page[size]=100"
        return await self._marked(made, path, "webhooks", "description")

    async def _marked(self, made: Made, path: str | None, listed: str, where: str) -> Mapping[str, Any] | None:
        """The one of a list, page by page, that has our mark in a field."""
        while path:
            answer = await self._manage("GET", path)
            for each in answer.get(listed) or ():
                if made.mark in str(each.get(where)):
                    return dict(each)
            path = _next_page(answer)
        return None

    async def _made_or_lost(self) -> Made | None:
        """What was made; None where the key is lost with which its mark was kept."""
        try:
            return await self._made()
        except ConnectorError as problem:
            if problem.code != "wrong_key":
                raise
            log.warning("what was made at Zendesk before is not known any more: remove it in Admin Center")
            return None

    async def _made(self) -> Made | None:
        value = await self._vault.get(NAME)
        return Made(**{**value, "events": tuple(value.get("events") or ())}) if value else None

    async def _keep(self, made: Made) -> None:
        await self._vault.put(NAME, vars(made))


def _differences(made: Made, there: Mapping[str, Any], events: tuple[str, ...]) -> list[str]:
    """What of the webhook is not as it should be."""
    wrong = []
    if there.get("endpoint") != made.endpoint:
        wrong.append(f"the endpoint is {made.endpoint}")
    subscribed = there.get("subscriptions") or []
    if events and FOR_TRIGGERS not in subscribed and sorted(subscribed) != list(events):
        wrong.append(f"subscribed to {_named(events)}")
    status = "active" if events else "inactive"
    if there.get("status") != status:
        wrong.append(f"switched {'on' if events else 'off, as no active flow starts from an event'}")
    return wrong


def _calls(trigger: Mapping[str, Any], made: Made) -> bool:
    """Whether a trigger is on, and calls our webhook."""
    called = (each for each in trigger.get("actions") or () if each.get("field") == "notification_webhook")
    return bool(trigger.get("active")) and any(each.get("value") == [made.webhook_id, TRIGGER_BODY] for each in called)


def _named(events: Iterable[str]) -> str:
    return ", ".join(each.removeprefix("zen:event-type:") for each in events)


def _next_page(answer: Mapping[str, Any]) -> str | None:
    following = (answer.get("links") or {}).get("next")
    if not (answer.get("meta") or {}).get("has_more") or not isinstance(following, str):
        return None
    return following[following.index("/api/v2/") :] if "/api/v2/" in following else None
