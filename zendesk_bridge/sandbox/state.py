"""The sandbox's account: its tickets, people and organizations, its switches, and the faults a test asks it to show."""

import html
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field, replace
from itertools import count
from typing import Any, Literal

from zendesk_bridge.sandbox import people, records
from zendesk_bridge.sandbox.limits import Bucket
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.tokens import Client, Code, Token

FaultKind = Literal["status", "rate_limited", "drop", "slow", "half_body", "html"]
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass
class Fault:
    """Something that goes wrong with the next requests whose path holds `path` (`*` is any path).

    Kinds: `status` (that status with an HTML page, `retry_after` as header), `rate_limited` (429), `drop` (the
    connection closes without an answer), `slow` (answers after `delay` seconds), `half_body` (the connection closes
    halfway through the answer), `html` (200 with an HTML page, as a proxy would send).
    """

    path: str
    kind: FaultKind
    # How many requests it strikes; -1: until it is taken out of the list.
    times: int = 1
    status: int = 503
    # Seconds, sent as Retry-After.
    retry_after: float | None = None
    # Seconds before the answer or the fault.
    delay: float = 0.0
    # True: the request is carried out first, so the caller cannot know that it was.
    after_work: bool = False


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request the sandbox got. Never holds the Authorization header."""

    method: str
    path: str
    query: dict[str, str]
    # None: the connection was closed without an answer.
    status: int | None
    # Epoch seconds of the account's clock.
    time: float


@dataclass(frozen=True, kw_only=True)
class Update:
    """One update of a ticket: its audit, when it was, and the fields it made or changed."""

    audit: Record
    at: float
    # The comment the update brought, if it did.
    comment: Record | None = None


@dataclass(kw_only=True)
class ZendeskState:
    """A Zendesk account in memory. `ZendeskState()` has the sample cast, `ZendeskState(empty=True)` nothing.

    Everything is meant to be read and changed by tests; records are plain dicts in the shape of Zendesk's JSON.
    """

    empty: InitVar[bool] = False
    # Epoch seconds; replace it to move time.
    clock: Callable[[], float] = time.time
    account_id: int = 30517284
    # The address in `url` fields and links; the server sets it when it starts.
    url: str = "https://harbour-sandbox.zendesk.com"

    tickets: dict[int, Record] = field(default_factory=dict)
    users: dict[int, Record] = field(default_factory=dict)
    organizations: dict[int, Record] = field(default_factory=dict)
    groups: dict[int, Record] = field(default_factory=dict)
    # By ticket id, as are the comments.
    metric_sets: dict[int, Record] = field(default_factory=dict)
    comments: dict[int, list[Record]] = field(default_factory=dict)
    # Every update of every ticket, oldest first.
    updates: list[Update] = field(default_factory=list)
    # When each ticket last changed, epoch seconds (Zendesk's generated_timestamp).
    changed_at: dict[int, float] = field(default_factory=dict)

    clients: dict[str, Client] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    api_tokens: set[str] = field(default_factory=set)
    # Who is signed in where a client asks for consent; None: the first admin.
    consenting_user: int | None = None
    # The scope every new grant gets, whatever was asked for; None: what was asked for.
    granted_scope: str | None = None
    # True: a token may show and revoke itself only with `read` or `write` (undocumented; False: always).
    own_token_needs_scope: bool = False
    # Seconds a new OAuth token lives where the request does not say.
    token_seconds: int = 1800

    webhooks: dict[str, Record] = field(default_factory=dict)
    webhook_secrets: dict[str, str] = field(default_factory=dict)
    # What Zendesk triggers on a change of the assignee send: the JSON text with placeholders, by the webhook's id.
    trigger_bodies: dict[str, str] = field(default_factory=dict)
    # Zendesk triggers by id; they run when a ticket's assignee changes.
    triggers: dict[int, Record] = field(default_factory=dict)
    # Most webhooks the account may have: 10 in a trial; None: any number.
    most_webhooks: int | None = None
    # True: webhooks cannot subscribe to events, only be connected to triggers.
    refuses_event_subscriptions: bool = False
    # True: a webhook that a trigger uses can be deleted all the same, and the trigger then tells nobody.
    deletes_used_webhooks: bool = False
    # True: `ticket.updated_at_with_timestamp` has seconds; False: none, as in the documentation's example.
    trigger_times_have_seconds: bool = False

    # Requests a minute: the whole account, updates of tickets, the incremental exports, the webhooks API.
    requests_per_minute: int = 700
    ticket_updates_per_minute: int = 100
    exports_per_minute: int = 10
    webhook_requests_per_minute: int = 100
    # True: `ratelimit-limit` and so on (2024) in place of `rate-limit` (2023).
    newer_rate_limit_names: bool = False
    buckets: dict[str, Bucket] = field(default_factory=dict)
    # Most records in one answer of an incremental export.
    export_page_size: int = 1000
    # How much of the newest an incremental export holds back.
    withheld_seconds: float = 60.0
    # Tickets that an AI agent handles; incremental exports leave them out unless asked for them.
    ai_agent_tickets: set[int] = field(default_factory=set)

    faults: list[Fault] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    # Called with each request's path before it is answered.
    on_request: list[Callable[[str], None]] = field(default_factory=list)

    # Side-loads that are never sent: users, organizations, groups, metric_sets.
    leave_out: set[str] = field(default_factory=set)
    # Keys missing from answers, by kind: {"user": {"notes"}}. Kinds: ticket, user, organization, group, metric_set.
    absent_fields: dict[str, set[str]] = field(default_factory=dict)
    # The same, but only from what is beside tickets: Zendesk sends partial records there.
    absent_beside: dict[str, set[str]] = field(default_factory=dict)
    # Tickets that break every request they are asked for in, with the status it is answered with.
    broken_tickets: dict[int, int] = field(default_factory=dict)
    # True: a ticket carries `metric_set` inside; False: `metric_sets` lie beside the tickets.
    metric_set_inside_ticket: bool = False
    # True: ids in ticket_events children are text throughout; False: the new one a number, the previous one text.
    event_ids_as_text: bool = False

    # How a webhook body writes an id that is not there: None (null), "" or "0".
    absent_id_form: Literal["", "0"] | None = None
    # True: tags as one text with spaces in place of a list.
    tags_as_text: bool = False
    pretty_bodies: bool = False
    # Seconds a webhook's receiver has to answer.
    webhook_timeout: float = 10.0
    # True: a delivery that is refused is tried again as Zendesk does.
    webhook_retries: bool = False
    # Seconds before such a try; None: Retry-After where there is one, else 1, 2, 4, ….
    webhook_retry_pause: float | None = None
    # True: a webhook whose receiver mostly fails is cut off for a few seconds, and its events are lost.
    webhook_circuit_breaker: bool = False
    # By webhook id: when each recent try was and whether it failed; until when the webhook is cut off.
    webhook_tries: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)
    webhook_cut_off: dict[str, float] = field(default_factory=dict)

    # Ids of the events that a ticket's creation brought.
    events_of_creation: set[str] = field(default_factory=set)

    _ids: Iterator[int] = field(default_factory=lambda: count(41_700_000_100_001, 128), repr=False)
    _ticket_ids: Iterator[int] = field(default_factory=lambda: count(1001), repr=False)

    def __post_init__(self, empty: bool) -> None:
        if not empty:
            people.settle(self)

    def next_id(self) -> int:
        """An id nothing else in the account has; longer than 32 bits, like the real ones."""
        return next(self._ids)

    def user_by_email(self, email: str) -> Record:
        """The person with this e-mail; LookupError if there is none."""
        for user in self.users.values():
            if user["email"] is not None and user["email"].lower() == email.lower():
                return user
        raise LookupError(f"The sandbox account has no user with the e-mail {email}.")

    def is_staff(self, user_id: int | None) -> bool:
        """Whether this is an active agent or admin."""
        user = self.users.get(user_id) if user_id is not None else None
        return user is not None and user["role"] in ("agent", "admin") and user["active"] and not user["suspended"]

    def add_group(self, name: str, *, id: int | None = None, at: float | None = None) -> Record:
        """Adds a group of agents."""
        group = records.group(id=id or self.next_id(), name=name, at=self.clock() if at is None else at)
        self.groups[group["id"]] = group
        return group

    def add_organization(
        self,
        name: str,
        *,
        id: int | None = None,
        domains: tuple[str, ...] = (),
        notes: str | None = None,
        details: str | None = None,
        at: float | None = None,
    ) -> Record:
        """Adds an organization."""
        organization = records.organization(
            id=id or self.next_id(),
            name=name,
            at=self.clock() if at is None else at,
            domains=list(domains),
            notes=notes,
            details=details,
        )
        self.organizations[organization["id"]] = organization
        return organization

    def add_user(
        self,
        name: str,
        email: str | None,
        *,
        id: int | None = None,
        role: str = "end-user",
        locale: str = "en-US",
        time_zone: str | None = "London",
        iana_time_zone: str | None = "Europe/London",
        organization_id: int | None = None,
        notes: str | None = None,
        details: str | None = None,
        phone: str | None = None,
        default_group_id: int | None = None,
        at: float | None = None,
    ) -> Record:
        """Adds a person; `role` is end-user, agent or admin."""
        user = records.user(
            id=id or self.next_id(),
            name=name,
            email=email,
            role=role,
            at=self.clock() if at is None else at,
            locale=locale,
            time_zone=time_zone,
            iana_time_zone=iana_time_zone,
            organization_id=organization_id,
            notes=notes,
            details=details,
            phone=phone,
            default_group_id=default_group_id,
            custom_role_id=None if role == "end-user" else self.account_id * 1_000_000 + 501,
        )
        self.users[user["id"]] = user
        return user

    def add_ticket(
        self,
        subject: str | None,
        description: str,
        *,
        requester_id: int,
        id: int | None = None,
        submitter_id: int | None = None,
        assignee_id: int | None = None,
        group_id: int | None = None,
        organization_id: int | None = None,
        status: str | None = None,
        priority: str | None = None,
        type: str | None = None,
        tags: tuple[str, ...] = (),
        channel: str = "web",
        public: bool = True,
        at: float | None = None,
    ) -> Record:
        """Adds a ticket with its first comment, its metric set and the audit of its creation. Sends no webhook:
        `ZendeskServer.create_ticket` does."""
        at = self.clock() if at is None else at
        if group_id is None and assignee_id is not None:
            group_id = self.users[assignee_id]["default_group_id"]
        ticket = records.ticket(
            id=id or next(self._ticket_ids),
            account_id=self.account_id,
            subject=subject,
            description=description,
            requester_id=requester_id,
            submitter_id=submitter_id or requester_id,
            at=at,
            assignee_id=assignee_id,
            group_id=group_id,
            organization_id=organization_id,
            status=status or ("new" if assignee_id is None else "open"),
            priority=priority,
            type=type,
            tags=list(tags),
            channel=channel,
            is_public=public,
        )
        self.tickets[ticket["id"]] = ticket
        self.metric_sets[ticket["id"]] = records.metric_set(id=self.next_id(), ticket=ticket)
        made = ("subject", "status", "priority", "type", "requester_id", "organization_id", "group_id", "assignee_id")
        events = [
            {"id": self.next_id(), "type": "Create", "value": records.as_audit_value(ticket[name]), "field_name": name}
            for name in made
            if ticket[name] is not None
        ]
        self.record_update(
            ticket, ticket["submitter_id"], events, channel=channel, at=at, body=description, public=public
        )
        return ticket

    def record_update(
        self,
        ticket: Record,
        author_id: int,
        events: list[Record],
        *,
        channel: str,
        at: float,
        body: str | None = None,
        public: bool = True,
    ) -> Update:
        """Writes down one update of a ticket as an audit, with a comment if there is one."""
        audit_id = self.next_id()
        comment = None
        if body is not None:
            text = html.escape(body, quote=False).replace("\n", "<br>")
            comment = records.comment(
                id=self.next_id(),
                audit_id=audit_id,
                author_id=author_id,
                body=body,
                html=f'<div class="zd-comment" dir="auto"><p dir="auto">{text}</p></div>',
                public=public,
                channel=channel,
                at=at,
            )
            self.comments.setdefault(ticket["id"], []).append(comment)
            events = [{name: comment[name] for name in records.COMMENT_IN_AUDIT}, *events]
        audit = records.audit(
            id=audit_id, ticket_id=ticket["id"], author_id=author_id, events=events, channel=channel, at=at
        )
        update = Update(audit=audit, at=at, comment=comment)
        self.updates.append(update)
        self.updates.sort(key=lambda each: each.at)
        self.changed_at[ticket["id"]] = max(at, self.changed_at.get(ticket["id"], 0.0))
        return update

    def add_webhook(
        self,
        endpoint: str,
        *,
        secret: str | None = None,
        subscriptions: list[str] | None = None,
        name: str = "Zendesk Connector",
        **fields: Any,
    ) -> Record:
        """Adds an active webhook. Without `subscriptions` it gets changes of a ticket's agent; without `secret` the
        account makes one up, to be read from `webhook_secrets[webhook["id"]]`."""
        webhook: Record = {
            "id": "01" + "".join(secrets.choice(CROCKFORD) for _ in range(24)),
            "name": name,
            "description": None,
            "status": "active",
            "subscriptions": [people.ASSIGNMENT_CHANGED] if subscriptions is None else list(subscriptions),
            "created_at": records.fine_stamp(self.clock()),
            "created_by": str(people.ADA),
            "endpoint": endpoint,
            "http_method": "POST",
            "request_format": "json",
            "authentication": None,
        }
        webhook.update(fields)
        self.webhooks[webhook["id"]] = webhook
        self.webhook_secrets[webhook["id"]] = people.made_up_secret() if secret is None else secret
        return webhook

    def add_trigger(self, endpoint: str, body: str, *, secret: str | None = None) -> Record:
        """Adds a Zendesk trigger for changes of the assignee and the webhook it notifies; returns the webhook.

        Placeholders that work in `body`: ticket.id, ticket.assignee.id, ticket.updated_at_with_timestamp.
        """
        webhook = self.add_webhook(endpoint, secret=secret, subscriptions=[people.TRIGGER_CONNECTED])
        self.trigger_bodies[webhook["id"]] = body
        return webhook

    def expire_tokens(self) -> None:
        """Ends every access token now; refresh tokens go on."""
        for value, token in self.tokens.items():
            self.tokens[value] = replace(token, expires_at=self.clock())
