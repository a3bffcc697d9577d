"""The routes of connecting: a link's page, the way to the service, and the way back."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlencode

from aiohttp import web

from bolt_app.connecting import pages
from bolt_app.connecting.pages import Page
from bolt_app.connecting.visits import LIFETIME, Refused, Visit, Visits
from bolt_app.installation import Installer
from bolt_app.requests import request_body, request_expectation
from bolt_app.slack_errors import CODE
from zendesk_bridge.bridge import Bridge, Linking
from zendesk_bridge.flows.errors import ConnectorError
from zendesk_bridge.flows.model import rfc3339, utc_now

log = logging.getLogger(__name__)

#: How long a page waits for what another one of the same browser began, in seconds.
FINISHES_WITHIN = 30.0


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
                ask=lambda link: pages.ask_slack(action="/slack/install", link=link, scopes=installer.scopes),
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
                ),
                go=self._to_zendesk,
                finish=self._from_zendesk,
                show=pages.zendesk_connected,
            ),
        )

    def listens_at(self, url: str) -> None:
        """Takes note where the connector listens: links lead there, unless a public address is set."""
        self.base = (self._public_url or url).rstrip("/")

    def link(self, service: str, hashed: str | None) -> dict[str, Any]:
        """A new one-time link: `{link, expires_at}`; without its secret part where only its hash is given."""
        start = next(each.start for each in self._services if each.name == service)
        secret = self.visits.invite(service, hashed)
        ends = rfc3339(utc_now() + dt.timedelta(seconds=LIFETIME))
        return {"link": f"{self.base}{start}?{urlencode({'link': secret})}", "expires_at": ends}

    def outcome(self, service: str, link: str) -> dict[str, Any] | None:
        """What a link led to; None where nobody has finished yet. Raises ConnectorError where it failed.

        Args:
            link: as `fingerprint` gives it.
        """
        try:
            outcome = self.visits.of_link(service, link).outcome
        except Refused as problem:
            message, hint = pages.words(service, problem.reason)[1:]
            raise ConnectorError("not_connected", message, hint=hint) from problem
        if outcome is None or not ("failed" in outcome or "refused" in outcome):
            return outcome
        message, hint = outcome.get("failed", ""), outcome.get("hint", "")
        if "refused" in outcome:
            message, hint = pages.words(service, outcome["refused"])[1:]
        raise ConnectorError("not_connected", message, hint=hint)

    def add_routes(self, application: web.Application) -> None:
        """Adds the routes of both services. Their answers have our headers, also those that aiohttp gives itself."""
        paths = {path for service in self._services for path in (service.start, service.back)}

        async def with_headers(request: web.Request, response: web.StreamResponse) -> None:
            if request.path in paths:
                response.headers.update(pages.HEADERS)

        application.on_response_prepare.append(with_headers)
        for service in self._services:
            application.router.add_get(service.start, _handler(self._start, service), allow_head=False)
            application.router.add_post(
                service.start, _handler(self._begin, service), expect_handler=request_expectation
            )
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
            if problem.visit is not None and self._is_own(service, request, problem.visit):
                return self._shown(service, problem.visit)
            raise
        return service.ask(link).response()

    async def _begin(self, service: _Service, request: web.Request) -> web.StreamResponse:
        """Follows the link: from now on it is used, and only this browser goes on with it."""
        body = await request_body(request)
        try:
            form = parse_qs(body.decode(), max_num_fields=20)
        except ValueError as problem:
            raise web.HTTPBadRequest from problem
        visit, browser, state = self.visits.begin(service.name, form.get("link", [""])[0])
        try:
            address = await service.go(visit, state)
        except ConnectorError as problem:
            return self._ended(service, visit, browser, problem)
        response = pages.onward(service.name, address).response()
        self._set_cookie(response, service, browser)
        return response

    async def _answered(self, service: _Service, request: web.Request) -> web.StreamResponse:
        """The service sent the browser back: with a code, or with why there is none."""
        query, browser = request.query, self._browser(service, request)
        try:
            visit = self.visits.answered(service.name, query.get("state", ""), browser)
        except Refused as problem:
            if problem.reason != "answered" or problem.visit is None:
                raise
            with contextlib.suppress(TimeoutError):  # reloaded, or back: the outcome is the same
                await asyncio.wait_for(problem.visit.ended.wait(), FINISHES_WITHIN)
            return _redirect(f"{self.base}{service.start}")
        if query.get("error"):
            code = query["error"] if CODE.fullmatch(query["error"]) else ""
            log.warning("%s was not connected: %s", pages.TITLES[service.name], code or "it does not say why")
            reason = "access_denied" if code == "access_denied" else "no_code"
            visit.end({"refused": reason, "code": "" if reason == "access_denied" else code})
        elif not query.get("code"):
            visit.end({"refused": "no_code"})
        else:
            await self._finish(service, visit, query["code"])
        return _redirect(f"{self.base}{service.start}")

    async def _finish(self, service: _Service, visit: Visit, code: str) -> None:
        """Ends a visit with what the code leads to, whatever that is."""
        outcome = {"failed": "The connector stopped, or met a defect of its own", "hint": "Its log has the details."}
        try:
            outcome = await service.finish(visit, code)
        except ConnectorError as problem:
            log.warning("%s was not connected: %s. %s", pages.TITLES[service.name], problem.message, problem.hint)
            outcome = {"failed": problem.message, "hint": problem.hint}
        except Exception:
            log.exception("connecting %s met a defect of this software", service.name)
        finally:
            visit.end(outcome)

    def _ended(self, service: _Service, visit: Visit, browser: str, problem: ConnectorError) -> web.Response:
        log.warning("%s was not connected: %s. %s", pages.TITLES[service.name], problem.message, problem.hint)
        visit.end({"failed": problem.message, "hint": problem.hint})
        response = _redirect(f"{self.base}{service.start}")
        self._set_cookie(response, service, browser)
        return response

    def _shown(self, service: _Service, visit: Visit) -> web.Response:
        outcome = visit.outcome
        if outcome is None:
            page = pages.under_way(service.name)
        elif "refused" in outcome:
            page = replace(pages.refused(service.name, outcome["refused"], outcome.get("code", "")), status=200)
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

    def _is_own(self, service: _Service, request: web.Request, visit: Visit) -> bool:
        """Whether a visit is that of the browser that asks."""
        try:
            return self.visits.outcome(service.name, self._browser(service, request)) is visit
        except Refused:
            return False

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
    return web.Response(status=303, headers={**pages.HEADERS, "Location": address})


class SlackLinker:
    """What `connections connect slack` and `disconnect slack` do."""

    def __init__(self, site: Site, installer: Installer, *, needs_public_url: bool) -> None:
        self._site = site
        self._installer = installer
        self._needs_public_url = needs_public_url

    async def connect(self, link: str | None) -> dict[str, Any]:
        """A link. Raises ConnectorError where the settings do not allow it."""
        self._installer.check()
        if self._needs_public_url:
            raise ConnectorError(
                "no_public_url",
                "CONNECTOR_PUBLIC_URL is not set",
                hint="Slack sends the browser back to an https address: set it, restart, and add "
                "https://YOUR-HOST/slack/oauth_redirect under OAuth & Permissions > Redirect URLs.",
            )
        return {"service": "slack", **self._site.link("slack", link)}

    async def disconnect(self) -> dict[str, Any]:
        """Ends the installation."""
        return {"service": "slack", "done": await self._installer.disconnect()}

    def outcome(self, link: str) -> dict[str, Any] | None:
        """What a link led to."""
        return self._site.outcome("slack", link)


class ZendeskLinker:
    """What `connections connect zendesk` and `disconnect zendesk` do."""

    def __init__(self, site: Site, bridge: Bridge, *, needs_public_url: bool) -> None:
        self._site = site
        self._linking = bridge.linking
        self._needs_public_url = needs_public_url

    async def connect(self, link: str | None) -> dict[str, Any]:
        """A link where consent is needed; else connects at once, and says what it did."""
        if self._linking.needs_consent and self._needs_public_url:
            raise ConnectorError(
                "no_public_url",
                "CONNECTOR_PUBLIC_URL is not set, and the connector listens at no address that a browser can open",
                hint="Set it, restart, and add https://YOUR-HOST/zendesk/oauth_redirect to the OAuth client.",
            )
        if self._linking.needs_consent:
            return {"service": "zendesk", **self._site.link("zendesk", link)}
        return (await self._linking.connect()).as_json()

    async def disconnect(self) -> dict[str, Any]:
        """Removes what was made, and forgets the tokens."""
        return {"service": "zendesk", "done": await self._linking.disconnect()}

    def outcome(self, link: str) -> dict[str, Any] | None:
        """What a link led to."""
        return self._site.outcome("zendesk", link)
