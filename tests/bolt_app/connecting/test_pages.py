"""The pages: words of others stay words, whatever they hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from bolt_app.connecting import pages
from bolt_app.connecting.pages import Page

HOSTILE = "<script>alert(1)</script><img src=x onerror='a()'>\"'&amp;`<b>x</b>`"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


SLACK = {"account": HOSTILE, "connected_by": HOSTILE, "scopes": [HOSTILE], "missing": [HOSTILE], "actions": [HOSTILE]}
ZENDESK = {"account": HOSTILE, "connected_by": HOSTILE, "scopes": [HOSTILE], "webhook": [HOSTILE], "clicks": [HOSTILE]}
MADE: dict[str, Callable[[], Page]] = {
    "ask slack": lambda: pages.ask_slack(action=HOSTILE, link=HOSTILE, scopes={HOSTILE: HOSTILE}),
    "ask zendesk": lambda: pages.ask_zendesk(action=HOSTILE, link=HOSTILE, account=HOSTILE, scope=HOSTILE),
    "failed": lambda: pages.failed("slack", HOSTILE, HOSTILE),
    "slack is connected": lambda: pages.slack_connected(SLACK),
    "zendesk is connected": lambda: pages.zendesk_connected(ZENDESK),
    "a title": lambda: Page(title=HOSTILE, body=""),
}


def read(page: Page) -> _Tags:
    tags = _Tags()
    tags.feed(str(page.response().text))
    return tags


@pytest.mark.parametrize("name", MADE)
def test_words_of_others_are_no_html(name: str) -> None:
    tags = read(MADE[name]())
    # The page itself has <b>; none of what was handed over became an element or an attribute.
    assert not {"script", "img"} & set(tags.tags)
    assert not [name for name, _ in tags.attributes if name.startswith("on") or name == "src"]
    hrefs = [value for name, value in tags.attributes if name in ("href", "formaction")]
    assert hrefs == []


@pytest.mark.parametrize("reason", [*pages.REASONS])
@pytest.mark.parametrize("service", ["slack", "zendesk"])
def test_each_refusal_says_what_happened_and_what_to_do(service: str, reason: str) -> None:
    page = pages.refused(service, reason)
    html = str(page.response().text)
    assert page.status == 404
    assert page.title in html
    assert "What to do" in html
    assert f"<code>zendesk-connector connections connect {service}</code>" in html
    assert not re.search(r"[{}]", page.body)
    assert "None" not in page.body


def test_the_pages_policy_allows_their_own_style_and_nothing_else() -> None:
    response = pages.refused("slack", "unknown").response()
    policy = dict(each.split(" ", 1) for each in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert "unsafe" not in str(policy)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.charset == "utf-8"


@pytest.mark.parametrize("outcome", [SLACK | {"missing": []}, SLACK])
def test_missing_scopes_are_shown_only_where_some_are(outcome: dict[str, Any]) -> None:
    html = pages.slack_connected(outcome).body
    assert ("<h2>Missing</h2>" in html) is bool(outcome["missing"])


def test_characters_that_steer_a_text_do_not_reach_the_page_as_they_are() -> None:
    """A name with a right-to-left override shows the rest of the line backwards."""
    for character in ("\x00", "\x1b", "\x08", "\u202e", "\u2066"):
        page = pages.slack_connected(SLACK | {"account": f"Acme{character}evil"})
        assert character not in str(page.response().text), ascii(character)
