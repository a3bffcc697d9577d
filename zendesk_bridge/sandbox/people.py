"""The cast of the sandbox account: agents (with the e-mails of the Slack sandbox), customers, and their tickets.

Agents: Ada Moreau (admin), Noor Haddad, Ben Okafor, and Lin Zhao, who is not in Slack. Customers: Mira Castellan of
Harbour Coffee, Tomas Lindqvist with no organization, notes or time zone, Yuki Tanabe without an e-mail.
"""

import base64
import secrets
from typing import TYPE_CHECKING

from zendesk_bridge.sandbox.tokens import Client, Token

if TYPE_CHECKING:
    from zendesk_bridge.sandbox.state import ZendeskState

ADA = 41_700_000_000_101
NOOR = 41_700_000_000_229
BEN = 41_700_000_000_357
LIN = 41_700_000_000_485
MIRA = 41_700_000_000_613
TOMAS = 41_700_000_000_741
YUKI = 41_700_000_000_869

HARBOUR_COFFEE = 41_700_000_001_101
QUAY_BAKERY = 41_700_000_001_229

SUPPORT = 41_700_000_002_101
BILLING = 41_700_000_002_229

# The sample tickets, by what makes each of them worth trying.
GRINDER = 101
MARKUP = 102
UNICODE = 103
QUOTES = 104
LONG = 105
OTHER_ORGANIZATION = 106
SAMPLE_TICKETS = (GRINDER, MARKUP, UNICODE, QUOTES, LONG, OTHER_ORGANIZATION)

ASSIGNMENT_CHANGED = "zen:event-type:ticket.agent_assignment_changed"
# The subscription of webhooks that Zendesk triggers notify.
TRIGGER_CONNECTED = "conditional_ticket_events"

# Credentials of an account that exists in memory only; they are printed in the documentation.
CLIENT_ID = "zendesk_connector"
# A client without a secret, as programs on people's own machines are: it must use PKCE.
PUBLIC_CLIENT_ID = "zendesk_connector_public"
CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105
OAUTH_TOKEN = "sandbox-oauth-token"  # noqa: S105
API_TOKEN = "sandbox-api-token"  # noqa: S105

DAY, HOUR = 86_400, 3_600


def made_up_secret() -> str:
    """A signing secret of the kind Zendesk makes; used as text, although it looks like base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def settle(state: "ZendeskState") -> None:
    """Fills an empty account with the cast, their tickets and the credentials to reach it."""
    now = state.clock()
    opened = now - 90 * DAY
    state.add_group("Support", id=SUPPORT, at=opened)
    state.add_group("Billing", id=BILLING, at=opened)
    state.add_organization(
        "Harbour Coffee",
        id=HARBOUR_COFFEE,
        domains=("harbourcoffee.example",),
        notes="Opens at 06:00; call before 05:30.",
        details="12 cafés & a roastery",
        at=opened,
    )
    state.add_organization("Quay Bakery", id=QUAY_BAKERY, at=opened)
    _hire(state, opened)
    _welcome(state, opened)
    _open_tickets(state, now)
    for identifier, secret in ((CLIENT_ID, CLIENT_SECRET), (PUBLIC_CLIENT_ID, None)):
        state.clients[identifier] = Client(identifier=identifier, secret=secret, user_id=ADA, name="Zendesk Connector")
    state.tokens[OAUTH_TOKEN] = Token(
        value=OAUTH_TOKEN, client_id=CLIENT_ID, user_id=ADA, scope="read write", expires_at=None, created_at=opened
    )
    state.api_tokens.add(API_TOKEN)


def _hire(state: "ZendeskState", at: float) -> None:
    staff = (
        ("Ada Moreau", "ada@example.com", ADA, "admin", "fr", "Paris", "Europe/Paris", SUPPORT),
        ("Noor Haddad", "noor@example.com", NOOR, "agent", "en-GB", "London", "Europe/London", SUPPORT),
        ("Ben Okafor", "ben@example.com", BEN, "agent", "en-US", "West Central Africa", "Africa/Lagos", BILLING),
        ("Lin Zhao", "lin@example.com", LIN, "agent", "zh-CN", "Beijing", "Asia/Shanghai", SUPPORT),
    )
    for name, email, id, role, locale, zone, iana, group in staff:
        state.add_user(
            name,
            email,
            id=id,
            role=role,
            locale=locale,
            time_zone=zone,
            iana_time_zone=iana,
            default_group_id=group,
            at=at,
        )


def _welcome(state: "ZendeskState", at: float) -> None:
    state.add_user(
        "Mira Castellan",
        "mira.castellan@harbourcoffee.example",
        id=MIRA,
        locale="en-GB",
        time_zone="Lisbon",
        iana_time_zone="Europe/Lisbon",
        organization_id=HARBOUR_COFFEE,
        notes="Buyer for <wholesale> & retail; prefers e-mail",
        details="Lisbon roastery",
        at=at,
    )
    state.add_user("Tomas Lindqvist", "tomas@example.org", id=TOMAS, time_zone=None, iana_time_zone=None, at=at)
    state.add_user(
        "田辺 ゆき (Yuki Tanabe)",
        None,
        id=YUKI,
        locale="ja",
        time_zone="Tokyo",
        iana_time_zone="Asia/Tokyo",
        organization_id=QUAY_BAKERY,
        phone="+81355500123",
        at=at,
    )


def _open_tickets(state: "ZendeskState", now: float) -> None:
    state.add_ticket(
        "The grinder won't start after cleaning",
        "Hello,\n\nSince this morning's cleaning the grinder shows E7 and stays off. We open at six.\n\nMira",
        id=GRINDER,
        requester_id=MIRA,
        organization_id=HARBOUR_COFFEE,
        priority="high",
        type="problem",
        tags=("grinder", "hardware"),
        at=now - 2 * DAY,
    )
    state.add_ticket(
        "Charged twice: A&B <b>wholesale</b> order",
        "Invoice 88 & invoice 89 are the same.\nTotal should be < 200, yours is > 400. <!channel> look & refund.",
        id=MARKUP,
        requester_id=TOMAS,
        assignee_id=BEN,
        priority="normal",
        type="incident",
        tags=("billing",),
        channel="email",
        at=now - 30 * HOUR,
    )
    answer = "We found the doubled invoice & are refunding it."
    state.record_update(state.tickets[MARKUP], BEN, [], channel="web", at=now - 29 * HOUR, body=answer)
    metrics = state.metric_sets[MARKUP]
    updated = state.comments[MARKUP][-1]["created_at"]
    metrics.update(assignee_updated_at=updated, latest_comment_added_at=updated, updated_at=updated, replies=1)
    state.tickets[MARKUP]["updated_at"] = updated
    state.add_ticket(
        "配送先の変更について — délai de livraison ☕",
        "ラテ用ミルクの配送先を変更したいです。\nMerci d'avance 🙏",
        id=UNICODE,
        requester_id=YUKI,
        channel="api",
        at=now - 20 * HOUR,
    )
    state.add_ticket(
        'Export fails with "token < 10 && retries > 3"',
        'Steps:\n1. open "Reports"\n2. press *Export*\n\n```if (token < 10 && retries > 3) { fail("&amp;"); }```',
        id=QUOTES,
        requester_id=MIRA,
        organization_id=HARBOUR_COFFEE,
        assignee_id=NOOR,
        status="pending",
        priority="low",
        type="question",
        tags=("export", "reports"),
        at=now - 10 * HOUR,
    )
    state.add_ticket(
        "Questions about the whole contract",
        "\n".join(f"{number}. What does paragraph {number} mean for cafés & kiosks?" for number in range(1, 161)),
        id=LONG,
        requester_id=TOMAS,
        type="task",
        at=now - 5 * HOUR,
    )
    state.add_ticket(
        "Croissants for the harbour festival",
        "I ask for the bakery this time, not for the coffee house.",
        id=OTHER_ORGANIZATION,
        requester_id=MIRA,
        organization_id=QUAY_BAKERY,
        priority="urgent",
        type="task",
        tags=("festival",),
        at=now - 3 * HOUR,
    )
