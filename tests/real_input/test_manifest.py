"""The manifest passes Slack's official schema, and the scopes it asks for are those that Slack's reference names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from slack_specs import spec_of

from bolt_app.commands.manifest import over_http

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


def test_the_manifest_for_http_passes_slacks_schema(fixtures_dir: Path) -> None:
    printed = over_http(MANIFEST.read_text(), "https://connector.acme.example")
    assert errors(YAML(typ="safe").load(printed), fixtures_dir / "slack-manifest-schema") == []


def test_the_scopes_are_such_that_slack_lets_each_call_through(fixtures_dir: Path) -> None:
    scopes = YAML(typ="safe").load(MANIFEST.read_text())["oauth_config"]["scopes"]
    granted = {*scopes["bot"], *scopes["bot_optional"]}
    called = {"conversations.join", "conversations.list", "conversations.info", "chat.postEphemeral", "views.publish"}
    called |= {"views.open", "views.update", "users.info", "users.lookupByEmail", "reactions.add", "conversations.open"}
    called |= {"chat.postMessage", "conversations.history", "conversations.replies", "users.conversations"}
    for method in called:
        needed = set(spec_of(fixtures_dir, method)["scope"].get("bot") or ())
        assert not needed or needed & granted, method


def test_the_schema_refuses_what_slack_calls_invalid_and_takes_what_it_calls_valid(fixtures_dir: Path) -> None:
    folder = fixtures_dir / "slack-manifest-schema"
    for version in ("v1", "v2"):
        samples = folder / "tests" / "manifests" / version
        assert errors(json.loads((samples / "manifest.valid.json").read_text()), folder) == []
        assert errors(json.loads((samples / "manifest.invalid.json").read_text()), folder) != []
