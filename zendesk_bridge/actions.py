"""The Zendesk actions: one function each."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.flows.catalog import Wanted, action
from zendesk_bridge.flows.errors import Permanent
from zendesk_bridge.records import (
    Organization,
    Ticket,
    User,
    id_text,
    metrics_of,
    organization_from,
    ticket_from,
    user_from,
)


def _needed_id(value: object) -> object:
    text = id_text(value)
    if text is None or not text.isdigit():
        raise ValueError("a Zendesk id is a whole number")
    return text


TicketId = Annotated[str, BeforeValidator(_needed_id), Field(description="The ticket's number.")]
UserId = Annotated[str, BeforeValidator(_needed_id), Field(description="The user's Zendesk id.")]
OrganizationId = Annotated[str, BeforeValidator(_needed_id), Field(description="The organization's Zendesk id.")]


@action("read")
async def look_up_ticket(zendesk: ZendeskClient, *, ticket_id: TicketId, wanted: Wanted) -> Ticket:
    """Looks up a ticket with its standard fields, custom fields and tags.

    A deleted ticket fails the step with `not_found`. `latest_agent_update` comes from the ticket's metric set; where
    Zendesk leaves that out of its answer it is fetched, if the flow uses it.
    """
    answer = await zendesk.ticket(ticket_id)
    ticket, metrics = answer.get("ticket"), metrics_of(answer)
    if not isinstance(ticket, dict):
        raise Permanent("not_found", f"Zendesk has no ticket {ticket_id}")
    if metrics is None and "latest_agent_update" in wanted.names:
        try:
            metrics = await zendesk.ticket_metrics(ticket_id)
        except Permanent as problem:
            if problem.code != "not_found":
                raise
    return ticket_from(ticket, metrics, zendesk.settings.agent_base)


@action("read")
async def look_up_user(zendesk: ZendeskClient, *, user_id: UserId) -> User:
    """Looks up an agent or a customer by Zendesk id, with custom fields and tags."""
    return user_from(await zendesk.user(user_id), zendesk.settings.agent_base)


@action("read")
async def look_up_organization(zendesk: ZendeskClient, *, organization_id: OrganizationId) -> Organization:
    """Looks up an organization by Zendesk id, with custom fields and tags."""
    return organization_from(await zendesk.organization(organization_id), zendesk.settings.agent_base)


ACTIONS = (look_up_ticket, look_up_user, look_up_organization)
