"""Keep the prompts of the test split and of the frozen test set out of training."""

from __future__ import annotations

from kochat.cleaning.leaks import Guards
from kochat.cleaning.rule_kinds import LeakRule, Words
from kochat.data.records import Record
from kochat.data.splits import bucket


def in_test_split(record: Record, guards: Guards) -> str | None:
    """Return why the record's prompt belongs to the test split or test set, or None."""
    prompt = record.texts()[0]
    return "its prompt belongs to the test split" if bucket(prompt) == "test" or guards.test.exact(prompt) else None


RULES = (
    LeakRule(
        name="held_out",
        order=520,
        does="the prompt belongs to the test split or to the test set",
        words=Words("시험 몫의 프롬프트", "prompt of the test split"),
        reason=in_test_split,
    ),
)
