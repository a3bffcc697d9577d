"""What people write in flow files who know other tools: the word they meant, and the place where a field belongs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from zendesk_bridge.flows.catalog import nearest

#: By the model that a field is in: what it is called here, and elsewhere.
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "Flow": {"active": "enabled enable", "name": "title", "steps": "actions", "trigger": "on"},
    "TriggerReference": {"event": "action type on name key"},
    "Conditions": {"all": "and", "any": "or", "not": "none unless"},
    "OnlyIf": {"all": "and", "any": "or", "not": "none unless"},
    "Condition": {"variable": "field name key", "operator": "op is comparison", "value": "values right"},
    "Case": {"when": "if condition conditions only_if case", "steps": "then do actions"},
    "BranchStep": {"else": "default otherwise fallback"},
    "Loop": {
        "each": "in items item list over for foreach",
        "at_once": "parallel concurrency",
        "limit": "max",
        "steps": "do",
    },
    "Wait": {"zone": "timezone time_zone tz", "at": "time"},
    "Retry": {
        "attempts": "max times tries count max_attempts retries",
        "wait": "delay interval pause",
        "for": "on errors codes",
        "backoff": "factor multiplier",
    },
    "Stop": {"as": "status outcome result", "message": "text note reason"},
    "ActionStep": {
        "key": "name id",
        "action": "uses run do type call function",
        "inputs": "with params parameters args arguments",
        "only_if": "if when condition conditions",
    },
}
#: Of a step that does not say yet what it does.
_KINDS: Mapping[str, str] = {
    "branch": "if switch case choose choice",
    "loop": "for foreach for_each repeat",
    "wait": "delay sleep pause wait_until",
    "set": "variables vars assign let define",
    "stop": "end exit abort return",
    "action": "uses run do type call function",
}
_WORDS: Mapping[str, str] = {
    "is": "equals equal eq == =",
    "is_not": "not_equals not_equal ne neq != <>",
    "greater_than": "> gt more_than after later_than above greater",
    "less_than": "< lt before earlier_than below less",
    "contains": "in includes include has one_of",
    "is_present": "exists present not_empty is_not_empty is_set",
    "is_not_present": "is_empty empty missing absent is_null is_not_set",
    "continue": "ignore skip",
    "failed": "fail error",
    "succeeded": "success ok done",
    "repeat": "retry",
}
#: Filters that people look for under another name.
_FILTERS: Mapping[str, str] = {
    "plus": "add sum",
    "minus": "subtract sub",
    "times": "multiply mul",
    "divided_by": "divide div",
    "size": "length count len",
    "downcase": "lower lowercase to_lower",
    "upcase": "upper uppercase to_upper",
    "strip": "trim",
    "plain_text": "html2text html_to_text striptags",
    "date": "format strftime date_format format_date",
    "in_zone": "timezone time_zone tz to_zone",
    "default": "or else fallback",
    "sort": "sort_natural sort_by order",
    "uniq": "unique distinct",
}
_COMPARISON = "in a comparison, below `all`, `any` or `not`"
_STEP = "in a step, below `steps` or `else`"
#: Where each field belongs, if it stands where it is none.
_PLACES: Mapping[str, str] = {
    **dict.fromkeys(("variable", "operator", "value"), _COMPARISON),
    **dict.fromkeys(("all", "any", "not"), "below `only_if`, `when` or `conditions`"),
    "when": "in a case of `branch`: `- when: …`",
    **dict.fromkeys(("each", "limit", "at_once"), "below `loop`"),
    **dict.fromkeys(("days", "hours", "minutes", "seconds", "until", "at", "zone"), "below `wait`"),
    "steps": "below `loop`, or in a case of `branch`",
    **dict.fromkeys(("attempts", "backoff", "for"), "below `retry`"),
    "as": "below `stop`",
    "else": "beside `branch`, or below `only_if`",
    **dict.fromkeys(("event", "conditions"), "below `trigger`"),
    **dict.fromkeys(("key", "action", "inputs", "only_if"), _STEP),
    **dict.fromkeys(("optional", "in_doubt", "on_error", "retry", "timeout"), "in a step with `action`"),
}
#: What a field looks like that takes more than a word, or more than a text.
_FOR_INSTANCE: Mapping[str, str] = {
    "wait": "`{hours: 2}`",
    "timeout": "`{minutes: 10}`",
    "retry": "`{attempts: 5}`",
    "stop": '`{message: "enough"}`',
    "loop": "`{each: …, steps: […]}`",
    "branch": "`[{when: …, steps: […]}]`",
    **dict.fromkeys(
        ("when", "only_if", "conditions"), "`all: [{variable: ticket.priority, operator: is, value: urgent}]`"
    ),
    "for": "`[not_found]`",
}


def meant_field(name: str, model: str, fields: Iterable[str], *, says_what: bool) -> str | None:
    """The field that was probably meant by one that is none.

    Args:
        model: the name of the model that it stands in.
        fields: those that are not there yet.
        says_what: of a step, whether it says what it does.
    """
    kinds = {} if says_what else _KINDS
    meant = _found(name, kinds) or _found(name, _FIELDS.get(model, {}))
    return meant or (None if name in _PLACES else nearest(name, [*kinds, *fields]))


def meant_word(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant, of those that a field takes."""
    known = list(words)
    meant = _found(word.lower(), _WORDS)
    return meant if meant in known else nearest(word, known)


def meant_filter(name: str, filters: Iterable[str]) -> str | None:
    """The filter that was probably meant."""
    return _found(name.lower(), _FILTERS) or nearest(name, filters)


def belongs(name: str, inputs: Container[str]) -> str | None:
    """Where a field belongs that stands where it is none, if that is known."""
    return "below `inputs`" if name in inputs else _PLACES.get(name)


def for_instance(name: str, *, in_retry: bool) -> str | None:
    """What such a field looks like."""
    if name == "not":
        return "put `all:` or `any:` around several"
    example = "`{seconds: 30}`" if in_retry and name == "wait" else _FOR_INSTANCE.get(name)
    return example and f"such as {example}"


def _found(name: str, words: Mapping[str, str]) -> str | None:
    return next((meant for meant, others in words.items() if name in others.split()), None)
