"""Normalise blanks and line breaks."""

from __future__ import annotations

import re

from kochat.cleaning.rule_kinds import Dirt, EditRule, Words

_ODD_BLANK = re.compile(r"[^\S\n\t ]")
_BLANKS_IN_LINE = re.compile(r"(?<=\S)[ \t]+")
_EMPTY_LINES = re.compile(r"\n{3,}")


def tidy_whitespace(text: str) -> str:
    """Return `text` with single blanks inside lines, none at their ends, and at most one empty line in a row.

    The indentation of all lines but the first stays: lists and code need it.
    """
    text = _BLANKS_IN_LINE.sub(" ", _ODD_BLANK.sub(" ", text))
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _EMPTY_LINES.sub("\n\n", text).strip()


RULES = (
    EditRule(
        name="whitespace",
        order=140,
        does="single blanks inside lines, none at their ends, at most one empty line",
        words=Words("공백", "whitespace"),
        edit=tidy_whitespace,
        planted=(Dirt("whitespace"),),
    ),
)
