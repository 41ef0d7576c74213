"""Normalise Korean text to one Unicode form without changing what a reader sees.

The form is NFC, never NFKC. NFKC changes the compatibility jamo of ㅋㅋ and ㅠㅠ into conjoining jamo, which fonts draw as broken
letters. Tokenizers with an NFKC normaliser, such as KoGPT2's, do this, so :func:`display` changes them back.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from kochat.text.markup import strip_markup, strip_special_tokens
from kochat.text.residue import strip_residue

_MODERN_JAMO = (*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3))
_TO_COMPATIBILITY = {
    code: unicodedata.lookup("HANGUL LETTER " + unicodedata.name(chr(code)).split(" ", 2)[2]) for code in _MODERN_JAMO
}
# Runs with an archaic letter are not changed: separate letters would destroy 옛한글.
_JAMO_RUN = re.compile("[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]+")
_LINE_BREAK = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
# Control characters except tab and newline, soft hyphen, zero-width and direction marks, invisible fillers, BOM, lone surrogates.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff"
    "\uffa0\ufff9-\ufffb\ud800-\udfff]"
)
_WITHOUT_QUOTES = str.maketrans("", "", "\"'“”‘’`")
# A zero-width joiner is needed inside emoji such as a family; elsewhere it is dirt.
_STRAY_JOINER = re.compile(
    "(?<![\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])\u200d+|\u200d+(?![\u2600-\u27bf\U0001f000-\U0001faff])"
)


def display(text: str) -> str:
    """Return NFC text in which single conjoining jamo are compatibility jamo (ᄏᄏ -> ㅋㅋ).

    Use it on every decoded answer, before it is shown or scored. Runs with archaic letters are not changed.
    """
    if text.isascii():
        return text
    return _JAMO_RUN.sub(_run_to_compatibility, unicodedata.normalize("NFC", text))


def _run_to_compatibility(match: re.Match[str]) -> str:
    run = match.group()
    return run.translate(_TO_COMPATIBILITY) if all(ord(char) in _TO_COMPATIBILITY for char in run) else run


def normalise(text: str) -> str:
    r"""Return `text` in the one Unicode form that kochat compares and stores.

    Line breaks become ``\n``; control, zero-width and direction characters and lone surrogates are removed; the rest
    is in the form of :func:`display`. Idempotent. Spaces, case, quotes and punctuation are not changed; cleaning rules do that.
    """
    text = _LINE_BREAK.sub("\n", text)
    text = _STRAY_JOINER.sub("", _INVISIBLE.sub("", text))
    return display(text)


@lru_cache(maxsize=16)  # cleaning computes the key of one prompt several times: split, guards, duplicates
def prompt_key(prompt: str) -> str:
    """Return the key that identifies a prompt: its letters and digits, case-folded, in NFC.

    Spaces, quotes, punctuation, invisible characters, markup and the residue of an export do not count. So a prompt has the same key
    before and after cleaning, and with or without its question mark. For a prompt without letters and digits, the key is its other
    characters without quotes and spaces.
    """
    before, plain = "", normalise(prompt)
    while plain != before:  # as cleaning: what is left of two pieces may be markup again
        before, plain = plain, strip_special_tokens(strip_markup(strip_residue(plain)))
    text = unicodedata.normalize("NFC", strip_residue(plain).casefold())
    return "".join(filter(str.isalnum, text)) or "".join(text.translate(_WITHOUT_QUOTES).split())
