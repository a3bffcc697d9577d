"""Flow files: YAML in, a checked flow out, and every problem with its line and what to write instead."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from zendesk_bridge.flows.catalog import Catalog, in_words, nearest
from zendesk_bridge.flows.check import check_flow, did_you_mean
from zendesk_bridge.flows.definition import (
    KINDS,
    ActionStep,
    Case,
    Condition,
    Conditions,
    Flow,
    Loop,
    OnlyIf,
    Retry,
    Span,
    Stop,
    TriggerReference,
    Wait,
)
from zendesk_bridge.flows.document import FILE_LIMIT, Document, DocumentProblem
from zendesk_bridge.flows.model import Problem

#: More than this nobody reads.
PROBLEMS_LIMIT = 100
_LINE_END = re.compile("\r\n?")


@dataclass(frozen=True, kw_only=True)
class FlowFile:
    """What a file holds: a flow, or the problems that keep it from being one."""

    file: str
    text: str
    key: str | None = None
    flow: Flow | None = None
    problems: list[Problem] = field(default_factory=list)


def read_flow(text: str, file: str, catalog: Catalog) -> FlowFile:
    """Reads and checks one flow. Never raises: what is wrong is in `problems`."""
    try:
        document = Document(_LINE_END.sub("\n", text))
    except DocumentProblem as problem:
        wrong = Problem(file=file, line=problem.line, code="yaml", message=problem.message)
        return FlowFile(file=file, text=text, problems=[wrong])
    key = document.plain.get("key")
    key = key if isinstance(key, str) else None
    try:
        flow = Flow.model_validate(document.plain)
    except ValidationError as problem:
        problems = [_shape_problem(document, file, error) for error in problem.errors()]
        return FlowFile(file=file, text=text, key=key, problems=problems[:PROBLEMS_LIMIT])
    problems = check_flow(flow, document, file, catalog)
    return FlowFile(file=file, text=text, key=key, flow=None if problems else flow, problems=problems[:PROBLEMS_LIMIT])


def read_file(path: pathlib.Path, catalog: Catalog) -> FlowFile:
    """Reads and checks a flow file on disk. Never raises."""
    try:
        if path.stat().st_size > 4 * FILE_LIMIT:
            raise ValueError(f"it has more than {FILE_LIMIT // 1024} KiB")
        text = path.read_bytes().decode("utf-8")  # with its own ends of lines, for whoever writes it again
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        if isinstance(problem, UnicodeDecodeError):
            reason = "it is not in UTF-8; save it with that encoding"
        wrong = Problem(file=str(path), line=1, code="unreadable", message=f"the file cannot be read: {reason}")
        return FlowFile(file=str(path), text="", problems=[wrong])
    return read_flow(text, str(path), catalog)


def _shape_problem(document: Document, file: str, error: Any) -> Problem:
    """A problem that pydantic found, in the words and with the line of the file."""
    path, kind = _place(error["loc"])
    given, type_ = error["input"], error["type"]
    if type_ in ("duplicate_key", "reserved_key"):
        path = [*error["ctx"]["place"], "key"]
    name = _called(path)
    message, suggestion = f"{name}: {in_words(error)}", None
    code = {"missing": "missing", "extra_forbidden": "unknown_field", "string_pattern_mismatch": "invalid_key"}.get(
        type_, type_ if type_ in ("duplicate_key", "reserved_key") else "invalid"
    )
    if code == "missing":
        message = f"{name} is missing"
    elif code == "unknown_field":
        message = f"there is no field {name} here"
        suggestion = did_you_mean(nearest(str(path[-1]), _fields(kind)))
    elif code == "invalid_key":
        signs = "_" if path[0] == "steps" else "_ and -"
        message = f"{given[:60]!r} is no key: small letters, digits, {signs}, and a letter first"
    elif code in ("duplicate_key", "reserved_key"):
        message, suggestion = str(error["msg"]), "give the step another key"
    elif type_ == "literal_error":
        expected = [word.strip("' ") for word in error["ctx"]["expected"].replace(" or ", ", ").split(",")]
        suggestion = did_you_mean(nearest(str(given), expected))
    elif type_ in ("one_way", "no_duration"):
        message = f"{name}: {error['msg']}"
    elif type_ == "too_short" and path == ["steps"]:
        message = "a flow needs at least one step"
    step_key = _step_key(document.plain, path)
    return Problem(
        file=file,
        line=document.line(path),
        step=step_key,
        code=code,
        message=message,
        suggestion=suggestion,
    )


def _step_key(part: Any, path: list[Any]) -> str | None:
    """The key of the innermost step on a path."""
    key = None
    for before, name in zip(["", *path], path, strict=False):
        if not isinstance(part, dict | list):
            break
        try:
            part = part[name]
        except (LookupError, TypeError):
            break
        if before in ("steps", "else", "on_error") and isinstance(part, dict):
            key = part.get("key")
    return key if isinstance(key, str) else None


def _place(location: Iterable[Any]) -> tuple[list[Any], type[BaseModel]]:
    """The path in the file that pydantic's location means, and the model of the part that the last name is in."""
    path: list[Any] = []
    kinds: list[type[BaseModel]] = [Flow]
    for part in location:
        if path and part in _TAGS:
            kinds[-1] = _TAGS[str(part)]
            continue
        path.append(part)
        below = _BELOW_RETRY if kinds[-1] is Retry else _BELOW
        kinds.append(below.get(str(part), kinds[-1]) if isinstance(part, str) else kinds[-1])
    return path, kinds[-2] if len(kinds) > 1 and path and isinstance(path[-1], str) else kinds[-1]


#: What pydantic puts into a location where there are several kinds.
_TAGGED: tuple[type[BaseModel], ...] = (Condition, Conditions, *KINDS.values())
_TAGS = {kind.__name__: kind for kind in _TAGGED}
_BELOW: dict[str, type[BaseModel]] = {
    "trigger": TriggerReference,
    "conditions": Conditions,
    "when": Conditions,
    "steps": ActionStep,
    "only_if": OnlyIf,
    "branch": Case,
    "loop": Loop,
    "wait": Wait,
    "stop": Stop,
    "retry": Retry,
    "timeout": Span,
}
_BELOW_RETRY: dict[str, type[BaseModel]] = {"wait": Span}


def _fields(model: type[BaseModel]) -> Iterator[str]:
    return (info.alias or name for name, info in model.model_fields.items())


def _called(path: list[Any]) -> str:
    if path and isinstance(path[-1], int):
        return f"number {path[-1] + 1} of {_called(path[:-1])}"
    return f"'{path[-1]}'" if path else "the flow"
