"""The sandbox knows people and channels, and shows of them what Slack shows."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import ADA, BOT_USER_ID, ESCALATIONS, GONE, GUEST, NOOR, OLD_NEWS, RANDOM, SUPPORT


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture
def client(slack: SlackServer) -> AsyncWebClient:
    return AsyncWebClient(token="xoxb-sandbox", base_url=slack.url, retry_handlers=[])


async def refusal(answer: Any) -> Any:
    with pytest.raises(SlackApiError) as caught:
        await answer
    return caught.value.response.data


async def test_the_bot_learns_who_it_is_and_what_it_may(client: AsyncWebClient) -> None:
    answer = await client.auth_test()
    assert answer["user_id"] == BOT_USER_ID
    assert "im:history" in answer.headers["x-oauth-scopes"].split(",")


@pytest.mark.parametrize("token", ["", "xoxb-other"])
async def test_a_token_that_is_none_is_refused(slack: SlackServer, token: str) -> None:
    client = AsyncWebClient(token=token, base_url=slack.url, retry_handlers=[])
    assert (await refusal(client.auth_test()))["error"] == ("invalid_auth" if token else "not_authed")


@pytest.mark.parametrize("code", ["account_inactive", "token_revoked"])
async def test_a_broken_connection_is_refused_until_it_is_mended(
    slack: SlackServer, client: AsyncWebClient, code: str
) -> None:
    slack.state.token_error = code
    assert (await refusal(client.users_info(user=ADA.id)))["error"] == code
    slack.state.token_error = None
    await client.users_info(user=ADA.id)


async def test_a_missing_scope_is_named(slack: SlackServer, client: AsyncWebClient) -> None:
    slack.state.bot_scopes.discard("users:read.email")
    answer = await refusal(client.users_lookupByEmail(email=NOOR.email or ""))
    assert answer["error"] == "missing_scope"
    assert answer["needed"] == "users:read.email"
    assert "users:read" in answer["provided"].split(",")
    assert "email" not in (await client.users_info(user=NOOR.id))["user"]["profile"]


async def test_reading_needs_the_scope_of_that_kind_of_channel(slack: SlackServer, client: AsyncWebClient) -> None:
    slack.state.bot_scopes.discard("im:history")
    direct = slack.state.open_direct(NOOR.id)
    answer = await refusal(client.conversations_history(channel=direct.id))
    assert (answer["error"], answer["needed"]) == ("missing_scope", "im:history")
    await client.conversations_history(channel=SUPPORT.id)


async def test_the_scopes_of_the_manifest_do_not_allow_everything(slack: SlackServer, client: AsyncWebClient) -> None:
    direct = slack.state.open_direct(NOOR.id)
    assert (await refusal(client.conversations_join(channel=RANDOM.id)))["needed"] == "channels:join"
    assert (await refusal(client.reactions_get(channel=SUPPORT.id, timestamp="1.000001")))["needed"] == "reactions:read"
    assert (await refusal(client.conversations_info(channel=direct.id)))["needed"] == "im:read"


async def test_an_app_token_is_for_socket_mode_only(slack: SlackServer) -> None:
    client = AsyncWebClient(token="xapp-sandbox", base_url=slack.url, retry_handlers=[])
    assert (await refusal(client.users_list()))["error"] == "not_allowed_token_type"
    assert (await client.apps_connections_open(app_token="xapp-sandbox"))["url"].startswith("ws://127.0.0.1:")
    assert (await refusal(client.apps_connections_open(app_token="xoxb-sandbox")))["error"] == "not_allowed_token_type"


async def test_people_are_found_by_address_in_any_case(client: AsyncWebClient) -> None:
    answer = await client.users_lookupByEmail(email="NOOR@Example.com")
    assert answer["user"]["id"] == NOOR.id
    assert (await client.users_lookupByEmail(email=GUEST.email or ""))["user"]["is_restricted"] is True


async def test_someone_deactivated_is_not_found_by_address(client: AsyncWebClient) -> None:
    assert (await refusal(client.users_lookupByEmail(email=GONE.email or "")))["error"] == "users_not_found"
    assert (await client.users_info(user=GONE.id))["user"]["deleted"] is True
    assert (await refusal(client.conversations_open(users=GONE.id)))["error"] == "user_disabled"
    assert (await refusal(client.users_info(user="U0NOBODY01")))["error"] == "user_not_found"


async def test_people_are_listed_in_pages(slack: SlackServer, client: AsyncWebClient) -> None:
    seen: list[str] = []
    async for answer in await client.users_list(limit=3):
        seen += [person["id"] for person in answer["members"]]
    assert seen == list(slack.state.people)
    assert len((await client.users_list())["members"]) == len(seen)


async def test_channels_are_listed_by_kind(slack: SlackServer, client: AsyncWebClient) -> None:
    public = await client.conversations_list(exclude_archived=True)
    assert [(channel["name"], channel["is_member"]) for channel in public["channels"]] == [
        ("support", True),
        ("random", False),
    ]
    assert (await client.conversations_list(types="private_channel"))["channels"] == []
    slack.state.invite(ESCALATIONS.id, inviter=ADA.id)
    assert [c["id"] for c in (await client.conversations_list(types="private_channel"))["channels"]] == [ESCALATIONS.id]
    assert (await refusal(client.conversations_list(types="rooms")))["error"] == "invalid_types"
    assert (await refusal(client.conversations_list(types="public_channel,im")))["needed"] == "im:read"


async def test_the_bots_own_channels_are_listed_by_kind_and_in_pages(
    slack: SlackServer, client: AsyncWebClient
) -> None:
    kinds = "public_channel,private_channel"
    slack.state.invite(ESCALATIONS.id, inviter=ADA.id)
    answer = await client.users_conversations(types=kinds)
    assert [channel["name"] for channel in answer["channels"]] == ["support", "escalations", "old-news"]
    assert not {"is_member", "num_members", "updated"} & set(answer["channels"][0])
    assert [channel["id"] for channel in (await client.users_conversations())["channels"]] == [SUPPORT.id, OLD_NEWS.id]
    seen: list[str] = []
    async for page in await client.users_conversations(types=kinds, limit=1, exclude_archived=True):
        seen += [channel["name"] for channel in page["channels"]]
    assert seen == ["support", "escalations"]
    assert (await refusal(client.users_conversations(types="rooms")))["error"] == "invalid_types"
    assert (await refusal(client.users_conversations(limit=1000)))["error"] == "invalid_limit"
    assert (await refusal(client.users_conversations(cursor="x")))["error"] == "invalid_cursor"
    assert (await refusal(client.users_conversations(types="im")))["needed"] == "im:read"


async def test_of_somebody_elses_channels_the_bot_sees_the_public_ones_and_its_own(
    slack: SlackServer, client: AsyncWebClient
) -> None:
    kinds = "public_channel,private_channel"
    of_noor = await client.users_conversations(user=NOOR.id, types=kinds)
    assert [channel["id"] for channel in of_noor["channels"]] == [SUPPORT.id, RANDOM.id]
    slack.state.invite(ESCALATIONS.id, inviter=ADA.id)
    of_noor = await client.users_conversations(user=NOOR.id, types=kinds)
    assert [channel["id"] for channel in of_noor["channels"]] == [SUPPORT.id, RANDOM.id, ESCALATIONS.id]


async def test_a_private_channel_exists_once_the_bot_is_invited(slack: SlackServer, client: AsyncWebClient) -> None:
    assert (await refusal(client.conversations_info(channel=ESCALATIONS.id)))["error"] == "channel_not_found"
    payload = slack.state.invite(ESCALATIONS.id, inviter=ADA.id)
    assert payload["event"]["type"] == "member_joined_channel"
    assert payload["event"]["inviter"] == ADA.id
    info = await client.conversations_info(channel=ESCALATIONS.id)
    assert info["channel"]["is_private"] is True
    assert info["channel"]["is_member"] is True
    assert BOT_USER_ID in (await client.conversations_members(channel=ESCALATIONS.id))["members"]


async def test_joining_works_for_public_channels_with_the_scope(slack: SlackServer, client: AsyncWebClient) -> None:
    slack.state.bot_scopes.add("channels:join")
    assert (await client.conversations_join(channel=RANDOM.id))["channel"]["is_member"] is True
    again = await client.conversations_join(channel=RANDOM.id)
    assert again["warning"] == "already_in_channel"
    assert (await refusal(client.conversations_join(channel=ESCALATIONS.id)))["error"] == "channel_not_found"
    assert (await refusal(client.conversations_join(channel=OLD_NEWS.id)))["error"] == "is_archived"


async def test_a_missing_argument_is_named(client: AsyncWebClient) -> None:
    answer = await refusal(client.api_call("users.info", http_verb="GET"))
    assert answer["error"] == "invalid_arguments"
    assert answer["response_metadata"]["messages"] == ["[ERROR] missing required field: user"]


async def test_a_method_that_takes_no_json_does_not_read_it(client: AsyncWebClient) -> None:
    answer = await refusal(client.api_call("users.info", json={"user": ADA.id}))
    assert answer["error"] == "invalid_arguments"


async def test_an_unknown_method_is_unknown(client: AsyncWebClient) -> None:
    assert (await refusal(client.api_call("chat.shout")))["error"] == "unknown_method"
