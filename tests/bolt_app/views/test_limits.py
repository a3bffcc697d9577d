"""Whatever is shown, Slack takes it, and nobody else's words ping, link or format anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sample_views
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bolt_app.sandbox.blocks import check_blocks
from bolt_app.views import testing
from bolt_app.views.connections import status
from bolt_app.views.flows import flow_list, flow_shown
from bolt_app.views.help import as_modal, invitation_needed, sentence, welcome
from bolt_app.views.home import HomeState, home, refused_home
from bolt_app.views.runs import run_list, run_modal

quickly = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
#: What our own code makes of markup: times, people and channels by their ids.
OURS = re.compile(r"<(!date\^\d+\^\{date_short_pretty\} \{time\}\|[\d :-]+ UTC|@[UW][A-Za-z0-9]+|#[CGD][A-Z0-9]+)>")


def markup(part: Any) -> Iterator[str]:
    """Every text in which markup counts."""
    if isinstance(part, dict):
        if part.get("type") == "mrkdwn":
            yield part["text"]
        for value in part.values():
            yield from markup(value)
    elif isinstance(part, list):
        for each in part:
            yield from markup(each)


def harmless(text: str) -> None:
    assert "<" not in OURS.sub("", text), text
    assert not re.search(r"&(?!amp;|lt;|gt;)", text), text


def a_message(message: dict[str, Any]) -> None:
    check_blocks(message["blocks"])
    assert 1 <= len(message["text"]) <= 3_000
    harmless(message["text"])
    for text in markup(message["blocks"]):
        harmless(text)


def a_view(view: dict[str, Any], *, may_be_markup: tuple[str, ...] = ()) -> None:
    blocks = view["blocks"]
    assert len(blocks) <= 100
    for block in blocks:  # a view may hold more text than a message
        check_blocks([block])
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    assert len(ids) == len(set(ids))
    assert len(json.dumps(view).encode()) <= 250_000
    assert len(view.get("private_metadata", "")) <= 3_000
    if view["type"] == "modal":
        assert 1 <= len(view["title"]["text"]) <= 24
        assert ("submit" in view) or all(block["type"] != "input" for block in blocks)
    for text in markup(blocks):
        if text not in may_be_markup:
            harmless(text)


@quickly
@given(st.lists(sample_views.flows, max_size=25), st.booleans(), st.integers(0, 30))
def test_lists_of_flows(flows: list[dict[str, Any]], admin: bool, offset: int) -> None:
    a_message(flow_list(flows, offset=offset, admin=admin))


@quickly
@given(sample_views.flows, st.booleans())
def test_a_flow(flow: dict[str, Any], admin: bool) -> None:
    a_message(flow_shown(flow, admin=admin))


@quickly
@given(st.lists(sample_views.runs, max_size=10), st.booleans(), st.booleans(), st.none() | sample_views.HOSTILE)
def test_lists_of_runs(runs: list[dict[str, Any]], admin: bool, more: bool, flow: str | None) -> None:
    with_ids = [run | {"id": run["id"] or "x"} for run in runs]
    message = run_list(with_ids, flow=flow and "a-flow", offset=10, more=more, admin=admin)
    a_message(message)
    a_view(as_modal("Action flows", message))


@quickly
@given(sample_views.runs, st.integers(1, 60))
def test_a_run_of_any_length(run: dict[str, Any], times: int) -> None:
    long = run | {"steps": run["steps"] * times}
    view = run_modal(long)
    a_view(view)
    if len(long["steps"]) > 100:
        assert "more steps" in json.dumps(view["blocks"][-1])


@quickly
@given(
    sample_views.connections,
    st.lists(sample_views.flows, max_size=30),
    st.lists(sample_views.runs, max_size=10),
    st.booleans(),
    st.sampled_from(["ok"]) | sample_views.HOSTILE,
)
def test_the_home_tab(
    connections: list[dict[str, Any]],
    flows: list[dict[str, Any]],
    runs: list[dict[str, Any]],
    admin: bool,
    database: str,
) -> None:
    state = HomeState(
        connections=connections,
        flows=flows,
        runs=[run | {"id": run["id"] or "x"} for run in runs],
        more_runs=True,
        database=database,
        poll=database,
        admin=admin,
    )
    a_view(home(state))


@quickly
@given(sample_views.connections, sample_views.HOSTILE, st.lists(sample_views.HOSTILE, max_size=30))
def test_the_status(connections: list[dict[str, Any]], words: str, problems: list[str]) -> None:
    a_message(
        status(connections, database=words, poll=words, flows_active=1, flows=2, problems=problems, waiting=1_000)
    )


@quickly
@given(sample_views.HOSTILE, st.lists(sample_views.HOSTILE, max_size=30), st.integers(0, 3))
def test_sentences(words: str, names: list[str], count: int) -> None:
    harmless(sentence(words)["text"])
    a_view(as_modal("Action flows", sentence(words)))
    a_view(refused_home(words))
    harmless(welcome(channel_name=words, posting=names, choosing=count)["text"])
    assert len(welcome(channel_name=words, posting=names, choosing=count)["text"].splitlines()) == 2
    harmless(invitation_needed(flow=words, channel="#" + words, waiting=count + 1))


@quickly
@given(sample_views.flows, sample_views.runs, sample_views.HOSTILE, st.booleans())
def test_the_modals_of_a_test(flow: dict[str, Any], run: dict[str, Any], words: str, dry: bool) -> None:
    variables = [{"name": f"variable_{number}", "type": "text", "description": words} for number in range(40)]
    a_view(testing.form(flow, variables=variables))
    a_view(testing.warning(flow, ticket=words, changes=words))
    a_view(testing.under_way(words, steps=run["steps"], dry=dry))
    a_view(testing.not_tested(words, words, words))
    sent = [text for step in run["steps"] for text in markup(testing._sending(step, dry=dry))]
    a_view(testing.ended(run, flow_name=words, dry=dry, starts=not dry), may_be_markup=tuple(sent))


@pytest.mark.parametrize("character", ["\U0001f600", "漢"])
def test_characters_that_take_many_bytes_leave_views_within_250_kilobytes(character: str) -> None:
    values = {f"v{number}": character * 700 for number in range(3)}
    step = sample_views.RUN["steps"][0] | {
        "inputs": values,
        "outputs": {f"o{name}": each for name, each in values.items()},
    }
    view = run_modal(sample_views.RUN | {"steps": [step] * 40})
    a_view(view)
    assert "more steps" in json.dumps(view["blocks"][-1])
    error = {"code": "x", "message": character * 400, "hint": character * 400}
    state = HomeState(
        connections=sample_views.CONNECTIONS,
        flows=[sample_views.FLOW | {"name": character * 150, "problem": character * 400}] * 60,
        runs=[sample_views.RUN | {"error": error}] * 10,
        more_runs=True,
        database="ok",
        poll="ok",
        admin=True,
    )
    a_view(home(state))
