"""Drop a row whose texts equal those of an earlier row. Prompts are compared by their keys, corpus texts character by character."""

from __future__ import annotations

from collections.abc import Sequence

from kochat.cleaning.rule_kinds import Dirt, Place, RepeatRule, Thresholds, Words
from kochat.cleaning.text_hashes import FirstPlaces, hash_of
from kochat.data.records import CorpusRecord, Record
from kochat.text.unicode_form import prompt_key


def sign_texts(records: Sequence[Record], thresholds: Thresholds) -> list[int]:
    """Return a 64-bit hash of the texts of each record."""
    return [_hash(record) for record in records]


def _hash(record: Record) -> int:
    first, *rest = record.texts()
    return hash_of(first if isinstance(record, CorpusRecord) else prompt_key(first), *rest)


class SeenTexts:
    """The texts of the earlier rows, as hashes."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._first = FirstPlaces()

    def judge(self, places: Sequence[Place], signs: Sequence[int]) -> list[str | None]:
        """Return for each row a reason that names the earlier row with the same texts, or None."""
        earlier = self._first.earlier(places, signs)
        return [None if place is None else f"same as {place}" for place in earlier]


RULES = (
    RepeatRule(
        name="exact_duplicate",
        order=610,
        does="an earlier row has the same texts; prompts are compared by their keys",
        words=Words("똑같은 중복", "exact duplicate"),
        sign=sign_texts,
        memory=SeenTexts,
        planted=(Dirt("exact_duplicate"),),
    ),
)
