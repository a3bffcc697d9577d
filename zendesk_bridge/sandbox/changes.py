"""What happens when somebody changes a ticket: the ticket, its audit and times, and the events webhooks are told of."""

import uuid
from typing import Any

from zendesk_bridge.sandbox import records
from zendesk_bridge.sandbox.people import ASSIGNMENT_CHANGED
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.state import ZendeskState

# Fields whose change Zendesk tells of, and the event's name; the assignee's comes first.
EVENT_OF_FIELD = {
    "assignee_id": "agent_assignment_changed",
    "group_id": "group_assignment_changed",
    "status": "status_changed",
    "priority": "priority_changed",
    "type": "type_changed",
    "subject": "subject_changed",
    "requester_id": "requester_changed",
    "organization_id": "organization_changed",
    "tags": "tags_changed",
}
# How events name the ways a ticket can come in.
EVENT_CHANNELS = {"api": "web_service", "web": "web_form", "email": "mail"}


def assign(state: ZendeskState, ticket_id: int, user_id: int | None, actor_id: int) -> list[Record]:
    """Gives a ticket to an agent, or to nobody; returns the events, the assignment's first.

    Raises LookupError for an unknown ticket or user, ValueError for somebody who is no agent or has the ticket already.
    """
    if ticket_id not in state.tickets:
        raise LookupError(f"The sandbox account has no ticket {ticket_id}.")
    if user_id is not None and user_id not in state.users:
        raise LookupError(f"The sandbox account has no user {user_id}.")
    if user_id is not None and not state.is_staff(user_id):
        raise ValueError(f"{state.users[user_id]['name']} is not an active agent.")
    if state.tickets[ticket_id]["assignee_id"] == user_id:
        raise ValueError(f"Ticket {ticket_id} is with that agent already: Zendesk would send no event.")
    return change(state, ticket_id, {"assignee_id": user_id}, actor_id)


def change(
    state: ZendeskState,
    ticket_id: int,
    fields: dict[str, Any],
    actor_id: int,
    *,
    body: str | None = None,
    public: bool = False,
    channel: str = "web",
) -> list[Record]:
    """Changes fields of a ticket and adds a comment, in one update; returns the events."""
    ticket, metrics, now = state.tickets[ticket_id], state.metric_sets[ticket_id], state.clock()
    before = {name: ticket[name] for name in EVENT_OF_FIELD}
    ticket.update(fields)
    _follow_rules(state, ticket, before)
    if "subject" in fields:
        ticket["raw_subject"] = ticket["subject"]
    changed = [name for name in EVENT_OF_FIELD if ticket[name] != before[name]]
    if not changed and body is None:
        return []
    ticket["updated_at"] = records.stamp(now)
    ticket["custom_status_id"] = records.custom_status_id(state.account_id, ticket["status"])
    _mark_times(state, ticket, metrics, changed, actor_id, commented=body is not None, public=public)
    audit_events = [
        {
            "id": state.next_id(),
            "type": "Change",
            "value": records.as_audit_value(ticket[name]),
            "field_name": name,
            "previous_value": records.as_audit_value(before[name]),
        }
        for name in changed
    ]
    state.record_update(ticket, actor_id, audit_events, channel=channel, at=now, body=body, public=public)
    told = [
        event(state, ticket, EVENT_OF_FIELD[name], _difference(state, name, before[name], ticket[name]), actor_id)
        for name in changed
    ]
    if body is not None:
        told.append(comment_event(state, ticket, actor_id))
    return told


def event(state: ZendeskState, ticket: Record, name: str, difference: Record, actor_id: int) -> Record:
    """An event in the form webhooks get it: ids are text, statuses in capitals, the time has nanoseconds."""

    def text(id: int | None) -> str | None:
        return state.absent_id_form if id is None else str(id)

    detail: Record = {
        "actor_id": str(actor_id),
        "assignee_id": text(ticket["assignee_id"]),
        "brand_id": str(ticket["brand_id"]),
        "created_at": ticket["created_at"],
        "custom_status": str(ticket["custom_status_id"]),
        "description": ticket["description"],
        "external_id": ticket["external_id"],
        "form_id": str(ticket["ticket_form_id"]),
        "group_id": text(ticket["group_id"]),
        "id": str(ticket["id"]),
        "is_public": ticket["is_public"],
        "organization_id": text(ticket["organization_id"]),
        "requester_id": str(ticket["requester_id"]),
        "status": ticket["status"].upper(),
        "subject": ticket["subject"],
        "submitter_id": str(ticket["submitter_id"]),
        "tags": " ".join(ticket["tags"]) if state.tags_as_text else list(ticket["tags"]),
        "updated_at": ticket["updated_at"],
        "via": {"channel": EVENT_CHANNELS.get(ticket["via"]["channel"], ticket["via"]["channel"])},
    }
    # A ticket without priority or type has no such keys here, though REST answers say null.
    for optional in ("priority", "type"):
        if ticket[optional] is not None:
            detail[optional] = ticket[optional].upper()
    return {
        "account_id": state.account_id,
        "detail": dict(sorted(detail.items())),
        "event": difference,
        "id": str(uuid.uuid4()),
        "subject": f"zen:ticket:{ticket['id']}",
        "time": records.fine_stamp(state.clock()),
        "type": f"zen:event-type:ticket.{name}",
        "zendesk_event_version": "2022-11-06",
    }


def created_events(state: ZendeskState, ticket: Record) -> list[Record]:
    """The events of a new ticket. One created with an assignee is assigned as well, from nobody."""
    events = [event(state, ticket, "created", {}, ticket["submitter_id"])]
    if ticket["assignee_id"] is not None:
        difference = _difference(state, "assignee_id", None, ticket["assignee_id"])
        events.append(event(state, ticket, "agent_assignment_changed", difference, ticket["submitter_id"]))
    state.events_of_creation |= {each["id"] for each in events}
    return events


def comment_event(state: ZendeskState, ticket: Record, actor_id: int) -> Record:
    """The event of a comment just added."""
    comment = state.comments[ticket["id"]][-1]
    author = {"id": str(actor_id), "is_staff": state.is_staff(actor_id), "name": state.users[actor_id]["name"]}
    told = {"id": str(comment["id"]), "body": comment["body"], "is_public": comment["public"], "author": author}
    return event(state, ticket, "comment_added", {"comment": told}, actor_id)


def is_assignment(told: Record) -> bool:
    """Whether an event tells of a change of the ticket's agent."""
    return bool(told["type"] == ASSIGNMENT_CHANGED)


def _follow_rules(state: ZendeskState, ticket: Record, before: Record) -> None:
    # Zendesk's own rules: an assigned ticket is no longer new, and belongs to a group of its agent.
    assignee = ticket["assignee_id"]
    if assignee is None or assignee == before["assignee_id"]:
        return
    if ticket["status"] == "new":
        ticket["status"] = "open"
    group = state.users[assignee]["default_group_id"]
    if group is not None and ticket["group_id"] == before["group_id"]:
        ticket["group_id"] = group


def _mark_times(
    state: ZendeskState,
    ticket: Record,
    metrics: Record,
    changed: list[str],
    actor_id: int,
    *,
    commented: bool,
    public: bool,
) -> None:
    at = ticket["updated_at"]
    metrics["updated_at"] = at
    if "status" in changed:
        metrics["status_updated_at"] = metrics["custom_status_updated_at"] = at
        if ticket["status"] in ("solved", "closed"):
            metrics["solved_at"] = at
    if "assignee_id" in changed and ticket["assignee_id"] is not None:
        metrics["assigned_at"] = at
        metrics["initially_assigned_at"] = metrics["initially_assigned_at"] or at
        metrics["assignee_stations"] += 1
    if "group_id" in changed and ticket["group_id"] is not None:
        metrics["group_stations"] += 1
    if actor_id == ticket["assignee_id"]:
        metrics["assignee_updated_at"] = at
    if actor_id == ticket["requester_id"]:
        metrics["requester_updated_at"] = at
    if commented:
        metrics["latest_comment_added_at"] = at
        metrics["replies"] += int(public and state.is_staff(actor_id))


def _difference(state: ZendeskState, name: str, previous: Any, current: Any) -> Record:
    if name == "tags":
        added, removed = sorted(set(current) - set(previous)), sorted(set(previous) - set(current))
        return {"tags_added": added, "tags_removed": removed}
    if name.endswith("_id"):
        previous, current = (state.absent_id_form if id is None else str(id) for id in (previous, current))
    elif name != "subject":
        previous, current = (value.upper() if isinstance(value, str) else value for value in (previous, current))
    return {"previous": previous, "current": current}
