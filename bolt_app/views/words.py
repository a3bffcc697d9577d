"""The pieces all views are made of, within Slack's limits: texts, times, marks, buttons, blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bolt_app.text import escape
from zendesk_bridge.flows.model import parse_time

Block = dict[str, Any]
Message = dict[str, Any]
View = dict[str, Any]

# https://docs.slack.dev/reference/block-kit
#: Characters of a text object, of a button, of a button's value.
TEXT, BUTTON, VALUE = 3_000, 75, 2_000
#: Characters of all texts of a message, blocks of a message, blocks of a modal or Home tab.
MESSAGE_TEXT, MESSAGE_BLOCKS, VIEW_BLOCKS = 12_000, 50, 100
#: Bytes of a view's blocks: Slack takes 250 KB, and what is around them needs room.
VIEW_BYTES = 230_000

MARKS = {
    "succeeded": ":white_check_mark:",
    "failed": ":x:",
    "waiting": ":hourglass_flowing_sand:",
    "running": ":arrows_counterclockwise:",
    "queued": ":arrows_counterclockwise:",
    "cancelled": ":no_entry_sign:",
    "skipped": ":fast_forward:",
    "not_sent": ":speech_balloon:",
    "active": ":large_green_circle:",
    "inactive": ":white_circle:",
    "ok": ":large_green_circle:",
    "checking": ":white_circle:",
    "not_connected": ":white_circle:",
}
TROUBLE = ":red_circle:"
WARNING = ":warning:"
#: Stands where there is nothing to say; Slack takes no empty text.
NOTHING = "–"


def cut(text: str, most: int) -> str:
    """A text of so many characters at most, cut visibly, and never inside `&amp;` and the like or a link."""
    if len(text) <= most:
        return text
    kept = text[: most - 1]
    entity, link = kept.rfind("&"), kept.rfind("<")
    if entity > kept.rfind(";") and len(kept) - entity < len("&amp;"):
        kept = kept[:entity]
    if link > kept.rfind(">"):
        kept = kept[:link]
    return kept + "…"


def safe(value: object, most: int = 300) -> str:
    """Somebody else's words on one line, literally, in a text with markup."""
    return cut(escape(" ".join(str(value).split())), most)


def code(value: object, most: int = 150) -> str:
    """A name as code. What would end the code is left out."""
    return f"`{safe(str(value).replace('`', ''), most) or NOTHING}`"


def when(moment: str | None) -> str:
    """A time in its reader's own zone."""
    if not moment:
        return "never"
    at = parse_time(moment)
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{at:%Y-%m-%d %H:%M} UTC>"


def took(started: str | None, finished: str | None) -> str:
    """How long something took: `120 ms`, `3.2 s`, `4 min`, `5 h 3 min`, `2 d 4 h`; nothing where it has not ended."""
    if not started or not finished:
        return ""
    seconds = max(0.0, (parse_time(finished) - parse_time(started)).total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def mark(status: str) -> str:
    """A status as a sign: what is not known is trouble."""
    return MARKS.get(status, TROUBLE)


def mrkdwn(text: str) -> dict[str, Any]:
    """A text with Slack's markup, what was inserted into it escaped already."""
    return {"type": "mrkdwn", "text": cut(text.strip(), TEXT) or NOTHING}


def plain_text(text: str, most: int = TEXT) -> dict[str, Any]:
    """A text in which nothing means anything."""
    return {"type": "plain_text", "text": cut_plain(text, most) or NOTHING, "emoji": False}


def cut_plain(text: str, most: int) -> str:
    """The same as `cut` for a text without markup."""
    text = "".join(each for each in text if each >= " " or each in "\n\t").strip()
    return text if len(text) <= most else text[: most - 1] + "…"


def header(text: str) -> Block:
    """A headline."""
    return {"type": "header", "text": plain_text(text, 150)}


def section(text: str, accessory: Block | None = None) -> Block:
    """A paragraph, perhaps with a button beside it."""
    return {"type": "section", "text": mrkdwn(text)} | ({"accessory": accessory} if accessory else {})


def dump(text: str) -> Block:
    """A paragraph in which nothing means anything."""
    return {"type": "section", "text": plain_text(text)}


def file_text(text: str) -> Block:
    """A file as it is, in letters of one width."""
    words = [{"type": "text", "text": cut_plain(text, TEXT) or NOTHING}]
    return {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": words}]}


def context(*texts: str) -> Block:
    """Small print."""
    return {"type": "context", "elements": [mrkdwn(text) for text in texts[:10]]}


def divider() -> Block:
    """A line."""
    return {"type": "divider"}


def actions(buttons: Iterable[Block]) -> list[Block]:
    """A row of buttons; no block where there is none."""
    row = list(buttons)
    return [{"type": "actions", "elements": row[:25]}] if row else []


def button(text: str, action_id: str, value: str, *, style: str | None = None, confirm: str | None = None) -> Block:
    """A button.

    Args:
        style: `primary` or `danger`.
        confirm: a question that is asked first.
    """
    made: Block = {
        "type": "button",
        "action_id": action_id,
        "text": {"type": "plain_text", "text": cut_plain(text, BUTTON)},
        "value": value[:VALUE],
    }
    if style:
        made["style"] = style
    if confirm:
        made["confirm"] = {
            "title": plain_text("Are you sure?", 100),
            "text": plain_text(confirm, 300),
            "confirm": plain_text("Yes", 30),
            "deny": plain_text("No", 30),
        }
    return made


def message(text: str, blocks: list[Block]) -> Message:
    """An answer that one person alone sees. What is beyond Slack's limits is left out, visibly.

    Args:
        text: what notifications show.
    """
    kept: list[Block] = []
    letters = 0
    for block in blocks:
        letters += sum(len(each) for each in _texts(block))
        if len(kept) == MESSAGE_BLOCKS - 1 or letters > MESSAGE_TEXT - 100:
            kept.append(context("… there is more than Slack shows in one message."))
            break
        kept.append(block)
    return {"response_type": "ephemeral", "text": cut(text, TEXT) or NOTHING, "blocks": kept}


def size(blocks: list[Block]) -> int:
    """Bytes of some blocks as Slack's SDK sends them, with every character that is not ASCII escaped."""
    return len(json.dumps(blocks))


def modal(title: str, blocks: list[Block], **more: Any) -> View:
    """A modal."""
    return {
        "type": "modal",
        "title": {"type": "plain_text", "text": cut_plain(title, 24) or "Zendesk Connector"},
        "close": {"type": "plain_text", "text": "Close"},
        "blocks": blocks[:VIEW_BLOCKS],
        **more,
    }


def _texts(part: Any) -> Iterable[str]:
    if isinstance(part, Mapping):
        for name, value in part.items():
            if name == "text" and isinstance(value, str):
                yield value
            else:
                yield from _texts(value)
    elif isinstance(part, list):
        for each in part:
            yield from _texts(each)
