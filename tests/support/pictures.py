"""Draws what the app shows in Slack, so that somebody can look at it: `python tests/support/pictures.py FOLDER`.

A page of HTML for each surface, roughly as Slack draws it, and a picture of each where Chromium is installed.
"""

from __future__ import annotations

import datetime as dt
import html
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sample_views as sample

from bolt_app.views import help as help_views
from bolt_app.views import testing
from bolt_app.views.connections import status
from bolt_app.views.flows import flow_list, flow_shown
from bolt_app.views.home import HomeState, home, refused_home
from bolt_app.views.runs import run_list, run_modal

EMOJI = {
    "white_check_mark": "✅",
    "x": "❌",
    "hourglass_flowing_sand": "⏳",
    "arrows_counterclockwise": "🔄",
    "no_entry_sign": "🚫",
    "fast_forward": "⏩",
    "speech_balloon": "💬",
    "large_green_circle": "🟢",
    "white_circle": "⚪",
    "red_circle": "🔴",
    "warning": "⚠️",
}
STYLE = """
body{font:15px/1.46 Lato,Helvetica,Arial,sans-serif;color:#1d1c1d;margin:24px;background:#fff}
.frame{width:680px;border:1px solid #ddd;border-radius:8px;padding:16px 20px}
h2{font-size:18px;margin:14px 0 6px}.section{margin:8px 0;display:flex;gap:12px;justify-content:space-between}
.section .text,.plain{white-space:pre-wrap;overflow-wrap:anywhere}.context{font-size:12.5px;color:#616061;margin:4px 0}
.actions{margin:6px 0 10px}.button{display:inline-block;border:1px solid #bbb;border-radius:4px;padding:4px 11px;
font-weight:700;font-size:13px;margin-right:7px;white-space:nowrap}.primary{background:#007a5a;color:#fff}
hr{border:0;border-top:1px solid #ddd;margin:12px 0}code{color:#c01343;background:#f6f6f6;border:1px solid #ddd;
border-radius:3px;padding:1px 3px;font-size:12px}.title{font-weight:800;font-size:20px;border-bottom:1px solid #ddd;
padding-bottom:8px;margin-bottom:10px}.input{margin:12px 0}.label{font-weight:700}.hint{font-size:12.5px;color:#616061}
.box{border:1px solid #999;border-radius:4px;padding:7px;color:#888;min-height:20px}.only{font-size:12px;color:#616061}
.foot{border-top:1px solid #ddd;margin-top:12px;padding-top:10px;text-align:right}a,.mention{color:#1264a3}
"""


def drawn(text: dict[str, Any]) -> str:
    """A text object as HTML."""
    if text["type"] == "plain_text":
        return html.escape(text["text"])
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", text["text"].replace("<", "\x01").replace(">", "\x02"))
    shown = re.sub(r"\x01!date\^(\d+)\^[^\x02]*\x02", lambda found: _time(int(found[1])), shown)
    shown = re.sub(r"\x01([@#])(\w+)\x02", r"<span class=mention>\1\2</span>", shown)
    shown = re.sub(r"(?<![\w*])\*([^*\n]+)\*(?![\w*])", r"<b>\1</b>", shown)
    shown = re.sub(r":([a-z_]+):", lambda found: EMOJI.get(found[1], found[0]), shown)
    return shown.replace("\x01", "&lt;").replace("\x02", "&gt;")


def _time(seconds: int) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%b %d at %H:%M}"


def _button(element: dict[str, Any]) -> str:
    return f'<span class="button {element.get("style", "")}">{drawn(element["text"])}</span>'


def _input(block: dict[str, Any]) -> str:
    element = block["element"]
    label = drawn(block["label"]) + (" <span class=hint>(optional)</span>" if block.get("optional") else "")
    if element["type"] == "radio_buttons":
        chosen = element["initial_option"]["value"]
        rows = [
            f"{'◉' if each['value'] == chosen else '○'} {drawn(each['text'])} "
            f"<span class=hint>{drawn(each['description'])}</span>"
            for each in element["options"]
        ]
        field = "<br>".join(rows)
    else:
        height = ' style="min-height:60px"' if element.get("multiline") else ""
        field = f"<div class=box{height}>{drawn(element['placeholder']) if 'placeholder' in element else ''}</div>"
    hint = f"<div class=hint>{drawn(block['hint'])}</div>" if "hint" in block else ""
    return f"<div class=input><div class=label>{label}</div>{field}{hint}</div>"


def block(part: dict[str, Any]) -> str:
    """A block as HTML."""
    draw: dict[str, Callable[[], str]] = {
        "header": lambda: f"<h2>{drawn(part['text'])}</h2>",
        "divider": lambda: "<hr>",
        "section": lambda: (
            f"<div class=section><div class=text>{drawn(part['text'])}</div>"
            f"<div>{_button(part['accessory']) if 'accessory' in part else ''}</div></div>"
        ),
        "context": lambda: f"<div class=context>{'&nbsp;&nbsp; '.join(drawn(each) for each in part['elements'])}</div>",
        "actions": lambda: f"<div class=actions>{''.join(_button(each) for each in part['elements'])}</div>",
        "input": lambda: _input(part),
        "rich_text": lambda: f"<pre>{html.escape(part['elements'][0]['elements'][0]['text'])}</pre>",
    }
    return draw[part["type"]]()


def page(content: dict[str, Any]) -> str:
    """A message, a modal or a Home tab as a page."""
    rows = "".join(block(each) for each in content.get("blocks") or [])
    if not rows:
        rows = f"<div class=section><div class=text>{drawn({'type': 'mrkdwn', 'text': content['text']})}</div></div>"
    title = f"<div class=title>{drawn(content['title'])}</div>" if content.get("type") == "modal" else ""
    foot = ""
    if content.get("type") == "modal":
        buttons = f"<span class=button>{drawn(content['close'])}</span>"
        if "submit" in content:
            buttons += f'<span class="button primary">{drawn(content["submit"])}</span>'
        foot = f"<div class=foot>{buttons}</div>"
    elif content.get("type") != "home":
        title = "<div class=only>Only visible to you</div>"
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><div class=frame>{title}{rows}{foot}</div>"


def surfaces() -> dict[str, dict[str, Any]]:
    """Every surface with ordinary content."""
    flows, runs = [sample.FLOW, sample.OTHER_FLOW], [sample.RUN, sample.GOOD_RUN]
    state = HomeState(
        connections=sample.CONNECTIONS, flows=flows, runs=runs, more_runs=True, database="ok", poll="ok", admin=True
    )
    member = HomeState(**{**vars(state), "admin": False})
    tried = sample.GOOD_RUN | {"id": None, "steps": [sample.RUN["steps"][0], _not_sent()]}
    how: dict[str, Any] = {"flows_active": 1, "flows": 2, "problems": [], "waiting": 3}
    variables = [{"name": name, "type": "text", "description": ""} for name in ("ticket_id", "assignee_id", "priority")]
    return {
        "home-admin": home(state),
        "home-member": home(member),
        "home-guest": refused_home("Zendesk Connector is for full members of this workspace."),
        "list-admin": flow_list(flows, offset=0, admin=True),
        "list-member": flow_list(flows, offset=0, admin=False),
        "show-admin": flow_shown(sample.FLOW, admin=True),
        "runs-admin": run_list(runs, flow=None, offset=0, more=True, admin=True),
        "runs-member": run_list(runs, flow=sample.KEY, offset=0, more=False, admin=False),
        "run": run_modal(sample.RUN),
        "status": status(sample.CONNECTIONS, database="ok", poll="ok", **how),
        "help-admin": help_views.help_message(admin=True),
        "test-form": testing.form(sample.FLOW, variables=variables),
        "test-warning": testing.warning(sample.FLOW, ticket="4021", changes=""),
        "test-dry": testing.ended(tried, flow_name=sample.FLOW["name"], dry=True, starts=True),
        "welcome": help_views.welcome(channel_name="support", posting=["Urgent tickets"], choosing=1),
        "invitation": {"text": help_views.invitation_needed(flow="Urgent tickets", channel="#support")},
        "mention": help_views.mention_help(),
    }


def _not_sent() -> dict[str, Any]:
    text = "Hi Noor,\n\nTicket 4021 has been assigned to you.\nhttps://acme.zendesk.com/agent/tickets/4021"
    inputs = {"email": "noor@acme.example", "message": text}
    return sample.RUN["steps"][1] | {"status": "not_sent", "error": None, "attempts": 1, "inputs": inputs}


def main(folder: Path) -> None:
    """Draws every surface into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    for name, content in surfaces().items():
        file = folder / f"{name}.html"
        file.write_text(page(content))
        if browser:
            height = 190 + 70 * len(content.get("blocks") or [1])
            picture = folder / f"{name}.png"
            options = [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--window-size=780,{height}",
            ]
            subprocess.run(
                [browser, *options, f"--screenshot={picture}", file.as_uri()], check=True, capture_output=True
            )
        print(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
