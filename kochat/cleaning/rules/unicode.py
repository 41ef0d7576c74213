"""Normalise text to one Unicode form (NFC, never NFKC). The function is in :mod:`kochat.text.unicode_form`; model output needs it too."""

from __future__ import annotations

from kochat.cleaning.rule_kinds import Dirt, EditRule, Words
from kochat.text.unicode_form import normalise

RULES = (
    EditRule(
        name="unicode",
        order=110,
        does="normalise to NFC, keep ㅋㅋ and ㅠㅠ, remove zero-width and control characters",
        words=Words("유니코드 정규화", "Unicode form"),
        edit=normalise,
        planted=(Dirt("unicode"),),
    ),
)
