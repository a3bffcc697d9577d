"""The sandbox's Slack agrees with Slack's documentation and with the shapes of real answers."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import slack_specs

from bolt_app.sandbox import SlackState, payloads
from bolt_app.sandbox.answering import Answer, Received, answer
from bolt_app.sandbox.delivery import sign
from bolt_app.sandbox.grants import SANDBOX, Workspace, issue_code
from bolt_app.sandbox.methods import METHODS
from bolt_app.sandbox.people import ADA, BOT_SCOPES, ESCALATIONS, GONE, GUEST, NOOR, OLD_NEWS, RANDOM, SUPPORT
from bolt_app.sandbox.web_call import COMMON_ERRORS, Client, Method

pytestmark = pytest.mark.real_input

# What every method may answer, from Slack's list of common errors; methods repeat only some of it.
DOCUMENTED_FOR_ALL = {
    "access_denied",
    "account_inactive",
    "fatal_error",
    "internal_error",
    "invalid_arg_name",
    "invalid_arguments",
    "invalid_array_arg",
    "invalid_auth",
    "invalid_charset",
    "invalid_form_data",
    "invalid_post_type",
    "missing_post_type",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_authed",
    "org_login_required",
    "ratelimited",
    "request_timeout",
    "service_unavailable",
    "token_expired",
    "token_revoked",
}
TIERLESS = "t5"  # how the reference writes "special"
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "Flows"}}
MODAL = {"type": "modal", "title": {"type": "plain_text", "text": "Flows"}, "blocks": [SECTION]}
HOME = {"type": "home", "blocks": [SECTION]}

ELSEWHERE = Workspace(
    id="T0ELSEWHER", name="Elsewhere", domain="elsewhere", bot_user_id="U0BOT00002", bot_id="B0BOT00002"
)

# Documented on Slack's page, but not in the stored reference. https://docs.slack.dev/reference/methods/apps.uninstall
UNINSTALL: dict[str, Any] = {
    "scope": {},
    "rate_limits": "t1",
    "args": {
        "required": ["token", "client_id", "client_secret"],
        "properties": {"token": {}, "client_id": {}, "client_secret": {}},
    },
    "errors": {"bad_client_secret": {}, "client_id_token_mismatch": {}, "invalid_client_id": {}},
}
# Answered by Slack though its page does not have it; omniauth-slack#54, vscode-chat#76.
UNDOCUMENTED = {"oauth.v2.access": {"code_already_used"}}
# These have codes of their own for what is missing.
MISSING_HAS_A_CODE = {"reactions.add": {"channel", "timestamp"}, "apps.uninstall": {"client_id", "client_secret"}}

every_method = pytest.mark.parametrize("method", METHODS, ids=[method.name for method in METHODS])


def spec_of(folder: Path, method: str) -> dict[str, Any]:
    return UNINSTALL if method == "apps.uninstall" else slack_specs.spec_of(folder, method)


def ask(state: SlackState, name: str, /, token: str | None = None, **arguments: Any) -> Answer:
    takes_json = next(method.takes_json for method in METHODS if method.name == name)
    received = Received(
        name=name,
        fields={} if takes_json else arguments,
        json_fields=arguments if takes_json else {},
        token=token or (state.app_token if name == "apps.connections.open" else state.bot_token),
        host="127.0.0.1:1",
        client=Client(id=state.client_id, secret=state.client_secret),
    )
    return answer(state, received, lambda: "ticket")


@pytest.fixture
def state() -> SlackState:
    """A workspace where every method can succeed."""
    state = SlackState()
    state.bot_scopes |= {"channels:join", "reactions:read", "im:read", "mpim:read"}
    return state


def successes(state: SlackState) -> Iterator[tuple[str, Answer]]:
    """An answer of every method that worked."""
    yield "auth.test", ask(state, "auth.test")
    yield "auth.test", ask(state, "auth.test", token=state.app_token)
    yield "apps.connections.open", ask(state, "apps.connections.open")
    posted = ask(
        state,
        "chat.postMessage",
        channel=SUPPORT.id,
        text="x",
        blocks=[SECTION],
        metadata={"event_type": "delivery", "event_payload": {"key": "k"}},
    )
    yield "chat.postMessage", posted
    here = {"channel": SUPPORT.id, "ts": posted.body["ts"]}
    yield "chat.postMessage", ask(state, "chat.postMessage", channel=SUPPORT.id, text="x", thread_ts=here["ts"])
    yield "chat.postEphemeral", ask(state, "chat.postEphemeral", channel=SUPPORT.id, user=NOOR.id, text="x")
    yield "chat.update", ask(state, "chat.update", **here, text="y")
    yield "chat.getPermalink", ask(state, "chat.getPermalink", channel=SUPPORT.id, message_ts=here["ts"])
    yield "conversations.open", ask(state, "conversations.open", users=NOOR.id)
    yield "conversations.open", ask(state, "conversations.open", users=NOOR.id, return_im=True)
    for channel in (SUPPORT.id, RANDOM.id, OLD_NEWS.id, state.open_direct(NOOR.id).id):
        yield "conversations.info", ask(state, "conversations.info", channel=channel, include_num_members="true")
    kinds = "public_channel,private_channel,im"
    yield "conversations.list", ask(state, "conversations.list", types=kinds, limit="2")
    yield "users.conversations", ask(state, "users.conversations", types=kinds, limit="2")
    yield "conversations.members", ask(state, "conversations.members", channel=SUPPORT.id)
    yield "conversations.join", ask(state, "conversations.join", channel=RANDOM.id)
    yield "conversations.join", ask(state, "conversations.join", channel=RANDOM.id)
    react = {"channel": SUPPORT.id, "timestamp": here["ts"]}
    yield "reactions.add", ask(state, "reactions.add", **react, name="eyes")
    yield "reactions.get", ask(state, "reactions.get", **react)
    yield "conversations.history", ask(state, "conversations.history", channel=SUPPORT.id)
    yield "conversations.replies", ask(state, "conversations.replies", **here)
    yield "users.lookupByEmail", ask(state, "users.lookupByEmail", email=GUEST.email)
    for person in state.people:
        yield "users.info", ask(state, "users.info", user=person, include_locale="true")
    yield "users.list", ask(state, "users.list", limit="2")
    opened = ask(state, "views.open", trigger_id=state.issue_trigger(ADA.id), view=MODAL)
    yield "views.open", opened
    yield "views.update", ask(state, "views.update", view_id=opened.body["view"]["id"], view=MODAL)
    yield "views.publish", ask(state, "views.publish", user_id=ADA.id, view=HOME)
    code = issue_code(state, SANDBOX, frozenset(BOT_SCOPES), "https://connector.example.com/done")
    installed = ask(state, "oauth.v2.access", code=code, redirect_uri="https://connector.example.com/done")
    yield "oauth.v2.access", installed
    yield "auth.revoke", ask(state, "auth.revoke", token=installed.body["access_token"], test="1")
    yield "auth.revoke", ask(state, "auth.revoke", token=installed.body["access_token"])
    yield "apps.uninstall", ask(state, "apps.uninstall")


@every_method
def test_only_documented_errors_are_declared(fixtures_dir: Path, method: Method) -> None:
    documented = set(spec_of(fixtures_dir, method.name).get("errors") or {}) | DOCUMENTED_FOR_ALL
    assert set(method.errors) <= documented | UNDOCUMENTED.get(method.name, set())
    assert documented >= COMMON_ERRORS


@every_method
def test_only_documented_arguments_are_read(fixtures_dir: Path, method: Method) -> None:
    arguments = spec_of(fixtures_dir, method.name)["args"]
    assert set(method.arguments) <= set(arguments["properties"])
    required = set(arguments.get("required", [])) - {"token"} - MISSING_HAS_A_CODE.get(method.name, set())
    assert set(method.required) == required


@every_method
def test_scopes_tier_and_json_are_the_documented_ones(fixtures_dir: Path, method: Method) -> None:
    spec = spec_of(fixtures_dir, method.name)
    assert set(method.scopes) == set((spec["scope"] or {}).get("bot", []))
    assert (method.tier or TIERLESS) == spec["rate_limits"]
    assert method.takes_json == bool(spec.get("json_input_supported"))


def test_the_bots_scopes_are_scopes_that_methods_or_events_document(fixtures_dir: Path) -> None:
    documented = {"commands"}
    for kind in ("methods", "events"):
        for file in (fixtures_dir / f"slack-api-ref/{kind}").glob("*.json"):
            scope = json.loads(file.read_text()).get("scope") or {}
            documented |= set(scope.get("bot", [])) if isinstance(scope, dict) else set(scope)
    assert set(BOT_SCOPES) - {"app_mentions:read"} <= documented


def test_every_method_succeeds_and_its_answer_has_the_documented_keys(fixtures_dir: Path, state: SlackState) -> None:
    answered = set()
    for name, given in successes(state):
        assert given.body["ok"] is True, (name, given.body)
        answered.add(name)
        spec = spec_of(fixtures_dir, name)
        output = spec.get("output") or {}
        if (name, "app_name" in given.body) == ("auth.test", True):
            continue
        assert set(output.get("required", [])) <= set(given.body), name
        allowed = {"ok", "warning", "response_metadata", *output.get("properties", {})}
        # The stored reference gives no output for some keys that the samples and examples of the same method have.
        allowed |= {key for example in spec.get("examples", {}).values() for key in example.get("example", {})}
        assert set(given.body) <= allowed, name
    assert answered == {method.name for method in METHODS}


def test_the_shapes_of_answers_are_those_of_real_ones(fixtures_dir: Path, state: SlackState) -> None:
    compared = set()
    for name, given in successes(state):
        file = fixtures_dir / f"slack-samples/api/{name}.json"
        if file.exists():
            compared.add(name)
            assert list(differences(given.body, json.loads(file.read_text()), name)) == []
    assert len(compared) >= 12


# Keys whose content is whatever an app put there, or differs by kind of block.
FREE = {"blocks", "elements", "accessory", "metadata", "state", "values"}
# Real answers have them; the blanked samples, merged from some traffic, happen not to.
UNSAMPLED = {
    "conversations.info.channel.user",
    "conversations.info.channel.is_user_deleted",
    "conversations.info.channel.priority",
}


def differences(ours: Any, real: Any, path: str) -> Iterator[str]:
    """Keys that real answers do not have, and values of another type than theirs."""
    if ours is None or path in UNSAMPLED:
        return
    if isinstance(real, dict):
        if not isinstance(ours, dict):
            yield f"{path}: {type(ours).__name__} for an object"
            return
        for key, value in ours.items():
            where = f"{path}.{key}"
            if where in UNSAMPLED or key in FREE:
                continue
            if key not in real:
                yield f"{where}: not in real answers"
            else:
                yield from differences(value, real[key], where)
    elif isinstance(real, list):
        if not isinstance(ours, list):
            yield f"{path}: {type(ours).__name__} for a list"
        elif real:
            for item in ours:
                yield from differences(item, real[0], f"{path}[]")
    elif type(ours) is not type(real) and not {type(ours), type(real)} <= {int, float}:
        yield f"{path}: {type(ours).__name__} for {type(real).__name__}"


def refusals() -> list[tuple[str, str, Callable[[SlackState], dict[str, Any]]]]:
    """Calls that go wrong: method, code, arguments."""
    return [
        ("chat.postMessage", "no_text", lambda state: {"channel": SUPPORT.id}),
        ("chat.postMessage", "channel_not_found", lambda state: {"channel": ESCALATIONS.id, "text": "x"}),
        (
            "chat.update",
            "cant_update_message",
            lambda state: {"channel": SUPPORT.id, "ts": state.say(ADA.id, SUPPORT.id, "x").ts, "text": "x"},
        ),
        ("chat.update", "message_not_found", lambda state: {"channel": SUPPORT.id, "ts": "1.000001", "text": "x"}),
        ("conversations.open", "users_list_not_supplied", lambda state: {}),
        ("conversations.open", "user_disabled", lambda state: {"users": GONE.id}),
        ("conversations.open", "method_not_supported_for_channel_type", lambda state: {"channel": SUPPORT.id}),
        ("conversations.history", "invalid_ts_oldest", lambda state: {"channel": SUPPORT.id, "oldest": "x"}),
        ("conversations.history", "invalid_arguments", lambda state: {"channel": SUPPORT.id, "limit": "x"}),
        ("conversations.list", "invalid_limit", lambda state: {"limit": "1000"}),
        ("users.conversations", "invalid_limit", lambda state: {"limit": "1000"}),
        ("users.conversations", "invalid_types", lambda state: {"types": "rooms"}),
        ("conversations.replies", "thread_not_found", lambda state: {"channel": SUPPORT.id, "ts": "1.000001"}),
        ("reactions.add", "no_item_specified", lambda state: {"name": "eyes"}),
        ("users.list", "invalid_cursor", lambda state: {"cursor": "x"}),
        ("views.update", "not_found", lambda state: {"view": MODAL}),
        ("oauth.v2.access", "invalid_code", lambda state: {"code": "1.2.3"}),
        ("oauth.v2.access", "invalid_grant_type", lambda state: {"grant_type": "password"}),
        ("oauth.v2.access", "invalid_refresh_token", lambda state: {"grant_type": "refresh_token"}),
        ("oauth.v2.access", "pkce_not_allowed", lambda state: {"code_verifier": "x"}),
        (
            "oauth.v2.access",
            "bad_redirect_uri",
            lambda state: {"code": issue_code(state, SANDBOX, frozenset(BOT_SCOPES), "https://connector.example.com/")},
        ),
    ]


@pytest.mark.parametrize(("name", "code", "arguments"), refusals())
def test_a_refusal_is_one_that_slack_documents(
    fixtures_dir: Path, state: SlackState, name: str, code: str, arguments: Callable[[SlackState], dict[str, Any]]
) -> None:
    given = ask(state, name, **arguments(state))
    assert (given.body["ok"], given.body["error"]) == (False, code)
    spec = spec_of(fixtures_dir, name)
    assert code in set(spec["errors"]) | DOCUMENTED_FOR_ALL


def test_every_code_in_the_methods_is_declared_by_one_of_them() -> None:
    raised: set[str] = set()
    for source in Path(payloads.__file__).parent.glob("*.py"):
        raised |= set(re.findall(r'RefusalError\(\s*"(\w+)"', source.read_text()))
    assert "channel_not_found" in raised
    assert raised <= {code for method in METHODS for code in method.errors} | COMMON_ERRORS


@pytest.mark.parametrize(
    ("file", "make"),
    [
        ("events/MemberJoinedChannel", lambda state: state.invite(RANDOM.id, inviter=ADA.id)),
        ("events/MemberLeftChannel", lambda state: state.remove(SUPPORT.id)),
        ("events/AppMention", lambda state: payloads.app_mention(state, ADA.id, SUPPORT.id, "hi")),
        ("events/AppUninstalled", lambda state: payloads.app_uninstalled(state, ELSEWHERE)),
        ("events/TokensRevoked", lambda state: payloads.tokens_revoked(state, ELSEWHERE)),
        ("events/AppHomeOpened", lambda state: payloads.app_home_opened(state, ADA.id)),
        ("app-backend/BlockActionPayload", lambda state: payloads.block_action(state, "a", ADA.id)),
    ],
)
def test_what_is_delivered_has_the_shape_of_the_real_thing(
    fixtures_dir: Path, state: SlackState, file: str, make: Callable[[SlackState], dict[str, Any]]
) -> None:
    ours = make(state)
    real = json.loads((fixtures_dir / f"slack-samples/{file}.json").read_text())
    real = real[0] if isinstance(real, list) else real
    # Merged from different years: newer envelopes carry these in every event.
    real = {"context_team_id": "", "context_enterprise_id": "", **real}
    assert list(differences(ours, real, file)) == []


def test_a_slash_command_has_the_fields_of_the_real_thing(fixtures_dir: Path, state: SlackState) -> None:
    ours = payloads.slash_command(state, "list", ADA.id, SUPPORT.id)
    real = json.loads((fixtures_dir / "slack-samples/app-backend/SlashCommandPayload.json").read_text())
    assert set(ours) <= set(real)


@pytest.mark.parametrize("name", ["app.app_mention_event_body", "events_socket_mode.app_mention_body"])
def test_event_envelopes_agree_with_bolts_own(fixtures_dir: Path, state: SlackState, name: str) -> None:
    theirs = json.loads((fixtures_dir / f"slack-inbound/{name}.json").read_text())
    ours = payloads.app_mention(state, ADA.id, SUPPORT.id, "hi")
    assert set(theirs) - set(ours) <= {"enterprise_id", "authed_users"}
    assert set(theirs["event"]) - set(ours["event"]) <= {"client_msg_id"}


def test_block_actions_agree_with_bolts_own(fixtures_dir: Path, state: SlackState) -> None:
    theirs = json.loads((fixtures_dir / "slack-inbound/block_actions.body.json").read_text())
    said = state.say(ADA.id, SUPPORT.id, "x")
    ours = payloads.block_action(state, "a", ADA.id, value="v", channel_id=SUPPORT.id, message_ts=said.ts)
    assert set(theirs) <= set(ours)
    assert set(theirs["container"]) <= set(ours["container"])
    assert set(theirs["actions"][0]) <= set(ours["actions"][0])


def test_signatures_are_slacks(fixtures_dir: Path) -> None:
    for known in json.loads((fixtures_dir / "slack-signature/vectors.json").read_text()):
        assert sign(known["signing_secret"], known["timestamp"], known["body"].encode()) == known["signature"]
