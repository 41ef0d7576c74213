"""Estimate the KL divergence from sampled tokens.

Source: J. Schulman, "Approximating KL Divergence" (2020), http://joschu.net/blog/kl-approx.html. With tokens drawn from
the policy p, q the reference and d = log p - log q:

    k1 = d                  unbiased, high variance, may be negative
    k2 = d^2 / 2            biased, low variance
    k3 = exp(-d) - 1 + d    unbiased, low variance, never negative
"""

from __future__ import annotations

import torch
from torch import Tensor

from kochat.functional.masking import zero_masked

KL_KINDS = ("k1", "k2", "k3")


def kl_estimate(logprobs: Tensor, ref_logprobs: Tensor, kind: str = "k1", *, mask: Tensor | None = None) -> Tensor:
    """Estimate KL(policy || reference) at each sampled token.

    Args:
        logprobs: log p of the sampled tokens under the policy, shape: (b, t).
        ref_logprobs: log q of the same tokens under the reference, shape: (b, t).
        kind: Estimator ``k1``, ``k2`` or ``k3``, as defined above.
        mask: True on generated tokens, shape: (b, t). When given, masked slots are 0, whatever stands in them.

    Returns:
        KL in nats per token, shape: (b, t).

    Raises:
        ValueError: ``kind`` is none of the three.
    """
    difference = logprobs - ref_logprobs
    if mask is not None:
        difference = zero_masked(difference, mask)
    if kind == "k1":
        return difference
    if kind == "k2":
        return 0.5 * difference**2
    if kind == "k3":
        return torch.expm1(-difference) + difference
    raise ValueError(f"kind={kind!r} is no KL estimator; choose one of {', '.join(KL_KINDS)}")
