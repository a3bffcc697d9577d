"""A minute of bad weather around the real process: nothing is lost, nothing is sent twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_run import storm
from chaos_weather import FAMILIES, LONG, MOMENTS, SHORT, plan

pytestmark = pytest.mark.chaos


async def test_kills_faults_and_a_full_disk_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    audit = await storm(tmp_path, seed=4, kills=7, events=100, agents=6, pace=SHORT, families=frozenset(FAMILIES))
    print(audit.table("seed 4"))
    assert audit.findings.passed, audit.history()
    # The weather was as bad as announced.
    assert audit.storm.kills.total() == 7
    assert len(audit.storm.told) == 100
    assert audit.storm.struck.total() > 20
    assert audit.storm.tokens_ended
    assert audit.storm.disks_filled or audit.storm.host.disk.kind is None


def test_the_same_seed_plays_the_same_weather() -> None:
    def weather(seed: int) -> object:
        return plan(seed, kills=30, events=200, agents=10, pace=LONG, families=frozenset(FAMILIES))

    assert weather(3) == weather(3)
    assert weather(3) != weather(4)


def test_a_long_storm_has_every_kind_of_trouble() -> None:
    spells = plan(1, kills=200, events=2000, agents=20, pace=LONG, families=frozenset(FAMILIES))
    assert {spell.kill for spell in spells} == set(MOMENTS)
    assignments = [each for spell in spells for each in spell.assignments]
    assert len(assignments) == 2000
    assert any(each.lost for each in assignments)
    assert any(each.repeats for each in assignments)
    assert any(spell.disk_full for spell in spells)
    assert any(spell.tokens_end for spell in spells)
