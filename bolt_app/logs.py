"""The log: a line an event on a terminal, a JSON object a line elsewhere; no secret and no control character in it."""

from __future__ import annotations

import datetime as dt
import logging
import re
import sys
import threading
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring_ascii as _quoted
from types import TracebackType
from typing import TextIO
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

from bolt_app.settings import Settings
from zendesk_bridge.flows.context import working_on
from zendesk_bridge.flows.model import rfc3339

log = logging.getLogger(__name__)

MASK = "***"
#: Shorter values are slips, not secrets; masking them would cut up ordinary words.
SHORTEST = 4

Mask = Callable[[str], str]

# Tokens by their looks: what authenticates, Slack's tokens, and the parts of addresses and bodies that carry others.
# Each by what it has in it, in small letters.
_BY_LOOKS = {
    "bearer": r"\b(?i:Bearer)\s+(?=\S{8})[\w.~+/=-]+",
    "basic": r"\b(?i:Basic)\s+(?=\S{16})[\w+/=-]+",
    "xox": r"\bxox[a-z](?:\.xox[a-z])?-[\w-]{4,}",
    "xapp-": r"\bxapp-[\w-]{4,}",
    "ticket=": r"(?<=[?&]ticket=)[^&\s\"']+",
}
# Everything that steers a terminal, breaks a line, turns the direction of text, or is no character.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def configure(level: int, settings: Settings | None = None, stream: TextIO | None = None) -> None:
    """Logs to standard error, and what nobody caught as well; the libraries' own chatter only from warnings up.

    Args:
        level: of our own packages.
        settings: whose secrets are masked, wherever they turn up.
        stream: where to log to instead.
    """
    where = stream or sys.stderr
    mask = masking(settings)
    handler = _Handler(where)
    handler.setFormatter(LineForm(mask) if where.isatty() else JsonForm(mask))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("bolt_app", "zendesk_bridge"):
        logging.getLogger(name).setLevel(level)
    sys.excepthook = _crashed
    threading.excepthook = _thread_crashed


def leave_out_what_no_line_shows() -> None:
    """Lets the library not look up file names, threads and tasks: that is half of what a line costs.

    https://docs.python.org/3/howto/logging.html#optimization
    """
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.logAsyncioTasks = False  # type: ignore[attr-defined]


def masking(settings: Settings | None = None) -> Mask:
    """What puts `***` in the place of secrets: those of the settings, and what looks like a token."""
    known = sorted(set(_secrets(settings)) if settings else (), key=len, reverse=True)
    pattern = re.compile("|".join([*map(_also_quoted, known), *_BY_LOOKS.values()]), re.ASCII)
    # Looking for what every secret has in it is much quicker than looking for secrets.
    signs = sorted({*map(_longest_part, known), *_BY_LOOKS}, key=len)
    signs = [sign for number, sign in enumerate(signs) if not any(shorter in sign for shorter in signs[:number])]

    def masked(text: str) -> str:
        folded = text.casefold()
        for sign in signs:
            if sign in folded:
                return pattern.sub(MASK, text)
        return text

    return masked


def _longest_part(secret: str) -> str:
    """The longest part of a secret that quoting leaves as it is, in small letters."""
    return max(re.split(r"[\\'\"]", secret), key=len).casefold()


def _secrets(settings: Settings) -> Iterator[str]:
    """Every secret of the settings, in each form it may be written in."""
    for name in type(settings).model_fields:
        value = getattr(settings, name, None)
        if not isinstance(value, SecretStr) or len(secret := value.get_secret_value().strip()) < SHORTEST:
            continue
        names = f"{settings.zendesk_email}/token", settings.zendesk_client_id, settings.slack_client_id
        pairs = [f"{name}:{secret}" for name in names]
        for text in (secret, *pairs):
            yield b64encode(text.encode(errors="replace")).decode()
        yield from (secret, quote(secret, safe="", errors="replace"), quote_plus(secret, errors="replace"))


def _also_quoted(secret: str) -> str:
    """A pattern for a secret, also where quotes and backslashes in it were escaped, however often."""
    before = {"\\": r"\\+", "'": r"\\*'", '"': r'\\*"'}
    return "".join(before.get(character) or re.escape(character) for character in secret)


def visible(text: str, *, keep: str = "") -> str:
    r"""The text with control characters written out: a line break as `\n`, an escape as `\x1b`.

    Args:
        keep: characters that stay as they are.
    """

    def written(found: re.Match[str]) -> str:
        character = found[0]
        if character in keep:
            return character
        code = ord(character)
        return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")

    return _UNSAFE.sub(written, text)


class _Form(logging.Formatter):
    """What both forms share. They never raise: the library would then print the arguments as they are."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        self.mask = mask

    def format(self, record: logging.LogRecord) -> str:
        try:
            return self.line(record, _message(record), _exception(record))
        except Exception as problem:
            message = f"a message of {record.name} cannot be shown: {type(problem).__name__}"
            return self.line(record, message, "")

    def line(self, record: logging.LogRecord, message: str, exception: str) -> str:
        """The whole line."""
        raise NotImplementedError


class LineForm(_Form):
    """For people: `2026-11-22T20:04:51Z WARNING what happened [run …, step …]`, a traceback indented below it."""

    def line(self, record: logging.LogRecord, message: str, exception: str) -> str:
        # UTC, as in the history: the two are read side by side.
        time = rfc3339(_moment(record))[:19]
        message = self.mask(message)
        head = visible(f"{time}Z {record.levelname} {message}{_about(message)}")
        # Indented, so that no line of somebody else's words looks like one of the log.
        below = visible(self.mask(exception), keep="\n").replace("\n", "\n    ")
        return f"{head}\n    {below}" if below else head


class JsonForm(_Form):
    """For machines: `time`, `level`, `logger`, `message`; `event`, `run`, `step` and `exception` where there is one."""

    def line(self, record: logging.LogRecord, message: str, exception: str) -> str:
        work = working_on.get()
        parts = {
            "time": rfc3339(_moment(record)),
            "level": record.levelname,
            "logger": record.name,
            "message": self.mask(message),
            "event": work.event,
            "run": work.run,
            "step": work.step,
            "exception": exception and self.mask(exception),
        }
        # As `json.dumps` writes it, in a third of the time: it makes an encoder with each object. In ASCII alone every
        # other character is escaped; only DEL is ASCII and controls something.
        shown = ", ".join([f'"{name}": {_quoted(value)}' for name, value in parts.items() if value])
        return f"{{{shown}}}".replace("\x7f", r"\u007f")


class _Handler(logging.StreamHandler[TextIO]):
    def emit(self, record: logging.LogRecord) -> None:
        """Writes the line at once and in one piece; `handle`, which calls this, lets one thread in at a time."""
        try:
            self.stream.write(f"{self.format(record)}\n")
            self.stream.flush()
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """A log that cannot be written must not end anything, nor show what it could not write."""


def _moment(record: logging.LogRecord) -> dt.datetime:
    return dt.datetime.fromtimestamp(record.created, dt.UTC)


def _about(message: str) -> str:
    """What is worked on, where the message does not say it."""
    work = working_on.get()
    if work.run is not None and work.run not in message:
        return f" [run {work.run}, step {work.step}]" if work.step else f" [run {work.run}]"
    if work.run is None and work.event is not None and work.event not in message:
        return f" [event {work.event}]"
    return ""


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as problem:
        # The arguments do not fit the words, or do not let themselves be shown.
        words = record.msg if isinstance(record.msg, str) else f"a message of {record.name}"
        return f"{words} (its arguments cannot be shown: {type(problem).__name__})"


def _exception(record: logging.LogRecord) -> str:
    parts = []
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        try:
            parts.append("".join(traceback.format_exception(record.exc_info[1])))
        except Exception as problem:
            parts.append(f"{type(record.exc_info[1]).__name__} (cannot be shown: {type(problem).__name__})")
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(part.rstrip("\n") for part in parts)


def _crashed(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, problem, trace)
        return
    log.critical("a defect of this software ends it", exc_info=(kind, problem, trace))


def _thread_crashed(crash: threading.ExceptHookArgs) -> None:
    if crash.exc_value is not None and not isinstance(crash.exc_value, SystemExit):
        log.critical("a thread met a defect of this software", exc_info=crash.exc_value)
