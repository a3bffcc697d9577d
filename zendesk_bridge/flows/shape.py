"""The shape of a flow file: fields that are missing, unknown, or of the wrong kind, told one problem a mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from zendesk_bridge.flows.catalog import Catalog, did_you_mean, nearest
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
from zendesk_bridge.flows.document import Document
from zendesk_bridge.flows.model import Problem
from zendesk_bridge.flows.other_words import belongs, for_instance, meant_field, meant_word
from zendesk_bridge.flows.template import is_template
from zendesk_bridge.flows.wrong_values import in_words

# More unknown fields are counted, not named.
_NAMED = 6


@dataclass(frozen=True, kw_only=True)
class _Error:
    """What pydantic found, with its place in the file."""

    path: tuple[Any, ...]
    # The model of the part that the last name is in.
    kind: type[BaseModel]
    type: str
    found: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.path[-1]) if self.path else ""


def shape_problems(errors: Iterable[Any], document: Document, file: str, catalog: Catalog) -> list[Problem]:
    """What pydantic found wrong with a flow, in the words and with the lines of the file."""
    return list(_Shape(document, file, catalog).problems(errors))


class _Shape:
    def __init__(self, document: Document, file: str, catalog: Catalog) -> None:
        self._document = document
        self._file = file
        self._catalog = catalog

    def problems(self, errors: Iterable[Any]) -> Iterator[Problem]:
        placed = [each for error in errors if (each := _placed(error, self._document.plain)) is not None]
        done: set[tuple[Any, ...]] = set()
        for each in placed:
            if self._is_elsewhere(each, placed):
                continue
            if each.type not in ("missing", "extra_forbidden"):
                yield self._other(each)
                continue
            parent = each.path[:-1]
            if parent not in done:  # what is missing there, and what is too much, is often one mistake
                done.add(parent)
                fields = [other for other in placed if other.path[:-1] == parent]
                unknown = [other for other in fields if other.type == "extra_forbidden"]
                yield from self._fields(unknown, [other for other in fields if other.type == "missing"])

    def _is_elsewhere(self, error: _Error, others: Iterable[_Error]) -> bool:
        """Whether what is missing stands a level too deep or too high: that is told where it stands."""
        unknown = [other for other in others if other.type == "extra_forbidden"]
        parent = error.path[:-1]
        if error.type == "missing":
            places = [other.path[:-1] for other in unknown if other.name == error.name]
            return any(parent and (place[: len(parent)] == parent or parent[: len(place)] == place) for place in places)
        below = f"below `{error.name}`"
        nothing = error.found["input"] is None
        return nothing and any(other.path[:-1] == parent and belongs(other.name, ()) == below for other in unknown)

    def _fields(self, unknown: list[_Error], missing: list[_Error]) -> Iterator[Problem]:
        """What is wrong with the names of fields in one place."""
        part = _part(self._document.plain, (unknown or missing)[0].path[:-1])
        needed = [each.name for each in missing]
        says_what = not issubclass((unknown or missing)[0].kind, tuple(KINDS.values())) or any(n in part for n in KINDS)
        if twice := [each for each in unknown if says_what and each.name in KINDS and each.kind in KINDS.values()]:
            names = [name for name in KINDS if name in part]
            message = f"a step does one thing, and this one has {_names(names)}"
            yield self._problem(twice[0].path, "unknown_field", message, "make two steps of it")
            return
        places: dict[str, list[_Error]] = {}
        for each in unknown:
            meant = self._meant(each, needed, len(unknown), says_what)
            if meant is None:
                places.setdefault(belongs(each.name, self._inputs(part)) or "", []).append(each)
                continue
            yield self._problem(each.path, "unknown_field", _no_fields([each]), did_you_mean(meant))
            if meant in KINDS and not says_what:
                return  # the rest goes with what it does
            needed = [name for name in needed if name != meant]
        for place, several in places.items():
            hint = f"{'it belongs' if len(several) == 1 else 'they belong'} {place}" if place else None
            if needed and hint is None:
                hint = f"{_names(needed)} {'is' if len(needed) == 1 else 'are'} missing"
            needed = []
            yield self._problem(several[0].path, "unknown_field", _no_fields(several), hint)
        for each in missing:
            if each.name in needed:
                hint = f"or one of {', '.join(list(KINDS)[1:])}" if each.name == "action" else None
                yield self._problem(each.path, "missing", f"{each.name!r} is missing", hint)

    def _meant(self, unknown: _Error, needed: Sequence[str], of: int, says_what: bool) -> str | None:
        close = nearest(unknown.name, needed)
        fields = [name for name in _names_of(unknown.kind) if name not in _given(unknown, self._document.plain)]
        meant = close or meant_field(unknown.name, unknown.kind.__name__, fields, says_what=says_what)
        if meant is None and of == len(needed) == 1 and says_what and belongs(unknown.name, ()) is None:
            return needed[0]
        return meant

    def _inputs(self, part: Any) -> list[str]:
        """The inputs of the action of a step."""
        name = part.get("action") if isinstance(part, dict) else None
        action = self._catalog.action(name) if isinstance(name, str) else None
        return [each.name for each in action.inputs] if action else []

    def _other(self, error: _Error) -> Problem:
        """What is wrong with the value of a field."""
        found, name = error.found, _called(error.path)
        given, words = found["input"], in_words(found)
        code, message, suggestion = "invalid", f"{name}: {words}", None
        match error.type:
            case "duplicate_key" | "reserved_key":
                code, message, suggestion = error.type, str(found["msg"]), "give the step another key"
            case _ if error.kind is Wait and error.name == "at":
                message = f"'at': {str(given)[:40]!r} is no time of day"
                suggestion = 'write it as "09:00"; a time from a variable goes into `until`'
            case "string_pattern_mismatch":
                signs = "_" if error.path[0] == "steps" else "_ and -"
                code = "invalid_key"
                message = f"{given[:60]!r} is no key: small letters, digits, {signs}, and a letter first"
            case "literal_error":
                expected = [word.strip("' ") for word in found["ctx"]["expected"].replace(" or ", ", ").split(",")]
                suggestion = did_you_mean(meant_word(str(given), expected))
                if error.name == "on_error" and isinstance(given, str):
                    message += ", and no list of steps"
                elif error.name == "on_error":
                    message = f"{name}: {in_words({**found, 'type': 'list_type'})}"
                    suggestion = "write its steps as a list: `- key: …`"
            case "one_way" | "no_duration":
                message = f"{name}: {found['msg']}"
            case "too_short":
                thing = {"set": "name", "branch": "case"}.get(error.name, "step")
                message = f"{name}: at least one {thing} is needed"
                if error.path == ("steps",):
                    message = "a flow needs at least one step"
            case "int_parsing" | "float_parsing" if isinstance(given, str) and is_template(given):
                suggestion = "no template can stand here"
                if error.kind is Wait:
                    suggestion += '; `until: "{{ now | plus: … }}"` takes one'
            case "list_type" | "dict_type" | "model_type" | "model_attributes_type" if given is not None:
                suggestion = for_instance(error.name, in_retry=error.kind is Retry)
        return self._problem(error.path, code, message, suggestion)

    def _problem(self, path: Sequence[Any], code: str, message: str, suggestion: str | None) -> Problem:
        return Problem(
            file=self._file,
            line=self._document.line(path),
            step=_step_key(self._document.plain, path),
            code=code,
            message=message,
            suggestion=suggestion,
        )


def _placed(error: Any, plain: Any) -> _Error | None:
    """A problem with its place; None where another says the same of a field that takes a word or a list."""
    path, kind = _place(error["loc"])
    for at, name in enumerate(path):
        if not isinstance(name, str) or not name.startswith(("literal[", "list[")):
            continue
        if name.startswith("list[") is not isinstance(_part(plain, path[:at]), list):
            return None
        path = path[:at] + path[at + 1 :]
        break
    type_ = error["type"]
    if type_ in ("duplicate_key", "reserved_key"):
        path = [*error["ctx"]["place"], "key"]
    return _Error(path=tuple(path), kind=kind, type=type_, found=error)


def _part(part: Any, path: Sequence[Any]) -> Any:
    """What stands in a place of the file; None where there is no such place."""
    for name in path:
        try:
            part = part[name]
        except (LookupError, TypeError):
            return None
    return part


def _step_key(part: Any, path: Sequence[Any]) -> str | None:
    """The key of the innermost step on a path."""
    key = None
    for before, name in zip(["", *path], path, strict=False):
        part = _part(part, [name])
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


def _names_of(model: type[BaseModel]) -> Iterator[str]:
    return (info.alias or name for name, info in model.model_fields.items())


def _given(error: _Error, plain: Any) -> list[str]:
    """The names that stand beside a field."""
    part = _part(plain, error.path[:-1])
    return list(part) if isinstance(part, dict) else []


def _no_fields(several: Sequence[_Error]) -> str:
    names = _names([each.name[:60] for each in several[:_NAMED]])
    if len(several) > _NAMED:
        names += f" and {len(several) - _NAMED} more"
    return f"there is no field {names} here" if len(several) == 1 else f"there are no fields {names} here"


def _names(names: Sequence[str]) -> str:
    return " and ".join(", ".join(repr(name) for name in names).rsplit(", ", 1))


def _called(path: Sequence[Any]) -> str:
    if path and isinstance(path[-1], int):
        return f"number {path[-1] + 1} of {_called(path[:-1])}"
    return f"'{path[-1]}'" if path else "the flow"
