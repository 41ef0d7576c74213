"""Make batches of rows of similar length; the same seed and epoch give the same batches, divided evenly among ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import DistributedSampler

POOL_BATCHES = 50  # little padding, but still shuffled


class LengthBucketSampler(DistributedSampler):
    """Yield lists of row indices, one list for each batch, for a DataLoader with ``batch_size=None``.

    The sampler itself selects the batches of its rank. It is a DistributedSampler, so Lightning does not replace it and calls
    `set_epoch`. Every rank yields the same number of batches: if they cannot be divided evenly, the first batches are repeated.
    Evaluation therefore counts each row id once. With `shuffle` the order depends only on (seed, epoch). Without it the longest rows
    come first, so that a batch too large for the memory fails at once.

    Args:
        lengths: length of each row in tokens.
        batch_size: rows in a batch; the last batch of the last pool may be smaller.
        seed: seed of the shuffle.
        shuffle: True shuffles again in each epoch; False keeps one order.
        pool_batches: rows are sorted by length within shuffled pools of this many batches; with 1 every batch is a uniform draw of rows.
        num_replicas: number of ranks.
        rank: this process's rank.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int = 0,
        *,
        shuffle: bool = True,
        pool_batches: int = POOL_BATCHES,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(lengths, num_replicas, rank, shuffle, seed)  # type: ignore[arg-type]
        self.lengths = lengths
        self.batch_size = batch_size
        self.pool_batches = pool_batches

    def __len__(self) -> int:
        """Return the number of batches of this rank."""
        return math.ceil(math.ceil(len(self.lengths) / self.batch_size) / self.num_replicas)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this rank's batches."""
        batches = self._shuffled() if self.shuffle else self._cut(self._longest_first(range(len(self.lengths))))
        needed = len(self) * self.num_replicas
        if batches:
            batches = [batches[index % len(batches)] for index in range(needed)]
        return iter(batches[self.rank :: self.num_replicas])

    def _shuffled(self) -> list[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.batch_size * self.pool_batches
        pools = [order[start : start + size] for start in range(0, len(order), size)]
        batches = [batch for pool in pools for batch in self._cut(self._longest_first(pool))]
        return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]

    def _longest_first(self, indices: Sequence[int]) -> list[int]:
        return sorted(indices, key=lambda index: -self.lengths[index])

    def _cut(self, indices: list[int]) -> list[list[int]]:
        return [indices[start : start + self.batch_size] for start in range(0, len(indices), self.batch_size)]
