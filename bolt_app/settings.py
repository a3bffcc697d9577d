"""The settings: what each is called, where it came from, and what is wrong with it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from bolt_app.text import is_person_id
from zendesk_bridge.bridge import BridgeSettings, Keep, Polling, ZendeskSettings, parse_keys
from zendesk_bridge.flows.errors import SettingsError

ENV_FILE = Path(".env")
#: The folder of flow files where none is set.
FLOWS = Path("flows")
#: Where http is safe.
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
API_TOKENS_END = "Zendesk stops API tokens on 30 April 2027: make an OAuth client and set ZENDESK_CLIENT_ID and _SECRET"


class Settings(BaseSettings):
    """Settings from the environment and from `.env`; the environment wins."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        # A blank beside a pasted secret is never meant, and hard to see.
        str_strip_whitespace=True,
    )

    slack_bot_token: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None
    slack_app_token: SecretStr | None = None
    slack_client_id: str | None = None
    slack_client_secret: SecretStr | None = None
    slack_api_url: str = "https://slack.com/api/"
    slack_posts_per_minute: int = Field(300, ge=0)
    zendesk_subdomain: str | None = None
    zendesk_client_id: str | None = None
    zendesk_client_secret: SecretStr | None = None
    zendesk_oauth_token: SecretStr | None = None
    zendesk_email: str | None = None
    zendesk_api_token: SecretStr | None = None
    zendesk_api_url: str | None = None
    zendesk_webhook_secret: SecretStr | None = None
    zendesk_webhook_max_age: float = Field(3600.0, gt=0, allow_inf_nan=False)
    zendesk_poll_seconds: float = Field(60.0, ge=0, allow_inf_nan=False)
    zendesk_ai_agent_tickets: bool = False
    connector_database: Path = Path("zendesk-connector.db")
    connector_flows: Path | None = None
    connector_host: str = "127.0.0.1"
    connector_port: int = Field(3000, ge=0, le=65535)
    connector_admin_port: int | None = Field(None, ge=0, le=65535)
    connector_public_url: str | None = None
    connector_secret_key: SecretStr | None = None
    connector_admins: str = ""
    connector_admin_email: str | None = None
    connector_keep_days: float = Field(30.0, gt=0, allow_inf_nan=False)
    connector_keep_failed_days: float = Field(90.0, gt=0, allow_inf_nan=False)
    connector_join_public_channels: bool = False

    @field_validator("*", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str) and not value.strip() and info.field_name is not None:
            return cls.model_fields[info.field_name].default
        return value

    @field_validator("slack_api_url", "zendesk_api_url", "connector_public_url")
    @classmethod
    def _safe_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        wrong = "must be an https address, or http on this machine"
        try:
            parts = urlsplit(value)
            host = parts.hostname
        except ValueError:
            raise ValueError(wrong) from None  # urlsplit's own words repeat the value
        if host and (parts.scheme == "https" or (parts.scheme == "http" and host in THIS_MACHINE)):
            return value
        raise ValueError(wrong)

    @field_validator("connector_public_url")
    @classmethod
    def _bare_address(cls, value: str | None) -> str | None:
        """Scheme and host alone: paths are the routes'."""
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
            raise ValueError("must be an address without a path, such as https://connector.acme.example")
        return f"{parts.scheme}://{parts.netloc.lower()}"

    @field_validator("connector_admins")
    @classmethod
    def _people(cls, value: str) -> str:
        if not all(is_person_id(each) for each in _separated(value)):
            raise ValueError(
                "must be Slack ids such as U024BE7LH, with commas between (a profile's ⋮ > Copy member ID)"
            )
        return value

    @field_validator("connector_flows")
    @classmethod
    def _there(cls, value: Path | None) -> Path | None:
        # Reading a folder that is not there would switch off every flow of it.
        try:
            if value is not None and not value.is_dir():
                raise ValueError("names no folder")
        except OSError as problem:
            raise ValueError(f"names a folder that cannot be read: {problem.strerror}") from problem
        return value

    @field_validator("zendesk_subdomain")
    @classmethod
    def _only_the_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", value):
            raise ValueError("must be the name alone, such as `acme` for acme.zendesk.com")
        return value

    @field_validator("connector_secret_key")
    @classmethod
    def _keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_keys(value.get_secret_value())
        return value

    @property
    def is_slack_on_this_machine(self) -> bool:
        """Whether Slack is a stand-in that needs no public address to send a browser back to."""
        return urlsplit(self.slack_api_url).hostname in THIS_MACHINE

    @property
    def socket_mode(self) -> bool:
        """Whether Slack is reached over Socket Mode rather than HTTP."""
        return self.slack_app_token is not None

    @property
    def admins(self) -> frozenset[str]:
        """The Slack ids of people who are admins beside the workspace's own."""
        return frozenset(_separated(self.connector_admins))

    def bridge(self) -> BridgeSettings:
        """The bridge's part."""
        return BridgeSettings(
            database=self.connector_database,
            flows=self.connector_flows,
            default_flows=FLOWS,
            zendesk=ZendeskSettings(
                subdomain=self.zendesk_subdomain,
                api_url=self.zendesk_api_url,
                client_id=self.zendesk_client_id,
                client_secret=self.zendesk_client_secret,
                oauth_token=self.zendesk_oauth_token,
                email=self.zendesk_email,
                api_token=self.zendesk_api_token,
            ),
            webhook_secret=self.zendesk_webhook_secret,
            webhook_max_age=self.zendesk_webhook_max_age,
            public_url=self.connector_public_url,
            secret_key=self.connector_secret_key,
            default_owner=self.connector_admin_email,
            polling=Polling(every=self.zendesk_poll_seconds, ai_agent_tickets=self.zendesk_ai_agent_tickets),
            keep=Keep(days=self.connector_keep_days, failed_days=self.connector_keep_failed_days),
        )

    def problems(self) -> list[str]:
        """What keeps `serve` from starting, a line each."""
        return [f"{name}: {message}" for name, message in self._missing()]

    def _missing(self) -> Iterator[tuple[str, str]]:
        if not (self.slack_client_id and self.slack_client_secret):
            if self.slack_bot_token is None:
                yield (
                    "SLACK_BOT_TOKEN",
                    "is not set: OAuth & Permissions in the Slack app's settings; it begins with xoxb-",
                )
            if self.slack_signing_secret is None and self.slack_app_token is None:
                yield (
                    "SLACK_APP_TOKEN",
                    "is not set, and neither is SLACK_SIGNING_SECRET. Socket Mode needs the one, HTTP the other",
                )
        zendesk = self.bridge().zendesk
        if not zendesk.has_account:
            yield "ZENDESK_SUBDOMAIN", "is not set: `acme` where your Zendesk is acme.zendesk.com"
        if not zendesk.has_credentials:
            yield (
                "ZENDESK_CLIENT_ID",
                "is not set: the identifier of an OAuth client in Admin Center",
            )
        has_webhook = self.zendesk_webhook_secret is not None or self.connector_public_url is not None
        if not has_webhook and not self.zendesk_poll_seconds:
            yield (
                "ZENDESK_WEBHOOK_SECRET",
                "is not set, nor is CONNECTOR_PUBLIC_URL, and ZENDESK_POLL_SECONDS is 0: have a webhook, or poll",
            )

    def warnings(self) -> Iterator[tuple[str, str]]:
        """What works and should not stay so, or looks like a slip."""
        if self.zendesk_api_token and not (self.zendesk_client_id or self.zendesk_oauth_token):
            yield "ZENDESK_API_TOKEN", API_TOKENS_END
        has_events = self.slack_signing_secret is not None or self.slack_app_token is not None
        if self.slack_bot_token is None and self.slack_client_id and not has_events:
            yield (
                "SLACK_SIGNING_SECRET",
                "is not set, and neither is SLACK_APP_TOKEN: commands, buttons and invitations in Slack do not arrive",
            )
        for name, token, beginning in (
            ("SLACK_BOT_TOKEN", self.slack_bot_token, "xoxb-"),
            ("SLACK_APP_TOKEN", self.slack_app_token, "xapp-"),
        ):
            # Slack's rotated tokens have another beginning before this one.
            if token is not None and beginning not in token.get_secret_value():
                yield name, f"should begin with {beginning}: is this another token?"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a setting came from; its value where it is no secret."""

    name: str
    source: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the environment and `.env` say."""

    # With the default in the place of a value that cannot be used.
    settings: Settings
    # What is wrong with values that cannot be used, by name; never the value itself.
    wrong: dict[str, str]
    # Every setting, in the order of the documentation.
    origins: list[Origin]
    # Variables that are no setting but nearly one, and the setting that was probably meant.
    misspelt: dict[str, str]


def _separated(value: str) -> list[str]:
    return [each for each in re.split(r"[\s,;]+", value) if each]


def load() -> Settings:
    """Reads the settings. Raises SettingsError, a line for each that is wrong; never with its value."""
    settings, wrong = _read()
    if wrong:
        raise SettingsError([f"{name}: {message}" for name, message in wrong.items()])
    return settings


def examine() -> Reading:
    """Reads the settings for somebody who wants to see them, right or wrong."""
    settings, wrong = _read()
    environment = EnvSettingsSource(Settings).env_vars
    file = {} if str(ENV_FILE) in wrong else DotEnvSettingsSource(Settings).env_vars
    places = (("environment", environment), (str(ENV_FILE), file))
    origins = []
    for name in Settings.model_fields:
        source = next((where for where, given in places if (given.get(name) or "").strip()), "default")
        value = getattr(settings, name)
        if name == "connector_flows" and value is None and FLOWS.is_dir():
            value = FLOWS
        origins.append(Origin(name=name.upper(), source=source, value=_shown(value)))
    misspelt = {}
    for given in {*environment, *file} - set(Settings.model_fields):
        close = difflib.get_close_matches(given, Settings.model_fields, 1, cutoff=0.85)
        if close:
            misspelt[given.upper()] = close[0].upper()
    return Reading(settings=settings, wrong=wrong, origins=origins, misspelt=misspelt)


def _read() -> tuple[Settings, dict[str, str]]:
    wrong: dict[str, str] = {}
    replaced: dict[str, Any] = {}
    while True:
        try:
            return Settings(**replaced), wrong
        except ValidationError as problem:
            for error in problem.errors(include_input=False, include_url=False):
                name = str(error["loc"][0])
                wrong[name.upper()] = _in_plain_words(str(error["msg"]))
                replaced[name] = Settings.model_fields[name].default
        except (OSError, ValueError) as problem:
            if "_env_file" in replaced:
                raise
            reason = problem.strerror if isinstance(problem, OSError) else "it is no UTF-8 text"
            wrong[str(ENV_FILE)] = f"cannot be read: {reason}"
            replaced["_env_file"] = None


def _in_plain_words(message: str) -> str:
    """What pydantic says, as we say it."""
    return message.removeprefix("Value error, ").replace("Input should be", "must be").partition(", unable")[0]


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "not set"
    if isinstance(value, SecretStr):
        return "set"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else str(value)
