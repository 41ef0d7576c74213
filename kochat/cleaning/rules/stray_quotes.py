"""Remove quotes around a whole text, and an unpaired quote at one end of it."""

from __future__ import annotations

import re

from kochat.cleaning.rule_kinds import Dirt, EditRule, Words

_QUOTE_PAIRS = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`"}
_APOSTROPHE = re.compile(r"(?<=[A-Za-z])['’](?=[A-Za-z])")


def strip_stray_quotes(text: str) -> str:
    """Return `text` without a pair of quotes around the whole, or one unpaired quote at an end.

    KoChatGPT's builder left an unpaired ``'`` before many completions. Kept are quotes around a part of the text, apostrophes (also before
    a year, '90년대) and the inch mark after a digit (24").
    """
    while (shorter := _strip_one_layer(text)) != text:
        text = shorter
    return text


def _strip_one_layer(text: str) -> str:
    text = text.strip()
    if len(text) >= 2:
        inner = text[1:-1]
        closing = _QUOTE_PAIRS.get(text[0])
        if closing == text[-1] and not {text[0], closing} & set(_APOSTROPHE.sub("", inner)):
            return inner.strip()
    letters = _APOSTROPHE.sub("", text)
    for mark in ('"', "'"):
        if letters.count(mark) == 1:
            if text.startswith(mark) and not (mark == "'" and text[1:2].isdigit()):
                return text[1:].strip()
            if text.endswith(mark) and not text[-2:-1].isdigit():
                return text[:-1].strip()
    return text


RULES = (
    EditRule(
        name="stray_quotes",
        order=160,
        does="remove quotes around the whole text, or one unpaired quote at an end of it",
        words=Words("짝 없는 따옴표", "stray quotes"),
        edit=strip_stray_quotes,
        planted=(Dirt("stray_quotes"),),
    ),
)
