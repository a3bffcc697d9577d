"""The page on which a person lets an OAuth client into the account, or does not: plain HTML, one form, two buttons."""

import secrets
from html import escape
from urllib.parse import urlencode

from aiohttp import web

from zendesk_bridge.sandbox import tokens
from zendesk_bridge.sandbox.answers import Refused
from zendesk_bridge.sandbox.asking import STATE
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.state import ZendeskState

PAGE_PATH = "/oauth/authorizations/new"
DECISION_PATH = "/oauth/authorizations"
# What each page that was shown asks for, by the token in its form; a page is good for one decision.
SHOWN = web.AppKey("SHOWN", dict[str, dict[str, str]])
DENIED = "The end-user or authorization server denied the request."
HEADERS = {"Cache-Control": "no-store", "X-Frame-Options": "SAMEORIGIN"}

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""
QUESTION = """<p>Signed in to {account} as <strong id="person">{person}</strong>.</p>
<p><strong id="client">{client}</strong> asks for access to this account with these scopes:</p>
<ul id="scopes">
{scopes}
</ul>
<p>You will be sent to <code id="redirect">{redirect}</code>.</p>
<form method="post" action="{action}">
<input type="hidden" name="authenticity_token" value="{token}">
<button type="submit" id="allow" name="decision" value="allow">Allow</button>
<button type="submit" id="deny" name="decision" value="deny">Deny</button>
</form>"""


async def ask(request: web.Request) -> web.Response:
    """Shows who asks for what; a request that cannot be answered by a redirect gets a page that says why."""
    state, asked = request.app[STATE], dict(request.query)
    try:
        client, person = tokens.asking_client(state, asked), _signed_in(state)
    except Refused as refused:
        return _refusal(refused)
    token = secrets.token_urlsafe(24)
    request.app[SHOWN][token] = asked
    content = QUESTION.format(
        account=escape(state.url),
        person=escape(f"{person['name']} ({person['email']})"),
        client=escape(client.name or client.identifier),
        scopes="\n".join(f"<li>{escape(scope)}</li>" for scope in tokens.asked_scope(asked).split()),
        redirect=escape(asked["redirect_uri"]),
        action=DECISION_PATH,
        token=token,
    )
    return _page(200, f"Allow {client.name or client.identifier}?", content)


async def decide(request: web.Request) -> web.Response:
    """Takes the decision and sends the person back to the client, with a code or with the refusal."""
    state, form = request.app[STATE], await request.post()
    decision = form.get("decision")
    asked = request.app[SHOWN].pop(str(form.get("authenticity_token", "")), None)
    if asked is None or decision not in ("allow", "deny"):
        return _error("This page has been answered or is too old. Start again where you came from.")
    answer = {"error": "access_denied", "error_description": DENIED}
    if decision == "allow":
        try:
            answer = {"code": tokens.authorize(state, asked, _signed_in(state)["id"])}
        except Refused as refused:
            return _refusal(refused)
    if "state" in asked:
        answer["state"] = asked["state"]
    target = asked["redirect_uri"]
    location = f"{target}{'&' if '?' in target else '?'}{urlencode(answer)}"
    return web.Response(status=302, headers=HEADERS | {"Location": location})


def _signed_in(state: ZendeskState) -> Record:
    admins = (user["id"] for user in state.users.values() if user["role"] == "admin")
    person = next(admins, None) if state.consenting_user is None else state.consenting_user
    if person not in state.users or not state.users[person]["active"]:
        raise Refused(400, {"error_description": "Nobody is signed in to this account."})
    return state.users[person]


def _refusal(refused: Refused) -> web.Response:
    return _error(str(refused.body["error_description"]))


def _error(why: str) -> web.Response:
    return _page(400, "Invalid Authorization Request", f'<p id="error">{escape(why)}</p>')


def _page(status: int, title: str, content: str) -> web.Response:
    text = PAGE.format(title=escape(title), content=content)
    return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)
