"""The records of the sandbox account: tickets, users, organizations, with every key Zendesk sends, also empty ones."""

from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]

COMMENT_IN_AUDIT = (
    "id", "type", "author_id", "body", "html_body", "plain_body", "public", "attachments", "audit_id"
)  # fmt: skip
CUSTOM_STATUSES = {"new": 1, "open": 2, "pending": 3, "hold": 4, "solved": 5, "closed": 5}


def stamp(epoch: float) -> str:
    """A time as REST answers write it: whole seconds, UTC, `2026-03-01T09:30:00Z`."""
    return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fine_stamp(epoch: float) -> str:
    """A time as events and webhooks write it: nine digits after the second."""
    nanoseconds = int((epoch - int(epoch)) * 1_000_000_000)
    return f"{stamp(epoch)[:-1]}.{nanoseconds:09d}Z"


def via(channel: str) -> Record:
    """How something reached Zendesk, with no sender or receiver named."""
    return {"channel": channel, "source": {"from": {}, "to": {}, "rel": None}}


def as_audit_value(value: Any) -> Any:
    """How an audit writes a field's value: ids are text there, though they are numbers in the ticket."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def custom_status_id(account_id: int, status: str) -> int:
    """The account's own id of a status; `closed` shares the one of `solved`."""
    return account_id * 1_000_000 + 200 + CUSTOM_STATUSES[status]


def ticket(
    *,
    id: int,
    account_id: int,
    subject: str | None,
    description: str,
    requester_id: int,
    submitter_id: int,
    at: float,
    assignee_id: int | None,
    group_id: int | None,
    organization_id: int | None,
    status: str,
    priority: str | None,
    type: str | None,
    tags: list[str],
    channel: str,
    is_public: bool,
) -> Record:
    """One ticket. `url` is filled in when it is sent, because only then the sandbox's address is known."""
    return {
        "url": None,
        "id": id,
        "external_id": None,
        "via": via(channel),
        "created_at": stamp(at),
        "updated_at": stamp(at),
        "type": type,
        "subject": subject,
        "raw_subject": subject,
        "description": description,
        "priority": priority,
        "status": status,
        "recipient": None,
        "requester_id": requester_id,
        "submitter_id": submitter_id,
        "assignee_id": assignee_id,
        "organization_id": organization_id,
        "group_id": group_id,
        "collaborator_ids": [],
        "follower_ids": [],
        "email_cc_ids": [],
        "forum_topic_id": None,
        "problem_id": None,
        "has_incidents": False,
        "is_public": is_public,
        "due_at": None,
        "tags": sorted(tags),
        "custom_fields": [],
        "satisfaction_rating": None,
        "sharing_agreement_ids": [],
        "custom_status_id": custom_status_id(account_id, status),
        "fields": [],
        "followup_ids": [],
        "ticket_form_id": account_id * 1_000_000 + 301,
        "brand_id": account_id * 1_000_000 + 401,
        "allow_channelback": False,
        "allow_attachments": True,
        "from_messaging_channel": False,
    }


def metric_set(*, id: int, ticket: Record) -> Record:
    """The times and counts beside a ticket. `assignee_updated_at` stays null until the assignee writes."""
    created = ticket["created_at"]
    assigned = created if ticket["assignee_id"] is not None else None
    return {
        "url": None,
        "id": id,
        "ticket_id": ticket["id"],
        "created_at": created,
        "updated_at": created,
        "group_stations": 0 if ticket["group_id"] is None else 1,
        "assignee_stations": 0 if ticket["assignee_id"] is None else 1,
        "reopens": 0,
        "replies": 0,
        "assignee_updated_at": None,
        "requester_updated_at": created,
        "status_updated_at": created,
        "initially_assigned_at": assigned,
        "assigned_at": assigned,
        "solved_at": None,
        "latest_comment_added_at": created,
        "reply_time_in_minutes": {"calendar": None, "business": None},
        "first_resolution_time_in_minutes": {"calendar": None, "business": None},
        "full_resolution_time_in_minutes": {"calendar": None, "business": None},
        "agent_wait_time_in_minutes": {"calendar": None, "business": None},
        "requester_wait_time_in_minutes": {"calendar": None, "business": None},
        "on_hold_time_in_minutes": {"calendar": 0, "business": 0},
        "reply_time_in_seconds": {"calendar": None},
        "custom_status_updated_at": created,
    }


def user(
    *,
    id: int | None,
    name: str,
    email: str | None,
    role: str,
    at: float,
    locale: str,
    time_zone: str | None,
    iana_time_zone: str | None,
    organization_id: int | None,
    notes: str | None,
    details: str | None,
    phone: str | None,
    default_group_id: int | None,
    custom_role_id: int | None,
) -> Record:
    """One person, in the full form that agents and admins get."""
    staff = role in ("agent", "admin")
    return {
        "id": id,
        "url": None,
        "name": name,
        "email": email,
        "created_at": stamp(at),
        "updated_at": stamp(at),
        "time_zone": time_zone,
        "iana_time_zone": iana_time_zone,
        "phone": phone,
        "shared_phone_number": None,
        "photo": None,
        "locale_id": 1,
        "locale": locale,
        "organization_id": organization_id,
        "role": role,
        "verified": staff,
        "external_id": None,
        "tags": [],
        "alias": None,
        "active": True,
        "shared": False,
        "shared_agent": False,
        "last_login_at": stamp(at) if staff else None,
        "two_factor_auth_enabled": None if staff else False,
        "signature": None,
        "details": details,
        "notes": notes,
        "role_type": {"admin": 4, "agent": 0}.get(role),
        "custom_role_id": custom_role_id,
        "moderator": staff,
        "ticket_restriction": None if staff else "requested",
        "only_private_comments": False,
        "restricted_agent": not staff,
        "suspended": False,
        "default_group_id": default_group_id,
        "report_csv": role == "admin",
        "user_fields": {},
    }


def organization(
    *, id: int, name: str, at: float, domains: list[str], notes: str | None, details: str | None
) -> Record:
    """One organization (a customer's company)."""
    return {
        "url": None,
        "id": id,
        "name": name,
        "shared_tickets": False,
        "shared_comments": False,
        "external_id": None,
        "created_at": stamp(at),
        "updated_at": stamp(at),
        "domain_names": domains,
        "details": details,
        "notes": notes,
        "group_id": None,
        "tags": [],
        "organization_fields": {},
    }


def group(*, id: int, name: str, at: float) -> Record:
    """One group of agents."""
    return {
        "url": None,
        "id": id,
        "is_public": True,
        "name": name,
        "description": "",
        "default": False,
        "deleted": False,
        "created_at": stamp(at),
        "updated_at": stamp(at),
    }


def comment(
    *, id: int, audit_id: int, author_id: int, body: str, html: str, public: bool, channel: str, at: float
) -> Record:
    """One comment of a ticket. The first one is the ticket's description."""
    return {
        "id": id,
        "type": "Comment",
        "author_id": author_id,
        "body": body,
        "html_body": html,
        "plain_body": body,
        "public": public,
        "attachments": [],
        "audit_id": audit_id,
        "via": via(channel),
        "created_at": stamp(at),
        "metadata": {"system": {}, "custom": {}},
    }


def audit(*, id: int, ticket_id: int, author_id: int, events: list[Record], channel: str, at: float) -> Record:
    """One update of a ticket, with what it changed."""
    return {
        "id": id,
        "ticket_id": ticket_id,
        "created_at": stamp(at),
        "author_id": author_id,
        "metadata": {"system": {}, "custom": {}},
        "events": events,
        "via": via(channel),
    }
