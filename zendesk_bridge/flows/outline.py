"""What a flow consists of, for people who look at a run: its steps by their keys, and the ways inside them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from zendesk_bridge.flows.definition import ActionStep, BranchStep, LoopStep, Step, blocks_of
from zendesk_bridge.flows.store import select_definition


@dataclass(frozen=True, kw_only=True)
class Way:
    """Steps inside a step: a case of a branch, the steps of a loop, what is done where a step fails."""

    # As the history says which was taken: "1", "2", …, "else"; "pass"; "on_error".
    name: str
    steps: tuple[Outline, ...]


@dataclass(frozen=True, kw_only=True)
class Outline:
    """One step of a flow."""

    key: str
    # The action, or branch, loop, wait, set, stop.
    action: str
    ways: tuple[Way, ...] = ()


def outline_of(connection: sqlite3.Connection, flow: str, version: int) -> tuple[Outline, ...]:
    """The steps of a version of a flow; none where the version is not there."""
    definition = select_definition(connection, flow, version)
    return _outlines(definition.steps) if definition else ()


def _outlines(steps: Sequence[Step]) -> tuple[Outline, ...]:
    return tuple(_outline(step) for step in steps)


def _outline(step: Step) -> Outline:
    blocks = [_outlines(block) for _, block in blocks_of(step)]
    if isinstance(step, BranchStep):
        names = [*(str(number) for number, _ in enumerate(step.branch, 1)), "else"]
        ways = tuple(Way(name=name, steps=block) for name, block in zip(names, blocks, strict=True))
        return Outline(key=step.key, action="branch", ways=ways)
    if isinstance(step, LoopStep):
        return Outline(key=step.key, action="loop", ways=(Way(name="pass", steps=blocks[0]),))
    if isinstance(step, ActionStep):
        ways = tuple(Way(name="on_error", steps=block) for block in blocks)
        return Outline(key=step.key, action=step.action, ways=ways)
    return Outline(key=step.key, action=next(name for name in ("wait", "set", "stop") if hasattr(step, name)))
