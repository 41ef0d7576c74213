"""Log-probabilities of tokens straight from hidden states: the logits of all tokens never exist at once.

The derivative of log p(v) by the state h is known when p is: W_v - sum_u p(u) W_u (Bishop 2006, Pattern Recognition and Machine
Learning, eq. 4.109, has the softmax's). Under a frozen output embedding it is made in the forward pass, a block of rows at a
time, and of the (n, vocab) logits nothing is kept. Liger Kernel (Hsu et al. 2024, arXiv:2410.10989) does so for the cross
entropy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 256  # logits exist for so many tokens at once; fewer make the product with the embedding slow


def linear_logprobs(hidden: Tensor, weight: Tensor, ids: Tensor) -> Tensor:
    """Return log p(id) = z[id] - logsumexp(z) with z = weight @ hidden, differentiable once in ``hidden`` and ``weight``.

    Half-precision products are summed over the vocabulary in float32. It is `token_logprobs(hidden @ weight.T, ids)`, gradient
    included, to rounding.

    Args:
        hidden: States, shape: (n, hidden).
        weight: Output embedding of the same dtype, shape: (vocab, hidden). A trained one needs p of all tokens: (n, vocab) is kept.
        ids: Token ids in 0..vocab-1, shape: (n,).

    Returns:
        Log-probabilities in nats, shape: (n,).
    """
    if torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad):
        return _LinearLogprobs.apply(hidden, weight, ids)
    return _logprobs(hidden, weight, ids, with_entropy=False)[0]


def linear_logprobs_and_entropy(hidden: Tensor, weight: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities of `linear_logprobs` and the entropy of each slot's distribution, (n,) nats, without gradient."""
    return _logprobs(hidden, weight, ids, with_entropy=True)


@torch.no_grad()
def _logprobs(hidden: Tensor, weight: Tensor, ids: Tensor, *, with_entropy: bool) -> tuple[Tensor, Tensor]:
    """Return log-probabilities and, if wished, entropies (else 0)."""
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
    """Return the type of sums over the vocabulary."""
    return torch.promote_types(hidden.dtype, torch.float32)


def _blocks(hidden: Tensor, weight: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, logits of those rows)."""
    for start in range(0, len(hidden), ROWS):
        rows = slice(start, start + ROWS)
        yield rows, (hidden[rows] @ weight.T).to(_sum_type(hidden))


class _LinearLogprobs(torch.autograd.Function):
    """Keeps p - onehot(id), the derivative by the logits but for its sign, or its product with a frozen embedding.

    The difference is taken in float32: half precision would round that of a confident token, of p near 1, to nothing.
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
            elif slopes is not None:  # divided after the product, which is narrower
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
        by_logits = errors.mul_(-gradient)  # in place: a second backward pass is refused by autograd, not wrong
        return by_logits @ weight if ctx.needs_input_grad[0] else None, by_logits.T @ hidden, None
