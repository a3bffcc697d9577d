"""The pages that people see while they connect: plain HTML of our own, without scripts, from nowhere else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from aiohttp import web

from bolt_app.logs import visible

STYLE = """
:root { color-scheme: light dark; --ink: #17262b; --soft: #5a6b70; --paper: #ffffff; --ground: #eef2f3; --line: #d5dee0;
  --accent: #03363d; --on-accent: #ffffff; --good: #1d7a4a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4ecee; --soft: #9fb0b5; --paper: #172226; --ground: #0e1619;
  --line: #2b3a3f; --accent: #7fc4cd; --on-accent: #06282d; --good: #6fd39d; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 42rem; margin: 3rem auto; padding: 2rem 2.25rem; background: var(--paper);
  border: 1px solid var(--line); border-radius: 12px; }
.brand { margin: 0 0 1.25rem; color: var(--soft); font-size: .875rem; letter-spacing: .02em; }
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; }
h1.good::before { content: "✓ "; color: var(--good); }
h1.bad::before { content: "! "; color: var(--bad); }
h2 { margin: 1.75rem 0 .5rem; font-size: 1rem; }
p, ul, ol, dl { margin: 0 0 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .375rem 1.25rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
ul, ol { padding-left: 1.25rem; }
li { margin: .2rem 0; overflow-wrap: anywhere; }
code { font: .875em/1.4 ui-monospace, monospace; background: var(--ground); padding: .1em .35em; border-radius: 4px; }
table { width: 100%; border-collapse: collapse; font-size: .9375rem; margin-bottom: 1rem; }
td { padding: .375rem .75rem .375rem 0; border-top: 1px solid var(--line); vertical-align: top; }
td:first-child { white-space: nowrap; }
button { font: inherit; font-weight: 600; padding: .625rem 1.25rem; border: 0; border-radius: 8px; cursor: pointer;
  background: var(--accent); color: var(--on-accent); }
button:focus-visible { outline: 3px solid var(--soft); outline-offset: 2px; }
.note { color: var(--soft); font-size: .9375rem; }
@media (max-width: 30rem) { main { margin: 0; border: 0; border-radius: 0; padding: 1.25rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

TITLES = {"slack": "Slack", "zendesk": "Zendesk"}

#: What is said of a visit that cannot go on: a title, what happened, what to do.
REASONS = {
    "replaced": (
        "This link has been replaced",
        "A newer link to {service} was made since; only the newest one works.",
        "Use the newest link. {again}",
    ),
    "unknown": (
        "This link opens nothing",
        "It is not one of this connector's links, or the connector was restarted since it was printed.",
        "{again}",
    ),
    "expired": ("This link has expired", "A link is good for 15 minutes.", "{again}"),
    "used": (
        "This link was used already",
        "Each link works once. If you came here with the browser's back button, go forward again; if somebody else "
        "followed the link, nothing is connected before they finish.",
        "{again}",
    ),
    "unknown_state": (
        "This answer belongs to no question of ours",
        "{service} sent the browser back with a mark that this connector did not give out, or gave out before it was "
        "restarted. Nothing was connected.",
        "{again}",
    ),
    "another_browser": (
        "This was begun in another browser",
        "The answer came in another browser than the one the link was opened in, or without its cookie. Nothing was "
        "connected.",
        "Open the link and finish in one browser, with cookies allowed. {again}",
    ),
    "no_code": (
        "{service} sent no code",
        "The browser came back from {service} without what is needed to connect. Nothing was connected.",
        "{again}",
    ),
    "access_denied": (
        "{service} was not connected",
        "The consent was refused or cancelled on {service}'s page. Nothing was connected, and nothing was stored.",
        "If that was not meant: {again}",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page: its title, whether all is well, and its body as HTML."""

    title: str
    body: str
    is_good: bool | None = None
    status: int = 200
    # Where the browser goes on to by itself.
    leads_to: str = ""

    def response(self) -> web.Response:
        """The answer, with headers that let nothing else in."""
        kind = {True: ' class="good"', False: ' class="bad"', None: ""}[self.is_good]
        html = (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
            f"{_refresh(self.leads_to)}<title>{escape(self.title)} · Zendesk Connector</title>"
            f"<style>{STYLE}</style></head>"
            f'<body><main><p class="brand">Zendesk Connector</p><h1{kind}>{escape(self.title)}</h1>{self.body}</main>'
            "</body></html>"
        )
        return web.Response(text=html, status=self.status, content_type="text/html", headers=HEADERS)


#: Headers of every answer.
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def _refresh(address: str) -> str:
    return f'<meta http-equiv="refresh" content="0;url={escape(address)}">' if address else ""


def onward(service: str, address: str) -> Page:
    """Hands the browser over to the service.

    Not by redirecting the form: browsers hold every further redirect of a form to `form-action`, and both services send
    people on to other hosts to sign in.
    """
    title = TITLES[service]
    return Page(
        title=f"On to {title}",
        leads_to=address,
        body=f'<p>You are taken to {title}. <a id="onward" href="{escape(address)}">Go on</a> if nothing happens.</p>',
    )


def under_way(service: str) -> Page:
    """A visit that is begun, and has not ended."""
    return Page(
        title="Still under way",
        body=(
            f"<p>Nobody has finished on {TITLES[service]}'s page yet. Go back to that page; this one shows what became "
            "of it once it is reloaded.</p>"
        ),
    )


def ask_slack(*, action: str, link: str, scopes: Mapping[str, str]) -> Page:
    """Before Slack's own page: what is asked for, and why."""
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(why)}</td></tr>" for name, why in scopes.items()
    )
    return Page(
        title="Connect Slack",
        body=(
            "<p>Next, Slack asks whether the app <b>Zendesk Connector</b> may join your workspace. The connector then "
            "sends the messages of your action flows as that app.</p>"
            f"{_form(action, link, 'Continue to Slack')}"
            "<h2>Who should do this</h2><p>Somebody who may install apps. Prefer a service account that stays when "
            "people leave: the installation is made in its name.</p>"
            f"<h2>What is asked for, and why</h2><table>{rows}</table>"
            '<p class="note">The app reads only channels it was invited to. Its token is stored encrypted on this '
            "connector's own machine, and sent to Slack alone.</p>"
        ),
    )


def ask_zendesk(*, action: str, link: str, account: str, scope: str) -> Page:
    """Before Zendesk's own page."""
    why = {
        "read": "look up tickets, people and organizations, and hear of assignments",
        "webhooks:write": "make the webhook that tells the connector of events, and keep it in step with your flows",
        "triggers:write": "make a trigger for it where the account has no event webhooks",
    }
    rows = _rows({name: why.get(name, "") for name in scope.split()})
    return Page(
        title="Connect Zendesk",
        body=(
            f"<p>Next, <b>{escape(account)}</b> asks whether Zendesk Connector may act for the account you are signed "
            f"in with.</p>{_form(action, link, 'Continue to Zendesk')}"
            "<h2>Who should do this</h2><p>An admin. Prefer a service account that stays when people leave: look-ups "
            "are done in its name.</p>"
            f"<h2>What is asked for, and why</h2><table>{rows}</table>"
            '<p class="note">The tokens are stored encrypted on this connector\'s own machine.</p>'
        ),
    )


def refused(service: str, reason: str, code: str = "") -> Page:
    """Why a visit cannot go on. `code`: what the service called it."""
    title, what, hint = words(service, reason)
    if code:
        what = f"{what} {TITLES[service]} says `{code}`."
    return Page(
        title=title, body=f"<p>{_text(what)}</p><h2>What to do</h2><p>{_text(hint)}</p>", is_good=False, status=404
    )


def words(service: str, reason: str) -> tuple[str, str, str]:
    """A reason as a title, what happened, and what to do."""
    filled = {
        "service": TITLES[service],
        "again": f"Run `zendesk-connector connections connect {service}` for a new link.",
    }
    title, what, hint = (each.format(**filled) for each in REASONS[reason])
    return title, what, hint


def failed(service: str, message: str, hint: str) -> Page:
    """What went wrong with a consent that was given."""
    what = f"<p>{_text(message)}</p><p>Nothing was stored.</p>"
    again = hint or f"Run `zendesk-connector connections connect {service}` for a new link."
    return Page(
        title=f"{TITLES[service]} was not connected",
        body=f"{what}<h2>What to do</h2><p>{_text(again)}</p>",
        is_good=False,
    )


def slack_connected(outcome: Mapping[str, Any]) -> Page:
    """The workspace, who connected it, what it may do, and what is next."""
    lacking = outcome["missing"]
    body = _facts({"Workspace": outcome["account"], "Connected by": outcome["connected_by"]})
    if lacking:
        body += (
            f"<h2>Missing</h2>{_list(lacking, code=True)}<p>Actions that need them will fail. Look whether the "
            "app's settings have them (OAuth &amp; Permissions &gt; Scopes), and connect again without declining "
            "any.</p>"
        )
    body += (
        "<h2>Next</h2><p>Invite the app to each channel that flows post to or read: "
        "<code>/invite @Zendesk Connector</code>. Direct messages need no invitation.</p>"
        f"<h2>Actions your flows have now</h2>{_list(outcome['actions'])}"
        f"<h2>Granted</h2>{_list(outcome['scopes'], code=True)}"
        f"{_close()}"
    )
    return Page(title="Slack is connected", body=body, is_good=True)


def zendesk_connected(outcome: Mapping[str, Any]) -> Page:
    """The account, and what was done about the webhook."""
    body = _facts({"Account": outcome["account"], "Connected by": outcome["connected_by"]})
    body += f"<h2>Webhook</h2><ul>{''.join(f'<li>{_text(each)}</li>' for each in outcome['webhook'])}</ul>"
    if outcome["clicks"]:
        steps = "".join(f"<li>{_text(each)}</li>" for each in outcome["clicks"])
        body += f"<p>To make it by hand:</p><ol>{steps}</ol>"
    body += f"<h2>Granted</h2>{_list(outcome['scopes'], code=True)}{_close()}"
    return Page(title="Zendesk is connected", body=body, is_good=True)


def _form(action: str, link: str, button: str) -> str:
    return (
        f'<form method="post" action="{escape(action)}"><input type="hidden" name="link" value="{escape(link)}">'
        f'<button id="continue" type="submit">{escape(button)}</button></form>'
    )


def _rows(scopes: Mapping[str, str]) -> str:
    return "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(why)}</td></tr>" for name, why in scopes.items()
    )


def _facts(facts: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{_shown(value)}</dd>' for name, value in facts.items())}</dl>"


def _list(items: Iterable[str], *, code: bool = False) -> str:
    shown = (f"<code>{_shown(each)}</code>" if code else _shown(each) for each in items)
    return f"<ul>{''.join(f'<li>{each}</li>' for each in shown)}</ul>"


def _close() -> str:
    return '<p class="note">You can close this page. `zendesk-connector connections list` shows the same.</p>'.replace(
        "`zendesk-connector connections list`", "<code>zendesk-connector connections list</code>"
    )


def _shown(value: str) -> str:
    """Somebody else's words: as words, whatever they are."""
    return escape(visible(value))


def _text(words: str) -> str:
    """Text in which `…` is code."""
    parts = escape(visible(words), quote=False).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
