"""Where a Zendesk account is, and how to authenticate there."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import SecretStr


@dataclass(frozen=True, kw_only=True)
class ZendeskSettings:
    """Where the account is and how to authenticate: an OAuth client, a token made elsewhere, or an API token."""

    subdomain: str | None = None
    api_url: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = field(default=None, repr=False)
    oauth_token: SecretStr | None = field(default=None, repr=False)
    email: str | None = None
    api_token: SecretStr | None = field(default=None, repr=False)

    @property
    def base(self) -> str:
        """The API's address, without a path."""
        return (self.api_url or f"https://{self.subdomain}.zendesk.com").rstrip("/")

    @property
    def agent_base(self) -> str:
        """The address of the pages that agents work in."""
        return f"https://{self.subdomain}.zendesk.com" if self.subdomain else self.base

    @property
    def has_account(self) -> bool:
        """Whether it is known where the account is."""
        return bool(self.subdomain or self.api_url)

    @property
    def has_credentials(self) -> bool:
        """Whether there is a way to authenticate; with a client alone, an admin's consent is needed besides."""
        ways = (
            self.client_id,
            self.oauth_token,
            self.email and self.api_token,
        )
        return any(bool(way) for way in ways)

    @property
    def has_own_rights(self) -> bool:
        """Whether the OAuth client authenticates by itself: with its secret, for whoever made it."""
        return bool(self.client_id and self.client_secret and not self.oauth_token)

    @property
    def needs_consent(self) -> bool:
        """Whether somebody has to consent in a browser: the client has no secret, and nothing else is set."""
        other = self.client_secret or self.oauth_token or (self.email and self.api_token)
        return bool(self.client_id and not other)

    @property
    def connected(self) -> bool:
        """Whether there is an account and a way to authenticate."""
        return self.has_account and self.has_credentials
