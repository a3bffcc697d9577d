"""A Slack workspace in memory that the real Slack client can talk to, for trying things out and for tests.

`SlackServer` serves it over HTTP and Socket Mode on this machine, `SlackState` is what happens in it, `Fault` makes
something go wrong, `Limits` switches Slack's rate limits on, `SlackDelivery` (in `delivery`) sends the app what
Slack would send. An app can be installed in it by Slack's OAuth, from `SlackServer.authorize_url` on. Where Slack's
documentation leaves room, the sandbox takes the stricter reading: what works here is meant to work there.
"""

from bolt_app.sandbox.delivery import SlackDelivery
from bolt_app.sandbox.limits import Limits
from bolt_app.sandbox.records import Fault
from bolt_app.sandbox.server import SlackServer
from bolt_app.sandbox.state import SlackState

__all__ = ["Fault", "Limits", "SlackDelivery", "SlackServer", "SlackState"]
