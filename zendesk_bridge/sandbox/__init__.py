"""A Zendesk account in memory, behind real HTTP: for the command `sandbox`, for tests, and for authors of flows.

    async with ZendeskServer() as zendesk:
        zendesk.state.add_webhook("http://127.0.0.1:3000/zendesk/events", secret="…")
        told = await zendesk.assign(people.GRINDER, people.NOOR)

The sandbox is never kinder than Zendesk: it limits requests a minute, refuses wrong credentials, leaves out
what Zendesk leaves out, and breaks when a `Fault` says so.
"""

from zendesk_bridge.sandbox.server import ZendeskServer
from zendesk_bridge.sandbox.state import Fault, ZendeskState

__all__ = ["Fault", "ZendeskServer", "ZendeskState"]
