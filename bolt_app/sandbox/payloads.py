"""The payloads Slack sends to an app: events, slash commands, button presses, submitted modals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bolt_app.samples import load
from bolt_app.sandbox.people import APP_ID, BOT_USER_ID, TEAM_ID
from bolt_app.sandbox.records import Channel

if TYPE_CHECKING:
    from bolt_app.sandbox.grants import Workspace
    from bolt_app.sandbox.state import SlackState


def event_callback(state: SlackState, event: dict[str, Any]) -> dict[str, Any]:
    """The envelope around an event; an envelope is returned as it is."""
    if event.get("type") == "event_callback" and "event" in event:
        return event
    return {
        **load("app_mention"),
        "event": event,
        "event_id": state.make_id("Ev"),
        "event_time": int(state.clock()),
        "event_context": f"4-{state.make_id('sandbox')}",
    }


def _event(name: str, **fields: Any) -> dict[str, Any]:
    """The event of a sample with some fields changed; None takes a field out."""
    event = {**load(name)["event"], **fields}
    return {key: value for key, value in event.items() if value is not None}


def member_joined(state: SlackState, channel: Channel, event_ts: str, inviter: str | None) -> dict[str, Any]:
    """The bot came into a channel; `inviter` is absent when it joined by itself."""
    event = _event(
        "member_joined_channel",
        channel=channel.id,
        # Slack's "G" is the channel's nature, not the first letter of its id.
        channel_type="G" if channel.is_private else "C",
        event_ts=event_ts,
        inviter=inviter,
    )
    return event_callback(state, event)


def member_left(state: SlackState, channel: Channel) -> dict[str, Any]:
    """The bot was taken out of a channel."""
    kind = "G" if channel.is_private else "C"
    event = _event("member_left_channel", channel=channel.id, channel_type=kind, event_ts=state.next_ts())
    return event_callback(state, event)


def app_mention(state: SlackState, user_id: str, channel_id: str, text: str) -> dict[str, Any]:
    """Somebody mentions the app in a channel; the mention is put before `text` if it is not in it."""
    mention = f"<@{BOT_USER_ID}>"
    said = state.say(user_id, channel_id, text if mention in text else f"{mention} {text}")
    event = _event("app_mention", user=user_id, text=said.text, ts=said.ts, channel=channel_id, event_ts=said.ts)
    return event_callback(state, event)


def app_home_opened(state: SlackState, user_id: str) -> dict[str, Any]:
    """Somebody opens the app's Home tab."""
    channel = state.open_direct(user_id).id
    event = _event("app_home_opened", user=user_id, channel=channel, event_ts=state.next_ts())
    home = state.homes.get(user_id)
    if home is not None:
        event["view"] = {**home.content, "id": home.id, "team_id": TEAM_ID, "hash": home.hash, "app_id": APP_ID}
    return event_callback(state, event)


def app_uninstalled(state: SlackState, workspace: Workspace | None = None) -> dict[str, Any]:
    """The app was removed from a workspace, the sandbox's own if none is named."""
    return _about_tokens(state, workspace, _event("app_uninstalled", event_ts=None))


def tokens_revoked(state: SlackState, workspace: Workspace | None = None) -> dict[str, Any]:
    """The bot's token ended; Slack names the bot user, never the token."""
    bot = BOT_USER_ID if workspace is None else workspace.bot_user_id
    event = _event("tokens_revoked", tokens={"oauth": [], "bot": [bot]}, event_ts=None)
    return _about_tokens(state, workspace, event)


def _about_tokens(state: SlackState, workspace: Workspace | None, event: dict[str, Any]) -> dict[str, Any]:
    # Slack's examples of these two have no `event_ts`, unlike those of other events.
    envelope = event_callback(state, event)
    if workspace is None:
        return envelope
    installed = {"team_id": workspace.id, "user_id": workspace.bot_user_id}
    return envelope | {
        "team_id": workspace.id,
        "context_team_id": workspace.id,
        "authorizations": [{**one, **installed} for one in envelope["authorizations"]],
    }


def slash_command(
    state: SlackState, text: str, user_id: str, channel_id: str, command: str = "/action-flows"
) -> dict[str, Any]:
    """Somebody types a slash command. Over HTTP these are form fields, over Socket Mode a JSON object."""
    channel = state.channels.get(channel_id)
    name = "directmessage" if channel is None or channel.is_im else channel.name
    if channel is not None and channel.is_private and not channel.is_im:
        name = "privategroup"
    return {
        **load("slash_command"),
        "channel_id": channel_id,
        "channel_name": name,
        "user_id": user_id,
        "user_name": state.people[user_id].name,
        "command": command,
        "text": text,
        "response_url": state.issue_response_url(user_id, channel_id),
        "trigger_id": state.issue_trigger(user_id),
    }


def block_action(
    state: SlackState,
    action_id: str,
    user_id: str,
    *,
    value: str = "",
    block_id: str = "b1",
    channel_id: str | None = None,
    message_ts: str | None = None,
    view_id: str | None = None,
    action: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Somebody presses a button: in a message (`channel_id`, `message_ts`), or in a modal or Home tab (`view_id`).

    `action` replaces or adds fields of the action, for menus and the like.
    """
    pressed: dict[str, Any] = {
        **load("block_actions")["actions"][0],
        "action_id": action_id,
        "block_id": block_id,
        "value": value,
        "action_ts": state.next_ts(),
    }
    payload = _interaction(state, "block_actions", user_id) | {"actions": [pressed | (action or {})]}
    if view_id is not None:
        return payload | {"container": {"type": "view", "view_id": view_id}, "view": _view(state, view_id)}
    place: dict[str, Any] = {"type": "message", "message_ts": message_ts, "channel_id": channel_id}
    payload["container"] = place | {"is_ephemeral": False}
    channel = state.channels.get(channel_id or "")
    if channel is not None and channel_id is not None:
        payload["channel"] = {"id": channel_id, "name": channel.name or "directmessage"}
        payload["response_url"] = state.issue_response_url(user_id, channel_id)
        message = channel.message(message_ts or "")
        if message is not None:
            payload["message"] = state.shown(message)
    return payload


def view_submission(state: SlackState, view_id: str, user_id: str, values: dict[str, Any]) -> dict[str, Any]:
    """Somebody submits a modal; `values` are what Slack calls `view.state.values`."""
    view = _view(state, view_id) | {"state": {"values": values}}
    return _interaction(state, "view_submission", user_id) | {"view": view, "response_urls": []}


def _interaction(state: SlackState, kind: str, user_id: str) -> dict[str, Any]:
    sample, name = load("block_actions"), state.people[user_id].name
    always = ("api_app_id", "token", "team", "enterprise", "is_enterprise_install")
    return {
        **{field: sample[field] for field in always},
        "type": kind,
        "user": {"id": user_id, "username": name, "name": name, "team_id": TEAM_ID},
        "trigger_id": state.issue_trigger(user_id),
    }


def _view(state: SlackState, view_id: str) -> dict[str, Any]:
    for view in [*state.views.values(), *state.homes.values()]:
        if view.id == view_id:
            return {"state": {"values": {}}, **view.content, "id": view.id, "team_id": TEAM_ID, "hash": view.hash}
    raise ValueError(f"no view {view_id}")
