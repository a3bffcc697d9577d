"""Tickets, users and organizations: what Zendesk answers, and what flows see of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from zendesk_bridge.flows.catalog import FieldsOf, OfKind, OneOf, dumped
from zendesk_bridge.flows.errors import Permanent
from zendesk_bridge.flows.usual import taken


def id_text(value: Any) -> Any:
    """Zendesk's ids as flows have them: text. 0, "0", "" and null all mean none."""
    if type(value) is int:  # nearly all of the REST API's
        return str(value) if value else None
    if type(value) is str and value.isdigit():  # and of its events
        return None if value == "0" else value
    if value is None or isinstance(value, bool):
        return None
    text = str(value).strip()
    return None if text in ("", "0") else text


def _ids(value: Any) -> Any:
    return [text for each in value if (text := id_text(each))] if isinstance(value, list) else []


def _list(value: Any) -> Any:
    # Some payloads have tags as one text with blanks between.
    if isinstance(value, str):
        return value.split()
    return [each for each in value if each is not None] if isinstance(value, list) else []


def _object(value: Any) -> Any:
    return value if isinstance(value, dict) else {}


def _lower(value: Any) -> Any:
    return value.lower() or None if isinstance(value, str) else value


log = logging.getLogger(__name__)

Id = Annotated[str | None, BeforeValidator(id_text)]
Ids = Annotated[list[str], BeforeValidator(_ids)]
Tags = Annotated[list[str], BeforeValidator(_list)]
Fields = Annotated[dict[str, Any], BeforeValidator(_object)]
Time = Annotated[str | None, OfKind("date-time")]
Word = Annotated[str | None, BeforeValidator(_lower)]
Status = Annotated[Word, OneOf(("new", "open", "pending", "hold", "solved", "closed"))]
Priority = Annotated[Word, OneOf(("low", "normal", "high", "urgent"))]
TicketType = Annotated[Word, OneOf(("problem", "incident", "question", "task"))]
Score = Annotated[Word, OneOf(("good", "bad", "offered", "unoffered"))]
Role = Annotated[Word, OneOf(("end-user", "agent", "admin"))]


class Record(BaseModel):
    """Outputs of a look-up. A field that Zendesk has no value for is null."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


class Ticket(Record):
    """A ticket, as `look_up_ticket` gives it."""

    ticket_id: str = Field(description="The ticket's number.")
    subject: str | None = Field(None, description="The subject.")
    description: str | None = Field(None, description="The first comment, as plain text.")
    status: Status = Field(None, description="How far it is.")
    priority: Priority = Field(None, description="How urgent it is.")
    type: TicketType = Field(None, description="What kind of ticket it is.")
    tags: Tags = Field(default_factory=list, description="The tags.")
    assignee_id: Id = Field(None, description="The agent it is assigned to.")
    requester_id: Id = Field(None, description="Who asked.")
    submitter_id: Id = Field(None, description="Who submitted it.")
    organization_id: Id = Field(None, description="The ticket's organization.")
    group_id: Id = Field(None, description="The group it is assigned to.")
    brand_id: Id = Field(None, description="The brand.")
    ticket_form_id: Id = Field(None, description="The form.")
    custom_status_id: Id = Field(None, description="The custom status.")
    problem_id: Id = Field(None, description="The problem this incident is linked to.")
    external_id: str | None = Field(None, description="The id in another system.")
    recipient: str | None = Field(None, description="The address the first message was sent to.")
    via_channel: str | None = Field(None, description="How it came: email, web, api, …")
    is_public: bool | None = Field(None, description="Whether it has a public comment.")
    has_incidents: bool | None = Field(None, description="Whether incidents are linked to this problem.")
    collaborator_ids: Ids = Field(default_factory=list, description="People in copy.")
    follower_ids: Ids = Field(default_factory=list, description="Agents who follow it.")
    email_cc_ids: Ids = Field(default_factory=list, description="People in copy by e-mail.")
    due_at: Time = Field(None, description="When a task is due.")
    created_at: Time = Field(None, description="When it was created.")
    updated_at: Time = Field(None, description="When it was last changed.")
    latest_agent_update: Time = Field(None, description="When an assigned agent last updated it.")
    latest_agent_comment: str | None = Field(
        None, description="The text of the newest public comment by an agent or admin, among the newest 100 comments."
    )
    satisfaction_score: Score = Field(None, description="How the requester rated it.")
    custom_fields: Fields = Field(default_factory=dict, description="Custom fields by id: `custom_fields['360001']`.")
    url: str = Field(description="The page agents work in.")


class User(Record):
    """A person, as `look_up_user` gives them."""

    id: str = Field(description="The user's id.")
    name: str | None = Field(None, description="The full name.")
    email: str | None = Field(None, description="The primary e-mail address.")
    alias: str | None = Field(None, description="The name customers see.")
    locale: str | None = Field(None, description="The language, such as en-US.")
    time_zone: str | None = Field(None, description="The time zone by Zendesk's name, such as Copenhagen.")
    iana_time_zone: str | None = Field(None, description="The time zone, such as Europe/Copenhagen.")
    notes: str | None = Field(None, description="What agents noted about the person.")
    details: str | None = Field(None, description="Details about the person.")
    phone: str | None = Field(None, description="The phone number.")
    role: Role = Field(None, description="What the person is in Zendesk.")
    organization_id: Id = Field(None, description="The person's organization.")
    default_group_id: Id = Field(None, description="An agent's default group.")
    external_id: str | None = Field(None, description="The id in another system.")
    tags: Tags = Field(default_factory=list, description="The tags.")
    active: bool | None = Field(None, description="False where the person was deleted.")
    suspended: bool | None = Field(None, description="Whether the person is suspended.")
    verified: bool | None = Field(None, description="Whether an address is verified.")
    created_at: Time = Field(None, description="When the person was created.")
    updated_at: Time = Field(None, description="When the person was last changed.")
    last_login_at: Time = Field(None, description="When the person last signed in.")
    user_fields: Fields = Field(default_factory=dict, description="Custom fields by key.")
    url: str = Field(description="The page agents see.")


class Organization(Record):
    """An organization, as `look_up_organization` gives it."""

    id: str = Field(description="The organization's id.")
    name: str | None = Field(None, description="The name.")
    domains: Tags = Field(default_factory=list, description="The e-mail domains.")
    details: str | None = Field(None, description="Details.")
    notes: str | None = Field(None, description="What agents noted.")
    group_id: Id = Field(None, description="The group its tickets go to.")
    external_id: str | None = Field(None, description="The id in another system.")
    shared_tickets: bool | None = Field(None, description="Whether its people see each other's tickets.")
    shared_comments: bool | None = Field(None, description="Whether its people comment on each other's tickets.")
    tags: Tags = Field(default_factory=list, description="The tags.")
    created_at: Time = Field(None, description="When it was created.")
    updated_at: Time = Field(None, description="When it was last changed.")
    organization_fields: Fields = Field(default_factory=dict, description="Custom fields by key.")
    url: str = Field(description="The page agents see.")


# What is looked up is a mapping at once: it would be made into a model only to be recorded as a mapping again.
TicketFields = Annotated[dict[str, Any], FieldsOf(Ticket)]
UserFields = Annotated[dict[str, Any], FieldsOf(User)]
OrganizationFields = Annotated[dict[str, Any], FieldsOf(Organization)]


def ticket_from(
    answer: Mapping[str, Any], metrics: Mapping[str, Any] | None, base: str, comment: str | None = None
) -> TicketFields:
    """A ticket of the REST API as flows see it. Raises Permanent where the answer is no ticket.

    Args:
        comment: the newest public comment of an agent.
    """
    channel = answer.get("via")
    score = answer.get("satisfaction_rating")
    return _validated(
        Ticket,
        {
            **answer,
            "ticket_id": answer.get("id"),
            "via_channel": channel.get("channel") if isinstance(channel, dict) else None,
            "satisfaction_score": score.get("score") if isinstance(score, dict) else None,
            "custom_fields": _by_id(answer.get("custom_fields")),
            "latest_agent_update": metrics.get("assignee_updated_at") if metrics else None,
            "latest_agent_comment": comment,
            "url": f"{base}/agent/tickets/{answer.get('id')}",
        },
    )


def user_from(answer: Mapping[str, Any], base: str) -> UserFields:
    """A user of the REST API as flows see them. Raises Permanent where the answer is no user."""
    return _validated(User, {**answer, "url": f"{base}/agent/users/{answer.get('id')}"})


def organization_from(answer: Mapping[str, Any], base: str) -> OrganizationFields:
    """An organization of the REST API as flows see it. Raises Permanent where the answer is none."""
    page = f"{base}/agent/organizations/{answer.get('id')}"
    return _validated(Organization, {**answer, "domains": answer.get("domain_names"), "url": page})


def _by_id(fields: Any) -> dict[str, Any]:
    known: Iterable[Any] = fields if isinstance(fields, list) else ()
    return {str(each["id"]): each.get("value") for each in known if isinstance(each, dict) and "id" in each}


def _validated(model: type[Record], values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return lenient(model, values)
    except ValidationError as problem:
        name = model.__name__.lower()
        raise Permanent("unexpected_answer", f"Zendesk's {name} has no id") from problem


def lenient(model: type[Record], values: Mapping[str, Any]) -> dict[str, Any]:
    """A record's fields as far as they can be used, the odd ones left out. Raises ValidationError without its id."""
    if (usual := taken(model, values)) is not None:
        return usual
    try:
        return dumped(model.model_validate(values))
    except ValidationError as problem:
        odd = {str(error["loc"][0]) for error in problem.errors() if error["loc"]}
        log.warning("%s: odd values are left out: %s", model.__name__, ", ".join(sorted(odd)))
        return dumped(model.model_validate({name: value for name, value in values.items() if name not in odd}))
