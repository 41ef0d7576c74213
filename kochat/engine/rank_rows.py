"""Collect rows of text over ranks."""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import Any

import torch.distributed as dist

Row = dict[str, Any]


def gather_rows(rows: list[Row]) -> list[Row]:
    """Gather the rows of all ranks in the order of the data; of several rows with one id only the first is kept.

    A distributed sampler gives rows to the ranks in turn, so taking one row of each rank in turn restores the order.
    The sampler repeats rows to fill the last batch; these have an id that is already there. Every rank must call this,
    and each gets the same list.
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
