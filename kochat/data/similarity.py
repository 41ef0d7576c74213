"""Say how alike two texts are: the Jaccard similarity of their character 3-grams, the same wherever kochat calls texts near.

Two searches rest on it, because they are asked for different things:

- :class:`kochat.data.guard.Guard` holds each prompt against a few thousand guarded ones and may miss none: a test prompt that
  slips through is trained on. It is exact, keeps what it guards in memory and takes about 1 kB a prompt.
- :class:`kochat.data.near_duplicates.NearDuplicates` holds a million rows against each other and may miss one in a hundred: a
  duplicate that stays does little harm. MinHash proposes the pairs; memory is about 200 bytes a row, and the texts lie on disk.
"""

from __future__ import annotations

NEAR_DUPLICATE = 0.7  # the least similarity of texts that are near
NGRAM = 3


def ngrams(key: str) -> frozenset[str]:
    """Return the character 3-grams of a prompt key; a key shorter than that is its own single gram."""
    return frozenset(key[i : i + NGRAM] for i in range(max(1, len(key) - NGRAM + 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of grams that two sets have in common, 0 to 1."""
    return jaccard_of(len(one & other), len(one), len(other))


def jaccard_of(common: int, one: int, other: int) -> float:
    """Return the Jaccard similarity of two sets of `one` and `other` grams, of which `common` are in both."""
    return common / (one + other - common)
