"""What each error of Slack's means for a run, and what the person who can mend it should do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from bolt_app.text import is_channel_id, is_person_id
from zendesk_bridge.flows.errors import (
    ConnectorError,
    Credentials,
    NeedsInvite,
    Permanent,
    Transient,
    Uncertain,
)


class Next(Enum):
    """What happens after an error."""

    AGAIN = "refused for now: again later"
    IN_DOUBT = "may have happened: look before sending again"
    FAILS = "will not work: the step fails"
    INVITE = "the bot is not in the channel: waits for an invitation"
    RECONNECT = "the connection is broken: waits until it is mended"


@dataclass(frozen=True)
class Known:
    """An error code that Slack documents, or that was seen."""

    next: Next
    hint: str


ADDRESS_HINT = "Check SLACK_API_URL, and the proxy between this machine and Slack."

# Without a word from Slack: nobody acts on a request and then answers one of these.
#: What Slack's codes look like. Anything else may be anything, even what was sent.
CODE = re.compile(r"[A-Za-z0-9_]{1,80}")
_REFUSING_STATUSES = (404, 405, 410, 413, 414, 422)

_OURS = "This is a defect of the connector; please report it with the run's id."
_TEXT_ONLY = "The connector sends plain text and should never see this; please report it with the run's id."
_REINSTALL = "Install the app again, set SLACK_BOT_TOKEN to its new token, and restart."
_INVITE = "Invite the app in the channel with /invite @Zendesk Connector; the run then goes on by itself."
_TS = "Use the ts that an earlier step or a message link gave, as text in quotes."
_POLICY = "Ask a Slack administrator to allow the app to post there, or choose another channel."
_CONNECT = "Ask a Slack administrator about the rules for shared channels, or leave that out of the message."
_PAGE = "Start the run again; if it happens again, report it with the run's id."
_PERSON = "Check that the person has an active account in this Slack workspace."
_LATER = "Nothing needs to be done: it is sent again by itself."
_LOOKED = "Nothing needs to be done: the connector looks whether it happened before it sends again."

KNOWN_ERRORS: Mapping[str, Known] = MappingProxyType(
    {
        # Refused for now
        "ratelimited": Known(Next.AGAIN, _LATER),
        "rate_limited": Known(Next.AGAIN, _LATER),
        "team_added_to_org": Known(Next.AGAIN, "Slack is moving the workspace; runs go on when that is done."),
        "external_channel_migrating": Known(Next.AGAIN, "Slack is moving the channel; runs go on when that is done."),
        "fetch_members_failed": Known(Next.AGAIN, _LATER),
        # May have happened
        "fatal_error": Known(Next.IN_DOUBT, _LOOKED),
        "internal_error": Known(Next.IN_DOUBT, _LOOKED),
        "service_unavailable": Known(Next.IN_DOUBT, _LOOKED),
        "request_timeout": Known(Next.IN_DOUBT, _LOOKED),
        # The connection
        "invalid_auth": Known(Next.RECONNECT, _REINSTALL),
        "not_authed": Known(Next.RECONNECT, _REINSTALL),
        "account_inactive": Known(Next.RECONNECT, "The app was removed or its account switched off. " + _REINSTALL),
        "token_revoked": Known(Next.RECONNECT, "The app's token was revoked. " + _REINSTALL),
        "token_expired": Known(Next.RECONNECT, "The app's token has run out. " + _REINSTALL),
        "org_login_required": Known(
            Next.RECONNECT, "The workspace is moving to an organization; connect Slack again when that is done."
        ),
        # The app's permissions
        "missing_scope": Known(Next.FAILS, "Add the missing scope to the Slack app, and install the app again."),
        "no_permission": Known(Next.FAILS, "The app's token may not do this; install the app again with its manifest."),
        "not_allowed_token_type": Known(Next.FAILS, "SLACK_BOT_TOKEN must be a bot token; those begin with xoxb-."),
        "access_denied": Known(Next.FAILS, "Ask a Slack administrator to approve the app for this."),
        "accesslimited": Known(Next.FAILS, "Ask a Slack administrator to lift the limits on the app's access."),
        "app_access_restricted": Known(Next.FAILS, "Ask a Slack administrator to allow this person to use the app."),
        "two_factor_setup_required": Known(Next.FAILS, "Whoever installed the app must set up two-factor sign-in."),
        "team_access_not_granted": Known(Next.FAILS, "Ask an organization administrator to add the app to the team."),
        "enterprise_is_restricted": Known(Next.FAILS, "Install the app in the workspace, not in the organization."),
        "team_not_found": Known(Next.FAILS, "Install the app in the workspace, not in the organization."),
        # Channels
        "not_in_channel": Known(Next.INVITE, _INVITE),
        "channel_not_found": Known(
            Next.INVITE,
            "Check the channel. If it is private, the app only sees it from within. " + _INVITE,
        ),
        "is_archived": Known(Next.FAILS, "Bring the channel back from the archive, or choose another one."),
        "is_inactive": Known(Next.FAILS, "Bring the channel back from the archive, or choose another one."),
        "channel_is_limited_access": Known(Next.FAILS, "Choose another channel: apps cannot enter this one."),
        "method_not_supported_for_channel_type": Known(
            Next.FAILS, "Choose another channel: this kind does not allow it."
        ),
        "messages_tab_disabled": Known(Next.FAILS, "Switch on the Messages tab under App Home in the app's settings."),
        "restricted_action": Known(Next.FAILS, _POLICY),
        "restricted_action_read_only_channel": Known(Next.FAILS, "The channel is read-only. " + _POLICY),
        "restricted_action_thread_only_channel": Known(
            Next.FAILS, "New messages are not allowed in the channel: reply in a thread, or choose another channel."
        ),
        "restricted_action_non_threadable_channel": Known(
            Next.FAILS, "Threads are not allowed in the channel: post a message of its own, or choose another channel."
        ),
        "restricted_action_thread_locked": Known(Next.FAILS, "Ask an administrator to unlock the thread."),
        "thread_locked": Known(Next.FAILS, "Ask an administrator to unlock the thread."),
        "ekm_access_denied": Known(Next.FAILS, "Ask a Slack administrator: messages to this channel are switched off."),
        "message_limit_exceeded": Known(Next.FAILS, "The workspace is over the limit of its plan; see its Slack plan."),
        "no_access": Known(Next.FAILS, "Ask the owner of the item to share it with the app."),
        "slack_connect_canvas_sharing_blocked": Known(Next.FAILS, _CONNECT),
        "slack_connect_file_link_sharing_blocked": Known(Next.FAILS, _CONNECT),
        "slack_connect_lists_sharing_blocked": Known(Next.FAILS, _CONNECT),
        # People
        "users_not_found": Known(Next.FAILS, "Check that the e-mail address is that of an active Slack account."),
        "user_not_found": Known(Next.FAILS, _PERSON),
        "user_disabled": Known(Next.FAILS, _PERSON),
        "user_not_visible": Known(Next.FAILS, "The app may not see this person; ask a Slack administrator."),
        "cannot_dm_bot": Known(Next.FAILS, "Choose a person: apps cannot write to other apps."),
        "users_list_not_supplied": Known(Next.FAILS, _OURS),
        "not_enough_users": Known(Next.FAILS, _OURS),
        "too_many_users": Known(Next.FAILS, _OURS),
        "invalid_user_combination": Known(Next.FAILS, "Somebody from outside must share a channel with the app first."),
        # Messages and threads
        "message_not_found": Known(Next.FAILS, "The message was deleted, or it is in another channel. " + _TS),
        "thread_not_found": Known(Next.FAILS, "The thread was deleted, or it is in another channel. " + _TS),
        "invalid_thread_ts": Known(Next.FAILS, _TS),
        "bad_timestamp": Known(Next.FAILS, _TS),
        "invalid_ts_latest": Known(Next.FAILS, _TS),
        "invalid_ts_oldest": Known(Next.FAILS, _TS),
        "cannot_reply_to_message": Known(
            Next.FAILS, "This message takes no replies, or it was deleted: post a new one."
        ),
        "list_record_comment_fetch_failed": Known(Next.FAILS, "Choose a thread in a channel: lists cannot be read."),
        "no_text": Known(Next.FAILS, "Give the step a message: the variables in it may all have been empty."),
        "msg_too_long": Known(Next.FAILS, "Make the message shorter."),
        "invalid_cursor": Known(Next.FAILS, _PAGE),
        # Reactions
        "already_reacted": Known(Next.FAILS, "The reaction is there already; nothing needs to be done."),
        "invalid_name": Known(Next.FAILS, "Use the name of an emoji of this workspace, such as white_check_mark."),
        "not_reactable": Known(Next.FAILS, "Choose a message: this kind of item takes no reactions."),
        "too_many_emoji": Known(Next.FAILS, "The message has as many different reactions as Slack allows."),
        "too_many_reactions": Known(Next.FAILS, "The app has given this message as many reactions as Slack allows."),
        "no_item_specified": Known(Next.FAILS, "Give the step a channel id and a timestamp."),
        # What only a defect of ours can cause
        **dict.fromkeys(
            (
                *("invalid_arguments", "invalid_arg_name", "invalid_array_arg", "invalid_charset", "invalid_form_data"),
                *("invalid_post_type", "missing_post_type", "missing_argument", "unknown_method", "method_deprecated"),
                *("deprecated_endpoint", "invalid_metadata_format", "invalid_metadata_schema", "metadata_too_large"),
                *("metadata_must_be_sent_from_app", "invalid_metadata_filter_keys", "as_user_not_supported"),
                *("duplicate_channel_not_found", "duplicate_message_not_found", "send_on_behalf_not_allowed"),
                *("invalid_limit", "invalid_types", "limit_required"),
            ),
            Known(Next.FAILS, _OURS),
        ),
        **dict.fromkeys(
            (
                *("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "markdown_text_conflict"),
                *("too_many_attachments", "attachment_payload_limit_exceeded", "too_many_contact_cards"),
                *("missing_file_data", "draft_already_deleted", "draft_already_sent", "draft_has_conflict"),
                "draft_not_found",
            ),
            Known(Next.FAILS, _TEXT_ONLY),
        ),
    }
)

_UNKNOWN = Known(Next.FAILS, "Look the code up in Slack's documentation, or ask whoever looks after the connector.")


def translate(
    code: str, method: str, *, channel: str = "", needed: str = "", retry_after: float | None = None
) -> ConnectorError:
    """The error a code stands for.

    Args:
        channel: the channel or person the call was about, as it was given to Slack.
        needed: with `missing_scope`: the scopes Slack asked for, separated by commas.
        retry_after: seconds Slack asked us to wait.
    """
    known = KNOWN_ERRORS.get(code, _UNKNOWN)
    message = f"Slack answered {code} to {method}"
    hint = known.hint
    if known.next is Next.AGAIN:
        limit = code in ("ratelimited", "rate_limited")
        return Transient(code, message, hint=hint, retry_after=retry_after, limit=limit)
    if known.next is Next.IN_DOUBT:
        return Uncertain(code, message, hint=hint)
    if known.next is Next.RECONNECT:
        return Credentials(code, message, service="slack", hint=hint)
    if known.next is Next.INVITE and channel:
        return _not_there(code, message, hint, channel)
    if code == "missing_scope" and needed:
        scopes = needed.replace(" ", "").split(",")
        wanted = f"the scope {scopes[0]}" if len(scopes) == 1 else f"one of the scopes {', '.join(scopes)}"
        hint = f"Add {wanted} to the Slack app, and install the app again."
    return Permanent(code, message, hint=hint)


def translate_answer(method: str, about: str, *, status: int, retry_after: str | None, body: object) -> ConnectorError:
    """The error an answer stands for that is not `ok`.

    Args:
        about: the channel or person the call was about, as it was given to Slack.
        retry_after: the header.
        body: the answer as far as it could be read.
    """
    answer = body if isinstance(body, dict) else {}
    code = answer.get("error")
    if status == 429:
        return translate("ratelimited", method, retry_after=_seconds(retry_after))
    if status >= 500:
        return Uncertain(f"http_{status}", f"Slack failed with HTTP {status} at {method}", hint=_LOOKED)
    if isinstance(code, str) and CODE.fullmatch(code):
        needed = str(answer.get("needed") or "")
        return translate(code, method, channel=about, needed=needed, retry_after=_seconds(retry_after))
    if status in _REFUSING_STATUSES:
        return Permanent(f"http_{status}", f"{method} was answered with HTTP {status}", hint=ADDRESS_HINT)
    return Uncertain("broken_answer", f"What answered {method} (HTTP {status}) is not Slack", hint=ADDRESS_HINT)


def no_such_channel(name: str) -> NeedsInvite:
    """The app is in no channel of that name: it may be misspelt, or not invite the app yet."""
    return NeedsInvite(
        "channel_not_found",
        f"Slack shows the app no channel {name}: it is not there, or the app is not in it",
        channel=name,
        hint=f"Check the name. {_INVITE}",
    )


def _seconds(header: str | None) -> float | None:
    """The seconds in a Retry-After header; None where it names none that can be waited."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return min(seconds, 86_400.0) if math.isfinite(seconds) and seconds >= 0 else None


def _not_there(code: str, message: str, hint: str, channel: str) -> ConnectorError:
    """Nobody can invite the bot to a person, or to direct messages that are gone."""
    if is_person_id(channel):
        return Permanent("user_not_found", message, hint=_PERSON)
    if is_channel_id(channel) and channel.startswith("D"):
        return Permanent(code, message, hint="These direct messages are gone; use the person's e-mail address instead.")
    where = f"{message}: there is no channel {channel}, or it is private and the app is not in it"
    if code == "not_in_channel":
        where = f"{message}: the app is not in {channel}"
    return NeedsInvite(code, where, channel=channel, hint=hint)
