"""The Slack client knows every error that Slack documents for what it calls, and sends only what is documented."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from remembering import NothingRemembered
from slack_specs import spec_of

from bolt_app.client import SlackClient
from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import ADA, NOOR, SUPPORT
from bolt_app.slack_errors import KNOWN_ERRORS, Next, translate
from zendesk_bridge.flows.catalog import Once

pytestmark = pytest.mark.real_input

CALLED = (
    "auth.test",
    "chat.postMessage",
    "conversations.history",
    "conversations.open",
    "conversations.replies",
    "reactions.add",
    "users.conversations",
    "users.info",
    "users.lookupByEmail",
)
TRANSIENT = {"ratelimited", "rate_limited", "team_added_to_org", "external_channel_migrating", "fetch_members_failed"}
UNCERTAIN = {"fatal_error", "internal_error", "service_unavailable", "request_timeout"}
CREDENTIALS = {
    *("invalid_auth", "not_authed", "account_inactive", "token_revoked"),
    *("org_login_required", "token_expired"),
}
INVITE = {"not_in_channel", "channel_not_found"}


@pytest.mark.parametrize("method", CALLED)
def test_every_documented_error_of_a_method_we_call_is_known(fixtures_dir: Path, method: str) -> None:
    assert set(spec_of(fixtures_dir, method).get("errors") or {}) <= set(KNOWN_ERRORS)


def test_every_method_that_documents_common_errors_documents_known_ones(fixtures_dir: Path) -> None:
    """Errors that half of all methods have are common to all, whether a page repeats them or not."""
    pages = [json.loads(file.read_text()) for file in (fixtures_dir / "slack-api-ref/methods").glob("*.json")]
    counted: dict[str, int] = {}
    for page in pages:
        for code in page.get("errors") or {}:
            counted[code] = counted.get(code, 0) + 1
    assert {code for code, times in counted.items() if times >= len(pages) / 2} <= set(KNOWN_ERRORS)


def test_what_happens_next_is_what_the_design_decided() -> None:
    classes: dict[Next, set[str]] = {each: set() for each in Next}
    for code, known in KNOWN_ERRORS.items():
        classes[known.next].add(code)
    assert classes[Next.AGAIN] == TRANSIENT
    assert classes[Next.IN_DOUBT] == UNCERTAIN
    assert classes[Next.RECONNECT] == CREDENTIALS
    assert classes[Next.INVITE] == INVITE


def test_every_hint_is_a_whole_sentence() -> None:
    for code, known in KNOWN_ERRORS.items():
        assert known.hint[0].isupper(), code
        assert known.hint.endswith("."), code
        assert " " in known.hint, code
    assert translate("a_code_of_next_year", "auth.test").hint.endswith(".")


async def test_only_documented_arguments_are_sent_and_all_required_ones(fixtures_dir: Path) -> None:
    async with SlackServer() as server:
        slack = SlackClient(token="xoxb-sandbox", base_url=server.url, memory=NothingRemembered(), page_size=2)
        await slack.start()
        try:
            await drive(slack, server)
        finally:
            await slack.close()
        calls = server.state.calls
    assert {call.method for call in calls} == set(CALLED)
    assert [(call.method, call.error) for call in calls if call.error] == []
    for call in calls:
        spec = spec_of(fixtures_dir, call.method)
        assert set(call.arguments) <= set(spec["args"]["properties"]) - {"token"}, call
        assert set(spec["args"]["required"]) - {"token"} <= set(call.arguments), call
        assert spec.get("json_input_supported") or call.verb == "GET", call
        for name, value in call.arguments.items():
            assert_documented_type(spec["args"]["properties"][name], value)


def assert_documented_type(documented: dict[str, Any], value: Any) -> None:
    """In JSON a value has its type; in a query all are text, and yes and no are 1 and 0."""
    kind = (documented.get("anyOf") or [documented])[0].get("type")
    if kind == "boolean":
        assert value in (True, False, "1", "0")
    elif kind in ("integer", "number"):
        assert float(value) > 0
    elif documented.get("subtype") == "timestamp":
        assert isinstance(value, str)
        assert len(value.partition(".")[2]) == 6
    else:
        assert isinstance(value, str | dict)


async def drive(slack: SlackClient, server: SlackServer) -> None:
    """Uses every method of the client."""
    once = Once(key="key", begun_at=time.time())
    parent = server.state.say(ADA.id, SUPPORT.id, "parent")
    replies = [server.state.say(NOOR.id, SUPPORT.id, str(number), thread_ts=parent.ts) for number in range(5)]
    await slack.identity()
    posted = await slack.post(SUPPORT.id, "hi", once=once)
    await slack.post(SUPPORT.id, "hi", thread_ts=replies[1].ts, once=once)
    await slack.find_posted(SUPPORT.id, once)
    await slack.find_posted(SUPPORT.id, Once(key="none", begun_at=once.begun_at))
    await slack.find_posted(SUPPORT.id, once, thread_ts=parent.ts)
    await slack.message(SUPPORT.id, posted.ts)
    await slack.message(SUPPORT.id, replies[0].ts)
    await slack.thread(SUPPORT.id, parent.ts)
    await slack.thread(SUPPORT.id, parent.ts, only=replies[2].ts)
    await slack.thread_parent(SUPPORT.id, replies[3].ts)
    await slack.reaction(SUPPORT.id, "eyes", posted.ts)
    await slack.user(NOOR.id)
    await slack.user_by_email("noor@example.com")
    await slack.open_dm(NOOR.id)
    await slack.channel_id("#support")
    first = await slack.post_to_person("noor@example.com", "hi", once=once)
    await slack.post_to_person("noor@example.com", "hi", thread_ts=first.ts, once=once)
    await slack.find_posted_to_person("noor@example.com", once)
