"""Long lists handed out page by page, as Slack does with opaque cursors."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

from bolt_app.sandbox.web_call import RefusalError, WebCall

Item = TypeVar("Item")


def read_cursor(call: WebCall, key: str) -> str | None:
    """What the cursor points to; None without one. A cursor of another method is refused."""
    given = call.text("cursor")
    if not given:
        return None
    try:
        name, _, place = base64.b64decode(given, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise RefusalError("invalid_cursor") from error
    if name != key or not place:
        raise RefusalError("invalid_cursor")
    return place


def write_cursor(key: str, place: str) -> str:
    """An opaque cursor that points to a place."""
    return base64.b64encode(f"{key}:{place}".encode("ascii")).decode("ascii")


def page(call: WebCall, items: Sequence[Item], key: str, *, limit: int) -> tuple[list[Item], dict[str, Any]]:
    """One page of a list that only grows at its end, and the `response_metadata` to go with it."""
    place = read_cursor(call, key) or "0"
    if not place.isdigit() or int(place) > len(items):
        raise RefusalError("invalid_cursor")
    start = int(place)
    end = start + limit if limit else len(items)
    return list(items[start:end]), {"next_cursor": write_cursor(key, str(end)) if end < len(items) else ""}
