"""Compare texts by 64 bits each, so that a million rows stay in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from kochat.cleaning.rule_kinds import Place


def hash_of(*texts: str) -> int:
    """Return 64 bits in place of texts."""
    digest = hashlib.blake2b("\x1f".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class FirstPlaces:
    """Remember of each hash the row that had it first."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # a number takes less memory than a place

    def earlier(self, places: Sequence[Place], hashes: Sequence[int]) -> list[Place | None]:
        """Return for each of the next rows the first row with the same hash, or None where it is the first itself."""
        found: list[Place | None] = []
        for place, its in zip(places, hashes, strict=True):
            first = self._numbers.setdefault(its, place.number)
            found.append(None if first == place.number else Place(place.word, first))
        return found
