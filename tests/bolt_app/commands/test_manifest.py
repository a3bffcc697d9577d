"""`zendesk-connector manifest`: what is pasted at Slack, for Socket Mode and for HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bolt_app.commands.manifest import PLACES, text_of_manifest

MANIFEST = Path(__file__).parents[3] / "manifest.yml"
URL = "https://connector.acme.example"

Type = Callable[..., Awaitable[Any]]


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


async def test_without_an_address_it_is_the_file_word_for_word(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("manifest")
    assert (said.code, said.out) == (0, MANIFEST.read_text())


@pytest.mark.parametrize("given", [URL, f"{URL}/", f" {URL} "])
async def test_with_an_address_slack_comes_over_http_and_nothing_else_changes(
    empty_shell: Path, type_in: Type, given: str
) -> None:
    said = await type_in("manifest", "--public-url", given)
    made, shipped = read(said.out), read(MANIFEST.read_text())
    events = f"{URL}/slack/events"
    shipped["settings"]["socket_mode_enabled"] = False
    shipped["settings"]["event_subscriptions"]["request_url"] = events
    shipped["settings"]["interactivity"]["request_url"] = events
    shipped["features"]["slash_commands"][0]["url"] = events
    shipped["oauth_config"]["redirect_urls"] = [f"{URL}/slack/oauth_redirect"]
    assert said.code == 0
    assert made == shipped
    # What each scope is for is still said, what is not true any more is not.
    assert "# find people by e-mail address" in said.out
    assert "Socket Mode" not in said.out
    assert URL in said.out.splitlines()[0]


async def test_the_settings_address_counts_unless_told_otherwise(
    empty_shell: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_PUBLIC_URL", URL)
    assert f"{URL}/slack/events" in (await type_in("manifest")).out
    assert (await type_in("manifest", "--socket-mode")).out == MANIFEST.read_text()


@pytest.mark.parametrize(
    "url",
    [
        "http://connector.acme.example",
        "connector.acme.example",
        f"{URL}/slack",
        f"{URL}?x=1",
        "https://",
        "https://[",
        "",
    ],
)
async def test_what_is_no_address_is_refused_in_a_line(empty_shell: Path, type_in: Type, url: str) -> None:
    said = await type_in("manifest", "--public-url", url or " ")
    assert said.code == 2
    assert said.out == ""
    assert "https address without a path" in said.err


async def test_two_ways_at_once_are_refused(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("manifest", "--public-url", URL, "--socket-mode")
    assert (said.code, said.out) == (2, "")


def test_it_is_found_beside_the_package_and_inside_an_installed_one(tmp_path: Path) -> None:
    assert text_of_manifest() == MANIFEST.read_text()
    inside = tmp_path / "manifest.yml"
    inside.write_text("installed")
    assert text_of_manifest((tmp_path / "gone.yml", inside)) == "installed"
    assert PLACES[1].parent.name == "bolt_app"
