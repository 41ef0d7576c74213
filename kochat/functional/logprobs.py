"""Log-probabilities and entropy of tokens under a model's logits."""

from __future__ import annotations

import torch
from torch import Tensor


def token_logprobs(logits: Tensor, ids: Tensor) -> Tensor:
    """Look up log p(id) of each token: logits[id] - logsumexp(logits).

    The log-softmax over the vocabulary is never stored: only the chosen logit and the normaliser are computed. The
    result is float32 for half-precision logits, because a sum over a vocabulary is inaccurate in bfloat16.

    Args:
        logits: Scores over the vocabulary, already aligned with ``ids`` (slot j scores token j), shape: (b, t, vocab);
            other leading shapes are allowed, such as (n, vocab).
        ids: Token ids in 0..vocab-1, shape: (b, t).

    Returns:
        Log-probabilities in nats, shape: (b, t).
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    chosen = logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1).to(dtype)
    return chosen - torch.logsumexp(logits.to(dtype), dim=-1)


def entropy(logits: Tensor) -> Tensor:
    """Compute the entropy of each slot's distribution: H = -sum_v p(v) log p(v), with 0 log 0 = 0.

    Args:
        logits: Scores over the vocabulary, minus infinity allowed (an excluded token), shape: (b, t, vocab).

    Returns:
        Entropy in nats per token, from 0 to log(vocab), shape: (b, t).
    """
    logprobs = torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), dim=-1)
    # An excluded token has p = 0. Its log-probability is set to 0, since 0 * -inf is NaN.
    finite = torch.where(logprobs.isneginf(), torch.zeros_like(logprobs), logprobs)
    return -(logprobs.exp() * finite).sum(dim=-1)
