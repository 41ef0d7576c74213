"""Take out HTML; the function stands in :mod:`kochat.text.markup`, since a prompt's key must not change by it."""

from __future__ import annotations

from kochat.cleaning.rule_kinds import Dirt, EditRule, Words
from kochat.text.markup import strip_markup

RULES = (
    EditRule(
        name="markup",
        order=120,
        does="take out HTML tags and entities, where the text is not about markup or code",
        words=Words("마크업", "markup"),
        edit=strip_markup,
        planted=(Dirt("markup"),),
    ),
)
