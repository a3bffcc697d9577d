"""Zendesk's own triggers in the sandbox: made over the API, run when a ticket's assignee changes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import requests
from requests.adapters import HTTPAdapter
from zenpy import Zenpy
from zenpy.lib.api_objects import Trigger

from zendesk_bridge.sandbox import ZendeskServer, people
from zendesk_bridge.sandbox.tokens import Token

CHANGED = {"field": "assignee_id", "operator": "changed", "value": ""}
BODY = '{"ticket": "{{ticket.id}}", "agent": "{{ticket.assignee.id}}", "by": "{{current_user.id}}"}'


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskServer]:
    async with ZendeskServer() as server:
        yield server


@pytest.fixture
def webhook_id(zendesk: ZendeskServer, inbox: Any) -> str:
    """A webhook that triggers can notify."""
    return str(zendesk.state.add_webhook(inbox.url, subscriptions=["conditional_ticket_events"])["id"])


def trigger(webhook_id: str, **fields: Any) -> dict[str, Any]:
    action = {"field": "notification_webhook", "value": [webhook_id, BODY]}
    return {"title": "Assignments", "conditions": {"all": [CHANGED], "any": []}, "actions": [action]} | fields


async def call(
    zendesk: ZendeskServer, method: str, path: str, bearer: str = people.OAUTH_TOKEN, **sent: Any
) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {bearer}"}) as session,
        session.request(method, f"{zendesk.url}/api/v2/{path}", **sent) as answer,
    ):
        return answer.status, await answer.json() if answer.status != 204 else None


async def made(zendesk: ZendeskServer, fields: dict[str, Any]) -> dict[str, Any]:
    status, answer = await call(zendesk, "POST", "triggers", json={"trigger": fields})
    assert status == 201, answer
    shown: dict[str, Any] = answer["trigger"]
    return shown


async def test_a_new_trigger_has_the_recorded_form(zendesk: ZendeskServer, webhook_id: str) -> None:
    shown = await made(zendesk, trigger(webhook_id))
    # The keys in the order Zendesk was recorded to send them.
    assert list(shown) == [
        *("url", "id", "title", "active", "updated_at", "created_at", "default", "actions", "conditions"),
        *("description", "position", "raw_title", "category_id"),
    ]
    assert shown["url"] == f"{zendesk.url}/api/v2/triggers/{shown['id']}.json"
    assert (shown["active"], shown["default"], shown["position"]) == (True, False, 1)
    assert isinstance(shown["category_id"], str)
    assert (await call(zendesk, "GET", f"triggers/{shown['id']}.json"))[1]["trigger"] == shown


async def test_an_assignment_sends_the_triggers_text_with_the_placeholders_filled_in(
    zendesk: ZendeskServer, inbox: Any, webhook_id: str
) -> None:
    await made(zendesk, trigger(webhook_id))
    await zendesk.assign(people.GRINDER, people.NOOR)
    await zendesk.assign(people.GRINDER, None, actor_id=people.BEN)
    given, taken = (json.loads(text) for text in inbox.texts)
    assert given == {"ticket": str(people.GRINDER), "agent": str(people.NOOR), "by": str(people.ADA)}
    assert (taken["agent"], taken["by"]) == ("", str(people.BEN))


async def test_an_assignment_over_the_api_runs_triggers_and_other_changes_do_not(
    zendesk: ZendeskServer, inbox: Any, webhook_id: str
) -> None:
    await made(zendesk, trigger(webhook_id))
    path = f"tickets/{people.GRINDER}.json"
    await call(zendesk, "PUT", path, json={"ticket": {"priority": "low", "comment": {"body": "x", "public": False}}})
    await call(zendesk, "PUT", path, json={"ticket": {"assignee_id": people.LIN}})
    await zendesk.settle()
    assert [json.loads(text)["agent"] for text in inbox.texts] == [str(people.LIN)]


async def test_an_inactive_or_deleted_trigger_sends_nothing(
    zendesk: ZendeskServer, inbox: Any, webhook_id: str
) -> None:
    shown = await made(zendesk, trigger(webhook_id, active=False))
    await zendesk.assign(people.GRINDER, people.NOOR)
    assert inbox.got == []
    path = f"triggers/{shown['id']}"
    assert (await call(zendesk, "PUT", path, json={"trigger": {"active": True}}))[1]["trigger"]["active"] is True
    await zendesk.assign(people.GRINDER, people.BEN)
    assert len(inbox.got) == 1
    assert await call(zendesk, "DELETE", path) == (204, None)
    await zendesk.assign(people.GRINDER, people.LIN)
    assert len(inbox.got) == 1
    for method in ("GET", "DELETE", "PUT"):
        status, answer = await call(zendesk, method, path, json={"trigger": {}})
        assert (status, answer["error"]) == (404, "RecordNotFound")


@pytest.mark.parametrize(
    ("conditions", "runs"),
    [
        ({"any": [CHANGED]}, True),
        ({"all": [CHANGED, {"field": "status", "operator": "less_than", "value": "solved"}]}, True),
        ({"all": [CHANGED, {"field": "status", "operator": "is", "value": "pending"}]}, False),
        ({"all": [CHANGED], "any": [{"field": "priority", "operator": "is", "value": "low"}]}, False),
        ({"all": [CHANGED, {"field": "priority", "operator": "is", "value": "high"}]}, True),
        ({"all": [CHANGED, {"field": "update_type", "operator": "is", "value": "Change"}]}, True),
        ({"all": [CHANGED, {"field": "update_type", "operator": "is", "value": "Create"}]}, False),
        ({"all": [CHANGED, {"field": "assignee_id", "operator": "is_not", "value": ""}]}, True),
        ({"all": [{"field": "assignee_id", "operator": "value", "value": str(people.NOOR)}]}, True),
        ({"all": [{"field": "assignee_id", "operator": "value_previous", "value": str(people.BEN)}]}, False),
        ({"all": [{"field": "assignee_id", "operator": "not_changed"}]}, False),
        ({"all": [CHANGED, {"field": "group_id", "operator": "is", "value": str(people.SUPPORT)}]}, True),
        # What the sandbox cannot weigh never runs.
        ({"all": [CHANGED, {"field": "comment_is_public", "operator": "is", "value": "true"}]}, False),
    ],
)
async def test_a_trigger_runs_only_where_its_conditions_hold(
    zendesk: ZendeskServer, inbox: Any, webhook_id: str, conditions: dict[str, Any], runs: bool
) -> None:
    await made(zendesk, trigger(webhook_id, conditions=conditions))
    await zendesk.assign(people.GRINDER, people.NOOR)
    assert len(inbox.got) == int(runs)


async def test_a_ticket_made_with_an_agent_counts_as_created(
    zendesk: ZendeskServer, inbox: Any, webhook_id: str
) -> None:
    created = {"field": "update_type", "operator": "is", "value": "Create"}
    await made(zendesk, trigger(webhook_id, conditions={"all": [CHANGED, created]}))
    told = await zendesk.create_ticket("Hi", "There", requester_id=people.TOMAS, assignee_id=people.BEN)
    await zendesk.assign(int(told.event["detail"]["id"]), people.NOOR)
    assert [json.loads(text)["agent"] for text in inbox.texts] == [str(people.BEN)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"title": ""}, "title"),
        ({"conditions": {}}, "base"),
        ({"conditions": {"all": [{"field": "assignee", "operator": "changed"}]}}, "base"),
        ({"conditions": {"all": [{"field": "assignee_id", "operator": "changes"}]}}, "base"),
        ({"actions": []}, "base"),
        ({"actions": [{"field": "notification_webhook", "value": "01UNKNOWN"}]}, "base"),
        ({"actions": [{"field": "notification_webhook", "value": ["01UNKNOWN", "{}"]}]}, "base"),
        ({"active": "yes"}, "active"),
        ({"position": "first"}, "position"),
        ({"category_id": "10026"}, "category_id"),
    ],
)
async def test_a_wrong_trigger_is_refused_with_the_reason(
    zendesk: ZendeskServer, webhook_id: str, wrong: dict[str, Any], field: str
) -> None:
    status, answer = await call(zendesk, "POST", "triggers", json={"trigger": trigger(webhook_id, **wrong)})
    assert (status, answer["error"], list(answer["details"])) == (422, "RecordInvalid", [field])
    assert answer["details"][field][0]["description"]
    assert zendesk.state.triggers == {}


async def test_only_a_live_webhook_for_triggers_can_be_notified(zendesk: ZendeskServer, webhook_id: str) -> None:
    for_events = zendesk.state.add_webhook("https://connector.example/")
    zendesk.state.webhooks[webhook_id]["status"] = "inactive"
    for id in (for_events["id"], webhook_id):
        status, answer = await call(zendesk, "POST", "triggers", json={"trigger": trigger(id)})
        described = f"Invalid value '{id}' in 'Notify active webhook'"
        assert (status, answer["details"]) == (422, {"base": [{"description": described}]})


async def test_a_change_of_the_conditions_loses_the_actions_that_are_not_sent_along(
    zendesk: ZendeskServer, webhook_id: str
) -> None:
    shown = await made(zendesk, trigger(webhook_id))
    path, conditions = f"triggers/{shown['id']}", {"all": [CHANGED], "any": [CHANGED]}
    status, answer = await call(zendesk, "PUT", path, json={"trigger": {"conditions": conditions}})
    assert (status, answer["error"]) == (422, "RecordInvalid")
    both = {"conditions": conditions, "actions": shown["actions"], "title": "New"}
    status, answer = await call(zendesk, "PUT", path, json={"trigger": both})
    changed = answer["trigger"]
    assert (status, changed["conditions"], changed["title"], changed["raw_title"]) == (200, conditions, "New", "New")


async def test_triggers_are_listed_in_the_order_they_run(zendesk: ZendeskServer, webhook_id: str) -> None:
    for title, position, active in (("second", 2, True), ("first", 1, False), ("last", 9, True)):
        await made(zendesk, trigger(webhook_id, title=title, position=position, active=active))
    _, answer = await call(zendesk, "GET", "triggers.json")
    assert [each["title"] for each in answer["triggers"]] == ["first", "second", "last"]
    assert (answer["count"], answer["next_page"]) == (3, None)
    _, answer = await call(zendesk, "GET", "triggers?active=true")
    assert [each["title"] for each in answer["triggers"]] == ["second", "last"]
    _, answer = await call(zendesk, "GET", "triggers?page[size]=2")
    assert (len(answer["triggers"]), answer["meta"]["has_more"]) == (2, True)


async def test_agents_may_read_triggers_but_not_manage_them(zendesk: ZendeskServer, webhook_id: str) -> None:
    shown = await made(zendesk, trigger(webhook_id))
    zendesk.state.tokens["agents"] = Token(
        value="agents", client_id=people.CLIENT_ID, user_id=people.BEN, scope="read write", expires_at=None
    )
    assert (await call(zendesk, "GET", "triggers", "agents"))[0] == 200
    for method, path in (
        ("POST", "triggers"),
        ("PUT", f"triggers/{shown['id']}"),
        ("DELETE", f"triggers/{shown['id']}"),
    ):
        status, answer = await call(zendesk, method, path, "agents", json={"trigger": trigger(webhook_id)})
        assert (status, answer["error"]["title"]) == (403, "Forbidden")


async def test_a_webhook_that_a_trigger_uses_is_not_deleted(
    zendesk: ZendeskServer, inbox: Any, webhook_id: str
) -> None:
    shown = await made(zendesk, trigger(webhook_id))
    status, answer = await call(zendesk, "DELETE", f"webhooks/{webhook_id}")
    assert (status, "Assignments" in answer["errors"][0]["detail"]) == (400, True)
    zendesk.state.deletes_used_webhooks = True
    assert (await call(zendesk, "DELETE", f"webhooks/{webhook_id}"))[0] == 204
    await zendesk.assign(people.GRINDER, people.NOOR)
    assert inbox.got == []
    status, _ = await call(zendesk, "PUT", f"triggers/{shown['id']}", json={"trigger": trigger(webhook_id)})
    assert status == 422
    assert (await call(zendesk, "DELETE", f"triggers/{shown['id']}"))[0] == 204


class ToSandbox(HTTPAdapter):
    """Sends what is meant for the account to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.target = url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        asked, redirected = urlsplit(request.url or ""), request.copy()
        redirected.url = f"{self.target}{asked.path}" + (f"?{asked.query}" if asked.query else "")
        answer = super().send(redirected, *args, **kwargs)
        answer.request, answer.url = request, request.url or ""
        return answer


async def test_zenpy_makes_lists_and_deletes_triggers(zendesk: ZendeskServer, inbox: Any, webhook_id: str) -> None:
    session = requests.Session()
    session.mount("https://sandbox.zendesk.com", ToSandbox(zendesk.url))
    api = Zenpy(subdomain="sandbox", oauth_token=people.OAUTH_TOKEN, session=session)
    fields = trigger(webhook_id)
    # zenpy's own tests send the conditions beside the title, in the older way.
    new = Trigger(title=fields["title"], all=[CHANGED], actions=fields["actions"])
    kept = await asyncio.to_thread(api.triggers.create, new)
    assert (kept.conditions.all[0]["operator"], kept.active) == ("changed", True)
    await zendesk.assign(people.GRINDER, people.NOOR)
    assert len(inbox.got) == 1
    assert [each.id for each in await asyncio.to_thread(lambda: list(api.triggers()))] == [kept.id]
    await asyncio.to_thread(api.triggers.delete, kept)
    assert zendesk.state.triggers == {}
