"""Connecting over the real routes, against both sandboxes: what goes on, what does not, and what people see."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest
from aiohttp import web
from browser import browser
from pydantic import SecretStr

from bolt_app.connecting.visits import LIFETIME, fingerprint, new_secret
from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.records import Fault
from zendesk_bridge.flows import requests
from zendesk_bridge.flows.errors import ConnectorError
from zendesk_bridge.sandbox import ZendeskServer
from zendesk_bridge.sandbox.state import Fault as ZendeskFault

from .conftest import ALWAYS, Host, NewVisitor, Visitor, are_safe

StartHost = Callable[..., Awaitable[Host]]

HTML = "<img src=x onerror=alert(1)>"
SERVICES = ("slack", "zendesk")


def asked_by(link: str) -> str:
    """How the link is asked about."""
    return fingerprint(query(link)["link"])


STARTS = {"slack": "/slack/install", "zendesk": "/zendesk/connect"}
BACKS = {"slack": "/slack/oauth_redirect", "zendesk": "/zendesk/oauth_redirect"}


def query(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


# Links


@pytest.mark.parametrize("service", SERVICES)
async def test_without_a_link_there_is_nothing(host: Host, visitor: Visitor, service: str) -> None:
    for wanted in (
        "",
        "?link=",
        "?link=nonsense",
        "?link=%ED%A0%80",
        "?link=%00",
        f"?link={'x' * 4000}",
        "?link=a&link=b",
    ):
        answer = await visitor.open(f"{host.connector.url}{STARTS[service]}{wanted}")
        assert answer.status == 404
        assert "This link opens nothing" in answer.text
        assert f"zendesk-connector connections connect {service}" in answer.text
        are_safe(answer)
    for sent in ({}, {"link": ""}, {"link": "nonsense"}):
        answer = await visitor.ask("POST", f"{host.connector.url}{STARTS[service]}", data=sent)
        assert answer.status == 404
        are_safe(answer)


@pytest.mark.parametrize("service", SERVICES)
async def test_an_expired_link_says_so(
    host: Host, visitor: Visitor, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await host.link(service)
    visits = host.connector.sides.bridge.linkers[service]._site.visits
    now = visits._clock()
    visits._clock = lambda: now + 16 * 60
    assert LIFETIME == 15 * 60
    for answer in (await visitor.open(link), await visitor.go_on(link)):
        assert answer.status == 404
        assert "This link has expired" in answer.text
        assert f"connections connect {service}" in answer.text
        are_safe(answer)


async def test_a_used_link_says_so(host: Host, visitor: Visitor, new_visitor: NewVisitor) -> None:
    link = await host.link("slack")
    await visitor.connect(link)
    other = new_visitor()
    for answer in (await other.open(link), await other.go_on(link)):
        assert answer.status == 404
        assert "This link was used already" in answer.text
        assert "Sandbox Support" not in answer.text
        are_safe(answer)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_link_scanner_does_not_use_a_link_up(
    host: Host, visitor: Visitor, new_visitor: NewVisitor, service: str
) -> None:
    link = await host.link(service)
    scanner = new_visitor()
    for _ in range(3):
        assert (await scanner.open(link)).status == 200
        assert (await scanner.ask("HEAD", link)).status in (200, 405)
        await scanner.ask("OPTIONS", link)
    assert (await visitor.go_on(link)).status == 200


async def test_a_link_of_one_service_does_not_open_the_other(host: Host, visitor: Visitor) -> None:
    slack_link, zendesk_link = await host.link("slack"), await host.link("zendesk")
    for link, start in ((slack_link, "/zendesk/connect"), (zendesk_link, "/slack/install")):
        crossed = f"{host.connector.url}{start}?{urlsplit(link).query}"
        assert (await visitor.open(crossed)).status == 404
        assert (await visitor.go_on(crossed)).status == 404
    assert (await visitor.open(slack_link)).status == 200
    assert (await visitor.open(zendesk_link)).status == 200


async def test_of_two_browsers_with_one_link_only_the_first_goes_on(host: Host, new_visitor: NewVisitor) -> None:
    link = await host.link("slack")
    visitors = [new_visitor() for _ in range(8)]
    for each in visitors:
        assert (await each.open(link)).status == 200
    answers = await asyncio.gather(*(each.go_on(link) for each in visitors))
    assert sorted(each.status for each in answers) == [200, *[404] * 7]
    assert all("used already" in each.text for each in answers if each.status == 404)


async def test_a_link_that_a_newer_one_ended_says_that(host: Host, visitor: Visitor) -> None:
    link = await host.link("slack")
    await host.link("slack")
    answer = await visitor.open(link)
    assert answer.status == 404
    assert "newer" in answer.text


async def test_a_flood_of_unknown_links_does_not_forget_a_good_one(host: Host, visitor: Visitor) -> None:
    link = await host.link("slack")
    for _ in range(20):
        await asyncio.gather(*(visitor.open(f"{host.connector.url}/slack/install?link={n}") for n in range(20)))
    assert "Slack is connected" in (await visitor.connect(link)).text


# The way back


@pytest.mark.parametrize("service", SERVICES)
async def test_an_answer_with_a_wrong_state_or_none_stores_nothing(
    host: Host, visitor: Visitor, slack: SlackServer, service: str
) -> None:
    gone = await visitor.go_on(await host.link(service))
    callback = urlsplit(await visitor.decide(gone.location))
    code = query(callback.geturl())["code"]
    for wrong in ({"code": code}, {"code": code, "state": ""}, {"code": code, "state": "x" * 43}, {"state": "\u202e"}):
        answer = await visitor.open(f"{host.connector.url}{BACKS[service]}?{urlencode(wrong)}")
        assert answer.status == 404
        assert "Nothing was connected" in answer.text
        assert code not in answer.html
        are_safe(answer)
    assert await host.kept(service) is None
    assert slack.state.calls_to("oauth.v2.access") == []


@pytest.mark.parametrize("service", SERVICES)
async def test_an_answer_in_another_browser_stores_nothing(
    host: Host, visitor: Visitor, new_visitor: NewVisitor, service: str
) -> None:
    link = await host.link(service)
    callback = await visitor.decide((await visitor.go_on(link)).location)
    stranger = new_visitor()
    answer = await stranger.open(callback)
    assert answer.status == 404
    assert "begun in another browser" in answer.text
    are_safe(answer)
    assert await host.kept(service) is None
    # Who began it can still finish it.
    assert "is connected" in (await visitor.come_back(callback)).text


async def test_the_state_of_one_service_is_none_of_the_other(host: Host, visitor: Visitor) -> None:
    callback = await visitor.decide((await visitor.go_on(await host.link("slack"))).location)
    crossed = f"{host.connector.url}/zendesk/oauth_redirect?{urlsplit(callback).query}"
    assert (await visitor.open(crossed)).status == 404
    assert await host.kept("zendesk") is None


async def test_a_callback_that_is_loaded_again_shows_the_same_and_exchanges_nothing(
    host: Host, visitor: Visitor, new_visitor: NewVisitor, slack: SlackServer
) -> None:
    link = await host.link("slack")
    callback = await visitor.decide((await visitor.go_on(link)).location)
    first = await visitor.come_back(callback)
    for _ in range(3):
        assert (await visitor.come_back(callback)).html == first.html
    assert (await visitor.open(link)).html == first.html
    assert len(slack.state.calls_to("oauth.v2.access")) == 1
    assert (await new_visitor().open(callback)).status == 404


async def test_two_callbacks_at_once_exchange_the_code_once_and_show_the_same(
    host: Host, visitor: Visitor, slack: SlackServer
) -> None:
    slack.state.faults.append(Fault(method="oauth.v2.access", kind="slow", delay=0.3))
    callback = await visitor.decide((await visitor.go_on(await host.link("slack"))).location)
    pages = await asyncio.gather(*(visitor.come_back(callback) for _ in range(3)))
    assert len(slack.state.calls_to("oauth.v2.access")) == 1
    # The browser shows the page of the callback that came last: it must not say that nothing is there.
    assert [page.text for page in pages if "This link opens nothing" in page.text] == []


async def test_a_visit_that_is_under_way_is_not_called_unknown(host: Host, visitor: Visitor) -> None:
    await visitor.go_on(await host.link("slack"))
    answer = await visitor.open(f"{host.connector.url}/slack/install")  # the consent page is open in another tab
    assert "is not one of this connector's links" not in answer.text


async def test_a_browser_that_leaves_while_the_code_is_exchanged_leaves_no_half_connection(
    host: Host, visitor: Visitor, slack: SlackServer
) -> None:
    slack.state.faults.append(Fault(method="oauth.v2.access", kind="slow", delay=0.3))
    link = await host.link("slack")
    callback = await visitor.decide((await visitor.go_on(link)).location)
    with pytest.raises(TimeoutError):
        await visitor.ask("GET", callback, timeout=aiohttp.ClientTimeout(total=0.1))
    async with asyncio.timeout(30):
        while (await host.ask("outcome", "slack", link=asked_by(link)))["outcome"] is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    assert await host.kept("slack") is not None
    assert "Slack is connected" in (await visitor.come_back(callback)).text


@pytest.mark.parametrize("service", SERVICES)
async def test_a_refused_consent_connects_nothing(
    host: Host, visitor: Visitor, slack: SlackServer, service: str
) -> None:
    link = await host.link(service)
    page = await visitor.connect(link, {"slack": "cancel", "zendesk": "deny"}[service])
    assert f"{service.capitalize()} was not connected" in page.text
    assert "refused or cancelled" in page.text
    assert f"connections connect {service}" in page.text
    are_safe(page)
    assert await host.kept(service) is None
    with pytest.raises(ConnectorError, match="refused or cancelled"):
        await host.ask("outcome", service, link=asked_by(link))


@pytest.mark.parametrize("service", SERVICES)
async def test_hostile_words_in_an_error_are_nowhere_shown(
    host: Host, visitor: Visitor, service: str, all_logs: pytest.LogCaptureFixture
) -> None:
    hostile = f"{HTML}\r\nSet-Cookie: a=b\x1b[2J\x00\u202e"
    gone = await visitor.go_on(await host.link(service))
    given = {"error": hostile, "error_description": hostile, "state": query(gone.location)["state"]}
    first = await visitor.open(f"{host.connector.url}{BACKS[service]}?{urlencode(given)}")
    page = await visitor.open(first.location)
    for answer in (first, page):
        assert HTML not in answer.html
        assert "\x1b" not in answer.html
        assert "\x00" not in answer.html
        assert "a=b" not in str(answer.set_cookie)
        are_safe(answer)
    assert "was not connected" in page.text or "sent no code" in page.text
    assert await host.kept(service) is None


async def test_what_slack_says_went_wrong_is_said(host: Host, visitor: Visitor) -> None:
    gone = await visitor.go_on(await host.link("slack"))
    given = {"error": "invalid_scope", "state": query(gone.location)["state"]}
    page = await visitor.come_back(f"{host.connector.url}/slack/oauth_redirect?{urlencode(given)}")
    assert "invalid_scope" in page.text


async def test_there_is_no_open_redirect(host: Host, visitor: Visitor, slack: SlackServer) -> None:
    evil = "https://evil.example/"
    link = await host.link("slack")
    extra = urlencode({"redirect_uri": evil, "next": evil, "url": evil, "return_to": evil})
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    page = await visitor.ask("GET", f"{link}&{extra}", headers=headers)
    assert "evil.example" not in page.html
    address = urlsplit(link)
    sent = {"link": query(link)["link"], "redirect_uri": evil, "next": evil}
    gone = await visitor.ask(
        "POST", f"{address.scheme}://{address.netloc}{address.path}?{extra}", data=sent, headers=headers
    )
    assert gone.location.startswith(slack.authorize_url)
    assert query(gone.location)["redirect_uri"] == f"{host.connector.url}/slack/oauth_redirect"
    back = f"{await visitor.decide(gone.location)}&{extra}"
    answer = await visitor.ask("GET", back, headers=headers)
    assert answer.location == f"{host.connector.url}/slack/install"


# Names


async def test_names_of_others_stay_words(
    host: Host, visitor: Visitor, slack: SlackServer, zendesk: ZendeskServer
) -> None:
    slack.state.other_workspaces = [("T0OTHER", f"Evil{HTML}")]
    page = await visitor.connect(await host.link("slack"), workspace="T0OTHER")
    assert f"Evil{HTML}" in page.text
    assert "<img" not in page.html

    admin = next(user for user in zendesk.state.users.values() if user["role"] == "admin")
    admin["email"], admin["name"] = f"a{HTML}@b.example", HTML
    page = await visitor.connect(await host.link("zendesk"))
    assert "<img" not in page.html
    assert "Zendesk is connected" in page.text


# What goes wrong at the services

SLACK_FAULTS: dict[str, tuple[Fault, str]] = {
    "the exchange answers 500": (Fault(method="oauth.v2.access", kind="http", status=500), "500"),
    "the exchange is dropped": (Fault(method="oauth.v2.access", kind="drop"), "Slack"),
    "the exchange is broken off": (Fault(method="oauth.v2.access", kind="half_body"), "Slack"),
    "the exchange says invalid_code": (
        Fault(method="oauth.v2.access", kind="error", error="invalid_code"),
        "invalid_code",
    ),
    "the exchange says bad_client_secret": (
        Fault(method="oauth.v2.access", kind="error", error="bad_client_secret"),
        "bad_client_secret",
    ),
    "the exchange says ratelimited": (Fault(method="oauth.v2.access", kind="rate_limited"), "ratelimited"),
    "auth.test answers 500": (Fault(method="auth.test", kind="http", status=500), "auth.test"),
    "auth.test is dropped": (Fault(method="auth.test", kind="drop"), "auth.test"),
    "auth.test says invalid_auth": (Fault(method="auth.test", kind="error", error="invalid_auth"), "invalid_auth"),
}


@pytest.mark.parametrize("name", SLACK_FAULTS)
async def test_what_goes_wrong_at_slack_is_said_and_stores_nothing(
    host: Host, visitor: Visitor, slack: SlackServer, name: str
) -> None:
    fault, said = SLACK_FAULTS[name]
    callback = await visitor.decide((await visitor.go_on(await host.link("slack"))).location)
    await host.connector.sides.bridge.connections.check("slack")
    slack.state.faults = [Fault(**vars(fault))]
    page = await visitor.come_back(callback)
    assert page.status == 200
    assert "Slack was not connected" in page.text
    assert said in page.text
    are_safe(page)
    assert await host.kept("slack") is None
    assert host.slack_token is None
    if fault.kind != "half_body":  # then nobody but Slack knows the token
        assert slack.state.tokens == {}


@pytest.mark.parametrize("name", SLACK_FAULTS)
async def test_what_goes_wrong_at_slack_is_not_said_to_mend_itself(
    host: Host, visitor: Visitor, slack: SlackServer, name: str
) -> None:
    fault, _ = SLACK_FAULTS[name]
    callback = await visitor.decide((await visitor.go_on(await host.link("slack"))).location)
    await host.connector.sides.bridge.connections.check("slack")
    slack.state.faults = [Fault(**vars(fault))]
    page = await visitor.come_back(callback)
    assert "Nothing needs to be done" not in page.text
    assert "set SLACK_BOT_TOKEN" not in page.text
    assert "Look the code up" not in page.text


async def test_a_wrong_client_secret_names_the_setting(start_host: StartHost, visitor: Visitor) -> None:
    host = await start_host(slack_client_secret=SecretStr("not the secret at all"))
    page = await visitor.connect(await host.link("slack"))
    assert "bad_client_secret" in page.text
    assert "SLACK_CLIENT_SECRET" in page.text
    assert "not the secret at all" not in page.html


async def test_declined_scopes_are_shown(host: Host, visitor: Visitor, slack: SlackServer) -> None:
    slack.state.declined_scopes = {"users:read.email", "im:write"}
    link = await host.link("slack")
    page = await visitor.connect(link)
    assert "Slack is connected" in page.text
    assert "Missingim:writeusers:read.emailActions that need them will fail" in page.text
    assert (await host.ask("outcome", "slack", link=asked_by(link)))["outcome"]["missing"] == [
        "im:write",
        "users:read.email",
    ]


async def test_an_address_that_is_no_zendesk_is_said_before_anybody_leaves(
    start_host: StartHost, visitor: Visitor, slack: SlackServer
) -> None:
    host = await start_host(zendesk_api_url=slack.url.removesuffix("/api/"))
    gone = await visitor.go_on(await host.link("zendesk"))
    assert urlsplit(gone.location).netloc == urlsplit(host.connector.url).netloc
    page = await visitor.open(gone.location)
    assert "Zendesk was not connected" in page.text
    assert "There is no Zendesk account at" in page.text
    assert "ZENDESK_SUBDOMAIN" in page.text
    are_safe(page)


@pytest.mark.parametrize("status", [500, 503])
async def test_a_zendesk_that_is_down_is_not_said_to_be_no_zendesk(
    host: Host, visitor: Visitor, zendesk: ZendeskServer, status: int
) -> None:
    zendesk.state.faults = [ZendeskFault(path="users/me", kind="status", status=status, times=-1)]
    gone = await visitor.go_on(await host.link("zendesk"))
    page = await visitor.open(gone.location)
    assert "Zendesk was not connected" in page.text
    assert "There is no Zendesk account" not in page.text


@pytest.mark.parametrize(
    "fault",
    [
        ZendeskFault(path="/oauth/tokens", kind="status", status=500),
        ZendeskFault(path="/oauth/tokens", kind="drop"),
        ZendeskFault(path="/oauth/tokens", kind="html"),
        ZendeskFault(path="/oauth/tokens", kind="half_body"),
        ZendeskFault(path="users/me", kind="status", status=500),
        ZendeskFault(path="users/me", kind="drop"),
        ZendeskFault(path="users/me", kind="html"),
    ],
    ids=lambda fault: f"{fault.path} {fault.kind}",
)
async def test_what_goes_wrong_at_zendesk_is_said_and_stores_nothing(
    host: Host, visitor: Visitor, zendesk: ZendeskServer, fault: ZendeskFault
) -> None:
    before = set(zendesk.state.tokens)
    link = await host.link("zendesk")
    callback = await visitor.decide((await visitor.go_on(link)).location)
    zendesk.state.faults = [ZendeskFault(**vars(fault))]
    page = await visitor.come_back(callback)
    assert page.status == 200
    assert "Zendesk was not connected" in page.text
    are_safe(page)
    assert await host.kept("zendesk") is None
    if fault.kind != "half_body":
        assert set(zendesk.state.tokens) == before
    with pytest.raises(ConnectorError):
        await host.ask("outcome", "zendesk", link=asked_by(link))


async def test_connecting_zendesk_again_in_vain_leaves_the_connection_that_works(
    host: Host, visitor: Visitor, zendesk: ZendeskServer
) -> None:
    await visitor.connect(await host.link("zendesk"))
    before = await host.kept("zendesk")
    callback = await visitor.decide((await visitor.go_on(await host.link("zendesk"))).location)
    zendesk.state.faults = [ZendeskFault(path="users/me", kind="status", status=500)]
    assert "Zendesk was not connected" in (await visitor.come_back(callback)).text
    assert await host.kept("zendesk") == before
    await host.connector.sides.bridge.connections.check("zendesk")
    assert (await host.row("zendesk"))["status"] == "ok"


async def test_connecting_zendesk_again_ends_the_earlier_tokens(
    host: Host, visitor: Visitor, zendesk: ZendeskServer
) -> None:
    before = len(zendesk.state.tokens)
    for _ in range(3):
        assert "Zendesk is connected" in (await visitor.connect(await host.link("zendesk"))).text
    assert len(zendesk.state.tokens) == before + 1


# Headers and cookies


async def test_every_answer_has_the_headers_that_let_nothing_in(host: Host, visitor: Visitor) -> None:
    for service in SERVICES:
        page = await visitor.connect(await host.link(service))
        assert "is connected" in page.text
        await visitor.open(f"{host.connector.url}{BACKS[service]}")
        await visitor.open(f"{host.connector.url}{STARTS[service]}?link=x")
    own = [each for each in visitor.seen if each.url.startswith(host.connector.url)]
    assert {each.status for each in own} == {200, 303, 404}
    for answer in own:
        are_safe(answer)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH"])
async def test_a_method_that_is_not_taken_is_answered_with_the_same_headers(
    host: Host, visitor: Visitor, service: str, method: str
) -> None:
    answer = await visitor.ask(method, await host.link(service))
    assert answer.status == 405
    are_safe(answer)


async def test_the_cookie_over_http_is_kept_from_scripts_and_other_sites(host: Host, visitor: Visitor) -> None:
    (cookie,) = (await visitor.go_on(await host.link("slack"))).set_cookie
    name, *flags = cookie.split("; ")
    assert name.startswith("connecting-slack=")
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(flags)
    assert "Secure" not in flags
    assert not any(flag.startswith("Domain") for flag in flags)


@pytest.mark.parametrize("address", ["https://connector.example", "https://connector.example/"])
async def test_the_cookie_over_https_is_of_this_host_alone(
    start_host: StartHost, visitor: Visitor, address: str
) -> None:
    host = await start_host(connector_public_url=address)
    link = await host.link("slack")
    assert link.lower().startswith("https://connector.example/slack/install?link=")
    gone = await visitor.go_on(f"{host.connector.url}/slack/install?{urlsplit(link).query}")
    assert query(gone.location)["redirect_uri"].lower() == "https://connector.example/slack/oauth_redirect"
    (cookie,) = gone.set_cookie
    name, *flags = cookie.split("; ")
    assert name.startswith("__Host-connecting-slack=")
    assert {"HttpOnly", "Path=/", "SameSite=Lax", "Secure"} <= set(flags)
    assert not any(flag.startswith("Domain") for flag in flags)


# Secrets


async def test_no_secret_is_in_logs_pages_or_addresses(
    host: Host, visitor: Visitor, slack: SlackServer, zendesk: ZendeskServer, all_logs: pytest.LogCaptureFixture
) -> None:
    known = set(zendesk.state.tokens)
    secrets: list[str] = []
    allowed: dict[str, list[str]] = {}
    for service in SERVICES:
        link = await host.link(service)
        asked = await visitor.open(link)
        gone = await visitor.go_on(link)
        callback = await visitor.decide(gone.location)
        await visitor.come_back(callback)
        code, state = query(callback)["code"], query(callback)["state"]
        browser_id = gone.set_cookie[0].partition("=")[2].partition(";")[0]
        secrets += [query(link)["link"], code, state, browser_id]
        allowed[query(link)["link"]] = [asked.html]
        allowed[state] = [gone.html]  # which hands it over
        assert code not in gone.location
        assert browser_id not in gone.location
        assert "code_verifier" not in gone.location
    tokens = [*slack.state.tokens, *(each for each in zendesk.state.tokens if each not in known)]
    tokens += [each.refresh_token for each in zendesk.state.tokens.values() if each.refresh_token]
    tokens += [slack.state.client_secret]
    assert len(tokens) == 4
    text = "\n".join(f"{record.name} {record.getMessage()} {record.exc_text or ''}" for record in all_logs.records)
    ours = "\n".join(line for line in text.splitlines() if not line.startswith("asyncio"))
    for secret in (*secrets, *tokens):
        assert secret not in ours
    for answer in visitor.seen:
        if not answer.url.startswith(host.connector.url):
            continue
        for secret in tokens:
            assert secret not in answer.html
            assert secret not in answer.url
        for secret in secrets:
            # The link's own page hands the link on in its form.
            assert secret not in answer.html or answer.html in allowed.get(secret, ())


async def test_a_link_that_a_command_asked_for_does_not_lie_in_the_database(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "connector.db"
    secret = new_secret()
    asked = {"service": "slack", "link": fingerprint(secret)}
    answer = await asyncio.to_thread(requests.send, path, "connect", asked, "a command")
    assert answer["link"].endswith("/slack/install?link=")
    assert await asyncio.to_thread(requests.send, path, "outcome", asked, "a command") == {"outcome": None}
    assert secret.encode() not in await asyncio.to_thread(written, tmp_path)


def written(folder: Path) -> bytes:
    """All that the database's files hold."""
    return b"".join(each.read_bytes() for each in folder.glob("connector.db*"))


# Odd requests

ODD: dict[str, tuple[dict[str, str], bytes]] = {
    "an unknown charset": ({"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}, b"link=x"),
    "a charset that is no text": ({"Content-Type": "application/x-www-form-urlencoded; charset=hex"}, b"link=x"),
    "no UTF-8": ({"Content-Type": "application/x-www-form-urlencoded"}, b"link=\xff\xfe"),
    "JSON": ({"Content-Type": "application/json"}, json.dumps({"link": "x"}).encode()),
    "no type": ({}, b"link=x"),
    "multipart": (
        {"Content-Type": "multipart/form-data; boundary=b"},
        b'--b\r\nContent-Disposition: form-data; name="link"\r\n\r\nx\r\n--b--\r\n',
    ),
    "a file": (
        {"Content-Type": "multipart/form-data; boundary=b"},
        b'--b\r\nContent-Disposition: form-data; name="link"; filename="x"\r\n\r\nx\r\n--b--\r\n',
    ),
    "multipart without a boundary": ({"Content-Type": "multipart/form-data"}, b"--b\r\n\r\nx\r\n--b--\r\n"),
    "multipart that does not begin": ({"Content-Type": "multipart/form-data; boundary=b"}, b"nonsense"),
    "multipart that does not end": (
        {"Content-Type": "multipart/form-data; boundary=b"},
        b'--b\r\nContent-Disposition: form-data; name="link"\r\n\r\nx',
    ),
    "multipart in an unknown encoding": (
        {"Content-Type": "multipart/form-data; boundary=b"},
        b'--b\r\nContent-Disposition: form-data; name="link"; filename="x"\r\n'
        b"Content-Transfer-Encoding: nonsense\r\n\r\nx\r\n--b--\r\n",
    ),
    "multipart that is packed in an unknown way": (
        {"Content-Type": "multipart/form-data; boundary=b"},
        b'--b\r\nContent-Disposition: form-data; name="link"; filename="x"\r\n'
        b"Content-Encoding: nonsense\r\n\r\nx\r\n--b--\r\n",
    ),
    "multipart without names": ({"Content-Type": "multipart/form-data; boundary=b"}, b"--b\r\n\r\nx\r\n--b--\r\n"),
    "multipart in multipart": (
        {"Content-Type": "multipart/form-data; boundary=b"},
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\n",
    ),
    "many fields": (
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"&".join(b"a%d=b" % n for n in range(20_000)),
    ),
    "2 MB": ({"Content-Type": "application/x-www-form-urlencoded"}, b"link=" + b"x" * 2_000_000),
    "2 MB in a file": (
        {"Content-Type": "multipart/form-data; boundary=b"},
        b'--b\r\nContent-Disposition: form-data; name="link"; filename="x"\r\n\r\n'
        + b"x" * 2_000_000
        + b"\r\n--b--\r\n",
    ),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_form_is_refused_quietly_and_uses_nothing_up(
    host: Host, visitor: Visitor, name: str, all_logs: pytest.LogCaptureFixture
) -> None:
    link = await host.link("slack")
    headers, body = ODD[name]
    skip = () if headers else ("Content-Type",)
    async with visitor.session.post(
        f"{host.connector.url}/slack/install", data=body, headers=headers, skip_auto_headers=skip
    ) as response:
        status, text = response.status, await response.text()
        got = dict(response.headers)
    assert status in (400, 404, 413, 415), text
    assert [record for record in all_logs.records if record.levelno >= logging.ERROR] == []
    assert (await visitor.go_on(link)).status == 200
    for header, value in ALWAYS.items():
        assert got.get(header) == value, f"{status}: {header}"


async def raw(host: Host, request: bytes) -> bytes:
    """What the connector answers to bytes."""
    address = urlsplit(host.connector.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    try:
        async with asyncio.timeout(30):
            return await reader.read(65_536)
    finally:
        writer.close()


@pytest.mark.parametrize("value", [b"nonsense", b"\xff\xfe", b"100-Continue"])
async def test_an_odd_expectation_is_refused_quietly(
    host: Host, value: bytes, all_logs: pytest.LogCaptureFixture
) -> None:
    answer = await raw(
        host,
        b"POST /slack/install HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: "
        + value
        + b"\r\nContent-Length: 6\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\nlink=x",
    )
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 417", b"HTTP/1.1 404", b"HTTP/1.1 100"))
    assert [record for record in all_logs.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    "cookie", [b"connecting-slack=\xff\xfe", b"connecting-slack", b"; ;=;", b"connecting-slack=" + b"x" * 6000]
)
async def test_an_odd_cookie_is_none(host: Host, cookie: bytes, all_logs: pytest.LogCaptureFixture) -> None:
    for path in (b"/slack/install", b"/slack/oauth_redirect?code=x&state=y"):
        answer = await raw(
            host, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: " + cookie + b"\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 404")
    assert [record for record in all_logs.records if record.levelno >= logging.ERROR] == []


# Addresses


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as free:
            free.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_connecting_works_over_ipv6(start_host: StartHost, visitor: Visitor) -> None:
    host = await start_host(connector_host="::1")
    link = await host.link("slack")
    assert link.startswith("http://[::1]:")
    assert "Slack is connected" in (await visitor.connect(link)).text


async def test_a_link_leads_nowhere_that_is_no_address_of_a_host(start_host: StartHost) -> None:
    """In a container it listens on 0.0.0.0, which no browser elsewhere can open and Zendesk sends nobody to."""
    host = await start_host(connector_host="0.0.0.0")
    with contextlib.suppress(ConnectorError):  # that says what to set is as good
        assert urlsplit(await host.link("zendesk")).hostname != "0.0.0.0"


async def test_slack_may_send_the_browser_on_to_the_workspaces_own_address(start_host: StartHost) -> None:
    """slack.com sends people who are signed in on to WORKSPACE.slack.com, and Zendesk to the company's own sign-in.

    Chrome holds all redirects after a form to its page's form-action.
    """

    async def authorize(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://localhost:{request.url.port}/elsewhere")

    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(text="<h1>Here the workspace asks</h1>", content_type="text/html")

    application = web.Application()
    application.router.add_get("/oauth/v2/authorize", authorize)
    application.router.add_get("/elsewhere", elsewhere)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host = await start_host(slack_api_url=f"http://127.0.0.1:{runner.addresses[0][1]}/api/")
        async with browser() as page:
            page.tab.set_default_timeout(3000)
            await page.goto(await host.link("slack"))
            await page.click("#continue")
            await asyncio.sleep(0.3)
            assert [each for each in page.console if "form-action" in each] == []
            assert "Here the workspace asks" in await page.text()
    finally:
        await runner.cleanup()
