"""Read the held-out pairs of answers that are labelled with the kind of fault of the worse answer."""

from __future__ import annotations

from pathlib import Path

from kochat.data.records import PairRecord, read_records
from kochat.errors import UserError


def read_pairs(path: Path) -> list[PairRecord]:
    """Return the pairs of `path` in file order; no bad row is skipped.

    Raises:
        UserError: if the file cannot be read, a row is bad, or two rows have one id. The message names the file, the
            record, the field and a remedy.
    """
    pairs = list(read_records(path, PairRecord, max_bad_share=0))
    first: dict[str, int] = {}
    for number, pair in enumerate(pairs, 1):
        if pair.id in first:
            raise UserError(
                f'{path}: record {number}: "id" is {pair.id!r}, as in record {first[pair.id]}; give every pair its own id'
            )
        first[pair.id] = number
    return pairs


def pairs_of_each_kind(pairs: list[PairRecord], limit: int | None) -> list[PairRecord]:
    """Return at most `limit` pairs of each kind, the first in order of id, in file order; all if `limit` is None."""
    if limit is None:
        return pairs
    kept: dict[str, list[str]] = {}
    for pair in sorted(pairs, key=lambda pair: pair.id):
        kept.setdefault(pair.kind, []).append(pair.id)
    chosen = {id_ for ids in kept.values() for id_ in ids[:limit]}
    return [pair for pair in pairs if pair.id in chosen]
