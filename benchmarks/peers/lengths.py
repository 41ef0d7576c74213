"""The same response lengths for every system: a table of lengths, and its use in decoding."""

from __future__ import annotations

import torch

from benchmarks.peers.settings import SEED

MEAN = 26.0  # of the exponential; cut at 2 and 64 it has a mean of about 24


def length_table(kind: str, rollouts: int, rows: int, limit: int) -> torch.Tensor:
    """Return (rollouts, rows) lengths in tokens, EOS included; ``limit + 1`` if no EOS comes before the limit.

    Args:
        kind: ``fixed`` (no answer ends by itself) or ``eos`` (exponentially distributed lengths, drawn once).
        rollouts: batches that are decoded.
        rows: answers a batch.
        limit: the length limit.
    """
    if kind == "fixed":
        return torch.full((rollouts, rows), limit + 1)
    generator = torch.Generator().manual_seed(SEED)
    drawn = torch.empty(rollouts, rows).exponential_(1 / (MEAN * limit / 64), generator=generator)
    return drawn.ceil().long().clamp(2, limit + 1)


class LengthForcer:
    """Counts each row's tokens and says which rows must end now.

    Args:
        table: from `length_table`.
    """

    def __init__(self, table: torch.Tensor) -> None:
        self.table = table
        self.rollout = -1
        self.running = False
        self.counts = torch.zeros(0, dtype=torch.long)
        self.rows = torch.arange(0)

    def begin(self) -> None:
        """Begin the next batch of answers."""
        self.rollout += 1
        self.running = True
        self.counts = torch.zeros_like(self.table[0])
        self.rows = torch.arange(0)

    def end(self) -> None:
        """End the batch: tokens that are drawn between two batches are not counted."""
        self.running = False

    def ends(self, rows: torch.Tensor) -> torch.Tensor:
        """Count one more token for ``rows``; return a bool for each, True where it must be EOS."""
        self.counts[rows] += 1
        return self.finished(rows)

    def finished(self, rows: torch.Tensor) -> torch.Tensor:
        """Tell which of ``rows`` have all their tokens."""
        return self.counts[rows] >= self.table[self.rollout % len(self.table)][rows]

    def still_there(self, count: int) -> torch.Tensor:
        """Return the row numbers in a batch of ``count`` rows: all rows, or only the unfinished ones after the others have left."""
        if not len(self.rows):
            self.rows = torch.arange(count)
        if count < len(self.rows):
            self.rows = self.rows[~self.finished(self.rows)]
        return self.rows
