"""Gradient accumulation with the gradient of one large batch: the mean over all tokens, not a mean of means."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class TokenWindow:
    """The batches between two optimizer steps under ``Trainer(accumulate_grad_batches=k)``.

    Lightning divides the loss of each batch by k. If each loss were the mean of its batch, tokens of short batches
    would weigh more. Tokens in the last window of an epoch would weigh less, if it has fewer than k batches. So the sum
    of each batch is divided by the same number, the token count of the first batch, and `close` rescales the gradient
    when all counts are known. With one batch per window nothing changes.
    """

    def __init__(self) -> None:
        self._first: torch.Tensor | None = None
        self._total: torch.Tensor | None = None
        self._batches = 0

    def divisor(self, share: torch.Tensor) -> torch.Tensor:
        """Add a batch of ``share`` tokens (see `kochat.engine.ranks.count_share`), shape: (); return the divisor of its summed loss."""
        if self._first is None or self._total is None:
            self._first, self._total = share, torch.zeros_like(share)
        self._total = self._total + share
        self._batches += 1
        return self._first

    def close(self, parameters: Sequence[torch.nn.Parameter], accumulated: int) -> None:
        """Scale the gradients to the mean over the window's tokens and begin a new window.

        Args:
            parameters: the trained parameters.
            accumulated: k, by which Lightning has divided each loss.
        """
        first, total, batches = self._first, self._total, self._batches
        self._first, self._total, self._batches = None, None, 0
        if first is None or total is None or (batches == 1 and accumulated == 1):
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        torch._foreach_mul_(gradients, float(accumulated * first / total))
