"""Flow files: YAML in, a checked flow out, and every problem with its line and what to write instead."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass, field

from pydantic import ValidationError

from zendesk_bridge.flows.catalog import Catalog
from zendesk_bridge.flows.check import check_flow
from zendesk_bridge.flows.definition import Flow
from zendesk_bridge.flows.document import FILE_LIMIT, Document, DocumentProblem
from zendesk_bridge.flows.model import Problem
from zendesk_bridge.flows.shape import shape_problems

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
        problems = shape_problems(problem.errors()[:PROBLEMS_LIMIT], document, file, catalog)
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
