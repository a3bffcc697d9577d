"""What the listeners work with."""

from __future__ import annotations

from dataclasses import dataclass

from bolt_app.background import Background
from bolt_app.client import SlackClient
from bolt_app.home import Homes
from bolt_app.inbox import Inbox
from bolt_app.roles import Roles
from zendesk_bridge.bridge import Bridge


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the listeners work with."""

    bridge: Bridge
    slack: SlackClient
    roles: Roles
    inbox: Inbox
    homes: Homes
    background: Background
