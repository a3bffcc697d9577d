"""The sandbox takes, refuses and shows messages as Slack does."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import ADA, BOT_USER_ID, ESCALATIONS, GONE, NOOR, OLD_NEWS, RANDOM, SUPPORT


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


async def test_a_post_to_a_person_opens_the_direct_messages(slack: SlackServer, client: AsyncWebClient) -> None:
    answer = await client.chat_postMessage(channel=NOOR.id, text="Hi Noor &amp; all")
    assert answer["channel"].startswith("D")
    assert answer["message"]["bot_id"].startswith("B")
    assert answer["message"]["user"] == BOT_USER_ID
    assert [message.text for message in slack.state.messages_to(NOOR.id)] == ["Hi Noor &amp; all"]
    opened = await client.conversations_open(users=NOOR.id)
    assert opened["channel"] == {"id": answer["channel"]}
    assert opened["already_open"] is True


@pytest.mark.parametrize("name", ["#support", "support", SUPPORT.id])
async def test_a_channel_is_named_or_given_by_id(slack: SlackServer, client: AsyncWebClient, name: str) -> None:
    assert (await client.chat_postMessage(channel=name, text="x"))["channel"] == SUPPORT.id


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        (RANDOM.id, "not_in_channel"),
        ("#random", "not_in_channel"),
        (ESCALATIONS.id, "channel_not_found"),
        ("#escalations", "channel_not_found"),
        ("#nowhere", "channel_not_found"),
        ("C0NOWHERE1", "channel_not_found"),
        ("U0NOBODY01", "channel_not_found"),
        (GONE.id, "channel_not_found"),
        (OLD_NEWS.id, "is_archived"),
    ],
)
async def test_a_place_the_bot_cannot_write_to_is_refused(client: AsyncWebClient, channel: str, code: str) -> None:
    assert await refusal(client.chat_postMessage(channel=channel, text="x")) == code


async def test_a_message_needs_some_content(client: AsyncWebClient) -> None:
    assert await refusal(client.api_call("chat.postMessage", json={"channel": SUPPORT.id, "text": " "})) == "no_text"


async def test_a_long_text_is_cut_with_a_warning(slack: SlackServer, client: AsyncWebClient) -> None:
    answer = await client.chat_postMessage(channel=SUPPORT.id, text="x" * 40_001)
    assert answer["response_metadata"]["warnings"] == ["message_truncated"]
    assert len(slack.state.posted()[0].text) == 40_000


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


@pytest.mark.parametrize(
    ("blocks", "code"),
    [
        ([section("x")] * 51, "invalid_blocks"),
        ([section("x" * 3001)], "invalid_blocks"),
        ([section("")], "invalid_blocks"),
        ([{"type": "poem"}], "invalid_blocks"),
        ([section("x" * 2900)] * 5, "msg_blocks_too_long"),
        ("{not json", "invalid_blocks_format"),
        ('{"type": "section"}', "invalid_blocks_format"),
    ],
)
async def test_blocks_beyond_slacks_limits_are_refused(client: AsyncWebClient, blocks: Any, code: str) -> None:
    assert await refusal(client.chat_postMessage(channel=SUPPORT.id, text="x", blocks=blocks)) == code


async def test_blocks_may_come_as_a_list_or_as_json(slack: SlackServer, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel=SUPPORT.id, text="x", blocks=[section("a")])
    await client.chat_postMessage(channel=SUPPORT.id, text="x", blocks=json.dumps([section("a")]))
    first, second = slack.state.posted()
    assert first.blocks == second.blocks


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"event_type": "note"}, "invalid_metadata_format"),
        ({"event_type": "note", "event_payload": "x"}, "invalid_metadata_format"),
        ("not json", "invalid_metadata_format"),
        ({"event_type": "note", "event_payload": {"key": "x" * 9000}}, "metadata_too_large"),
    ],
)
async def test_bad_metadata_is_refused(client: AsyncWebClient, metadata: Any, code: str) -> None:
    assert await refusal(client.chat_postMessage(channel=SUPPORT.id, text="x", metadata=metadata)) == code


async def test_a_reply_lands_in_the_thread_and_a_replys_ts_misplaces_it(
    slack: SlackServer, client: AsyncWebClient
) -> None:
    parent = await client.chat_postMessage(channel=SUPPORT.id, text="parent")
    reply = await client.chat_postMessage(channel=SUPPORT.id, text="reply", thread_ts=parent["ts"])
    assert reply["message"]["thread_ts"] == parent["ts"]
    stray = await client.chat_postMessage(channel=SUPPORT.id, text="stray", thread_ts=reply["ts"])
    assert "thread_ts" not in stray["message"]
    assert [message.text for message in slack.state.thread(SUPPORT.id, parent["ts"])] == ["parent", "reply"]


async def test_a_reply_to_nothing_is_refused(client: AsyncWebClient) -> None:
    answer = client.chat_postMessage(channel=SUPPORT.id, text="x", thread_ts="1600000000.000100")
    assert await refusal(answer) == "cannot_reply_to_message"


async def test_a_ts_sent_as_a_number_has_lost_its_zeros(slack: SlackServer, client: AsyncWebClient) -> None:
    parent = await client.chat_postMessage(channel=SUPPORT.id, text="parent")
    answer = client.api_call(
        "chat.postMessage", json={"channel": SUPPORT.id, "text": "x", "thread_ts": float(parent["ts"])}
    )
    assert await refusal(answer) == "cannot_reply_to_message"


async def test_every_ts_is_later_than_the_one_before(slack: SlackServer, client: AsyncWebClient) -> None:
    stamps = [(await client.chat_postMessage(channel=SUPPORT.id, text="x"))["ts"] for _ in range(30)]
    assert stamps == sorted(set(stamps))


async def test_only_a_message_of_its_own_can_be_changed(slack: SlackServer, client: AsyncWebClient) -> None:
    mine = await client.chat_postMessage(channel=SUPPORT.id, text="before", blocks=[section("kept")])
    answer = await client.chat_update(channel=SUPPORT.id, ts=mine["ts"], text="after")
    assert answer["text"] == "after"
    assert answer["message"]["blocks"][0]["text"]["text"] == "kept"
    theirs = slack.state.say(ADA.id, SUPPORT.id, "hello")
    assert await refusal(client.chat_update(channel=SUPPORT.id, ts=theirs.ts, text="x")) == "cant_update_message"
    assert await refusal(client.chat_update(channel=SUPPORT.id, ts="1.000001", text="x")) == "message_not_found"
    assert await refusal(client.chat_update(channel=SUPPORT.id, ts=mine["ts"], text="x" * 4001)) == "msg_too_long"


async def test_a_message_for_one_person_is_not_in_the_history(slack: SlackServer, client: AsyncWebClient) -> None:
    await client.chat_postEphemeral(channel=SUPPORT.id, user=NOOR.id, text="only you")
    assert slack.state.ephemerals[0].user == NOOR.id
    assert (await client.conversations_history(channel=SUPPORT.id))["messages"] == []
    outsider = slack.state.add_person("zoe", "zoe@example.com")
    answer = client.chat_postEphemeral(channel=SUPPORT.id, user=outsider.id, text="x")
    assert await refusal(answer) == "user_not_in_channel"


async def test_a_reaction_is_added_once(slack: SlackServer, client: AsyncWebClient) -> None:
    said = slack.state.say(ADA.id, SUPPORT.id, "look")
    await client.reactions_add(channel=SUPPORT.id, name="eyes", timestamp=said.ts)
    assert said.reactions == {"eyes": [BOT_USER_ID]}
    again = client.reactions_add(channel=SUPPORT.id, name="eyes", timestamp=said.ts)
    assert await refusal(again) == "already_reacted"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "no_such_emoji"}, "invalid_name"),
        ({"timestamp": "yesterday"}, "bad_timestamp"),
        ({"timestamp": "1.000001"}, "message_not_found"),
        ({"channel": RANDOM.id}, "channel_not_found"),
    ],
)
async def test_a_reaction_that_cannot_be_is_refused(
    slack: SlackServer, client: AsyncWebClient, change: dict[str, str], code: str
) -> None:
    said = slack.state.say(ADA.id, SUPPORT.id, "look")
    sent = {"channel": SUPPORT.id, "name": "eyes", "timestamp": said.ts} | change
    assert await refusal(client.reactions_add(**sent)) == code


async def test_custom_emoji_can_be_added(slack: SlackServer, client: AsyncWebClient) -> None:
    slack.state.custom_emoji.add("party-parrot")
    said = slack.state.say(ADA.id, SUPPORT.id, "look")
    await client.reactions_add(channel=SUPPORT.id, name="party-parrot", timestamp=said.ts)


async def test_the_permalink_is_slacks(slack: SlackServer, client: AsyncWebClient) -> None:
    posted = await client.chat_postMessage(channel=SUPPORT.id, text="x")
    answer = await client.chat_getPermalink(channel=SUPPORT.id, message_ts=posted["ts"])
    digits = posted["ts"].replace(".", "")
    assert answer["permalink"] == f"https://sandbox-support.slack.com/archives/{SUPPORT.id}/p{digits}"
