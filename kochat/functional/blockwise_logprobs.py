"""Compute log-probabilities of tokens from hidden states, without the logits of all tokens in memory at once.

The derivative of log p(v) with respect to the state h follows from p: W_v - sum_u p(u) W_u (see Bishop 2006, Pattern
Recognition and Machine Learning, eq. 4.109, for the softmax). If the output embedding is frozen, the forward pass
computes this derivative too, for a block of rows at a time, and keeps none of the (n, vocab) logits. Liger Kernel (Hsu
et al. 2024, arXiv:2410.10989) does the same for the cross entropy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 256  # tokens per block; smaller blocks make the product with the embedding slow


def linear_logprobs(hidden: Tensor, weight: Tensor, ids: Tensor) -> Tensor:
    """Return log p(id) = z[id] - logsumexp(z) with z = weight @ hidden, differentiable once with respect to ``hidden`` and ``weight``.

    Half-precision products are summed over the vocabulary in float32. Value and gradient equal those of
    `token_logprobs(hidden @ weight.T, ids)` up to rounding.

    Args:
        hidden: States, shape: (n, hidden).
        weight: Output embedding of the same dtype, shape: (vocab, hidden). If it is trained, a matrix (n, vocab) is
            kept for the backward pass.
        ids: Token ids in 0..vocab-1, shape: (n,).

    Returns:
        Log-probabilities in nats, shape: (n,).
    """
    if torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad):
        return _LinearLogprobs.apply(hidden, weight, ids)
    return _logprobs(hidden, weight, ids, with_entropy=False)[0]


def linear_logprobs_and_entropy(hidden: Tensor, weight: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return `linear_logprobs` and the entropy of each token's distribution, each (n,) nats, both without gradient."""
    return _logprobs(hidden, weight, ids, with_entropy=True)


@torch.no_grad()
def _logprobs(hidden: Tensor, weight: Tensor, ids: Tensor, *, with_entropy: bool) -> tuple[Tensor, Tensor]:
    """Return log-probabilities and, with ``with_entropy``, entropies (else 0)."""
    logprobs = hidden.new_empty(len(ids), dtype=_sum_type(hidden))
    entropy = torch.zeros_like(logprobs)
    for rows, logits in _blocks(hidden, weight):
        shifted = logits.sub_(logits.amax(1, keepdim=True))
        weights = shifted.exp()
        totals = weights.sum(1)
        logprobs[rows] = shifted.gather(1, ids[rows, None]).squeeze(1) - totals.log()
        if with_entropy:
            entropy[rows] = totals.log() - weights.mul_(shifted).sum(1) / totals
    return logprobs, entropy


def _sum_type(hidden: Tensor) -> torch.dtype:
    """Return the dtype of sums over the vocabulary."""
    return torch.promote_types(hidden.dtype, torch.float32)


def _blocks(hidden: Tensor, weight: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, logits of those rows)."""
    for start in range(0, len(hidden), ROWS):
        rows = slice(start, start + ROWS)
        yield rows, (hidden[rows] @ weight.T).to(_sum_type(hidden))


class _LinearLogprobs(torch.autograd.Function):
    """Save p - onehot(id), the negative derivative with respect to the logits, or its product with a frozen embedding.

    The difference is computed in float32: in half precision it would be rounded to 0 for a token with p near 1.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, ids: Tensor) -> Tensor:
        by_weight = ctx.needs_input_grad[1]
        logprobs = hidden.new_empty(len(ids), dtype=_sum_type(hidden))
        slopes = None if by_weight else torch.empty_like(hidden)
        errors = hidden.new_empty(len(ids), len(weight)) if by_weight else None
        for rows, logits in _blocks(hidden, weight):
            shifted = logits.sub_(logits.amax(1, keepdim=True))
            chosen = shifted.gather(1, ids[rows, None]).squeeze(1)
            weights = shifted.exp_()
            totals = weights.sum(1, keepdim=True)
            logprobs[rows] = chosen - totals.squeeze(1).log()
            weights.scatter_add_(1, ids[rows, None], -totals)  # (p - onehot) * total
            if errors is not None:
                errors[rows] = weights.div_(totals)
            elif slopes is not None:  # divided after the product, which has fewer columns
                slopes[rows] = -(weights.to(weight.dtype) @ weight) / totals
        ctx.save_for_backward(hidden if by_weight else None, weight if by_weight else None, slopes, errors)
        return logprobs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        hidden, weight, slopes, errors = ctx.saved_tensors
        gradient = gradient[:, None]
        if errors is None:
            return (gradient * slopes).to(slopes.dtype), None, None
        by_logits = errors.mul_(-gradient)  # in place; autograd refuses a second backward pass
        return by_logits @ weight if ctx.needs_input_grad[0] else None, by_logits.T @ hidden, None
