"""Recorded Zendesk answers, served over loopback, lead the documented event through HTTP to the exact Slack call."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bolt_app.sandbox import SlackServer
from bolt_app.server import Connector

pytestmark = pytest.mark.real_input

SECRET = "a webhook's signing secret"
ORGANIZATION = 6130869157658


def recorded(folder: Path, name: str) -> Any:
    """The body of a recorded answer."""
    return json.loads((folder / "zendesk-recorded" / name).read_text())["response"]["body"]


class Replay:
    """Serves recorded answers. Only ids are changed: to those that the documented event has."""

    def __init__(self, folder: Path, event: dict[str, Any]) -> None:
        self.requests: list[str] = []
        detail, change = event["detail"], event["event"]
        ticket = recorded(folder, "GET_tickets.1_200_1.json")["ticket"]
        ticket |= {
            "id": int(detail["id"]),
            "assignee_id": int(change["current"]),
            "requester_id": int(detail["requester_id"]),
        }
        self.ticket = ticket
        self.assignee = recorded(folder, "GET_users.{id}_200_1.json")["user"] | {"id": int(change["current"])}
        self.requester = recorded(folder, "GET_users.show_many-ids_200_2.json")["users"][0]
        self.requester |= {"id": int(detail["requester_id"])}
        self.organization = recorded(folder, "GET_organizations.{id}_200_1.json")["organization"]
        self.missing = recorded(folder, "PUT_tickets.{id}_404_1.json")
        self.me = recorded(folder, "GET_users.me_200_1.json")

    def answers(self) -> dict[str, Any]:
        """Each address with its answer."""
        return {
            "/api/v2/users/me.json": self.me,
            f"/api/v2/tickets/{self.ticket['id']}.json": {"ticket": self.ticket},
            f"/api/v2/users/{self.assignee['id']}.json": {"user": self.assignee},
            f"/api/v2/users/{self.requester['id']}.json": {"user": self.requester},
            f"/api/v2/organizations/{self.organization['id']}.json": {"organization": self.organization},
        }

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        body = self.answers().get(request.path)
        return web.json_response(self.missing if body is None else body, status=404 if body is None else 200)


@pytest.fixture
def event(fixtures_dir: Path) -> dict[str, Any]:
    text = (fixtures_dir / "zendesk-webhooks" / "documented_agent_assignment_changed.json").read_text()
    documented: dict[str, Any] = json.loads(text)
    return documented


@pytest.fixture
async def replay(fixtures_dir: Path, event: dict[str, Any]) -> AsyncIterator[tuple[Replay, str]]:
    replay = Replay(fixtures_dir, event)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", replay.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield replay, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def deliver(connector: Connector, event: dict[str, Any]) -> int:
    """Sends an event as Zendesk does; the status it was answered with."""
    body = json.dumps(event, indent=1).encode()
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    signature = base64.b64encode(hmac.new(SECRET.encode(), at.encode() + body, hashlib.sha256).digest()).decode()
    headers = {"X-Zendesk-Webhook-Signature": signature, "X-Zendesk-Webhook-Signature-Timestamp": at}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{connector.url}/zendesk/events", data=body, headers=headers) as answer,
    ):
        return answer.status


async def test_the_documented_event_and_recorded_answers_lead_to_the_exact_slack_call(
    slack: SlackServer, start_connector: Any, replay: tuple[Replay, str], event: dict[str, Any]
) -> None:
    zendesk, url = replay
    slack.state.add_person("automationsqa", zendesk.assignee["email"])
    zendesk.requester["organization_id"] = ORGANIZATION
    connector = await start_connector(zendesk_api_url=url, zendesk_client_id=None, zendesk_oauth_token=SecretStr("t"))
    assert await deliver(connector, event) == 200
    await connector.sides.bridge.idle()
    person = slack.state.person_with_email(zendesk.assignee["email"])
    assert person is not None
    (call,) = slack.state.calls_to("chat.postMessage")
    assert call.arguments.pop("metadata")
    assert call.arguments == {
        "channel": person.id,
        "text": (
            "Hi 09cace,\n"
            "\n"
            "Ticket 5158 has been assigned to you. Please respond as soon as possible.\n"
            "https://harbour.zendesk.com/agent/tickets/5158\n"
            "\n"
            "User contact information:\n"
            f"- Email: {zendesk.requester['email'] or 'not known'}\n"
            "- Locale and timezone: en-US - America/New_York\n"
            "- Organization: Z3n Tests (09cace/1694303517)\n"
            "\n"
            "Here's more context on the ticket:\n"
            "- Ticket subject: Sample ticket: Meet the ticket\n"
            "- Ticket description: Hi there,\n"
            "\n"
            "I’m sending an email because I’m having a problem setting up your new product."
            " Can you help me troubleshoot?\n"
            "\n"
            "Thanks,\n"
            " The Customer\n"
            "\n"
            "\n"
            "- Last ticket update: 2023-09-09T23:52:05Z\n"
        ),
        "unfurl_links": False,
        "unfurl_media": False,
    }


async def test_a_recorded_requester_without_an_organization_gets_the_agent_a_message_all_the_same(
    slack: SlackServer, start_connector: Any, replay: tuple[Replay, str], event: dict[str, Any]
) -> None:
    zendesk, url = replay
    assert zendesk.requester["organization_id"] is None, "as it was recorded"
    slack.state.add_person("automationsqa", zendesk.assignee["email"])
    connector = await start_connector(zendesk_api_url=url, zendesk_client_id=None, zendesk_oauth_token=SecretStr("t"))
    assert await deliver(connector, event) == 200
    await connector.sides.bridge.idle()
    (message,) = slack.state.posted()
    assert "Organization" not in message.text
    assert not [path for path in zendesk.requests if path.startswith("/api/v2/organizations")]


async def test_a_recorded_404_ends_the_run_as_failed(
    slack: SlackServer, start_connector: Any, replay: tuple[Replay, str], event: dict[str, Any]
) -> None:
    zendesk, url = replay
    zendesk.ticket["id"] = 1  # so that the event's ticket is not there
    connector = await start_connector(zendesk_api_url=url, zendesk_client_id=None, zendesk_oauth_token=SecretStr("t"))
    await deliver(connector, event)
    await connector.sides.bridge.idle()
    (run,) = await connector.sides.bridge.list_runs()
    assert (run["status"], run["error"]["code"]) == ("failed", "not_found")
    assert slack.state.posted() == []


async def test_the_other_documented_event_starts_nothing(start_connector: Any, fixtures_dir: Path) -> None:
    created = json.loads((fixtures_dir / "zendesk-webhooks" / "documented_ticket_created.json").read_text())
    connector = await start_connector()
    assert await deliver(connector, created) == 204
    assert await connector.sides.bridge.list_runs() == []
