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
        mask: True on generated tokens, shape: (b, t). If given, masked slots are 0, whatever their input.

    Returns:
        KL in nats per token, shape: (b, t).

    Raises:
        ValueError: ``kind`` is not one of the three.
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


def adapted_kl_coef(kl_coef: float, kl: float, target: float, gain: float = 0.1) -> float:
    """Adapt the KL weight so that the KL approaches its target: a proportional controller in log space.

    e = clip((kl - target) / target, -0.2, 0.2) and kl_coef <- kl_coef * (1 + gain * e), once a rollout (Ziegler et al.
    2019, "Fine-Tuning Language Models from Human Preferences", section 2.2; arXiv:1909.08593).

    Args:
        kl_coef: Weight that was used for the rollout, in score per nat.
        kl: The rollout's mean KL, in nats per answer.
        target: Target KL in nats per answer, above 0.
        gain: K_beta; one rollout changes the weight by at most 0.2 * gain.

    Returns:
        The weight for the next rollout.

    Raises:
        ValueError: ``target`` is not above 0.
    """
    if target <= 0:
        raise ValueError(f"target={target} is not above 0; give nats per answer, such as 6.0")
    error = min(max((kl - target) / target, -0.2), 0.2)
    return kl_coef * (1 + gain * error)
