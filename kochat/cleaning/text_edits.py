"""The cleaning rules as pure functions over one text: the edits in a fixed order, and bounds on length.

An edit keeps the record and changes its text; a bound names why a text cannot stay. Nothing here knows of files.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kochat.text.markup import strip_markup, strip_special_tokens
from kochat.text.residue import strip_residue
from kochat.text.unicode_form import normalise

_ODD_BLANK = re.compile(r"[^\S\n\t ]")
_BLANKS_IN_LINE = re.compile(r"(?<=\S)[ \t]+")
_EMPTY_LINES = re.compile(r"\n{3,}")
_QUOTE_PAIRS = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`"}
_APOSTROPHE = re.compile(r"(?<=[A-Za-z])['’](?=[A-Za-z])")


def tidy_whitespace(text: str) -> str:
    """Return `text` with single blanks inside lines, none at their ends, and at most one empty line in a row.

    The indentation of later lines stays: lists and code in answers mean it.
    """
    text = _BLANKS_IN_LINE.sub(" ", _ODD_BLANK.sub(" ", text))
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _EMPTY_LINES.sub("\n\n", text).strip()


def strip_stray_quotes(text: str) -> str:
    """Return `text` without quotes that wrap it whole, or that stand alone at one end.

    KoChatGPT's builder left a lone ``'`` before many completions. Quotes that quote something stay, and so do
    apostrophes, a year's ('90년대) and the inch mark after a digit (24").
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


EDITS: dict[str, Callable[[str], str]] = {
    "unicode": normalise,
    "markup": strip_markup,
    "special_tokens": strip_special_tokens,
    "whitespace": tidy_whitespace,
    "residue": strip_residue,
    "stray_quotes": strip_stray_quotes,
}


def edit(text: str, on: Callable[[str], bool] = lambda _: True) -> tuple[str, list[str]]:
    """Apply every edit whose name is `on`, in order, and again until nothing changes.

    Returns the text and the names of the edits that changed it, each once, in the order of their first change. What is
    returned is a fixed point: editing it again changes nothing, which is what makes cleaning v2 give v2.
    """
    changed: list[str] = []
    rules = [(name, rule) for name, rule in EDITS.items() if on(name)]
    before = None
    while before != text:
        before = text
        for name, rule in rules:
            edited = rule(text)
            if edited != text and name not in changed:
                changed.append(name)
            text = edited
    return text, changed


@dataclass(frozen=True)
class Bounds:
    """The shortest and the longest text that stays, in characters; `longest` None for no bound."""

    shortest: int
    longest: int | None = None

    def problem(self, text: str) -> tuple[str, str] | None:
        """Return (rule, reason) where `text` must be dropped: "empty", "too_short" or "too_long"; else None."""
        if not text and self.shortest > 0:
            return "empty", "no text"
        if len(text) < self.shortest:
            return "too_short", f"{len(text)} characters, fewer than {self.shortest}"
        if self.longest is not None and len(text) > self.longest:
            return "too_long", f"{len(text)} characters, more than {self.longest}"
        return None
