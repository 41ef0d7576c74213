"""Gradient accumulation whose gradient is that of one large batch: the mean over all tokens, not a mean of means."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class TokenWindow:
    """The batches between two optimizer steps under ``Trainer(accumulate_grad_batches=k)``.

    Lightning divides the loss of each batch by k. A batch's own mean would then weigh the tokens of short batches more, and the
    last window of an epoch, which may hold fewer than k batches, less. So every batch's sum is divided by one number, the first
    batch's count, and the gradient is put right when all counts are known. With one batch a window nothing is changed.
    """

    def __init__(self) -> None:
        self._first: torch.Tensor | None = None
        self._total: torch.Tensor | None = None
        self._batches = 0

    def divisor(self, share: torch.Tensor) -> torch.Tensor:
        """Add a batch of ``share`` tokens (see `kochat.engine.ranks.count_share`); return what its summed loss is divided by."""
        if self._first is None or self._total is None:
            self._first, self._total = share, torch.zeros_like(share)
        self._total = self._total + share
        self._batches += 1
        return self._first

    def close(self, parameters: Sequence[torch.nn.Parameter], accumulated: int) -> None:
        """Scale the gradients to the mean over the window's tokens and begin a new window.

        Args:
            parameters: what is trained.
            accumulated: k, by which Lightning has divided each loss.
        """
        first, total, batches = self._first, self._total, self._batches
        self._first, self._total, self._batches = None, None, 0
        if first is None or total is None or (batches == 1 and accumulated == 1):
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        torch._foreach_mul_(gradients, float(accumulated * first / total))
