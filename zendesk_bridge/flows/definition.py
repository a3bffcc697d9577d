"""An action flow as its file says it: a trigger, and steps that do something or say what happens next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

Values = Mapping[str, Any]

#: Keys of flows and steps: a letter first, so that `{{ key.name }}` always reads as a variable.
KEY = r"^[a-z][a-z0-9_-]{0,62}$"
STEP_KEY = r"^[a-z][a-z0-9_]{0,62}$"


class Condition(BaseModel):
    """One comparison: a variable, an operator and, for most operators, a value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variable: str = Field(min_length=1)
    operator: Literal["is", "is_not", "is_present", "is_not_present", "contains", "greater_than", "less_than"]
    value: Any = None


def _condition_kind(part: Any) -> str:
    """Which of the two a part of a tree is meant to be: problems are then told of that one alone."""
    tree = isinstance(part, Conditions) or bool(isinstance(part, dict) and {"all", "any", "not"} & set(part))
    return "Conditions" if tree else "Condition"


Part = Annotated[
    Annotated[Condition, Tag("Condition")] | Annotated["Conditions", Tag("Conditions")], Discriminator(_condition_kind)
]


class Conditions(BaseModel):
    """Comparisons that must all hold (`all`), of which one must (`any`), or that must not (`not`); they nest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    all: list[Part] | None = None
    any: list[Part] | None = None
    unless: Part | None = Field(default=None, alias="not")


class OnlyIf(Conditions):
    """Conditions of a step, and what happens where they do not hold."""

    # Whether the step alone is skipped, or the run ends here, as succeeded.
    otherwise: Literal["skip", "stop"] = Field(default="skip", alias="else")


class TriggerReference(BaseModel):
    """What starts the flow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: str
    conditions: Conditions | None = None


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(pattern=STEP_KEY, description="Later steps use its outputs as {{ key.output }}.")
    only_if: OnlyIf | None = Field(
        default=None,
        description="Conditions; where they do not hold the step is skipped, or with `else: stop` the run ends.",
    )


class Duration(BaseModel):
    """How long: days, hours, minutes and seconds add up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: float | None = Field(default=None, ge=0, le=366, description="A number.")
    hours: float | None = Field(default=None, ge=0, le=8784, description="A number.")
    minutes: float | None = Field(default=None, ge=0, le=527_040, description="A number.")
    seconds: float | None = Field(default=None, ge=0, le=31_622_400, description="A number.")

    @property
    def total(self) -> float | None:
        """In seconds; None where nothing is given."""
        given = ((self.days, 86_400), (self.hours, 3600), (self.minutes, 60), (self.seconds, 1))
        durations = [value * unit for value, unit in given if value is not None]
        return sum(durations) if durations else None


class Span(Duration):
    """A duration that is more than nothing."""

    @model_validator(mode="after")
    def _is_some(self) -> Span:
        if not self.total:
            raise PydanticCustomError("no_duration", "give days, hours, minutes or seconds, such as `minutes: 10`")
        return self


class Retry(BaseModel):
    """How a step is tried again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(
        default=5, ge=1, le=100, description="How often it is tried at most, the first time included; 5 if left out."
    )
    wait: Span = Field(
        default=Span(seconds=1), description="Before the second try: `{seconds: 30}`; a second if left out."
    )
    backoff: float = Field(
        default=2,
        ge=1,
        le=10,
        description="So many times longer before each further try, up to an hour; 2 if left out.",
    )
    # Beside what passes by itself, which is always tried again.
    errors: list[str] = Field(
        default_factory=list,
        alias="for",
        description="Codes of errors that are tried again too, such as `not_found`. Outages and limits always are.",
    )


class ActionStep(_Step):
    """One action with its inputs, under a key that later steps use."""

    action: str = Field(description="What it does, such as slack.send_direct_message.")
    inputs: dict[str, Any] = Field(default_factory=dict, description="What the action gets.")
    optional: bool = Field(
        default=False,
        description="`true`: skipped, with empty outputs, where an input it needs is empty or its thing is not there.",
    )
    in_doubt: Literal["repeat", "skip", "ask"] = Field(
        default="ask",
        description="Where nobody can tell whether a message was sent: `ask` a person (the run waits), `repeat`, or"
        " `skip` it.",
    )
    on_error: Literal["fail", "continue"] | Annotated[list[Step], Field(min_length=1)] = Field(
        default="fail",
        description="Where the step fails: `fail` (the run fails), `continue`, or a list of steps that are done before"
        " the run goes on. Later steps see why as `{{ key.error.code }}`, `.message`, `.hint`.",
    )
    retry: Retry | None = Field(
        default=None,
        description="How it is tried again. Left out, an outage is waited for up to seven days: from a second on, later"
        " and later, up to a minute.",
    )
    timeout: Span | None = Field(
        default=None,
        description="How long it may take with all its waits, such as `{minutes: 10}`; then it fails with `timeout`. A"
        " message that may have been sent is looked for all the same.",
    )

    @field_validator("inputs", mode="before")
    @classmethod
    def _nothing_is_no_inputs(cls, inputs: Any) -> Any:
        return {} if inputs is None else inputs


class Case(BaseModel):
    """One way of a branch: its steps run where its conditions are the first to hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: Conditions
    steps: list[Step] = Field(min_length=1)


class BranchStep(_Step):
    """Goes the first way whose conditions hold, or the way of `else`; afterwards the ways come together again."""

    branch: list[Case] = Field(min_length=1, description="The ways, in the order in which they are tried.")
    otherwise: list[Step] = Field(default_factory=list, alias="else", description="Steps where no case holds.")


class Loop(BaseModel):
    """Steps that run once for each item of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    each: str = Field(min_length=1, description="A variable that is a list, such as {{ ticket.tags }}.")
    limit: int = Field(default=100, ge=1, le=1000, description="With more items than this the step fails.")
    at_once: int = Field(
        default=1,
        ge=1,
        le=50,
        description="How many items are under way at once; 1 if left out: one after the other, in order.",
    )
    steps: list[Step] = Field(min_length=1)


class LoopStep(_Step):
    """Runs steps for each item of a list; in them `item` is the item and `index` its number, from 1."""

    loop: Loop


class Wait(Duration):
    """How long, or until when: a duration, a time, or a time of day somewhere."""

    until: str | None = Field(default=None, min_length=1, description="A time, such as {{ ticket.due_at }}.")
    at: str | None = Field(
        default=None, pattern=r"^([01]?[0-9]|2[0-3]):[0-5][0-9]$", description="The next time it is so late: 09:00."
    )
    zone: str | None = Field(
        default=None,
        min_length=1,
        description="Whose clock: Europe/Berlin, or {{ assignee.iana_time_zone }}; else UTC.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Wait:
        if (self.total is not None) + (self.until is not None) + (self.at is not None) != 1:
            raise PydanticCustomError("one_way", "give days, hours, minutes or seconds; or `until`; or `at`")
        if self.zone is not None and self.at is None:
            raise PydanticCustomError("one_way", "`zone` goes with `at`")
        return self


class WaitStep(_Step):
    """Lets the run sleep; a wait of days costs no more than one of seconds."""

    wait: Wait


class SetStep(_Step):
    """Computes variables: later steps use them as `{{ key.name }}`."""

    set: dict[Annotated[str, Field(pattern=STEP_KEY)], Any] = Field(min_length=1, description="Names and their values.")


class Stop(BaseModel):
    """How the run ends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Literal["succeeded", "failed"] = Field(default="succeeded", alias="as")
    message: str = Field(default="", description="What the history says of it.")


class StopStep(_Step):
    """Ends the run here."""

    stop: Stop


#: The field that says which kind of step it is.
KINDS: dict[str, type[_Step]] = {
    "action": ActionStep,
    "branch": BranchStep,
    "loop": LoopStep,
    "wait": WaitStep,
    "set": SetStep,
    "stop": StopStep,
}
#: What steps are called in the history that do no action.
CONTROL = tuple(name for name in KINDS if name != "action")


def _step_kind(part: Any) -> str:
    """Which kind a step is meant to be: problems are then told of that one alone."""
    if isinstance(part, _Step):
        return type(part).__name__
    given = part if isinstance(part, dict) else {}
    return next((kind.__name__ for name, kind in KINDS.items() if name in given), "ActionStep")


Step = Annotated[
    Annotated[ActionStep, Tag("ActionStep")]
    | Annotated[BranchStep, Tag("BranchStep")]
    | Annotated[LoopStep, Tag("LoopStep")]
    | Annotated[WaitStep, Tag("WaitStep")]
    | Annotated[SetStep, Tag("SetStep")]
    | Annotated[StopStep, Tag("StopStep")],
    Discriminator(_step_kind),
]


def blocks_of(step: _Step) -> Iterator[tuple[tuple[Any, ...], Sequence[Step]]]:
    """The lists of steps inside a step, each with its place in it."""
    if isinstance(step, BranchStep):
        for number, case in enumerate(step.branch):
            yield ("branch", number, "steps"), case.steps
        yield ("else",), step.otherwise
    elif isinstance(step, LoopStep):
        yield ("loop", "steps"), step.loop.steps
    elif isinstance(step, ActionStep) and isinstance(step.on_error, list):
        yield ("on_error",), step.on_error


def every_step(steps: Sequence[Step], place: tuple[Any, ...] = ("steps",)) -> Iterator[tuple[tuple[Any, ...], Step]]:
    """All steps in the order of the file, also inside others, each with its place."""
    for number, step in enumerate(steps):
        yield (*place, number), step
        for inner, block in blocks_of(step):
            yield from every_step(block, (*place, number, *inner))


class Flow(BaseModel):
    """An action flow as its file says it: a trigger and ordered steps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(pattern=KEY)
    name: str = Field(min_length=1, max_length=120)
    description: str = ""
    # The e-mail of the person told when the flow needs help.
    owner: str | None = None
    # A variable of the trigger: runs for the same value go one after the other, in the order of their events.
    one_at_a_time: str | None = Field(default=None, min_length=1)
    # Set here, the file decides; left out, `flows activate` does.
    active: bool | None = None
    trigger: TriggerReference
    steps: list[Step] = Field(min_length=1)

    @field_validator("steps")
    @classmethod
    def _keys_differ(cls, steps: list[Step]) -> list[Step]:
        seen: set[str] = set()
        for place, step in every_step(steps):
            where = {"step": step.key, "place": place}
            if step.key in seen:
                raise PydanticCustomError("duplicate_key", "two steps have the key '{step}'", where)
            if step.key in RESERVED_NAMES:
                raise PydanticCustomError("reserved_key", "'{step}' has a meaning in templates already", where)
            seen.add(step.key)
        return steps

    def actions(self) -> Iterator[ActionStep]:
        """All steps that do something, wherever they stand."""
        return (step for _, step in every_step(self.steps) if isinstance(step, ActionStep))


#: Names that templates and conditions have from the start, and Liquid's own words, which cannot start a variable.
RESERVED_NAMES = frozenset(
    {"trigger", "now", "today", "item", "index", "forloop"}
    | {"true", "false", "nil", "null", "empty", "blank", "and", "or", "contains", "not", "in", "if", "else", "for"}
    | {"as", "cols", "continue", "limit", "offset", "required", "reversed", "with"}
)
