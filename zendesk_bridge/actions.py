"""The Zendesk actions: one function each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from zendesk_bridge.flows.catalog import Wanted, action
from zendesk_bridge.flows.errors import Permanent
from zendesk_bridge.reads import Reads
from zendesk_bridge.records import (
    OrganizationFields,
    TicketFields,
    UserFields,
    id_text,
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
_COMMENT = "latest_agent_comment"
#: Variables that Zendesk does not send.
_MADE_HERE = frozenset({"url"})


def _needed_id(value: object) -> object:
    text = id_text(value)
    if text is None or not text.isdigit():
        raise ValueError("a Zendesk id is a whole number")
    return text


TicketId = Annotated[str, BeforeValidator(_needed_id), Field(description="The ticket's number.")]
UserId = Annotated[str, BeforeValidator(_needed_id), Field(description="The user's Zendesk id.")]
OrganizationId = Annotated[str, BeforeValidator(_needed_id), Field(description="The organization's Zendesk id.")]


@action("read")
async def look_up_ticket(reads: Reads, *, ticket_id: TicketId, wanted: Wanted) -> TicketFields:
    """Looks up a ticket with its standard fields, custom fields and tags.

    A deleted ticket fails the step with `not_found`. `latest_agent_update` comes from the ticket's metric set; where
    Zendesk leaves that out of its answer it is fetched, if the flow uses it. `latest_agent_comment` costs a call more,
    if the flow uses it; internal notes are no part of it, so that they get into no channel.
    """
    if _COMMENT not in wanted.names:
        return await _ticket(reads, ticket_id, wanted, None)
    # Its comments need no more than its number.
    comment = asyncio.create_task(_latest_agent_comment(reads, ticket_id))
    try:
        return await _ticket(reads, ticket_id, wanted, comment)
    finally:
        comment.cancel()
        await asyncio.gather(comment, return_exceptions=True)


@action("read")
async def look_up_user(reads: Reads, *, user_id: UserId, wanted: Wanted) -> UserFields:
    """Looks up an agent or a customer by Zendesk id, with custom fields and tags."""
    return user_from(await reads.user(user_id, wanted.names - _MADE_HERE), reads.zendesk.settings.agent_base)


@action("read")
async def look_up_organization(reads: Reads, *, organization_id: OrganizationId, wanted: Wanted) -> OrganizationFields:
    """Looks up an organization by Zendesk id, with custom fields and tags."""
    needed = {"domain_names" if name == "domains" else name for name in wanted.names - _MADE_HERE}
    found = await reads.organization(organization_id, frozenset(needed))
    return organization_from(found, reads.zendesk.settings.agent_base)


async def _ticket(reads: Reads, ticket_id: str, wanted: Wanted, comment: Awaitable[str | None] | None) -> TicketFields:
    found = await reads.ticket(ticket_id)
    metrics = found.metrics
    if metrics is None and "latest_agent_update" in wanted.names:
        reads.missed("metric_sets")
        metrics = await _or_none(reads.zendesk.ticket_metrics(ticket_id))
    return ticket_from(found.answer, metrics, reads.zendesk.settings.agent_base, await comment if comment else None)


ACTIONS = (look_up_ticket, look_up_user, look_up_organization)


async def _latest_agent_comment(reads: Reads, ticket_id: str) -> str | None:
    """The text of the newest public comment an agent or admin wrote; None where the newest 100 have none.

    https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/
    """
    roles: dict[str, str] = {}
    asked, after = 0, None
    for _ in range(PAGES):
        page = await reads.zendesk.comments(ticket_id, size=COMMENTS_A_PAGE, after=after)
        roles |= {str(user.get("id")): user["role"] for user in _objects(page, "users") if user.get("role")}
        for comment in _objects(page, "comments"):
            author = id_text(comment.get("author_id")) or ""
            # Whatever Zendesk itself writes has a negative id.
            if comment.get("public") is not True or not author.isdigit():
                continue
            if author not in roles and asked < AUTHORS:
                asked += 1
                roles[author] = await _role(reads, author)
            if roles.get(author) in STAFF:
                return _text(comment)
        meta = page.get("meta") or {}
        after = meta.get("after_cursor")
        if not meta.get("has_more") or not isinstance(after, str):
            return None
    return None


async def _role(reads: Reads, user_id: str) -> str:
    """Somebody's role; that of a customer where nobody is known any more."""
    user = await _or_none(reads.user(user_id, frozenset({"role"})))
    return "end-user" if user is None else str(user.get("role"))


async def _or_none(found: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What is found, None where it is not there."""
    try:
        return await found
    except Permanent as problem:
        if problem.code != "not_found":
            raise
        return None


def _text(comment: Mapping[str, Any]) -> str | None:
    # Older comments have no plain text but the empty one.
    return str(comment.get("plain_body") or comment.get("body") or "").strip() or None


def _objects(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    listed = answer.get(name)
    return [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
