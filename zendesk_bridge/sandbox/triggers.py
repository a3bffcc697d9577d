"""Zendesk's own triggers: what a valid one looks like, and which of them an assignment sets off."""

from collections.abc import Iterator
from typing import Any

from zendesk_bridge.sandbox.answers import Refused, record_invalid
from zendesk_bridge.sandbox.people import ASSIGNMENT_CHANGED, TRIGGER_CONNECTED
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.state import ZendeskState

NOTIFIES = "notification_webhook"
# Fields that conditions may name, beside those of custom fields. The sandbox weighs the ones of `_holds` alone: a
# trigger with any other condition is kept and never runs.
CONDITION_FIELDS = (
    "assignee_id",
    "attachment",
    "brand_id",
    "cc",
    "comment_includes_word",
    "comment_is_public",
    "current_tags",
    "current_via_id",
    "custom_status_id",
    "group_id",
    "in_business_hours",
    "locale_id",
    "organization_id",
    "priority",
    "reopens",
    "replies",
    "requester_id",
    "requester_role",
    "role",
    "satisfaction_score",
    "status",
    "subject_includes_word",
    "ticket_form_id",
    "type",
    "update_type",
    "via_id",
)
OPERATORS = (
    "is", "is_not", "less_than", "greater_than", "changed", "not_changed", "value", "value_previous", "not_value",
    "not_value_previous", "includes", "not_includes", "present", "not_present",
)  # fmt: skip
STATUSES = ("new", "open", "pending", "hold", "solved", "closed")


def category_of(state: ZendeskState) -> str:
    """The id of the account's only category of triggers."""
    return str(state.account_id * 1_000_000 + 701)


def checked_conditions(given: Any) -> Record:
    """The conditions as they are kept; refuses a trigger that would run always."""
    given = given if isinstance(given, dict) else {}
    conditions = {name: given.get(name) or [] for name in ("all", "any")}
    if not any(conditions.values()):
        raise _invalid("Conditions: must have at least one condition")
    for each in [*conditions["all"], *conditions["any"]]:
        if not isinstance(each, dict) or not _is_field(each.get("field")):
            raise _invalid(f"Invalid field '{each.get('field') if isinstance(each, dict) else each}' in conditions")
        if each.get("operator") not in OPERATORS:
            raise _invalid(f"Invalid operator '{each.get('operator')}' in '{each['field']}'")
    return conditions


def checked_actions(state: ZendeskState, given: Any) -> list[Record]:
    """The actions as they are kept; one that notifies a webhook names one that is there for triggers."""
    if not isinstance(given, list) or not given:
        raise _invalid("Actions: must have at least one action")
    for each in given:
        if not isinstance(each, dict) or not isinstance(each.get("field"), str):
            raise _invalid(f"Invalid action '{each}'")
        if each["field"] != NOTIFIES:
            continue
        value = each.get("value")
        if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, str) for part in value):
            raise _invalid("Invalid value in 'Notify active webhook'")
        webhook = state.webhooks.get(value[0])
        if webhook is None or webhook["subscriptions"] != [TRIGGER_CONNECTED] or webhook["status"] != "active":
            raise _invalid(f"Invalid value '{value[0]}' in 'Notify active webhook'")
    return given


def using(state: ZendeskState, webhook_id: str) -> list[Record]:
    """The triggers with an action that notifies this webhook."""
    return [each for each in state.triggers.values() if any(id == webhook_id for id, _ in _notices(each))]


def set_off(state: ZendeskState, event: Record) -> list[tuple[str, str]]:
    """What the active triggers send because of an event, in their order: the webhook's id, and the text to fill in."""
    if event["type"] != ASSIGNMENT_CHANGED:
        return []
    running = [each for each in state.triggers.values() if each["active"] and _runs(state, each, event)]
    running.sort(key=lambda each: (each["position"], each["id"]))
    return [notice for each in running for notice in _notices(each)]


def _invalid(description: str) -> Refused:
    return record_invalid("base", description)


def _is_field(name: Any) -> bool:
    return isinstance(name, str) and (name in CONDITION_FIELDS or name.startswith("custom_fields_"))


def _notices(trigger: Record) -> Iterator[tuple[str, str]]:
    for action in trigger["actions"]:
        if action["field"] == NOTIFIES:
            yield action["value"][0], action["value"][1]


def _runs(state: ZendeskState, trigger: Record, event: Record) -> bool:
    every, some = trigger["conditions"]["all"], trigger["conditions"]["any"]
    fits = all(_holds(state, each, event) for each in every)
    return fits and (not some or any(_holds(state, each, event) for each in some))


def _holds(state: ZendeskState, condition: Record, event: Record) -> bool:
    operator, wanted = condition["operator"], str(condition.get("value") or "")
    detail = event["detail"]
    match condition["field"]:
        case "assignee_id":
            return _assignee_holds(operator, wanted, _text(event["event"]["previous"]), _text(detail["assignee_id"]))
        case "update_type":
            return _compares(operator, wanted, "Create" if event["id"] in state.events_of_creation else "Change")
        case "status" if operator in ("less_than", "greater_than") and wanted in STATUSES:
            now, other = STATUSES.index(detail["status"].lower()), STATUSES.index(wanted)
            return now < other if operator == "less_than" else now > other
        case "status" | "priority" | "type" as name:
            return _compares(operator, wanted, str(detail.get(name, "")).lower())
        case "group_id" | "organization_id" | "requester_id" | "brand_id" as name:
            return _compares(operator, wanted, _text(detail[name]))
        case _:
            return False


def _assignee_holds(operator: str, wanted: str, before: str, now: str) -> bool:
    match operator:
        case "changed":
            return before != now
        case "not_changed":
            return before == now
        case "value":
            return now == wanted
        case "not_value":
            return now != wanted
        case "value_previous":
            return before == wanted
        case "not_value_previous":
            return before != wanted
        case _:
            return _compares(operator, wanted, now)


def _compares(operator: str, wanted: str, actual: str) -> bool:
    return (operator == "is" and actual == wanted) or (operator == "is_not" and actual != wanted)


def _text(id: str | None) -> str:
    return "" if id in (None, "0") else str(id)
