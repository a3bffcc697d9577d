"""The settings: names, defaults, where they come from, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bolt_app.settings import Settings, examine, load
from zendesk_bridge.bridge import new_key
from zendesk_bridge.flows.errors import SettingsError

#: As README and design list them.
DEFAULTS: dict[str, Any] = {
    "SLACK_BOT_TOKEN": None,
    "SLACK_SIGNING_SECRET": None,
    "SLACK_APP_TOKEN": None,
    "SLACK_CLIENT_ID": None,
    "SLACK_CLIENT_SECRET": None,
    "SLACK_API_URL": "https://slack.com/api/",
    "SLACK_POSTS_PER_MINUTE": 300,
    "ZENDESK_SUBDOMAIN": None,
    "ZENDESK_CLIENT_ID": None,
    "ZENDESK_CLIENT_SECRET": None,
    "ZENDESK_OAUTH_TOKEN": None,
    "ZENDESK_EMAIL": None,
    "ZENDESK_API_TOKEN": None,
    "ZENDESK_API_URL": None,
    "ZENDESK_WEBHOOK_SECRET": None,
    "ZENDESK_WEBHOOK_MAX_AGE": 3600,
    "ZENDESK_POLL_SECONDS": 60,
    "ZENDESK_AI_AGENT_TICKETS": False,
    "CONNECTOR_DATABASE": Path("zendesk-connector.db"),
    "CONNECTOR_FLOWS": None,
    "CONNECTOR_HOST": "127.0.0.1",
    "CONNECTOR_PORT": 3000,
    "CONNECTOR_ADMIN_PORT": None,
    "CONNECTOR_PUBLIC_URL": None,
    "CONNECTOR_SECRET_KEY": None,
    "CONNECTOR_ADMINS": "",
    "CONNECTOR_ADMIN_EMAIL": None,
    "CONNECTOR_KEEP_DAYS": 30,
    "CONNECTOR_KEEP_FAILED_DAYS": 90,
    "CONNECTOR_JOIN_PUBLIC_CHANNELS": False,
}

SECRETS = [
    "SLACK_BOT_TOKEN",
    "SLACK_SIGNING_SECRET",
    "SLACK_APP_TOKEN",
    "SLACK_CLIENT_SECRET",
    "ZENDESK_CLIENT_SECRET",
    "ZENDESK_OAUTH_TOKEN",
    "ZENDESK_API_TOKEN",
    "ZENDESK_WEBHOOK_SECRET",
    "CONNECTOR_SECRET_KEY",
]

pytestmark = pytest.mark.usefixtures("empty_shell")


def wrong(**environment: str) -> list[str]:
    """The lines a person sees."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(SettingsError) as caught:
            load()
    return caught.value.problems


def test_every_setting_has_its_name_and_default() -> None:
    settings = load()
    assert {name.upper(): getattr(settings, name) for name in Settings.model_fields} == DEFAULTS


def test_secrets_are_not_shown_whatever_is_done_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()
    for name in SECRETS:
        monkeypatch.setenv(name, key if name == "CONNECTOR_SECRET_KEY" else f"hidden-{name}")
    shown = [repr(load()), str(load()), repr(load().bridge()), repr(examine())]
    assert "hidden-" not in "".join(shown)
    assert key not in "".join(shown)
    assert {each.name: each.value for each in examine().origins if each.name in SECRETS} == dict.fromkeys(
        SECRETS, "set"
    )


@pytest.mark.parametrize(
    "address",
    ["https://a.example/connector", "https://a.example/?b=c", "https://a.example/#b", "https://x:y@a.example"],
)
def test_a_public_address_is_scheme_and_host_alone(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CONNECTOR_PUBLIC_URL", address)
    with pytest.raises(SettingsError) as caught:
        load()
    (problem,) = caught.value.problems
    assert problem == "CONNECTOR_PUBLIC_URL: must be an address without a path, such as https://connector.acme.example"
    monkeypatch.setenv("CONNECTOR_PUBLIC_URL", "HTTPS://Connector.Acme.example:8443/")
    assert load().connector_public_url == "https://connector.acme.example:8443"


def test_a_key_that_is_none_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_SECRET_KEY", f"{new_key()},too-short")
    with pytest.raises(SettingsError) as caught:
        load()
    assert caught.value.problems == [
        "CONNECTOR_SECRET_KEY: must be keys as `zendesk-connector rotate-key --print-key` prints them"
    ]


def test_the_environment_wins_over_the_file(empty_shell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_shell / ".env").write_text("ZENDESK_SUBDOMAIN=from-file\nCONNECTOR_PORT=4000\n")
    monkeypatch.setenv("ZENDESK_SUBDOMAIN", "from-environment")
    settings = load()
    assert (settings.zendesk_subdomain, settings.connector_port) == ("from-environment", 4000)
    sources = {each.name: each.source for each in examine().origins}
    assert [sources[name] for name in ("ZENDESK_SUBDOMAIN", "CONNECTOR_PORT", "CONNECTOR_HOST")] == [
        "environment",
        ".env",
        "default",
    ]


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_value_counts_as_unset(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DEFAULTS:
        monkeypatch.setenv(name, empty)
    settings = load()
    assert {name.upper(): getattr(settings, name) for name in Settings.model_fields} == DEFAULTS
    assert {each.source for each in examine().origins} == {"default"}


def test_an_empty_variable_leaves_the_files_value(empty_shell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_shell / ".env").write_text("ZENDESK_SUBDOMAIN=acme\n")
    monkeypatch.setenv("ZENDESK_SUBDOMAIN", "")
    assert load().zendesk_subdomain == "acme"


def test_blanks_around_a_pasted_secret_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_SIGNING_SECRET", " 8f742231b10e \n")
    secret = load().slack_signing_secret
    assert secret is not None
    assert secret.get_secret_value() == "8f742231b10e"


def test_each_wrong_value_is_one_line_in_plain_words() -> None:
    lines = wrong(
        CONNECTOR_PORT="many",
        CONNECTOR_ADMIN_PORT="70000",
        ZENDESK_POLL_SECONDS="-1",
        ZENDESK_WEBHOOK_MAX_AGE="nan",
        ZENDESK_AI_AGENT_TICKETS="perhaps",
        ZENDESK_SUBDOMAIN="https://acme.zendesk.com",
        CONNECTOR_FLOWS="nowhere",
    )
    assert lines == [
        "ZENDESK_SUBDOMAIN: must be the name alone, such as `acme` for acme.zendesk.com",
        "ZENDESK_WEBHOOK_MAX_AGE: must be a finite number",
        "ZENDESK_POLL_SECONDS: must be greater than or equal to 0",
        "ZENDESK_AI_AGENT_TICKETS: must be a valid boolean",
        "CONNECTOR_FLOWS: names no folder",
        "CONNECTOR_PORT: must be a valid integer",
        "CONNECTOR_ADMIN_PORT: must be less than or equal to 65535",
    ]


@pytest.mark.parametrize("name", ["SLACK_API_URL", "ZENDESK_API_URL", "CONNECTOR_PUBLIC_URL"])
@pytest.mark.parametrize(
    "value", ["http://slack.example/api/", "ftp://127.0.0.1/", "https://", "xoxb-hidden", "http://[::1", "https:hidden"]
)
def test_an_address_over_the_network_is_https(name: str, value: str) -> None:
    assert wrong(**{name: value}) == [f"{name}: must be an https address, or http on this machine"]


@pytest.mark.parametrize(
    "value", ["http://127.0.0.1:8080/api/", "http://localhost/", "http://[::1]:9/", "https://a.example/"]
)
def test_http_is_taken_on_this_machine(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENDESK_API_URL", value)
    assert load().zendesk_api_url == value


def test_a_file_that_is_no_text_is_one_line(empty_shell: Path) -> None:
    (empty_shell / ".env").write_bytes(b"SLACK_BOT_TOKEN=\xff\xfehidden\n")
    assert wrong() == [".env: cannot be read: it is no UTF-8 text"]


def test_the_flows_folder_is_flows_where_none_is_set(empty_shell: Path) -> None:
    def shown() -> str:
        return next(each.value for each in examine().origins if each.name == "CONNECTOR_FLOWS")

    assert shown() == "not set"
    (empty_shell / "flows").mkdir()
    assert shown() == "flows"
    assert load().bridge().default_flows == Path("flows")


def test_a_folder_that_is_set_wins_over_flows(empty_shell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("flows", "others"):
        (empty_shell / name).mkdir()
    monkeypatch.setenv("CONNECTOR_FLOWS", "others")
    assert load().bridge().flows == Path("others")


COMPLETE = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_SIGNING_SECRET": "s",
    "ZENDESK_SUBDOMAIN": "acme",
    "ZENDESK_CLIENT_ID": "c",
    "ZENDESK_CLIENT_SECRET": "s",
    "ZENDESK_WEBHOOK_SECRET": "w",
}


def missing(monkeypatch: pytest.MonkeyPatch, *without: str, **others: str) -> list[str]:
    for name, value in {**COMPLETE, **others}.items():
        if name not in without:
            monkeypatch.setenv(name, value)
    return [line.partition(":")[0] for line in load().problems()]


def test_what_serve_needs_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing(monkeypatch) == []


@pytest.mark.parametrize(
    ("without", "others", "named"),
    [
        (["SLACK_BOT_TOKEN"], {}, ["SLACK_BOT_TOKEN"]),
        (["SLACK_SIGNING_SECRET"], {}, ["SLACK_APP_TOKEN"]),
        (["SLACK_SIGNING_SECRET"], {"SLACK_APP_TOKEN": "xapp-1"}, []),
        (["SLACK_BOT_TOKEN"], {"SLACK_CLIENT_ID": "1", "SLACK_CLIENT_SECRET": "2"}, []),
        (["ZENDESK_SUBDOMAIN"], {}, ["ZENDESK_SUBDOMAIN"]),
        (["ZENDESK_SUBDOMAIN"], {"ZENDESK_API_URL": "https://acme.example"}, []),
        (["ZENDESK_CLIENT_SECRET"], {}, []),  # an admin consents in the browser
        (["ZENDESK_CLIENT_ID"], {"ZENDESK_OAUTH_TOKEN": "t"}, []),
        (["ZENDESK_CLIENT_ID"], {"ZENDESK_EMAIL": "a@b.example", "ZENDESK_API_TOKEN": "t"}, []),
        (["ZENDESK_CLIENT_ID"], {"ZENDESK_EMAIL": "a@b.example"}, ["ZENDESK_CLIENT_ID"]),
        (["ZENDESK_WEBHOOK_SECRET"], {}, []),
        ([], {"ZENDESK_POLL_SECONDS": "0"}, []),
        (["ZENDESK_WEBHOOK_SECRET"], {"ZENDESK_POLL_SECONDS": "0"}, ["ZENDESK_WEBHOOK_SECRET"]),
        (["ZENDESK_WEBHOOK_SECRET"], {"ZENDESK_POLL_SECONDS": "0", "CONNECTOR_PUBLIC_URL": "https://a.example"}, []),
    ],
)
def test_what_serve_lacks_is_named(
    without: list[str], others: dict[str, str], named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing(monkeypatch, *without, **others) == named


def test_with_neither_a_webhook_nor_polls_one_line_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENDESK_POLL_SECONDS", "0")
    (line,) = [each for each in load().problems() if "WEBHOOK" in each]
    assert line.startswith("ZENDESK_WEBHOOK_SECRET: ")
    assert "ZENDESK_POLL_SECONDS" in line


def test_how_zendesk_is_polled_reaches_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load().bridge().polling.every, load().bridge().polling.ai_agent_tickets) == (60.0, False)
    monkeypatch.setenv("ZENDESK_POLL_SECONDS", "15")
    monkeypatch.setenv("ZENDESK_AI_AGENT_TICKETS", "true")
    assert (load().bridge().polling.every, load().bridge().polling.ai_agent_tickets) == (15.0, True)


def test_an_api_token_works_and_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    without = "ZENDESK_CLIENT_ID", "ZENDESK_CLIENT_SECRET"
    assert missing(monkeypatch, *without, ZENDESK_EMAIL="a@b.example", ZENDESK_API_TOKEN="hidden") == []
    ((name, message),) = load().warnings()
    assert name == "ZENDESK_API_TOKEN"
    assert "30 April 2027" in message


def test_tokens_in_each_others_place_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xapp-hidden")
    monkeypatch.setenv("SLACK_APP_TOKEN", "xoxb-hidden")
    warnings = dict(load().warnings())
    assert warnings == {
        "SLACK_BOT_TOKEN": "should begin with xoxb-: is this another token?",
        "SLACK_APP_TOKEN": "should begin with xapp-: is this another token?",
    }


def test_a_misspelt_variable_is_noticed_and_others_are_left_alone(
    empty_shell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_shell / ".env").write_text("SLACK_BOT_TOKN=hidden\nUNRELATED=1\n")
    monkeypatch.setenv("ZENDESK_WEBHOOKS_SECRET", "hidden")
    assert examine().misspelt == {
        "SLACK_BOT_TOKN": "SLACK_BOT_TOKEN",
        "ZENDESK_WEBHOOKS_SECRET": "ZENDESK_WEBHOOK_SECRET",
    }


def test_admins_are_slack_ids_however_they_are_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_ADMINS", " U024BE7LH, W012A3CDE;U0LAN0Z89 ")
    assert load().admins == {"U024BE7LH", "W012A3CDE", "U0LAN0Z89"}
    monkeypatch.delenv("CONNECTOR_ADMINS")
    assert load().admins == frozenset()
    monkeypatch.setenv("CONNECTOR_ADMINS", "ada@acme.example")
    with pytest.raises(SettingsError) as caught:
        load()
    assert caught.value.problems[0].startswith("CONNECTOR_ADMINS: must be Slack ids such as U024BE7LH")
