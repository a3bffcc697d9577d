"""What happens in Zendesk, as events: the webhook's signature, its body, and the event in it."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import logging
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zendesk_bridge import assignments
from zendesk_bridge.flows.catalog import OfKind, Trigger, describe_outputs
from zendesk_bridge.flows.model import Event, from_json, parse_time, rfc3339, utc_now
from zendesk_bridge.records import Id, Priority, Record, Status, Tags, TicketType, Time, id_text, lenient

log = logging.getLogger(__name__)

SIGNATURE = "X-Zendesk-Webhook-Signature"
TIMESTAMP = "X-Zendesk-Webhook-Signature-Timestamp"
#: The same for each try of one delivery.
INVOCATION = "X-Zendesk-Webhook-Invocation-Id"
#: How far ahead of ours Zendesk's clock may be, in seconds.
AHEAD = 300.0
#: How long an event's id may be, in characters.
LONGEST_ID = 200

ASSIGNMENT = "zendesk.ticket_agent_assignment_changed"
_ASSIGNMENT_TYPE = "zen:event-type:ticket.agent_assignment_changed"
#: The event types of Zendesk's that flows start from, by what they are called here.
EVENT_TYPES = {ASSIGNMENT: _ASSIGNMENT_TYPE}
#: What the body says that a Zendesk trigger sends through a webhook of its own.
NOTICE_TYPE = "zendesk-connector.assignment"


_WITHOUT_SECONDS = re.compile(r"T\d\d:?\d\d(?!:?\d)")


class NotAnObject(ValueError):
    """A body that is no JSON object."""


class Assignment(Record):
    """Output variables of "Ticket agent assignment changed"."""

    ticket_id: str = Field(description="The ticket's number.")
    assignee_id: Id = Field(None, description="The agent it is assigned to now; null where it was unassigned.")
    previous_assignee_id: Id = Field(None, description="The agent it was assigned to before.")
    subject: str | None = Field(None, description="The subject.")
    status: Status = Field(None, description="How far the ticket is.")
    priority: Priority = Field(None, description="How urgent it is.")
    type: TicketType = Field(None, description="What kind of ticket it is.")
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
    created_at: Time = Field(None, description="When the ticket was created.")
    updated_at: Time = Field(None, description="When the ticket was last changed.")
    occurred_at: Annotated[str, OfKind("date-time")] = Field(description="When the assignment changed.")


class _Body(BaseModel):
    """The envelope of a Zendesk event. Only what identifies it is needed; the rest may be missing."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str = Field(min_length=1, max_length=LONGEST_ID)
    detail: dict[str, Any]


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


def refusal(
    secret: str | None, headers: Mapping[str, str], body: bytes, max_age: float, now: dt.datetime
) -> str | None:
    """Why a request does not carry Zendesk's signature over its raw bytes, or None where it does.

    The key is the secret's text as it stands, not decoded; the signature is compared in constant time.
    Source: https://developer.zendesk.com/documentation/webhooks/verifying/
    """
    if not secret:
        return "ZENDESK_WEBHOOK_SECRET is not set"
    stamp, given = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if not stamp or not given:
        return "it is not signed"
    try:
        signature = base64.b64decode(given, validate=True)
        # hmac.digest is no quicker: it lets other threads run meanwhile, and waits for them.
        expected = hmac.new(secret.encode(), stamp.encode() + body, "sha256").digest()
        moment = parse_time(stamp)
    except (ValueError, OverflowError, binascii.Error):
        return "its signature cannot be read"
    if not hmac.compare_digest(signature, expected):
        return "its signature is wrong: compare ZENDESK_WEBHOOK_SECRET with the webhook's signing secret"
    age = (now - moment).total_seconds()
    if not -AHEAD <= age <= max_age:
        return f"its signature is {age:,.0f} s old: compare the clocks, and ZENDESK_WEBHOOK_MAX_AGE"
    return None


def parse_webhook(body: bytes, invocation: str | None = None) -> Event | None:
    """The event in a webhook's body; None where it is none we know. Raises NotAnObject.

    Args:
        invocation: the delivery's own id, the same for each of its tries.
    """
    try:
        message = from_json(body)
    except (ValueError, RecursionError) as problem:
        raise NotAnObject("the body is no JSON") from problem
    if not isinstance(message, dict):
        raise NotAnObject("the body is no JSON object")
    if message.get("type") == NOTICE_TYPE:
        return _in_notice(message, body, invocation)
    if message.get("type") != _ASSIGNMENT_TYPE:
        return None
    try:
        event_id, detail = _envelope(message)
        told = message.get("time") or detail.get("updated_at")
        occurred = _moment(told) if told else utc_now()
    except (ValidationError, ValueError, OverflowError) as problem:
        log.warning("an assignment event cannot be read: %s", _brief(problem))
        return None
    told_of = message.get("event")
    change = told_of if isinstance(told_of, dict) else {}
    current = change.get("current") if "current" in change else detail.get("assignee_id")
    fields = {**detail, "assignee_id": _id(current), "previous_assignee_id": _id(change.get("previous"))}
    return _event(fields, event_id, "webhook", occurred)


def _envelope(message: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """An event's id and what it tells of its ticket. Raises ValidationError."""
    event_id, detail = message.get("id"), message.get("detail")
    # As Zendesk sends it; pydantic alone costs as much as all the reading of JSON.
    if (
        isinstance(event_id, str)
        and event_id.isascii()
        and 0 < len(event_id) <= LONGEST_ID
        and isinstance(detail, dict)
    ):
        return event_id, detail
    envelope = _Body.model_validate(message)
    return envelope.id, envelope.detail


def _in_notice(message: Mapping[str, Any], body: bytes, invocation: str | None) -> Event | None:
    """The event that a Zendesk trigger tells of: a ticket, who has it, and when it was changed."""
    if "assignee_id" not in message:
        log.warning("a Zendesk trigger's message has no assignee_id: add it to the JSON body of the trigger's webhook")
        return None
    ticket_id, assignee_id, stamp = (_id(message.get(name)) for name in ("ticket_id", "assignee_id", "updated_at"))
    try:
        occurred = _moment(stamp)
    except (ValueError, OverflowError):
        log.warning("a Zendesk trigger's message has no time: use {{ticket.updated_at_with_timestamp}} as updated_at")
        occurred, event_id = utc_now(), invocation or hashlib.sha256(body).hexdigest()
    else:
        # Zendesk's own example has no seconds: a ticket may have gone to and fro within the minute.
        told_apart = invocation if invocation and _WITHOUT_SECONDS.search(str(stamp)) else ""
        words = f"{ticket_id} {assignee_id} {rfc3339(occurred)} {told_apart}"
        event_id = hashlib.sha256(words.encode()).hexdigest()
    return _event({"id": ticket_id, "assignee_id": assignee_id}, f"trigger-{event_id[:64]}", "webhook", occurred)


def parse_audits(audits: Iterable[Any]) -> list[Event]:
    """The assignments in a page of the incremental export of ticket events, in order of time.

    They have what the export tells of them; `with_ticket` adds the rest. An audit that cannot be read is left out.
    """
    events: list[Event] = []
    for audit in audits:
        try:
            events += _in_audit(audit)
        except (ValueError, OverflowError) as problem:
            log.warning("a ticket event of the export cannot be read: %s", problem)
    return sorted(events, key=lambda event: event.occurred_at)


def _in_audit(audit: Any) -> list[Event]:
    if not isinstance(audit, Mapping):
        raise ValueError("it is no object")  # noqa: TRY004 - all that is wrong with a payload is a ValueError
    children = audit.get("child_events")
    changes = [each for each in children if _assigns(each)] if isinstance(children, list) else []
    if not changes:
        return []
    audit_id = _id(audit.get("id"))
    if audit_id is None:
        raise ValueError(f"it has no id; its ticket is {audit.get('ticket_id')!r:.40}")
    created = audit.get("created_at")
    occurred = _moment(created) if created else _of_epoch(audit.get("timestamp"))
    events = []
    for number, change in enumerate(changes, 1):
        fields = {
            "id": audit.get("ticket_id"),
            "assignee_id": _id(change["assignee_id"]),
            "previous_assignee_id": _id(change.get("previous_value")),
            "actor_id": _id(audit.get("updater_id")),
        }
        event = _event(fields, f"audit-{audit_id}" + (f"-{number}" if number > 1 else ""), "poll", occurred)
        events += [event] if event else []
    return events


def _assigns(child: Any) -> bool:
    """Whether a part of an audit gave the ticket to somebody, or took it away."""
    if not isinstance(child, Mapping) or "assignee_id" not in child:
        return False
    current, previous = _id(child["assignee_id"]), _id(child.get("previous_value"))
    match child.get("event_type", "Change"):
        case "Create":
            return current is not None
        case "Change":
            return current != previous or "previous_value" not in child
    return False


def with_ticket(event: Event, ticket: Mapping[str, Any]) -> Event:
    """A polled event with the ticket's fields as they are now."""
    own = {name: event.data[name] for name in ("assignee_id", "previous_assignee_id", "actor_id")}
    fields = {**_as_told(ticket), **own, "id": event.data["ticket_id"]}
    return _event(fields, event.id, event.source, event.occurred_at) or event


def assignment_of(ticket: Mapping[str, Any], event_id: str) -> Event | None:
    """The event of a ticket as if it were assigned now to whom it is assigned: for a test with a live ticket."""
    return _event(_as_told(ticket), event_id, "test", utc_now())


def _as_told(ticket: Mapping[str, Any]) -> dict[str, Any]:
    """A ticket's fields under the names that events have for them."""
    return {**ticket, "form_id": ticket.get("ticket_form_id"), "custom_status": ticket.get("custom_status_id")}


def _event(fields: dict[str, Any], event_id: str, source: str, occurred_at: dt.datetime) -> Event | None:
    """An assignment's event; None without a ticket's id. Other fields that are odd are left out.

    Args:
        fields: nobody else's; what is found out is put into it.
    """
    ticket_id = _id(fields.get("id"))
    if ticket_id is None or not (ticket_id.isascii() and ticket_id.isdigit()):
        log.warning("an assignment event names no ticket")
        return None
    via = fields.get("via")
    fields["ticket_id"] = ticket_id
    fields["via_channel"] = via.get("channel") if isinstance(via, dict) else None
    fields["occurred_at"] = rfc3339(occurred_at)
    return Event(
        id=event_id,
        type=ASSIGNMENT,
        source=source,
        occurred_at=occurred_at,
        subject=f"ticket {ticket_id}",
        data=lenient(Assignment, fields),
    )


def _id(value: Any) -> str | None:
    text = id_text(value) if isinstance(value, (str, int)) else None
    return text if isinstance(text, str) else None


def _moment(value: Any) -> dt.datetime:
    """A time. Raises ValueError, OverflowError."""
    return _in_our_time(parse_time(str(value)).astimezone(dt.UTC))


def _in_our_time(moment: dt.datetime) -> dt.datetime:
    if not 2000 <= moment.year <= 2999:
        raise ValueError(f"its time is {moment.year}")
    return moment


def _of_epoch(value: Any) -> dt.datetime:
    """Seconds since 1970, as a time. Raises ValueError, OverflowError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("it has no time")  # noqa: TRY004 - all that is wrong with a payload is a ValueError
    try:
        return _in_our_time(dt.datetime.fromtimestamp(float(value), dt.UTC))
    except OSError as problem:
        raise ValueError("its time is out of range") from problem


def _brief(problem: Exception) -> str:
    if not isinstance(problem, ValidationError):
        return str(problem)
    return ", ".join(".".join(str(part) for part in error["loc"]) for error in problem.errors())


def identify(event: Event) -> Callable[[sqlite3.Connection], tuple[str, str, bool]] | None:
    """How to find the id of an event that two sources may report, and if it is new; None where its id is enough."""
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
