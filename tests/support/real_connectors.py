"""The connectors there are, without an account: for tests that read flows and call nothing."""

from __future__ import annotations

from bolt_app import actions as slack_actions
from zendesk_bridge import actions as zendesk_actions
from zendesk_bridge import triggers
from zendesk_bridge.flows.catalog import Connector, Identity


async def nobody() -> Identity:
    """Who the connector is."""
    raise NotImplementedError


CONNECTORS = (
    Connector(
        service="zendesk",
        title="Zendesk",
        client=None,
        identify=nobody,
        actions=zendesk_actions.ACTIONS,
        triggers=triggers.triggers(),
    ),
    Connector(service="slack", title="Slack", client=None, identify=nobody, actions=slack_actions.ACTIONS),
)
