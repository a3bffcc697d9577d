"""What people see of the app beside flows' messages: Home tabs, modals, and words to one person alone."""

from __future__ import annotations

from typing import Any, Protocol

from bolt_app.records import SlackChannel, channel_from

View = dict[str, Any]


class Call(Protocol):
    """Calls one of Slack's methods."""

    async def __call__(self, method: str, verb: Any = "GET", *, lane: str = "", **arguments: Any) -> Any:
        """Slack's answer. Raises ConnectorError."""


class Surfaces:
    """Shows Home tabs and modals. All methods raise ConnectorError."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def publish_home(self, user_id: str, view: View) -> None:
        """Shows somebody their Home tab."""
        await self._call("views.publish", "POST", user_id=user_id, view=view)

    async def open_modal(self, trigger_id: str, view: View) -> str:
        """Opens a modal for whoever pressed a button or typed a command within the last three seconds.

        Returns:
            The view's id, by which it is changed.
        """
        answer = await self._call("views.open", "POST", trigger_id=trigger_id, view=view)
        return str((answer.get("view") or {}).get("id") or "")

    async def update_modal(self, view_id: str, view: View) -> None:
        """Shows something else in a modal. Permanent `not_found` where it was closed."""
        await self._call("views.update", "POST", view_id=view_id, view=view)

    async def whisper(self, channel: str, user_id: str, message: dict[str, Any], thread_ts: str | None = None) -> None:
        """Shows one person in a channel a message.

        Args:
            message: `text` and perhaps `blocks`.
        """
        content = {name: message[name] for name in ("text", "blocks") if name in message}
        await self._call("chat.postEphemeral", "POST", channel=channel, user=user_id, thread_ts=thread_ts, **content)

    async def channel(self, channel: str) -> SlackChannel:
        """A channel by its id."""
        return channel_from(await self._call("conversations.info", channel=channel))
