"""The manifest passes Slack's official schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

pytestmark = pytest.mark.real_input

MANIFEST = Path(__file__).parents[2] / "manifest.yml"


def errors(manifest: Any, folder: Path) -> list[str]:
    """What the official schema has against a manifest."""
    version = manifest.get("_metadata", {}).get("major_version", 1)
    schema = json.loads((folder / "schemas" / f"manifest.schema.{version}.0.0.json").read_text())
    found = Draft202012Validator(schema).iter_errors(manifest)
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in found]


def test_the_manifest_passes_slacks_schema(fixtures_dir: Path) -> None:
    manifest = YAML(typ="safe").load(MANIFEST.read_text())
    assert errors(manifest, fixtures_dir / "slack-manifest-schema") == []


def test_the_schema_refuses_what_slack_calls_invalid_and_takes_what_it_calls_valid(fixtures_dir: Path) -> None:
    folder = fixtures_dir / "slack-manifest-schema"
    for version in ("v1", "v2"):
        samples = folder / "tests" / "manifests" / version
        assert errors(json.loads((samples / "manifest.valid.json").read_text()), folder) == []
        assert errors(json.loads((samples / "manifest.invalid.json").read_text()), folder) != []
