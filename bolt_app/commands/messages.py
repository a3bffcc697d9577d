"""What a run sent, or would send, as people see it in Slack: drawn on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bolt_app.commands import terminal
from bolt_app.markup import Span, seen, spans

APP = "Zendesk Connector"
#: Panels are no wider: text is read in lines of this length.
WIDEST = 100

_LOOKS = {"bold": "bold", "italic": "italic", "strike": "strike", "code": "cyan", "link": "underline"}


@dataclass(frozen=True, kw_only=True)
class Sending:
    """What one step sent, or would send: a message, or a reaction to one."""

    # The step's key in the history.
    step: str
    # False: it would be sent.
    sent: bool
    # The channel or the person.
    to: str
    # Slack's markup; empty for a reaction.
    markup: str = ""
    # The emoji's name, without colons; empty for a message.
    reaction: str = ""
    # How the message begins that it answers or reacts to; its ts where it is not of this run; empty for no thread.
    about: str = ""

    def as_json(self, names: Mapping[str, str]) -> dict[str, Any]:
        """`{step, sent, to, text, reaction, about}`; `text` as its reader sees it."""
        return {
            "step": self.step,
            "sent": self.sent,
            "to": self.to,
            "text": seen(self.markup, names),
            "reaction": self.reaction or None,
            "about": self.about or None,
        }


def is_sending(step: Mapping[str, Any]) -> bool:
    """Whether a step, as `runs show` has it, sent something in Slack, or would."""
    given = step["inputs"]
    has_what = given.get("message") or (step["action"] == "slack.add_reaction" and given.get("name"))
    return bool(step["action"].startswith("slack.") and has_what and step["status"] in ("succeeded", "not_sent"))


def sendings(run: Mapping[str, Any], names: Mapping[str, str]) -> list[Sending]:
    """What a run's steps sent, or would send, in order.

    Args:
        run: as `runs show --json` has it; a step that would send has the status `not_sent`.
        names: of people and channels by id, as `names_in` finds them.
    """
    found: list[Sending] = []
    beginnings: dict[str, str] = {}
    for step in run["steps"]:
        if not is_sending(step):
            continue
        given = step["inputs"]
        is_reaction = step["action"] == "slack.add_reaction"
        markup = "" if is_reaction else str(given["message"])
        about = given.get("timestamp") if is_reaction else given.get("thread_ts")
        sending = Sending(
            step=step["key"],
            sent=step["status"] == "succeeded",
            to=_recipient(given, names),
            markup=markup,
            reaction=str(given["name"]).strip(":") if is_reaction else "",
            about=beginnings.get(str(about), str(about)) if about else "",
        )
        found.append(sending)
        if not is_reaction:
            beginnings[str(step["outputs"].get("ts"))] = f"“{_beginning(seen(markup, names))}”"
    return found


def names_in(run: Mapping[str, Any]) -> dict[str, str]:
    """What a run tells of the names of people, by id and by e-mail address, and of channels, by id."""
    names: dict[str, str] = {}
    for step in run["steps"]:
        given, outputs = step["inputs"], step["outputs"]
        name = outputs.get("real_name") or outputs.get("name")
        for key in (outputs.get("email"), outputs.get("user_id")):
            if isinstance(key, str) and isinstance(name, str) and name:
                names[key] = name
        channel = given.get("channel")
        if isinstance(channel, str) and channel.startswith("#") and isinstance(outputs.get("channel"), str):
            names[outputs["channel"]] = channel
    return names


def show(found: list[Sending], names: Mapping[str, str]) -> None:
    """Prints what was sent, or would be, as people see it."""
    for each in found:
        if each.reaction:
            adds = "adds" if each.sent else "would add"
            terminal.say(f"{APP} {adds} :{each.reaction}: to {each.about}, in {each.to}", None)
            continue
        thread = f"in the thread of {each.about}" if each.about else ""
        panel(f"{'Slack' if each.sent else 'Would be sent'} · {APP} → {each.to}", spans(each.markup, names), thread)


def panel(title: str, body: Iterable[Span], thread: str = "") -> None:
    """A message in a frame.

    Args:
        thread: where it stands, if that is in a thread.
    """
    from rich.box import ROUNDED
    from rich.panel import Panel
    from rich.text import Text

    console = terminal.open_console()
    width = min(console.width, WIDEST) if console.is_terminal else WIDEST
    text = Text()
    if thread:
        text.append(f"↳ {' '.join(terminal.clean(thread).split())}\n\n", "dim")
    for span in body:
        text.append(terminal.clean(span.text), " ".join(_LOOKS[look] for look in span.look.split()))
    text.rstrip()
    head = Text(" ".join(terminal.clean(title).split()))
    head.truncate(width - 8, overflow="ellipsis")
    head = Text.assemble((" ", ""), head, (" ", ""), style="bold")
    console.print(Panel(text, title=head, title_align="left", box=ROUNDED, padding=(1, 2), width=width))


def _recipient(given: Mapping[str, Any], names: Mapping[str, str]) -> str:
    email = given.get("email")
    if isinstance(email, str) and email:
        return f"{names[email]} ({email})" if email in names else email
    where = str(given.get("channel") or given.get("user_id") or "?")
    return names.get(where, where)


def _beginning(text: str) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "").strip()
    return line if len(line) <= 40 else line[:39] + "…"
