"""The app's Home tab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bolt_app.views import ids
from bolt_app.views.connections import connection_rows, service_words
from bolt_app.views.flows import flow_rows
from bolt_app.views.runs import run_rows
from bolt_app.views.words import (
    VIEW_BLOCKS,
    VIEW_BYTES,
    Block,
    View,
    actions,
    button,
    context,
    divider,
    header,
    safe,
    section,
    size,
)

#: Blocks that are kept for the last runs and the last line.
_LAST = 28


@dataclass(frozen=True, kw_only=True)
class HomeState:
    """All that a Home tab shows."""

    # As `connections list --json` has them.
    connections: list[dict[str, Any]]
    # As `flows list --json` has them.
    flows: list[dict[str, Any]]
    # The last runs, as `runs list --json` has them.
    runs: list[dict[str, Any]]
    more_runs: bool
    # "ok", or what is wrong.
    database: str
    # "ok", or what is wrong; None where nothing is polled.
    poll: str | None
    admin: bool


def home(state: HomeState) -> View:
    """The Home tab: connections, flows, last runs."""
    blocks = [
        header("Zendesk Connector"),
        section("Runs action flows between Zendesk and Slack."),
        *service_words(state.database, state.poll),
        header("Connections"),
    ]
    for connection in state.connections:
        blocks += connection_rows(connection, admin=state.admin)
    if not state.connections:
        blocks.append(section("Nothing is connected yet."))
    blocks += [divider(), header("Action flows")]
    last = _runs(state)
    room = VIEW_BYTES - size(blocks) - size(last)
    for place, flow in enumerate(state.flows):
        rows = flow_rows(flow, admin=state.admin)
        room -= size(rows)
        if len(blocks) + len(rows) > VIEW_BLOCKS - _LAST - 1 or room < 0:
            left = len(state.flows) - place
            blocks.append(context(f"… {left} more: `/action-flows list`"))
            break
        blocks += rows
    if not state.flows:
        blocks.append(section("There is no action flow yet."))
    blocks += [divider(), header("Last runs"), *last, divider()]
    more = "`/action-flows help` says what else there is. To let flows post in a channel, type there:"
    return {"type": "home", "blocks": [*blocks, context(f"{more} `/invite @Zendesk Connector`")]}


def _runs(state: HomeState) -> list[Block]:
    blocks: list[Block] = []
    for run in state.runs:
        rows = run_rows(run, admin=state.admin)
        if len(blocks) + len(rows) > _LAST - 6:
            break
        blocks += rows
    if not blocks:
        return [section("Nothing has run yet.")]
    more = state.more_runs or len(blocks) < len(state.runs)
    return [*blocks, *(actions([button("All runs", ids.FLOW_RUNS, "")]) if more else [])]


def refused_home(sentence: str) -> View:
    """A Home tab with one sentence only."""
    return {"type": "home", "blocks": [section(safe(sentence))]}
