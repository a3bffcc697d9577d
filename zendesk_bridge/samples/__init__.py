"""Sample payloads of our own making: events as both kinds of webhooks bring them, and answers of look-ups."""

import json
from importlib.resources import files
from typing import Any

NAMES = ("ticket_agent_assignment_changed", "zendesk_trigger", "ticket", "user", "organization")


def load(name: str) -> dict[str, Any]:
    """The sample of this name, as a fresh dict. LookupError for a name that is not in `NAMES`."""
    if name not in NAMES:
        raise LookupError(f"There is no sample {name}; there are {', '.join(NAMES)}.")
    loaded: dict[str, Any] = json.loads((files(__package__) / f"{name}.json").read_text(encoding="utf-8"))
    return loaded
