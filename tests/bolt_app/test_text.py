"""Values in Slack messages: what a person reads is what somebody typed, and nobody is pinged by it."""

import json
from random import Random
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from bolt_app.text import (
    MESSAGE_LIMIT,
    SHORTENED,
    VALUE_LIMIT,
    Markup,
    OptionalSlackTs,
    SlackMarkup,
    SlackText,
    SlackTs,
    escape,
    fit,
    inserted,
    is_channel_id,
    is_person_id,
    permalink,
    plain,
    settle,
)
from zendesk_bridge.flows.catalog import Inserted, Made
from zendesk_bridge.flows.template import Template

STRIPPED = [chr(code) for code in [*range(32), *range(0x7F, 0xA0), 0xFDD0, 0xFDD1] if chr(code) not in "\n\t"]
TURNING = [*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))]

typed = st.text(
    st.characters(exclude_characters="".join([*STRIPPED, *TURNING]), exclude_categories=["Cs"]), max_size=VALUE_LIMIT
)


@given(typed)
def test_what_somebody_typed_is_read_as_it_was_typed(text: str) -> None:
    escaped = escape(text)
    assert "<" not in escaped
    assert ">" not in escaped
    assert plain(escaped) == text


@given(st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()) | st.integers() | st.none())
def test_no_value_at_all_lets_a_bracket_through(value: object) -> None:
    assert not {"<", ">"} & set(escape(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (4.5, "4.5"),
        (["a", None, 3, True], "a, , 3, true"),
        (("R&D", "<!here>"), "R&amp;D, &lt;!here&gt;"),
        (range(1, 4), "1, 2, 3"),
        ({"a": "é"}, '{"a": "é"}'),
        (
            "<!channel> <@U1> <https://evil.example|Zendesk>",
            "&lt;!channel&gt; &lt;@U1&gt; &lt;https://evil.example|Zendesk&gt;",
        ),
        ("a && b", "a &amp;&amp; b"),
        ("&lt;", "&amp;lt;"),
        ("*bold*", "*bold*"),
        ("line\r\nline\rline\n\ttabbed", "line\nline\nline\n\ttabbed"),
        ("a\x00b\x1bc\x0bd", "abcd"),
        ("a\u202eb\u2066c\u2069d", "abcd"),
        ("שלום\u200f!", "שלום\u200f!"),
        ("half \ud83d of a character", "half  of a character"),
    ],
)
def test_a_value_becomes_text_in_one_way(value: object, text: str) -> None:
    assert escape(value) == text


@pytest.mark.parametrize("seed", range(4))
def test_a_value_is_escaped_character_by_character(seed: int) -> None:
    random = Random(seed)
    alphabet = [
        *STRIPPED,
        *TURNING,
        *"ab &<>\n\t",
        "\u00a0",
        "\u00ad",
        "\u200f",
        "\u2028",
        "é",
        "—",
        "😀",
        "\ud83d",
        "\ue000",
    ]
    entities = {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        **dict.fromkeys([*STRIPPED, *TURNING, "\ud83d"], ""),
        "\r": "\n",
    }
    for _ in range(500):
        # A few kinds of characters at a time, so that texts without any that is left out are among them.
        text = "".join(random.choices([*random.sample(alphabet, 3), "a"], k=random.randint(0, 12)))
        expected = "".join(entities.get(each, each) for each in text.replace("\r\n", "\n"))
        assert escape(text) == expected, repr(text)
        assert settle(inserted(text)) == expected, repr(text)


def test_our_own_markup_is_inserted_as_it_is() -> None:
    assert escape(SlackMarkup("<@U0ADA00001>")) == "<@U0ADA00001>"


def test_what_is_made_of_our_markup_is_ordinary_text() -> None:
    assert escape(SlackMarkup("<@U0ADA00001>").lower()) == "&lt;@u0ada00001&gt;"


def test_a_value_is_kept_word_for_word_up_to_its_limit() -> None:
    assert escape("x" * VALUE_LIMIT) == "x" * VALUE_LIMIT


def test_a_longer_value_is_shortened_visibly_and_never_inside_an_entity() -> None:
    text = escape("&" * (VALUE_LIMIT + 1))
    assert text == "&amp;" * VALUE_LIMIT + SHORTENED


def test_a_template_inserts_values_escaped_and_keeps_the_authors_markup() -> None:
    template = Template("<!here> *{{ subject }}* for {{ who }}{{ nothing }} {{ unknown }}{{ who | upcase }}")
    values = {"subject": "<!channel> & co", "who": SlackMarkup("<@U1>"), "nothing": None}
    assert template.text(values, escape) == "<!here> *&lt;!channel&gt; &amp; co* for <@U1> &lt;@U1&gt;"


def test_a_template_of_one_variable_is_escaped_as_well() -> None:
    assert Template("{{ subject }}").text({"subject": "<!channel>"}, escape) == "&lt;!channel&gt;"


def sent(template: str, **values: object) -> str:
    """The message that a flow's author and their values make together."""
    return settle(Template(template).text(values, inserted))


@pytest.mark.parametrize(
    ("template", "value", "text"),
    [
        ("<{{ v }}>", "https://example.com/a?b=1&c=2", "<https://example.com/a?b=1&amp;c=2>"),
        ("<{{ v }}|Open>", " HTTP://example.com\n", "<HTTP://example.com|Open>"),
        ("<{{ v }}|Open>", "mailto:mira@example.com", "<mailto:mira@example.com|Open>"),
        ("<mailto:{{ v }}|Write>", "mira@example.com", "<mailto:mira@example.com|Write>"),
        ("<https://example.com/{{ v }}|Open>", "a b|c<d>", "<https://example.com/a%20b%7Cc%3Cd%3E|Open>"),
        ("<https://{{ v }}.example.com>", "acme", "<https://acme.example.com>"),
        ("<https://example.com|{{ v }}>", "a|b\nc & <d>", "<https://example.com|a¦b c &amp; &lt;d&gt;>"),
        ("<slack://open|{{ v }}>", "Open", "<slack://open|Open>"),
        ("<{{ v }}|Open>", "https://example.com|Your bank", "<https://example.com%7CYour%20bank|Open>"),
        ("<{{ v }}|Open>", None, "Open"),
        ("<{{ v }}>", "", ""),
        ("<@{{ v }}>", "U0ADA00001", "<@U0ADA00001>"),
        ("<#{{ v }}>", "C0SUPPORT1", "<#C0SUPPORT1>"),
        ("<!subteam^{{ v }}>", "S0TEAM0001", "<!subteam^S0TEAM0001>"),
        ("<!date^{{ v }}^{date_short}|then>", "1700000000", "<!date^1700000000^{date_short}|then>"),
        ("<!here> {{ v }} <https://a.example|a>", "x", "<!here> x <https://a.example|a>"),
        ("1 < 2 {{ v }}", "x", "1 &lt; 2 x"),
        ("1 < 2 <{{ v }}|Open>", "https://a.example", "1 &lt; 2 <https://a.example|Open>"),
        ("1 < 2 {{ v }} <!here>", "x", "1 &lt; 2 x <!here>"),
        ("<<{{ nothing }}|{{ v }}>>", "!here", "&lt;!here>"),
        ("<https://a.example <{{ v }}>>", "x|y", "&lt;https://a.example &lt;x|y&gt;>"),
    ],
)
def test_an_author_can_make_links_and_mentions_of_values(template: str, value: object, text: str) -> None:
    assert sent(template, v=value) == text
    assert settle(text) == text


@pytest.mark.parametrize(
    "value",
    [
        *(
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            "JAVASCRIPT:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
        ),
        *("slack://open", "tel:1", "//example.com", "https:", "https:///x", "http://", "mailto:", "x"),
        *("!here", "!channel", "!everyone", "@U0ADA00001", "#C0SUPPORT1", "!subteam^S0TEAM0001", "!date^1^x^file:///x"),
        *("U0ADA00001|https://example.com", "|https://example.com", "https\u200b://example.com"),
    ],
)
@pytest.mark.parametrize("template", ["<{{ v }}>", "<{{ v }}|label>", "<!{{ v }}>", "<{{ v }}", "<{{ v }} <b>"])
def test_a_value_makes_no_other_link_and_no_mention(template: str, value: str) -> None:
    text = sent(template, v=value)
    assert "<" not in text.replace("<b>", "")
    assert ">" not in text.replace("<b>", "")


@pytest.mark.parametrize(
    "value", ["U1> <!here", "!here", "u0ada", "", None, "U0 ADA", "S0TEAM0001", "https://a.example"]
)
@pytest.mark.parametrize("template", ["<@{{ v }}>", "<#{{ v }}>", "<!date^{{ v }}^{date}|then>", "<!subteam^x{{ v }}>"])
def test_a_mention_that_the_author_began_takes_an_id_alone(template: str, value: str | None) -> None:
    assert "<" not in sent(template, v=value)


def test_our_own_mention_stays_a_mention_and_takes_no_part_in_a_link() -> None:
    mention = SlackMarkup("<@U0ADA00001>")
    assert sent("Hi {{ v }}, {{ v | downcase }}", v=mention) == "Hi <@U0ADA00001>, &lt;@u0ada00001&gt;"
    assert sent("1 < 2 {{ w }}, ask {{ v }}", v=mention, w="x") == "1 &lt; 2 x, ask <@U0ADA00001>"
    assert sent("<{{ w }}|{{ v }}>", v=mention, w="file:x") == "&lt;file:x|<@U0ADA00001>>"


def test_entities_are_decoded_once() -> None:
    assert plain("&amp;lt;b&amp;gt; &lt;b&gt;") == "&lt;b&gt; <b>"


def test_a_message_that_slack_takes_whole_stays_as_it_is() -> None:
    text = "x" * (MESSAGE_LIMIT - 1)
    assert fit(text) == text


@pytest.mark.parametrize("piece", ["word ", "&amp;", "&lt;b&gt; ", "<https://example.com/a|a> "])
@pytest.mark.parametrize("shift", range(0, 30, 3))
def test_a_longer_message_is_cut_visibly_between_entities_and_links(piece: str, shift: int) -> None:
    text = fit("x" * shift + piece * 20_000)
    kept = text.removesuffix(SHORTENED)
    assert MESSAGE_LIMIT - 100 < len(text) < MESSAGE_LIMIT
    assert text.endswith(SHORTENED)
    assert kept.count("&") == kept.count(";")
    assert kept.count("<") == kept.count(">")


def test_a_permalink_is_put_together_without_a_call() -> None:
    at = "https://x.slack.com/archives/C1/p1503435956000247"
    assert permalink("https://x.slack.com/", "C1", "1503435956.000247") == at
    assert permalink("https://x.slack.com", "C1", "1503435956.000247", "1503435956.000247") == at
    reply = permalink("https://x.slack.com/", "C1", "1503435956.000247", "1503435900.000100")
    assert reply == f"{at}?thread_ts=1503435900.000100&cid=C1"


def test_ids_are_told_from_names() -> None:
    assert all(map(is_channel_id, ["C0SUPPORT1", "G012AC86C", "D0SB000001"]))
    assert not any(map(is_channel_id, ["support", "#support", "U0ADA00001", "c0support1", "", "C0SUPPORT1\n"]))
    assert all(map(is_person_id, ["U0ADA00001", "W012A3CDE", "USLACKBOT"]))
    assert not any(map(is_person_id, ["ada", "C0SUPPORT1", "@ada"]))


class Form(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    ts: SlackTs = "1.000001"
    thread_ts: OptionalSlackTs = None


def refusal(**inputs: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(inputs)
    return caught.value.errors()[0]["msg"]


def test_a_ts_keeps_its_zeros() -> None:
    assert Form.model_validate({"ts": "1503435956.000200\n"}).ts == "1503435956.000200"
    assert Form.model_validate({"thread_ts": None}).thread_ts is None


@pytest.mark.parametrize("value", [1503435956.0002, 1503435956, "1503435956.0002", "1503435956"])
def test_a_bare_number_is_no_ts_and_the_author_learns_why(value: object) -> None:
    assert "put it in quotes: a bare number loses its zeros" in refusal(ts=value)
    assert "put it in quotes" in refusal(thread_ts=value)


@pytest.mark.parametrize(
    "value", ["", "yesterday", "1503435956.000200 ", "١٥٠٣٤٣٥٩٥٦.٠٠٠٢٠٠", True, None, ["1.000001"]]
)
def test_other_things_are_no_ts(value: object) -> None:
    if value == "1503435956.000200 ":
        assert Form.model_validate({"ts": value}).ts == "1503435956.000200"
    else:
        assert "is not a message's ts" in refusal(ts=value)


def test_the_types_carry_the_marks_that_templates_and_the_journal_look_for() -> None:
    class Declared(BaseModel):
        message: Annotated[SlackText, "more"]
        mention: Markup

    fields = Declared.model_fields
    assert fields["message"].annotation is str
    assert [mark.insert for mark in fields["message"].metadata if isinstance(mark, Inserted)] == [inserted]
    made = next(mark.make for mark in fields["mention"].metadata if isinstance(mark, Made))
    recorded = json.loads(json.dumps({"mention": SlackMarkup("<@U1>")}))["mention"]
    assert escape(made(recorded)) == "<@U1>"
