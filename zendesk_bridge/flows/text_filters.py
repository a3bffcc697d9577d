"""The filters for texts: cutting, replacing, changing letters, reading HTML and names. Null counts as an empty text."""

from __future__ import annotations

from typing import Any

from liquid.builtin.filters import string as texts

from zendesk_bridge.flows.filter_terms import TEXT, WRITTEN, FilterTerms
from zendesk_bridge.flows.first_names import first_name
from zendesk_bridge.flows.html_text import plain_text, strip_html


def _truncate(text: str, length: Any = 50, end: str = "...") -> str:
    return text if len(text) <= int(length) else text[: max(int(length) - len(end), 0)] + end


def _truncatewords(text: str, count: Any = 15, end: str = "...") -> str:
    words = text.split()
    return text if len(words) <= max(int(count), 1) else " ".join(words[: max(int(count), 1)]) + end


TEXT_FILTERS = {
    "append": FilterTerms(
        function=texts.append,
        about="With a text after it.",
        example='{{ "Ticket" | append: "!" }}',
        result="Ticket!",
        takes=WRITTEN,
        gives="text",
    ),
    "capitalize": FilterTerms(
        function=texts.capitalize,
        about="With a capital at the beginning and small letters after it.",
        example='{{ "high PRIORITY" | capitalize }}',
        result="High priority",
        takes=WRITTEN,
        gives="text",
    ),
    "downcase": FilterTerms(
        function=texts.downcase,
        about="In small letters.",
        example='{{ "URGENT" | downcase }}',
        result="urgent",
        takes=WRITTEN,
        gives="text",
    ),
    "first_name": FilterTerms(
        function=first_name,
        about="Whom a message greets: without titles, “Ortega, Maria” by the comma, an address by what is before its"
        " first dot. Where it cannot tell, the name as it is.",
        example='{{ "Dr. Maria Luisa Ortega" | first_name }}',
        result="Maria",
        takes=TEXT,
        gives="text",
    ),
    "lstrip": FilterTerms(
        function=texts.lstrip,
        about="Without blanks before it.",
        example='{{ "  Hi" | lstrip }}',
        result="Hi",
        takes=WRITTEN,
        gives="text",
    ),
    "plain_text": FilterTerms(
        function=plain_text,
        about="HTML as text that reads well: paragraphs, rows and list items as lines, links with their address,"
        " entities as characters. Text without tags keeps its lines.",
        example='{{ "<p>Fewer than <b>5</b> &amp; more</p>" | plain_text }}',
        result="Fewer than 5 & more",
        takes=WRITTEN,
        gives="text",
        weight=4,
    ),
    "prepend": FilterTerms(
        function=texts.prepend,
        about="With a text before it.",
        example='{{ "5158" | prepend: "#" }}',
        result="#5158",
        takes=WRITTEN,
        gives="text",
    ),
    "remove": FilterTerms(
        function=texts.remove,
        about="Without a text, wherever it occurs.",
        example='{{ "Re: Re: Printer" | remove: "Re: " }}',
        result="Printer",
        takes=WRITTEN,
        gives="text",
    ),
    "remove_first": FilterTerms(
        function=texts.remove_first,
        about="Without a text where it occurs first.",
        example='{{ "Re: Re: Printer" | remove_first: "Re: " }}',
        result="Re: Printer",
        takes=WRITTEN,
        gives="text",
    ),
    "replace": FilterTerms(
        function=texts.replace,
        about="With another text in its place, wherever it occurs.",
        example='{{ "on_hold" | replace: "_", " " }}',
        result="on hold",
        takes=WRITTEN,
        gives="text",
    ),
    "replace_first": FilterTerms(
        function=texts.replace_first,
        about="With another text in its place where it occurs first.",
        example='{{ "a-b-c" | replace_first: "-", " " }}',
        result="a b-c",
        takes=WRITTEN,
        gives="text",
    ),
    "rstrip": FilterTerms(
        function=texts.rstrip,
        about="Without blanks after it.",
        example='{{ "Hi  " | rstrip | append: "!" }}',
        result="Hi!",
        takes=WRITTEN,
        gives="text",
    ),
    "split": FilterTerms(
        function=texts.split,
        about="The parts between a text, as a list.",
        example='{{ "vip,eu" | split: "," | first }}',
        result="vip",
        takes=WRITTEN,
        gives="list",
    ),
    "strip": FilterTerms(
        function=texts.strip,
        about="Without blanks before and after it.",
        example='{{ "  Hi  " | strip | append: "!" }}',
        result="Hi!",
        takes=WRITTEN,
        gives="text",
    ),
    "strip_html": FilterTerms(
        function=strip_html,
        about="Without HTML's tags, and otherwise as it is; `plain_text` reads better.",
        example='{{ "<p>Hi <b>you</b></p>" | strip_html }}',
        result="Hi you",
        takes=WRITTEN,
        gives="text",
    ),
    "strip_newlines": FilterTerms(
        function=texts.strip_newlines,
        about="Without line breaks.",
        example="{{ address | strip_newlines }}",
        result="Main St 1Berlin",
        takes=WRITTEN,
        gives="text",
    ),
    "truncate": FilterTerms(
        function=_truncate,
        about="At most so many characters (50), the end (...) among them.",
        example='{{ "The printer is on fire" | truncate: 14 }}',
        result="The printer...",
        takes=WRITTEN,
        gives="text",
    ),
    "truncatewords": FilterTerms(
        function=_truncatewords,
        about="At most so many words (15), and an end (...).",
        example='{{ "The printer is on fire" | truncatewords: 2 }}',
        result="The printer...",
        takes=WRITTEN,
        gives="text",
    ),
    "upcase": FilterTerms(
        function=texts.upcase,
        about="In capitals.",
        example='{{ "urgent" | upcase }}',
        result="URGENT",
        takes=WRITTEN,
        gives="text",
    ),
}
