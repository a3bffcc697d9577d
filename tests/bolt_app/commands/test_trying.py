"""`flows test`: what it starts from, the simulated run, and the messages as Slack shows them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bolt_app.commands import sandbox, simulation
from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import BEN, NOOR
from bolt_app.server import Connector
from zendesk_bridge.sandbox import ZendeskServer, people
from zendesk_bridge.sandbox.webhooks import body_of

Type = Callable[..., Awaitable[Any]]
StartConnector = Callable[..., Awaitable[Connector]]

RECIPE = "notify-assigned-agents"
KEPT = "A simulated run: Slack and Zendesk were in memory, and nothing of it is kept."


def write(key: str, steps: str, name: str | None = None) -> Path:
    path = Path("flows") / f"{name or key}.yml"
    path.parent.mkdir(exist_ok=True)
    head = f"key: {key}\nname: A flow\ntrigger:\n  event: zendesk.ticket_agent_assignment_changed\nsteps:\n"
    path.write_text(head + steps, encoding="utf-8")
    return path


# What it starts from


async def test_the_sample_starts_a_test_and_with_changes_it(shell: Path, type_in: Type, slack: SlackServer) -> None:
    write(
        "mine",
        "  - {key: post, action: slack.post_message_to_channel,"
        ' inputs: {channel: "#support", message: "{{ trigger.ticket_id }} is {{ trigger.priority }}"}}\n',
    )
    said = await type_in("flows", "test", "mine", "--sample", "--dry")
    assert (said.code, "4021 is high" in said.out) == (0, True)
    said = await type_in("flows", "test", "mine", "--with", "priority=low", "--with", "trigger.ticket_id=7", "--dry")
    assert (said.code, "7 is low" in said.out) == (0, True)
    assert slack.state.posted() == []
    said = await type_in("flows", "sync")
    said = await type_in("flows", "test", "mine", "--sample")
    assert said.code == 0
    assert [message.text for message in slack.state.posted()] == ["4021 is high"]


async def test_an_event_of_the_past_starts_a_test(
    shell: Path, type_in: Type, connector: Connector, zendesk: ZendeskServer, slack: SlackServer
) -> None:
    told = await zendesk.assign(people.GRINDER, people.NOOR)
    await connector.sides.bridge.idle()
    event = told.event["id"]
    run_id = f"{event}:{RECIPE}"
    for named in (event, event[:10], run_id, run_id[:-3]):
        said = await type_in("flows", "test", RECIPE, "--past", named, "--dry", "--json")
        assert (said.code, said.json["trigger"]["ticket_id"]) == (0, "101"), named
    said = await type_in("flows", "test", RECIPE, "--past", event, "--with", f"assignee_id={people.BEN}", "--json")
    assert said.json["trigger"]["assignee_id"] == str(people.BEN)
    assert said.json["note"].startswith("ended before 'assignee'"), "the ticket is Noor's"
    real = await type_in("flows", "test", RECIPE, "--past", event)
    assert (real.code, len(slack.state.messages_to(NOOR.id))) == (0, 2)
    assert len({run["event_id"] for run in (await type_in("runs", "list", "--json")).json}) == 3, "events of their own"


async def test_an_event_that_is_not_there_or_several_is_refused(
    shell: Path, type_in: Type, connector: Connector, zendesk: ZendeskServer
) -> None:
    for agent in (people.NOOR, people.BEN):
        await zendesk.assign(people.GRINDER, agent)
    await connector.sides.bridge.idle()
    none = await type_in("flows", "test", RECIPE, "--past", "no-such-event", "--dry")
    assert (none.code, none.out) == (1, "")
    assert none.lines[0] == "There is no event, and no run, whose id begins with 'no-such-event'."
    several = await type_in("flows", "test", RECIPE, "--past", "", "--dry")
    assert several.code == 1
    assert several.lines[0] == "Several events begin with ''."
    assert "(ticket 101)" in several.lines[1]


async def test_a_variable_that_the_trigger_has_not_is_named(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("flows", "test", RECIPE, "--with", "prioritty=high", "--sandbox")
    assert (said.code, said.out) == (1, "")
    assert said.lines == [
        "--with prioritty=high: the trigger has no variable 'prioritty'.",
        "Did you mean priority?",
    ]


# The simulated run


async def test_the_simulated_test_needs_nothing_and_leaves_nothing(
    empty_shell: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    said = await type_in("flows", "test", RECIPE, "--sandbox")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "Zendesk: ticket 101 “The grinder won't start after cleaning” is assigned to Noor Haddad."
    assert "● notify  slack.send_direct_message  succeeded" in said.out
    assert "Slack · Zendesk Connector → Noor Haddad (noor@example.com)" in said.out
    assert "│  - Notes: Buyer for <wholesale> & retail; prefers e-mail" in said.out
    assert lines[-1] == KEPT
    assert os.listdir(empty_shell) == []


async def test_the_people_and_the_ticket_of_an_event_are_made(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("flows", "test", RECIPE, "--sandbox", "--sample", "--with", "organization_id=77")
    assert said.code == 0
    assert said.out.splitlines()[0] == (
        "Made in the sandbox for this test: Organization 77, Agent 9001, agent-9001@example.com in Slack, "
        "Customer 9101, ticket 4021."
    )
    assert "→ Agent 9001 (agent-9001@example.com)" in said.out
    assert "Ticket subject: Grinder makes a burning smell" in said.out
    assert "Organization: Organization 77" in said.out
    run = (await type_in("flows", "test", RECIPE, "--sandbox", "--sample", "--json")).json
    assert (run["id"], run["version"], run["status"]) == (None, 0, "succeeded")
    assert [step["status"] for step in run["steps"]] == [*["succeeded"] * 3, "skipped", "succeeded"]
    (message,) = run["messages"]
    assert message["to"] == "Agent 9001 (agent-9001@example.com)"
    assert message["text"].startswith("Hi Agent 9001,\n\nTicket 4021 has been assigned to you.")


async def test_a_webhooks_body_is_simulated_with_the_ticket_as_it_says(
    empty_shell: Path, type_in: Type, zendesk: ZendeskServer
) -> None:
    zendesk.state.tickets[people.GRINDER]["subject"] = "Another ticket of the same number"
    told = await zendesk.assign(people.GRINDER, people.BEN, deliver=False)
    (empty_shell / "event.json").write_bytes(body_of(zendesk.state, told.event))
    said = await type_in("flows", "test", RECIPE, "--event", "event.json", "--sandbox")
    assert said.code == 0
    assert "Ticket subject: Another ticket of the same number" in said.out
    assert f"→ {BEN.real_name} ({BEN.email})" in said.out


async def test_a_past_event_is_simulated_without_being_recorded(
    shell: Path, type_in: Type, connector: Connector, zendesk: ZendeskServer, slack: SlackServer
) -> None:
    told = await zendesk.assign(people.MARKUP, people.NOOR)
    await connector.sides.bridge.idle()
    calls = len(slack.state.calls)
    said = await type_in("flows", "test", RECIPE, "--past", told.event["id"][:12], "--sandbox")
    assert (said.code, "Charged twice: A&B <b>wholesale</b> order" in said.out) == (0, True)
    assert len(slack.state.calls) == calls
    assert len((await type_in("runs", "list", "--json")).json) == 1


async def test_the_simulated_test_takes_the_file_as_it_is_now(empty_shell: Path, type_in: Type) -> None:
    post = '{key: post, action: slack.post_message_to_channel, inputs: {channel: "#vips", message: "*Hello* &lt;"}}'
    path = write("mine", f"  - {post}\n", name="another-name")
    said = await type_in("flows", "test", "mine", "--sandbox")
    assert said.code == 0
    assert "Made in the sandbox for this test: #vips with the app in it." in said.out
    assert "Slack · Zendesk Connector → #vips" in said.out
    assert "│  Hello <" in said.out
    path.write_text(path.read_text().replace("slack.", "slac."))
    wrong = await type_in("flows", "test", "mine", "--sandbox")
    assert (wrong.code, wrong.out) == (1, "")
    assert "there is no action 'slac.post_message_to_channel'" in wrong.lines[0]
    assert wrong.lines[1] == "`zendesk-connector flows check mine` shows all that is wrong."
    gone = await type_in("flows", "test", "min", "--sandbox")
    assert (gone.code, gone.lines[0]) == (1, "There is no flow 'min'.")


async def test_waits_branches_loops_and_remedies_run_as_for_real(empty_shell: Path, type_in: Type) -> None:
    write(
        "mine",
        """
  - key: way
    branch:
      - when: {all: [{variable: trigger.priority, operator: is, value: high}]}
        steps:
          - {key: sleep, wait: {days: 3}}
          - {key: after, action: slack.post_message_to_channel, inputs: {channel: "#support", message: "Waited"}}
    else: [{key: other, stop: {}}]
  - key: lost
    action: slack.send_direct_message
    inputs: {email: "nobody.{{ trigger.ticket_id }}@acme.example", message: "Hello"}
    on_error:
      - {key: eyes, action: slack.add_reaction, inputs: {channel: "#support", name: eyes, timestamp: "{{ after.ts }}"}}
  - key: each
    loop:
      each: "{{ trigger.tags }}"
      steps:
        - key: reply
          action: slack.reply_in_thread
          inputs: {channel: "#support", thread_ts: "{{ after.ts }}", message: "{{ index }}: {{ item }}"}
  - {key: told, action: slack.post_message_to_channel, inputs: {channel: "#on-{{ trigger.status }}", message: "End"}}
""",
    )
    said = await type_in("flows", "test", "mine", "--sandbox", "--sample", "--with", "tags=a, b, c")
    assert (said.code, said.err) == (0, "")
    assert "; here it goes on at once." in said.out
    assert said.out.count("● sleep") == 1
    assert "users_not_found" in said.out
    assert "The app is invited to #on-open." in said.out
    assert "Zendesk Connector adds :eyes: to “Waited”, in #support" in said.out
    assert said.out.count("↳ in the thread of “Waited”") == 3
    assert [line[3:7] for line in said.out.splitlines() if line[3:5] in ("1:", "2:", "3:")] == ["1: a", "2: b", "3: c"]
    run = (await type_in("flows", "test", "mine", "--sandbox", "--sample", "--json")).json
    sleep = next(step for step in run["steps"] if step["key"] == "sleep")
    assert sleep["inputs"]["cut_short"] is True
    assert sleep["outputs"]["until"] > run["finished_at"]
    assert [(each["step"], each["to"], each["reaction"]) for each in run["messages"]] == [
        ("after", "#support", None),
        ("eyes", "#support", "eyes"),
        ("each[1].reply", "#support", None),
        ("told", "#on-open", None),
    ]


async def test_a_simulated_flow_that_fails_ends_with_1_and_says_why(empty_shell: Path, type_in: Type) -> None:
    write("mine", "  - {key: end, stop: {as: failed, message: Not with us}}\n")
    said = await type_in("flows", "test", "mine", "--sandbox")
    assert said.code == 1
    assert said.out.count("stopped: Step 'end': Not with us") == 1
    assert said.out.splitlines()[-2:] == ["failed", KEPT]


async def test_people_that_a_flow_names_are_in_the_sandbox(empty_shell: Path, type_in: Type) -> None:
    write(
        "mine",
        "  - {key: find, action: slack.find_user, inputs: {user_id: U024BE7LH}}\n"
        "  - {key: tell, action: slack.send_direct_message,"
        ' inputs: {email: lead@acme.example, message: "{{ find.mention }}: <!here>"}}\n'
        '  - {key: post, action: slack.post_message_to_channel, inputs: {channel: C024BE91L, message: "Hi"}}\n'
        '  - {key: old, action: slack.post_message_to_channel, inputs: {channel: "#old-news", message: "Hi"}}\n',
    )
    said = await type_in("flows", "test", "mine", "--sandbox")
    assert said.code == 0
    assert "→ lead (lead@acme.example)" in said.out
    assert "│  @U024BE7LH: @here" in said.out
    assert "→ #old-news" in said.out


async def test_a_simulated_test_says_that_its_event_would_start_nothing(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("flows", "test", RECIPE, "--sandbox", "--with", "assignee_id=")
    assert said.code == 1
    assert "such an event would start nothing" in said.out


async def test_a_sandbox_that_cannot_listen_ends_with_1_and_a_line(
    empty_shell: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Taken(SlackServer):
        async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
            raise OSError(98, "Address already in use")

    monkeypatch.setattr(sandbox, "SlackServer", Taken)
    for typed in (["flows", "test", RECIPE, "--sandbox"], ["sandbox", "--once"]):
        said = await type_in(*typed)
        assert (said.code, said.out) == (1, "")
        assert said.lines == [
            "The sandbox cannot listen: Address already in use.",
            "It needs three free ports on 127.0.0.1.",
        ]


async def test_a_simulated_run_that_does_not_end_in_time_ends_with_1(
    empty_shell: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "WATCHED_FOR", -1.0)
    said = await type_in("flows", "test", RECIPE, "--sandbox")
    assert (said.code, said.err) == (1, "")
    assert said.out.splitlines()[-2:] == ["running", KEPT]


# The messages


async def test_a_dry_run_shows_what_would_be_sent_as_slack_shows_it(
    shell: Path, type_in: Type, terminal: None, slack: SlackServer
) -> None:
    write(
        "mine",
        """
  - key: post
    action: slack.post_message_to_channel
    inputs: {channel: "#support", message: "*Look* at <{{ ticket.url | default: 'https://acme.example' }}|this>"}
  - {key: eyes, action: slack.add_reaction, inputs: {channel: "#support", name: eyes, timestamp: "{{ post.ts }}"}}
""".replace("{{ ticket.url | default: 'https://acme.example' }}", "https://acme.example/{{ trigger.ticket_id }}"),
    )
    said = await type_in("flows", "test", "mine", "--sample", "--dry")
    assert said.code == 0
    assert "\x1b[1mLook\x1b[0m at" in said.out
    shown = said.screen
    assert max(map(len, shown)) <= 80
    assert any("Would be sent · Zendesk Connector → #support" in line for line in shown)
    assert any(line.startswith("│  Look at this (https://acme.example/4021)") for line in shown)
    assert any("would add :eyes: to “Look at this" in line for line in shown)
    run = (await type_in("flows", "test", "mine", "--sample", "--dry", "--json")).json
    assert [each["sent"] for each in run["messages"]] == [False, False]
    assert slack.state.posted() == []


async def test_a_message_that_failed_is_shown_where_it_failed(shell: Path, type_in: Type) -> None:
    write(
        "mine",
        "  - {key: tell, action: slack.send_direct_message,"
        ' inputs: {email: nobody@acme.example, message: "Not to be sent"}}\n',
    )
    await type_in("flows", "sync")
    said = await type_in("flows", "test", "mine", "--sample")
    assert said.code == 1
    assert "    in message: Not to be sent" in said.out
    assert "╭" not in said.out
