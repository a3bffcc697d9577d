"""The people and channels of the sample workspace that the sandbox starts with."""

from dataclasses import dataclass
from typing import Any

TEAM_ID = "T0SANDBOX1"
TEAM_NAME = "Sandbox Support"
TEAM_DOMAIN = "sandbox-support"
APP_ID = "A0SANDBOX1"
APP_NAME = "Zendesk Connector"
BOT_ID = "B0BOT00001"
BOT_USER_ID = "U0BOT00001"

# The scopes of the app's manifest. `channels:join` is optional there, so a fresh installation lacks it.
BOT_SCOPES = (
    "app_mentions:read",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "groups:history",
    "groups:read",
    "im:history",
    "im:write",
    "reactions:write",
    "users:read",
    "users:read.email",
)

OPTIONAL_SCOPES = ("channels:join",)

JOINED_AT = 1_700_000_000


@dataclass(frozen=True, kw_only=True)
class Person:
    """Someone in the workspace: a colleague, a guest, or a bot."""

    id: str
    # The handle, as in the `name` field of Slack's user object.
    name: str
    real_name: str
    # Bots and Slackbot have none.
    email: str | None = None
    is_admin: bool = False
    is_owner: bool = False
    # Slack's two kinds of guest: of several channels, and of one.
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    # Of another workspace, seen in a shared channel.
    team_id: str = TEAM_ID
    # Deactivated.
    deleted: bool = False
    is_bot: bool = False
    tz: str = "Europe/Paris"
    tz_label: str = "Central European Time"
    tz_offset: int = 3600
    locale: str = "en-GB"

    def as_slack(self, *, with_email: bool, with_locale: bool = False) -> dict[str, Any]:
        """Slack's user object. The address is in it only for tokens with `users:read.email`."""
        first, _, last = self.real_name.partition(" ")
        profile: dict[str, Any] = {
            "title": "",
            "phone": "",
            "skype": "",
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.name,
            "display_name_normalized": self.name,
            "first_name": first,
            "last_name": last,
            "status_text": "",
            "status_emoji": "",
            "status_expiration": 0,
            "avatar_hash": "g" + self.id.lower()[-8:],
            "team": self.team_id,
        }
        if self.is_bot:
            profile |= {"bot_id": BOT_ID, "api_app_id": APP_ID, "always_active": True}
        if with_email and self.email:
            profile["email"] = self.email
        user: dict[str, Any] = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": self.deleted,
            "profile": profile,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "updated": JOINED_AT,
        }
        # Slack leaves these out of the object of a deactivated person.
        if not self.deleted:
            user |= {
                "color": "3c6e71",
                "real_name": self.real_name,
                "tz": self.tz,
                "tz_label": self.tz_label,
                "tz_offset": self.tz_offset,
                "is_admin": self.is_admin,
                "is_owner": self.is_owner,
                "is_primary_owner": False,
                "is_restricted": self.is_restricted,
                "is_ultra_restricted": self.is_ultra_restricted,
                "is_email_confirmed": self.email is not None,
                "who_can_share_contact_card": "EVERYONE",
            }
        if self.team_id != TEAM_ID:
            user["is_stranger"] = True
        if with_locale:
            user["locale"] = self.locale
        return user


@dataclass(frozen=True, kw_only=True)
class SampleChannel:
    """A channel as the sample workspace describes it, before anything happens in it."""

    id: str
    name: str
    is_private: bool = False
    is_archived: bool = False
    members: tuple[str, ...] = ()


ADA = Person(id="U0ADA00001", name="ada", real_name="Ada Ferrand", email="ada@example.com", is_admin=True)
NOOR = Person(id="U0NOOR0001", name="noor", real_name="Noor Haddad", email="noor@example.com")
BEN = Person(
    id="U0BEN00001",
    name="ben",
    real_name="Ben Okafor",
    email="ben@example.com",
    tz="America/New_York",
    tz_label="Eastern Standard Time",
    tz_offset=-18000,
    locale="en-US",
)
GUEST = Person(
    id="U0GUEST001", name="gil.guest", real_name="Gil Marchetti", email="gil@partner.example.com", is_restricted=True
)
ONE_CHANNEL_GUEST = Person(id="U0GUEST002", name="one.channel", real_name="Oda Nikolić", is_ultra_restricted=True)
# An admin where they come from; not among those the workspace starts with.
STRANGER = Person(
    id="U0STRANG01", name="sam.elsewhere", real_name="Sam Petrov", team_id="T0ELSEWHER", is_admin=True, is_owner=True
)
GONE = Person(id="U0GONE0001", name="mara", real_name="Mara Lindqvist", email="mara@example.com", deleted=True)
BOT = Person(id=BOT_USER_ID, name="zendesk_connector", real_name=APP_NAME, is_bot=True)
# In every workspace, and an oddity in every one of them: a bot with `is_bot` false.
SLACKBOT = Person(id="USLACKBOT", name="slackbot", real_name="Slackbot")

CAST = (ADA, NOOR, BEN, GUEST, GONE, BOT, SLACKBOT)

SUPPORT = SampleChannel(id="C0SUPPORT1", name="support", members=(ADA.id, NOOR.id, BEN.id, GUEST.id, BOT.id))
RANDOM = SampleChannel(id="C0RANDOM01", name="random", members=(ADA.id, NOOR.id, BEN.id))
# Private channels made since 2021 have a C id like any other: the first letter tells nothing.
ESCALATIONS = SampleChannel(id="C0ESCALAT1", name="escalations", is_private=True, members=(ADA.id, NOOR.id))
OLD_NEWS = SampleChannel(id="C0OLDNEWS1", name="old-news", is_archived=True, members=(ADA.id, BOT.id))

CHANNELS = (SUPPORT, RANDOM, ESCALATIONS, OLD_NEWS)
