"""Recognise an answer that breaks off in mid-sentence, where that can be told."""

from __future__ import annotations

import re

from kochat.cleaning.rule_kinds import Part, TextRule, Thresholds, Words

_SENTENCE_END = re.compile(r"[.!?。…](?=\s|[\"'”’)]|$)|[다요까죠][.!?](?=\S)")
_LAST_WORD = re.compile(r"[가-힣]+$")
_FORMAL_END = re.compile(r"니다[.!?]")
# What binds a word to the next one: object, genitive and comitative, attributive forms, determiners, conjunctions.
_OPEN = re.compile(
    r"(?:[가-힣](?:를|을|의|와|과|된|될)|에게|로서|로써|하는|하며|위해|위한|대한|통해|따라|있는|없는|되는|않는|같은|많은|다른)$"
    r"|^(?:수|것은|것이|것을|및|또는|혹은|그리고|등의|가장|매우|여러|모든|하지만|따라서|그렇지만)$"
)
_NOUN = re.compile(
    r"(?:결과|효과|성과|사과|학과|회의|강의|정의|동의|문의|주의|편의|합의|논의|마을|가을|노을|하의|상의)$"
)
# In speech a sentence may end in these (시원하고, 너무 많아 가지고); in formal writing none does.
_OPEN_IN_WRITING = re.compile(r"[가-힣](?:고|지만|하여|면서|도록|거나|려면|으면|에서|으로|때문에|되어|하기)$")
_LEAST_LENGTH = 100
_LEAST_SENTENCES = 2


def broken_ending(text: str) -> str | None:
    """Return why `text` breaks off in mid-sentence, or None.

    Spoken language lacks full stops, and a list need not end with one. So only a text is judged that closes at least two
    sentences with a mark, at least one in each 200 characters, and whose last line, no list item of one word, ends in a form
    that binds to a next word (를, 하는, 또는; -고 and -지만 only where most sentences end in 니다).
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
    """Judge answers alone: a prompt may break off, and a corpus text is cut by whoever collected it."""
    return broken_ending(part.text) if part.of == "completion" else None


RULES = (
    TextRule(
        name="cut_off",
        order=350,
        does="an answer that breaks off in mid-sentence, where that is certain",
        words=Words("끊긴 문장", "broken off"),
        problem=problem,
    ),
)
