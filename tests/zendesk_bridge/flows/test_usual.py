"""Values that are taken without pydantic: what comes of them is what pydantic makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from real_connectors import CONNECTORS

from zendesk_bridge.flows.catalog import Catalog
from zendesk_bridge.flows.usual import taken, usual
from zendesk_bridge.records import Organization, Ticket, User
from zendesk_bridge.triggers import Assignment

SEEDED = settings(derandomize=True, deadline=None, max_examples=150)
RECORDS: tuple[type[BaseModel], ...] = (Ticket, User, Organization, Assignment)
FORMS: tuple[type[BaseModel], ...] = tuple(action.form for action in Catalog(CONNECTORS).actions.values())


class Word(str):
    """A text that is more than a text."""

    __slots__ = ()


TEXTS = ("", " ", "0", "4021", " 7 ", "OPEN", "ǅ", "٣", "\ud800", "\x00", "true", "1503435956.000247", "#support")
MORE_TEXTS = ("C024BE91L", "U024BE7LH", "ada@example.com", "eyes", "a b", Word("OPEN"), Word("5"))
NUMBERS = (0, 1, -1, 9001, 2**63, 10**400, 0.0, 1.5, float("nan"), float("inf"))
atoms = (
    st.none()
    | st.booleans()
    | st.sampled_from((*TEXTS, *MORE_TEXTS))
    | st.sampled_from(NUMBERS)
    | st.binary(max_size=2)
)
anything = st.recursive(
    atoms,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
texts = st.sampled_from((*TEXTS, *MORE_TEXTS))
#: What the forms take under these names.
RIGHT = {
    "email": ["ada@example.com", " ada@example.com "],
    "channel": ["#support", "C024BE91L", "D024BE91L"],
    "thread_ts": ["1503435956.000247"],
    "timestamp": ["1503435956.000247"],
    "name": ["eyes", ":eyes:"],
    "user_id": ["U024BE7LH", "9001", 9001],
}
NUMBERED = ("id", "ticket_id", "organization_id")


def likely(model: type[BaseModel], name: str) -> st.SearchStrategy[Any]:
    """Values that may be right for a field."""
    annotation = model.model_fields[name].annotation
    if name in RIGHT and model in FORMS:
        return st.sampled_from(RIGHT[name])
    if name in NUMBERED:
        return st.integers(1, 10**14) | st.integers(1, 10**14).map(str)
    if annotation == list[str]:
        return st.none() | st.lists(texts, max_size=3) | texts
    if annotation == dict[str, Any]:
        return st.none() | st.dictionaries(st.text(max_size=3), anything, max_size=2)
    if annotation == bool | None:
        return st.sampled_from([None, True, False, None, True, False, 1])
    return texts if annotation is str else texts | st.none()


def values_of(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Values that may be right for the fields of a model, some left out, and now and then a few that are odd."""
    given_ones = {name: likely(model, name) for name in model.model_fields}
    needed = {name: given_ones.pop(name) for name, info in model.model_fields.items() if info.is_required()}
    odd = st.dictionaries(st.sampled_from([*model.model_fields, "unknown"]), anything, min_size=1, max_size=2)
    right = st.fixed_dictionaries(needed, optional=given_ones)
    return right | right | st.tuples(right, odd).map(lambda both: {**both[0], **both[1]})


def exact(value: Any) -> Any:
    """A value with the types in it, so that 1 is not True; of a mapping also the order."""
    if isinstance(value, dict):
        return dict, [(exact(name), exact(each)) for name, each in value.items()]
    return (list, [exact(each) for each in value]) if isinstance(value, list) else (type(value), repr(value))


def of_pydantic(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any] | None:
    """What pydantic makes of them; None where it refuses them."""
    try:
        return dict(model.model_validate(values).__dict__)
    except ValidationError:
        return None


@pytest.mark.parametrize("model", [*RECORDS, *FORMS], ids=lambda model: model.__name__)
def test_every_record_and_every_form_there_is_has_the_short_way(model: type[BaseModel]) -> None:
    assert usual(model) is not None, "pydantic's schema looks different: see zendesk_bridge/flows/usual.py"


@pytest.mark.parametrize("model", [*RECORDS, *FORMS], ids=lambda model: model.__name__)
def test_what_is_taken_is_what_pydantic_makes_of_it(model: type[BaseModel]) -> None:
    short = usual(model)
    assert short is not None
    seen = {True: 0, False: 0}

    @SEEDED
    @given(values_of(model))
    def agrees(values: dict[str, Any]) -> None:
        taken = short.take(values)
        seen[taken is not None] += 1
        if taken is not None:
            full = of_pydantic(model, values)
            assert full is not None
            assert exact(taken) == exact(full)

    agrees()
    assert all(seen.values())


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Ticket, {"ticket_id": 101, "url": "u", "status": "OPEN", "assignee_id": 9001, "tags": ["a"], "unknown": 1}),
        (User, {"id": 7, "url": "u", "role": None, "active": True, "user_fields": {"tier": ["gold"]}}),
        (Organization, {"id": 7, "url": "u", "domains": "a.example b.example", "group_id": 0}),
        (Assignment, {"ticket_id": "101", "occurred_at": "o", "requester_id": "41700000000613", "priority": "HIGH"}),
    ],
)
def test_a_usual_record_is_taken(model: type[BaseModel], values: dict[str, Any]) -> None:
    short = usual(model)
    assert short is not None
    assert exact(short.take(values)) == exact(of_pydantic(model, values))


@pytest.mark.parametrize("name", ["id", "organization_id", "name", "tags"])
def test_a_number_too_long_to_be_written_is_left_to_pydantic(name: str) -> None:
    number = 10**5000
    short = usual(User)
    assert short is not None
    assert short.take({"id": 7, "url": "u", name: [number] if name == "tags" else number}) is None


def test_lists_and_mappings_are_taken_as_copies() -> None:
    given_values = {"id": 7, "url": "u", "tags": ["vip"], "user_fields": {"tier": "gold"}}
    short = usual(User)
    assert short is not None
    taken = short.take(given_values)
    assert taken is not None
    taken["tags"].append("x")
    taken["user_fields"]["x"] = "y"
    assert given_values == {"id": 7, "url": "u", "tags": ["vip"], "user_fields": {"tier": "gold"}}
    another = short.take({"id": 8, "url": "u"})
    assert another is not None
    assert (another["tags"], another["user_fields"]) == ([], {})


def _plain(value: Any) -> Any:
    return value


def _with_info(value: Any, info: ValidationInfo) -> Any:
    return value


def _listed(value: Any) -> Any:
    return [] if value is None else value


def _mapped(value: Any) -> Any:
    return {} if value is None else value


def _filled(value: Any) -> Any:
    return value or "x"


class Checked(BaseModel):
    """Has a function for a field beside its type."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    text: str

    @field_validator("text", mode="wrap")
    @classmethod
    def _check(cls, value: Any, handler: Callable[[Any], str]) -> str:
        return handler(value).upper()


class CheckedWhole(BaseModel):
    """Has a function for all fields together."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    text: str

    @model_validator(mode="after")
    def _check(self) -> CheckedWhole:
        return self


@pytest.mark.parametrize(
    "field",
    [
        (Annotated[str, Field(min_length=1)], ...),
        (Annotated[str, Field(alias="other")], ...),
        (Annotated[str, Field(strict=True)], ...),
        (Annotated[str, BeforeValidator(_with_info)], ...),
        (Annotated[str | None, BeforeValidator(_filled)], None),
        (Annotated[str | None, AfterValidator(_filled)], None),
        (Annotated[str, AfterValidator(_plain), BeforeValidator(_plain), AfterValidator(_plain)], ...),
        (str | None, ...),
        (str, "open"),
        (str | None, "open"),
        (int, ...),
        (bool, False),
        (list[str], []),
        (list[str] | None, None),
        (Annotated[list[str], BeforeValidator(_plain)], []),
        (Annotated[list[str], BeforeValidator(_listed), AfterValidator(_plain)], []),
        (Annotated[list[int], BeforeValidator(_listed)], []),
        (Annotated[bool | None, BeforeValidator(_plain)], None),
        (Annotated[str | None, AfterValidator(len)], None),
        (dict[str, Any], {}),
        (Literal["open", "closed"], ...),
        (Ticket | None, None),
        (Any, None),
    ],
)
def test_a_field_that_is_not_sure_to_come_out_the_same_is_left_to_pydantic(field: Any) -> None:
    config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)
    assert usual(create_model("Odd", __config__=config, text=field)) is None


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (
            (Annotated[str, BeforeValidator(_filled)], ...),
            [{}, {"text": None}, {"text": ""}, {"text": 5}, {"text": [5]}],
        ),
        ((Annotated[list[str], BeforeValidator(_listed)], []), [{"text": "abc"}, {"text": ("a",)}, {"text": [5]}]),
        ((Annotated[dict[str, Any], BeforeValidator(_mapped)], {}), [{}, {"text": {1: 2}}, {"text": {Word("a"): 1}}]),
        ((Annotated[str, AfterValidator(len)], ...), [{"text": "abc"}, {"text": 5}]),
        ((Annotated[str | None, BeforeValidator(_plain)], None), [{"text": 5}, {"text": False}, {"text": Word("a")}]),
    ],
)
def test_what_functions_make_of_a_value_is_looked_at_like_the_value(field: Any, values: list[dict[str, Any]]) -> None:
    model = create_model("M", __config__=ConfigDict(extra="ignore", coerce_numbers_to_str=True), text=field)
    for each in values:
        found = taken(model, each)
        assert found is None or exact(found) == exact(of_pydantic(model, each))


@pytest.mark.parametrize(
    "config",
    [
        ConfigDict(extra="ignore"),
        ConfigDict(coerce_numbers_to_str=True),
        ConfigDict(extra="allow", coerce_numbers_to_str=True),
        ConfigDict(extra="ignore", coerce_numbers_to_str=True, str_strip_whitespace=True),
        ConfigDict(extra="ignore", coerce_numbers_to_str=True, strict=True),
    ],
)
def test_a_model_that_says_more_of_itself_is_left_to_pydantic(config: ConfigDict) -> None:
    assert usual(create_model("Odd", __config__=config, text=(str, ...))) is None


@pytest.mark.parametrize("model", [Checked, CheckedWhole])
def test_a_model_with_functions_of_its_own_is_left_to_pydantic(model: type[BaseModel]) -> None:
    assert usual(model) is None


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "model"},
        {"type": "model", "custom_init": False, "schema": {"type": "model-fields"}},
        {"type": "model", "custom_init": False, "schema": {"type": "model-fields", "fields": {"text": {}}}},
        {"type": "model", "custom_init": False, "schema": {"type": "model-fields", "fields": {"text": None}}},
        {"type": "definitions", "schema": {"type": "model"}, "definitions": []},
    ],
)
def test_a_schema_of_another_pydantic_is_left_to_it(schema: dict[str, Any]) -> None:
    model = create_model("M", __config__=ConfigDict(extra="ignore", coerce_numbers_to_str=True), text=(str, ...))
    assert usual(create_model("Known", __base__=model)) is not None
    model.__pydantic_core_schema__ = schema  # type: ignore[assignment]
    assert usual(model) is None
