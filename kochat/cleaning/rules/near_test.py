"""Keep near copies of test prompts out of training."""

from __future__ import annotations

from kochat.cleaning.leaks import Guards
from kochat.cleaning.rule_kinds import LeakRule, Words
from kochat.data.records import PreferenceRecord, Record


def nearly_asks_test_prompt(record: Record, guards: Guards) -> str | None:
    """Return a reason that names the test prompt which the prompt nearly equals, or None.

    A preference record is also compared with the held-out preference prompts.
    """
    prompt = record.texts()[0]
    reason = guards.test.reason(prompt)
    if reason is None and isinstance(record, PreferenceRecord):
        reason = guards.preferences.reason(prompt)
    return reason


RULES = (
    LeakRule(
        name="near_test",
        order=530,
        does="the prompt is nearly a test prompt",
        words=Words("시험 프롬프트와 거의 같음", "nearly a test prompt"),
        reason=nearly_asks_test_prompt,
    ),
)
