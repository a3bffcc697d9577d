"""Which active flows post in a channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bolt_app.directory import channel_name
from bolt_app.records import SlackChannel
from zendesk_bridge.flows.model import StoredFlow


@dataclass(frozen=True, kw_only=True)
class Posting:
    """The flows that post in a channel."""

    # The names of those that name it.
    flows: list[str]
    # How many choose their channel as they run: it may be this one.
    choosing: int


def posting_in(channel: SlackChannel, flows: Iterable[StoredFlow]) -> Posting:
    """Which of some flows post in a channel."""
    named, choosing = [], 0
    for flow in flows:
        given = {
            str(step.inputs["channel"]).strip()
            for step in flow.definition.actions()
            if step.action.startswith("slack.") and step.inputs.get("channel")
        }
        if any(_is(each, channel) for each in given):
            named.append(flow.name)
        elif any("{{" in each or "{%" in each for each in given):
            choosing += 1
    return Posting(flows=named, choosing=choosing)


def _is(given: str, channel: SlackChannel) -> bool:
    return given == channel.id or (bool(channel.name) and channel_name(given) == channel_name(channel.name))
