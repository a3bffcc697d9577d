"""`doctor`: every setting, where it came from, what is wrong; never a secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.records import Fault
from bolt_app.settings import Settings
from zendesk_bridge.sandbox import people

Type = Callable[..., Awaitable[Any]]


def by_name(said: Any) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in said.json}


async def test_all_is_well(shell: Path, type_in: Type, slack: SlackServer) -> None:
    said = await type_in("doctor", "--json")
    assert said.code == 0
    findings = by_name(said)
    assert {name.upper() for name in Settings.model_fields} <= set(findings)
    assert all(set(finding) == {"name", "source", "ok", "message"} for finding in findings.values())
    assert all(finding["ok"] for finding in findings.values())
    assert findings["SLACK_BOT_TOKEN"] == {
        "name": "SLACK_BOT_TOKEN",
        "source": "environment",
        "ok": True,
        "message": "set",
    }
    assert findings["CONNECTOR_HOST"]["source"] == "default"
    assert findings["Slack"]["message"] == "connected to Sandbox Support as U0BOT00001, by SLACK_BOT_TOKEN"
    assert (
        findings["Zendesk"]["message"]
        == "connected to harbour.zendesk.com as ada@example.com, by ZENDESK_CLIENT_SECRET"
    )
    people_see = await type_in("doctor")
    assert people_see.out.splitlines()[-1] == "All is well."
    for text in (said.out, people_see.out):
        for secret in (slack.state.bot_token, people.CLIENT_SECRET, "a webhook's signing secret", "slack signing"):
            assert secret not in text


async def test_a_new_admin_sees_what_is_missing_and_nothing_is_made(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("doctor", "--json")
    assert said.code == 1
    wrong = [name for name, finding in by_name(said).items() if not finding["ok"]]
    assert wrong == [
        *("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "ZENDESK_SUBDOMAIN", "ZENDESK_CLIENT_ID"),
        *("Zendesk", "Slack"),
    ]
    assert by_name(said)["database"]["message"] == "zendesk-connector.db: made on the first start"
    people_see = (await type_in("doctor")).out.splitlines()
    assert people_see[-1] == "6 to mend."
    assert [line[0] for line in people_see[-7:-1]] == ["✗"] * 6
    assert not (empty_shell / "zendesk-connector.db").exists()


async def test_wrong_values_are_shown_among_the_rest_and_end_with_2(
    shell: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_PORT", "xoxb-hidden")
    monkeypatch.setenv("CONNECTOR_FLOWS", "nowhere")
    said = await type_in("doctor", "--json")
    assert said.code == 2
    findings = by_name(said)
    assert findings["CONNECTOR_PORT"] == {
        "name": "CONNECTOR_PORT",
        "source": "environment",
        "ok": False,
        "message": "must be a valid integer",
    }
    assert findings["CONNECTOR_FLOWS"]["message"] == "names no folder"
    assert findings["Slack"]["ok"]
    assert "hidden" not in said.out + said.err


async def test_what_does_not_answer_is_named_with_what_to_do(shell: Path, type_in: Type, slack: SlackServer) -> None:
    slack.state.token_error = "token_revoked"
    said = await type_in("doctor", "--json")
    assert said.code == 1
    finding = by_name(said)["Slack"]
    assert (finding["source"], finding["ok"]) == ("connection", False)
    assert "token_revoked" in finding["message"]
    assert "SLACK_BOT_TOKEN" in finding["message"]


async def test_the_app_token_is_tried(
    shell: Path, type_in: Type, slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_APP_TOKEN", slack.state.app_token)
    assert by_name(await type_in("doctor", "--json"))["Socket Mode"]["ok"]
    slack.state.faults.append(Fault(method="apps.connections.open", kind="error", error="invalid_auth"))
    said = await type_in("doctor", "--json")
    assert said.code == 1
    assert "invalid_auth" in by_name(said)["Socket Mode"]["message"]
    monkeypatch.setenv("SLACK_API_URL", "http://127.0.0.1:9/api/")
    said = await type_in("doctor", "--json")
    assert "cannot be reached" in by_name(said)["Socket Mode"]["message"]
    assert (said.err, "xapp-sandbox" in said.out) == ("", False)


async def test_flow_files_misspelt_names_and_old_tokens_are_found(
    shell: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shell / "flows").mkdir()
    (shell / "flows" / "bad.yml").write_text("key: bad\nname: Bad\n")
    monkeypatch.setenv("SLACK_SIGNING_SECERT", "hidden")
    monkeypatch.delenv("ZENDESK_CLIENT_ID")
    monkeypatch.setenv("ZENDESK_EMAIL", "ada@example.com")
    monkeypatch.setenv("ZENDESK_API_TOKEN", people.API_TOKEN)
    said = await type_in("doctor", "--json")
    assert said.code == 1
    findings = by_name(said)
    assert findings["SLACK_SIGNING_SECERT"]["message"] == "is no setting: did you mean SLACK_SIGNING_SECRET?"
    assert findings["flow file"]["source"] == "flows/bad.yml"
    assert "30 April 2027" in findings["ZENDESK_API_TOKEN"]["message"]
    assert findings["ZENDESK_API_TOKEN"]["ok"]
    assert people.API_TOKEN not in said.out


async def test_names_stay_whole_on_a_narrow_terminal(empty_shell: Path, terminal: None, type_in: Type) -> None:
    lines = (await type_in("doctor")).screen
    assert max(map(len, lines)) <= 80
    assert any(" CONNECTOR_JOIN_PUBLIC_CHANNELS " in line for line in lines)


async def test_it_says_whether_a_connector_runs(shell: Path, type_in: Type, start_connector: Any) -> None:
    await type_in("flows", "list")
    assert "no connector is running" in by_name(await type_in("doctor", "--json"))["database"]["message"]
    await start_connector()
    message = by_name(await type_in("doctor", "--json"))["database"]["message"]
    assert message.endswith("flows known: 1, active: 1; in use by a running connector")
