"""Means over the optimizer steps between two lines of the log: the value of one batch alone is mostly noise."""

from __future__ import annotations

import torch


class IntervalMean:
    """The mean of a quantity over the last optimizer steps, each batch weighted by its number of tokens or pairs.

    Lightning logs the value of the step at which it writes a line. If `add` keeps ``log_every_n_steps`` steps, this value is
    the mean over all steps since the line before, and between two lines it is a moving mean. Nothing is read from the device.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all steps; call it when training starts."""
        self._sums: torch.Tensor | None = None  # (2, kept steps): sums, then counts
        self._step = -1

    def add(self, total: torch.Tensor, count: torch.Tensor, *, step: int, kept: int) -> torch.Tensor:
        """Add a batch, and return the mean over the last steps.

        Args:
            total: the batch's sum, shape: (). With several ranks it is the sum of this rank.
            count: by what the sum is divided, shape: (). With several ranks it is `kochat.engine.ranks.count_share`, the same
                on all ranks; then the average of all ranks' results is the mean over all tokens of all ranks.
            step: the optimizer step to which the batch belongs; accumulated batches have the same one.
            kept: over how many steps the mean is taken; below 1 counts as 1.

        Returns:
            The mean, float32, shape: (); NaN while all counts are 0.
        """
        kept = max(1, kept)
        if self._sums is None:
            self._sums = torch.zeros(2, kept, device=total.device)
        if step != self._step:
            self._sums[:, step % kept] = 0.0
            self._step = step
        self._sums[:, step % kept] += torch.stack([total.detach().float(), count.detach().float()])
        sums, counts = self._sums.sum(1)
        return sums / counts
