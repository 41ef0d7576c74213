"""A row that the file of corrections changes or drops (:mod:`kochat.cleaning.corrections`)."""

from __future__ import annotations

from kochat.cleaning.rule_kinds import FirstPassRule, Words

CORRECTION = "correction"
RULES = (
    FirstPassRule(
        name=CORRECTION,
        order=10,
        does="a line of the file of corrections",
        words=Words("손으로 한 교정", "correction by hand"),
    ),
)
