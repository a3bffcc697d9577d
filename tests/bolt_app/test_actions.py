"""The Slack actions as a flow uses them: what people see in Slack, and which variables later steps get."""

import time
from collections.abc import AsyncIterator
from typing import Any, get_type_hints

import pytest
from remembering import NothingRemembered

from bolt_app.actions import ACTIONS
from bolt_app.client import SlackClient
from bolt_app.sandbox import Fault, SlackServer
from bolt_app.sandbox.people import ADA, BOT_USER_ID, ESCALATIONS, GONE, NOOR, OLD_NEWS, RANDOM, SLACKBOT, SUPPORT
from bolt_app.text import escape, inserted
from zendesk_bridge.flows.catalog import Action, Catalog, Connector, Identity, Once, dumped
from zendesk_bridge.flows.errors import ConnectorError, FlowError, NeedsInvite, Permanent, Uncertain

Outputs = dict[str, Any]


@pytest.fixture
async def server() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture
async def slack(server: SlackServer) -> AsyncIterator[SlackClient]:
    client = SlackClient(token="xoxb-sandbox", base_url=server.url, memory=NothingRemembered())
    await client.start()
    yield client
    await client.close()


@pytest.fixture
def catalog(slack: SlackClient) -> Catalog:
    async def identify() -> Identity:
        raise NotImplementedError

    connector = Connector(service="slack", title="Slack", client=slack, identify=identify, actions=ACTIONS)
    return Catalog([connector])


class Doing:
    """Does actions as the engine does: inputs are checked, outputs recorded as JSON."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    async def __call__(self, name: str, /, **inputs: Any) -> Outputs:
        return await self._call("function", name, inputs)

    async def find(self, name: str, /, **inputs: Any) -> Outputs:
        return await self._call("find", name, inputs)

    async def error(self, name: str, /, **inputs: Any) -> ConnectorError:
        with pytest.raises(ConnectorError) as caught:
            await self(name, **inputs)
        return caught.value

    async def _call(self, what: str, name: str, inputs: dict[str, Any]) -> Outputs:
        action = self.action(name)
        once = {"once": inputs.pop("once")} if "once" in inputs else {}
        result = await getattr(action, what)(self.catalog.client("slack"), **action.validate(inputs), **once)
        return {} if result is None else action.restore(dumped(result))

    def action(self, name: str) -> Action:
        action = self.catalog.action(f"slack.{name}")
        assert action is not None
        return action


@pytest.fixture
def do(catalog: Catalog) -> Doing:
    return Doing(catalog)


def once(key: str = "k1") -> Once:
    return Once(key=key, begun_at=time.time())


# How they are declared


def test_the_seven_actions_have_the_documented_inputs_and_outputs(do: Doing) -> None:
    declared = {
        action.id.removeprefix("slack."): (
            action.effect,
            {each.name for each in action.inputs},
            [each.name for each in action.outputs],
        )
        for action in do.catalog.actions.values()
    }
    posted = ["channel", "ts", "ok", "permalink"]
    details = ["text", "user", "markup", "ts", "thread_ts", "reactions", "files", "edited", "permalink"]
    assert declared == {
        "post_message_to_channel": ("create", {"channel", "message"}, posted),
        "send_direct_message": ("create", {"email", "message"}, [*posted, "user_id", "message"]),
        "reply_in_thread": ("create", {"channel", "email", "thread_ts", "message"}, [*posted, "thread_ts"]),
        "fetch_thread_messages": ("read", {"channel", "thread_ts", "reply_ts"}, ["messages"]),
        "add_reaction": ("set", {"channel", "name", "timestamp"}, ["success"]),
        "fetch_message": ("read", {"channel", "timestamp"}, details),
        "find_user": (
            "read",
            {"user_id", "email"},
            ["display_name", "email", "real_name", "user_id", "mention"],
        ),
    }


def test_everything_is_described_for_the_people_who_write_flows(do: Doing) -> None:
    for action in do.catalog.actions.values():
        assert action.description.count(".") >= 2
        assert all(each.description.endswith(".") for each in (*action.inputs, *action.outputs)), action.id


def test_what_makes_something_can_be_looked_up(do: Doing) -> None:
    for action in do.catalog.actions.values():
        assert (action.find is not None) == (action.effect == "create")


def test_direct_messages_go_by_both_names(do: Doing) -> None:
    assert do.action("post_direct_message") is do.action("send_direct_message")


def test_only_messages_take_inserted_values_escaped(do: Doing) -> None:
    inserting = {
        (action.title, each.name): each.insert
        for action in do.catalog.actions.values()
        for each in action.inputs
        if each.insert
    }
    assert set(inserting.values()) == {inserted}
    assert {name for _, name in inserting} == {"message"}
    assert len(inserting) == 3


# Posting in a channel


async def test_a_message_appears_in_the_channel(server: SlackServer, do: Doing) -> None:
    outputs = await do("post_message_to_channel", channel=SUPPORT.id, message="*New* ticket", once=once())
    (message,) = server.state.posted()
    assert (message.channel, message.text) == (SUPPORT.id, "*New* ticket")
    assert outputs == {
        "channel": SUPPORT.id,
        "ts": message.ts,
        "ok": True,
        "permalink": server.state.permalink(message),
    }


@pytest.mark.parametrize("name", ["support", "#support", " #support\n", "Support", "#SUPPORT"])
async def test_a_channels_name_is_as_good_as_its_id(server: SlackServer, do: Doing, name: str) -> None:
    assert (await do("post_message_to_channel", channel=name, message="hi"))["channel"] == SUPPORT.id
    assert server.state.calls_to("chat.postMessage")[0].arguments["channel"] == SUPPORT.id


async def test_a_name_in_capitals_is_no_id(server: SlackServer, do: Doing) -> None:
    channels = [server.state.add_channel(name) for name in ("gdpr", "customers")]
    for name, channel in zip(("GDPR", "#CUSTOMERS"), channels, strict=True):
        assert (await do("post_message_to_channel", channel=name, message="hi"))["channel"] == channel.id


@pytest.mark.parametrize("name", ["été", "e\u0301te\u0301", "ÉTÉ"])
async def test_a_name_is_the_same_however_its_letters_are_written(server: SlackServer, do: Doing, name: str) -> None:
    channel = server.state.add_channel("été", is_private=True)
    assert (await do("post_message_to_channel", channel=f"#{name}", message="hi"))["channel"] == channel.id


@pytest.mark.parametrize(
    ("channel", "why"),
    [
        ("", "is needed"),
        (" # ", "is needed"),
        (NOOR.id, "is a person"),
        ("noor@example.com", "is a person"),
        ("@noor", "is a person"),
        ("our support", "no channel's name"),
        ("<#C0SUPPORT1|support>", "no channel's name"),
        ("support, random", "no channel's name"),
        ("support\ud800", "no channel's name"),
        ("x" * 81, "no channel's name"),
    ],
)
async def test_what_names_no_channel_is_refused_before_anything_is_called(
    server: SlackServer, do: Doing, channel: str, why: str
) -> None:
    problem = await do.error("post_message_to_channel", channel=channel, message="hi")
    assert isinstance(problem, FlowError)
    assert "'channel'" in problem.message
    assert why in problem.message
    assert server.state.calls == []


async def test_a_post_to_a_name_waits_for_the_invitation(server: SlackServer, do: Doing) -> None:
    for action in ("post_message_to_channel", "reply_in_thread"):
        problem = await do.error(action, channel="Escalations", message="hi")
        assert isinstance(problem, NeedsInvite)
        assert problem.channel == "#escalations"
    server.state.invite(ESCALATIONS.id)
    await do("post_message_to_channel", channel="escalations", message="hi")
    assert [message.channel for message in server.state.posted()] == [ESCALATIONS.id]


async def test_a_post_waits_for_the_invitation(server: SlackServer, do: Doing) -> None:
    problem = await do.error("post_message_to_channel", channel=RANDOM.id, message="hi")
    assert isinstance(problem, NeedsInvite)
    server.state.invite(RANDOM.id)
    await do("post_message_to_channel", channel=RANDOM.id, message="hi")
    assert len(server.state.posted()) == 1


async def test_an_archived_channel_takes_no_post(do: Doing) -> None:
    problem = await do.error("post_message_to_channel", channel=OLD_NEWS.id, message="hi")
    assert (type(problem), problem.code) == (Permanent, "is_archived")


@pytest.mark.parametrize("channel", [SUPPORT.id, "#support"])
async def test_a_post_whose_answer_was_lost_is_found(server: SlackServer, do: Doing, channel: str) -> None:
    mark, inputs = once(), {"channel": channel, "message": "hi"}
    assert await do.find("post_message_to_channel", **inputs, once=mark) == {}
    server.state.faults.append(Fault(method="chat.postMessage", kind="http_after"))
    with pytest.raises(Uncertain):
        await do("post_message_to_channel", **inputs, once=mark)
    found = await do.find("post_message_to_channel", **inputs, once=mark)
    (message,) = server.state.posted()
    assert found == {
        "channel": SUPPORT.id,
        "ts": message.ts,
        "ok": True,
        "permalink": server.state.permalink(message),
    }


@pytest.mark.parametrize("name", ["post_message_to_channel", "send_direct_message", "reply_in_thread"])
async def test_what_was_posted_has_the_fields_that_the_action_declares_in_their_order(do: Doing, name: str) -> None:
    to = {"email": "noor@example.com"} if name == "send_direct_message" else {"channel": "#support"}
    outputs = await do(name, **to, message="hi")
    (model,) = (
        mark.model for mark in get_type_hints(do.action(name).function, include_extras=True)["return"].__metadata__
    )
    assert list(outputs) == [output.name for output in do.action(name).outputs]
    assert list(outputs.items()) == list(model.model_validate(outputs, strict=True).model_dump(mode="json").items())


# Direct messages


async def test_a_person_gets_a_direct_message(server: SlackServer, do: Doing) -> None:
    outputs = await do("send_direct_message", email="noor@example.com", message="Hi Noor", once=once())
    (message,) = server.state.messages_to(NOOR.id)
    assert message.text == "Hi Noor"
    assert outputs["message"] == server.state.shown(message, full_metadata=True)
    assert {name: outputs[name] for name in ("channel", "ts", "ok", "user_id", "permalink")} == {
        "channel": message.channel,
        "ts": message.ts,
        "ok": True,
        "user_id": NOOR.id,
        "permalink": server.state.permalink(message),
    }


async def test_a_direct_message_whose_answer_was_lost_is_found(server: SlackServer, do: Doing) -> None:
    mark, inputs = once(), {"email": "noor@example.com", "message": "hi"}
    server.state.faults.append(Fault(method="chat.postMessage", kind="drop_after"))
    with pytest.raises(Uncertain):
        await do("send_direct_message", **inputs, once=mark)
    found = await do.find("send_direct_message", **inputs, once=mark)
    (message,) = server.state.messages_to(NOOR.id)
    assert (found["ts"], found["channel"], found["user_id"]) == (message.ts, message.channel, NOOR.id)
    assert found["message"]["text"] == "hi"


async def test_nobody_active_has_that_address(server: SlackServer, do: Doing) -> None:
    problem = await do.error("send_direct_message", email=GONE.email, message="hi")
    assert problem.as_json()["code"] == "users_not_found"
    assert "e-mail" in problem.hint
    assert server.state.posted() == []


@pytest.mark.parametrize(
    "email", ["", "  ", "noor", "@example.com", "noor@", "a b@example.com", "a@b\ud800", "a\x00@b.c"]
)
async def test_what_is_no_address_is_refused_before_anything_is_called(
    server: SlackServer, do: Doing, email: str
) -> None:
    problem = await do.error("send_direct_message", email=email, message="hi")
    assert isinstance(problem, FlowError)
    assert "'email'" in problem.message
    assert server.state.calls == []


# Threads


async def test_a_message_opens_a_thread_and_replies_stay_in_it(server: SlackServer, do: Doing) -> None:
    first = await do("reply_in_thread", channel=SUPPORT.id, message="opens")
    second = await do("reply_in_thread", channel=SUPPORT.id, message="follows", thread_ts=first["ts"])
    third = await do("reply_in_thread", channel=SUPPORT.id, message="too", thread_ts=second["ts"])
    assert first["thread_ts"] == second["thread_ts"] == third["thread_ts"] == first["ts"]
    thread = server.state.thread(SUPPORT.id, first["ts"])
    assert [message.text for message in thread] == ["opens", "follows", "too"]
    assert third["permalink"] == server.state.permalink(thread[2])


async def test_a_reply_to_somebodys_reply_is_not_misplaced(server: SlackServer, do: Doing) -> None:
    parent = server.state.say(ADA.id, SUPPORT.id, "help")
    reply = server.state.say(NOOR.id, SUPPORT.id, "looking", thread_ts=parent.ts)
    outputs = await do("reply_in_thread", channel=SUPPORT.id, message="done", thread_ts=reply.ts)
    assert (outputs["thread_ts"], server.state.posted()[0].thread_ts) == (parent.ts, parent.ts)


async def test_a_reply_among_direct_messages_goes_by_the_address(server: SlackServer, do: Doing) -> None:
    first = await do("reply_in_thread", email="noor@example.com", message="opens")
    await do("reply_in_thread", email="noor@example.com", message="follows", thread_ts=first["ts"])
    thread = server.state.thread(first["channel"], first["ts"])
    assert [message.text for message in thread] == ["opens", "follows"]
    assert thread == server.state.messages_to(NOOR.id)


@pytest.mark.parametrize("where", [{"channel": SUPPORT.id}, {"channel": "support"}, {"email": "noor@example.com"}])
@pytest.mark.parametrize("in_thread", [True, False])
async def test_a_reply_whose_answer_was_lost_is_found(
    server: SlackServer, do: Doing, where: dict[str, str], in_thread: bool
) -> None:
    first = await do("reply_in_thread", **where, message="opens")
    inputs = {**where, "message": "follows", **({"thread_ts": first["ts"]} if in_thread else {})}
    mark = once()
    server.state.faults.append(Fault(method="chat.postMessage", kind="half_body"))
    with pytest.raises(Uncertain):
        await do("reply_in_thread", **inputs, once=mark)
    found = await do.find("reply_in_thread", **inputs, once=mark)
    message = server.state.posted()[1]
    assert (found["ts"], found["thread_ts"]) == (message.ts, first["ts"] if in_thread else message.ts)
    assert len(server.state.posted()) == 2


async def test_a_thread_that_is_gone_takes_no_reply(server: SlackServer, do: Doing) -> None:
    problem = await do.error("reply_in_thread", channel=SUPPORT.id, message="x", thread_ts="1503435956.000247")
    assert (type(problem), problem.code) == (Permanent, "thread_not_found")
    assert server.state.posted() == []


@pytest.mark.parametrize("where", [{}, {"channel": SUPPORT.id, "email": "noor@example.com"}])
async def test_a_reply_goes_to_a_channel_or_a_person(server: SlackServer, do: Doing, where: dict[str, str]) -> None:
    problem = await do.error("reply_in_thread", message="x", **where)
    assert (type(problem), problem.code) == (Permanent, "invalid_input")
    assert "exactly one of channel and email" in problem.hint
    assert server.state.calls == []


async def test_all_messages_of_a_thread_are_fetched_as_plain_text(server: SlackServer, do: Doing) -> None:
    parent = server.state.say(ADA.id, SUPPORT.id, "R&amp;D &lt;b&gt;")
    reply = server.state.say(NOOR.id, SUPPORT.id, "ok", thread_ts=parent.ts)
    (first, second) = (await do("fetch_thread_messages", channel=SUPPORT.id, thread_ts=parent.ts))["messages"]
    assert first == {
        "ts": parent.ts,
        "user": ADA.id,
        "text": "R&D <b>",
        "markup": "R&amp;D &lt;b&gt;",
        "permalink": server.state.permalink(parent),
    }
    assert (second["text"], second["permalink"]) == ("ok", server.state.permalink(reply))
    only = await do("fetch_thread_messages", channel=SUPPORT.id, thread_ts=parent.ts, reply_ts=reply.ts)
    assert only["messages"] == [second]


# Reactions and single messages


async def test_a_reaction_is_added_once_and_twice_is_success(server: SlackServer, do: Doing) -> None:
    said = server.state.say(ADA.id, SUPPORT.id, "done")
    for name in ("white_check_mark", ":white_check_mark:"):
        outputs = await do("add_reaction", channel=SUPPORT.id, name=name, timestamp=said.ts)
        assert outputs == {"success": True}
    assert said.reactions == {"white_check_mark": [BOT_USER_ID]}
    problem = await do.error("add_reaction", channel=SUPPORT.id, name="no_such_emoji", timestamp=said.ts)
    assert (type(problem), problem.code) == (Permanent, "invalid_name")


async def test_a_message_is_fetched_with_its_details(server: SlackServer, do: Doing) -> None:
    said = server.state.say(ADA.id, SUPPORT.id, "R&amp;D")
    said.reactions["eyes"] = [NOOR.id]
    said.edited_at = "1503435957.000000"
    assert await do("fetch_message", channel=SUPPORT.id, timestamp=said.ts) == {
        "text": "R&D",
        "user": ADA.id,
        "markup": "R&amp;D",
        "ts": said.ts,
        "thread_ts": None,
        "reactions": [{"name": "eyes", "users": [NOOR.id], "count": 1}],
        "files": [],
        "edited": True,
        "permalink": server.state.permalink(said),
    }


async def test_a_message_in_a_thread_is_fetched_too(server: SlackServer, do: Doing) -> None:
    parent = server.state.say(ADA.id, SUPPORT.id, "help")
    reply = server.state.say(NOOR.id, SUPPORT.id, "looking", thread_ts=parent.ts)
    outputs = await do("fetch_message", channel=SUPPORT.id, timestamp=reply.ts)
    assert (outputs["text"], outputs["thread_ts"], outputs["edited"]) == ("looking", parent.ts, False)
    assert outputs["permalink"] == server.state.permalink(reply)


async def test_a_neighbours_message_is_never_fetched_instead(server: SlackServer, do: Doing) -> None:
    said = [server.state.say(ADA.id, SUPPORT.id, str(number)) for number in range(3)]
    server.state.delete_message(SUPPORT.id, said[1].ts)
    problem = await do.error("fetch_message", channel=SUPPORT.id, timestamp=said[1].ts)
    assert (type(problem), problem.code) == (Permanent, "message_not_found")


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("fetch_message", {"timestamp": "1.000001"}),
        ("fetch_thread_messages", {"thread_ts": "1.000001"}),
        ("add_reaction", {"name": "eyes", "timestamp": "1.000001"}),
        ("reply_in_thread", {"message": "x", "thread_ts": "1.000001"}),
    ],
)
async def test_where_slack_takes_ids_only_a_name_is_as_good(
    server: SlackServer, do: Doing, name: str, inputs: dict[str, str]
) -> None:
    said = server.state.say(ADA.id, SUPPORT.id, "help")
    given = {key: said.ts if value == "1.000001" else value for key, value in inputs.items()}
    await do(name, channel="#support", **given)
    asked = [call.arguments["channel"] for call in server.state.calls if "channel" in call.arguments]
    assert set(asked) == {SUPPORT.id}
    assert isinstance(await do.error(name, channel="#nowhere", **given), NeedsInvite)


async def test_permalinks_of_what_was_fetched_by_name_have_the_id(server: SlackServer, do: Doing) -> None:
    said = server.state.say(ADA.id, SUPPORT.id, "help")
    fetched = await do("fetch_message", channel="support", timestamp=said.ts)
    thread = await do("fetch_thread_messages", channel="support", thread_ts=said.ts)
    assert fetched["permalink"] == thread["messages"][0]["permalink"] == server.state.permalink(said)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("fetch_message", {"timestamp": 1503435956.0002}),
        ("fetch_thread_messages", {"thread_ts": 1503435956.0002}),
        ("add_reaction", {"name": "eyes", "timestamp": 1503435956.0002}),
        ("reply_in_thread", {"message": "x", "thread_ts": 1503435956.0002}),
    ],
)
async def test_a_ts_written_as_a_number_is_refused_with_the_reason(
    do: Doing, name: str, inputs: dict[str, object]
) -> None:
    problem = await do.error(name, channel=SUPPORT.id, **inputs)
    assert isinstance(problem, FlowError)
    assert "put it in quotes: a bare number loses its zeros" in problem.message


# People


@pytest.mark.parametrize("by", [{"user_id": NOOR.id}, {"email": "noor@example.com"}])
async def test_somebody_is_found_by_id_or_address(do: Doing, by: dict[str, str]) -> None:
    assert await do("find_user", **by) == {
        "display_name": "noor",
        "email": "noor@example.com",
        "real_name": "Noor Haddad",
        "user_id": NOOR.id,
        "mention": f"<@{NOOR.id}>",
    }


async def test_a_mention_from_the_history_still_mentions(server: SlackServer, do: Doing) -> None:
    mention = (await do("find_user", user_id=NOOR.id))["mention"]
    await do("post_message_to_channel", channel=SUPPORT.id, message=f"{escape(mention)}: {escape('<!here>')}")
    assert server.state.posted()[0].text == f"<@{NOOR.id}>: &lt;!here&gt;"


async def test_somebody_without_an_address_is_found_too(do: Doing) -> None:
    outputs = await do("find_user", user_id=SLACKBOT.id)
    assert (outputs["real_name"], outputs["email"]) == ("Slackbot", None)


@pytest.mark.parametrize(
    ("by", "code"),
    [
        ({"user_id": "U0NOBODY01"}, "user_not_found"),
        ({"email": "nobody@example.com"}, "users_not_found"),
        ({}, "invalid_input"),
        ({"user_id": NOOR.id, "email": "noor@example.com"}, "invalid_input"),
        ({"user_id": "noor"}, "invalid_input"),
    ],
)
async def test_nobody_is_found_and_the_error_says_why(do: Doing, by: dict[str, str], code: str) -> None:
    assert (await do.error("find_user", **by)).code == code
