"""Sample payloads: one of each kind the app is subscribed to, ours from the first to the last letter."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bolt_app.samples import EVENTS, NAMES, load

MANIFEST = YAML(typ="safe").load((Path(__file__).parents[2] / "manifest.yml").read_text())


def test_there_is_a_sample_of_every_event_of_the_manifest() -> None:
    assert set(EVENTS) == set(MANIFEST["settings"]["event_subscriptions"]["bot_events"])
    for name in EVENTS:
        assert load(name)["event"]["type"] == name


def test_every_file_is_a_sample() -> None:
    folder = Path(__file__).parents[2] / "bolt_app" / "samples"
    assert {path.stem for path in folder.glob("*.json")} == set(NAMES)


def test_a_sample_is_a_fresh_one_each_time() -> None:
    load("slash_command")["text"] = "changed"
    assert load("slash_command")["text"] == "list"


def test_an_unknown_name_is_told_from_the_known_ones() -> None:
    with pytest.raises(LookupError, match="app_mention"):
        load("../people")
