"""Log-probabilities of tokens straight from hidden states: the logits of all tokens never exist at once.

The derivative of log p(v) by the state h is known when p is: W_v - sum_u p(u) W_u (Bishop 2006, Pattern Recognition and Machine
Learning, eq. 4.109, has the softmax's). Under a frozen output embedding it is made in the forward pass, a block of rows at a
time, and of the (n, vocab) logits nothing is kept. Liger Kernel (Hsu et al. 2024, arXiv:2410.10989) does so for the cross
entropy.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROWS = 256  # logits exist for so many tokens at once; fewer make the product with the embedding slow


def linear_logprobs(hidden: Tensor, weight: Tensor, ids: Tensor) -> Tensor:
    """Return log p(id) = z[id] - logsumexp(z) with z = weight @ hidden, differentiable in ``hidden`` and ``weight``.

    Half-precision products are summed over the vocabulary in float32. It is `token_logprobs(hidden @ weight.T, ids)`, gradient
    included, to rounding.

    Args:
        hidden: States, shape: (n, hidden).
        weight: Output embedding of the same dtype, shape: (vocab, hidden).
        ids: Token ids in 0..vocab-1, shape: (n,).

    Returns:
        Log-probabilities in nats, shape: (n,).
    """
    return _LinearLogprobs.apply(hidden, weight, ids)


@torch.no_grad()
def linear_logprobs_and_entropy(hidden: Tensor, weight: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities of `linear_logprobs` and the entropy of each slot's distribution, (n,) nats, without gradient."""
    logprobs = hidden.new_empty(len(ids), dtype=torch.promote_types(hidden.dtype, torch.float32))
    entropy = torch.empty_like(logprobs)
    for rows, logits in _blocks(hidden, weight):
        shifted, weights, totals = _exponentials(logits)
        normaliser = totals.log()
        logprobs[rows] = shifted.gather(1, ids[rows, None]).squeeze(1) - normaliser
        entropy[rows] = normaliser - weights.mul_(shifted).sum(1) / totals
    return logprobs, entropy


def _blocks(hidden: Tensor, weight: Tensor):
    """Yield (rows, logits of those rows)."""
    for start in range(0, len(hidden), ROWS):
        rows = slice(start, start + ROWS)
        yield rows, (hidden[rows] @ weight.T).to(torch.promote_types(hidden.dtype, torch.float32))


def _exponentials(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (z - max z, exp of it, the sum of that); the first takes the place of ``logits``."""
    shifted = logits.sub_(logits.amax(1, keepdim=True))
    weights = shifted.exp()
    return shifted, weights, weights.sum(1)


class _LinearLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, ids: Tensor) -> Tensor:
        by_hidden, by_weight, _ = ctx.needs_input_grad
        logprobs = hidden.new_empty(len(ids), dtype=torch.promote_types(hidden.dtype, torch.float32))
        slopes = torch.empty_like(hidden) if by_hidden and not by_weight else None
        probabilities = hidden.new_empty(len(ids), len(weight)) if by_weight else None
        for rows, logits in _blocks(hidden, weight):
            shifted = logits.sub_(logits.amax(1, keepdim=True))
            chosen = shifted.gather(1, ids[rows, None]).squeeze(1)
            weights = shifted.exp_()
            totals = weights.sum(1)
            logprobs[rows] = chosen - totals.log()
            if probabilities is not None:
                probabilities[rows] = weights.div_(totals[:, None])
            elif slopes is not None:  # sum_u p(u) W_u; divided after the product, which is narrower
                slopes[rows] = (weights.to(weight.dtype) @ weight) / totals[:, None]
        if slopes is not None:
            slopes = weight[ids] - slopes
        ctx.save_for_backward(hidden if by_weight else None, weight if by_weight else None, ids, slopes, probabilities)
        return logprobs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        hidden, weight, ids, slopes, probabilities = ctx.saved_tensors
        if probabilities is None:
            return (gradient[:, None] * slopes).to(slopes.dtype), None, None
        by_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        by_weight = torch.zeros_like(weight)
        for start in range(0, len(ids), ROWS):
            rows = slice(start, start + ROWS)
            by_logits = probabilities[rows] * -gradient[rows, None].to(weight.dtype)
            by_logits.scatter_add_(1, ids[rows, None], gradient[rows, None].to(weight.dtype))
            by_weight.addmm_(by_logits.T, hidden[rows])
            if by_hidden is not None:
                by_hidden[rows] = by_logits @ weight
        return by_hidden, by_weight, None
