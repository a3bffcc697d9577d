"""The routes of connecting: a link's page, the way to the service, and the way back."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web

from bolt_app.connecting import pages
from bolt_app.connecting.pages import Page
from bolt_app.connecting.visits import LIFETIME, Refused, Visit, Visits
from bolt_app.installation import Installer
from zendesk_bridge.bridge import Bridge, Linking
from zendesk_bridge.flows.errors import ConnectorError
from zendesk_bridge.flows.model import rfc3339, utc_now

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Service:
    """One service as the routes see it."""

    name: str
    # Where its link leads, and where the service sends the browser back to.
    start: str
    back: str
    ask: Callable[[str], Page]
    # Makes the address of the service's own page; may refuse.
    go: Callable[[Visit, str], Awaitable[str]]
    # Takes the code; returns what the last page shows.
    finish: Callable[[Visit, str], Awaitable[dict[str, Any]]]
    show: Callable[[dict[str, Any]], Page]


class Site:
    """Connects both services in a browser. `base` is set once it is known where the connector listens."""

    def __init__(self, installer: Installer, linking: Linking, public_url: str | None) -> None:
        self._installer = installer
        self._linking = linking
        self._public_url = public_url
        self.visits = Visits()
        #: The address that browsers come to, without a slash at its end.
        self.base = ""
        self._services = (
            _Service(
                name="slack",
                start="/slack/install",
                back="/slack/oauth_redirect",
                ask=lambda link: pages.ask_slack(
                    action="/slack/install", link=link, scopes=installer.scopes, home=installer.home
                ),
                go=self._to_slack,
                finish=self._from_slack,
                show=pages.slack_connected,
            ),
            _Service(
                name="zendesk",
                start="/zendesk/connect",
                back="/zendesk/oauth_redirect",
                ask=lambda link: pages.ask_zendesk(
                    action="/zendesk/connect",
                    link=link,
                    account=linking.account,
                    scope=linking.scope,
                    home=linking.home,
                ),
                go=self._to_zendesk,
                finish=self._from_zendesk,
                show=pages.zendesk_connected,
            ),
        )

    def listens_at(self, url: str) -> None:
        """Takes note where the connector listens: links lead there, unless a public address is set."""
        self.base = (self._public_url or url).rstrip("/")

    def link(self, service: str) -> dict[str, Any]:
        """A new one-time link: `{link, expires_at}`."""
        start = next(each.start for each in self._services if each.name == service)
        secret = self.visits.invite(service)
        ends = rfc3339(utc_now() + dt.timedelta(seconds=LIFETIME))
        return {"link": f"{self.base}{start}?{urlencode({'link': secret})}", "expires_at": ends}

    def outcome(self, service: str, address: str) -> dict[str, Any] | None:
        """What the link at an address led to; None where nobody has finished. Raises ConnectorError where it failed."""
        secret = parse_qs(urlsplit(address).query).get("link", [""])[0]
        outcome = self.visits.outcome_of(service, secret)
        if outcome is None or not ("failed" in outcome or "refused" in outcome):
            return outcome
        message, hint = outcome.get("failed", ""), outcome.get("hint", "")
        if "refused" in outcome:
            message, hint = pages.words(service, outcome["refused"])[1:]
        raise ConnectorError("not_connected", message, hint=hint)

    def add_routes(self, application: web.Application) -> None:
        """Adds the routes of both services."""
        for service in self._services:
            application.router.add_get(service.start, _handler(self._start, service), allow_head=False)
            application.router.add_post(service.start, _handler(self._begin, service))
            application.router.add_get(service.back, _handler(self._answered, service), allow_head=False)

    # Slack

    async def _to_slack(self, visit: Visit, state: str) -> str:
        return self._installer.address(redirect=f"{self.base}/slack/oauth_redirect", state=state)

    async def _from_slack(self, visit: Visit, code: str) -> dict[str, Any]:
        installed = await self._installer.finish(code, redirect=f"{self.base}/slack/oauth_redirect")
        return installed.as_json()

    # Zendesk

    async def _to_zendesk(self, visit: Visit, state: str) -> str:
        await self._linking.look()
        address, visit.verifier = self._linking.address(redirect=f"{self.base}/zendesk/oauth_redirect", state=state)
        return address

    async def _from_zendesk(self, visit: Visit, code: str) -> dict[str, Any]:
        verifier, visit.verifier = visit.verifier, ""
        linked = await self._linking.finish(code, verifier=verifier, redirect=f"{self.base}/zendesk/oauth_redirect")
        return linked.as_json()

    # Both

    async def _start(self, service: _Service, request: web.Request) -> web.StreamResponse:
        """The link's page; without a link, what became of this browser's visit."""
        link = request.query.get("link")
        if link is None:
            return self._shown(service, self.visits.outcome(service.name, self._browser(service, request)))
        try:
            self.visits.look(service.name, link)
        except Refused as problem:
            # Back in the browser that followed it: it sees how far it came.
            if problem.visit is not None and problem.visit.outcome is not None:
                seen = self.visits.outcome(service.name, self._browser(service, request))
                if seen is problem.visit:
                    return self._shown(service, seen)
            raise
        return service.ask(link).response()

    async def _begin(self, service: _Service, request: web.Request) -> web.StreamResponse:
        """Follows the link: from now on it is used, and only this browser goes on with it."""
        try:
            form = await request.post()
        except (LookupError, ValueError) as problem:
            raise web.HTTPBadRequest from problem
        visit, browser, state = self.visits.begin(service.name, str(form.get("link", "")))
        try:
            address = await service.go(visit, state)
        except ConnectorError as problem:
            return self._ended(service, visit, browser, problem)
        response = _redirect(address)
        self._set_cookie(response, service, browser)
        return response

    async def _answered(self, service: _Service, request: web.Request) -> web.StreamResponse:
        """The service sent the browser back: with a code, or with why there is none."""
        query, browser = request.query, self._browser(service, request)
        try:
            visit = self.visits.answered(service.name, query.get("state", ""), browser)
        except Refused as problem:
            if problem.reason != "answered":
                raise
            return _redirect(service.start)  # reloaded, or back: the outcome stays what it was
        if query.get("error"):
            reason = "access_denied" if query["error"] == "access_denied" else "no_code"
            log.warning("%s was not connected: %s", pages.TITLES[service.name], query["error"][:80])
            visit.outcome = {"refused": reason}
            return _redirect(service.start)
        if not query.get("code"):
            visit.outcome = {"refused": "no_code"}
            return _redirect(service.start)
        try:
            visit.outcome = await service.finish(visit, query["code"])
        except ConnectorError as problem:
            return self._ended(service, visit, browser, problem)
        return _redirect(service.start)

    def _ended(self, service: _Service, visit: Visit, browser: str, problem: ConnectorError) -> web.Response:
        log.warning("%s was not connected: %s. %s", pages.TITLES[service.name], problem.message, problem.hint)
        visit.outcome = {"failed": problem.message, "hint": problem.hint}
        response = _redirect(service.start)
        self._set_cookie(response, service, browser)
        return response

    def _shown(self, service: _Service, visit: Visit) -> web.Response:
        outcome = visit.outcome or {}
        if "refused" in outcome:
            page = replace(pages.refused(service.name, outcome["refused"]), status=200)
        elif "failed" in outcome:
            page = pages.failed(service.name, outcome["failed"], outcome["hint"])
        else:
            page = service.show(outcome)
        return page.response()

    def _cookie(self, service: _Service) -> str:
        # The prefix has browsers take it from this host alone, over https alone.
        return f"{'__Host-' if self._is_https else ''}connecting-{service.name}"

    @property
    def _is_https(self) -> bool:
        return self.base.startswith("https://")

    def _browser(self, service: _Service, request: web.Request) -> str:
        return request.cookies.get(self._cookie(service), "")

    def _set_cookie(self, response: web.Response, service: _Service, browser: str) -> None:
        # Lax: it comes along when the service sends the browser back.
        response.set_cookie(
            self._cookie(service),
            browser,
            max_age=int(LIFETIME),
            path="/",
            secure=self._is_https,
            httponly=True,
            samesite="Lax",
        )


def _handler(
    work: Callable[[_Service, web.Request], Awaitable[web.StreamResponse]], service: _Service
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await work(service, request)
        except Refused as problem:
            return pages.refused(service.name, problem.reason).response()

    return handle


def _redirect(address: str) -> web.Response:
    return web.Response(status=303, headers={**pages.headers(), "Location": address})


class SlackLinker:
    """What `connections connect slack` and `disconnect slack` do."""

    def __init__(self, site: Site, installer: Installer, *, needs_public_url: bool) -> None:
        self._site = site
        self._installer = installer
        self._needs_public_url = needs_public_url

    async def connect(self) -> dict[str, Any]:
        """A link. Raises ConnectorError where the settings do not allow it."""
        self._installer.check()
        if self._needs_public_url:
            raise ConnectorError(
                "no_public_url",
                "CONNECTOR_PUBLIC_URL is not set",
                hint="Slack sends the browser back to an https address: set it, restart, and add "
                "https://YOUR-HOST/slack/oauth_redirect under OAuth & Permissions > Redirect URLs.",
            )
        return {"service": "slack", **self._site.link("slack")}

    async def disconnect(self) -> dict[str, Any]:
        """Ends the installation."""
        return {"service": "slack", "done": await self._installer.disconnect()}

    def outcome(self, link: str) -> dict[str, Any] | None:
        """What a link led to."""
        return self._site.outcome("slack", link)


class ZendeskLinker:
    """What `connections connect zendesk` and `disconnect zendesk` do."""

    def __init__(self, site: Site, bridge: Bridge) -> None:
        self._site = site
        self._linking = bridge.linking

    async def connect(self) -> dict[str, Any]:
        """A link where consent is needed; else connects at once, and says what it did."""
        if self._linking.needs_consent:
            return {"service": "zendesk", **self._site.link("zendesk")}
        return (await self._linking.connect()).as_json()

    async def disconnect(self) -> dict[str, Any]:
        """Removes what was made, and forgets the tokens."""
        return {"service": "zendesk", "done": await self._linking.disconnect()}

    def outcome(self, link: str) -> dict[str, Any] | None:
        """What a link led to."""
        return self._site.outcome("zendesk", link)
