"""Values of the usual form, taken as they are. Pydantic looks at all others, which takes it several times as long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

Clean = Callable[[Any], Any]
Schema = Mapping[str, Any]

_TEXT = frozenset({str})
_KINDS: Mapping[str, type[Any]] = {"str": str, "bool": bool, "list": list, "dict": dict}
_LEAVES: tuple[Schema, ...] = (
    {"type": "str"},
    {"type": "bool"},
    {"type": "list", "items_schema": {"type": "str"}},
    {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": {"type": "any"}},
)


class _Unlike(Exception):
    """A model has more to it than is dealt with here."""


@dataclass(frozen=True, kw_only=True)
class _Field:
    """What pydantic does with a field's value: cleans it, wants it to be of a type, and checks it."""

    name: str
    type: str
    needed: bool
    clean: Clean | None
    check: Clean | None


class Usual:
    """Takes the values of a model's fields as pydantic would, as long as each is of its type once it is cleaned.

    What pydantic would do is read from the schema that it made of the model.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        """Raises _Unlike where the model has more to it than fields that are texts, truths, lists of texts, objects."""
        fields = _fields(model)
        # Whether a name that is none of the fields' is wrong.
        self._closed = model.model_config["extra"] == "forbid"
        self._nothing = dict.fromkeys(each.name for each in fields)
        self._needed = tuple((each.name, each.clean, each.check) for each in fields if each.needed)
        scalars = [each for each in fields if each.type in ("str", "bool") and not each.needed]
        self._bare = tuple((each.name, _KINDS[each.type]) for each in scalars if not each.clean and not each.check)
        self._optional = tuple((each.name, each.clean, each.check) for each in scalars if each.clean or each.check)
        several = [each for each in fields if each.type in ("list", "dict")]
        self._collections = tuple((each.name, _KINDS[each.type], each.clean) for each in several if each.clean)

    def take(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """The values of all fields, in their order; None where pydantic has to look at what is given."""
        if self._closed and not values.keys() <= self._nothing.keys():
            return None
        try:
            return self._take(values.get)
        except (ValueError, AssertionError):  # pydantic says what is wrong
            return None

    def _take(self, get: Clean) -> dict[str, Any] | None:
        # Most values of most records are null.
        taken: dict[str, Any] = self._nothing.copy()
        for name, clean, check in self._needed:
            value = get(name)
            if value is None:
                return None
            if clean is not None:
                value = clean(value)
            if type(value) is int:
                value = str(value)
            elif type(value) is not str:
                return None
            taken[name] = value if check is None else check(value)
        for name, kind in self._bare:
            value = get(name)
            if value is not None:
                if type(value) is not kind:
                    return None
                taken[name] = value
        for name, clean, check in self._optional:
            value = get(name)
            if value is None:
                continue
            if clean is not None:
                value = clean(value)
            if value is not None and type(value) is not str:
                return None
            taken[name] = value if check is None else check(value)
        for name, kind, clean in self._collections:
            value = clean(get(name))
            if type(value) is not kind or (value and not _TEXT.issuperset(map(type, value))):
                return None
            taken[name] = value.copy()
        return taken


def taken(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The values of a model's fields; None where pydantic has to look at them."""
    short = usual(model)
    return short.take(values) if short else None


@cache
def usual(model: type[BaseModel]) -> Usual | None:
    """What takes a model's values; None where it has fields that only pydantic can deal with."""
    try:
        return Usual(model)
    except (_Unlike, LookupError, TypeError, AttributeError):  # or another pydantic has other schemas
        return None


def _fields(model: type[BaseModel]) -> list[_Field]:
    """The fields of a model that is no more than its fields. Raises _Unlike."""
    schema: Schema = model.__pydantic_core_schema__
    inside = schema.get("schema", {})
    extra = model.model_config.get("extra")
    if (
        (schema["type"], inside.get("type"), schema.get("custom_init")) != ("model", "model-fields", False)
        or model.model_config != {"extra": extra, "coerce_numbers_to_str": True}
        or extra not in ("ignore", "forbid")
        or "post_init" in schema
        or inside.get("computed_fields")
    ):
        raise _Unlike
    return [_field(name, each) for name, each in inside["fields"].items()]


def _field(name: str, schema: Schema) -> _Field:
    """A field; one that need not be given is then what null is made into. Raises _Unlike."""
    given: Schema = schema["schema"]
    needed = given["type"] != "default"
    inner = given if needed else given["schema"]
    inner, check = _behind(inner, "function-after")
    inner, clean = _behind(inner, "function-before")
    nullable = inner["type"] == "nullable"
    leaf = inner["schema"] if nullable else inner
    if schema.keys() - {"metadata"} != {"type", "schema"} or leaf not in _LEAVES:
        raise _Unlike
    match leaf["type"], needed, nullable:
        case "str", True, False:
            fits = True
        case "str", False, True:
            fits = _default(given) is None and _of_null(clean, check) is None
        case "bool", False, True:
            fits = _default(given) is None and clean is None and check is None
        case "list" | "dict", False, False:
            fits = clean is not None and check is None and _of_null(clean, None) == _default(given)
        case _:
            fits = False
    if not fits:
        raise _Unlike
    return _Field(name=name, type=leaf["type"], needed=needed, clean=clean, check=check)


def _default(schema: Schema) -> Any:
    return schema["default_factory"]() if "default_factory" in schema else schema["default"]


def _of_null(clean: Clean | None, check: Clean | None) -> Any:
    """What the functions make of null. Raises _Unlike where they refuse it."""
    try:
        cleaned = clean(None) if clean else None
        return check(cleaned) if check else cleaned
    except Exception as problem:
        raise _Unlike from problem


def _behind(schema: Schema, kind: str) -> tuple[Schema, Clean | None]:
    """What a function stands before or after, and the function."""
    if schema["type"] != kind:
        return schema, None
    function = schema["function"]["function"]
    if schema != {"type": kind, "function": {"type": "no-info", "function": function}, "schema": schema["schema"]}:
        raise _Unlike
    return schema["schema"], function
