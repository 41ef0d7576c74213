"""Find near duplicates among a million rows: MinHash proposes pairs, exact similarity decides.

MinHash values are computed over the character 3-grams of a row's key (Broder, 1997) and grouped in bands (Leskovec, Rajaraman and
Ullman, Mining of Massive Datasets, 3.4). The hashes of the bands are the row's signature. :func:`signatures` needs only the texts of a
batch, so worker processes can call it. :class:`NearDuplicates` then takes the rows in file order. :mod:`kochat.data.similarity`
explains why there are two searches.
"""

from __future__ import annotations

import io
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kochat.data.records import Record
from kochat.data.similarity import NEAR_DUPLICATE, NGRAM, jaccard, ngrams
from kochat.text.sameness import content_words, same_content
from kochat.text.unicode_form import prompt_key

Signatures = npt.NDArray[np.uint32]
_Words = npt.NDArray[np.uint64]

FIELD_SEPARATOR = "\x1f"
_HASHES = 100
_LEAST_RECALL = 0.99
_MOST_CANDIDATES = 32  # else a row of a template would be compared with a thousand other rows of it


def near_text(record: Record) -> str:
    """Return the text by which an edited record is compared: all of its texts, best answer first."""
    return FIELD_SEPARATOR.join(record.texts())


def bands(threshold: float) -> tuple[int, int]:
    """Return (number of bands b, hashes in a band r) with the largest r that still proposes 99% of the pairs at `threshold`.

    A pair of similarity s shares a band with probability 1 - (1 - s^r)^b.
    """
    for rows in range(_HASHES, 0, -1):
        count = _HASHES // rows
        if 1 - (1 - threshold**rows) ** count >= _LEAST_RECALL:
            return count, rows
    return _HASHES, 1


def signatures(texts: Sequence[str], threshold: float = NEAR_DUPLICATE) -> Signatures:
    """Return the band hashes of `texts`: uint32, shape (texts, bands); the same in every process."""
    count, rows = bands(threshold)
    keys = [_key(text) for text in texts]
    result = np.empty((len(keys), count), np.uint32)
    start = 0
    while start < len(keys):  # in blocks of about 260,000 characters, so that memory stays small
        end, size = start, 0
        while end < len(keys) and size < 1 << 18:
            size += len(keys[end]) + 3
            end += 1
        result[start:end] = _block(keys[start:end], count, rows)
        start = end
    return result


def joined(rows: Sequence[bytes]) -> Signatures:
    """Return signatures, shape (rows, bands), from rows that were converted to bytes one by one."""
    return np.frombuffer(b"".join(rows), np.uint32).reshape(len(rows), -1)


def _key(text: str) -> str:
    return FIELD_SEPARATOR.join(prompt_key(part) for part in text.split(FIELD_SEPARATOR))


def _block(keys: Sequence[str], count: int, rows: int) -> Signatures:
    """Return the band hashes (keys, count) of a block of keys; each of the `count` bands has `rows` hash functions."""
    padded = [key.ljust(NGRAM, "\0") for key in keys]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    lengths = np.array([len(key) for key in padded])
    ends = np.cumsum(lengths)
    is_gram = np.ones(len(codes), bool)
    is_gram[ends - 1] = is_gram[ends - 2] = False  # no 3-gram begins at the last two characters of a key
    at = np.flatnonzero(is_gram)
    grams = _mix(codes[at] << np.uint64(42) | codes[at + 1] << np.uint64(21) | codes[at + 2])
    first = np.concatenate(([0], np.cumsum(lengths - NGRAM + 1)[:-1]))
    result = np.empty((len(keys), count), np.uint32)
    multipliers = _mix(np.arange(1, count * rows + 1, dtype=np.uint64)) | np.uint64(1)
    for band in range(count):
        value = np.zeros(len(keys), np.uint64)
        for multiplier in multipliers[band * rows : (band + 1) * rows]:
            value = _mix(value ^ np.minimum.reduceat(grams * multiplier, first))
        result[:, band] = value >> np.uint64(32)
    return result


def _mix(values: _Words) -> _Words:
    """Return a one-to-one mix of 64-bit values (the finaliser of SplitMix64; Steele, Lea and Flood, 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Match(NamedTuple):
    """An earlier row that a row nearly repeats: its number among all rows given to `feed`, and their Jaccard similarity."""

    row: int
    similarity: float


class NearDuplicates:
    """Find for each row an earlier kept row that it nearly repeats.

    Two rows are near if the Jaccard similarity of the character 3-grams of their keys is at least `threshold` and they have the same
    words (:func:`kochat.text.sameness.same_content`). The signatures only propose pairs; both conditions are computed from the texts,
    so a wrong proposal does no harm. With `same_words_only=False` the similarity alone decides. Memory: about 8 bytes for each band of
    each row; the texts are in a temporary file.
    """

    def __init__(self, threshold: float = NEAR_DUPLICATE, *, same_words_only: bool = True) -> None:
        """Start without rows. Raises ValueError for a threshold outside (0, 1]."""
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold={threshold} must be in (0, 1]")
        self._threshold, self._same_words_only = threshold, same_words_only
        self._runs: list[list[_Words]] = []  # sorted runs of (band hash << 32 | row), one array a band
        self._texts = _Spool()
        # The rows of a template are read many times.
        self._read = lru_cache(maxsize=1024)(lambda row: _Compared(self._texts[row]))

    def feed(self, texts: Sequence[str], signed: Signatures | None = None) -> list[Match | None]:
        """Add the next rows in file order; return for each the earlier kept row that it nearly repeats, or None.

        `signed` has their signatures, shape (texts, bands), from :func:`signatures` with the same threshold; None computes them here. Rows
        without a match are kept; rows with a match are never compared again. The result does not depend on how rows are cut into
        batches, except for templates of over a thousand rows, where only the likeliest candidates are compared.
        """
        if not texts:
            return []
        signed = signatures(texts, self._threshold) if signed is None else signed
        first = len(self._texts)
        self._texts.extend(texts)
        batch = _sorted_run(signed, np.arange(first, first + len(texts), dtype=np.uint64))
        candidates = self._candidates(signed, batch, first)
        matches: list[Match | None] = []
        for number in range(len(texts)):
            earlier = (row for row in candidates.get(number, ()) if row < first or matches[row - first] is None)
            matches.append(self._match(first + number, earlier))
        kept = np.array([match is None for match in matches])
        if kept.any():
            numbers = np.arange(first, first + len(texts), dtype=np.uint64)[kept]
            self._add(_sorted_run(signed[kept], numbers))
        return matches

    def text(self, row: int) -> str:
        """Return the text of a row by its number among all rows given to `feed`."""
        return self._texts[row]

    def _candidates(self, signed: Signatures, batch: list[_Words], first: int) -> dict[int, list[int]]:
        """Return row of the batch -> earlier rows that share a band with it, the rows that share most bands first."""
        found = [_sharing(signed, run) for run in (*self._runs, batch)]
        row, other = (np.concatenate([pairs[side] for pairs in found]) for side in (0, 1))
        earlier = other < row + first
        pairs, shared = np.unique(row[earlier] << 32 | other[earlier], return_counts=True)
        by_row: dict[int, list[int]] = {}
        for at in np.lexsort((pairs, -shared)):
            mine = by_row.setdefault(int(pairs[at] >> 32), [])
            if len(mine) < _MOST_CANDIDATES:
                mine.append(int(pairs[at] & 0xFFFFFFFF))
        return by_row

    def _match(self, number: int, earlier: Iterable[int]) -> Match | None:
        for row in earlier:
            mine, other = self._read(number), self._read(row)
            similarity = jaccard(mine.grams, other.grams)
            if similarity >= self._threshold and (not self._same_words_only or mine.says_the_same(other)):
                return Match(row, similarity)
        return None

    def _add(self, run: list[_Words]) -> None:
        """Add a sorted run. Runs of similar length are merged (a log-structured merge), so every row is moved only a few times."""
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            newer, older = self._runs.pop(), self._runs.pop()
            self._runs.append([_merged(older, newer, band) for band in range(len(newer))])


def _merged(older: list[_Words], newer: list[_Words], band: int) -> _Words:
    both = np.concatenate((older[band], newer[band]))
    older[band] = newer[band] = both[:0]  # free this band: memory never holds two copies of all bands
    both.sort(kind="stable")
    return both


def _sorted_run(signed: Signatures, numbers: _Words) -> list[_Words]:
    return [np.sort(band.astype(np.uint64) << np.uint64(32) | numbers) for band in signed.T]


def _sharing(signed: Signatures, run: list[_Words]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return pairs (row of the batch, row in the run) for every shared band, at most the first 32 rows of each bucket."""
    rows, others = [], []
    for band, entries in zip(signed.T, run, strict=True):
        low = band.astype(np.uint64) << np.uint64(32)
        start = np.searchsorted(entries, low)
        stop = np.searchsorted(entries, low + np.uint64(0xFFFFFFFF), side="right")
        count = np.minimum(stop - start, _MOST_CANDIDATES)
        row = np.repeat(np.arange(len(band)), count)
        within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        rows.append(row)
        others.append((entries[start[row] + within] & np.uint64(0xFFFFFFFF)).astype(np.int64))
    return np.concatenate(rows), np.concatenate(others)


class _Compared:
    """A text with the 3-grams and words by which it is compared."""

    def __init__(self, text: str) -> None:
        self.grams = ngrams(_key(text))
        self._fields = text.split(FIELD_SEPARATOR)
        self._words: list[list[str]] | None = None

    def says_the_same(self, other: _Compared) -> bool:
        """Return whether every field has the same words as the same field of `other`."""
        mine, its = self.words(), other.words()
        return len(mine) == len(its) and all(map(same_content, mine, its))

    def words(self) -> list[list[str]]:
        """Return the content words of each field; they are computed at the first call."""
        if self._words is None:
            self._words = [content_words(field) for field in self._fields]
        return self._words


class _Spool:
    """Texts by number, in a temporary file that is deleted with the object."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="kochat-near-")  # noqa: SIM115 - lives as long as the object
        self._ends = array("Q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def extend(self, texts: Sequence[str]) -> None:
        self._file.seek(0, io.SEEK_END)
        for text in texts:
            self._ends.append(self._ends[-1] + self._file.write(text.encode("utf-8", "surrogatepass")))

    def __getitem__(self, number: int) -> str:
        self._file.seek(self._ends[number])
        return self._file.read(self._ends[number + 1] - self._ends[number]).decode("utf-8", "surrogatepass")
