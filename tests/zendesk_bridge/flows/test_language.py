"""The flow language by examples: each pair of files in `language/` is a flow, and what comes of it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from zendesk_bridge.flows.catalog import Catalog
from zendesk_bridge.flows.compiled import compile_flow
from zendesk_bridge.flows.definition import Flow
from zendesk_bridge.flows.document import Document
from zendesk_bridge.flows.errors import FlowError, Permanent, Transient
from zendesk_bridge.flows.files import read_flow
from zendesk_bridge.flows.model import Problem
from zendesk_bridge.flows.moments import moment_of, next_time_of_day
from zendesk_bridge.flows.pauses import Timing

FOLDER = Path(__file__).parent / "language"
OUTAGE = Transient("outage", "The far side is out")
RULES = sorted(path.stem for path in FOLDER.glob("*.yml") if not path.stem.endswith(".expected"))


def problems_of(text: str, catalog: Catalog) -> list[Problem]:
    """What the check says, but of the trigger: the far side has none."""
    return [each for each in read_flow(text, "flow.yml", catalog).problems if each.code != "unknown_trigger"]


@pytest.mark.parametrize("rule", RULES)
async def test_a_flow_comes_to_what_its_pair_says(engine: Any, far: Any, rule: str) -> None:
    text = (FOLDER / f"{rule}.yml").read_text()
    expected = YAML(typ="safe").load((FOLDER / f"{rule}.expected.yml").read_text())
    assert [str(each) for each in problems_of(text, engine.catalog)] == []
    definition = Flow.model_validate(Document(text).plain).model_dump(by_alias=True, exclude_defaults=True)
    flow = await engine.flow(*definition["steps"], key=definition["key"])
    for call, codes in expected.get("meets", {}).items():
        far.next(call, *(OUTAGE if code == "outage" else Permanent(code, "The far side says so") for code in codes))
    (run,) = await engine.accept(flow)
    shown = await engine.end(run.id)
    assert (shown["status"], (shown["error"] or {}).get("code"), shown["note"]) == (
        expected["status"],
        expected.get("error"),
        expected.get("note"),
    )
    order: Callable[[Any], list[str]] = sorted if expected.get("any_order") else list
    assert order(value for _, value in far.made) == order(expected["made"])
    assert order(step["key"] for step in shown["steps"]) == order(expected["steps"])
    for step in shown["steps"]:
        wanted = expected["steps"][step["key"]]
        found = {**step, "error": (step["error"] or {}).get("code")}
        assert {name: found[name] for name in wanted} == wanted


def test_every_rule_has_both_files() -> None:
    assert {path.stem.removesuffix(".expected") for path in FOLDER.iterdir()} == set(RULES)
    assert len(list(FOLDER.iterdir())) == 2 * len(RULES)


#: A flow of every construct; what it makes, once each.
EVERYTHING: tuple[dict[str, Any], ...] = (
    {"key": "given", "set": {"names": ["one", "two"]}},
    {"key": "pause", "wait": {"minutes": 0.0003}},
    {
        "key": "all",
        "loop": {
            "each": "{{ given.names }}",
            "steps": [
                {"key": "seen", "action": "far.look", "inputs": {"what": "{{ item }}"}},
                {
                    "key": "way",
                    "branch": [
                        {
                            "when": {"all": [{"variable": "index", "operator": "is", "value": 1}]},
                            "steps": [{"key": "first", "action": "far.make", "inputs": {"what": "{{ seen.value }}"}}],
                        }
                    ],
                    "else": [{"key": "other", "action": "far.make", "inputs": {"what": "other {{ item }}"}}],
                },
            ],
        },
    },
    {
        "key": "wrong",
        "action": "far.make",
        "inputs": {"what": "{{ trigger.nothing }}"},
        "on_error": [{"key": "told", "action": "far.make", "inputs": {"what": "{{ wrong.error.code }}"}}],
    },
    {"key": "last", "action": "far.make", "inputs": {"what": "{{ all.count }}"}},
    {"key": "enough", "stop": {"message": "enough"}},
)
MADE = {"seen one": 1, "other two": 1, "missing_input": 1, "2": 1}
#: The same of items that are under way at once, and of steps that are tried again.
AT_ONCE: tuple[dict[str, Any], ...] = (
    {"key": "given", "set": {"names": ["one", "two", "three"]}},
    {
        "key": "all",
        "loop": {
            "each": "{{ given.names }}",
            "at_once": 2,
            "steps": [
                {"key": "seen", "action": "far.look", "inputs": {"what": "{{ item }}"}},
                {"key": "pause", "wait": {"seconds": 0.01}},
                {
                    "key": "made",
                    "action": "far.make",
                    "retry": {"attempts": 10, "wait": {"seconds": 0.01}, "for": ["not_found"]},
                    "timeout": {"minutes": 10},
                    "inputs": {"what": "{{ seen.value }}"},
                },
            ],
        },
    },
    {"key": "last", "action": "far.make", "inputs": {"what": "{{ all.results[1].made.value }} was second"}},
    {"key": "enough", "stop": {"message": "enough"}},
)
MADE_AT_ONCE = {"seen one": 1, "seen two": 1, "seen three": 1, "seen two was second": 1}


@pytest.mark.parametrize(("steps", "made"), [(EVERYTHING, MADE), (AT_ONCE, MADE_AT_ONCE)], ids=["all", "at once"])
async def test_a_crash_at_any_moment_leaves_every_effect_of_every_construct_done_once(
    engine_at: Callable[..., Any], far: Any, steps: tuple[dict[str, Any], ...], made: dict[str, int]
) -> None:
    timing = Timing(looks=(0.01, 0.02), retry_first=0.01)
    at = 0
    while True:
        at += 1
        far.made.clear()
        far.power = type(far.power)(at)
        if steps is AT_ONCE:
            far.forget_next()
            far.next("make", Permanent("not_found", "Not there yet"), OUTAGE)
        dying = await engine_at(timing=timing, resume=False)
        playing = asyncio.create_task(play(dying, f"event{at}", steps))
        await dying.see(lambda engine=dying, playing=playing: engine.journal.power.off or playing.done())
        survived = playing.done()
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await dying.kill()
        engine = await engine_at(timing=timing, resume=False)
        shown = await play(engine, f"event{at}", steps)
        assert (shown["status"], shown["note"]) == ("succeeded", "enough"), (at, shown)
        assert far.values() == made, (at, far.calls)
        await engine.close()
        if survived:
            break
    assert at > 12


async def play(engine: Any, event: str, steps: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """Takes an event, and waits until its run has ended."""
    await engine.runner.start()
    await engine.accept(await engine.flow(*steps), id=event)
    return dict(await engine.end(f"{event}:flow"))


async def test_what_a_service_refuses_may_be_gone_on_from(engine: Any, far: Any) -> None:
    far.next("make", Permanent("is_archived", "The channel is archived", hint="Unarchive it."))
    steps = (
        {"key": "post", "action": "far.make", "inputs": {"what": "it"}, "on_error": "continue"},
        {"key": "after", "action": "far.make", "inputs": {"what": "{{ post.error.code }}: {{ post.error.hint }}"}},
    )
    (run,) = await engine.accept(await engine.flow(*steps))
    shown = await engine.end(run.id)
    assert (shown["status"], [value for _, value in far.made]) == ("succeeded", ["is_archived: Unarchive it."])
    assert (shown["steps"][0]["status"], shown["steps"][0]["error"]["code"]) == ("skipped", "is_archived")


async def test_a_long_wait_is_a_row_and_keeps_its_time(engine_at: Callable[..., Any], far: Any) -> None:
    engine = await engine_at()
    steps = (
        {"key": "seen", "action": "far.look", "inputs": {"what": "it"}},
        {"key": "pause", "wait": {"days": 3}},
        {"key": "after", "action": "far.make", "inputs": {"what": "{{ seen.value }} {{ pause.until }}"}},
    )
    (run,) = await engine.accept(await engine.flow(*steps))
    shown = await engine.until(run.id, "waiting")
    await engine.runner.idle()
    until = shown["steps"][-1]["inputs"]["until"]
    row = await engine.row(run.id)
    assert abs((row.wake_at - row.accepted_at) - dt.timedelta(days=3)) < dt.timedelta(seconds=10)
    assert (row.error, row.waiting_for, row.note) == (None, None, f"waits until {until}")
    await engine.close()

    def days_pass(connection: Any) -> None:
        past = "2026-01-01T00:00:00.000000Z"
        connection.execute("update runs set wake_at = ?", (past,))
        connection.execute("update steps set inputs = ? where key = 'pause'", (f'{{"until":"{past}"}}',))
        connection.execute("update steps set started_at = ?, finished_at = ?", (past, past))

    engine = await engine_at(resume=False)
    await engine.journal.write(days_pass)
    await engine.runner.start()
    await engine.end(run.id)
    assert far.count("look") == 1  # what was read before the wait is what the flow goes on with
    assert [value for _, value in far.made] == ["seen it 2026-01-01T00:00:00.000000Z"]
    assert until > "2026"
    await engine.close()


async def test_a_long_wait_can_be_cut_short_and_its_time_stays(engine: Any, far: Any) -> None:
    steps = (
        {"key": "pause", "wait": {"days": 3}},
        {"key": "after", "action": "far.make", "inputs": {"what": "{{ pause.until }}"}},
    )
    (run,) = await engine.accept(await engine.flow(*steps))
    until = (await engine.until(run.id, "waiting"))["steps"][-1]["inputs"]["until"]
    await engine.runner.end_sleep(run.id)
    shown = await engine.end(run.id)
    assert shown["steps"][0]["inputs"] == {"until": until, "cut_short": True}
    assert [value for _, value in far.made] == [until]
    await engine.runner.end_sleep(run.id)
    assert (await engine.end(run.id))["status"] == "succeeded", "and again changes nothing"


WRONG = {
    "a step on another way": (
        """
  - key: way
    branch:
      - when: {all: [{variable: trigger.what, operator: is_present}]}
        steps: [{key: here, action: far.look, inputs: {what: x}}]
    else:
      - {key: there, action: far.look, inputs: {what: "{{ here.value }}"}}
""",
        (10, "there", "other_branch"),
    ),
    "a step inside a loop, from outside": (
        """
  - key: all
    loop:
      each: trigger.list
      steps: [{key: inside, action: far.look, inputs: {what: x}}]
  - {key: after, action: far.look, inputs: {what: "{{ inside.value }}"}}
""",
        (9, "after", "inside_loop"),
    ),
    "item outside of a loop": (
        """
  - {key: after, action: far.look, inputs: {what: "{{ item }}"}}
""",
        (5, "after", "unknown_variable"),
    ),
    "a step that is never reached": (
        """
  - {key: enough, stop: {}}
  - {key: after, action: far.look, inputs: {what: x}}
""",
        (6, "after", "unreachable"),
    ),
    "a variable that was not set": (
        """
  - {key: mine, set: {name: x}}
  - {key: after, action: far.look, inputs: {what: "{{ mine.nam }}"}}
""",
        (6, "after", "unknown_variable"),
    ),
    "two ways to wait": (
        """
  - {key: pause, wait: {days: 1, until: "2026-01-31"}}
""",
        (5, "pause", "invalid"),
    ),
    "a zone without a time of day": (
        """
  - {key: pause, wait: {days: 1, zone: UTC}}
""",
        (5, "pause", "invalid"),
    ),
    "a zone that does not exist": (
        """
  - {key: pause, wait: {at: "09:00", zone: Europe/Berlino}}
""",
        (5, "pause", "invalid_value"),
    ),
    "a time that is none": (
        """
  - {key: pause, wait: {until: tomorrow}}
""",
        (5, "pause", "invalid_value"),
    ),
    "tries that are none": (
        """
  - {key: seen, action: far.look, inputs: {what: x}, retry: {attempts: 0}}
""",
        (5, "seen", "invalid"),
    ),
    "a misspelt field of a retry": (
        """
  - key: seen
    action: far.look
    inputs: {what: x}
    retry: {attempts: 2, wait: {second: 1}}
""",
        (8, "seen", "unknown_field"),
    ),
    "a timeout of nothing": (
        """
  - {key: seen, action: far.look, inputs: {what: x}, timeout: {}}
""",
        (5, "seen", "invalid"),
    ),
    "more items at once than there is room for": (
        """
  - {key: all, loop: {each: trigger.list, at_once: 51, steps: [{key: one, set: {a: 1}}]}}
""",
        (5, "all", "invalid"),
    ),
    "a field of another kind of step": (
        """
  - {key: pause, wait: {days: 1}, inputs: {}}
""",
        (5, "pause", "unknown_field"),
    ),
    "a key twice, far apart": (
        """
  - {key: one, set: {a: 1}}
  - key: way
    branch:
      - when: {all: [{variable: one.a, operator: is, value: 1}]}
        steps:
          - {key: one, set: {a: 2}}
""",
        (10, "one", "duplicate_key"),
    ),
    "a case without conditions": (
        """
  - key: way
    branch:
      - when: {}
        steps: [{key: a, set: {a: 1}}]
""",
        (7, "way", "missing"),
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_wrong_is_found_where_it_stands(engine: Any, what: str) -> None:
    steps, (line, step, code) = WRONG[what]
    text = f"key: flow\nname: Flow\ntrigger: {{event: far.happens}}\nsteps:{steps}"
    found = problems_of(text, engine.catalog)
    assert [(each.line, each.step, each.code) for each in found] == [(line, step, code)], [str(each) for each in found]


async def test_where_ways_come_together_a_step_of_one_of_them_may_be_used(engine: Any) -> None:
    text = (FOLDER / "branch_first_case_that_holds.yml").read_text()
    assert problems_of(text, engine.catalog) == []
    compile_flow(Flow.model_validate(Document(text).plain), 1, engine.catalog)


@pytest.mark.parametrize(
    ("at", "zone", "now", "then"),
    [
        ("09:00", "UTC", "2026-01-31T08:00:00Z", "2026-01-31T09:00:00Z"),
        ("09:00", "UTC", "2026-01-31T09:00:00Z", "2026-02-01T09:00:00Z"),
        ("9:00", "Europe/Berlin", "2026-01-31T07:59:59Z", "2026-01-31T08:00:00Z"),
        ("09:00", "Europe/Berlin", "2026-07-31T07:30:00Z", "2026-08-01T07:00:00Z"),
        ("00:30", "Pacific/Auckland", "2026-01-31T12:00:00Z", "2026-02-01T11:30:00Z"),
        ("02:30", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T01:30:00Z"),  # clocks skip it
        ("02:30", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"),  # it comes twice: the first
    ],
)
def test_a_time_of_day_comes_next_in_its_zone(at: str, zone: str, now: str, then: str) -> None:
    assert next_time_of_day(at, zone, moment_of(now)) == moment_of(then)


@pytest.mark.parametrize("zone", ["", "Nowhere/There", "../../etc/passwd", "/etc/passwd", "x" * 5000, "Europe"])
def test_what_is_no_zone_is_told_so(zone: str) -> None:
    with pytest.raises(FlowError, match="no_zone"):
        next_time_of_day("09:00", zone, moment_of("2026-01-31T08:00:00Z"))
