"""The manifest and the code say the same, in both directions: commands, events, Home tab, buttons, scopes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

import bolt_app
from bolt_app.inbox import Inbox
from bolt_app.listeners import SURFACES
from bolt_app.listeners.commands import VERBS
from bolt_app.parts import Parts
from bolt_app.sandbox.people import APP_NAME, BOT_SCOPES
from bolt_app.scopes import scopes

MANIFEST = Path(__file__).parents[1] / "manifest.yml"

#: Bot scopes by method: https://docs.slack.dev/reference/methods
METHODS: dict[str, set[str]] = {
    "auth.revoke": set(),
    "auth.test": set(),
    "oauth.v2.access": set(),
    "chat.postEphemeral": {"chat:write"},
    "chat.postMessage": {"chat:write"},
    "conversations.history": {"channels:history", "groups:history", "im:history"},
    "conversations.info": {"channels:read", "groups:read"},
    "conversations.list": {"channels:read"},
    "conversations.open": {"im:write"},
    "conversations.replies": {"channels:history", "groups:history", "im:history"},
    "reactions.add": {"reactions:write"},
    "users.conversations": {"channels:read", "groups:read"},
    "users.info": {"users:read", "users:read.email"},
    "users.list": {"users:read", "users:read.email"},
    "users.lookupByEmail": {"users:read", "users:read.email"},
    "views.open": set(),
    "views.publish": set(),
    "views.update": set(),
}
#: The same of methods that are called only where a setting asks for it.
OPTIONAL_METHODS = {"conversations.join": {"channels:join"}}

#: Bot scopes by event: https://docs.slack.dev/reference/events
EVENTS = {
    "app_home_opened": set(),
    "app_mention": {"app_mentions:read"},
    "app_uninstalled": set(),
    "member_joined_channel": {"channels:read", "groups:read"},
    "member_left_channel": {"channels:read", "groups:read"},
    "tokens_revoked": set(),
}


class Registered:
    """Stands in for the Bolt app and notes what listeners ask for."""

    def __init__(self) -> None:
        self.events: set[str] = set()
        self.commands: set[str] = set()
        self.buttons = False
        self.modals: set[str] = set()

    def event(self, name: str, **how: Any) -> Callable[[Any], Any]:
        self.events.add(name)
        return lambda listener: listener

    def command(self, name: str) -> Callable[[Any], Any]:
        self.commands.add(name)
        return lambda listener: listener

    def view(self, name: str) -> Callable[[Any], Any]:
        self.modals.add(name)
        return lambda listener: listener

    def action(self, name: object) -> Callable[[Any], Any]:
        self.buttons = True
        return lambda listener: listener


@pytest.fixture
def manifest() -> Any:
    return YAML(typ="safe").load(MANIFEST.read_text())


@pytest.fixture
def registered() -> Registered:
    noted = Registered()
    nothing = cast(Any, None)
    parts = Parts(bridge=nothing, slack=nothing, roles=nothing, inbox=Inbox(nothing), homes=nothing, background=nothing)
    for surface in SURFACES:
        surface.register(cast(Any, noted), parts)
    return noted


def called() -> set[str]:
    """The methods that the code names where it calls them."""
    here = Path(bolt_app.__file__).parent
    paths = [path for path in here.rglob("*.py") if "sandbox" not in path.parts and path.name != "pacing.py"]
    kinds = "auth|bots|chat|conversations|oauth|reactions|team|users|views"
    return {name for path in paths for name in re.findall(rf'"((?:{kinds})\.[a-zA-Z0-9.]+)"', path.read_text())}


def test_every_slash_command_has_a_listener_and_the_other_way_round(manifest: Any, registered: Registered) -> None:
    commands = manifest["features"]["slash_commands"]
    assert {command["command"] for command in commands} == registered.commands


def test_every_event_has_a_listener_and_the_other_way_round(manifest: Any, registered: Registered) -> None:
    assert set(manifest["settings"]["event_subscriptions"]["bot_events"]) == registered.events


def test_the_home_tab_is_on_where_it_is_listened_to(manifest: Any, registered: Registered) -> None:
    assert manifest["features"]["app_home"]["home_tab_enabled"] == ("app_home_opened" in registered.events)


def test_buttons_work_where_they_are_listened_to(manifest: Any, registered: Registered) -> None:
    assert manifest["settings"]["interactivity"]["is_enabled"] == registered.buttons


def test_people_can_get_direct_messages_and_invite_the_app_by_its_name(manifest: Any) -> None:
    assert manifest["features"]["app_home"]["messages_tab_enabled"] is True
    assert manifest["features"]["bot_user"]["display_name"] == manifest["display_information"]["name"] == APP_NAME


def test_the_commands_hint_names_every_verb(manifest: Any) -> None:
    (command,) = manifest["features"]["slash_commands"]
    assert set(command["usage_hint"].strip("[]").split("|")) == set(VERBS)


def test_every_method_that_is_called_is_known_here_and_the_other_way_round() -> None:
    assert called() == {*METHODS, *OPTIONAL_METHODS}


def test_the_scopes_are_what_the_calls_events_and_commands_need_and_no_more(manifest: Any) -> None:
    events = manifest["settings"]["event_subscriptions"]["bot_events"]
    needed = {"commands"}.union(*METHODS.values(), *(EVENTS[event] for event in events))
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == needed


def test_the_optional_scopes_are_what_the_optional_calls_need_and_no_more(manifest: Any) -> None:
    assert set(manifest["oauth_config"]["scopes"]["bot_optional"]) == set().union(*OPTIONAL_METHODS.values())


def test_the_page_that_asks_for_scopes_asks_for_those_and_says_why(manifest: Any) -> None:
    assert sorted(scopes(joins=False)) == manifest["oauth_config"]["scopes"]["bot"]
    optional = set(scopes(joins=True)) - set(scopes(joins=False))
    assert optional == set(manifest["oauth_config"]["scopes"]["bot_optional"])
    assert all(scopes(joins=True).values())


def test_no_scope_is_asked_for_in_a_persons_name(manifest: Any) -> None:
    assert set(manifest["oauth_config"]["scopes"]) == {"bot", "bot_optional"}


def test_the_sandbox_grants_the_same_scopes(manifest: Any) -> None:
    assert sorted(BOT_SCOPES) == manifest["oauth_config"]["scopes"]["bot"]


def test_as_it_stands_no_public_address_is_needed(manifest: Any) -> None:
    assert manifest["settings"]["socket_mode_enabled"] is True
    assert "request_url" not in MANIFEST.read_text().partition("_metadata")[2]
