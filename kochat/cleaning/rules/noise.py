"""Recognise text that is not language: wrongly decoded bytes, syllables that no Korean word has, keys typed at random.

Each test needs strong evidence; a text that is too short for a decision is kept.
"""

from __future__ import annotations

import re

from kochat.cleaning.rule_kinds import Dirt, Part, TextRule, Thresholds, Words

# ㅋㅋ, ㅎㅎ, ㅠㅠ, ㅜㅜ, ㅡㅡ and ㅇㅇ, ㄴㄴ, ㄷㄷ, ㄱㅅ are written language; a run of other single letters is not.
# The alphabet in its order (ㄱㄴㄷ) is not noise either.
_TONE = re.compile("[ㅋㅎㅠㅜㅡ]+|([ㄱ-ㅎ]{1,2})\\1+|ㄱㄴㄷ[ㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ]*|ㅏㅑㅓ[ㅕㅗㅛㅜㅠㅡㅣ]*")
_JAMO = re.compile("[ㄱ-ㅣ]")
_SYLLABLE = re.compile("[가-힣]")
_SYMBOL = re.compile(r"[!-/:-@\[-`{-~¤]")
_EMOTICON = re.compile(r"[\^;:=*T\-][_.oO0ㅁ-]?[\^;:)(D*T\-]+|[.!?~\s]+")
# UTF-8 read as Latin-1 or Windows-1252: a Hangul syllable becomes ê, ë, ì or í and two marks (controls among them are removed or ¤).
_HANGUL_BYTES = re.compile("[ê-í][\u00a0-\u00bf¤€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]{1,2}")
_LATIN_1 = re.compile("[\u00a1-\u00ff€‚ƒ„…†‡ˆ‰Š‹ŒŽ•˜™š›œžŸ\ufffd]")
_REPLACEMENT = "\ufffd"
_RARE_SYLLABLES, _RARE_SHARE = 3, 0.2
_MOJIBAKE_SHARE, _LEAST_MOJIBAKE = 0.3, 4
_JUNK_SHARE, _LEAST_JUNK, _LEAST_ALL_JUNK = 0.6, 6, 4
_MOST_CHARACTERS = 20_000  # of a longer text only the beginning is judged


def gibberish(text: str) -> str | None:
    """Return why `text` is not language, or None."""
    text = text[:_MOST_CHARACTERS]
    visible = sum(not char.isspace() for char in text)
    return _mojibake(text, visible) or _rare_syllables(text) or _struck_keys(text)


def _mojibake(text: str, visible: int) -> str | None:
    broken = len(_LATIN_1.findall(text))
    pairs = len(_HANGUL_BYTES.findall(text))
    if broken >= _LEAST_MOJIBAKE and broken >= _MOJIBAKE_SHARE * visible:
        return f"{broken} of {visible} characters look like wrongly decoded bytes"
    if pairs >= _LEAST_MOJIBAKE and not _SYLLABLE.search(text):
        return f"{pairs} Hangul syllables look like wrongly decoded bytes"
    lost = text.count(_REPLACEMENT)
    if lost >= _LEAST_MOJIBAKE and lost >= 0.05 * visible:
        return f"{lost} of {visible} characters were lost in decoding"
    return None


def _rare_syllables(text: str) -> str | None:
    """Count syllables outside the 2,350 of KS X 1001; nearly all written Korean uses only those."""
    syllables = _SYLLABLE.findall(text)
    rare = [syllable for syllable in syllables if not _is_common(syllable)]
    if len(rare) >= _RARE_SYLLABLES and len(rare) >= _RARE_SHARE * len(syllables):
        return f"{len(rare)} of {len(syllables)} syllables are in no common word ({''.join(rare[:5])})"
    return None


def _is_common(syllable: str) -> bool:
    try:
        return len(syllable.encode("euc_kr")) == 2  # the codec writes other syllables in eight bytes
    except UnicodeEncodeError:
        return False


def _struck_keys(text: str) -> str | None:
    """Return why `text` is mostly single jamo and symbols, or None; laughter, short answers and emoticons do not count."""
    if "```" in text:
        return None
    text = _EMOTICON.sub(" ", _TONE.sub(" ", text))
    jamo, symbols = _JAMO.findall(text), _SYMBOL.findall(text)
    junk = len(jamo) + len(symbols)
    visible = sum(not char.isspace() for char in text)
    varied = len({*jamo, *symbols}) >= (4 if jamo else 6)
    enough = _LEAST_JUNK if junk < visible or not symbols else _LEAST_ALL_JUNK
    if junk >= enough and junk >= _JUNK_SHARE * visible and varied:
        return f"{junk} of {visible} characters are single jamo and symbols"
    return None


def problem(part: Part, thresholds: Thresholds) -> str | None:
    """Judge any text."""
    return gibberish(part.text)


RULES = (
    TextRule(
        name="noise",
        order=310,
        does="wrongly decoded bytes, syllables that no word has, keys typed at random",
        words=Words("잡음", "noise"),
        problem=problem,
        planted=(Dirt("noise"),),
    ),
)
