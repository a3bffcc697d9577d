"""What the bridge needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.flows.pauses import Timing
from zendesk_bridge.flows.retention import Keep
from zendesk_bridge.poller import Polling


@dataclass(frozen=True, kw_only=True)
class BridgeSettings:
    """What the bridge needs to know."""

    database: Path
    # The folder of flow files; None where none is set.
    flows: Path | None = None
    # Read where none is set, if it is there; it may be made while the connector runs.
    default_flows: Path | None = None
    zendesk: ZendeskSettings = field(default_factory=ZendeskSettings)
    webhook_secret: SecretStr | None = field(default=None, repr=False)
    # The address the world reaches; None where there is none.
    public_url: str | None = None
    # What secrets in the database are encrypted with; None: a key in a file beside it.
    secret_key: SecretStr | None = field(default=None, repr=False)
    # Seconds a signed request may be old.
    webhook_max_age: float = 3600.0
    # The e-mail of the person told about flows that name no owner.
    default_owner: str | None = None
    timing: Timing = field(default_factory=Timing)
    # How often a broken connection is tried again, in seconds.
    mend_every: float = 30.0
    polling: Polling = field(default_factory=Polling)
    keep: Keep = field(default_factory=Keep)
