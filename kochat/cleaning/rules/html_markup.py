"""Remove HTML. The function is in :mod:`kochat.text.markup` because prompt keys use it too."""

from __future__ import annotations

from kochat.cleaning.rule_kinds import Dirt, EditRule, Words
from kochat.text.markup import strip_markup

RULES = (
    EditRule(
        name="markup",
        order=120,
        does="remove HTML tags and entities, unless the text is about markup or code",
        words=Words("마크업", "markup"),
        edit=strip_markup,
        planted=(Dirt("markup"),),
    ),
)
