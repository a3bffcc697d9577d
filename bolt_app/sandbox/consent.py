"""The page on which somebody lets the app into a workspace, or does not: Slack's /oauth/v2/authorize."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import NoReturn
from urllib.parse import urlencode, urlsplit, urlunsplit

from aiohttp import web

from bolt_app.sandbox.grants import Workspace, issue_code, redirect_allowed, workspaces
from bolt_app.sandbox.people import APP_NAME
from bolt_app.sandbox.state import SlackState

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
{body}
</body>
</html>
"""


class ConsentError(Exception):
    """The page shows an error, and nobody is sent back to the app."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the app wants, from the address it sent somebody to."""

    redirect_uri: str
    # What the request said, which the exchange has to repeat.
    sent_redirect_uri: str | None
    scopes: tuple[str, ...]
    # Slack hands it back as it came, also if it was not sent.
    state: str


class ConsentPage:
    """Answers for the address that Slack's install links lead to."""

    def __init__(self, state: SlackState) -> None:
        self.state = state

    async def show(self, request: web.Request) -> web.Response:
        """The question."""
        try:
            asked = read_request(self.state, request.query)
        except ConsentError as error:
            return _error_page(str(error))
        return _page(
            f"{APP_NAME} | Slack",
            _question(asked, workspaces(self.state), chosen=request.query.get("team", "")),
        )

    async def answer(self, request: web.Request) -> web.Response:
        """The answer: the form goes to the address of the page itself."""
        form = await request.post()
        try:
            asked = read_request(self.state, request.query)
            choices = workspaces(self.state)
            wanted = form.get("workspace", choices[0].id if len(choices) == 1 else "")
            workspace = next((choice for choice in choices if choice.id == wanted), None)
            if form.get("answer") == "cancel":
                return _send_back(asked, {"error": "access_denied"})
            if form.get("answer") != "allow" or workspace is None:
                _refuse("invalid_arguments")
        except ConsentError as error:
            return _error_page(str(error))
        code = issue_code(self.state, workspace, frozenset(asked.scopes), asked.sent_redirect_uri)
        return _send_back(asked, {"code": code})


def read_request(state: SlackState, query: Mapping[str, str]) -> Asked:
    """Checks what the app asks for. Raises ConsentError with Slack's code."""
    if query.get("client_id") != state.client_id:
        _refuse("invalid_client_id")
    sent = query.get("redirect_uri") or None
    # Slack takes the registered one if there is none in the request.
    redirect_uri = sent or (next(iter(state.redirect_urls)) if len(state.redirect_urls) == 1 else None)
    if redirect_uri is None or not redirect_allowed(state, redirect_uri):
        _refuse("bad_redirect_uri")
    scopes = tuple(dict.fromkeys(query.get("scope", "").replace(",", " ").split()))
    # The app has no scopes that act for a person.
    if not scopes or not state.app_scopes.issuperset(scopes) or query.get("user_scope"):
        _refuse("invalid_scope")
    return Asked(redirect_uri=redirect_uri, sent_redirect_uri=sent, scopes=scopes, state=query.get("state", ""))


def _refuse(code: str) -> NoReturn:
    raise ConsentError(code)


def _question(asked: Asked, choices: list[Workspace], *, chosen: str) -> str:
    listed = "\n".join(f"<li><code>{escape(scope)}</code></li>" for scope in asked.scopes)
    if len(choices) == 1:
        place = f"<p>Workspace: <strong>{escape(choices[0].name)}</strong></p>"
    else:
        options = "\n".join(
            f'<option value="{escape(choice.id)}"{" selected" if choice.id == chosen else ""}>'
            f"{escape(choice.name)}</option>"
            for choice in choices
        )
        place = (
            f'<label for="workspace">Workspace</label>\n<select id="workspace" name="workspace">\n{options}\n</select>'
        )
    return f"""<h1>{escape(APP_NAME)} is requesting permission to access a Slack workspace</h1>
<form method="post">
{place}
<p>What will {escape(APP_NAME)} be able to do?</p>
<ul id="scopes">
{listed}
</ul>
<button type="submit" id="cancel" name="answer" value="cancel">Cancel</button>
<button type="submit" id="allow" name="answer" value="allow">Allow</button>
</form>"""


def _error_page(code: str) -> web.Response:
    body = (
        f'<h1>Something went wrong when authorizing this app</h1>\n<p>Error: <code id="error">{escape(code)}</code></p>'
    )
    return _page("Authorization error | Slack", body, status=400)


def _page(title: str, body: str, *, status: int = 200) -> web.Response:
    text = PAGE.format(title=escape(title), body=body)
    return web.Response(status=status, text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


def _send_back(asked: Asked, news: dict[str, str]) -> web.Response:
    address = urlsplit(asked.redirect_uri)
    query = "&".join(part for part in (address.query, urlencode({**news, "state": asked.state})) if part)
    return web.Response(status=302, headers={"Location": urlunsplit(address._replace(query=query))})
