"""The filters for numbers, as the Liquid library has them: a text that is a number counts as one, other text is 0."""

from __future__ import annotations

from liquid.builtin.filters import math as numbers

from zendesk_bridge.flows.filter_terms import NUMBERS, TEXT, FilterTerms

NUMBER_FILTERS = {
    "abs": FilterTerms(
        function=numbers.abs_,
        about="The number without its sign.",
        example="{{ -3 | abs }}",
        result="3",
        takes=NUMBERS,
        gives="same",
        unsettled=TEXT,
    ),
    "at_least": FilterTerms(
        function=numbers.at_least,
        about="The number, or the other one where that is greater.",
        example="{{ 3 | at_least: 5 }}",
        result="5",
        takes=NUMBERS,
        gives="same",
        unsettled=TEXT,
    ),
    "at_most": FilterTerms(
        function=numbers.at_most,
        about="The number, or the other one where that is smaller.",
        example="{{ 8 | at_most: 5 }}",
        result="5",
        takes=NUMBERS,
        gives="same",
        unsettled=TEXT,
    ),
    "ceil": FilterTerms(
        function=numbers.ceil,
        about="The next whole number.",
        example="{{ 1.2 | ceil }}",
        result="2",
        takes=NUMBERS,
        gives="number",
    ),
    "divided_by": FilterTerms(
        function=numbers.divided_by,
        about="The quotient; of two whole numbers a whole one.",
        example="{{ 7 | divided_by: 2 }}",
        result="3",
        takes=NUMBERS,
        gives="same",
        unsettled=TEXT,
    ),
    "floor": FilterTerms(
        function=numbers.floor,
        about="The whole number before it.",
        example="{{ 1.8 | floor }}",
        result="1",
        takes=NUMBERS,
        gives="number",
    ),
    "modulo": FilterTerms(
        function=numbers.modulo,
        about="What is left over when it is divided.",
        example="{{ 7 | modulo: 4 }}",
        result="3",
        takes=NUMBERS,
        gives="same",
        unsettled=TEXT,
    ),
    "round": FilterTerms(
        function=numbers.round_,
        about="The nearest whole number, or so many decimals.",
        example="{{ 3.14159 | round: 2 }}",
        result="3.14",
        takes=NUMBERS,
        gives="same",
        unsettled=TEXT | {"decimal"},
    ),
    "times": FilterTerms(
        function=numbers.times,
        about="The product.",
        example="{{ 3 | times: 4 }}",
        result="12",
        takes=NUMBERS,
        gives="same",
        unsettled=TEXT,
    ),
}
