"""The methods that read messages back: the history of a channel, and the replies in a thread."""

from collections.abc import Callable
from typing import Any

from bolt_app.sandbox.paging import read_cursor, write_cursor
from bolt_app.sandbox.records import Channel, Message, is_ts
from bolt_app.sandbox.web_call import RefusalError, WebCall


def history(call: WebCall) -> dict[str, Any]:
    """conversations.history: newest first, without the replies of threads."""
    channel = call.visible_channel(scope="history")
    if not channel.has_bot:
        raise RefusalError("not_in_channel")
    limit = call.limit(default=100, highest=999)
    before = read_cursor(call, "next_ts")
    within = _window(call)
    shown = [
        message
        for message in reversed(_arrived(call, channel))
        if (message.thread_ts is None or message.broadcast)
        and within(message)
        and (before is None or message.ts <= before)
    ]
    answer = _answer(call, shown[:limit], shown[limit:])
    if call.text("latest"):
        answer["latest"] = call.text("latest")
    if call.text("oldest"):
        answer["oldest"] = call.text("oldest")
    return answer | {"pin_count": 0, "channel_actions_ts": None, "channel_actions_count": 0}


def replies(call: WebCall) -> dict[str, Any]:
    """conversations.replies: the parent first, on every page, then its replies, oldest first."""
    channel = call.visible_channel(scope="history")
    # Also for a public channel: not_in_channel is no answer of this method.
    if not channel.has_bot:
        raise RefusalError("channel_not_found")
    limit = call.limit(default=1000, highest=1000)
    after = read_cursor(call, "next_ts")
    within = _window(call)
    arrived = _arrived(call, channel)
    wanted = call.text("ts")
    parent = next((message for message in arrived if message.ts == wanted), None)
    if parent is None:
        raise RefusalError("thread_not_found")
    if parent.thread_ts is not None:
        return _answer(call, [parent], [])
    shown = [
        message
        for message in arrived
        if message.thread_ts == wanted and within(message) and (after is None or message.ts >= after)
    ]
    room = max(1, limit - 1)
    return _answer(call, [parent, *shown[:room]], shown[room:])


def _arrived(call: WebCall, channel: Channel) -> list[Message]:
    """The messages that can be read by now: real histories run behind at times."""
    lag = call.state.history_lag
    if lag <= 0:
        return channel.messages
    now = call.state.clock()
    return [message for message in channel.messages if now - message.at >= lag]


def _window(call: WebCall) -> Callable[[Message], bool]:
    """Tells whether a message is between `oldest` and `latest`, ends included only if asked."""
    oldest, latest, inclusive = _bound(call, "oldest"), _bound(call, "latest"), call.flag("inclusive")

    def within(message: Message) -> bool:
        at = _order(message.ts)
        if inclusive:
            return (oldest is None or at >= oldest) and (latest is None or at <= latest)
        return (oldest is None or at > oldest) and (latest is None or at < latest)

    return within


def _bound(call: WebCall, name: str) -> tuple[int, int] | None:
    given = call.text(name)
    if not given or given == "now":
        return None
    # Whole seconds are accepted, and fewer decimals than six, as a Unix time.
    whole, _, part = given.partition(".")
    full = f"{whole}.{part:0<6}"[: len(whole) + 7]
    if not is_ts(full):
        raise RefusalError(f"invalid_ts_{name}")
    return _order(full)


def _order(ts: str) -> tuple[int, int]:
    whole, _, part = ts.partition(".")
    return int(whole), int(part)


def _answer(call: WebCall, messages: list[Message], rest: list[Message]) -> dict[str, Any]:
    full = call.flag("include_all_metadata")
    answer: dict[str, Any] = {
        "messages": [call.state.shown(message, full_metadata=full) for message in messages],
        "has_more": bool(rest),
    }
    if rest:
        answer["response_metadata"] = {"next_cursor": write_cursor("next_ts", rest[0].ts)}
    return answer
