"""The other views: what stands where, for whom."""

from __future__ import annotations

import json
from typing import Any

import sample_views as sample

from bolt_app.views import ids, testing
from bolt_app.views.connections import status
from bolt_app.views.flows import flow_list, flow_shown
from bolt_app.views.help import invitation_needed, mention_help, welcome
from bolt_app.views.runs import run_list, run_modal
from bolt_app.views.words import cut, took


def buttons(content: dict[str, Any]) -> dict[str, str]:
    """The buttons by action id, with their values."""
    found: dict[str, str] = {}
    for block in content["blocks"]:
        for element in [*block.get("elements", []), *([block["accessory"]] if "accessory" in block else [])]:
            if element.get("type") == "button":
                found[element["action_id"]] = element["value"]
    return found


def texts(content: dict[str, Any]) -> list[str]:
    return [block["text"]["text"] for block in content["blocks"] if block["type"] == "section"]


def test_a_list_of_flows_turns_its_pages() -> None:
    flows = [sample.FLOW | {"key": f"flow-{number:02}"} for number in range(20)]
    first, second, last = (flow_list(flows, offset=offset, admin=True) for offset in (0, 8, 16))
    assert buttons(first)[ids.FLOWS_PAGE + ids.NEXT] == '{"flow": null, "offset": 8}'
    assert ids.FLOWS_PAGE not in buttons(first)
    assert buttons(second)[ids.FLOWS_PAGE] == '{"flow": null, "offset": 0}'
    assert len(texts(last)) == 4
    assert ids.FLOWS_PAGE + ids.NEXT not in buttons(last)
    assert texts(flow_list(flows, offset=999, admin=True)) == texts(first)


def test_a_flow_whose_file_decides_has_no_switch_and_one_that_cannot_run_no_test() -> None:
    decided = buttons(flow_shown(sample.OTHER_FLOW, admin=True))
    assert set(decided) == {ids.FLOW_TEST, ids.FLOW_RUNS}
    deleted = sample.FLOW | {"version": 0, "trigger": None, "trigger_title": None, "problem": None}
    broken = deleted | {"problem": "line 3: 'steps' is missing"}
    assert set(buttons(flow_list([broken], offset=0, admin=True))) == {ids.FLOW_RUNS, ids.FLOW_SHOW}
    assert "cannot start: its file is wrong" in json.dumps(flow_shown(broken, admin=True))
    left = flow_list([deleted], offset=0, admin=True)
    assert set(buttons(left)) == {ids.FLOW_RUNS, ids.FLOW_SHOW}
    assert "was deleted, and has runs that have not ended" in json.dumps(left)


def test_a_members_flow_has_no_file_source_or_switch() -> None:
    shown = json.dumps(flow_shown(sample.FLOW, admin=False))
    for secret in ("recipe", "key: notify", ids.FLOW_TEST, ids.FLOW_DEACTIVATE):
        assert secret not in shown


def test_a_members_runs_tell_the_code_alone() -> None:
    runs = [sample.RUN, sample.GOOD_RUN | {"note": "ended before 'assignee'"}]
    member, admin = (run_list(runs, flow=None, offset=0, more=False, admin=admin) for admin in (False, True))
    assert buttons(member) == {}
    assert "users_not_found" in json.dumps(member)
    for told in ("lin@example.com", "active Slack account", "ended before"):
        assert told not in json.dumps(member)
        assert told in json.dumps(admin)


def test_a_run_in_a_modal() -> None:
    view = run_modal(sample.RUN)
    assert (view["type"], view["title"]["text"], view["close"]["text"]) == ("modal", "Run", "Close")
    when = "<!date^1795421730^{date_short_pretty} {time}|2026-11-23 08:15 UTC>"
    assert texts(view) == [
        f":x: *failed*  `{sample.KEY}` version 1 · {when} · 320 ms\nevent `01KB4Q7E2V8Z9`",
        '• ticket_id: 4021\n• assignee_id: 9001\n• tags: ["grinder"]',
        ":white_check_mark: *ticket* · `zendesk.look_up_ticket` · succeeded · 120 ms",
        # What comes out as it went in is said once; nothing of a ticket is markup.
        "in\n• ticket_id: 4021\nout\n• subject: Grinder <!channel> won't start\n• priority: high",
        ":x: *notify* · `slack.send_direct_message` · failed · 320 ms · 2 attempts",
        # A message as its reader sees it.
        "in\n• email: lin@example.com\n• message: Hi Lin,\n\nTicket 4021 <!channel> is yours.",
        "`users_not_found`  Slack knows nobody with the address lin@example.com. Check that the e-mail address is that"
        " of an active Slack account.",
    ]
    dumps = [block["text"]["type"] for block in view["blocks"] if block["type"] == "section"]
    assert dumps == ["mrkdwn", "plain_text", "mrkdwn", "plain_text", "mrkdwn", "plain_text", "mrkdwn"]
    assert buttons(view) == {ids.RUN_RETRY: sample.RUN_ID}
    assert buttons(run_modal(sample.GOOD_RUN)) == {}


def test_the_form_of_a_test_has_the_dry_run_chosen() -> None:
    variables = [{"name": "priority", "type": "text", "description": ""}]
    view = testing.form(sample.FLOW, variables=variables)
    ticket, changes, how = (block for block in view["blocks"] if block["type"] == "input")
    assert (ticket["block_id"], ticket.get("optional")) == ("ticket", None)
    assert (changes["block_id"], changes["optional"]) == ("changes", True)
    assert how["element"]["initial_option"]["value"] == "dry"
    assert "priority" in changes["hint"]["text"]
    assert json.loads(view["private_metadata"]) == {"flow": sample.KEY}
    assert (view["callback_id"], view["submit"]["text"]) == (ids.TEST_FORM, "Test")


def test_what_is_typed_into_the_form_comes_through_the_warning() -> None:
    view = testing.warning(sample.FLOW, ticket="4021", changes='subject: "Ünicode"\npriority: high')
    assert json.loads(view["private_metadata"]) == {
        "flow": sample.KEY,
        "ticket": "4021",
        "changes": 'subject: "Ünicode"\npriority: high',
    }
    assert (view["callback_id"], view["submit"]["text"]) == (ids.TEST_WARNING, "Send for real")


def test_the_status_says_whether_all_is_well() -> None:
    how: dict[str, Any] = {"poll": None, "flows_active": 1, "flows": 2, "waiting": 1}
    fine = [connection | {"status": "ok"} for connection in sample.CONNECTIONS]
    assert status(fine, database="ok", problems=[], **how)["text"] == "All is well"
    for message in (
        status(sample.CONNECTIONS, database="ok", problems=[], **how),
        status(fine, database="not_writable", problems=[], **how),
        status(fine, database="ok", problems=["own: line 1"], **how),
        status([], database="ok", problems=[], **how),
    ):
        assert message["text"] == "Not all is well"


def test_a_welcome_has_two_lines() -> None:
    assert welcome(channel_name="support", posting=[], choosing=0)["text"].splitlines() == [
        "Thank you. I post in #support when an action flow says so, and read only the messages a flow asks for.",
        "No active action flow names this channel yet.",
    ]
    assert welcome(channel_name=None, posting=["A", "B"], choosing=2)["text"].splitlines()[1] == (
        "Active action flows that post here: *A*, *B*; 2 choose the channel when running."
    )


def test_who_is_asked_for_an_invitation_sees_the_line_to_type() -> None:
    for channel, shown in (("#support", "#support"), ("C0SUPPORT1", "<#C0SUPPORT1>"), ("#<!here>", "#&lt;!here&gt;")):
        text = invitation_needed(flow="Urgent", channel=channel)
        assert f"wants to post in {shown}," in text
        assert "`/invite @Zendesk Connector`" in text


def test_a_mention_is_answered_with_the_command() -> None:
    assert "`/action-flows help`" in mention_help()["text"]


def test_times_and_cuts() -> None:
    at = "2026-11-23T08:15:30.000000Z"
    later = ("2026-11-23T08:15:30.120000Z", "2026-11-23T08:15:33.200000Z", "2026-11-23T08:19:30.000000Z")
    assert [took(at, end) for end in later] == ["120 ms", "3.2 s", "4 min"]
    assert took(at, "2026-11-23T13:18:30.000000Z") == "5 h 3 min"
    assert took(at, "2026-11-25T12:15:30.000000Z") == "2 d 4 h"
    assert took(at, None) == ""
    assert took(later[0], at) == "0 ms"  # the clock was set back
    assert cut("abc &amp; d", 7) == "abc …"
    assert cut("see <https://a.example|b> now", 12) == "see …"
    assert cut("abc", 3) == "abc"
