"""`sandbox`: the main job without any account, for people and for scripts."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
import termios
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bolt_app.commands import sandbox
from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import BEN, NOOR
from bolt_app.sandbox.records import Fault, Message

Start = Callable[..., Any]
Type = Callable[..., Awaitable[Any]]

RIGHT = "Exactly the right message arrived, once."


def spoiled(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[SlackServer], None]) -> None:
    """Has something go wrong in the sandbox's Slack."""

    class Spoiled(SlackServer):
        def __init__(self) -> None:
            super().__init__()
            spoil(self)

    monkeypatch.setattr(sandbox, "SlackServer", Spoiled)


async def test_once_shows_the_message_and_ends_with_0_whatever_the_environment_says(
    empty_shell: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET", "SLACK_BOT_TOKEN", "ZENDESK_API_URL", "CONNECTOR_PORT"):
        monkeypatch.setenv(name, "what concerns real accounts")
    (empty_shell / "flows").mkdir()
    (empty_shell / "flows" / "mine.yml").write_text("key: notify-assigned-agents\nname: Mine, and wrong\n")
    said = await start("sandbox", "--once").end()
    assert (said.code, said.err) == (0, "")
    assert "Hi Noor Haddad," in said.out
    assert said.out.splitlines()[-1] == RIGHT
    assert "\x1b" not in said.out
    assert os.listdir(empty_shell) == ["flows"]


async def test_without_input_it_shows_one_message_and_ends(type_in: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as nothing:  # noqa: ASYNC230
        for stdin in (None, nothing):
            monkeypatch.setattr(sys, "stdin", stdin)
            said = await type_in("sandbox")
            assert (said.code, said.err) == (0, "")
            assert said.out.count(RIGHT) == 1


async def test_keys_assign_another_ticket_and_ctrl_c_leaves_the_terminal_as_it_was(
    empty_shell: Path, start: Start
) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(ours)
    process = start("sandbox", stdin=theirs, start_new_session=True, preexec_fn=lambda: _take_terminal(theirs))
    shown = ""

    async def until(count: int) -> None:
        nonlocal shown
        async with asyncio.timeout(30):
            while shown.count("q: quit") < count:
                shown += await asyncio.to_thread(process.popen.stdout.readline)

    await until(1)
    async with asyncio.timeout(30):
        while termios.tcgetattr(ours)[3] & termios.ICANON:  # noqa: ASYNC110 - a moment after the line
            await asyncio.sleep(0.01)
    os.write(ours, b"a")
    await until(2)
    assert shown.count(RIGHT) == 2
    assert "CONNECTOR_DATABASE=" in shown
    os.write(ours, b"\x03")
    said = await process.end()
    assert (said.code, said.err) == (0, "")
    assert termios.tcgetattr(ours) == before
    os.close(ours)
    os.close(theirs)


def _take_terminal(descriptor: int) -> None:
    import fcntl

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


async def test_a_message_that_does_not_arrive_ends_with_1(type_in: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = Fault(method="chat.postMessage", kind="error", error="restricted_action")
    spoiled(monkeypatch, lambda slack: slack.state.faults.append(refusal))
    said = await type_in("sandbox", "--once")
    assert said.code == 1
    assert "restricted_action" in said.out
    assert said.out.splitlines()[-1] == "Not what was to come: no message arrived."


async def test_a_message_with_another_text_ends_with_1(type_in: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    def garble(message: Message) -> None:
        message.text = message.text.replace("&amp;", "&amp;amp;")

    spoiled(monkeypatch, lambda slack: slack.state.on_message.append(garble))
    said = await type_in("sandbox", "--once")
    assert said.code == 1
    assert said.out.splitlines()[-1] == "Not what was to come: the message has another text."


async def test_a_message_to_somebody_else_ends_with_1(type_in: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    def swap(slack: SlackServer) -> None:
        def send_to_ben(message: Message) -> None:
            message.channel = slack.state.open_direct(BEN.id).id

        slack.state.on_message.append(send_to_ben)

    spoiled(monkeypatch, swap)
    said = await type_in("sandbox", "--once")
    assert said.code == 1
    assert said.out.splitlines()[-1] == f"Not what was to come: the message went to {BEN.real_name}."
    assert NOOR.real_name in said.out


async def test_two_messages_end_with_1(type_in: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(slack: SlackServer) -> None:
        def again(message: Message) -> None:
            slack.state._posted.append(message)

        slack.state.on_message.append(again)

    spoiled(monkeypatch, doubled)
    said = await type_in("sandbox", "--once")
    assert said.code == 1
    assert said.out.splitlines()[-1] == "Not what was to come: 2 messages arrived."
