"""What a step can do: actions and triggers, read from the signature, types and docstring of plain functions."""

from __future__ import annotations

import difflib
import inspect
import json
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from zendesk_bridge.flows.definition import Values
from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.pacing import Scheduler
from zendesk_bridge.flows.usual import taken
from zendesk_bridge.flows.wrong_values import in_words

Effect = Literal["read", "set", "create"]
#: What an action answers: a model, or its fields as JSON has them.
Result = BaseModel | dict[str, Any]
Function = Callable[..., Awaitable[Result]]


def as_text(value: object) -> str:
    """A value as plain text: null is empty, true is `true`, a list is its items with commas, an object is JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | range):
        return ", ".join(as_text(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


@dataclass(frozen=True)
class Inserted:
    """Marks an input's type: how a value is turned into text when a template inserts it."""

    insert: Callable[[object], str]
    # What is done to the whole text once, when all values are in their places.
    settle: Callable[[str], str] = str


@dataclass(frozen=True)
class Made:
    """Marks an output's type: what a recorded text becomes again when it is read from the journal."""

    make: Callable[[str], str]


@dataclass(frozen=True)
class OfKind:
    """Marks a type: the kind of its values, where Python's type does not tell, such as `date-time`."""

    kind: str


@dataclass(frozen=True)
class FieldsOf:
    """Marks a mapping that an action answers: it has the fields of this model, as JSON has them."""

    model: type[BaseModel]


@dataclass(frozen=True)
class OneOf:
    """Marks a text that is always one of a few words, where it is anything at all."""

    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Once:
    """The mark that a `create` action puts on what it makes, so that it can be found again after a lost answer."""

    key: str
    # Seconds since the epoch when the effect was begun.
    begun_at: float


@dataclass(frozen=True)
class Wanted:
    """The outputs of a step that the rest of its flow uses: an action need not fetch the others."""

    names: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who the connector is at a service."""

    # The workspace or the subdomain.
    account: str
    # The person or bot that calls are made as.
    connected_by: str
    scopes: list[str]
    # Who actions are done as, where that is somebody else.
    acts_as: str = ""


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of an action, as a form shows it."""

    name: str
    type: str
    required: bool
    default: Any
    description: str
    is_text: bool
    insert: Callable[[object], str] | None
    settle: Callable[[str], str] = str


@dataclass(frozen=True, kw_only=True)
class Output:
    """One variable that later steps may use."""

    name: str
    type: str
    description: str
    # Names known below this one; None: anything may be there.
    below: tuple[str, ...] | None = ()
    # All that it can be, where that is known.
    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something a step can do."""

    id: str
    title: str
    description: str
    service: str
    effect: Effect
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    aliases: tuple[str, ...]
    # Inputs of which exactly one is given.
    either: tuple[str, ...]
    # Whether the function takes `wanted`.
    takes_wanted: bool
    function: Function = field(repr=False)
    find: Function | None = field(repr=False)
    form: type[BaseModel] = field(repr=False)
    made: Mapping[str, Callable[[str], str]] = field(repr=False)

    def input(self, name: str) -> Input | None:
        """The input of that name, or None."""
        return next((each for each in self.inputs if each.name == name), None)

    def validate(self, inputs: Values) -> dict[str, Any]:
        """The inputs as the function takes them. Raises FlowError `invalid_input`, naming the input."""
        if (usual := taken(self.form, inputs)) is not None:
            return usual
        try:
            form = self.form.model_validate(dict(inputs))
        except ValidationError as problem:
            first = problem.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise FlowError("invalid_input", f"input {name!r} of {self.id}: {in_words(first)}") from problem
        return dict(form.__dict__)

    def restore(self, outputs: Values) -> Values:
        """Recorded outputs with their types back."""
        if not self.made:
            return outputs
        return {
            name: self.made[name](value) if name in self.made and isinstance(value, str) else value
            for name, value in outputs.items()
        }


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A kind of event that a flow can start from."""

    id: str
    title: str
    description: str
    service: str
    outputs: tuple[Output, ...]
    # Example values of the output variables.
    sample: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Connector:
    """A service as a set of triggers and actions, and the client its actions work through."""

    service: str
    title: str
    client: object
    # Asks the service who the connector is. Raises Credentials where it is not connected.
    identify: Callable[[], Awaitable[Identity]]
    actions: tuple[Function, ...]
    triggers: tuple[Trigger, ...] = ()
    # Paces the calls to the service; wakes runs whose turn has come.
    scheduler: Scheduler | None = None


def action(
    effect: Effect, *, find: Function | None = None, aliases: tuple[str, ...] = (), either: tuple[str, ...] = ()
) -> Callable[[Function], Function]:
    """Marks a function as an action.

    The first parameter is the service's client; keyword-only parameters are the inputs; an optional parameter
    `once: Once` receives the mark of a `create`, one named `wanted: Wanted` the outputs that the flow uses. The
    result is a pydantic model, or a mapping marked `FieldsOf` one: the model's fields are the outputs.

    Args:
        effect: `read` changes nothing; `set` may be repeated; `create` makes another thing each time.
        find: for a `create`: takes the same arguments, returns what was made under `once.key`, or None.
        aliases: further names that flow files may use.
        either: inputs of which exactly one is given; the function raises `invalid_input` where it is otherwise.
    """
    if effect == "create" and find is not None and "once" not in inspect.signature(find).parameters:
        raise TypeError("find needs a parameter `once`")

    def mark(function: Function) -> Function:
        function.__dict__["action"] = (effect, find, aliases, either)
        return function

    return mark


def describe_outputs(model: type[BaseModel]) -> tuple[Output, ...]:
    """The variables that a result of this model offers."""
    return tuple(
        Output(name=name, type=_kind(info), description=info.description or "", below=_below(info), words=_words(info))
        for name, info in model.model_fields.items()
    )


def dumped(result: Result) -> dict[str, Any]:
    """A result as JSON has it."""
    if isinstance(result, dict):
        return result
    return dict(result.__dict__) if _is_plain(type(result)) else result.model_dump(mode="json")


@cache
def _is_plain(model: type[BaseModel]) -> bool:
    """Whether the fields of a model are JSON as they stand, so that nothing needs to be made of them."""
    return model.model_config.get("extra") != "allow" and all(
        (get_origin(part) or part) in (str, bool, int, type(None), list, dict) and not _models_in(part)
        for info in model.model_fields.values()
        for part in (get_args(info.annotation) if _is_union(info.annotation) else (info.annotation,))
    )


def _models_in(annotation: Any) -> bool:
    """Whether the items of a list or mapping are more than JSON."""
    return any(part not in (str, bool, int, Any) for part in get_args(annotation))


def _describe(function: Function, service: str) -> Action:
    effect, find, aliases, either = function.__dict__["action"]
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    fields: dict[str, Any] = {}
    inputs: list[Input] = []
    for parameter in parameters:
        if parameter.name in ("once", "wanted"):
            continue
        required = parameter.default is inspect.Parameter.empty
        annotation = hints[parameter.name]
        fields[parameter.name] = (annotation, ... if required else parameter.default)
    form = create_model(
        f"{function.__name__}_inputs", __config__=ConfigDict(extra="forbid", coerce_numbers_to_str=True), **fields
    )
    for name, info in form.model_fields.items():
        inserted = next((mark for mark in info.metadata if isinstance(mark, Inserted)), None)
        inputs.append(
            Input(
                name=name,
                type=_kind(info),
                required=info.is_required(),
                default=None if info.is_required() else info.default,
                description=info.description or "",
                is_text=_is_text(info.annotation),
                insert=inserted.insert if inserted else None,
                settle=inserted.settle if inserted else str,
            )
        )
    marks = getattr(hints["return"], "__metadata__", ())
    result = next((mark.model for mark in marks if isinstance(mark, FieldsOf)), hints["return"])
    made = {
        name: mark.make
        for name, info in result.model_fields.items()
        for mark in info.metadata
        if isinstance(mark, Made)
    }
    name = function.__name__
    return Action(
        id=f"{service}.{name}",
        title=name.replace("_", " ").capitalize(),
        description=inspect.cleandoc(function.__doc__ or ""),
        service=service,
        effect=effect,
        inputs=tuple(inputs),
        outputs=describe_outputs(result),
        aliases=tuple(f"{service}.{alias}" for alias in aliases),
        either=either,
        takes_wanted=any(parameter.name == "wanted" for parameter in parameters),
        function=function,
        find=find,
        form=form,
        made=made,
    )


def _is_text(annotation: Any) -> bool:
    return annotation is str or (_is_union(annotation) and any(_is_text(part) for part in get_args(annotation)))


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (typing.Union, types.UnionType)


def _kind(info: FieldInfo) -> str:
    mark = next((mark for mark in info.metadata if isinstance(mark, OfKind)), None)
    return mark.kind if mark else _type_name(info.annotation)


def _words(info: FieldInfo) -> tuple[str, ...]:
    return next((mark.words for mark in info.metadata if isinstance(mark, OneOf)), ())


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type_name(get_args(annotation)[0])
    if _is_union(annotation):
        return _type_name(next(part for part in get_args(annotation) if part is not type(None)))
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, BaseModel):
        return "object"
    names: dict[Any, str] = {
        str: "text",
        bool: "boolean",
        int: "number",
        float: "decimal",
        list: "list",
        dict: "object",
    }
    return names.get(origin, "text")


def _below(info: FieldInfo) -> tuple[str, ...] | None:
    annotation = info.annotation
    if _is_union(annotation):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return None if annotation.model_config.get("extra") == "allow" else tuple(annotation.model_fields)
    origin = get_origin(annotation) or annotation
    return None if origin in (list, dict) else ()


class Catalog:
    """All triggers and actions there are, by id."""

    def __init__(self, connectors: Iterable[Connector]) -> None:
        self.connectors = tuple(connectors)
        self.actions: dict[str, Action] = {}
        self.triggers: dict[str, Trigger] = {}
        self._aliases: dict[str, str] = {}
        self._clients: dict[str, object] = {}
        for connector in self.connectors:
            self._clients[connector.service] = connector.client
            for function in connector.actions:
                described = _describe(function, connector.service)
                self.actions[described.id] = described
                self._aliases.update(dict.fromkeys(described.aliases, described.id))
            for trigger in connector.triggers:
                self.triggers[trigger.id] = trigger

    def action(self, name: str) -> Action | None:
        """The action of that id or alias, or None."""
        return self.actions.get(self._aliases.get(name, name))

    def client(self, service: str) -> object:
        """What the actions of a service work through."""
        return self._clients[service]

    @property
    def names(self) -> list[str]:
        """Every action id and alias."""
        return [*self.actions, *self._aliases]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like a mistyped or shortened one, or None."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    longer = [each for each in names if len(name) > 2 and name in each]
    return next(iter([*close, *sorted(longer, key=len)]), None)


def did_you_mean(name: str | None) -> str | None:
    """The suggestion for a mistyped name."""
    return f"did you mean {name!r}?" if name else None
