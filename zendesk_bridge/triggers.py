"""What happens in Zendesk, as events: the webhook's signature, its body, and the event in it."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zendesk_bridge import assignments
from zendesk_bridge.flows.catalog import Trigger, describe_outputs
from zendesk_bridge.flows.model import Event, parse_time, rfc3339, utc_now
from zendesk_bridge.records import Id, Record, Tags, Word, id_text

SIGNATURE = "X-Zendesk-Webhook-Signature"
TIMESTAMP = "X-Zendesk-Webhook-Signature-Timestamp"
#: How far ahead of ours Zendesk's clock may be, in seconds.
AHEAD = 300.0

ASSIGNMENT = "zendesk.ticket_agent_assignment_changed"
_ASSIGNMENT_TYPE = "zen:event-type:ticket.agent_assignment_changed"


class NotAnObject(ValueError):
    """A body that is no JSON object."""


class Assignment(Record):
    """Output variables of "Ticket agent assignment changed"."""

    ticket_id: str = Field(description="The ticket's number.")
    assignee_id: Id = Field(None, description="The agent it is assigned to now; null where it was unassigned.")
    previous_assignee_id: Id = Field(None, description="The agent it was assigned to before.")
    subject: str | None = Field(None, description="The subject.")
    status: Word = Field(None, description="new, open, pending, hold, solved or closed.")
    priority: Word = Field(None, description="low, normal, high or urgent.")
    type: Word = Field(None, description="problem, incident, question or task.")
    tags: Tags = Field(default_factory=list, description="The tags.")
    requester_id: Id = Field(None, description="Who asked.")
    submitter_id: Id = Field(None, description="Who submitted it.")
    actor_id: Id = Field(None, description="Who made the change.")
    organization_id: Id = Field(None, description="The ticket's organization.")
    group_id: Id = Field(None, description="The group it is assigned to.")
    brand_id: Id = Field(None, description="The brand.")
    form_id: Id = Field(None, description="The form.")
    custom_status: Id = Field(None, description="The custom status.")
    external_id: str | None = Field(None, description="The id in another system.")
    via_channel: str | None = Field(None, description="How the change came: web_service, mail, …")
    is_public: bool | None = Field(None, description="Whether the ticket has a public comment.")
    created_at: str | None = Field(None, description="When the ticket was created.")
    updated_at: str | None = Field(None, description="When the ticket was last changed.")
    occurred_at: str = Field(description="When the assignment changed.")


class _Change(BaseModel):
    model_config = ConfigDict(extra="ignore")

    previous: Id = None
    current: Id = None


class _Body(BaseModel):
    """The envelope of a Zendesk event. Only what identifies it is needed; the rest may be missing."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str = Field(min_length=1, max_length=200)
    time: str | None = None
    detail: dict[str, Any]
    event: _Change = _Change()


def triggers() -> tuple[Trigger, ...]:
    """The kinds of Zendesk events a flow can start from."""
    return (
        Trigger(
            id=ASSIGNMENT,
            title="Ticket agent assignment changed",
            description="A ticket was assigned to an agent, reassigned, or unassigned (then `assignee_id` is null). "
            "Creating a ticket with an assignee counts.",
            service="zendesk",
            outputs=describe_outputs(Assignment),
            sample=Assignment(
                ticket_id="4021",
                assignee_id="9001",
                subject="Grinder makes a burning smell",
                status="open",
                priority="high",
                tags=["grinder"],
                requester_id="9101",
                occurred_at="2026-01-31T09:30:00.000000Z",
            ).model_dump(mode="json"),
        ),
    )


def verify(secret: str | None, headers: Mapping[str, str], body: bytes, max_age: float, now: dt.datetime) -> bool:
    """Whether a request carries Zendesk's signature over its raw bytes, and is neither too old nor from the future.

    The key is the secret's text as it stands, not decoded; the signature is compared in constant time.
    Source: https://developer.zendesk.com/documentation/webhooks/verifying/
    """
    stamp, given = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if not secret or not stamp or not given:
        return False
    expected = hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest()
    try:
        signature = base64.b64decode(given, validate=True)
        moment = parse_time(stamp)
    except (ValueError, binascii.Error):
        return False
    age = (now - moment).total_seconds()
    return hmac.compare_digest(signature, expected) and -AHEAD <= age <= max_age


def parse_webhook(body: bytes) -> Event | None:
    """The event in a webhook's body; None where it is none we know. Raises NotAnObject."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise NotAnObject("the body is no JSON") from problem
    if not isinstance(message, dict):
        raise NotAnObject("the body is no JSON object")
    if message.get("type") != _ASSIGNMENT_TYPE:
        return None
    try:
        envelope = _Body.model_validate(message)
        detail = envelope.detail
        occurred = parse_time(envelope.time or str(detail.get("updated_at") or rfc3339(utc_now())))
        ticket_id = id_text(detail.get("id"))
        if ticket_id is None or not ticket_id.isdigit():
            return None
        via = detail.get("via")
        current = envelope.event.current if "current" in (message.get("event") or {}) else detail.get("assignee_id")
        outputs = Assignment.model_validate(
            {
                **detail,
                "ticket_id": ticket_id,
                "assignee_id": current,
                "previous_assignee_id": envelope.event.previous,
                "via_channel": via.get("channel") if isinstance(via, dict) else None,
                "occurred_at": rfc3339(occurred),
            }
        )
    except (ValidationError, ValueError):
        return None
    return Event(
        id=envelope.id,
        type=ASSIGNMENT,
        source="webhook",
        occurred_at=occurred,
        subject=f"ticket {ticket_id}",
        data=outputs.model_dump(mode="json"),
    )


def assignment_of(ticket: Mapping[str, Any], event_id: str) -> Event:
    """The event of a ticket as if it were assigned now to whom it is assigned: for a test with a live ticket."""
    now = utc_now()
    outputs = Assignment.model_validate({**ticket, "ticket_id": ticket.get("id"), "occurred_at": rfc3339(now)})
    return Event(
        id=event_id,
        type=ASSIGNMENT,
        source="test",
        occurred_at=now,
        subject=f"ticket {outputs.ticket_id}",
        data=outputs.model_dump(mode="json"),
    )


def identify(event: Event) -> Callable[[sqlite3.Connection], tuple[str, str]] | None:
    """How to find an event's own id where two sources may report it; None where its id is enough."""
    if event.type != ASSIGNMENT or event.source not in ("webhook", "poll"):
        return None
    return lambda connection: assignments.sighted(
        connection,
        ticket_id=event.data["ticket_id"],
        previous=event.data["previous_assignee_id"],
        current=event.data["assignee_id"],
        at=event.occurred_at,
        source="webhook" if event.source == "webhook" else "poll",
        service_id=event.id,
    )
