"""Collect rows of text over ranks, write them, and log figures that were computed from all of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning.pytorch import LightningModule, Trainer

from kochat.storage import write_jsonl

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


def write_rows(trainer: Trainer, rows: list[Row], name: str) -> None:
    """Write the result of `gather_rows` as the file ``name`` into the run's folder; every rank must call this.

    A ``fast_dev_run`` has no folder, so it writes nothing.
    """
    folder = trainer.log_dir  # a collective call: every rank must make it
    if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
        write_jsonl(Path(folder or trainer.default_root_dir) / name, rows)


def log_figures(pl_module: LightningModule, prefix: str, figures: Mapping[str, float]) -> None:
    """Log figures under ``prefix`` + name; they were computed from the rows of all ranks, so every rank has the same."""
    for name, value in figures.items():
        pl_module.log(prefix + name, value, on_step=False, on_epoch=True, sync_dist=True, add_dataloader_idx=False)
