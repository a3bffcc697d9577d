"""The first name in a name as it stands in Zendesk: what a message greets somebody with."""

from __future__ import annotations

import re

# None that is a first name itself, as Don is.
_TITLES = re.compile(
    "mr|mrs|ms|mx|miss|sir|madam|dr|prof|professor|doctor"
    "|herr|frau|hr|fr|dipl|ing"
    "|m|mme|mlle|monsieur|madame|mademoiselle"
    "|sr|sra|srta|señor|señora|señorita|doña"
    "|sig|sigra|signor|signora|dott|dottssa|ssa"
    "|dhr|mevr|mevrouw|meneer"
)
# After a comma they are no first name: “Ann Lee, PhD”, “Acme, Inc.”. Nor are capitals after small letters.
_ENDINGS = re.compile("jr|sr|ii|iii|iv|esq|phd|md|mba|cpa|bsc|msc|inc|ltd|llc|llp|plc|corp|gmbh|sas|sarl|srl")
_LONGEST = 300
_QUOTES = "\"'“”„«»‘’()[]<>"
# An address, or what stands before its @: Zendesk calls people so whose name it does not know.
_LOCAL_PART = re.compile(r"[a-z0-9]+(?:[._+][a-z0-9]+)*[._+]?")


def first_name(text: str) -> str:
    """“Dr. Maria Luisa Ortega”, “Ortega, Maria” and maria.ortega@acme.example are Maria."""
    words = text[:_LONGEST].split()
    if len(words) == 1 and (local := _of_an_address(words[0])):
        return local
    family, comma, given = " ".join(words).partition(",")
    by_family = bool(comma) and _is_given(family, given)
    words = (given if by_family else family).split()
    words = [each for each in (word.strip(_QUOTES) for word in words) if each]
    # Before a family name alone, an initial is all there is.
    least = 1 if by_family else 2
    while len(words) > 1 and (_title(words[0]) or (len(words) > least and _initial(words[0]))):
        del words[0]
    return _without_title(words[0]) if words else ""


def _is_given(family: str, given: str) -> bool:
    """Whether what stands after a comma is a name, and no degree or legal form."""
    words = given.partition(",")[0].replace(".", "").casefold().split()
    named = any(not _ENDINGS.fullmatch(word) for word in words)
    return named and (not given.strip().isupper() or family.isupper())


def _of_an_address(word: str) -> str:
    local, at, _ = word.partition("@")
    if not at and not re.search(r"[._]", local):
        return ""
    if not _LOCAL_PART.fullmatch(local.lower() if at else local):
        return local if at else ""
    first = re.split(r"[._+]", local)[0]
    # An initial or a number greets nobody.
    return first.capitalize() if len(first) > 1 and first.isalpha() else local


def _title(word: str) -> bool:
    parts = [part for part in word.casefold().split(".") if part]
    return bool(parts) and all(map(_TITLES.fullmatch, parts))


def _initial(word: str) -> bool:
    return len(word) == 2 and word.endswith(".")


def _without_title(word: str) -> str:
    """“Dr.Maria” is two words."""
    head, dot, rest = word.partition(".")
    while dot and rest and _TITLES.fullmatch(head.casefold()):
        word = rest
        head, dot, rest = word.partition(".")
    return word
