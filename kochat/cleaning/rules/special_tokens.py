"""Take out tokenizers' special tokens; the function stands in :mod:`kochat.text.markup`, since a prompt's key must not change by it."""

from __future__ import annotations

from kochat.cleaning.rule_kinds import Dirt, EditRule, Words
from kochat.text.markup import strip_special_tokens

RULES = (
    EditRule(
        name="special_tokens",
        order=130,
        does="take out tokenizers' special tokens, where the text is not about them",
        words=Words("특수 토큰", "special tokens"),
        edit=strip_special_tokens,
        planted=(Dirt("special_tokens"),),
    ),
)
