"""What is wrong with a value, in words for whoever wrote the flow."""

from __future__ import annotations

from typing import Any

#: What is said where a mapping stands that was probably meant as a template.
IN_QUOTES = '(a template needs quotes: "{{ … }}")'


def in_words(problem: Any) -> str:
    """What pydantic finds wrong with a value (one of its `errors()`), in words for whoever wrote the flow."""
    given, about = problem["input"], problem.get("ctx") or {}
    kind = next((word for kinds, word in _KINDS if isinstance(given, kinds)), "this")
    quotes = f" {IN_QUOTES}" if isinstance(given, dict) else ""
    match problem["type"]:
        case "missing":
            return "it is missing"
        case "extra_forbidden":
            return "there is no such input"
        case "string_type":
            return f"a text is needed, not {kind}{quotes}"
        case "bool_type" | "bool_parsing":
            return f"true or false is needed, not {kind}{quotes}"
        case "int_type" | "int_parsing" | "float_type" | "float_parsing":
            return f"a number is needed, not {kind}{quotes}"
        case "int_from_float":
            return f"a whole number is needed, not {given}"
        case "list_type":
            return f"a list is needed, not {kind}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"a mapping (lines of `name: value`) is needed, not {kind}"
        case "literal_error" | "enum":
            return f"{str(given)[:60]!r} is none of {about['expected']}"
        case "too_short":
            return f"at least {about['min_length']} is needed"
        case "greater_than_equal":
            return f"{about['ge']:g} is the least, not {given}"
        case "less_than_equal":
            return f"{about['le']:g} is the most, not {given}"
        case "string_too_short":
            return "it is empty"
        case "string_too_long":
            return f"it has more than {about['max_length']:,} characters"
        case _:
            return str(problem["msg"]).removeprefix("Value error, ")


_KINDS: tuple[tuple[Any, str], ...] = (
    (type(None), "nothing"),
    (bool, "true or false"),
    (int | float, "a number"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a mapping"),
)
