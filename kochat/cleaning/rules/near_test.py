"""Keep near copies of test prompts out of training."""

from __future__ import annotations

from kochat.cleaning.leaks import Guards
from kochat.cleaning.rule_kinds import LeakRule, Words
from kochat.data.records import PreferenceRecord, Record


def nearly_asks_test_prompt(record: Record, guards: Guards) -> str | None:
    """Return which test prompt (for preference records: held-out preference prompt too) the prompt nearly is, or None."""
    prompt = record.texts()[0]
    reason = guards.test.reason(prompt)
    if reason is None and isinstance(record, PreferenceRecord):
        reason = guards.preferences.reason(prompt)
    return reason


RULES = (
    LeakRule(
        name="near_test",
        order=530,
        does="the prompt nearly is a test prompt",
        words=Words("시험 프롬프트와 거의 같음", "nearly a test prompt"),
        reason=nearly_asks_test_prompt,
    ),
)
