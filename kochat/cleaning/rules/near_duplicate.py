"""Drop a row that says nearly the same as an earlier row (:mod:`kochat.data.near_duplicates` finds it)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from kochat.cleaning.rule_kinds import Dirt, Place, RepeatRule, Threshold, Thresholds, Words
from kochat.data.near_duplicates import FIELD_SEPARATOR, NearDuplicates, joined, near_text, signatures
from kochat.data.records import Record
from kochat.data.similarity import NEAR_DUPLICATE

NEAR_SIMILARITY = "near_similarity"  # Jaccard similarity of the character 3-grams
Sign = tuple[str, bytes]  # the text to compare, and its signature


def sign_words(records: Sequence[Record], thresholds: Thresholds) -> list[Sign]:
    """Return the text and the signature of each record."""
    texts = [near_text(record) for record in records]
    signed = signatures(texts, thresholds[NEAR_SIMILARITY])
    return [(text, row.tobytes()) for text, row in zip(texts, signed, strict=True)]


class SaidBefore:
    """The texts of the earlier kept rows. Memory: about 300 bytes for each row; the texts are in a temporary file."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._near = NearDuplicates(thresholds[NEAR_SIMILARITY])
        self._numbers = array("Q")  # the line or record number of each row that was given to `_near`

    def judge(self, places: Sequence[Place], signs: Sequence[Sign]) -> list[str | None]:
        """Return for each row a reason that names the earlier row which it nearly repeats, or None."""
        matches = self._near.feed([text for text, _ in signs], joined([signed for _, signed in signs]))
        self._numbers.extend(place.number for place in places)
        reasons: list[str | None] = []
        for place, match in zip(places, matches, strict=True):
            if match is None:
                reasons.append(None)
                continue
            first = Place(place.word, self._numbers[match.row])
            text = _cut(self._near.text(match.row).replace(FIELD_SEPARATOR, " | "))
            reasons.append(f"near duplicate ({match.similarity:.2f}) of {first}: {text}")
        return reasons


def _cut(text: str, length: int = 300) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


RULES = (
    RepeatRule(
        name="near_duplicate",
        order=620,
        does="an earlier row has the same words except for fillers, particles and punctuation",
        words=Words("거의 같은 중복", "near duplicate"),
        sign=sign_words,
        memory=SaidBefore,
        thresholds=(Threshold(NEAR_SIMILARITY, NEAR_DUPLICATE, "share"),),
        planted=(Dirt("near_duplicate"),),
    ),
)
