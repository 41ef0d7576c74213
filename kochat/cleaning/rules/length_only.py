"""Drop a preference record whose better completion only repeats the sentences of a worse one: it teaches only length."""

from __future__ import annotations

import re
from itertools import combinations

from kochat.cleaning.rule_kinds import Dirt, RecordRule, Words
from kochat.data.records import PreferenceRecord

_SENTENCE_END = re.compile(r"[.!?。\n]+")


def prefers_length(record: PreferenceRecord) -> str | None:
    """Return which completion differs from a worse one only by repeated sentences, or None.

    A record that ranks the repetition *lower* stays: it teaches not to repeat. So does one whose better completion adds new sentences.
    """
    for better, worse in combinations(range(3), 2):
        if _only_longer(record.ordered[better], record.ordered[worse]):
            return f"rank {better + 1} repeats the sentences of rank {worse + 1}"
    return None


def _only_longer(better: str, worse: str) -> bool:
    """Return whether the better completion has the same sentences as the worse one, but some of them more often."""
    first, second = _sentences(better), _sentences(worse)
    return bool(second) and len(first) > len(second) and set(first) == set(second)


def _sentences(text: str) -> list[str]:
    keys = ("".join(filter(str.isalnum, sentence)) for sentence in _SENTENCE_END.split(text))
    return [key for key in keys if key]


RULES = (
    RecordRule(
        name="length_only",
        order=420,
        does="a preference record whose better completion only repeats the sentences of a worse one",
        words=Words("길이만 다른 선호", "preference for length alone"),
        problem=prefers_length,
        records=(PreferenceRecord,),
        planted=(Dirt("length_only"),),
    ),
)
