"""Collect rows of text over ranks, and write them whole or not at all."""

from __future__ import annotations

import json
import os
from itertools import chain, zip_longest
from pathlib import Path
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


def take_shard(batch: dict[str, Any], rank: int, world_size: int) -> dict[str, Any]:
    """Take every ``world_size``-th row of a batch from row ``rank`` on; tensors and lists alike hold one entry a row."""
    return {key: value[rank::world_size] for key, value in batch.items()}


def write_jsonl(path: Path, rows: list[Row]) -> None:
    """Write one JSON object a line under a temporary name, then rename: readers see the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    temporary.write_text("".join(lines), encoding="utf-8")
    os.replace(temporary, path)
