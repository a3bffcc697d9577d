"""The Home tab, whole: what an admin sees, what a member sees, what a guest sees."""

from __future__ import annotations

from typing import Any

import pytest
import sample_views as sample

from bolt_app.views.home import HomeState, home, refused_home

WHEN = "<!date^1795421730^{date_short_pretty} {time}|2026-11-23 08:15 UTC>"


def text(words: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": words}


def plain(words: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": words, "emoji": False}


def section(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": text(words), **more}


def header(words: str) -> dict[str, Any]:
    return {"type": "header", "text": plain(words)}


def button(words: str, action_id: str, value: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "button",
        "action_id": action_id,
        "text": {"type": "plain_text", "text": words},
        "value": value,
        **more,
    }


def context(words: str) -> dict[str, Any]:
    return {"type": "context", "elements": [text(words)]}


LINE = {"type": "divider"}
LAST = context(
    "`/action-flows help` says what else there is. To let flows post in a channel, type there:"
    " `/invite @Zendesk Connector`"
)
ASK = {
    "title": plain("Are you sure?"),
    "text": plain("Notify agents of newly assigned tickets then starts on nothing until it is switched on again."),
    "confirm": plain("Yes"),
    "deny": plain("No"),
}


@pytest.fixture
def state() -> HomeState:
    return HomeState(
        connections=sample.CONNECTIONS,
        flows=[sample.FLOW],
        runs=[sample.RUN],
        more_runs=False,
        database="ok",
        poll="ok",
        admin=True,
    )


def for_member(state: HomeState) -> HomeState:
    return HomeState(**{**vars(state), "admin": False})


def test_what_an_admin_sees(state: HomeState) -> None:
    since = "<!date^1790838000^{date_short_pretty} {time}|2026-10-01 07:00 UTC>"
    later = "<!date^1790838300^{date_short_pretty} {time}|2026-10-01 07:05 UTC>"
    key, run = sample.KEY, sample.RUN_ID
    assert home(state) == {
        "type": "home",
        "blocks": [
            header("Zendesk Connector"),
            section("Runs action flows between Zendesk and Slack."),
            header("Connections"),
            section(":large_green_circle: *Slack* · Acme Support · healthy"),
            context(f"acts as <@U0BOT00001> · since {since} · scopes: chat:write, commands"),
            section(
                ":red_circle: *Zendesk* · acme.zendesk.com · `unauthorized` Zendesk refused the credentials:"
                " invalid_client. Check the OAuth client in Admin Center."
            ),
            context(f"acts as connector@acme.example · since {later} · scopes: read"),
            LINE,
            header("Action flows"),
            section(
                f":large_green_circle: *Notify agents of newly assigned tickets*   `{key}`\n"
                f"active · when: Ticket agent assignment changed\nlast run {WHEN}: :x: failed (`users_not_found`)"
            ),
            {
                "type": "actions",
                "elements": [
                    button("Switch off", "flow_deactivate", key, confirm=ASK),
                    button("Test…", "flow_test", key),
                    button("Runs", "flow_runs", key),
                    button("Details", "flow_show", key),
                ],
            },
            LINE,
            header("Last runs"),
            section(
                f":x: `{key}`  failed · {WHEN} · 320 ms · `users_not_found`\nSlack knows nobody with the address"
                " lin@example.com. Check that the e-mail address is that of an active Slack account."
            ),
            {"type": "actions", "elements": [button("Details", "run_show", run), button("Retry", "run_retry", run)]},
            LINE,
            LAST,
        ],
    }


def test_what_a_member_sees(state: HomeState) -> None:
    blocks = home(for_member(state))["blocks"]
    key = sample.KEY
    assert blocks[-6:] == [
        {"type": "actions", "elements": [button("Runs", "flow_runs", key), button("Details", "flow_show", key)]},
        LINE,
        header("Last runs"),
        section(f":x: `{key}`  failed · {WHEN} · 320 ms · `users_not_found`"),
        LINE,
        LAST,
    ]
    assert "scopes" not in str(blocks)


def test_what_a_guest_sees() -> None:
    assert refused_home("Not for guests.") == {"type": "home", "blocks": [section("Not for guests.")]}


def test_what_is_wrong_stands_at_the_top(state: HomeState) -> None:
    broken = HomeState(**{**vars(state), "database": "disk I/O error", "poll": "forbidden"})
    assert home(broken)["blocks"][2:4] == [
        section(":red_circle: The database does not work: disk I/O error. Zendesk is asked to send again."),
        section(":warning: Zendesk's export cannot be read (`forbidden`): lost webhooks are not made up for."),
    ]


def test_nothing_yet(state: HomeState) -> None:
    empty = HomeState(**{**vars(state), "connections": [], "flows": [], "runs": []})
    words = [block["text"]["text"] for block in home(empty)["blocks"] if block["type"] == "section"][1:]
    assert words == ["Nothing is connected yet.", "There is no action flow yet.", "Nothing has run yet."]


def test_more_flows_than_slack_shows_are_counted(state: HomeState) -> None:
    many = HomeState(**{**vars(state), "flows": [sample.FLOW | {"key": f"flow-{number}"} for number in range(80)]})
    blocks = home(many)["blocks"]
    shown = sum(block["type"] == "actions" and len(block["elements"]) == 4 for block in blocks)
    assert context(f"… {80 - shown} more: `/action-flows list`") in blocks
    assert shown > 20
