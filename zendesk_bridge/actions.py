"""The Zendesk actions: one function each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

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

#: How many comments are asked for at a time, and how often at most: what an agent wrote is mostly among the newest.
COMMENTS_A_PAGE = 25
PAGES = 4
#: How many authors are asked for who are not beside their comments.
AUTHORS = 5
STAFF = ("agent", "admin")


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
    Zendesk leaves that out of its answer it is fetched, if the flow uses it. `latest_agent_comment` costs a call more,
    if the flow uses it; internal notes are no part of it, so that they get into no channel.
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
    comment = None
    if "latest_agent_comment" in wanted.names:
        comment = await _latest_agent_comment(zendesk, ticket_id)
    return ticket_from(ticket, metrics, zendesk.settings.agent_base, comment)


@action("read")
async def look_up_user(zendesk: ZendeskClient, *, user_id: UserId) -> User:
    """Looks up an agent or a customer by Zendesk id, with custom fields and tags."""
    return user_from(await zendesk.user(user_id), zendesk.settings.agent_base)


@action("read")
async def look_up_organization(zendesk: ZendeskClient, *, organization_id: OrganizationId) -> Organization:
    """Looks up an organization by Zendesk id, with custom fields and tags."""
    return organization_from(await zendesk.organization(organization_id), zendesk.settings.agent_base)


ACTIONS = (look_up_ticket, look_up_user, look_up_organization)


async def _latest_agent_comment(zendesk: ZendeskClient, ticket_id: str) -> str | None:
    """The text of the newest public comment an agent or admin wrote; None where the newest 100 have none.

    https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/
    """
    roles: dict[str, str] = {}
    asked, after = 0, None
    for _ in range(PAGES):
        page = await zendesk.comments(ticket_id, size=COMMENTS_A_PAGE, after=after)
        roles |= {str(user.get("id")): user["role"] for user in _objects(page, "users") if user.get("role")}
        for comment in _objects(page, "comments"):
            author = id_text(comment.get("author_id")) or ""
            # Whatever Zendesk itself writes has a negative id.
            if comment.get("public") is not True or not author.isdigit():
                continue
            if author not in roles and asked < AUTHORS:
                asked += 1
                roles[author] = await _role(zendesk, author)
            if roles.get(author) in STAFF:
                return _text(comment)
        meta = page.get("meta") or {}
        after = meta.get("after_cursor")
        if not meta.get("has_more") or not isinstance(after, str):
            return None
    return None


async def _role(zendesk: ZendeskClient, user_id: str) -> str:
    """Somebody's role; that of a customer where nobody is known any more."""
    try:
        return str((await zendesk.user(user_id)).get("role"))
    except Permanent as problem:
        if problem.code != "not_found":
            raise
        return "end-user"


def _text(comment: Mapping[str, Any]) -> str | None:
    # Older comments have no plain text but the empty one.
    return str(comment.get("plain_body") or comment.get("body") or "").strip() or None


def _objects(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    listed = answer.get(name)
    return [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
