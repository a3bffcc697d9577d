"""A version of a flow as an outline: which steps stand where, and which ways are inside them."""

from __future__ import annotations

from typing import Any

from zendesk_bridge.flows.outline import Outline, Way, outline_of


async def test_a_flow_is_outlined_with_every_way_inside_its_steps(engine: Any) -> None:
    holds = {"all": [{"variable": "trigger.what", "operator": "is_present"}]}
    await engine.flow(
        {
            "key": "way",
            "branch": [{"when": holds, "steps": [{"key": "rest", "wait": {"days": 1}}]}],
            "else": [{"key": "end", "stop": {}}],
        },
        {"key": "each", "loop": {"each": "{{ trigger.what }}", "steps": [{"key": "name", "set": {"a": 1}}]}},
        {
            "key": "look",
            "action": "far.look",
            "inputs": {"what": "x"},
            "on_error": [{"key": "other", "action": "far.look", "inputs": {"what": "y"}}],
        },
    )
    found = await engine.journal.read(lambda connection: outline_of(connection, "flow", 1))
    assert found == (
        Outline(
            key="way",
            action="branch",
            ways=(
                Way(name="1", steps=(Outline(key="rest", action="wait"),)),
                Way(name="else", steps=(Outline(key="end", action="stop"),)),
            ),
        ),
        Outline(key="each", action="loop", ways=(Way(name="pass", steps=(Outline(key="name", action="set"),)),)),
        Outline(
            key="look",
            action="far.look",
            ways=(Way(name="on_error", steps=(Outline(key="other", action="far.look"),)),),
        ),
    )


async def test_a_version_that_is_not_there_has_no_outline(engine: Any) -> None:
    assert await engine.journal.read(lambda connection: outline_of(connection, "flow", 7)) == ()
