"""Turns values into text that Slack shows as it was meant, and Slack's text back into plain text."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote, urlencode

from pydantic import BeforeValidator

from zendesk_bridge.flows.catalog import Inserted, Made, as_text

#: The longest single value that goes into a message word for word, in characters.
VALUE_LIMIT = 3_000
#: The longest text Slack takes in one message, in characters: https://docs.slack.dev/reference/methods/chat.postMessage
MESSAGE_LIMIT = 40_000
SHORTENED = "… (shortened)"

# Stand around each inserted value until the whole text is settled: control characters, of which a value keeps none.
# They are ASCII as most messages are, which any other character would make twice as long, and slower to go through.
_OPEN, _CLOSE = "\x02", "\x03"
# Control characters, what turns the direction of the text after it, halves of characters and others that are no text.
_STRIPPED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0\ufdd1]")
_MARKED = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")
# Values hold neither bracket, so both are the author's.
_BRACKETS = re.compile("(<[^>]*)(>?)")
# What a value may make between brackets: an address, or the id in a mention or time that the author began.
_ADDRESS = re.compile(r"(https?://[^/?#]|mailto:[^?]).*", re.IGNORECASE)
_REFERENCE = re.compile(r"((@[UW]|#[CG]|!subteam\^S)[A-Z0-9]+|!date\^[0-9]+\^[^^]*(\^https?://[^^]*)?)")
_ENCODED = re.compile(r"[\s|]|&lt;|&gt;")
_BEGUN = ("@", "#", "!subteam^", "!date^")
_TS = re.compile(r"[0-9]{1,12}\.[0-9]{6}")
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]+")
_PERSON_ID = re.compile(r"[UW][A-Z0-9]+")
# The longest thing between < and > that is worth looking back for when a text is cut.
_LONGEST_LINK = 3_000


class SlackMarkup(str):
    """Text with Slack markup of our own making, such as a mention: inserted as it is.

    What is made of it (`{{ mention | upcase }}`) is ordinary text again, and is escaped.
    """

    __slots__ = ()


def escape(value: object) -> str:
    """A value as Slack text that shows it literally: no mention, link or channel comes of it.

    Null is empty, true is `true`, a list is its items with commas, an object is JSON. `&`, `<` and `>` are
    escaped once (https://docs.slack.dev/messaging/formatting-message-text), control characters and characters that
    turn the direction of text are left out, and after 3,000 characters the text is visibly shortened.
    """
    if isinstance(value, SlackMarkup):
        return str(value)
    text = value if type(value) is str else as_text(value)
    # Nothing that is left out is printable, but line feeds are not either; to ask so is quicker than to search.
    if not text.isprintable() and not text.replace("\n", " ").isprintable():
        text = _STRIPPED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if len(text) > VALUE_LIMIT:
        text = text[:VALUE_LIMIT] + SHORTENED
    if "&" in text or "<" in text or ">" in text:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text


def inserted(value: object) -> str:
    """A value as a template inserts it: escaped, and marked until `settle` has seen where it stands."""
    return str(value) if isinstance(value, SlackMarkup) else f"{_OPEN}{escape(value)}{_CLOSE}"


def settle(text: str) -> str:
    """A text with its values in place, as Slack may have it: what stands between `<` and `>` is looked at once more.

    There the author lets a value make a link (`<{{ url }}|label>`), a part of one, its label, or the id of somebody
    to mention (`<@{{ id }}>`). A value that makes the link's address begin otherwise than with http://, https:// or
    mailto: is shown as text, brackets and all; so is one that would make a mention the author did not begin, such as
    `<!{{ value }}>`. In an address spaces and `|` are encoded, so that a value cannot give the link its label. What
    the author wrote without a value stays as it is, and so does a text that is settled already.
    """
    if "<" in text and _OPEN in text:
        text = _BRACKETS.sub(_settled, text)
    return text.replace(_OPEN, "").replace(_CLOSE, "")


def _settled(found: re.Match[str]) -> str:
    if _OPEN not in found[0]:
        return found[0]
    before, _, inside = found[1].rpartition("<")
    before, closed = before.replace("<", "&lt;"), bool(found[2])
    if closed and _OPEN not in inside:
        return f"{before}<{inside}>"
    # By turns what the author wrote and a value, the author's first.
    parts = _MARKED.split(inside)
    address, label, labelled, decides = "", "", False, False
    for index, part in enumerate(parts):
        is_value = index % 2 == 1
        if labelled:
            label += part.replace("|", "¦") if is_value else part
        elif is_value:
            address += _ENCODED.sub(lambda each: quote(plain(each[0])), part.strip())
            decides = True
        else:
            own, bar, after = part.partition("|")
            address, label, labelled = address + own, after, bool(bar)
    label = " ".join(label.split())
    allowed = _ADDRESS if not parts[0].startswith(_BEGUN) else _REFERENCE
    if not closed or (decides and not allowed.fullmatch(address)):
        return before + (label if closed and not address else f"&lt;{inside}{'&gt;' if closed else ''}")
    return before + (f"<{address}|{label}>" if label else f"<{address}>")


def plain(markup: str) -> str:
    """Slack's text with `&lt;`, `&gt;` and `&amp;` decoded once: what somebody typed."""
    return markup.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def fit(text: str) -> str:
    """A message that Slack takes whole: under 40,000 characters, cut visibly and never inside an entity or a link."""
    if len(text) < MESSAGE_LIMIT:
        return text
    cut = text[: MESSAGE_LIMIT - len(SHORTENED) - 1]
    entity, link = cut.rfind("&"), cut.rfind("<")
    if entity > cut.rfind(";") and len(cut) - entity < len("&amp;"):
        cut = cut[:entity]
    if link > cut.rfind(">") and len(cut) - link < _LONGEST_LINK:
        cut = cut[:link]
    return cut + SHORTENED


def permalink(workspace_url: str, channel: str, ts: str, thread_ts: str | None = None) -> str:
    """The address at which people find a message, put together without asking Slack."""
    address = f"{workspace_url.rstrip('/')}/archives/{channel}/p{ts.replace('.', '')}"
    if thread_ts is None or thread_ts == ts:
        return address
    return f"{address}?{urlencode({'thread_ts': thread_ts, 'cid': channel})}"


def is_channel_id(text: str) -> bool:
    """Whether this is a channel's id (C…, G…) or that of direct messages (D…), not a name."""
    return _CHANNEL_ID.fullmatch(text) is not None


def is_person_id(text: str) -> bool:
    """Whether this is a person's id (U…, W…)."""
    return _PERSON_ID.fullmatch(text) is not None


def check_ts(value: object) -> str:
    """The ts of a message, as text. Raises ValueError with a sentence for the flow's author."""
    text = value.strip() if isinstance(value, str) else ""
    if _TS.fullmatch(text):
        return text
    shown = str(value)[:40]
    if shown.strip().replace(".", "", 1).isdigit():
        raise ValueError(
            f"{shown} is not a message's ts, such as '1503435956.000247'; "
            "put it in quotes: a bare number loses its zeros"
        )
    raise ValueError(f"{shown!r} is not a message's ts, such as '1503435956.000247'")


#: An input that becomes part of a message: inserted values are escaped, the author's own markup works.
SlackText = Annotated[str, Inserted(inserted, settle)]
#: An output that is Slack markup of our own making.
Markup = Annotated[str, Made(SlackMarkup)]
#: An input that names a message by its ts. Numbers are refused.
SlackTs = Annotated[str, BeforeValidator(check_ts)]
#: The same, where it may be left out.
OptionalSlackTs = Annotated[str | None, BeforeValidator(lambda value: None if value is None else check_ts(value))]
