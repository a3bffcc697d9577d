"""Help, welcome, and single sentences."""

from __future__ import annotations

from typing import Any

from bolt_app.text import escape, is_channel_id
from bolt_app.views.words import Message, View, code, context, cut, header, message, modal, safe, section

COMMAND = "/action-flows"
INVITE = "/invite @Zendesk Connector"

_FOR_ALL = (
    ("list", "the action flows: what starts each, whether it is active, how it last ran"),
    ("show KEY", "one action flow"),
    ("runs [KEY]", "the last runs, of all action flows or of one"),
    ("status", "the connections, asked now"),
    ("help", "this"),
)
_FOR_ADMINS = (
    ("test KEY [TICKET]", "try an action flow with a ticket: a dry run, unless you choose otherwise"),
    ("activate KEY", "switch an action flow on"),
    ("deactivate KEY", "switch it off"),
)


def sentence(text: str) -> Message:
    """An answer of a sentence or two, shown literally."""
    words = cut(escape(text), 2_900)
    return {"response_type": "ephemeral", "text": words}


def help_message(*, admin: bool) -> Message:
    """What may be typed."""
    rows = _lines(_FOR_ALL)
    blocks = [header("Zendesk Connector"), section("Runs *action flows* between Zendesk and Slack."), section(rows)]
    if admin:
        blocks.append(section(f"*For admins*\n{_lines(_FOR_ADMINS)}"))
    blocks.append(
        context(
            "What others call workflows are action flows here: `/action-flows workflows list` is understood too.",
            f"To let flows post in a channel, type there: `{INVITE}`",
        )
    )
    return message("What /action-flows can do", blocks)


def mention_help(*, command: str = COMMAND) -> dict[str, Any]:
    """The answer to a mention, for the thread."""
    text = (
        "I run action flows: I post here when one of them says so, and do nothing else.\n"
        f"`{command}` lists them, `{command} help` says what else there is."
    )
    return {"text": text}


def welcome(*, channel_name: str | None, posting: list[str], choosing: int) -> dict[str, Any]:
    """What whoever invited the app is told: what it does in the channel, and which active flows post there.

    Args:
        posting: the names of the active flows that name the channel.
        choosing: how many active flows choose their channel as they run.
    """
    here = f"#{safe(channel_name)}" if channel_name else "this channel"
    first = f"Thank you. I post in {here} when an action flow says so, and read only the messages a flow asks for."
    return {"text": f"{first}\n{_posting(posting, choosing)}"}


def invitation_needed(*, flow: str, channel: str, waiting: int = 1) -> str:
    """What a flow's owner is told while runs wait for an invitation.

    Args:
        flow: the flow's name.
        channel: the channel's id, or `#name`.
    """
    where = f"<#{channel}>" if is_channel_id(channel) else escape(channel)
    runs = "A run waits" if waiting == 1 else f"{waiting:,} runs wait"
    return (
        f"The action flow *{safe(flow, 200)}* wants to post in {where}, and I am not in that channel. {runs} for it.\n"
        f"Type there: `{INVITE}`\n"
        "The flow then goes on by itself; without an invitation its runs fail after seven days."
    )


def as_modal(title: str, answer: Message) -> View:
    """An answer in a modal: where a button has no message to answer in."""
    return modal(title, answer.get("blocks") or [section(answer["text"])])


def _posting(posting: list[str], choosing: int) -> str:
    names = ", ".join(f"*{safe(name, 120)}*" for name in posting[:10])
    more = f" and {len(posting) - 10} more" if len(posting) > 10 else ""
    chosen = f"{choosing} choose{'s' if choosing == 1 else ''} the channel when running" if choosing else ""
    if not posting:
        return f"No active action flow names this channel{f'; {chosen}' if chosen else ' yet'}."
    return f"Active action flows that post here: {names}{more}{f'; {chosen}' if chosen else ''}."


def _lines(rows: tuple[tuple[str, str], ...]) -> str:
    return "\n".join(f"{code(f'{COMMAND} {typed}')}  {what}" for typed, what in rows)
