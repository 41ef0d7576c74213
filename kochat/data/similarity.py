"""Measure how similar two texts are: the Jaccard similarity of their character 3-grams, used wherever kochat calls texts near.

Two searches use it, for different purposes:

- :class:`kochat.data.guard.Guard` compares each prompt with a few thousand guarded prompts. It must find every near one, because a
  missed test prompt would be trained on. It is exact and keeps the guarded prompts in memory, about 1 kB for each.
- :class:`kochat.data.near_duplicates.NearDuplicates` compares a million rows with each other. It may miss one pair in a hundred, because
  a remaining duplicate does little harm. MinHash proposes the pairs; memory is about 200 bytes for each row, and the texts are on disk.
"""

from __future__ import annotations

NEAR_DUPLICATE = 0.7  # the smallest similarity of near texts
NGRAM = 3


def ngrams(key: str) -> frozenset[str]:
    """Return the set of character 3-grams of a prompt key; a shorter key is its own single gram."""
    return frozenset(key[i : i + NGRAM] for i in range(max(1, len(key) - NGRAM + 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the Jaccard similarity of two sets of grams, 0 to 1."""
    return jaccard_of(len(one & other), len(one), len(other))


def jaccard_of(common: int, one: int, other: int) -> float:
    """Return the Jaccard similarity of two sets with `one` and `other` grams, `common` of them in both."""
    return common / (one + other - common)
