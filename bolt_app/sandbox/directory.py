"""The methods about who and what is in the workspace: people, channels, members, and the app itself."""

from collections.abc import Callable
from typing import Any

from bolt_app.sandbox.paging import page
from bolt_app.sandbox.people import (
    APP_ID,
    APP_NAME,
    BOT,
    BOT_USER_ID,
    JOINED_AT,
    Person,
)
from bolt_app.sandbox.records import Channel
from bolt_app.sandbox.web_call import RefusalError, WebCall

# `types` of conversations.list and users.conversations, and the scope each needs.
TYPE_SCOPES = {
    "public_channel": "channels:read",
    "private_channel": "groups:read",
    "mpim": "mpim:read",
    "im": "im:read",
}


def auth_test(call: WebCall) -> dict[str, Any]:
    """auth.test"""
    if call.token == "app":  # noqa: S105
        return {"app_name": APP_NAME, "app_id": APP_ID}
    workspace = call.granted.workspace
    return {
        "url": workspace.url,
        "team": workspace.name,
        "user": BOT.name,
        "team_id": workspace.id,
        "user_id": workspace.bot_user_id,
        "bot_id": workspace.bot_id,
        "is_enterprise_install": False,
    }


def connections_open(call: WebCall) -> dict[str, Any]:
    """apps.connections.open"""
    return {"url": f"ws://{call.host}/link?ticket={call.new_ticket()}&app_id={APP_ID}"}


def lookup_by_email(call: WebCall) -> dict[str, Any]:
    """users.lookupByEmail"""
    person = call.state.person_with_email(call.text("email"))
    if person is None or person.deleted:
        raise RefusalError("users_not_found")
    return {"user": _person(call, person)}


def user_info(call: WebCall) -> dict[str, Any]:
    """users.info"""
    person = call.state.people.get(call.text("user"))
    if person is None:
        raise RefusalError("user_not_found")
    return {"user": _person(call, person)}


def user_list(call: WebCall) -> dict[str, Any]:
    """users.list"""
    # Without a limit Slack attempts to send everybody.
    limit = 0 if call.text("limit") in ("", "0") else call.limit(default=0, highest=1000)
    people, more = page(call, list(call.state.people.values()), "user", limit=limit)
    return {
        "members": [_person(call, person) for person in people],
        "cache_ts": int(call.state.clock()),
        "response_metadata": more,
    }


def _person(call: WebCall, person: Person) -> dict[str, Any]:
    with_locale = "include_locale" in call.method.arguments and call.flag("include_locale")
    # users.lookupByEmail is open to tokens that have the addresses but not the people.
    return person.as_slack(with_email="users:read.email" in call.scopes, with_locale=with_locale)


def open_conversation(call: WebCall) -> dict[str, Any]:
    """conversations.open"""
    state = call.state
    if call.text("channel"):
        channel = state.channels.get(call.text("channel"))
        if channel is None or (channel.is_private and not channel.has_bot):
            raise RefusalError("channel_not_found")
        if not channel.is_im:
            raise RefusalError("method_not_supported_for_channel_type")
        call.need("im:write")
        return _opened(call, channel, already=True)
    users = [user.strip() for user in call.text("users").split(",") if user.strip()]
    if not users:
        raise RefusalError("users_list_not_supplied")
    if len(users) > 8:
        raise RefusalError("too_many_users")
    for user in users:
        person = state.people.get(user)
        if person is None or user == BOT_USER_ID:
            raise RefusalError("user_not_found")
        if person.deleted:
            raise RefusalError("user_disabled")
    if len(users) > 1:
        # Group messages are not part of this workspace; the token has no scope for them either.
        call.need("mpim:write")
        raise RefusalError("method_not_supported_for_channel_type")
    call.need("im:write")
    existing = state.direct_channel(users[0])
    if existing is None and call.flag("prevent_creation"):
        raise RefusalError("channel_not_found")
    return _opened(call, existing or state.open_direct(users[0]), already=existing is not None)


def _opened(call: WebCall, channel: Channel, *, already: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"no_op": True, "already_open": True} if already else {}
    if call.flag("return_im"):
        more = {"last_read": "0000000000.000000", "latest": None, "unread_count": 0, "unread_count_display": 0}
        return answer | {"channel": _channel(call, channel) | more | {"is_open": True}}
    return answer | {"channel": {"id": channel.id}}


def conversation_info(call: WebCall) -> dict[str, Any]:
    """conversations.info"""
    channel = call.visible_channel(scope="read")
    shown = _channel(call, channel, with_members=call.flag("include_num_members"))
    if call.flag("include_locale") and not channel.is_im:
        shown["locale"] = "en-GB"
    return {"channel": shown}


def conversation_list(call: WebCall) -> dict[str, Any]:
    """conversations.list: public channels, and the private ones the bot is in."""
    shown, more = _channels(call, lambda channel: channel.has_bot or not channel.is_private)
    return {
        "channels": [_channel(call, channel, with_members=not channel.is_im) for channel in shown],
        "response_metadata": more,
    }


def user_conversations(call: WebCall) -> dict[str, Any]:
    """users.conversations: what the bot is in, or what somebody else is in as far as the bot sees it."""
    # Slack documents no error for a person who is not there.
    user = call.text("user") or BOT_USER_ID

    def is_in(channel: Channel) -> bool:
        return user in channel.members and (channel.has_bot or not channel.is_private)

    shown, more = _channels(call, is_in)
    described = [_channel(call, channel) for channel in shown]
    # Unlike conversations.list, by Slack's own examples.
    for each in described:
        for name in ("is_member", "updated"):
            each.pop(name, None)
    return {"channels": described, "response_metadata": more}


def _channels(call: WebCall, seen: Callable[[Channel], bool]) -> tuple[list[Channel], dict[str, Any]]:
    types = [kind.strip() for kind in (call.text("types") or "public_channel").split(",")]
    if not set(types) <= TYPE_SCOPES.keys():
        raise RefusalError("invalid_types")
    for kind in types:
        call.need(TYPE_SCOPES[kind])
    kinds = {TYPE_SCOPES[kind].partition(":")[0] for kind in types}
    channels = [
        channel
        for channel in call.state.channels.values()
        if channel.kind in kinds and seen(channel) and not (call.flag("exclude_archived") and channel.is_archived)
    ]
    return page(call, channels, "channel", limit=call.limit(default=100, highest=999))


def _channel(call: WebCall, channel: Channel, *, with_members: bool = False) -> dict[str, Any]:
    shown = channel.as_slack(with_members=with_members)
    person = call.state.people.get(channel.im_with or "")
    if person is not None:
        shown["is_user_deleted"] = person.deleted
    return shown


def conversation_members(call: WebCall) -> dict[str, Any]:
    """conversations.members"""
    channel = call.visible_channel(scope="read")
    members, more = page(call, channel.members, "member", limit=call.limit(default=100, highest=1000))
    return {"members": members, "response_metadata": more}


def join_conversation(call: WebCall) -> dict[str, Any]:
    """conversations.join: public channels only."""
    channel = call.visible_channel()
    if channel.is_private:
        raise RefusalError("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise RefusalError("is_archived")
    if channel.has_bot:
        call.warnings.append("already_in_channel")
    else:
        call.state.invite(channel.id)
    return {"channel": _channel(call, channel) | {"updated": JOINED_AT * 1000}}
