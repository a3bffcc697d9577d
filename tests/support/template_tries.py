"""What becomes of a template: shared by the tests of templates and of their limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zendesk_bridge.flows.errors import FlowError
from zendesk_bridge.flows.filters import FILTER_TERMS, as_text
from zendesk_bridge.flows.template import Template, TemplateProblem

#: What a filter takes first, and judges where an author writes it out.
WRITTEN_OUT = {
    "amount": ("'3 days'", "'1 month 2 hours'", "'2'", "7"),
    "locale": ("'de'", "'pt-br'"),
    "zone": ("'Europe/Berlin'", "'UTC'"),
}


def written_out(name: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """Values that an author may write out for a filter: any, where it does not judge them."""
    judged = FILTER_TERMS[name].written_out
    return next((values for parameter, values in WRITTEN_OUT.items() if parameter in judged), otherwise)


def shown(source: str, **values: Any) -> str:
    """What a reader of a message sees."""
    return Template(source).text(values, as_text)


def attempted(source: str, insert: Callable[[object], str] = as_text, **values: Any) -> str:
    """The text, or the code of the problem that people would see; anything else is a defect."""
    try:
        template = Template(source)
        assert all(0 <= reference.at < len(source) for reference in template.references())
        return template.text(values, insert)
    except TemplateProblem as problem:
        return problem.code if 0 <= problem.at <= len(source) and len(problem.message) < 200 else "<misplaced>"
    except FlowError as problem:
        return problem.code if problem.code in ("template_failed", "template_limit") else f"<{problem.code}>"


def typed(source: str, **values: Any) -> object:
    """What an input that is no text gets."""
    return Template(source).value(values)
