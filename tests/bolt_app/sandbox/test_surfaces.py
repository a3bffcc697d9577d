"""The sandbox opens, changes and publishes views as Slack does."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import ADA

SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "Flows"}}
MODAL: dict[str, Any] = {"type": "modal", "title": {"type": "plain_text", "text": "Flows"}, "blocks": [SECTION]}
HOME: dict[str, Any] = {"type": "home", "blocks": [SECTION]}


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture
def client(slack: SlackServer) -> AsyncWebClient:
    return AsyncWebClient(token="xoxb-sandbox", base_url=slack.url, retry_handlers=[])


async def refusal(answer: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await answer
    return str(caught.value.response["error"])


async def test_a_trigger_opens_one_modal(slack: SlackServer, client: AsyncWebClient) -> None:
    trigger = slack.state.issue_trigger(ADA.id)
    answer = await client.views_open(trigger_id=trigger, view=MODAL)
    assert slack.state.views[answer["view"]["id"]].user == ADA.id
    assert await refusal(client.views_open(trigger_id=trigger, view=MODAL)) == "exchanged_trigger_id"
    assert await refusal(client.views_open(trigger_id="1.2.x", view=MODAL)) == "invalid_trigger_id"


async def test_a_trigger_is_good_for_three_seconds(slack: SlackServer, client: AsyncWebClient) -> None:
    trigger = slack.state.issue_trigger(ADA.id)
    slack.state.triggers[trigger].at -= 4
    assert await refusal(client.views_open(trigger_id=trigger, view=MODAL)) == "expired_trigger_id"


async def test_a_view_is_updated_unless_it_changed_meanwhile(slack: SlackServer, client: AsyncWebClient) -> None:
    view = (await client.views_open(trigger_id=slack.state.issue_trigger(ADA.id), view=MODAL))["view"]
    updated = await client.views_update(view_id=view["id"], hash=view["hash"], view=MODAL)
    assert updated["view"]["hash"] != view["hash"]
    assert await refusal(client.views_update(view_id=view["id"], hash=view["hash"], view=MODAL)) == "hash_conflict"
    assert await refusal(client.views_update(view_id="V0NONE", view=MODAL)) == "not_found"


async def test_a_home_tab_is_published_for_one_person(slack: SlackServer, client: AsyncWebClient) -> None:
    await client.views_publish(user_id=ADA.id, view=HOME)
    assert slack.state.homes[ADA.id].content["blocks"] == [SECTION]
    slack.state.home_tab_enabled = False
    assert await refusal(client.views_publish(user_id=ADA.id, view=HOME)) == "not_enabled"


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (HOME | {"blocks": [SECTION] * 101}, "invalid_arguments"),
        (HOME | {"type": "modal"}, "invalid_arguments"),
        (HOME | {"private_metadata": "x" * 250_001}, "view_too_large"),
    ],
)
async def test_a_view_beyond_slacks_limits_is_refused(client: AsyncWebClient, view: dict[str, Any], code: str) -> None:
    assert await refusal(client.api_call("views.publish", json={"user_id": ADA.id, "view": view})) == code
