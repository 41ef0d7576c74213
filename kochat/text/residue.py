"""Remove what a broken export left at the end of a text: ``", 'completion': "..."`` and ``token: 12``."""

from __future__ import annotations

import re

# Some prompts in KoChatGPT's PPO file contain the rest of their record: `"질문?", 'completion': '답', 'token': 79}`.
_RECORD_TAIL = re.compile(r"""["']\s*,\s*["'](?:prompt|completion|tokens?)["']\s*:.*""", re.DOTALL)
_TOKEN_WORD = re.compile(r"\b(?=token|토큰)", re.IGNORECASE)
_TOKEN_TAIL = re.compile(r"""(?:tokens?|토큰)["']?\s*[:=]\s*\d+[\s)}\]"',.]*""", re.IGNORECASE)
_BEFORE_TAIL = " \n\t,({[\"'"


def strip_residue(text: str) -> str:
    """Return `text` without the tail of a serialised record or a token count; idempotent, linear in its length."""
    text = _RECORD_TAIL.sub("", text)
    end = len(text)
    for word in reversed(
        [match.start() for match in _TOKEN_WORD.finditer(text)]
    ):  # last one first, there may be several
        if not _TOKEN_TAIL.fullmatch(text, word, end):
            break
        end = len(text[:word].rstrip(_BEFORE_TAIL))
    return text[:end]
