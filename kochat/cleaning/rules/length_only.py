"""A preference record whose better completion only says the sentences of a worse one again teaches length and nothing else."""

from __future__ import annotations

import re
from itertools import combinations

from kochat.cleaning.rule_kinds import Dirt, RecordRule, Words
from kochat.data.records import PreferenceRecord

_SENTENCE_END = re.compile(r"[.!?。\n]+")


def prefers_length(record: PreferenceRecord) -> str | None:
    """Return which completion is better than another for its length alone, or None.

    The other way round a record teaches not to repeat oneself, and one that goes on with new sentences teaches to say more.
    """
    for better, worse in combinations(range(3), 2):
        if _only_longer(record.ordered[better], record.ordered[worse]):
            return f"rank {better + 1} says the sentences of rank {worse + 1} over again"
    return None


def _only_longer(better: str, worse: str) -> bool:
    """Say whether the better completion has the sentences of the worse, some of them more often, and nothing else."""
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
