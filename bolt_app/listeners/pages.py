"""What commands and buttons answer with: lists, one flow, one run, how things are."""

from __future__ import annotations

from typing import Any

from bolt_app.parts import Parts
from bolt_app.roles import Role
from bolt_app.views.connections import status as status_view
from bolt_app.views.flows import PAGE, flow_list, flow_shown, problem_words
from bolt_app.views.runs import run_list
from zendesk_bridge.bridge import Wanted

Message = dict[str, Any]

#: Runs on a page.
RUNS = 10
#: How long the services may take to say how they are, in seconds.
CHECK_WITHIN = 1.2


async def flows(parts: Parts, role: Role, offset: int) -> Message:
    """A page of the flows."""
    return flow_list(await parts.bridge.list_flows(), offset=offset, admin=role is Role.ADMIN)


async def flows_around(parts: Parts, role: Role, key: str) -> Message:
    """The page of the flows that has one of them."""
    keys = [flow["key"] for flow in await parts.bridge.list_flows()]
    place = keys.index(key) if key in keys else 0
    return await flows(parts, role, place - place % PAGE)


async def flow(parts: Parts, role: Role, key: str) -> Message:
    """One flow. Raises NotFound, naming the nearest."""
    return flow_shown(await parts.bridge.show_flow(key), admin=role is Role.ADMIN)


async def runs(parts: Parts, role: Role, flow: str | None, offset: int) -> Message:
    """A page of the runs, of one flow or of all. Raises NotFound where there is no such flow."""
    if flow is not None:
        await parts.bridge.show_flow(flow)
    found = await parts.bridge.list_runs(RUNS + 1, wanted=Wanted(flow=flow), offset=offset)
    return run_list(found[:RUNS], flow=flow, offset=offset, more=len(found) > RUNS, admin=role is Role.ADMIN)


async def status(parts: Parts, role: Role) -> Message:
    """How the connections and the flows are, asked now."""
    bridge = parts.bridge
    await bridge.connections.check_now(CHECK_WITHIN)
    readiness = await bridge.readiness()
    flows = await bridge.list_flows()
    return status_view(
        await bridge.list_connections(),
        database=readiness.database,
        poll=readiness.parts.get("poll"),
        flows_active=sum(flow["active"] for flow in flows),
        flows=len(flows),
        problems=[
            f"{flow['key']}: {problem_words(flow, admin=role is Role.ADMIN)}" for flow in flows if flow["problem"]
        ],
        waiting=await bridge.waiting_runs(),
    )
