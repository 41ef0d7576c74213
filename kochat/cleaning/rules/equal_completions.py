"""Drop a preference record that ranks the same text at two ranks: it gives no preference between them."""

from __future__ import annotations

from kochat.cleaning.rule_kinds import Dirt, RecordRule, Words
from kochat.data.records import PreferenceRecord


def same_text_twice(record: PreferenceRecord) -> str | None:
    """Return why a preference record is dropped if two of its completions are equal, else None."""
    if len(set(record.ordered)) == len(record.ordered):
        return None
    return "two of the three completions are the same text"


RULES = (
    RecordRule(
        name="equal_completions",
        order=410,
        does="a preference record that ranks the same text in two places",
        words=Words("같은 답변이 둘 이상", "equal completions"),
        problem=same_text_twice,
        records=(PreferenceRecord,),
        planted=(Dirt("equal_completions"),),
    ),
)
