"""Wires both sides together: the settings become a bridge with Slack added to it."""

from __future__ import annotations

from dataclasses import dataclass

from bolt_app.actions import ACTIONS
from bolt_app.background import Background
from bolt_app.client import SlackClient
from bolt_app.home import Homes
from bolt_app.inbox import Inbox
from bolt_app.installation import CONNECT, Installer
from bolt_app.parts import Parts
from bolt_app.roles import Roles
from bolt_app.settings import Settings
from bolt_app.text import escape
from bolt_app.views.help import invitation_needed
from zendesk_bridge.bridge import Bridge, BridgeSettings
from zendesk_bridge.flows.catalog import Connector, Identity
from zendesk_bridge.flows.errors import Credentials


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Both sides, wired."""

    bridge: Bridge
    slack: SlackClient
    installer: Installer

    async def close(self) -> None:
        """Ends both."""
        await self.bridge.stop()
        await self.slack.close()


def wire(settings: Settings, bridge_settings: BridgeSettings | None = None) -> Sides:
    """Makes both sides. Nothing is opened or called yet."""
    bridge = Bridge(bridge_settings or settings.bridge())
    token = settings.slack_bot_token
    slack = SlackClient(
        token=token.get_secret_value() if token else None,
        base_url=settings.slack_api_url,
        memory=bridge.memory,
        observe=bridge.observer("slack"),
        posts_a_minute=settings.slack_posts_per_minute,
        joins=settings.connector_join_public_channels,
    )

    installer = Installer(settings, slack, bridge)

    async def identify() -> Identity:
        if not slack.web.token:
            await installer.load()
        if not slack.web.token:
            hint = CONNECT if installer.is_possible else "Set SLACK_BOT_TOKEN and restart."
            raise Credentials("not_connected", "Slack is not connected yet", service="slack", hint=hint)
        # Anew: it is also how a connection that worked before is tried again.
        try:
            identity = await slack.identity(anew=True)
        except Credentials as problem:
            if settings.slack_bot_token is None:
                raise Credentials(problem.code, problem.message, service="slack", hint=CONNECT) from problem
            raise
        return Identity(
            account=identity.team,
            connected_by=installer.connected_by or identity.user_id,
            acts_as=identity.user_id,
            scopes=list(identity.scopes),
        )

    bridge.add(
        Connector(
            service="slack",
            title="Slack",
            client=slack,
            identify=identify,
            actions=ACTIONS,
            scheduler=slack.pacing.scheduler,
        )
    )

    async def tell(email: str, text: str) -> None:
        await slack.post_to_person(email, escape(text))

    async def ask_for_invitation(email: str, flow: str, channel: str) -> None:
        await slack.post_to_person(email, invitation_needed(flow=flow, channel=channel))

    async def find(email: str) -> None:
        await slack.user_by_email(email)

    bridge.notices.send = tell
    bridge.notices.find = find
    bridge.notices.send_invitation = ask_for_invitation
    return Sides(bridge=bridge, slack=slack, installer=installer)


def parts_of(sides: Sides, settings: Settings) -> Parts:
    """Makes what the listeners work with."""
    roles = Roles(sides.slack, settings.admins)
    homes = Homes(sides.bridge, sides.slack, roles)
    sides.bridge.changed = homes.changed
    return Parts(
        bridge=sides.bridge,
        slack=sides.slack,
        roles=roles,
        inbox=Inbox(sides.bridge.incoming),
        homes=homes,
        background=Background(),
    )
