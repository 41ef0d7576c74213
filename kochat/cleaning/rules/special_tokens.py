"""Remove the special tokens of tokenizers. The function is in :mod:`kochat.text.markup` because prompt keys use it too."""

from __future__ import annotations

from kochat.cleaning.rule_kinds import Dirt, EditRule, Words
from kochat.text.markup import strip_special_tokens

RULES = (
    EditRule(
        name="special_tokens",
        order=130,
        does="remove the special tokens of tokenizers, unless the text is about them",
        words=Words("특수 토큰", "special tokens"),
        edit=strip_special_tokens,
        planted=(Dirt("special_tokens"),),
    ),
)
