"""Sample payloads of our own making: what Slack sends to the app, one of each kind it is subscribed to."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

#: Events, whole with their envelope.
EVENTS = (
    *("app_home_opened", "app_mention", "app_uninstalled"),
    *("member_joined_channel", "member_left_channel", "tokens_revoked"),
)
NAMES = (*EVENTS, "block_actions", "slash_command")


def load(name: str) -> dict[str, Any]:
    """The sample of this name, as a fresh dict. LookupError for a name that is not in `NAMES`."""
    if name not in NAMES:
        raise LookupError(f"There is no sample {name}; there are {', '.join(NAMES)}.")
    loaded: dict[str, Any] = json.loads((files(__package__) / f"{name}.json").read_text(encoding="utf-8"))
    return loaded
