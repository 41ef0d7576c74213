"""Collect rows of text over ranks."""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import Any

import torch.distributed as dist

Row = dict[str, Any]


def gather_rows(rows: list[Row]) -> list[Row]:
    """Gather the rows of all ranks, in the data's order, the first of each id.

    Ranks take turns in a sampler's order, so taking one row of each in turn restores it; rows that a sampler repeats to
    fill the last batch fall away by id. Every rank must call this, and each gets the same list.
    """
    shards = [rows]
    if dist.is_available() and dist.is_initialized():
        shards = [[] for _ in range(dist.get_world_size())]
        dist.all_gather_object(shards, rows)
    in_turn = (row for row in chain.from_iterable(zip_longest(*shards)) if row is not None)
    unique: dict[str, Row] = {}
    for row in in_turn:
        unique.setdefault(row["id"], row)
    return list(unique.values())
