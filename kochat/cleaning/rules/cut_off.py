"""Recognise an answer that ends in the middle of a sentence, if that is certain."""

from __future__ import annotations

import re

from kochat.cleaning.rule_kinds import Part, TextRule, Thresholds, Words

_SENTENCE_END = re.compile(r"[.!?。…](?=\s|[\"'”’)]|$)|[다요까죠][.!?](?=\S)")
_LAST_WORD = re.compile(r"[가-힣]+$")
_FORMAL_END = re.compile(r"니다[.!?]")
# Endings after which another word must follow: object, genitive and comitative, attributive forms, determiners, conjunctions.
_OPEN = re.compile(
    r"(?:[가-힣](?:를|을|의|와|과|된|될)|에게|로서|로써|하는|하며|위해|위한|대한|통해|따라|있는|없는|되는|않는|같은|많은|다른)$"
    r"|^(?:수|것은|것이|것을|및|또는|혹은|그리고|등의|가장|매우|여러|모든|하지만|따라서|그렇지만)$"
)
_NOUN = re.compile(
    r"(?:결과|효과|성과|사과|학과|회의|강의|정의|동의|문의|주의|편의|합의|논의|마을|가을|노을|하의|상의)$"
)
# A spoken sentence may end in these (시원하고, 너무 많아 가지고); a sentence in formal writing does not.
_OPEN_IN_WRITING = re.compile(r"[가-힣](?:고|지만|하여|면서|도록|거나|려면|으면|에서|으로|때문에|되어|하기)$")
_LEAST_LENGTH = 100
_LEAST_SENTENCES = 2


def broken_ending(text: str) -> str | None:
    """Return why `text` ends in the middle of a sentence, or None.

    Spoken language often has no full stops, and a list need not end with one. So a text is dropped only under these conditions: it has
    at least 100 characters and no code; at least two sentences, and one in each 200 characters, end with a mark; its last line has more
    than one word and ends in a form after which another word must follow (를, 하는, 또는). The endings -고 and -지만 count only if most
    sentences end in 니다.
    """
    if len(text) < _LEAST_LENGTH or "```" in text:
        return None
    ends = len(_SENTENCE_END.findall(text))
    if ends < _LEAST_SENTENCES or ends * 200 < len(text):
        return None
    line = text[text.rfind("\n") + 1 :]
    last = _LAST_WORD.search(line[-20:])
    if last is None or " " not in line.strip("-*• ") or not _is_open(last.group(), text, ends):
        return None
    return f"ends in {last.group()!r}"


def _is_open(word: str, text: str, ends: int) -> bool:
    formal = len(_FORMAL_END.findall(text)) * 2 > ends
    if _NOUN.search(word):
        return False
    return bool(_OPEN.search(word) or (formal and _OPEN_IN_WRITING.search(word)))


def problem(part: Part, thresholds: Thresholds) -> str | None:
    """Judge answers only: a prompt may be incomplete, and a corpus text was cut when it was collected."""
    return broken_ending(part.text) if part.of == "completion" else None


RULES = (
    TextRule(
        name="cut_off",
        order=350,
        does="an answer that ends in the middle of a sentence, if that is certain",
        words=Words("끊긴 문장", "broken off"),
        problem=problem,
    ),
)
