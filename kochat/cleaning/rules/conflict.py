"""Drop SFT rows that give another answer to the prompt of an earlier row. Off by default: both answers may be right."""

from __future__ import annotations

from collections.abc import Sequence

from kochat.cleaning.rule_kinds import Place, RepeatRule, Thresholds, Words
from kochat.cleaning.text_hashes import FirstPlaces, hash_of
from kochat.data.records import Record, SFTRecord
from kochat.text.unicode_form import prompt_key


def sign_prompt(records: Sequence[Record], thresholds: Thresholds) -> list[int]:
    """Return a 64-bit hash of the prompt of each record."""
    return [hash_of(prompt_key(record.texts()[0])) for record in records]


class AnsweredPrompts:
    """The prompts of the earlier kept rows, as hashes."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._first = FirstPlaces()

    def judge(self, places: Sequence[Place], signs: Sequence[int]) -> list[str | None]:
        """Return for each row a reason that names the earlier row with the same prompt, or None."""
        earlier = self._first.earlier(places, signs)
        return [None if place is None else f"gives another answer to the prompt of {place}" for place in earlier]


RULES = (
    RepeatRule(
        name="conflict",
        order=630,
        does="an earlier row gives another answer to the same prompt; the first answer stays",
        words=Words("같은 질문에 다른 답변", "another answer to the same prompt"),
        on=False,
        sign=sign_prompt,
        memory=AnsweredPrompts,
        records=(SFTRecord,),
    ),
)
