"""The reward and the KL of best-of-n: sample n answers, keep the one with the highest score."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def best_of_k_weights(n: int, k: int) -> Tensor:
    """Return the probability that each of n sorted scores is the highest of k, drawn from the n without replacement.

    The i-th lowest (from 1) is the highest of C(i - 1, k - 1) of the C(n, k) subsets.

    Args:
        n: Number of scores.
        k: Size of the subsets, 1 to n.

    Returns:
        One weight for each score, lowest score first; the sum is 1. Shape: (n,), float64.

    Raises:
        ValueError: ``k`` is not in 1 to ``n``.
    """
    if not 1 <= k <= n:
        raise ValueError(f"k={k}: the best of k needs k from 1 to the number of samples, {n}")
    return torch.tensor([math.comb(i, k - 1) / math.comb(n, k) for i in range(n)], dtype=torch.float64)


def expected_best(scores: Tensor, k: int) -> Tensor:
    """Estimate the expected score of the best of k samples from n >= k samples, without bias.

    It is the mean of the maximum over all subsets of k scores, a sum over order statistics, so it uses all n samples.

    Args:
        scores: The scores of n independent samples, shape: (..., n).
        k: Number of samples from which the best is taken, 1 to n.

    Returns:
        The estimates, shape: (...), float64.

    Raises:
        ValueError: ``k`` is not in 1 to n.
    """
    return scores.double().sort(dim=-1).values @ best_of_k_weights(scores.shape[-1], k).to(scores.device)


def best_of_kl(k: int) -> float:
    """Return log k - (k - 1) / k: KL(best of k samples of a policy || the policy), in nats per answer.

    Exact if all samples differ and no two have the same score, otherwise an upper bound (Stiennon et al. 2020, arXiv:2009.01325;
    Beirami et al. 2024, arXiv:2401.01879).

    Raises:
        ValueError: ``k`` is under 1.
    """
    if k < 1:
        raise ValueError(f"k={k}: the best of k needs 1 sample or more")
    return math.log(k) - (k - 1) / k
