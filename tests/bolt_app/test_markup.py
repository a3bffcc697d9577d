"""Slack's markup as people see it."""

from __future__ import annotations

import pytest

from bolt_app.markup import Span, seen, spans

NAMES = {"U024BE7LH": "Noor Haddad", "C024BE91L": "#support"}


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("<https://acme.example/t?a=1&amp;b=2|Ticket &amp; more>", "Ticket & more (https://acme.example/t?a=1&b=2)"),
        ("<https://acme.example>", "https://acme.example"),
        ("<mailto:a@acme.example|a@acme.example>", "a@acme.example"),
        ("<@U024BE7LH> <@U0OTHER001> <@U0OTHER002|ben>", "@Noor Haddad @U0OTHER001 @ben"),
        ("<#C024BE91L> <#C0OTHER001|random>", "#support #random"),
        ("<!here> <!channel|channel> <!subteam^S012345|@agents> <!subteam^S012345>", "@here @channel @agents @S012345"),
        ("<!date^1392734382^{date_num}|18 February>", "18 February"),
        ("*Urgent*: _soon_ ~never~ `x &lt; 1`", "Urgent: soon never x < 1"),
        ("```\n*not bold*\n```", "*not bold*"),
        ("2 * 3 * 4 and snake_case_name and a*b*c", "2 * 3 * 4 and snake_case_name and a*b*c"),
        ("&lt;!channel&gt; is text", "<!channel> is text"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_a_message_is_read_as_slack_shows_it(markup: str, text: str) -> None:
    assert seen(markup, NAMES) == text


def test_what_is_bold_may_hold_a_link() -> None:
    assert list(spans("*see <https://a.example|here>* `x`")) == [
        Span("see ", "bold"),
        Span("here (https://a.example)", "bold link"),
        Span(" "),
        Span("x", "code"),
    ]
