"""The settings: what each is called, where it came from, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from zendesk_bridge.bridge import BridgeSettings, ZendeskSettings
from zendesk_bridge.flows.errors import SettingsError

API_TOKENS_END = "Zendesk stops API tokens on 30 April 2027: make an OAuth client and set ZENDESK_CLIENT_ID and _SECRET"


class Settings(BaseSettings):
    """Settings from the environment and from `.env`; the environment wins."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    slack_bot_token: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None
    slack_app_token: SecretStr | None = None
    slack_client_id: str | None = None
    slack_client_secret: SecretStr | None = None
    slack_api_url: str = "https://slack.com/api/"
    zendesk_subdomain: str | None = None
    zendesk_client_id: str | None = None
    zendesk_client_secret: SecretStr | None = None
    zendesk_oauth_token: SecretStr | None = None
    zendesk_email: str | None = None
    zendesk_api_token: SecretStr | None = None
    zendesk_api_url: str | None = None
    zendesk_webhook_secret: SecretStr | None = None
    zendesk_webhook_max_age: float = Field(3600.0, gt=0)
    zendesk_poll_seconds: float = Field(60.0, ge=0)
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
    connector_keep_days: float = Field(30.0, gt=0)
    connector_keep_failed_days: float = Field(90.0, gt=0)
    connector_join_public_channels: bool = False

    @field_validator("slack_api_url", "zendesk_api_url")
    @classmethod
    def _safe_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")):
            return value
        raise ValueError("must be an https address, or http on this machine")

    @field_validator("zendesk_subdomain")
    @classmethod
    def _only_the_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", value):
            raise ValueError("must be the name alone, such as `acme` for acme.zendesk.com")
        return value

    @property
    def flows_folder(self) -> Path | None:
        """The folder of flow files: the one that is set, or `flows/` where it exists."""
        if self.connector_flows is not None:
            return self.connector_flows
        default = Path("flows")
        return default if default.is_dir() else None

    @property
    def socket_mode(self) -> bool:
        """Whether Slack is reached over Socket Mode rather than HTTP."""
        return self.slack_app_token is not None

    def bridge(self) -> BridgeSettings:
        """The bridge's part."""
        return BridgeSettings(
            database=self.connector_database,
            flows=self.flows_folder,
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
            default_owner=self.connector_admin_email,
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
        if self.zendesk_subdomain is None and self.zendesk_api_url is None:
            yield "ZENDESK_SUBDOMAIN", "is not set: `acme` where your Zendesk is acme.zendesk.com"
        ways = (
            self.zendesk_client_id and self.zendesk_client_secret,
            self.zendesk_oauth_token,
            self.zendesk_email and self.zendesk_api_token,
        )
        if not any(ways):
            yield "ZENDESK_CLIENT_ID", "and ZENDESK_CLIENT_SECRET are not set: the OAuth client made in Admin Center"
        if self.zendesk_webhook_secret is None:
            yield "ZENDESK_WEBHOOK_SECRET", "is not set: the signing secret of the webhook made in Admin Center"
        if self.connector_flows is not None and not self.connector_flows.is_dir():
            yield "CONNECTOR_FLOWS", f"names no folder: {self.connector_flows}"

    def warnings(self) -> Iterator[tuple[str, str]]:
        """What works and should not stay so."""
        if self.zendesk_api_token and not (self.zendesk_client_id or self.zendesk_oauth_token):
            yield "ZENDESK_API_TOKEN", API_TOKENS_END


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a setting came from; its value where it is no secret."""

    name: str
    source: str
    value: str


def load() -> Settings:
    """Reads the settings. Raises SettingsError, a line for each that is wrong; never with its value."""
    try:
        return Settings()
    except ValidationError as problem:
        lines = [
            f"{'.'.join(str(part) for part in error['loc']).upper()}: {str(error['msg']).removeprefix('Value error, ')}"
            for error in problem.errors(include_input=False, include_url=False)
        ]
        raise SettingsError(lines) from None


def origins(settings: Settings) -> list[Origin]:
    """Every setting with where it came from: the environment, `.env`, or the default."""
    environment = EnvSettingsSource(Settings)()
    file = DotEnvSettingsSource(Settings)()
    result = []
    for name in Settings.model_fields:
        value: Any = getattr(settings, name)
        source = "environment" if name in environment else ".env" if name in file else "default"
        result.append(Origin(name=name.upper(), source=source, value=_shown(value)))
    return result


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "not set"
    return "set" if isinstance(value, SecretStr) else str(value)
