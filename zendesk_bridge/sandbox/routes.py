"""What can be read from the sandbox: tickets, people, organizations and groups, one or many, with side-loads."""

import secrets
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from zendesk_bridge.sandbox import records
from zendesk_bridge.sandbox.answers import Refused, record_not_found
from zendesk_bridge.sandbox.asking import STATE, caller, id_in, ids_in, page, present, require
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.state import ZendeskState

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def side_loads(state: ZendeskState, request: web.Request, tickets: list[Record]) -> tuple[list[Record], Record]:
    """The tickets as they are sent, and the arrays that `include=` puts beside them."""
    wanted = {name.strip() for name in request.query.get("include", "").split(",")} - state.leave_out
    broken = [state.broken_tickets[ticket["id"]] for ticket in tickets if ticket["id"] in state.broken_tickets]
    if broken:
        raise Refused(broken[0], {"error": "InternalError", "description": "Something went wrong"})
    sent = [present(state, "ticket", ticket) for ticket in tickets]
    beside: Record = {}
    if "users" in wanted:
        people = (
            id
            for ticket in tickets
            for id in (
                ticket["requester_id"],
                ticket["submitter_id"],
                ticket["assignee_id"],
                *ticket["collaborator_ids"],
            )
        )
        beside["users"] = _those(state, "user", state.users, people)
    if "organizations" in wanted:
        ids = (ticket["organization_id"] for ticket in tickets)
        beside["organizations"] = _those(state, "organization", state.organizations, ids)
    if "groups" in wanted:
        beside["groups"] = _those(state, "group", state.groups, (ticket["group_id"] for ticket in tickets))
    if "metric_sets" in wanted:
        sets = [present(state, "metric_set", state.metric_sets[ticket["id"]]) for ticket in tickets]
        if state.metric_set_inside_ticket:
            for ticket, metrics in zip(sent, sets, strict=True):
                ticket["metric_set"] = metrics
        else:
            beside["metric_sets"] = sets
    return sent, beside


def _those(state: ZendeskState, kind: str, of: dict[int, Record], ids: Iterable[int | None]) -> list[Record]:
    return [present(state, kind, of[id], beside=True) for id in dict.fromkeys(ids) if id is not None and id in of]


def _one(of: dict[int, Record], id: int) -> Record:
    if id not in of:
        raise record_not_found()
    return of[id]


def _many(name: str, found: list[Record]) -> Record:
    return {name: found, "next_page": None, "previous_page": None, "count": len(found)}


async def show_ticket(request: web.Request) -> web.Response:
    """One ticket."""
    require(request)
    state = request.app[STATE]
    (ticket,), beside = side_loads(state, request, [_one(state.tickets, id_in(request, "tickets/show"))])
    return web.json_response({"ticket": ticket, **beside})


async def show_many_tickets(request: web.Request) -> web.Response:
    """Up to 100 tickets by id, in the order of their ids; unknown ids are left out without a word."""
    require(request)
    state = request.app[STATE]
    ids = sorted(ids_in(request, "tickets/show_many"))
    tickets, beside = side_loads(state, request, [state.tickets[id] for id in ids if id in state.tickets])
    return web.json_response(_many("tickets", tickets) | beside)


async def list_tickets(request: web.Request) -> web.Response:
    """All tickets, in pages."""
    require(request)
    state = request.app[STATE]
    answer = page(request, "tickets", list(state.tickets.values()))
    answer["tickets"], beside = side_loads(state, request, answer["tickets"])
    return web.json_response(answer | beside)


async def show_metrics(request: web.Request) -> web.Response:
    """A ticket's metric set, under the name the endpoint has for it."""
    require(request)
    state = request.app[STATE]
    metrics = _one(state.metric_sets, id_in(request, "ticket_metrics/show"))
    return web.json_response({"ticket_metric": present(state, "metric_set", metrics)})


async def list_comments(request: web.Request) -> web.Response:
    """A ticket's comments, oldest first unless asked otherwise; the first is the description."""
    require(request)
    state = request.app[STATE]
    ticket = _one(state.tickets, id_in(request, "comments/index"))
    found = list(state.comments.get(ticket["id"], ()))
    # Each way of paging has a parameter of its own, and takes no notice of the other's.
    by_cursor = "page[size]" in request.query or "page[after]" in request.query
    name, descending = ("sort", "-created_at") if by_cursor else ("sort_order", "desc")
    if request.query.get(name) == descending:
        found.reverse()
    answer = page(request, "comments", found)
    if "users" in request.query.get("include", "").split(",") and "users" not in state.leave_out:
        answer["users"] = _those(state, "user", state.users, (each["author_id"] for each in answer["comments"]))
    return web.json_response(answer)


async def list_audits(request: web.Request) -> web.Response:
    """A ticket's audits, oldest first."""
    require(request)
    state = request.app[STATE]
    ticket = _one(state.tickets, id_in(request, "audits/index"))
    found = [update.audit for update in state.updates if update.audit["ticket_id"] == ticket["id"]]
    return web.json_response(page(request, "audits", found))


async def show_user(request: web.Request) -> web.Response:
    """One person."""
    require(request)
    state = request.app[STATE]
    return web.json_response({"user": present(state, "user", _one(state.users, id_in(request, "users/show")))})


async def show_many_users(request: web.Request) -> web.Response:
    """Up to 100 people by id, in the order of their ids."""
    require(request)
    state = request.app[STATE]
    ids = sorted(ids_in(request, "users/show_many"))
    found = [present(state, "user", state.users[id]) for id in ids if id in state.users]
    return web.json_response(_many("users", found))


async def list_users(request: web.Request) -> web.Response:
    """All people, in pages."""
    require(request)
    state = request.app[STATE]
    return web.json_response(page(request, "users", [present(state, "user", user) for user in state.users.values()]))


async def show_me(request: web.Request) -> web.Response:
    """Who the credentials stand for. Without any, Zendesk answers 200 with an anonymous user whose id is null."""
    state = request.app[STATE]
    person = caller(request)
    shown = present(state, "user", anonymous(state) if person is None else person)
    shown["authenticity_token"] = None if person is None else secrets.token_urlsafe(64)
    return web.json_response({"user": shown})


def anonymous(state: ZendeskState) -> Record:
    """The nobody that `users/me` shows to callers without credentials."""
    return records.user(
        id=None,
        name="Anonymous user",
        email="invalid@example.com",
        role="end-user",
        at=state.clock(),
        locale="en-US",
        time_zone="London",
        iana_time_zone="Europe/London",
        organization_id=None,
        notes=None,
        details=None,
        phone=None,
        default_group_id=None,
        custom_role_id=None,
    )


async def show_organization(request: web.Request) -> web.Response:
    """One organization."""
    require(request)
    state = request.app[STATE]
    organization = _one(state.organizations, id_in(request, "organizations/show"))
    return web.json_response({"organization": present(state, "organization", organization)})


async def show_many_organizations(request: web.Request) -> web.Response:
    """Up to 100 organizations by id, in the order of their names."""
    require(request)
    state = request.app[STATE]
    ids = ids_in(request, "organizations/show_many")
    found = [present(state, "organization", state.organizations[id]) for id in ids if id in state.organizations]
    return web.json_response(_many("organizations", sorted(found, key=lambda each: str(each.get("name")))))


async def show_group(request: web.Request) -> web.Response:
    """One group."""
    require(request)
    state = request.app[STATE]
    return web.json_response({"group": present(state, "group", _one(state.groups, id_in(request, "groups/show")))})


# Fixed words stand before ids, because the first fit wins.
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "tickets", list_tickets),
    ("GET", "tickets/show_many", show_many_tickets),
    ("GET", "tickets/{id}", show_ticket),
    ("GET", "tickets/{id}/metrics", show_metrics),
    ("GET", "tickets/{id}/comments", list_comments),
    ("GET", "tickets/{id}/audits", list_audits),
    ("GET", "users", list_users),
    ("GET", "users/me", show_me),
    ("GET", "users/show_many", show_many_users),
    ("GET", "users/{id}", show_user),
    ("GET", "organizations/show_many", show_many_organizations),
    ("GET", "organizations/{id}", show_organization),
    ("GET", "groups/{id}", show_group),
)
