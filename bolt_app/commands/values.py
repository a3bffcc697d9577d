"""What went into a step and came out of it, as people read it on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bolt_app.commands import terminal
from bolt_app.text import plain

Values = Mapping[str, Any]


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def present(values: Values) -> Iterable[tuple[str, Any]]:
    """What there is: empty values say nothing."""
    return ((name, value) for name, value in values.items() if not is_empty(value))


def is_empty(value: Any) -> bool:
    """Whether a value says nothing."""
    return value in (None, "", [], {})


def as_read(step: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A step's inputs and outputs as its reader wants them: each thing once."""
    inputs, outputs = dict(step["inputs"]), dict(step["outputs"])
    outputs = {name: value for name, value in outputs.items() if name not in inputs or inputs[name] != value}
    if outputs.get("error") == step["error"]:
        outputs.pop("error", None)  # told as what went wrong
    if step["action"].startswith("slack."):
        # As its reader sees it; and once.
        inputs = {name: plain(value) if isinstance(value, str) else value for name, value in inputs.items()}
        outputs.pop("message", None)
    return inputs, outputs


def in_a_line(value: Any, most: int = 40) -> str:
    """The beginning of a value, in one line."""
    text = " ".join(terminal.clean(as_text(value)).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def lines_of(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A value in lines, each with what stands before it: a name in the first, two blanks in the others."""
    text = terminal.clean(as_text(value)).rstrip("\n")
    head = f"{terminal.clean(name)}: "
    if "\n" not in text:
        yield head, text
        return
    yield head.rstrip(), ""
    for line in text.split("\n"):
        yield "  ", line.rstrip()
