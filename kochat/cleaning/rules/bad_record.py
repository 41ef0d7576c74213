"""A row that could not be read: broken JSON, a missing key, a value of the wrong type. It is skipped, counted and recorded."""

from __future__ import annotations

from kochat.cleaning.rule_kinds import FirstPassRule, Words

BAD_RECORD = "bad_record"
RULES = (
    FirstPassRule(
        name=BAD_RECORD,
        order=0,
        does="a row that could not be read",
        words=Words("읽을 수 없는 줄", "row that could not be read"),
    ),
)
