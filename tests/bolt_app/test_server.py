"""`serve` as its host sees it: what it needs, what stops it, what its process looks like."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bolt_app.sandbox import SlackServer
from bolt_app.sandbox.people import NOOR
from bolt_app.sandbox.records import Fault
from bolt_app.server import Connector
from bolt_app.settings import Settings
from zendesk_bridge.flows.errors import SettingsError
from zendesk_bridge.sandbox import ZendeskServer, people

SECRET = "a webhook's signing secret"
RECIPE = "notify-assigned-agents"

Start = Callable[..., Any]
Type = Callable[..., Awaitable[Any]]


async def address(process: Any) -> str:
    """Where a started `serve` listens."""
    line = await process.line("ready: listening on")
    return str(json.loads(line)["message"]).rpartition(" ")[2]


async def test_serve_runs_alone_on_its_database_and_ends_in_good_order(
    shell: Path, start: Start, type_in: Type, slack: SlackServer, zendesk: ZendeskServer, settings: Settings
) -> None:
    process = start("serve")
    url = await address(process)
    assert stat.S_IMODE(settings.connector_database.stat().st_mode) == 0o600

    second = await start("serve").end()
    assert second.code == 2
    assert second.lines == [
        f"{settings.connector_database} is in use by process {process.popen.pid}.",
        "Stop that process first, or set CONNECTOR_DATABASE to another file.",
    ]

    # Flow files are read again on SIGHUP, also where the folder is new.
    (shell / "flows").mkdir()
    (shell / "flows" / "mine.yml").write_text((await type_in("flows", "show", RECIPE, "--json")).json["text"])
    text = (shell / "flows" / "mine.yml").read_text().replace(f"key: {RECIPE}", "key: mine\nactive: true")
    (shell / "flows" / "mine.yml").write_text(text)
    process.popen.send_signal(signal.SIGHUP)
    await process.line("flow files read again; flows: 2, problems: 0")

    # A message under way when it is told to stop is still sent.
    slack.state.faults.append(Fault(method="chat.postMessage", kind="slow", delay=0.5))
    zendesk.state.add_webhook(f"{url}/zendesk/events", secret=SECRET, subscriptions=[people.ASSIGNMENT_CHANGED])
    told = await zendesk.assign(people.GRINDER, people.NOOR)
    assert [each.status for each in told.deliveries] == [200]
    async with asyncio.timeout(30):
        while slack.state.faults[0].times:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    process.popen.send_signal(signal.SIGTERM)
    ended = await process.end()
    assert (ended.code, ended.out) == (0, "")
    assert json.loads(ended.lines[-1])["message"] == "stopped"
    assert "Traceback" not in ended.err
    assert len(slack.state.messages_to(NOOR.id)) == 1
    runs = (await type_in("runs", "list", "--json")).json
    assert [(run["flow"], run["status"]) for run in runs] == [("mine", "succeeded")]
    for secret in (SECRET, slack.state.bot_token, people.CLIENT_SECRET):
        assert secret not in ended.err


async def test_ctrl_c_ends_serve_with_0(shell: Path, start: Start) -> None:
    process = start("serve")
    await address(process)
    process.popen.send_signal(signal.SIGINT)
    assert (await process.end()).code == 0


async def test_without_settings_serve_says_what_is_missing_a_line_each(empty_shell: Path, type_in: Type) -> None:
    said = await type_in("serve")
    assert (said.code, said.out) == (2, "")
    assert [line.partition(":")[0] for line in said.lines[:-1]] == [
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "ZENDESK_SUBDOMAIN",
        "ZENDESK_CLIENT_ID",
    ]
    assert "zendesk-connector doctor" in said.lines[-1]
    assert os.listdir(empty_shell) == []


async def test_wrong_settings_are_a_line_each_and_never_repeated(
    shell: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_API_URL", "xoxb-hidden")
    monkeypatch.setenv("CONNECTOR_PORT", "hidden")
    said = await type_in("serve")
    assert said.code == 2
    assert [line.partition(":")[0] for line in said.lines] == ["SLACK_API_URL", "CONNECTOR_PORT"]
    assert "hidden" not in said.err


async def test_a_port_that_is_taken_is_one_line(
    shell: Path, start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as caught:
            await Connector(settings.model_copy(update={"connector_admin_port": port})).start()
        line = f"127.0.0.1:{port} cannot be used: Address already in use"
        assert caught.value.problems == [f"CONNECTOR_ADMIN_PORT: {line}"]
        monkeypatch.setenv("CONNECTOR_PORT", str(port))
        said = await start("serve").end()
    assert (said.code, said.lines) == (2, [f"CONNECTOR_PORT: {line}"])


async def test_a_host_that_is_none_is_named(settings: Settings) -> None:
    connector = Connector(settings.model_copy(update={"connector_host": "no-such-host.invalid"}))
    with pytest.raises(SettingsError) as caught:
        await connector.start()
    assert caught.value.problems == ["CONNECTOR_HOST: no-such-host.invalid is no address of this machine"]


async def test_what_serve_loads_holds_no_rich_and_no_sandbox(tmp_path: Path) -> None:
    # `serve` imports this much, and nothing later.
    code = (
        "import sys, bolt_app.cli, bolt_app.server;"
        "bolt_app.cli.commands();"
        "print(*sorted(name for name in sys.modules"
        " if name.split('.')[0] == 'rich' or 'rich' in name.split('.') or 'sandbox' in name.split('.')))"
    )
    found = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.stdout.strip(), found.stderr) == ("", "")


async def test_a_failed_start_leaves_the_database_free(settings: Settings, start_connector: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        connector = Connector(settings.model_copy(update={"connector_port": taken.getsockname()[1]}))
        with pytest.raises(SettingsError):
            await connector.start()
    assert (await start_connector()).url


async def test_it_starts_and_stores_while_slack_and_zendesk_are_not_to_be_reached(
    settings: Settings, zendesk: ZendeskServer, start_connector: Start
) -> None:
    nowhere = "http://127.0.0.1:9"
    connector = await start_connector(
        slack_api_url=f"{nowhere}/api/", zendesk_api_url=nowhere, slack_app_token=SecretStr("xapp-sandbox")
    )
    told = await zendesk.assign(people.GRINDER, people.NOOR)
    assert [each.status for each in told.deliveries] == [200]
    assert (await connector.sides.bridge.list_runs())[0]["flow"] == RECIPE
