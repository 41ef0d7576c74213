"""Compare texts by 64-bit hashes, so that a million rows need little memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from kochat.cleaning.rule_kinds import Place


def hash_of(*texts: str) -> int:
    """Return the 64-bit hash of one or more texts."""
    digest = hashlib.blake2b("\x1f".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class FirstPlaces:
    """Remember for each hash the first row that had it."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # a number takes less memory than a place

    def earlier(self, places: Sequence[Place], hashes: Sequence[int]) -> list[Place | None]:
        """Return for each of the next rows the first row with the same hash, or None if the row itself is the first."""
        found: list[Place | None] = []
        for place, its in zip(places, hashes, strict=True):
            first = self._numbers.setdefault(its, place.number)
            found.append(None if first == place.number else Place(place.word, first))
        return found
