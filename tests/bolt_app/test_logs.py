"""The log as people and machines read it: whose work a line is about, no secret, nothing that steers a terminal."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bolt_app import logs
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.flows.context import Context, about_event, working_on
from zendesk_bridge.sandbox import ZendeskServer, people

log = logging.getLogger("bolt_app.test")

SECRET = "s3cr3t'va|ue \"with\\ all/that+hurts"
SETTINGS = Settings.model_construct(
    slack_bot_token=SecretStr("xoxb-1-canary"),
    slack_client_id="1.2",
    slack_client_secret=SecretStr("slack-client-secret"),
    zendesk_client_secret=SecretStr(SECRET),
    zendesk_email="ada@example.com",
    zendesk_api_token=SecretStr("zendesk-api-token"),
    zendesk_webhook_secret=SecretStr("abc"),
)
PAIR = base64.b64encode(b"ada@example.com/token:zendesk-api-token").decode()


class Sink(io.StringIO):
    """What standard error is connected to."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook)
    levels = {name: logging.getLogger(name).level for name in ("bolt_app", "zendesk_bridge")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    for name, each in levels.items():
        logging.getLogger(name).setLevel(each)


@pytest.fixture
def terminal() -> Sink:
    sink = Sink(terminal=True)
    logs.configure(logging.INFO, SETTINGS, sink)
    return sink


@pytest.fixture
def pipe() -> Sink:
    sink = Sink(terminal=False)
    logs.configure(logging.INFO, SETTINGS, sink)
    return sink


def lines(sink: Sink) -> list[dict[str, Any]]:
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_a_terminal_gets_a_line_and_its_run(terminal: Sink) -> None:
    log.info("the first of %d", 2)
    token = working_on.set(Context(event="e1", run="e1:notify", step="ticket"))
    log.warning("slow")
    log.warning("run e1:notify waits")
    working_on.reset(token)
    with about_event("e2"):
        log.info("not wanted")
        log.info("event e2 is stored")
    said = [line.partition("Z ")[2] for line in terminal.getvalue().splitlines()]
    assert said == [
        "INFO the first of 2",
        "WARNING slow [run e1:notify, step ticket]",
        "WARNING run e1:notify waits",
        "INFO not wanted [event e2]",
        "INFO event e2 is stored",
    ]


def test_a_pipe_gets_a_json_object_a_line(pipe: Sink) -> None:
    log.info("hé \u2028 \x7f \ud800 \x9b\n")
    token = working_on.set(Context(event="e1", run="e1:notify", step="ticket"))
    log.warning("slow")
    working_on.reset(token)
    plain, about = lines(pipe)
    assert plain["message"] == "hé \u2028 \x7f \ud800 \x9b\n"
    assert pipe.getvalue().isascii()
    assert "\x7f" not in pipe.getvalue()
    assert set(plain) == {"time", "level", "logger", "message"}
    assert plain["time"].endswith("Z")
    assert (plain["level"], plain["logger"]) == ("INFO", "bolt_app.test")
    assert (about["event"], about["run"], about["step"]) == ("e1", "e1:notify", "ticket")


@pytest.mark.parametrize("sink", ["terminal", "pipe"])
@pytest.mark.parametrize(
    "written",
    [
        "xoxb-1-canary",
        SECRET,
        repr(SECRET),
        json.dumps(SECRET),
        "client_secret=s3cr3t%27va%7Cue%20%22with%5C%20all%2Fthat%2Bhurts",
        base64.b64encode(b"1.2:slack-client-secret").decode(),
        f"Basic {PAIR}",
        PAIR,
        "Bearer 0123456789abcdef",
        "bearer   0123456789abcdef",
        "xoxe.xoxp-1-Mi0yLTEyMzQ1",
        "xapp-1-A01-canary",
        "wss://wss.slack.com/link/?ticket=12345-abcde&app_id=1",
    ],
)
def test_a_secret_is_masked_wherever_it_stands(sink: str, written: str, request: pytest.FixtureRequest) -> None:
    out: Sink = request.getfixturevalue(sink)
    log.info("it was %s", written)
    log.info("it was %(it)s", {"it": written})
    log.info(ValueError(written))
    try:
        try:
            raise ValueError(written)
        except ValueError as problem:
            problem.add_note(f"beside {written}")
            raise LookupError([written]) from problem
    except LookupError:
        log.exception("it met %r", written)
    said = out.getvalue()
    for canary in ("canary", "s3cr3t", "0123456789abcdef", "Mi0yLTEy", "12345-abcde", PAIR, "slack-client", "MS4yOnNs"):
        assert canary not in said
    assert said.count(logs.MASK) >= 6


def test_words_that_only_look_like_secrets_stay(terminal: Sink) -> None:
    words = "it begins with xoxb- or xapp-, abc: Basic Information > App-Level Tokens, the bearer is ill"
    log.info(words)
    assert terminal.getvalue().endswith(f"{words}\n")


def test_nothing_breaks_a_line_or_steers_the_terminal(terminal: Sink) -> None:
    log.info("a\nb\r\x1b[31mc\x9bd\u202ee\u2028f\x7f\ttab\ud800")
    (line,) = terminal.getvalue().split("\n")[:-1]
    assert line.endswith(r"a\nb\r\x1b[31mc\x9bd\u202ee\u2028f\x7f\ttab\ud800")


def test_a_traceback_keeps_its_lines_and_none_looks_like_one_of_the_log(terminal: Sink) -> None:
    try:
        raise ValueError("\n2026-01-01T00:00:00Z INFO all is well\x1b[2J")
    except ValueError:
        log.exception("it broke")
    first, *below = terminal.getvalue().splitlines()
    assert first.endswith("ERROR it broke")
    assert below[0] == "    Traceback (most recent call last):"
    assert below[-1] == r"    2026-01-01T00:00:00Z INFO all is well\x1b[2J"
    assert all(line.startswith("    ") for line in below)


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("xoxb-1-canary")

    __repr__ = __str__


class UnshowableError(Exception):
    __str__ = Unshowable.__str__


@pytest.mark.parametrize("sink", ["terminal", "pipe"])
@pytest.mark.parametrize(
    ("message", "arguments"),
    [("%d", ("xoxb-1-canary",)), ("%s", ()), ("%s %s", (1,)), ("%s", (Unshowable(),)), (Unshowable(), ()), (None, ())],
)
def test_logging_never_raises_and_never_shows_what_it_could_not_format(
    sink: str, message: Any, arguments: tuple[Any, ...], request: pytest.FixtureRequest, capfd: Any
) -> None:
    out: Sink = request.getfixturevalue(sink)
    log.warning(message, *arguments)
    log.warning("x", exc_info=UnshowableError())
    assert len([line for line in out.getvalue().splitlines() if not line.startswith(" ")]) == 2
    assert "canary" not in out.getvalue() + "".join(capfd.readouterr())


def test_a_log_that_cannot_be_written_ends_nothing(pipe: Sink, capfd: Any) -> None:
    pipe.close()
    log.warning("xoxb-1-canary %s", "x")
    assert capfd.readouterr() == ("", "")


@given(st.text() | st.binary() | st.integers() | st.none() | st.lists(st.text()))
def test_any_value_is_one_line_in_both_forms(value: object) -> None:
    record = logging.LogRecord("bolt_app", logging.INFO, "", 0, "%s", (value,), None)
    mask = logs.masking(SETTINGS)
    shown = logs.LineForm(mask).format(record)
    assert not logs._UNSAFE.search(shown)
    assert len(shown.splitlines()) == 1
    assert len(logs.JsonForm(mask).format(record).splitlines()) == 1


@given(message=st.text(), name=st.text(), run=st.none() | st.text(), exception=st.none() | st.text())
def test_a_json_line_is_what_the_json_library_writes(
    message: str, name: str, run: str | None, exception: str | None
) -> None:
    record = logging.LogRecord(name, logging.INFO, "", 0, "%s", (message,), None)
    record.exc_text = exception
    token = working_on.set(Context(event="e1", run=run))
    line = logs.JsonForm(lambda text: text).format(record)
    working_on.reset(token)
    parts = {
        "time": json.loads(line)["time"],
        "level": "INFO",
        "logger": name,
        "message": message,
        "event": "e1",
        "run": run,
        "exception": (exception or "").rstrip("\n"),
    }
    assert line == json.dumps({key: value for key, value in parts.items() if value}).replace("\x7f", r"\u007f")


class Pipe(io.StringIO):
    """Counts how often it was written to, and when that reached the other end."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, text: str) -> int:
        self.calls.append(text)
        return len(text)

    def flush(self) -> None:
        self.calls.append("flush")


def test_each_line_is_written_in_one_piece_and_at_once() -> None:
    pipe = Pipe()
    logs.configure(logging.INFO, SETTINGS, pipe)
    log.info("the first")
    log.info("the second")
    first, *after = pipe.calls
    assert json.loads(first)["message"] == "the first"
    assert first.endswith("}\n")
    assert after[0] == after[2] == "flush"
    assert json.loads(after[1])["message"] == "the second"
    assert len(after) == 3


def test_a_crash_in_a_process_is_one_masked_line(tmp_path: Path) -> None:
    script = (
        "import asyncio, logging, threading\n"
        "from pydantic import SecretStr\n"
        "from bolt_app import logs\n"
        "from bolt_app.settings import Settings\n"
        "logs.configure(logging.INFO, Settings.model_construct(slack_signing_secret=SecretStr('canary-secret')))\n"
        "async def lost(): raise ValueError('lost canary-secret')\n"
        "async def main():\n"
        "    task = asyncio.create_task(lost())\n"
        "    await asyncio.sleep(0)\n"
        "    del task\n"
        "    thread = threading.Thread(target=lambda: {}['canary-secret'])\n"
        "    thread.start(); thread.join()\n"
        "    raise RuntimeError('ended by canary-secret')\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [each["level"] for each in said] == ["ERROR", "CRITICAL", "CRITICAL"]
    assert "canary" not in done.stderr
    assert "ended by ***" in said[2]["exception"]


async def test_what_a_thread_of_a_run_logs_is_about_the_run(pipe: Sink, connector: Connector) -> None:
    working_on.set(Context(event="e1", run="e1:notify"))
    zendesk = connector.sides.bridge.zendesk
    await zendesk._in_thread(lambda: logging.getLogger("urllib3").warning("the pool is full"))
    (line,) = [each for each in lines(pipe) if each["logger"] == "urllib3"]
    assert line["run"] == "e1:notify"


async def test_each_line_about_an_event_or_a_run_carries_its_id(
    pipe: Sink, connector: Connector, zendesk: ZendeskServer
) -> None:
    first = await zendesk.assign(people.GRINDER, people.NOOR)
    second = await zendesk.assign(people.MARKUP, people.LIN)
    await connector.sides.bridge.request("deactivate", {"key": "notify-assigned-agents"}, "a test")
    third = await zendesk.assign(people.GRINDER, people.BEN)
    await connector.sides.bridge.idle()
    await asyncio.sleep(0)
    said = [each for each in lines(pipe) if "event " in each["message"] or "run " in each["message"]]
    events = [told.event["id"] for told in (first, second, third)]
    for event in events:
        about = [each for each in said if event in each["message"]]
        assert about
        assert {each["event"] for each in about} == {event}
    assert any(each.get("run") and "users_not_found" in each["message"] for each in said)
    # The next request of the same connection is about nothing yet.
    assert working_on.get() == Context()
