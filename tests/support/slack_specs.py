"""Slack's own description of a method: arguments, scopes, tier, errors, answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def spec_of(folder: Path, method: str) -> dict[str, Any]:
    """What the stored reference says of a method.

    It lacks users.conversations. By Slack's page that one is conversations.list for one person: it takes `user` as
    well, is of tier 3, and answers with the same errors and the same channels (without `is_member` and `num_members`).
    https://docs.slack.dev/reference/methods/users.conversations
    """
    stored = "conversations.list" if method == "users.conversations" else method
    spec: dict[str, Any] = json.loads((folder / f"slack-api-ref/methods/{stored}.json").read_text())
    if method == "users.conversations":
        spec["rate_limits"] = "t3"
        spec["args"]["properties"]["user"] = {"type": "string", "subtype": "user"}
    return spec
