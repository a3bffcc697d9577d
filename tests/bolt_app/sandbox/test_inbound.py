"""The sandbox brings events, commands and button presses to a real Bolt app, over HTTP and over Socket Mode."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bolt_app.sandbox import SlackDelivery, SlackServer, payloads
from bolt_app.sandbox.people import ADA, BOT_USER_ID, RANDOM, SUPPORT

SECRET = "not-much-of-a-secret"


@dataclass
class Heard:
    joined: list[Any] = field(default_factory=list)
    mentions: list[Any] = field(default_factory=list)
    pressed: list[Any] = field(default_factory=list)
    submitted: list[Any] = field(default_factory=list)


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def app(slack: SlackServer, heard: Heard) -> AsyncApp:
    client = AsyncWebClient(token="xoxb-sandbox", base_url=slack.url, retry_handlers=[])
    bolt = AsyncApp(client=client, signing_secret=SECRET, process_before_response=True)

    @bolt.event("member_joined_channel")
    async def joined(event: Any, context: Any) -> None:
        heard.joined.append((event, context.bot_user_id))

    @bolt.event("app_mention")
    async def mentioned(event: Any, say: Any) -> None:
        heard.mentions.append(event)
        await say("hello")

    @bolt.command("/action-flows")
    async def command(ack: Any, body: Any, client: Any, respond: Any) -> None:
        await ack(f"you said {body['text']}")
        if body["text"] == "new":
            blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "Flows"}}]
            view = {"type": "modal", "callback_id": "new", "title": {"type": "plain_text", "text": "New"}}
            await client.views_open(trigger_id=body["trigger_id"], view=view | {"blocks": blocks})
            await respond("opened")

    @bolt.action("retry")
    async def pressed(ack: Any, body: Any) -> None:
        await ack()
        heard.pressed.append(body)

    @bolt.view("new")
    async def submitted(ack: Any, view: Any) -> None:
        await ack()
        heard.submitted.append(view)

    return bolt


@pytest.fixture
async def delivery(app: AsyncApp, slack: SlackServer) -> AsyncIterator[SlackDelivery]:
    runner = web.AppRunner(app.server(port=0, path="/slack/events").web_app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield SlackDelivery(SECRET, f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events", slack.state)
    await runner.cleanup()


@pytest.fixture
async def socket(app: AsyncApp, slack: SlackServer) -> AsyncIterator[AsyncSocketModeHandler]:
    handler = AsyncSocketModeHandler(app, "xapp-sandbox")
    handler.client.web_client = app.client
    await handler.connect_async()
    yield handler
    await handler.close_async()


async def test_an_invitation_reaches_the_app(slack: SlackServer, delivery: SlackDelivery, heard: Heard) -> None:
    answer = await delivery.event(slack.state.invite(RANDOM.id, inviter=ADA.id))
    assert answer.status == 200
    event, bot = heard.joined[0]
    assert (event["user"], event["inviter"], bot) == (BOT_USER_ID, ADA.id, BOT_USER_ID)


async def test_the_app_can_answer_a_mention(slack: SlackServer, delivery: SlackDelivery) -> None:
    await delivery.event(payloads.app_mention(slack.state, ADA.id, SUPPORT.id, "hi"))
    assert (await slack.state.next_message()).text == "hello"


async def test_a_command_is_acknowledged_and_opens_a_modal(
    slack: SlackServer, delivery: SlackDelivery, heard: Heard
) -> None:
    answer = await delivery.command("new", ADA.id, SUPPORT.id)
    assert (answer.status, answer.body) == (200, "you said new")
    assert slack.state.responses[0].body["text"] == "opened"
    (view,) = slack.state.views.values()
    submitted = await delivery.view_submission(view.id, ADA.id, {"b": {"a": {"type": "plain_text_input"}}})
    assert submitted.status == 200
    assert heard.submitted[0]["state"]["values"]["b"]["a"]["type"] == "plain_text_input"


async def test_a_button_press_reaches_the_app(slack: SlackServer, delivery: SlackDelivery, heard: Heard) -> None:
    said = slack.state.say(ADA.id, SUPPORT.id, "a message")
    answer = await delivery.block_action(
        "retry", ADA.id, value="run-1", channel_id=SUPPORT.id, message_ts=said.ts, block_id="b"
    )
    assert answer.status == 200
    assert heard.pressed[0]["actions"][0]["value"] == "run-1"
    assert heard.pressed[0]["message"]["text"] == "a message"


async def test_a_wrong_signature_or_an_old_one_is_refused(delivery: SlackDelivery, heard: Heard) -> None:
    assert (await delivery.post(b"{}", "application/json", signature="v0=00")).status == 401
    assert (await delivery.post(b"{}", "application/json", timestamp="1600000000")).status == 401


async def test_the_address_is_verified(delivery: SlackDelivery) -> None:
    assert (await delivery.url_verification("abc")).json == {"challenge": "abc"}


async def test_a_retry_carries_the_same_event_id_and_slacks_headers(slack: SlackServer) -> None:
    seen: list[Any] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(((await request.json())["event_id"], request.headers.get("X-Slack-Retry-Num")))
        return web.Response(status=500)

    receiver = web.Application()
    receiver.router.add_post("/", note)
    runner = web.AppRunner(receiver)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    delivery = SlackDelivery(SECRET, f"http://127.0.0.1:{runner.addresses[0][1]}/", slack.state)
    event = slack.state.invite(RANDOM.id, inviter=ADA.id)
    assert (await delivery.event(event)).status == 500
    await delivery.event(event, retry_num=1)
    await runner.cleanup()
    assert seen == [(event["event_id"], None), (event["event_id"], "1")]


async def test_socket_mode_brings_events_and_commands(
    slack: SlackServer, socket: AsyncSocketModeHandler, heard: Heard
) -> None:
    assert await slack.socket_event(slack.state.invite(RANDOM.id, inviter=ADA.id)) == {}
    assert heard.joined[0][0]["channel"] == RANDOM.id
    assert (await slack.socket_command("list", ADA.id, SUPPORT.id))["text"] == "you said list"
    await slack.socket_interaction(payloads.block_action(slack.state, "retry", ADA.id, channel_id=SUPPORT.id))
    assert heard.pressed[0]["actions"][0]["action_id"] == "retry"
    assert len(slack.sockets.acks) == 3


async def test_a_socket_ticket_is_good_once(slack: SlackServer) -> None:
    client = AsyncWebClient(base_url=slack.url, retry_handlers=[])
    url = (await client.apps_connections_open(app_token="xapp-sandbox"))["url"].replace("ws://", "http://")
    slack.sockets._tickets.clear()
    async with aiohttp.request("GET", url) as answered:
        assert answered.status == 403


async def test_a_response_url_wears_out(slack: SlackServer) -> None:
    url = slack.state.issue_response_url(ADA.id, SUPPORT.id)
    statuses = []
    for _ in range(6):
        async with aiohttp.request("POST", url, json={"text": "x"}) as answered:
            statuses.append(answered.status)
    assert statuses == [200] * 5 + [404]
