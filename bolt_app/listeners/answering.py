"""Answers people in time and in words, whatever goes wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncRespond

from bolt_app.views.help import sentence
from zendesk_bridge.flows.errors import ConnectorError, StorageError

log = logging.getLogger(__name__)

#: Slack waits three seconds for an answer; so many of them are ours.
ANSWER_WITHIN = 1.5

Message = dict[str, Any]

# What is said in a terminal, as it is said in Slack.
_IN_SLACK = (
    ("zendesk-connector flows list", "/action-flows list"),
    ("zendesk-connector runs list", "/action-flows runs"),
)


def in_words(problem: ConnectorError) -> str:
    """What is wrong, and what to do, for somebody in Slack."""
    if isinstance(problem, StorageError):
        # Where the file lies is the host's business.
        return "The connector's database does not work now. Its log and /healthz on its host say why."
    hint = problem.hint
    for typed, in_slack in _IN_SLACK:
        hint = hint.replace(typed, in_slack)
    return f"{problem.message.rstrip('.')}. {hint}".strip()


async def or_why_not(work: Awaitable[Message]) -> Message:
    """What the work made, or a sentence that says why it could not."""
    try:
        return await work
    except ConnectorError as problem:
        return sentence(in_words(problem))
    except Exception:
        log.exception("answering somebody in Slack met a defect of this software")
        return sentence("This met a defect of the connector. Its log has the details.")


async def answer(ack: AsyncAck, respond: AsyncRespond, work: Awaitable[Message]) -> None:
    """Answers a slash command with what the work makes; where that takes long, with a word first."""
    task = asyncio.ensure_future(or_why_not(work))
    done, _ = await asyncio.wait({task}, timeout=ANSWER_WITHIN)
    if done:
        await ack(**task.result())
        return
    await ack("One moment…")
    await send(respond, await task)


async def send(respond: AsyncRespond, message: Message, *, instead: bool = False) -> None:
    """Sends a message to somebody who used a command or a button.

    Args:
        instead: whether it takes the place of the message with the button.
    """
    try:
        answered = await respond(**message, replace_original=instead)
        if answered.status_code != 200:
            log.warning("Slack did not take an answer to somebody: %s", answered.status_code)
    except Exception as problem:  # the SDK lets its HTTP library's own errors through
        log.warning("an answer to somebody did not reach Slack (%s)", type(problem).__name__)
