"""Near duplicates: nothing but near pairs is called near, nearly all near pairs are found, batches make no difference."""

import random

import numpy as np
import pytest

from kochat.data.near_duplicates import FIELD_SEPARATOR, Match, NearDuplicates, bands, near_text, signatures
from kochat.data.records import PreferenceRecord, SFTRecord
from kochat.data.similarity import jaccard, ngrams
from kochat.text.unicode_form import prompt_key


def words(rng: random.Random, count: int) -> list[str]:
    return ["".join(chr(rng.randrange(0xAC00, 0xD7A4)) for _ in range(rng.randint(1, 4))) for _ in range(count)]


def perturbed(seed: int, count: int) -> list[str]:
    """Texts of 6 to 30 words, each followed by a copy in which up to a fifth of the words is another."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        text = words(rng, rng.randint(6, 30))
        copy = [word if rng.random() > 0.12 else words(rng, 1)[0] for word in text]
        texts += [" ".join(text), " ".join(copy)]
    return texts


def test_a_filler_and_punctuation_make_a_near_duplicate() -> None:
    texts = [
        "프랑스의 수도는 어디인가요?",
        "독일의 수도는 어디인가요?",
        "저기, 프랑스의 수도는 어디인가요!",
        "심심해",
        "심심해요",
    ]
    assert NearDuplicates().feed(texts) == [None, None, Match(0, pytest.approx(10 / 12)), None, None]


def test_every_field_must_be_the_same() -> None:
    long = "아주 긴 답변입니다. " * 20
    texts = [
        f"서울 날씨{FIELD_SEPARATOR}{long}",
        f"부산 날씨{FIELD_SEPARATOR}{long}",
        f"서울 날씨?{FIELD_SEPARATOR}{long}!",
    ]
    assert [match and match.row for match in NearDuplicates().feed(texts)] == [None, None, 0]


def test_a_copy_of_a_dropped_row_points_to_the_kept_one() -> None:
    texts = ["혹시 오늘 날씨가 어떤지 아세요", "오늘 날씨가 어떤지 아세요?", "그런데 오늘 날씨가 어떤지 아세요?"]
    found = NearDuplicates(threshold=0.6).feed(texts)
    assert [match and match.row for match in found] == [None, 0, 0]


def test_found_is_what_brute_force_finds() -> None:
    """By similarity alone: no pair below 0.7, and at least 99% of the rows with an earlier kept row at 0.7 or above."""
    texts = perturbed(1, 150)
    grams = [ngrams(prompt_key(text)) for text in texts]
    found = NearDuplicates(same_words_only=False).feed(texts)
    kept: list[int] = []
    near = missed = 0
    for row, match in enumerate(found):
        best = max((jaccard(grams[row], grams[other]) for other in kept), default=0.0)
        if match is None:
            kept.append(row)
            missed += best >= 0.7
        else:
            assert match.similarity == jaccard(grams[row], grams[match.row]) >= 0.7
            assert match.row in kept
        near += best >= 0.7
    assert near > 60
    assert missed <= 0.01 * near


def test_batches_and_signatures_from_elsewhere_make_no_difference() -> None:
    texts = perturbed(2, 120)
    whole = NearDuplicates(same_words_only=False).feed(texts)
    parts = NearDuplicates(same_words_only=False)
    found: list[Match | None] = []
    for start in range(0, len(texts), 37):
        batch = texts[start : start + 37]
        found += parts.feed(batch, signatures(batch))
    assert found == whole
    assert parts.feed([]) == []
    assert parts.text(5) == texts[5]


@pytest.mark.parametrize("text", ["", "가", "\ud800", "가" * 100_000, FIELD_SEPARATOR, "😀"])
def test_any_text_has_a_signature(text: str) -> None:
    signed = signatures([text, "오늘 날씨", text])
    assert signed.shape == (3, bands(0.7)[0])
    assert signed.dtype == np.uint32
    assert (signed[0] == signed[2]).all()
    assert [match and match.row for match in NearDuplicates().feed([text, "오늘 날씨", text])] == [None, None, 0]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.9, 1.0])
def test_bands_propose_nearly_every_pair_at_the_threshold(threshold: float) -> None:
    count, rows = bands(threshold)
    assert 1 - (1 - threshold**rows) ** count >= 0.95
    assert count * rows <= 100


def test_the_threshold_must_be_a_share() -> None:
    with pytest.raises(ValueError, match="threshold=0 must be in"):
        NearDuplicates(threshold=0)


def test_a_template_of_thousands_takes_no_quadratic_time() -> None:
    rng = random.Random(0)
    texts = [f"{word}의 수도는 어디에 있는 도시인가요?" for word in words(rng, 3000)]
    found = NearDuplicates().feed(texts)
    assert sum(match is not None for match in found) < 30  # the same word drawn twice


def test_what_is_compared_of_a_record() -> None:
    assert near_text(SFTRecord(prompt="가", completion="나")) == f"가{FIELD_SEPARATOR}나"
    record = PreferenceRecord(prompt="가", completion_0="셋", completion_1="하나", completion_2="둘", ranking=[1, 2, 0])
    assert near_text(record).split(FIELD_SEPARATOR) == ["가", "하나", "둘", "셋"]
