"""Keep the report's fixed prompts, which every model answers, out of training."""

from __future__ import annotations

from kochat.cleaning.leaks import Guards
from kochat.cleaning.rule_kinds import LeakRule, Words
from kochat.data.records import Record


def asks_fixed_prompt(record: Record, guards: Guards) -> str | None:
    """Return a reason that names the fixed prompt which the record's prompt equals or nearly equals, or None."""
    return guards.fixed.reason(record.texts()[0])


RULES = (
    LeakRule(
        name="fixed_prompt",
        order=510,
        does="the prompt is, or nearly is, a fixed prompt of the report",
        words=Words("고정 프롬프트와 겹침", "a fixed prompt"),
        reason=asks_fixed_prompt,
    ),
)
