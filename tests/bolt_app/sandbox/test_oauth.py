"""An app is installed in the sandbox as in Slack: consent, a code, a token, and what ends it."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth import AuthorizeUrlGenerator
from slack_sdk.web.async_client import AsyncWebClient

from bolt_app.sandbox import SlackServer, payloads
from bolt_app.sandbox.people import ADA, BOT_ID, BOT_USER_ID, NOOR, SUPPORT, TEAM_ID, TEAM_NAME

BACK = "https://connector.example.com/slack/oauth_redirect"
SECRET = "sandbox-slack-secret"
OTHER = ("T0OTHER001", "Other & Sons")


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


def link(slack: SlackServer, **changes: str) -> str:
    asked = {
        "client_id": slack.state.client_id,
        "scope": "chat:write,im:write",
        "redirect_uri": BACK,
        "state": "s/1 &",
    }
    asked |= changes
    return f"{slack.authorize_url}?{urlencode({name: value for name, value in asked.items() if value})}"


async def look(address: str) -> tuple[int, str]:
    async with aiohttp.request("GET", address, allow_redirects=False) as page:
        assert page.content_type == "text/html"
        assert "Location" not in page.headers
        return page.status, await page.text()


async def press(address: str, button: str, **more: str) -> tuple[str, dict[str, str]]:
    """Where the browser is sent, and with what."""
    form = {"answer": button, **more}
    async with aiohttp.request("POST", address, data=form, allow_redirects=False) as sent:
        assert sent.status == 302
        to, _, query = sent.headers["Location"].partition("?")
        return to, dict(parse_qsl(query, keep_blank_values=True))


async def consent(slack: SlackServer, *, workspace: str = TEAM_ID, **changes: str) -> str:
    _, told = await press(link(slack, **changes), "allow", workspace=workspace)
    return told["code"]


def exchange(slack: SlackServer, code: str, **changes: Any) -> Any:
    how = {"client_id": slack.state.client_id, "client_secret": SECRET, "redirect_uri": BACK, **changes}
    return AsyncWebClient(base_url=slack.url, retry_handlers=[]).oauth_v2_access(code=code, **how)


async def install(slack: SlackServer, **how: str) -> AsyncWebClient:
    answer = await exchange(slack, await consent(slack, **how))
    return client(slack, answer["access_token"])


def client(slack: SlackServer, token: str) -> AsyncWebClient:
    return AsyncWebClient(token=token, base_url=slack.url, retry_handlers=[])


async def refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def test_the_page_names_the_app_the_scopes_and_the_workspace(slack: SlackServer) -> None:
    status, page = await look(link(slack))
    assert status == 200
    for shown in ("Zendesk Connector", "chat:write", "im:write", TEAM_NAME, 'id="allow"', 'id="cancel"'):
        assert shown in page
    assert 'id="workspace"' not in page
    assert "<script" not in page


async def test_the_page_lets_people_choose_among_several_workspaces(slack: SlackServer) -> None:
    slack.state.other_workspaces.append(OTHER)
    _, page = await look(link(slack, team=OTHER[0]))
    assert '<select id="workspace" name="workspace">' in page
    assert '<option value="T0OTHER001" selected>Other &amp; Sons</option>' in page
    assert f'<option value="{TEAM_ID}">' in page


async def test_slack_clients_own_install_link_leads_to_the_page(slack: SlackServer) -> None:
    made = AuthorizeUrlGenerator(
        client_id=slack.state.client_id,
        scopes=["chat:write"],
        redirect_uri=BACK,
        authorization_url=slack.authorize_url,
    )
    assert (await look(made.generate("s")))[0] == 200


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_id": "another"}, "invalid_client_id"),
        ({"client_id": ""}, "invalid_client_id"),
        ({"redirect_uri": "https://elsewhere.example.com/"}, "bad_redirect_uri"),
        ({"redirect_uri": BACK + "/below"}, "bad_redirect_uri"),
        ({"scope": "chat:write,admin"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"user_scope": "search:read"}, "invalid_scope"),
    ],
)
async def test_a_wrong_request_shows_an_error_and_sends_nobody_back(
    slack: SlackServer, changes: dict[str, str], code: str
) -> None:
    slack.state.redirect_urls = {BACK}
    status, page = await look(link(slack, **changes))
    assert status == 400
    assert code in page
    async with aiohttp.request("POST", link(slack, **changes), data={"answer": "allow"}) as answered:
        assert answered.status == 400
    assert slack.state.codes == {}


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("https://anywhere.example.com/x", 200),
        ("http://127.0.0.1:4000/slack/oauth_redirect", 200),
        ("http://localhost/", 200),
        ("http://anywhere.example.com/x", 400),
        ("http://127.0.0.1.example.com/", 400),
        ("https://anywhere.example.com/#part", 400),
        ("/slack/oauth_redirect", 400),
        ("javascript:alert(1)", 400),
        ("https://[half/", 400),
    ],
)
async def test_people_are_sent_back_over_https_except_to_this_machine(
    slack: SlackServer, address: str, status: int
) -> None:
    assert (await look(link(slack, redirect_uri=address)))[0] == status


async def test_allow_and_cancel_lead_back_with_the_state(slack: SlackServer) -> None:
    to, told = await press(link(slack), "allow")
    assert (to, set(told), told["state"]) == (BACK, {"code", "state"}, "s/1 &")
    to, told = await press(link(slack), "cancel")
    assert (to, told) == (BACK, {"error": "access_denied", "state": "s/1 &"})
    _, told = await press(link(slack, state=""), "cancel")
    assert told["state"] == ""


async def test_a_query_in_the_address_stays(slack: SlackServer) -> None:
    _, told = await press(link(slack, redirect_uri=BACK + "?a=1"), "allow")
    assert (told["a"], set(told)) == ("1", {"a", "code", "state"})


async def test_the_form_needs_a_workspace_of_the_list(slack: SlackServer) -> None:
    slack.state.other_workspaces.append(OTHER)
    for form in ({"answer": "allow"}, {"answer": "allow", "workspace": "T0NOWHERE1"}, {"workspace": TEAM_ID}):
        async with aiohttp.request("POST", link(slack), data=form, allow_redirects=False) as answered:
            assert answered.status == 400


async def test_a_code_becomes_a_token_that_works(slack: SlackServer) -> None:
    answer = await exchange(slack, await consent(slack))
    token = answer["access_token"]
    assert token.startswith("xoxb-")
    assert answer.data == {
        "ok": True,
        "access_token": token,
        "token_type": "bot",
        "scope": "chat:write,im:write",
        "bot_user_id": BOT_USER_ID,
        "app_id": "A0SANDBOX1",
        "team": {"id": TEAM_ID, "name": TEAM_NAME},
        "enterprise": None,
        "authed_user": {"id": ADA.id},
        "is_enterprise_install": False,
    }
    await client(slack, token).chat_postMessage(channel=SUPPORT.id, text="hello")
    assert [message.text for message in slack.state.posted()] == ["hello"]


async def test_the_id_and_the_secret_may_come_as_fields(slack: SlackServer) -> None:
    form = {"code": await consent(slack), "redirect_uri": BACK, "client_id": slack.state.client_id}
    async with aiohttp.request("POST", f"{slack.url}oauth.v2.access", data=form | {"client_secret": SECRET}) as given:
        assert (await given.json())["ok"] is True
    (call,) = slack.state.calls_to("oauth.v2.access")
    assert SECRET not in repr(call)


async def test_a_garbled_basic_header_is_no_client(slack: SlackServer) -> None:
    form = {"code": await consent(slack), "client_id": slack.state.client_id, "client_secret": SECRET}
    headers = {"Authorization": "Basic %%%"}
    async with aiohttp.request("POST", f"{slack.url}oauth.v2.access", data=form, headers=headers) as given:
        assert (await given.json())["error"] == "invalid_client_id"


async def test_a_token_may_do_what_it_was_granted_and_no_more(slack: SlackServer) -> None:
    slack.state.declined_scopes = {"channels:join", "im:write"}
    installed = await install(slack, scope="chat:write,im:write,channels:join")
    tested = await installed.auth_test()
    assert tested.headers["x-oauth-scopes"] == "chat:write"
    with pytest.raises(SlackApiError) as caught:
        await installed.conversations_open(users=NOOR.id)
    assert caught.value.response["error"] == "missing_scope"
    assert caught.value.response["provided"] == "chat:write"
    assert (await client(slack, slack.state.bot_token).conversations_open(users=NOOR.id))["ok"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_id": "another"}, "invalid_client_id"),
        ({"client_secret": "another"}, "bad_client_secret"),
        ({"grant_type": "password"}, "invalid_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "xoxe-1"}, "invalid_refresh_token"),
        ({"redirect_uri": BACK + "/"}, "bad_redirect_uri"),
        ({"redirect_uri": None}, "bad_redirect_uri"),
        ({"code_verifier": "x"}, "pkce_not_allowed"),
    ],
)
async def test_a_wrong_exchange_is_refused(slack: SlackServer, changes: dict[str, Any], code: str) -> None:
    assert await refused(exchange(slack, await consent(slack), **changes)) == code
    assert slack.state.tokens == {}


async def test_a_code_is_good_once(slack: SlackServer) -> None:
    code = await consent(slack)
    await exchange(slack, code)
    assert await refused(exchange(slack, code)) == "code_already_used"
    assert await refused(exchange(slack, "1.2.3")) == "invalid_code"


async def test_a_code_is_good_for_ten_minutes(slack: SlackServer) -> None:
    now = 1_732_305_600.0
    slack.state.clock = lambda: now
    in_time, late = await consent(slack), await consent(slack)
    now += 600
    await exchange(slack, in_time)
    now += 1
    assert await refused(exchange(slack, late)) == "invalid_code"


async def test_the_only_registered_address_need_not_be_sent(slack: SlackServer) -> None:
    assert "bad_redirect_uri" in (await look(link(slack, redirect_uri="")))[1]
    slack.state.redirect_urls = {BACK}
    to, told = await press(link(slack, redirect_uri=""), "allow")
    assert to == BACK
    assert (await exchange(slack, told["code"], redirect_uri=None))["ok"]


async def test_without_an_installation_the_static_token_can_be_unknown(slack: SlackServer) -> None:
    slack.state.requires_install = True
    assert await refused(client(slack, slack.state.bot_token).auth_test()) == "invalid_auth"
    assert (await (await install(slack)).auth_test())["bot_id"] == BOT_ID


async def test_installing_again_keeps_the_token_and_adds_scopes(slack: SlackServer) -> None:
    first = await install(slack, scope="chat:write")
    again = await exchange(slack, await consent(slack, scope="im:write"))
    assert again["access_token"] == first.token
    assert again["scope"] == "chat:write,im:write"


async def test_a_token_of_another_workspace_sees_that_one(slack: SlackServer) -> None:
    slack.state.other_workspaces.append(OTHER)
    here, there = await install(slack), await install(slack, workspace=OTHER[0], scope="chat:write,users:read")
    tested = await there.auth_test()
    assert (tested["team_id"], tested["team"]) == OTHER
    assert tested["url"] == "https://other-sons.slack.com/"
    assert tested["user_id"] != BOT_USER_ID
    assert (await here.auth_test())["team_id"] == TEAM_ID
    assert await refused(there.chat_postMessage(channel=SUPPORT.id, text="x")) == "channel_not_found"
    assert (await there.users_list())["members"] == []


async def test_a_revoked_token_ends_and_slack_would_tell_the_app(slack: SlackServer) -> None:
    slack.state.requires_install = True
    installed = await install(slack)
    assert (await installed.auth_revoke(test=True))["revoked"] is False
    await installed.auth_test()
    assert (await installed.auth_revoke())["revoked"] is True
    assert await refused(installed.auth_test()) == "token_revoked"
    removed, revoked = slack.state.unsent_events
    assert removed["event"]["type"] == "app_uninstalled"
    assert revoked["event"]["tokens"] == {"oauth": [], "bot": [BOT_USER_ID]}


async def test_with_a_token_left_the_app_stays(slack: SlackServer) -> None:
    await (await install(slack)).auth_revoke()
    assert [event["event"]["type"] for event in slack.state.unsent_events] == ["tokens_revoked"]
    await client(slack, slack.state.bot_token).auth_test()


async def test_an_uninstalled_app_has_no_tokens_in_that_workspace(slack: SlackServer) -> None:
    slack.state.other_workspaces.append(OTHER)
    here, there = await install(slack), await install(slack, workspace=OTHER[0])
    static = client(slack, slack.state.bot_token)
    app = {"client_id": slack.state.client_id, "client_secret": SECRET}
    assert await refused(here.apps_uninstall(**app | {"client_secret": "another"})) == "bad_client_secret"
    assert (await here.apps_uninstall(**app)).data == {"ok": True}
    assert await refused(here.auth_test()) == "account_inactive"
    assert await refused(static.auth_test()) == "account_inactive"
    assert (await there.auth_test())["ok"]
    await there.apps_uninstall(**app)
    for event in slack.state.unsent_events[2:]:
        assert event["team_id"] == event["authorizations"][0]["team_id"] == OTHER[0]
        assert event["authorizations"][0]["user_id"] == "UB0OTHER001"


async def test_after_a_new_installation_the_old_token_is_unknown_and_the_bot_has_to_be_invited(
    slack: SlackServer,
) -> None:
    old = await install(slack)
    await old.apps_uninstall(client_id=slack.state.client_id, client_secret=SECRET)
    new = await install(slack)
    assert new.token != old.token
    assert await refused(old.auth_test()) == "invalid_auth"
    assert await refused(new.chat_postMessage(channel=SUPPORT.id, text="x")) == "not_in_channel"
    slack.state.invite(SUPPORT.id, ADA.id)
    await new.chat_postMessage(channel=SUPPORT.id, text="x")


def test_the_events_about_tokens_are_of_the_sandboxs_workspace_by_default(slack: SlackServer) -> None:
    for event in (payloads.app_uninstalled(slack.state), payloads.tokens_revoked(slack.state)):
        assert (event["type"], event["team_id"]) == ("event_callback", TEAM_ID)


async def test_the_request_is_shown_as_text(slack: SlackServer) -> None:
    slack.state.app_scopes.add("<b>")
    slack.state.other_workspaces.append(("T0OTHER001", "<i>"))
    _, page = await look(link(slack, scope="<b>"))
    assert "<b>" not in page
    assert "<i>" not in page
    assert parse_qs(urlsplit(link(slack)).query)["state"] == ["s/1 &"]
