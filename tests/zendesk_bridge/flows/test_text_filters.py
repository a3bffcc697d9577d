"""First names, and HTML as text: what people read in a message."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from template_tries import attempted, shown

from bolt_app.text import escape
from zendesk_bridge.flows.filters import TEXT_LIMIT
from zendesk_bridge.flows.html_text import plain_text
from zendesk_bridge.flows.template import Template

# ---- first_name


@pytest.mark.parametrize(
    "name",
    [
        *("Maria Ortega", "Maria", "  Maria   Luisa Ortega ", '"Maria" Ortega', "Maria Ortega, PhD", "Maria Lee, CPA"),
        *("Ortega, Maria", "Ortega, Dr. Maria Luisa", "van der Berg, Maria", "Ortega, M. Maria", "Ortega Gil,Maria"),
        *("maria.ortega@acme.example", "MARIA.ORTEGA@ACME.EXAMPLE", "maria.ortega", "maria_ortega", "maria+x@a.b"),
        *("Maria,", ", Maria", "M. Maria Ortega", "J. Maria Ortega"),
    ],
)
def test_a_first_name_is_found_however_a_name_is_written(name: str) -> None:
    assert shown("{{ name | first_name }}", name=name) == "Maria"


@pytest.mark.parametrize(
    "title",
    [
        *("Mr", "Mrs", "Ms.", "Dr.", "Prof.", "Prof. Dr.", "Prof.Dr.", "Herr", "Frau Dr.", "Mme", "M.", "Sr.", "Sra"),
        *("SRTA.", "Señora", "Signora", "Dott.ssa", "Mevr."),
    ],
)
def test_a_title_is_no_first_name(title: str) -> None:
    assert shown("{{ name | first_name }}", name=f"{title} Maria Ortega") == "Maria"
    assert shown("{{ name | first_name }}", name=f"Ortega, {title} Maria") == "Maria"


@pytest.mark.parametrize(
    ("name", "first"),
    [
        (None, ""),
        ("", ""),
        (" , ", ""),
        ("Dr.", "Dr."),
        ("Mr Smith", "Smith"),
        ("J. Smith", "J."),
        ("Acme, Inc.", "Acme"),
        ("Don Johnson", "Don"),
        ("Jean-Luc Picard", "Jean-Luc"),
        ("O'Neil", "O'Neil"),
        ("山田太郎", "山田太郎"),
        ("ORTEGA, MARIA", "MARIA"),
        ("m.ortega@acme.example", "m.ortega"),
        ("info@acme.example", "Info"),
        ("x17@acme.example", "x17"),
        ("@", "@"),
        (5158, "5158"),
    ],
)
def test_where_a_name_says_no_more_it_stays(name: object, first: str) -> None:
    assert shown("{{ name | first_name }}", name=name) == first


def test_a_greeting_has_a_word_for_nobody() -> None:
    assert shown("Hi {{ requester.name | first_name | default: 'there' }}!", requester={"name": None}) == "Hi there!"


@given(st.text(max_size=60) | st.text("aB.,@ \"'<>Dr", max_size=40))
@settings(deadline=None, max_examples=300)
def test_a_first_name_is_a_word_of_the_name(name: str) -> None:
    first = attempted("{{ name | first_name }}", name=name)
    assert not first.startswith(("<misplaced>", "template_"))
    assert first.lower() in name.encode("utf-8", "replace").decode().lower()
    assert not any(map(str.isspace, first))


# ---- plain_text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Hello <b>Noor</b>,</p><p>see below.</p>", "Hello Noor,\n\nsee below."),
        ("<p>a</p>\n\n<p></p><p>&nbsp;</p><p>b</p>", "a\n\nb"),
        ("a<br>b<br/>c<BR />d", "a\nb\nc\nd"),
        ("a<br><br><br><br>b", "a\n\nb"),
        ("<div>a</div><div>b</div><div><br></div><div>c</div>", "a\nb\n\nc"),
        ("<h2>Title</h2>text<hr>more", "Title\n\ntext\n\nmore"),
        ("<p>Steps:</p><ul><li>one</li><li><p>two</p></li></ul><p>Bye</p>", "Steps:\n\n- one\n- two\n\nBye"),
        ("<ol><li>one<ul><li>in it</li></ul></li><li>two</li><li></li></ol>", "- one\n- in it\n- two"),
        ("<table><tr><th>Order</th><td>17</td></tr><tr><td>a</td><td>b</td></tr></table>z", "Order 17\na b\n\nz"),
        ("<pre>one\n  two\n\n\n\nthree</pre>four\nfive", "one\ntwo\n\nthree\n\nfour five"),
        ("<style>p{}</style><script>if (a<b) x()</script><!-- <p>no</p> -->yes", "yes"),
        ("a < b and c > d", "a < b and c > d"),
        ("<i>a < b</i> and 1 <2", "a < b and 1 <2"),
        ("Fish &amp; chips &lt;b&gt; &amp;lt; &#65;&#x42; &euro;5", "Fish & chips <b> &lt; AB €5"),
        ("&am<i></i>p;lt;", "&amp;lt;"),
        (f"&#{'9' * 5_000}; &#xFFFFFFFFFF; &#0;", f"&#{'9' * 5_000}; &#xFFFFFFFFFF; \ufffd"),
        ("no tags,\r\n\r\n\r\n  but   lines\n\n", "no tags,\n\nbut lines"),
        ("<b>tags</b>\nand\tno lines", "tags and no lines"),
        ('<a href="https://a.example/x">Order 17</a>.', "Order 17 (https://a.example/x)."),
        ("<a href=https://a.example/?a=1&amp;b=2>Go</a>", "Go (https://a.example/?a=1&b=2)"),
        ('<a href="https://a.example/">a.example</a>', "a.example"),
        ("<a href='mailto:noor@a.example'>noor@a.example</a>", "noor@a.example"),
        ("<a href='mailto:noor@a.example'>Noor</a>", "Noor (noor@a.example)"),
        ("<a href='javascript:x()'>Go</a> <a name=x>there</a>", "Go there"),
        ("<a href='https://a.example'><img src=x></a>", ""),
        ("<a href='https://a.example'><div>Go</div></a>on", "Go (https://a.example)\non"),
        ("<p>cut <b", "cut <b"),
        (None, ""),
        (["<p>a</p>", "<p>b</p>"], "a\n\n,\n\nb"),
    ],
)
def test_html_becomes_text_that_reads_well(markup: object, text: str) -> None:
    assert shown("{{ x | plain_text }}", x=markup) == text


def test_what_was_written_as_an_entity_pings_nobody() -> None:
    template = Template("{{ x | plain_text }}")
    assert template.text({"x": "<p>&lt;!channel&gt; &amp;lt;</p>"}, escape) == "&lt;!channel&gt; &amp;lt;"


PIECES = (
    *(
        "<!--",
        "<a ",
        "<a b='",
        "<",
        "</",
        "<script>",
        "<?",
        "&#",
        "<![",
        "&",
        "&a",
        "&#9",
        "<br>",
        "<li>a",
        "<ul><li>a",
    ),
    *(
        "<a href=http://x.y>a",
        "<a href='",
        '<a href="x" href=',
        "</a>x",
        " href= ",
        "\n",
        "\r",
        "<pre>\n",
        "<p>",
        "<td>",
    ),
    *("&lt;", "&nbsp;", "<a href ", "&CounterClockwiseContourIntegral", "<div><a href=http://x.y>"),
)


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("before", ["", "<b>", "<a href=http://x.y ", "<a href=http://x.y>", "<pre>"])
def test_eight_times_the_html_is_not_sixty_four_times_the_work(before: str, piece: str) -> None:
    little = before + piece * (TEXT_LIMIT // 8 // len(piece))
    assert len(plain_text(little)) <= len(little)
    assert taken(little * 8) < 32 * taken(little) + 0.1


def taken(markup: str) -> float:
    """Seconds of this process alone, at best."""
    found = []
    for _ in range(3):
        start = time.process_time()
        plain_text(markup)
        found.append(time.process_time() - start)
    return min(found)


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=25).map("".join))
@settings(deadline=None, max_examples=300)
def test_any_html_becomes_lines_without_needless_blanks(markup: str) -> None:
    text = plain_text(markup)
    lines = text.split("\n")
    assert all(line == line.strip() and "  " not in line for line in lines)
    assert "\n\n\n" not in text
    assert text == text.strip("\n")
