"""The Slack client against a Slack in memory: what arrives there, and what each failure means for a run."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from bolt_app.client import SlackClient
from bolt_app.sandbox import Fault, Limits, SlackServer
from bolt_app.sandbox.people import ADA, BOT_ID, BOT_SCOPES, BOT_USER_ID, ESCALATIONS, GONE, NOOR, RANDOM, SUPPORT
from bolt_app.text import MESSAGE_LIMIT, SHORTENED
from zendesk_bridge.flows.catalog import Once
from zendesk_bridge.flows.errors import (
    ConnectorError,
    Credentials,
    NeedsInvite,
    Permanent,
    StorageError,
    Transient,
    Uncertain,
)


class RememberedInADict:
    def __init__(self) -> None:
        self.known: dict[tuple[str, str], tuple[str, float]] = {}
        self.broken = False

    async def recall(self, kind: str, key: str, max_age: float | None = None) -> str | None:
        await asyncio.sleep(0)
        value, at = self.known.get((kind, key), (None, 0.0))
        return value if max_age is None or time.time() - at <= max_age else None

    async def remember(self, kind: str, key: str, value: str) -> None:
        if self.broken:
            raise StorageError("disk full")
        self.known[kind, key] = (value, time.time())

    async def forget(self, kind: str, key: str) -> None:
        self.known.pop((kind, key), None)

    def values(self) -> dict[tuple[str, str], str]:
        return {name: value for name, (value, _) in self.known.items()}


@pytest.fixture
async def server() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture
def memory() -> RememberedInADict:
    return RememberedInADict()


@asynccontextmanager
async def connected(memory: RememberedInADict, **settings: Any) -> AsyncIterator[SlackClient]:
    client = SlackClient(**{"token": "xoxb-sandbox", "memory": memory, **settings})
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
def seen() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def slack(
    server: SlackServer, memory: RememberedInADict, seen: list[tuple[str, str]]
) -> AsyncIterator[SlackClient]:
    def observe(method: str, outcome: str) -> None:
        seen.append((method, outcome))

    async with connected(memory, base_url=server.url, observe=observe, total_seconds=2.0) as client:
        yield client


def once(key: str = "k1") -> Once:
    return Once(key=key, begun_at=time.time())


def methods(server: SlackServer) -> list[str]:
    return [call.method for call in server.state.calls]


async def error_of(awaited: Any) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        await awaited
    return caught.value


# Posting


async def test_a_message_arrives_once_as_it_was_written(server: SlackServer, slack: SlackClient) -> None:
    posted = await slack.post(SUPPORT.id, "R&amp;D <!here>", once=once())
    (message,) = server.state.posted()
    assert (message.channel, message.ts, message.text) == (SUPPORT.id, posted.ts, "R&amp;D <!here>")
    assert message.metadata == {"event_type": "zendesk_connector", "event_payload": {"key": "k1"}}
    assert posted.permalink == server.state.permalink(message)
    (call,) = server.state.calls_to("chat.postMessage")
    assert set(call.arguments) == {"channel", "text", "unfurl_links", "unfurl_media", "metadata"}
    assert (call.arguments["unfurl_links"], call.arguments["unfurl_media"]) == (False, False)


async def test_a_message_beyond_slacks_limit_is_cut_visibly(server: SlackServer, slack: SlackClient) -> None:
    await slack.post(SUPPORT.id, "x" * 50_000)
    (message,) = server.state.posted()
    assert len(message.text) < MESSAGE_LIMIT
    assert message.text.endswith(SHORTENED)


async def test_a_reply_to_a_reply_stays_in_the_thread(server: SlackServer, slack: SlackClient) -> None:
    parent = server.state.say(ADA.id, SUPPORT.id, "help")
    reply = server.state.say(NOOR.id, SUPPORT.id, "me too", thread_ts=parent.ts)
    posted = await slack.post(SUPPORT.id, "on it", thread_ts=reply.ts)
    assert posted.thread_ts == parent.ts
    assert [message.text for message in server.state.thread(SUPPORT.id, parent.ts)] == ["help", "me too", "on it"]
    assert posted.permalink == server.state.permalink(server.state.posted()[0])


async def test_a_reply_to_a_message_of_our_own_costs_no_look_up(server: SlackServer, slack: SlackClient) -> None:
    first = await slack.post(SUPPORT.id, "one")
    second = await slack.post(SUPPORT.id, "two", thread_ts=first.ts)
    await slack.post(SUPPORT.id, "three", thread_ts=second.ts)
    assert len(server.state.thread(SUPPORT.id, first.ts)) == 3
    assert "conversations.replies" not in methods(server)


async def test_of_many_messages_the_oldest_is_looked_up_again(
    server: SlackServer, slack: SlackClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bolt_app.client.PARENTS", 2)
    oldest, _, newest = [await slack.post(SUPPORT.id, str(number)) for number in range(3)]
    assert await slack.thread_parent(SUPPORT.id, newest.ts) == newest.ts
    assert "conversations.replies" not in methods(server)
    assert await slack.thread_parent(SUPPORT.id, oldest.ts) == oldest.ts
    assert methods(server).count("conversations.replies") == 1


async def test_the_app_asks_once_who_it_is(server: SlackServer, slack: SlackClient) -> None:
    await asyncio.gather(*(slack.post(SUPPORT.id, str(number)) for number in range(5)))
    assert methods(server).count("auth.test") == 1
    identity = await slack.identity()
    assert (identity.user_id, identity.bot_id, identity.team) == (BOT_USER_ID, BOT_ID, "Sandbox Support")
    assert identity.url == "https://sandbox-support.slack.com/"
    assert set(identity.scopes) == set(BOT_SCOPES)
    await slack.identity(anew=True)
    assert methods(server).count("auth.test") == 2


async def test_a_revoked_token_is_noticed_though_the_app_knows_who_it_is(
    server: SlackServer, slack: SlackClient
) -> None:
    await slack.identity()
    server.state.token_error = "token_revoked"
    assert isinstance(await error_of(slack.post(SUPPORT.id, "hi")), Credentials)
    assert isinstance(await error_of(slack.identity()), Credentials)


async def test_another_token_takes_effect_at_once(server: SlackServer, memory: RememberedInADict) -> None:
    async with connected(memory, token=None, base_url=server.url) as slack:
        problem = await error_of(slack.identity())
        assert (type(problem), problem.code) == (Credentials, "not_authed")
        assert server.state.calls == []
        slack.use_token("xoxb-sandbox\n")
        assert (await slack.identity()).user_id == BOT_USER_ID


# What each failure means


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, Transient) for code in ("ratelimited", "rate_limited", "team_added_to_org")),
        *((code, Transient) for code in ("external_channel_migrating", "fetch_members_failed")),
        *((code, Uncertain) for code in ("fatal_error", "internal_error", "service_unavailable", "request_timeout")),
        *((code, Permanent) for code in ("is_archived", "restricted_action", "restricted_action_thread_locked")),
        *((code, Permanent) for code in ("no_text", "invalid_blocks", "missing_scope", "a_code_of_next_year")),
        *((code, NeedsInvite) for code in ("not_in_channel", "channel_not_found")),
        *((code, Credentials) for code in ("invalid_auth", "not_authed", "account_inactive", "token_revoked")),
        *((code, Credentials) for code in ("org_login_required", "token_expired")),
    ],
)
async def test_an_error_code_says_what_happens_next(
    server: SlackServer, slack: SlackClient, seen: list[tuple[str, str]], code: str, kind: type[ConnectorError]
) -> None:
    server.state.faults.append(Fault(method="chat.postMessage", kind="error", error=code))
    problem = await error_of(slack.post(SUPPORT.id, "hi", once=once()))
    assert (type(problem), problem.code) == (kind, code)
    assert problem.hint.endswith((".", "by itself."))
    assert seen == [("auth.test", "ok"), ("chat.postMessage", code)]
    assert methods(server).count("chat.postMessage") == 1


async def test_a_limit_names_the_seconds_to_wait(server: SlackServer, slack: SlackClient) -> None:
    server.state.faults.append(Fault(method="chat.postMessage", kind="rate_limited", retry_after=12))
    problem = await error_of(slack.post(SUPPORT.id, "hi"))
    assert isinstance(problem, Transient)
    assert (problem.code, problem.limit, problem.retry_after) == ("ratelimited", True, 12.0)
    assert server.state.posted() == []


async def test_slacks_own_limits_are_kept(server: SlackServer, slack: SlackClient) -> None:
    server.state.limits = Limits()
    await asyncio.gather(*(slack.post(SUPPORT.id, "hi") for _ in range(4)))
    assert len(server.state.calls_to("chat.postMessage")) == len(server.state.posted()) == 4


async def test_limits_narrower_than_known_are_met_as_limits(server: SlackServer, slack: SlackClient) -> None:
    server.state.limits = Limits(channel_burst=1)
    results = await asyncio.gather(*(slack.post(SUPPORT.id, "hi") for _ in range(2)), return_exceptions=True)
    (refused,) = [result for result in results if isinstance(result, Transient)]
    assert (refused.limit, refused.retry_after) == (True, 1.0)
    assert len(server.state.posted()) == 1


@pytest.mark.parametrize(
    ("fault", "stored"),
    [
        (Fault(method="chat.postMessage", kind="http", status=500), False),
        (Fault(method="chat.postMessage", kind="http", status=503, content_type="application/json"), False),
        (Fault(method="chat.postMessage", kind="http", status=502, content_type="text/plain"), False),
        (Fault(method="chat.postMessage", kind="http_after", status=500), True),
        (Fault(method="chat.postMessage", kind="http_after", status=200), True),
        (Fault(method="chat.postMessage", kind="http_after", status=200, content_type="application/json"), True),
        (Fault(method="chat.postMessage", kind="http_after", status=200, content_type="text/plain"), True),
        (Fault(method="chat.postMessage", kind="drop"), False),
        (Fault(method="chat.postMessage", kind="drop_after"), True),
        (Fault(method="chat.postMessage", kind="half_body"), True),
        (Fault(method="chat.postMessage", kind="slow", delay=2.5), True),
    ],
    ids=lambda value: f"{value.kind}-{value.status}-{value.content_type}" if isinstance(value, Fault) else "",
)
async def test_a_post_without_a_clear_answer_is_in_doubt_and_found_if_it_is_there(
    server: SlackServer, slack: SlackClient, fault: Fault, stored: bool
) -> None:
    await slack.identity()
    mark = once()
    server.state.faults.append(Fault(**vars(fault)))
    problem = await error_of(slack.post(SUPPORT.id, "hi", once=mark))
    assert type(problem) is Uncertain
    if fault.kind == "slow":
        await server.state.next_message()
    found = await slack.find_posted(SUPPORT.id, mark)
    assert (found is not None) == stored
    assert methods(server).count("chat.postMessage") == 1
    assert len(server.state.posted()) == int(stored)
    if found:
        assert (found.ts, found.channel) == (server.state.posted()[0].ts, SUPPORT.id)
        assert found.permalink == server.state.permalink(server.state.posted()[0])


async def test_a_page_that_forbids_too_many_calls_is_a_limit_too(server: SlackServer, slack: SlackClient) -> None:
    server.state.faults.append(Fault(method="users.info", kind="http", status=429))
    problem = await error_of(slack.user(ADA.id))
    assert isinstance(problem, Transient)
    assert (problem.limit, problem.retry_after) == (True, None)


async def test_a_wrong_address_is_refused_for_good(server: SlackServer, slack: SlackClient) -> None:
    server.state.faults.append(Fault(method="users.info", kind="http", status=404))
    problem = await error_of(slack.user(ADA.id))
    assert (type(problem), problem.code) == (Permanent, "http_404")
    assert "SLACK_API_URL" in problem.hint


async def test_where_nobody_listens_nothing_happened(memory: RememberedInADict) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with connected(memory, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/api/") as slack:
            problem = await error_of(slack.user(ADA.id))
    assert (type(problem), problem.code) == (Transient, "unreachable")


async def test_a_name_that_is_not_in_dns_means_that_nothing_happened(memory: RememberedInADict) -> None:
    async with connected(memory, base_url="http://nowhere.invalid/api/") as slack:
        slack.web.proxy = None
        assert type(await error_of(slack.user(ADA.id))) is Transient


async def test_a_timeout_while_connecting_means_that_nothing_happened(memory: RememberedInADict) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        # A full backlog leaves the next one waiting for its connection.
        crowd = [socket.socket() for _ in range(4)]
        for each in crowd:
            each.setblocking(False)
            each.connect_ex(address)
        settings = {"base_url": f"http://127.0.0.1:{address[1]}/api/", "connect_seconds": 0.2}
        async with connected(memory, **settings) as slack:
            problem = await error_of(slack.user(ADA.id))
        for each in crowd:
            each.close()
    assert (type(problem), problem.code) == (Transient, "timeout")


@asynccontextmanager
async def answering(answer: Callable[[web.Request], web.StreamResponse]) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
    finally:
        await runner.cleanup()


async def test_a_redirect_is_not_followed_and_the_token_stays_here(memory: RememberedInADict) -> None:
    asked: list[str] = []

    def elsewhere(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/stolen"})

    async with answering(elsewhere) as url, connected(memory, base_url=url) as slack:
        problem = await error_of(slack.identity())
    assert (type(problem), problem.code, asked) == (Transient, "redirected", ["/api/auth.test"])


@pytest.mark.parametrize(
    "body", ["[]", "[1]", '"no"', "null", "{}", '{"ok": false}', '{"ok": true', "\ufeff", '{"ok":1}']
)
async def test_an_answer_that_is_not_slacks_is_in_doubt(memory: RememberedInADict, body: str) -> None:
    def nonsense(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("auth.test"):
            return web.json_response({"ok": True, "user_id": "U1", "bot_id": "B1", "url": "https://x.slack.com/"})
        return web.Response(text=body, content_type="application/json")

    async with answering(nonsense) as url, connected(memory, base_url=url) as slack:
        assert type(await error_of(slack.post("C1", "hi"))) is Uncertain


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("1.5", 1.5), ("soon", None), ("-3", None), ("nan", None), ("inf", None), ("1e300", 86_400.0)],
)
async def test_a_strange_retry_after_does_no_harm(
    memory: RememberedInADict, header: str, seconds: float | None
) -> None:
    def later(request: web.Request) -> web.StreamResponse:
        return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": header})

    async with answering(later) as url, connected(memory, base_url=url) as slack:
        problem = await error_of(slack.identity())
    assert isinstance(problem, Transient)
    assert problem.retry_after == seconds


async def test_a_missing_scope_is_named(server: SlackServer, slack: SlackClient) -> None:
    server.state.bot_scopes -= {"im:history", "im:write"}
    channel = server.state.open_direct(NOOR.id)
    problem = await error_of(slack.message(channel.id, "1.000001"))
    assert (type(problem), problem.code) == (Permanent, "missing_scope")
    assert "im:history" in problem.hint
    assert (await slack.identity()).user_id == BOT_USER_ID


async def test_a_channel_without_the_app_waits_for_its_invitation(server: SlackServer, slack: SlackClient) -> None:
    for channel in (RANDOM.id, ESCALATIONS.id, "C0NOWHERE1"):
        problem = await error_of(slack.post(channel, "hi"))
        assert isinstance(problem, NeedsInvite)
        assert problem.channel == channel
        assert "/invite @Zendesk Connector" in problem.hint
    server.state.invite(ESCALATIONS.id)
    await slack.post(ESCALATIONS.id, "hi")
    assert [message.channel for message in server.state.posted()] == [ESCALATIONS.id]


async def test_reading_a_channel_without_the_app_waits_as_well(server: SlackServer, slack: SlackClient) -> None:
    for channel in (RANDOM.id, ESCALATIONS.id):
        said = server.state.say(ADA.id, channel, "x")
        for asked in (slack.message(channel, said.ts), slack.thread(channel, said.ts)):
            assert isinstance(await error_of(asked), NeedsInvite)
        assert isinstance(await error_of(slack.reaction(channel, "eyes", said.ts)), NeedsInvite)


@pytest.mark.parametrize(("channel", "code"), [("U0NOBODY01", "user_not_found"), ("D0NOBODY01", "channel_not_found")])
async def test_nobody_can_invite_the_app_to_a_person(slack: SlackClient, channel: str, code: str) -> None:
    problem = await error_of(slack.post(channel, "hi"))
    assert (type(problem), problem.code) == (Permanent, code)


async def test_errors_and_logs_hold_no_token_and_no_text(
    server: SlackServer, slack: SlackClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await slack.post(SUPPORT.id, "the customer's words")
    for kind in ("http_after", "drop", "half_body"):
        server.state.faults.append(Fault(method="chat.postMessage", kind=kind))
        problem = await error_of(slack.post(SUPPORT.id, "the customer's words"))
        assert "customer" not in f"{problem} {problem.hint}"
    logged = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("aiohttp"))
    assert "xoxb" not in logged
    assert "customer" not in logged


# Finding what was posted


async def test_only_the_apps_own_message_with_that_mark_is_found(server: SlackServer, slack: SlackClient) -> None:
    mark = once("mine")
    forged = server.state.say(ADA.id, SUPPORT.id, "forged")
    forged.metadata = {"event_type": "zendesk_connector", "event_payload": {"key": "mine"}}
    await slack.post(SUPPORT.id, "another", once=once("other"))
    assert await slack.find_posted(SUPPORT.id, mark) is None
    posted = await slack.post(SUPPORT.id, "mine", once=mark)
    found = await slack.find_posted(SUPPORT.id, mark)
    assert found
    assert (found.ts, found.message["text"]) == (posted.ts, "mine")


async def test_a_message_is_found_on_a_later_page(server: SlackServer, memory: RememberedInADict) -> None:
    async with connected(memory, base_url=server.url, page_size=3) as slack:
        mark = once()
        posted = await slack.post(SUPPORT.id, "mine", once=mark)
        for number in range(10):
            server.state.say(ADA.id, SUPPORT.id, str(number))
        found = await slack.find_posted(SUPPORT.id, mark)
        assert found
        assert found.ts == posted.ts
        assert methods(server).count("conversations.history") == 4


async def test_a_reply_is_found_in_its_thread(server: SlackServer, memory: RememberedInADict) -> None:
    async with connected(memory, base_url=server.url, page_size=3) as slack:
        parent = server.state.say(ADA.id, SUPPORT.id, "help")
        for number in range(7):
            server.state.say(ADA.id, SUPPORT.id, str(number), thread_ts=parent.ts)
        mark = once()
        posted = await slack.post(SUPPORT.id, "mine", thread_ts=parent.ts, once=mark)
        assert await slack.find_posted(SUPPORT.id, mark) is None
        found = await slack.find_posted(SUPPORT.id, mark, thread_ts=parent.ts)
        assert found
        assert (found.ts, found.thread_ts) == (posted.ts, parent.ts)


async def test_it_is_looked_for_from_two_minutes_before_it_began(server: SlackServer, slack: SlackClient) -> None:
    begun = time.time()
    await slack.find_posted(SUPPORT.id, Once(key="k", begun_at=begun))
    (call,) = server.state.calls_to("conversations.history")
    assert float(call.arguments["oldest"]) == pytest.approx(begun - 120, abs=2)
    assert "latest" not in call.arguments


# People


async def test_the_first_message_to_somebody_costs_a_look_up_and_a_post_and_the_next_the_post_alone(
    server: SlackServer, slack: SlackClient, memory: RememberedInADict
) -> None:
    await slack.identity()
    server.state.calls.clear()
    first = await slack.post_to_person("Noor@Example.com ", "one")
    assert methods(server) == ["users.lookupByEmail", "chat.postMessage"]
    second = await slack.post_to_person("noor@example.com", "two")
    assert methods(server) == ["users.lookupByEmail", "chat.postMessage", "chat.postMessage"]
    assert [message.text for message in server.state.messages_to(NOOR.id)] == ["one", "two"]
    assert first.user_id == second.user_id == NOOR.id
    assert [call.arguments["channel"] for call in server.state.calls_to("chat.postMessage")] == [NOOR.id, first.channel]
    assert memory.values() == {
        ("slack_user", "noor@example.com"): NOOR.id,
        ("slack_dm", NOOR.id): first.channel,
    }


async def test_many_messages_at_once_to_one_person_cost_one_look_up(server: SlackServer, slack: SlackClient) -> None:
    await asyncio.gather(*(slack.post_to_person("noor@example.com", str(number)) for number in range(3)))
    assert methods(server).count("users.lookupByEmail") == 1
    assert sorted(int(message.text) for message in server.state.messages_to(NOOR.id)) == list(range(3))


async def test_one_who_gives_up_does_not_take_the_look_up_from_the_others(
    server: SlackServer, slack: SlackClient
) -> None:
    server.state.faults.append(Fault(method="users.lookupByEmail", kind="slow", delay=0.1))
    hasty = asyncio.create_task(slack.post_to_person("noor@example.com", "hasty"))
    patient = asyncio.create_task(slack.post_to_person("noor@example.com", "patient"))
    await asyncio.sleep(0.05)
    hasty.cancel()
    await patient
    assert [message.text for message in server.state.messages_to(NOOR.id)] == ["patient"]
    assert methods(server).count("users.lookupByEmail") == 1


async def test_a_look_up_that_fails_leaves_nothing_in_doubt(server: SlackServer, slack: SlackClient) -> None:
    for method in ("users.lookupByEmail", "auth.test"):
        server.state.faults.append(Fault(method=method, kind="http", status=500))
        assert type(await error_of(slack.post_to_person("noor@example.com", "hi"))) is Transient
    parent = server.state.say(ADA.id, SUPPORT.id, "x")
    server.state.faults.append(Fault(method="conversations.replies", kind="http", status=502))
    assert type(await error_of(slack.post(SUPPORT.id, "hi", thread_ts=parent.ts))) is Transient
    assert server.state.posted() == []


async def test_somebody_who_has_left_is_not_found(server: SlackServer, slack: SlackClient) -> None:
    for email in (GONE.email, "nobody@example.com"):
        problem = await error_of(slack.post_to_person(str(email), "hi"))
        assert (type(problem), problem.code) == (Permanent, "users_not_found")
    assert server.state.posted() == []


async def test_outdated_memories_are_dropped_and_the_person_looked_up_once_more(
    server: SlackServer, slack: SlackClient, memory: RememberedInADict
) -> None:
    await memory.remember("slack_user", "noor@example.com", "U0OLD00001")
    await memory.remember("slack_dm", "U0OLD00001", "D0OLD00001")
    posted = await slack.post_to_person("noor@example.com", "hi", once=once())
    assert [message.text for message in server.state.messages_to(NOOR.id)] == ["hi"]
    assert methods(server).count("chat.postMessage") == 2
    assert memory.values() == {
        ("slack_user", "noor@example.com"): NOOR.id,
        ("slack_dm", NOOR.id): posted.channel,
    }


async def test_after_one_more_look_up_it_is_over(
    server: SlackServer, slack: SlackClient, memory: RememberedInADict
) -> None:
    await memory.remember("slack_user", "noor@example.com", "U0OLD00001")
    server.state.faults.append(Fault(method="chat.postMessage", kind="error", error="channel_not_found", times=9))
    problem = await error_of(slack.post_to_person("noor@example.com", "hi"))
    assert (type(problem), problem.code) == (Permanent, "user_not_found")
    assert methods(server).count("chat.postMessage") == 2
    assert methods(server).count("users.lookupByEmail") == 1
    await memory.remember("slack_user", "gone@example.com", "U0OLD00001")
    server.state.faults.clear()
    assert (await error_of(slack.post_to_person("gone@example.com", "hi"))).code == "users_not_found"


async def test_after_a_day_the_address_may_be_somebody_elses(
    server: SlackServer, slack: SlackClient, memory: RememberedInADict
) -> None:
    memory.known["slack_user", "noor@example.com"] = (ADA.id, time.time() - 86_401)
    await slack.post_to_person("noor@example.com", "hi")
    assert [message.text for message in server.state.messages_to(NOOR.id)] == ["hi"]
    assert server.state.messages_to(ADA.id) == []


async def test_a_memory_that_fails_does_not_undo_a_post(
    server: SlackServer, slack: SlackClient, memory: RememberedInADict
) -> None:
    memory.broken = True
    posted = await slack.post_to_person("noor@example.com", "hi")
    assert [message.ts for message in server.state.messages_to(NOOR.id)] == [posted.ts]


async def test_a_direct_message_with_a_lost_answer_is_found_though_its_channel_was_never_learnt(
    server: SlackServer, slack: SlackClient
) -> None:
    mark = once()
    server.state.faults.append(Fault(method="chat.postMessage", kind="drop_after"))
    assert isinstance(await error_of(slack.post_to_person("noor@example.com", "hi", once=mark)), Uncertain)
    found = await slack.find_posted_to_person("noor@example.com", mark)
    (message,) = server.state.messages_to(NOOR.id)
    assert found
    assert (found.ts, found.channel, found.user_id) == (message.ts, message.channel, NOOR.id)
    assert server.state.calls_to("conversations.open")[0].arguments == {"users": NOOR.id}


async def test_looking_for_a_direct_message_that_was_not_sent_finds_none(
    server: SlackServer, slack: SlackClient
) -> None:
    assert await slack.find_posted_to_person("noor@example.com", once()) is None
    assert server.state.posted() == []


async def test_a_message_is_found_although_this_machines_clock_is_an_hour_ahead(
    server: SlackServer, slack: SlackClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = SimpleNamespace(time=lambda: time.time() + 3600)
    monkeypatch.setattr("bolt_app.client.time", ours)
    mark = Once(key="k", begun_at=ours.time())
    await slack.post_to_person("noor@example.com", "hi", once=mark)
    assert await slack.find_posted_to_person("noor@example.com", mark) is not None


# Reading


async def test_a_neighbours_message_is_never_taken_for_the_one_that_was_asked_for(
    server: SlackServer, slack: SlackClient
) -> None:
    first = server.state.say(ADA.id, SUPPORT.id, "first")
    server.state.say(ADA.id, SUPPORT.id, "second")
    server.state.delete_message(SUPPORT.id, first.ts)
    problem = await error_of(slack.message(SUPPORT.id, first.ts))
    assert (type(problem), problem.code) == (Permanent, "message_not_found")


async def test_answers_with_a_neighbour_are_recognised(memory: RememberedInADict) -> None:
    def neighbour(request: web.Request) -> web.StreamResponse:
        return web.json_response({"ok": True, "messages": [{"ts": "1.000002", "text": "neighbour"}]})

    async with answering(neighbour) as url, connected(memory, base_url=url) as slack:
        assert (await error_of(slack.message("C1", "1.000001"))).code == "message_not_found"
        assert (await error_of(slack.thread_parent("C1", "1.000001"))).code == "thread_not_found"


async def test_a_thread_is_read_to_its_end_and_its_parent_counts_once(
    server: SlackServer, memory: RememberedInADict
) -> None:
    async with connected(memory, base_url=server.url, page_size=4) as slack:
        parent = server.state.say(ADA.id, SUPPORT.id, "parent")
        replies = [server.state.say(NOOR.id, SUPPORT.id, str(number), thread_ts=parent.ts) for number in range(10)]
        wanted = [parent.ts, *(reply.ts for reply in replies)]
        assert [message["ts"] for message in await slack.thread(SUPPORT.id, parent.ts)] == wanted
        assert [message["ts"] for message in await slack.thread(SUPPORT.id, replies[3].ts)] == wanted
        only = await slack.thread(SUPPORT.id, parent.ts, only=replies[7].ts)
        assert [message["text"] for message in only] == ["7"]
        other = server.state.say(ADA.id, SUPPORT.id, "elsewhere")
        assert (await error_of(slack.thread(SUPPORT.id, parent.ts, only=other.ts))).code == "message_not_found"


async def test_a_reaction_that_is_there_already_is_no_error(server: SlackServer, slack: SlackClient) -> None:
    said = server.state.say(ADA.id, SUPPORT.id, "x")
    await slack.reaction(SUPPORT.id, ":eyes:", said.ts)
    await slack.reaction(SUPPORT.id, "eyes", said.ts)
    assert said.reactions == {"eyes": [BOT_USER_ID]}


async def test_a_client_that_is_not_started_says_so(memory: RememberedInADict) -> None:
    slack = SlackClient(token="xoxb-sandbox", memory=memory)
    with pytest.raises(RuntimeError, match="not started"):
        await slack.identity()


def test_a_proxy_is_used_unless_it_is_ruled_out(memory: RememberedInADict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    assert SlackClient(token=None, memory=memory).web.proxy == "http://proxy.example:3128"
    assert SlackClient(token=None, memory=memory, base_url="http://127.0.0.1:1/api/").web.proxy is None
    monkeypatch.setenv("NO_PROXY", "slack.com")
    assert SlackClient(token=None, memory=memory).web.proxy is None
