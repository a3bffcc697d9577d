"""What a simulated test needs in the sandbox: the ticket and the people of its event, the channels of its flow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bolt_app.directory import channel_name, check_channel
from bolt_app.sandbox import SlackState
from bolt_app.sandbox.people import BOT_USER_ID
from bolt_app.sandbox.records import Channel
from bolt_app.text import is_channel_id, is_person_id
from zendesk_bridge.flows.model import Event
from zendesk_bridge.sandbox import ZendeskState, people

#: The variables of triggers that name people, in the order in which they are made: an agent may also be who asked.
AGENTS = ("assignee_id", "previous_assignee_id")
CUSTOMERS = ("requester_id", "submitter_id", "author_id", "user_id")
ACTORS = ("actor_id",)
#: A ticket's fields as events name them.
FIELDS = {
    **{name: name for name in ("subject", "status", "priority", "type", "tags", "external_id", "is_public")},
    **{name: name for name in ("created_at", "updated_at")},
    "form_id": "ticket_form_id",
    "custom_status": "custom_status_id",
    "brand_id": "brand_id",
}
_NUMBERS = ("ticket_form_id", "custom_status_id", "brand_id")


class Scenery:
    """Makes what is not there yet, with the values that the event has."""

    def __init__(self, slack: SlackState, zendesk: ZendeskState) -> None:
        self._slack = slack
        self._zendesk = zendesk
        #: What was made, for people.
        self.made: list[str] = []

    def put_up(self, event: Event, steps: Iterable[Any]) -> None:
        """Makes all that an event tells of, and that the inputs of a flow's steps name."""
        self._people(event.data)
        self._ticket(event.data)
        for step in steps:
            if step.action.startswith("slack."):
                self._named(step.inputs)

    def open_channel(self, name: str) -> str:
        """The id of a channel that is there then, with the app in it; `name` is its id or `#name`."""
        try:
            name = check_channel(name)
        except ValueError:  # the step says so itself
            return name
        channel = self._slack.channels.get(name) or self._slack.channel_named(channel_name(name))
        if channel is None and is_channel_id(name):
            channel = self._slack.channels[name] = Channel(id=name, name=name.lower())
        channel = channel or self._slack.add_channel(channel_name(name), with_bot=False)
        if not channel.has_bot or channel.is_archived:
            channel.is_archived = False
            channel.members = [*channel.members, BOT_USER_ID]
            self.made.append(f"{name} with the app in it")
        return channel.id

    def _named(self, inputs: Mapping[str, Any]) -> None:
        """What a step names word for word; what a template makes of it is known only later."""
        fixed = {name: value for name, value in inputs.items() if isinstance(value, str) and "{" not in value}
        if fixed.get("channel"):
            self.open_channel(fixed["channel"])
        email, person = fixed.get("email", "").strip(), fixed.get("user_id", "").strip()
        if email:
            self._colleague(email.partition("@")[0], email)
        if is_person_id(person) and person not in self._slack.people:
            self._slack.add_person(person.lower(), f"{person.lower()}@example.com", id=person, real_name=person)
            self.made.append(f"{person} in Slack")

    def _colleague(self, name: str, email: str) -> None:
        if self._slack.person_with_email(email) is None:
            self._slack.add_person(email.partition("@")[0].lower(), email, real_name=name)
            self.made.append(f"{email} in Slack")

    def _people(self, data: Mapping[str, Any]) -> None:
        """The organization, the groups and the people that an event names by their ids."""
        organization, group = _number(data.get("organization_id")), _number(data.get("group_id"))
        if organization is not None and organization not in self._zendesk.organizations:
            self._zendesk.add_organization(f"Organization {organization}", id=organization)
            self.made.append(f"Organization {organization}")
        if group is not None and group not in self._zendesk.groups:
            self._zendesk.add_group(f"Group {group}", id=group)
        for kind, names in (("Agent", AGENTS), ("Customer", CUSTOMERS), ("Agent", ACTORS)):
            for id in (_number(data.get(name)) for name in names):
                if id is None:
                    continue
                is_agent = kind == "Agent"
                if id not in self._zendesk.users:
                    self._zendesk.add_user(
                        f"{kind} {id}",
                        f"{kind.lower()}-{id}@example.com",
                        id=id,
                        role="agent" if is_agent else "end-user",
                        organization_id=None if is_agent else organization,
                        default_group_id=people.SUPPORT if is_agent else None,
                    )
                    self.made.append(f"{kind} {id}")
                user = self._zendesk.users[id]
                if is_agent and user["role"] != "end-user" and user["email"]:
                    self._colleague(user["name"], user["email"])

    def _ticket(self, data: Mapping[str, Any]) -> None:
        """The ticket as the event has it. Another of the same number gives way."""
        number = _number(data.get("ticket_id"))
        if number is None:
            return
        known = self._zendesk.tickets.get(number)
        subject = data.get("subject")
        if known is None or (subject and known["subject"] != subject):
            self._zendesk.comments.pop(number, None)
            known = self._zendesk.add_ticket(
                subject or f"Ticket {number}",
                f"The description of ticket {number}, made up for this test.",
                id=number,
                requester_id=_number(data.get("requester_id")) or people.MIRA,
                submitter_id=_number(data.get("submitter_id")),
                channel=data.get("via_channel") or "web",
            )
            self.made.append(f"ticket {number}")
        for name, field in FIELDS.items():
            value = data.get(name)
            value = _number(value) if field in _NUMBERS else value
            if value not in (None, []):
                known[field] = value
        for name in ("assignee_id", "organization_id", "group_id"):
            if name in data:
                known[name] = _number(data[name])


def names_of(slack: SlackState) -> dict[str, str]:
    """The names of people by id and by e-mail address, and of channels by id."""
    names = {person.id: person.real_name for person in slack.people.values()}
    names |= {person.email: person.real_name for person in slack.people.values() if person.email}
    return names | {channel.id: f"#{channel.name}" for channel in slack.channels.values() if channel.name}


def _number(value: Any) -> int | None:
    """An id as the sandbox has it; None where Zendesk has none such."""
    text = str(value or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
