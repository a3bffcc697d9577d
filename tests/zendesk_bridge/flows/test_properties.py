"""Whatever values there are: conditions, templates and the journal do what is said of them, or say what is wrong."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from template_tries import written_out

from zendesk_bridge.flows.conditions import compile_conditions, is_present
from zendesk_bridge.flows.definition import Conditions
from zendesk_bridge.flows.errors import FlowError, NotFound, StorageError
from zendesk_bridge.flows.filters import FILTERS, as_text, takes
from zendesk_bridge.flows.journal import Journal, connect_to_read
from zendesk_bridge.flows.template import Template, TemplateProblem

#: The same examples every time, however slow the machine.
same = settings(derandomize=True, deadline=None, max_examples=300)

OPPOSITES = {"is": "is_not", "is_not": "is", "is_present": "is_not_present", "is_not_present": "is_present"}
NAMES = ("x", "y", "ticket.tags", "ticket.subject", "gone", "gone.deeper")

MOMENTS = ("2025-06-16", "2025-06-16T12:00:00.Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59")
ODD_TEXTS = (
    "",
    " ",
    "0",
    "-0",
    "1e400",
    "nan",
    "Infinity",
    "٣",
    "true",
    "\ud83d",
    "{{ x }}",
    "\x00",
    "2025-06-16T25:00",
)
words = st.sampled_from([*MOMENTS, *ODD_TEXTS]) | st.just("x").map(lambda letter: letter * 70_000)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["tags", "subject", "a"]), inner),
    max_leaves=6,
)
environments = st.fixed_dictionaries({"x": json_values, "y": json_values, "ticket": json_values})
variables = st.sampled_from(NAMES) | st.sampled_from(
    [
        "{{ x | size }}",
        "x | default: y",
        "{{ x }}{{ y }}",
        "{{ x }}{% if y %}a{% endif %}",
        "x | plus: 1",
        "ticket | first",
    ]
)
comparisons = st.fixed_dictionaries(
    {
        "variable": variables,
        "operator": st.sampled_from([*OPPOSITES, "contains", "greater_than", "less_than"]),
        "value": json_values.filter(lambda value: not _holds_template(value))
        | st.sampled_from(NAMES).map(lambda name: f"{{{{ {name} }}}}")
        | st.just(["{{ x }}", "{{ y }}", 1]),
    }
)
trees = st.recursive(
    comparisons,
    lambda inner: st.dictionaries(st.sampled_from(["all", "any"]), st.lists(inner, max_size=3), min_size=1),
    max_leaves=8,
)


def _holds_template(value: Any) -> bool:
    if isinstance(value, list | dict):
        return any(map(_holds_template, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and "{{" in value


def decided(tree: dict[str, Any], values: dict[str, Any]) -> bool | str:
    """Whether a tree holds, or the code of what is wrong with it."""
    whole = tree if "operator" not in tree else {"all": [tree]}
    try:
        return compile_conditions(Conditions.model_validate(whole)).holds(values)
    except FlowError as problem:
        return problem.code


def negated(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree that De Morgan says is the opposite; of operators that have one."""
    if "operator" in tree:
        return {**tree, "operator": OPPOSITES[tree["operator"]]}
    parts = {name: [negated(part) for part in tree.get(name) or []] for name in ("all", "any")}
    if set(tree) == {"all", "any"}:  # both must hold, so one must fail
        return {"any": [{"any": parts["all"]}, {"all": parts["any"]}]}
    return {"any": parts["all"]} if "all" in tree else {"all": parts["any"]}


opposable = st.recursive(
    comparisons.filter(lambda one: one["operator"] in OPPOSITES),
    lambda inner: st.dictionaries(st.sampled_from(["all", "any"]), st.lists(inner, max_size=3), min_size=1),
    max_leaves=8,
)


@same
@given(trees, environments)
def test_any_conditions_hold_or_not_or_say_what_is_wrong(tree: dict[str, Any], values: dict[str, Any]) -> None:
    assert decided(tree, values) in (True, False, "cannot_compare", "template_failed", "template_limit")


@same
@given(opposable, environments)
def test_the_opposite_of_conditions_holds_where_they_do_not(tree: dict[str, Any], values: dict[str, Any]) -> None:
    straight, turned = decided(tree, values), decided(negated(tree), values)
    if isinstance(straight, str):
        assert straight == turned
    else:
        assert turned is (not straight)


@same
@given(json_values, json_values)
def test_what_is_missing_is_neither_more_nor_less(left: Any, right: Any) -> None:
    for operator in ("greater_than", "less_than"):
        found = decided({"variable": "x", "operator": operator, "value": "{{ y }}"}, {"x": left, "y": right})
        if not is_present(left) or not is_present(right):
            assert found is False
        elif found is True:
            turned = {"greater_than": "less_than", "less_than": "greater_than"}[operator]
            assert decided({"variable": "y", "operator": turned, "value": "{{ x }}"}, {"x": left, "y": right}) is True


# Templates


@st.composite
def templates(draw: st.DrawFn) -> str:
    """A template that names variables, with filters, conditions and loops around them."""
    pieces = []
    for _ in range(draw(st.integers(1, 3))):
        chain = draw(st.sampled_from(NAMES))
        for name in draw(st.lists(st.sampled_from(FILTERS), max_size=2)):
            least, most, _ = takes(name)
            one_of = st.sampled_from(["x", "nil", *written_out(name, ("2", "'a'"))])
            arguments = draw(st.lists(one_of, min_size=least, max_size=most))
            chain += f" | {name}" + (f": {', '.join(arguments)}" if arguments else "")
        form = draw(
            st.sampled_from(
                [
                    "{{ CHAIN }}",
                    "- {{ CHAIN }}\n",
                    "{% assign z = CHAIN %}{{ z }}",
                    "{% if VAR contains y %}{{ CHAIN }}{% else %}-{% endif %}",
                    "{% unless VAR > 1 %}{{ CHAIN }}{% endunless %}",
                    "{% for each in VAR limit: 3 %}{{ each.a }}{{ forloop.index }}{{ CHAIN }}{% endfor %}",
                    "{% case VAR %}{% when x, 'a' %}{{ CHAIN }}{% endcase %}",
                ]
            )
        )
        pieces.append(form.replace("CHAIN", chain).replace("VAR", chain.split(" |")[0]))
    return "".join(pieces)


@same
@given(templates(), environments)
def test_any_value_of_any_variable_is_rendered_or_named_as_a_problem(source: str, values: dict[str, Any]) -> None:
    template = Template(source)  # what the check takes does not fail as a template later
    assert {reference.path[0] for reference in template.references()} <= {"x", "y", "ticket", "gone"}
    for given_values in (values, {}):
        try:
            text = template.text(given_values, as_text)
            text.encode()
            template.value(given_values)
        except FlowError as problem:
            if isinstance(problem, TemplateProblem) or problem.code not in ("template_failed", "template_limit"):
                pytest.fail(f"found while it runs, not while it is checked: {problem}")


@same
@given(st.sampled_from(NAMES), environments)
def test_a_variable_is_inserted_as_its_text_and_is_empty_where_there_is_none(name: str, values: dict[str, Any]) -> None:
    found: Any = values
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    text = Template(f"<{{{{ {name} }}}}>").text(values, lambda value: f"[{as_text(value)}]")
    wanted = as_text(found)[: 64 * 1024].encode("utf-8", "replace").decode()
    assert text == f"<[{wanted}]>"


# The journal

KINDS = ("put", "refuse", "half", "wrong_sql", "defect", "read_back")


class _Works:
    """Pieces of work, what each must give, and what must be on disk when it has given it."""

    def __init__(self, kinds: list[str]) -> None:
        self.kinds = kinds
        self.stored: list[str] = []

    def work(self, number: int) -> Any:
        kind, name = self.kinds[number], f"{number:03}"

        def run(connection: sqlite3.Connection) -> Any:
            if kind in ("put", "half"):
                connection.execute("insert into remembered(kind, key, value, at) values ('t', ?, '', '')", (name,))
            if kind in ("refuse", "half"):
                raise NotFound("no_run", name)
            if kind == "wrong_sql":
                connection.execute("insert into nowhere values (1)")
            if kind == "defect":
                raise ZeroDivisionError(name)
            return [row[0] for row in connection.execute("select key from remembered where kind = 't' order by key")]

        return run

    def check(self, number: int, result: Any) -> None:
        kind, name = self.kinds[number], f"{number:03}"
        wanted = {"refuse": NotFound, "half": NotFound, "wrong_sql": StorageError, "defect": ZeroDivisionError}
        if kind in wanted:
            assert type(result) is wanted[kind]
            assert kind == "wrong_sql" or name in str(result)
            return
        # In the order of their coming, and nothing of those that failed.
        before = [f"{each:03}" for each in range(number + 1) if self.kinds[each] == "put"]
        assert result == before


@settings(same, max_examples=40)
@given(st.lists(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8), max_size=5))
def test_each_work_has_its_own_result_and_what_was_answered_is_on_disk(bursts: list[list[str]]) -> None:
    works = _Works([kind for burst in bursts for kind in burst])

    async def play(path: Path) -> None:
        journal = Journal(path)
        await journal.open()
        number = 0
        for burst in bursts:
            futures = [journal.write(works.work(number + place)) for place in range(len(burst))]
            for result in await asyncio.gather(*futures, return_exceptions=True):
                works.check(number, result)
                number += 1
            # Not the journal's own connection: what another process sees is what a crash leaves.
            reader = connect_to_read(path)
            keys = [row[0] for row in reader.execute("select key from remembered where kind = 't' order by key")]
            reader.close()
            assert keys == [f"{each:03}" for each in range(number) if works.kinds[each] == "put"]
        await journal.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder) / "connector.db"))
